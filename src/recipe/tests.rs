//! What a recipe says, and what it may not say.

use super::*;
use std::fmt::Write;

fn error(text: &str) -> String {
    Recipe::parse(text, "recipe.yaml").unwrap_err().to_string()
}

#[test]
fn nothing_is_the_default() {
    for text in ["", "\n", "# only words\n", "{}", "---\n", "null", "\u{feff}{}", "sources:\n", "sources: {general: }"]
    {
        match Recipe::parse(text, "recipe.yaml") {
            Ok(recipe) => assert_eq!(recipe, Recipe::default(), "{text:?}"),
            Err(error) => assert!(text.contains("general"), "{text:?}: {error}"),
        }
    }
    let sources = Recipe::default().all_sources();
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]);
    assert!(sources.iter().all(|source| source.repeat == Decimal::ONE && source.share.is_none() && source.unmask));
    let with_document: Vec<bool> = sources.iter().map(|source| source.with_document).collect();
    assert_eq!(with_document, [true, true, false, true]);
}

#[test]
fn the_example_has_every_key_and_is_a_recipe() {
    let recipe = Recipe::parse(Recipe::example(), "example").unwrap();
    assert_eq!(recipe.cut_sizes, Some(vec![4, 8]));
    assert_eq!(recipe.budget.unwrap().tokens, Some(Quantity::new(20_000)));
    let general = recipe.all_sources().pop().unwrap();
    assert_eq!((general.name.as_str(), general.kind, general.unmask), ("general", Kind::Messages, false));
    assert_eq!(general.share, Some("0.1".parse().unwrap()));
    // Every key that the schema knows is shown.
    let schema: serde_json::Value = serde_json::from_str(&Recipe::schema()).unwrap();
    let mut objects = vec![&schema];
    objects.extend(schema["$defs"].as_object().unwrap().values());
    for key in objects.iter().filter_map(|object| object["properties"].as_object()).flat_map(|keys| keys.keys()) {
        assert!(Recipe::example().contains(&format!("{key}:")), "the example lacks {key}");
    }
}

#[test]
fn the_schema_is_strict_and_explains_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&Recipe::schema()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["SourceRecipe"]["additionalProperties"], false);
    for (key, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{key}: {property}");
    }
    for (key, property) in schema["$defs"]["SourceRecipe"]["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{key}: {property}");
    }
    assert!(schema.get("required").is_none());
    insta::assert_snapshot!("schema", Recipe::schema());
}

#[test]
fn values_are_read_as_they_are_meant() {
    let recipe = Recipe::parse(
        r#"{"cut_sizes": [5.0, 50.0], "qa_per_doc": 3.0, "seed": 9007199254740991, "budget": {"samples": "1.5k"},
            "sources": {"extractive_summary": {"weight": 0.3}, "b": {"kind": "fact_qa"}, "a": {"kind": "document_qa"}}}"#,
        "--recipe",
    )
    .unwrap();
    assert_eq!(recipe.cut_sizes, Some(vec![5, 50]));
    assert_eq!((recipe.qa_per_doc, recipe.seed), (Some(3), Some(9_007_199_254_740_991)));
    assert_eq!(recipe.budget.unwrap().samples, Some(Quantity::new(1500)));
    assert_eq!(recipe.sources.get("extractive_summary").unwrap().weight, Some(Decimal::from_millionths(300_000)));
    let names: Vec<String> = recipe.all_sources().into_iter().map(|source| source.name).collect();
    assert_eq!(names[4..], ["b", "a"], "further sources keep the recipe's order");
    for text in
        ["cut_sizes: 5", "cut_sizes: 5,", "cut_sizes: '5, 50'", "cut_sizes: [5, 50]", "seed: 1e3", "cut_sizes: null"]
    {
        assert_eq!(Recipe::parse(text, "r").is_ok(), text != "cut_sizes: 5,", "{text}");
    }
}

#[test]
fn a_recipe_survives_being_written_and_read() {
    let recipe = Recipe::parse(Recipe::example(), "example").unwrap();
    let json = serde_json::to_string(&recipe).unwrap();
    assert_eq!(Recipe::parse(&json, "json").unwrap(), recipe);
}

#[test]
fn the_manifest_gets_every_source_and_no_path() {
    let recipe = Recipe::parse(Recipe::example(), "example").unwrap();
    insta::assert_snapshot!("for_manifest", serde_json::to_string_pretty(&recipe.for_manifest()).unwrap());
}

