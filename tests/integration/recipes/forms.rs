//! The forms of a recipe, and the precedence of flags, recipe and variables.

use super::program::{EXAMPLES, Mix, run, run_with};
use serde_json::Value;

#[test]
fn text_json_file_and_url_give_the_same_mix() {
    let yaml = format!("{EXAMPLES}seed: 5\nsources:\n  key_facts_to_qa:\n    repeat: 1.5\n");
    let json = serde_json::json!({
        "input": ["examples/step_02"], "tokenizer_model": "builtin", "cut_sizes": [4, 8], "seed": 5,
        "sources": {"key_facts_to_qa": {"repeat": 1.5}},
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recipe.yaml");
    std::fs::write(&file, &yaml).unwrap();
    let expected = Mix::of(&yaml, &[]).files();
    let url = format!("file://{}", file.display());
    let one_line = "{input: [examples/step_02], tokenizer_model: builtin, cut_sizes: [4, 8], seed: 5, \
                    sources: {key_facts_to_qa: {repeat: 1.5}}}";
    for recipe in [json.to_string(), one_line.to_owned(), file.display().to_string(), url] {
        assert_eq!(Mix::of(&recipe, &[]).files(), expected, "{recipe}");
    }
    let output = folder.path().join("out");
    let arguments = ["mix", "--output", output.to_str().unwrap()];
    assert_eq!(run_with(&[("KNOWLEDGE_MIXING_RECIPE", &yaml)], &arguments).code, 0);
    assert_eq!(test_support::outside::mix_files(&output), expected, "as a variable");
}

#[test]
fn one_line_of_yaml_is_a_recipe_not_a_location() {
    let variables = [("INPUT_URI", "examples/step_02"), ("TOKENIZER_MODEL", "builtin"), ("CUT_SIZES", "4")];
    for recipe in ["seed: 7", "seed: 7\n", "  seed: 7"] {
        assert_eq!(settings(&variables, &["--recipe", recipe])["seed"], 7, "{recipe:?}");
    }
    assert_eq!(run(&["recipe", "check", "recipes/seed 7.yaml"]).code, 66, "a location");
}

fn settings(variables: &[(&str, &str)], flags: &[&str]) -> Value {
    let ended = run_with(variables, &[&["plan", "--format", "json"], flags].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let plan: Value = serde_json::from_str(&ended.stdout).expect("the text is JSON");
    plan["manifest"]["settings"].clone()
}

#[test]
fn flags_override_the_recipe_and_the_recipe_overrides_variables() {
    let variables = [
        ("SEED", "1"),
        ("CUT_SIZES", "2"),
        ("QA_PER_DOC", "1"),
        ("INPUT_URI", "nowhere"),
        ("TOKENIZER_MODEL", "nowhere"),
        ("KNOWLEDGE_MIXING_SHUFFLE", "true"),
        ("KNOWLEDGE_MIXING_COLUMNS", "training"),
    ];
    let recipe = format!("{EXAMPLES}seed: 2\norder: natural\n");
    let by_recipe = settings(&variables, &["--recipe", &recipe]);
    assert_eq!(by_recipe["seed"], 2);
    assert_eq!(by_recipe["cut_sizes"], serde_json::json!([4, 8]));
    assert_eq!(by_recipe["order"], "natural");
    assert_eq!(by_recipe["qa_per_doc"], 1, "the recipe does not set it, so the variable counts");
    assert_eq!(by_recipe["columns"], "training");
    let flags = ["--recipe", &recipe, "--seed", "3", "--cut-sizes", "5", "--shuffle", "--qa-per-doc", "2"];
    let by_flags = settings(&variables, &flags);
    assert_eq!(by_flags["seed"], 3);
    assert_eq!(by_flags["cut_sizes"], serde_json::json!([5]));
    assert_eq!(by_flags["order"], "shuffle");
    assert_eq!(by_flags["qa_per_doc"], 2);
    // For the recipe itself, the flag overrides the variable.
    let other = format!("{EXAMPLES}seed: 9\n");
    assert_eq!(settings(&[("KNOWLEDGE_MIXING_RECIPE", &other)], &[])["seed"], 9);
    assert_eq!(settings(&[("KNOWLEDGE_MIXING_RECIPE", &other)], &["--recipe", &recipe])["seed"], 2);
}

#[test]
fn an_invalid_value_names_its_origin() {
    let ended = run(&["plan", "--recipe", EXAMPLES, "--seed", "minus"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("--seed") && ended.stderr.contains("minus"), "{}", ended.stderr);
    let ended = run(&["plan", "--recipe", &format!("{EXAMPLES}reasoning: a..b\n")]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("inline recipe:4:"), "{}", ended.stderr);
}

#[test]
fn check_lists_every_mistake_with_a_suggestion() {
    let ran = run(&["recipe", "check", "sed: 7\nqa_per_doc: many\ncut_sizes: [2, x]\n"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr);
}
