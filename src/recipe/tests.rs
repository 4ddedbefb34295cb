//! What a recipe accepts and refuses.

use super::number::Quantity;
use super::position::Position;
use super::*;
use std::fmt::Write;

fn error(text: &str) -> String {
    Recipe::parse(text, "recipe.yaml").unwrap_err().to_string()
}

#[test]
fn an_empty_recipe_is_the_default() {
    for text in
        ["", "\n", "# only a comment\n", "{}", "---\n", "null", "\u{feff}{}", "sources:\n", "sources: {general: }"]
    {
        match Recipe::parse(text, "recipe.yaml") {
            Ok(recipe) => assert_eq!(recipe, Recipe::default(), "{text:?}"),
            Err(error) => assert!(text.contains("general"), "{text:?}: {error}"),
        }
    }
    let sources = Recipe::default().all_sources();
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names[..4], ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]);
    assert_eq!(names[4..], ["extractive_summary_cpt", "detailed_summary_cpt", "key_facts_cpt", "document_based_cpt"]);
    assert!(sources.iter().all(|source| source.repeat == Decimal::ONE && source.share.is_none() && source.unmask));
    let with_document: Vec<bool> = sources[..4].iter().map(|source| source.with_document).collect();
    assert_eq!(with_document, [true, true, false, true]);
    let by_cut: Vec<bool> = sources.iter().map(|source| source.by_cut).collect();
    assert_eq!(by_cut, [true, true, false, false, true, true, false, false]);
    assert_eq!(sources[4].rank_name(), "extractive_summary");
}

fn schema() -> serde_json::Value {
    Recipe::schema(serde_json::Map::new()).to_value()
}

#[test]
fn the_example_has_every_key_of_its_own() {
    let recipe = Recipe::parse(Recipe::example(), "example").unwrap();
    assert_eq!(recipe.budget.unwrap().tokens, Some("20k".parse::<Quantity>().unwrap()));
    let general = recipe.all_sources().into_iter().find(|source| source.name == "general").unwrap();
    assert_eq!((general.name.as_str(), general.kind, general.unmask), ("general", Kind::Messages, false));
    assert_eq!(general.share, Some("0.1".parse().unwrap()));
    let schema = schema();
    let mut objects = vec![&schema];
    objects.extend(schema["$defs"].as_object().unwrap().values());
    for key in objects.iter().filter_map(|object| object["properties"].as_object()).flat_map(|keys| keys.keys()) {
        assert!(Recipe::example().contains(&format!("{key}:")), "the example lacks {key}");
    }
}

#[test]
fn the_schema_allows_no_other_keys_and_describes_each() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["SourceRecipe"]["additionalProperties"], false);
    for object in [&schema, &schema["$defs"]["SourceRecipe"]] {
        for (key, property) in object["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{key}: {property}");
        }
    }
    insta::assert_snapshot!("schema", format!("{schema:#}"));
}

#[test]
fn sources_keep_the_order_of_the_recipe_and_their_exact_numbers() {
    let recipe = Recipe::parse(
        r#"{"budget": {"samples": "1.5k"},
            "sources": {"extractive_summary": {"weight": 0.3}, "b": {"kind": "fact_qa"}, "a": {"kind": "document_qa"}}}"#,
        "--recipe",
    )
    .unwrap();
    assert_eq!(recipe.budget.unwrap().samples, Some("1500".parse::<Quantity>().unwrap()));
    let sources = recipe.all_sources();
    assert_eq!(sources[0].weight, Some(Decimal::from_millionths(300_000)));
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names[4..6], ["b", "a"]);
    assert_eq!(names[6], "extractive_summary_cpt", "documents come after all conversations");
}

#[test]
fn a_source_of_summaries_follows_the_run_and_its_own_limit_of_pairs() {
    let text = "sources: {extractive_summary: {qa_per_doc: 2, repeat: 0.5}, key_facts_to_qa: {share: 0.1}}";
    let sources = Recipe::parse(text, "r").unwrap().all_sources();
    let limits: Vec<Option<u32>> = sources.iter().map(|source| source.pairs_per_summary(3)).collect();
    assert_eq!(limits[..4], [Some(2), Some(3), None, None]);
    assert_eq!(limits[4..], [Some(1); 4], "one of equal documents");
    let half = Amount::Repeat { times: Decimal::from_millionths(500_000), unit: RepeatUnit::Sample };
    assert_eq!(sources[0].amount(), half);
    assert_eq!(sources[2].amount(), Amount::Share(Decimal::from_millionths(100_000)));
}

