//! Precedence of the values of a setting.

use serde_json::json;
use test_support::program::Sandbox;
use test_support::rows::{example_sandbox, manifest, mix_and};

/// The manifest of a run.
fn settings(sandbox: &Sandbox, arguments: &[&str], environment: &[(&str, &str)]) -> serde_json::Value {
    let base = ["mix", "--input", "step_02", "--output", "out"];
    sandbox.run_with(&[&base[..], arguments].concat(), environment).succeeded();
    manifest(&sandbox.tree("out"))
}

#[test]
fn flags_override_variables_and_variables_override_the_env_file() {
    let sandbox = example_sandbox();
    sandbox.write(".env", "# what the notebook reads\nexport SEED=1\nQA_PER_DOC='1'\nCUT_SIZES=\"[1.0, 2.0]\"\nTOKENIZER_MODEL=builtin\nSAVE_GPT_OSS_FORMAT=True\n");
    let from_file = settings(&sandbox, &[], &[]);
    assert_eq!(from_file["settings"]["seed"], 1);
    assert_eq!(from_file["settings"]["qa_per_doc"], 1);
    assert_eq!(from_file["settings"]["cut_sizes"], json!([1, 2]));
    assert_eq!(from_file["settings"]["save_gpt_oss_format"], true);
    let environment = [("SEED", "2"), ("CUT_SIZES", "2")];
    let from_environment = settings(&sandbox, &[], &environment);
    assert_eq!(from_environment["settings"]["seed"], 2);
    assert_eq!(from_environment["settings"]["cut_sizes"], json!([2]));
    assert_eq!(from_environment["settings"]["qa_per_doc"], 1);
    let from_flags =
        settings(&sandbox, &["--seed", "4", "--qa-per-doc=2", "--save-gpt-oss-format=false"], &environment);
    assert_eq!(from_flags["settings"]["seed"], 4);
    assert_eq!(from_flags["settings"]["qa_per_doc"], 2);
    assert_eq!(from_flags["settings"]["save_gpt_oss_format"], false);
    assert_eq!(from_flags["settings"]["cut_sizes"], json!([2]));
}

#[test]
fn the_older_tokenizer_variable_wins() {
    let sandbox = example_sandbox();
    let both = [("TOKENIZER_MODEL", "builtin"), ("TOKENIZER_MODEL_NAME", "nowhere"), ("CUT_SIZES", "2")];
    assert_eq!(settings(&sandbox, &[], &both)["tokenizer"]["name"], "builtin");
    let newer = [("TOKENIZER_MODEL_NAME", "builtin"), ("CUT_SIZES", "2")];
    assert_eq!(settings(&sandbox, &[], &newer)["tokenizer"]["name"], "builtin");
}

#[test]
fn an_existing_folder_wins_over_a_repository_of_that_name() {
    let sandbox = example_sandbox();
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        sandbox.write(&format!("acme/lighthouse-1b/{name}"), test_support::builtin_tokenizer(name));
    }
    let made = settings(&sandbox, &["--tokenizer-model", "acme/lighthouse-1b", "--cut-sizes", "2"], &[]);
    assert_eq!(made["tokenizer"]["name"], "lighthouse-1b");
    // The folder holds the built-in tokenizer, so the counts are the same.
    let builtin = settings(&sandbox, &["--tokenizer-model", "builtin", "--cut-sizes", "2"], &[]);
    assert_eq!(made["cuts"], builtin["cuts"]);
    assert_eq!(made["tokenizer"]["digest"], builtin["tokenizer"]["digest"]);
}

#[test]
fn input_and_output_can_be_variables() {
    let sandbox = example_sandbox();
    let environment =
        [("INPUT_URI", "step_02"), ("OUTPUT_URI", "elsewhere"), ("TOKENIZER_MODEL", "builtin"), ("CUT_SIZES", "2")];
    sandbox.run_with(&["mix"], &environment).succeeded();
    assert!(sandbox.path("elsewhere/manifest.json").exists());
    // The defaults are the folders of the notebook.
    let sandbox = Sandbox::new();
    sandbox.write_tree("output/step_02", &test_support::rows::example());
    sandbox.run(&["mix", "--tokenizer-model", "builtin", "--cut-sizes", "2"]).succeeded();
    assert!(sandbox.path("output/step_03/manifest.json").exists());
}

#[test]
fn a_value_can_be_read_from_a_file() {
    let sandbox = example_sandbox();
    sandbox.write("cuts.txt", "1,2\n");
    let made = settings(&sandbox, &["--tokenizer-model", "builtin", "--cut-sizes=@cuts.txt"], &[]);
    assert_eq!(made["settings"]["cut_sizes"], json!([1, 2]));
}

#[test]
fn settings_of_the_environment_and_unknown_variables_are_named() {
    let sandbox = example_sandbox();
    let variables = [("SEED", "7"), ("KNOWLEDGE_MIXING_COLUM", "full"), ("KNOWLEDGE_MIXING_SERVICE_HOST", "10.0.0.1")];
    let ran = sandbox.run_with(&mix_and(&[]), &variables).succeeded();
    let expected = "warning: KNOWLEDGE_MIXING_COLUM: unknown variable, it has no effect; did you mean KNOWLEDGE_MIXING_COLUMNS?\n\
                    from the environment: seed 7 (SEED)\n";
    assert!(ran.stderr.starts_with(expected), "{ran}");
    assert!(!ran.stderr.contains("SERVICE_HOST"), "{ran}");
}
