//! `recipe check`: every error with line and column.

use super::program::run;

/// The messages for an invalid recipe in a file named `recipe.yaml`.
fn check(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.yaml");
    std::fs::write(&path, text).unwrap();
    let ended = run(&["recipe", "check", path.to_str().unwrap()]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "");
    ended.stderr.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn errors_have_line_and_column() {
    let invalid = [
        "cut_sizes: [4, 8]\nsourcs:\n  extractive_summary:\n    repeat: 2\n",
        "sources:\n  extractive_summary:\n    repat: 2\n",
        "sources:\n  extractive_summary:\n    repeat: two\n",
        "sources:\n  extractive_sumary:\n    repeat: 2\n",
        "cut_sizes: [4, 0]\n",
        "cut_sizes: [4, 8\nseed: 1\n",
        "seed: 1\nseed: 2\n",
        "sources:\n  general:\n    kind: chat\n",
        "sources:\n  general:\n    kind: messages\n    share: 1.5\n",
        "sources:\n  general:\n    kind: messages\n    share: 0.1\n    repeat: 2\n",
        "sources:\n  general:\n    kind: messages\n    qa_per_doc: 2\n",
        "sources:\n  detailed_summary:\n    weight: 2\n",
        "sources:\n  detailed_summary:\n    repeat: 0.1234567\n",
        "budget:\n  tokens: 100M\n  samples: 20k\n",
        "budget:\n  tokens: 100X\n",
        "split:\n  validation: 1\n",
        "filter:\n  long_samples: keep\n",
        "order: random\n",
        "sources:\n  key_facts_to_qa:\n    where: []\n",
        "sources:\n  key_facts_to_qa:\n    where:\n      - {column: a, equals: b}\n      - {column: a, eqals: b}\n",
        "sources:\n  key_facts_to_qa:\n    where:\n      - {column: a, equals: b}\n      - {column: c, in: []}\n",
        "sources:\n  key_facts_to_qa:\n    where:\n      - {column: a, equals: b}\n      -\n",
        "sources:\n  key_facts_to_qa:\n    where: {column: '', equals: b}\n",
        "sources:\n  key_facts_to_qa:\n    where: {column: c, at_least: 3, at_most: 2}\n",
    ];
    let messages: String = invalid.iter().map(|text| format!("{text}=> {}\n", check(text))).collect();
    insta::assert_snapshot!(messages);
    for text in invalid {
        let first = check(text).lines().next().unwrap_or_default().to_owned();
        let position = first.split_once("recipe.yaml:").expect("cannot access the file").1;
        let mut numbers = position.split(':');
        let mut number = || numbers.next().and_then(|part| part.trim().parse::<usize>().ok());
        assert!(number().is_some() && number().is_some(), "line and column: {first}");
    }
}

#[test]
fn nested_mistakes_are_all_listed_with_suggestions() {
    let recipe = "\
sed: 7
cut_sizes: [2, x, 0]
columns: traning
formats: [messages, token]
sources:
  extractive_summary:
    repat: 2
    repeat: [2]
    unit: documents
  general: {kind: chat, share: 1.5, paths: [7, {a: 1}], enabled: 'yes'}
  detaild_summary: {weight: 0}
filter:
  max_tokns: 4
  long_samples: kep
  min_response_chars: 0
budget:
  tokns: 5M
  samples: many
  samples: 5
split: {validaton: 0.1}
measure: {tokens: 1}
seed: {a: 1}
";
    insta::assert_snapshot!(check(recipe));
}

/// A value that is wrong does not make another key look wrong.
#[test]
fn contradictions_are_listed_when_all_values_are_valid() {
    let recipe = |share: &str| {
        format!(
            "filter: {{long_samples: keep}}\nsources:\n  key_facts_to_qa: {{share: {share}, repeat: 2, unit: sample, weight: 1}}\n"
        )
    };
    let messages = check(&recipe("2"));
    assert_eq!(messages.matches("error: ").count(), 1, "{messages}");
    let messages = check(&recipe("0.1"));
    insta::assert_snapshot!(messages);
}

#[test]
fn valid_recipes_are_accepted() {
    for entry in std::fs::read_dir("examples/recipes").unwrap() {
        let path = entry.unwrap().path();
        let ended = run(&["recipe", "check", path.to_str().unwrap()]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stdout.ends_with(".yaml: the recipe is valid\n"), "{}", ended.stdout);
    }
    let inline = run(&["recipe", "check", "{seed: 7}"]);
    assert_eq!((inline.code, inline.stdout.as_str()), (0, "inline recipe: the recipe is valid\n"), "{}", inline.stderr);
    assert_eq!(run(&["recipe", "check", "nowhere.yaml"]).code, 66);
}

#[test]
fn the_example_is_a_valid_recipe_and_the_schema_is_json() {
    let example = run(&["recipe", "example"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.yaml");
    std::fs::write(&path, example.stdout).unwrap();
    assert_eq!(run(&["recipe", "check", path.to_str().unwrap()]).code, 0);
    let schema: serde_json::Value = serde_json::from_str(&run(&["recipe", "schema"]).stdout).expect("the text is JSON");
    assert_eq!(schema["title"], "knowledge-mixing recipe");
}

#[test]
fn an_invalid_recipe_fails_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let ended = run(&["mix", "--recipe", "sources: {x: {}}\n", "--output", output.to_str().unwrap()]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("inline recipe:1:"), "{}", ended.stderr);
    assert!(!output.exists());
}