#[test]
fn a_setting_keeps_its_position() {
    let recipe = Recipe::parse("seed: 1\ncut_sizes:\n  - 5\n  - 50\nreasoning:\n", "r").unwrap();
    let at = |line, column| Position { line, column };
    let setting = |key: &str, line, value| RecipeSetting { key: key.to_owned(), at: at(line, 1), value };
    let expected = [
        setting("seed", 1, RecipeValue::One("1".into(), at(1, 7))),
        setting("cut_sizes", 2, RecipeValue::List(vec![("5".into(), at(3, 5)), ("50".into(), at(4, 5))], at(3, 3))),
        setting("reasoning", 5, RecipeValue::Nothing),
    ];
    assert_eq!(recipe.settings, expected);
}

#[test]
fn the_manifest_gets_every_source_and_no_path() {
    let recipe = Recipe::parse(Recipe::example(), "example").unwrap();
    insta::assert_snapshot!("for_manifest", serde_json::to_string_pretty(&recipe.for_manifest()).unwrap());
}

#[test]
fn errors_name_line_and_column() {
    let cases = [
        "sources: [a]",
        "sources:\n  general:\n    share: 0.1",
        "sources:\n  general: {kind: messages, shares: 0.1}",
        "sources:\n  general: {kind: chats}",
        "sources:\n  general: {kind: }",
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
        "sources:\n  key_facts_to_qa:\n    paths: []",
        "sources:\n  c: {kind: messages, qa_per_doc: 2}",
        "sources:\n  c: {kind: messages, with_document: true}",
        "sources:\n  c: {kind: messages, repeat: 0.5, unit: document}",
        "sources:\n  key_facts_to_qa: {share: 0.5}\n  document_based_qa: {share: 0.6}",
        "sources:\n  key_facts_to_qa: {share: 0.5}\n  document_based_qa: {share: 0.5}",
        "budget: {tokens: 1M}\nsources:\n  key_facts_to_qa: {share: 0.5}\n  document_based_qa: {share: 0.5}",
        "budget: {tokens: 1M}\nsources:\n  extractive_summary: {enabled: false}\n  detailed_summary: {enabled: false}\n  key_facts_to_qa: {share: 0.5}\n  document_based_qa: {share: 0.4}",
        "sources:\n  extractive_summary: {enabled: false}\n  detailed_summary: {enabled: false}\n  key_facts_to_qa: {enabled: false}\n  document_based_qa: {enabled: false}\n  extractive_summary_cpt: {enabled: false}\n  detailed_summary_cpt: {enabled: false}\n  key_facts_cpt: {enabled: false}\n  document_based_cpt: {enabled: false}",
        "sources:\n  extractive_sumary: {share: 0.1}",
        "sources:\n  c: {kind: document, qa_per_doc: 2}",
        "sources:\n  c: {kind: messages, column: text}",
        "sources:\n  c: {kind: messages, by_cut: true}",
        "sources:\n  extractive_summary_cpt: {kind: messages}",
        "sources:\n  c: {kind: document, folder: a/b}",
        "sources:\n  c: {kind: document, folder: a, paths: [b]}",
        "sources:\n  c:\n    kind: document\n    where: {column: dataset_type}",
        "sources:\n  c:\n    kind: document\n    where: {colum: dataset_type, equals: a}",
        "sources:\n  c:\n    kind: document\n    where: {column: dataset_type, equal: a}",
        "sources:\n  c:\n    kind: document\n    where: {equals: a}",
        "sources:\n  c:\n    kind: document\n    where: {column: t, equals: a, in: [b]}",
        "sources:\n  c:\n    kind: document\n    where: {column: t, in: []}",
        "sources:\n  c:\n    kind: document\n    where: {column: t, at_least: many}",
        "sources:\n  c:\n    kind: document\n    where: {column: t, at_least: 3, at_most: 2}",
        "sources:\n  a: {kind: document, share: 0.6}\n  b: {kind: document, share: 0.6}",
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
        "a: [",
        "just words",
        "a: 1\n---\nb: 2",
    ];
    let mut errors = String::new();
    for case in cases {
        writeln!(errors, "{case}\n  => {}\n", error(case)).unwrap();
    }
    insta::assert_snapshot!("errors", errors);
}

proptest::proptest! {
    #[test]
    fn no_text_causes_a_panic(text in "\\PC{0,60}", cut in 0usize..3000, number in "[-+.0-9eE_kMx]{0,12}") {
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
