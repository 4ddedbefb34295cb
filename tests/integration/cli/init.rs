//! `init`: a recipe for what is in the input.

use super::Cases;
use insta::assert_snapshot;
use serde_json::json;
use test_support::program::Sandbox;
use test_support::rows::{document_row, example_rows, example_sandbox, fact_row, lines};

/// The example, with one row that cannot be trained on and one that is not readable, and with other folders.
fn sandbox() -> Sandbox {
    let sandbox = example_sandbox();
    let mut empty = fact_row(0, 9);
    empty["response"] = json!("");
    sandbox.write("step_02/key_facts_to_qa/more.jsonl", format!("{}{{}}\n", lines(&[empty])));
    let chat = json!({"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]});
    sandbox.write("step_02/general chats/a.jsonl", lines(&[chat.clone(), chat]));
    sandbox.write("step_02/more_summaries/a.jsonl", lines(&example_rows("extractive_summary")));
    sandbox.write("step_02/more_facts/a.jsonl", lines(&[fact_row(0, 0)]));
    sandbox.write("step_02/more_documents/a.jsonl", lines(&[document_row(0, 0)]));
    sandbox.write("step_02/prices/a.jsonl", "{\"price\": 1}\n");
    sandbox.write("step_02/training_mix/a.jsonl", "{}\n");
    sandbox.write("step_02/notes/readme.txt", "no rows");
    sandbox
}

/// Whether `recipe check` and `plan` take a recipe.
#[track_caller]
fn is_accepted(sandbox: &Sandbox, recipe: &str) {
    assert!(sandbox.run(&["recipe", "check", recipe]).succeeded().stdout.contains("is valid"));
    sandbox.run(&["plan", "--recipe", recipe]).succeeded();
}

#[test]
fn the_recipe_has_what_is_in_the_input_and_can_be_run() {
    let sandbox = sandbox();
    let ran = sandbox.run(&["init", "--input", "step_02"]).succeeded();
    let recipe = sandbox.read_text("recipe.yaml");
    assert_snapshot!(format!("{ran}\n--- recipe.yaml\n{recipe}"));
    is_accepted(&sandbox, "recipe.yaml");
    // Without the comment signs, the other sources are part of it.
    let (before, sources) = recipe.split_once("\nsources:\n").expect("the recipe has sources");
    let sources = sources.replace("\n  # ", "\n  ").replace("\n  prices:", "\n  # prices:");
    sandbox.write("all.yaml", format!("{before}\nsources:\n{sources}"));
    is_accepted(&sandbox, "all.yaml");
    let plan = sandbox.run(&["plan", "--recipe", "all.yaml"]).succeeded().stdout;
    assert!(["general_chats", "more_summaries", "more_facts", "more_documents"].iter().all(|name| plan.contains(name)));
}

#[test]
fn every_generation_of_the_generator_is_named() {
    let sandbox = Sandbox::new();
    let mut cases = Cases::default();
    for generation in ["0.6", "0.7", "0.9", "renamed"] {
        let fixtures = test_support::repository().join("tests/fixtures/step_02").join(generation);
        let input = fixtures.to_str().expect("the path is UTF-8");
        let recipe = sandbox.run(&["init", "--input", input, "-"]).succeeded().stdout;
        let (_, sources) = recipe.split_once("\nsources:\n").expect("the recipe has sources");
        cases.add(generation, sources.split("\n\n").next().expect("a part"));
        sandbox.write("recipe.yaml", recipe);
        is_accepted(&sandbox, "recipe.yaml");
    }
    assert_snapshot!(cases.0);
}

#[test]
fn an_input_without_known_sources_is_mixed_by_its_columns() {
    let sandbox = Sandbox::new();
    sandbox.write("input/first/a.jsonl", lines(&example_rows("extractive_summary")));
    sandbox.write("input/second/a.jsonl", lines(&[document_row(0, 0)]));
    let recipe = sandbox.run(&["init", "--input", "input", "--tokenizer-model", "builtin", "-"]).succeeded().stdout;
    assert_snapshot!(recipe);
    sandbox.write("recipe.yaml", recipe);
    is_accepted(&sandbox, "recipe.yaml");
}

#[test]
fn known_sources_of_documents_are_sources_and_other_documents_are_recognised() {
    let sandbox = example_sandbox();
    // As the generator leaves them before it makes questions.
    let documents = |source: &str| {
        let mut rows = example_rows(source);
        for row in &mut rows {
            let columns = row.as_object_mut().expect("a row is an object");
            columns.remove("question");
            columns.remove("response");
        }
        lines(&rows)
    };
    sandbox.write("cpt/extractive_summary_cpt/a.jsonl", documents("extractive_summary"));
    sandbox.write("cpt/detailed_summary_cpt/a.jsonl", documents("detailed_summary"));
    sandbox.write("cpt/key_facts_cpt/a.jsonl", "{\"document\": \"1. A fact.\", \"document_outline\": \"o\"}\n");
    sandbox.write("cpt/document_based_cpt/a.jsonl", documents("document_based_qa"));
    sandbox.write("cpt/texts/a.jsonl", "{\"document\": \"A text.\"}\n");
    let mut cases = Cases::default();
    for (case, inputs) in
        [("documents", &["--input", "cpt"][..]), ("pairs and documents", &["--input", "cpt", "--input", "step_02"])]
    {
        let ran = sandbox.run(&[&["init", "--force"], inputs].concat()).succeeded();
        let recipe = sandbox.read_text("recipe.yaml");
        let (_, sources) = recipe.split_once("\nsources:\n").expect("the recipe has sources");
        cases.add(case, &format!("{}{}", ran.stdout, sources.split("\n\n").next().expect("a part")));
        is_accepted(&sandbox, "recipe.yaml");
        let all = recipe.replace("\n  # ", "\n  ");
        sandbox.write("all.yaml", all);
        is_accepted(&sandbox, "all.yaml");
    }
    assert_snapshot!(cases.0);
}

#[test]
fn a_folder_of_several_kinds_becomes_sources_with_conditions() {
    let sandbox = Sandbox::new();
    let of_type = |mut rows: Vec<serde_json::Value>, value: &str| {
        rows.iter_mut().for_each(|row| row["dataset_type"] = json!(value));
        lines(&rows)
    };
    let mixed = [
        of_type(example_rows("extractive_summary"), "summary_extractive"),
        of_type(example_rows("detailed_summary"), "Detailed"),
        of_type(vec![fact_row(0, 0)], "summary_atomic_facts"),
        of_type(vec![fact_row(0, 1)], "summary_key_facts"),
        of_type(vec![document_row(0, 0)], "base_document"),
        of_type(example_rows("extractive_summary"), "summary_outline"),
    ];
    sandbox.write("input/mixed/a.jsonl", mixed.concat());
    let ran = sandbox.run(&["init", "--input", "input"]).succeeded();
    let recipe = sandbox.read_text("recipe.yaml");
    assert_snapshot!(format!("{}\n{recipe}", ran.stdout));
    is_accepted(&sandbox, "recipe.yaml");
    sandbox.write("all.yaml", recipe.replace("\n  # ", "\n  "));
    is_accepted(&sandbox, "all.yaml");
    // A folder of its own comes first.
    sandbox.write("input/key_facts_to_qa/a.jsonl", lines(&[fact_row(1, 0)]));
    let printed = sandbox.run(&["init", "--input", "input", "-"]).succeeded().stdout;
    assert!(printed.contains("  key_facts_to_qa: {}") && printed.contains("\n  # summary_atomic_facts:"), "{printed}");
}

#[test]
fn a_file_is_replaced_only_if_that_is_asked_for() {
    let sandbox = example_sandbox();
    sandbox.write("recipe.yaml", "seed: 7\n");
    let ran = sandbox.run(&["init", "--input", "step_02"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran}");
    assert_eq!(sandbox.read_text("recipe.yaml"), "seed: 7\n");
    assert_snapshot!(ran.message(), @r"
    exit 2
    error: recipe.yaml: the file exists
      hint: pass another name, - to print the recipe, or --force to replace the file
    ");
    sandbox.run(&["init", "--input", "step_02", "--force"]).succeeded();
    let written = sandbox.read_text("recipe.yaml");
    assert!(written.contains("cut_sizes: [2, 3]"), "{written}");
    let printed = sandbox.run(&["init", "--input", "step_02", "-"]).succeeded().stdout;
    assert_eq!(printed, written.replace("--recipe recipe.yaml", "--recipe FILE"));
    // A recipe wins over the environment, so it repeats what that says.
    let variables = [("TOKENIZER_MODEL", "owner/model"), ("INPUT_URI", "step_02")];
    let printed = sandbox.run_with(&["init", "-"], &variables).succeeded().stdout;
    assert!(printed.contains("tokenizer_model: \"owner/model\""), "{printed}");
}

#[test]
fn wrong_use_is_explained() {
    let sandbox = example_sandbox();
    sandbox.write("bad/key_facts_to_qa/gen.jsonl", "not JSON\n");
    let mut cases = Cases::default();
    for (code, arguments) in [
        (2, &["--input", "step_02", "s3://bucket/recipe.yaml"][..]),
        (2, &["--input", "step_02", "--tokenizer-model", "ftp://host/model"]),
        (2, &["--input="]),
        (3, &["--input", "bad"]),
        (66, &["--input", "nowhere"]),
        (66, &["--input", "."]),
        (66, &[]),
        (74, &["--input", "step_02", "no/such/folder/recipe.yaml"]),
    ] {
        let ran = sandbox.run(&[&["init"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{arguments:?}: {ran}");
        cases.add(&arguments.join(" "), &ran.message());
    }
    assert_snapshot!(cases.0);
}