#[test]
fn what_is_refused_is_refused_with_line_and_column() {
    let cases = [
        "cut_size: [5]",
        "cut_sizes: [5, 0]",
        "cut_sizes: []",
        "cut_sizes: [5, x]",
        "cut_sizes: -1",
        "qa_per_doc: 0",
        "seed: -1",
        "seed: 9007199254740992",
        "order: random",
        "columns: [full]",
        "save_gpt_oss_format: maybe",
        "seed: 1\nseed: 2",
        "sources: [a]",
        "sources:\n  general:\n    share: 0.1",
        "sources:\n  general: {kind: messages, shares: 0.1}",
        "sources:\n  general: {kind: chats}",
        "sources:\n  key_facts_to_qa: {kind: messages}",
        "sources:\n  a/b: {kind: messages}",
        "sources:\n  key_facts_to_qa:\n    repeat: -2",
        "sources:\n  key_facts_to_qa:\n    repeat: 1001",
        "sources:\n  key_facts_to_qa:\n    repeat: 0.1234567",
        "sources:\n  key_facts_to_qa:\n    share: 0.5\n    repeat: 2",
        "sources:\n  key_facts_to_qa:\n    share: 1.5",
        "sources:\n  key_facts_to_qa:\n    share: 0",
        "sources:\n  key_facts_to_qa:\n    max_repeat: 2",
        "sources:\n  key_facts_to_qa:\n    max_repeat: 2\n    repeat: 2",
        "sources:\n  key_facts_to_qa:\n    weight: 2",
        "budget: {tokens: 5}\nsources:\n  key_facts_to_qa:\n    weight: 0",
        "budget: {tokens: 5}\nsources:\n  key_facts_to_qa:\n    weight: 2\n    share: 0.1",
        "sources:\n  key_facts_to_qa:\n    unit: document",
        "sources:\n  key_facts_to_qa:\n    unmask: false",
        "sources:\n  key_facts_to_qa:\n    paths: []",
        "sources:\n  c: {kind: messages, qa_per_doc: 2}",
        "sources:\n  c: {kind: messages, with_document: true}",
        "sources:\n  c: {kind: messages, repeat: 0.5, unit: document}",
        "sources:\n  key_facts_to_qa: {share: 0.5}\n  document_based_qa: {share: 0.6}",
        "sources:\n  key_facts_to_qa: {share: 0.5}\n  document_based_qa: {share: 0.5}",
        "budget: {tokens: 1M}\nsources:\n  key_facts_to_qa: {share: 0.5}\n  document_based_qa: {share: 0.5}",
        "budget: {tokens: 1M}\nsources:\n  extractive_summary: {enabled: false}\n  detailed_summary: {enabled: false}\n  key_facts_to_qa: {share: 0.5}\n  document_based_qa: {share: 0.4}",
        "sources:\n  extractive_summary: {enabled: false}\n  detailed_summary: {enabled: false}\n  key_facts_to_qa: {enabled: false}\n  document_based_qa: {enabled: false}",
        "budget: {}",
        "budget: {tokens: 0}",
        "budget: {tokens: 1, samples: 1}",
        "budget: {tokens: 1.5}",
        "budget: 100M",
        "split: {}",
        "split: {validation: 0}",
        "split: {validation: 1}",
        "filter: {max_tokens: 0}",
        "filter: {long_samples: keep}",
        "input: []",
        "a: [",
        "\tx: 1",
        "just words",
        "a: 1\n---\nb: 2",
    ];
    let mut told = String::new();
    for case in cases {
        writeln!(told, "{case}\n  => {}\n", error(case)).unwrap();
    }
    insta::assert_snapshot!("refused", told);
}

#[test]
fn every_example_is_a_recipe() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/recipes");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let recipe = Recipe::parse(&std::fs::read_to_string(&path).unwrap(), &path.display().to_string()).unwrap();
        assert_eq!(recipe.cut_sizes, Some(vec![4, 8]), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 11, "{seen}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", cut in 0usize..3000, number in "[-+.0-9eE_kMx]{0,12}") {
        let _ = Recipe::parse(&text, "r");
        let example = Recipe::example();
        let cut = (0..=cut.min(example.len())).rev().find(|at| example.is_char_boundary(*at)).unwrap_or(0);
        let _ = Recipe::parse(&example[..cut], "r");
        let _ = Recipe::parse(&format!("{}{text}{}", &example[..cut], &example[cut..]), "r");
        for key in ["cut_sizes", "qa_per_doc", "seed", "split: {validation", "budget: {tokens", "sources: {key_facts_to_qa: {repeat"] {
            let close = "}".repeat(key.matches('{').count());
            let _ = Recipe::parse(&format!("{key}: {number}{close}"), "r");
        }
    }
}
