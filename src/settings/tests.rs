//! How settings are resolved, and that the table is consistent.

use super::*;
use crate::error::Result;
use crate::recipe::Order;
use crate::storage::Location;
use crate::tokens::TokenizerModel;
use std::collections::{BTreeMap, BTreeSet};

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs {
        values.entry((*name).to_owned()).or_default().push((*value).to_owned());
    }
    values
}

fn resolve(flags: &[(&str, &str)], recipe: &str, variables: &[(&str, &str)]) -> Result<Settings> {
    let recipe = (!recipe.is_empty()).then(|| parse_recipe(recipe, "recipe.yaml").unwrap());
    Settings::resolve(&SettingValues::of_flags(values(flags)), recipe, &environment(variables))
}

fn error(flags: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    resolve(flags, "", variables).unwrap_err().to_string()
}

#[test]
fn every_setting_has_its_default() {
    let settings = resolve(&[], "", &[]).unwrap();
    assert_eq!(settings.cut_sizes, [5, 50]);
    assert_eq!((settings.qa_per_doc, settings.seed, settings.save_gpt_oss_format), (3, 42, false));
    assert_eq!(settings.tokenizer_model, TokenizerModel::Hub("RedHatAI/Llama-3.1-8B-Instruct".into()));
    assert_eq!(settings.inputs, [Location::parse("output/step_02").unwrap()]);
    assert_eq!(settings.output, Location::parse("output/step_03").unwrap());
    assert_eq!((settings.order, settings.select_cut), (Order::Natural, None));
    assert!(!settings.inputs_given && settings.source_inputs.is_empty() && settings.threads >= 1);
}

#[test]
fn the_defaults_of_storage_are_those_of_the_table() {
    let run = RunSettings::of(&SettingValues::default(), &environment(&[])).unwrap();
    assert_eq!(format!("{:?}", run.storage()), format!("{:?}", crate::storage::StorageOptions::default()));
}

#[test]
fn a_flag_wins_over_the_recipe_the_recipe_over_a_variable_and_a_variable_over_the_default() {
    let seed =
        |flags: &[(&str, &str)], recipe, variables: &[(&str, &str)]| resolve(flags, recipe, variables).unwrap().seed;
    assert_eq!(seed(&[("seed", "1")], "seed: 2", &[("SEED", "3")]), 1);
    assert_eq!(seed(&[], "seed: 2", &[("SEED", "3")]), 2);
    assert_eq!(seed(&[], "qa_per_doc: 2", &[("SEED", "3")]), 3);
    assert_eq!(seed(&[], "", &[]), 42);
}

/// The notebooks name one folder for everything, and the model to train.
#[test]
fn the_variables_of_the_notebooks_come_after_ours() {
    let places = |variables: &[(&str, &str)]| {
        let settings = resolve(&[], "{}", variables).unwrap();
        (settings.inputs[0].to_string(), settings.output.to_string(), settings.inputs_given)
    };
    let folder = ("OUTPUT_DATA_FOLDER", "data/");
    assert_eq!(places(&[folder]), ("data/".into(), "data/training_mix".into(), true));
    assert_eq!(places(&[folder, ("INPUT_URI", "in")]), ("in".into(), "data/training_mix".into(), true));
    assert_eq!(places(&[folder, ("OUTPUT_URI", "out")]), ("data/".into(), "out".into(), true));
    assert_eq!(places(&[("OUTPUT_DATA_FOLDER", " ")]).1, "output/step_03");
    let model = |variables: &[(&str, &str)]| resolve(&[], "{}", variables).unwrap().tokenizer_model.clone();
    let student = ("STUDENT_MODEL", "a/student");
    assert_eq!(model(&[student]), TokenizerModel::Hub("a/student".into()));
    assert_eq!(model(&[student, ("TOKENIZER_MODEL_NAME", "a/name")]), TokenizerModel::Hub("a/name".into()));
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let seed = |flag, recipe, variable| resolve(&[("seed", flag)], recipe, &[("SEED", variable)]).unwrap().seed;
    assert_eq!(seed("", "seed: 2", "3"), 2);
    assert_eq!(seed(" ", "seed: ''", "3"), 3);
    assert_eq!(seed("", "seed:", ""), 42);
    // Every setting, in every place.
    let flags: Vec<(&str, &str)> = all().filter(|s| !s.refuses_empty_flag).map(|s| (s.name, "")).collect();
    let variables: Vec<(&str, &str)> = all().flat_map(|s| s.env).map(|variable| (*variable, "")).collect();
    let recipe: String = all().filter_map(Setting::recipe_key).map(|(key, _)| format!("{key}: ''\n")).collect();
    let (empty, absent) = (resolve(&flags, &recipe, &variables).unwrap(), resolve(&[], "{}", &[]).unwrap());
    let shown = |settings: &Settings| format!("{:?}", **settings);
    assert_eq!(shown(&empty), shown(&absent));
    assert!(!empty.inputs_given);
    // Also beside others.
    let source = |values: &[(&str, &str)]| resolve(values, "{}", &[]).unwrap().source_inputs.len();
    assert_eq!(source(&[("source_input", ""), ("source_input", "a=b")]), 1);
}

#[test]
fn an_empty_input_or_output_flag_is_an_error() {
    for name in ["input", "output"] {
        let message = error(&[(name, "")], &[]);
        assert!(message.starts_with(&format!("--{name}: empty value: expected a folder or URL")), "{message}");
    }
    assert!(resolve(&[("input", "a"), ("input", "")], "", &[]).is_err());
    assert!(resolve(&[], "", &[("OUTPUT_URI", ""), ("INPUT_URI", "")]).is_ok());
}

#[test]
fn the_first_variable_that_is_set_wins() {
    let model = |variables: &[(&str, &str)]| resolve(&[], "", variables).unwrap().tokenizer_model.clone();
    let both = [("TOKENIZER_MODEL", "builtin"), ("TOKENIZER_MODEL_NAME", "a/b")];
    assert_eq!(model(&both), TokenizerModel::Builtin);
    assert_eq!(model(&both[1..]), TokenizerModel::Hub("a/b".into()));
    assert_eq!(model(&[("TOKENIZER_MODEL", ""), both[1]]), TokenizerModel::Hub("a/b".into()));
}

#[test]
fn an_existing_folder_wins_over_a_repository_id() {
    let model = |value: &str| resolve(&[("tokenizer_model", value)], "", &[]).unwrap().tokenizer_model.clone();
    assert!(matches!(model("assets/builtin-tokenizer"), TokenizerModel::Location(_)));
    assert!(matches!(model("assets/no-such-tokenizer"), TokenizerModel::Hub(_)));
    assert!(matches!(model("owner/name@main"), TokenizerModel::Hub(_)));
    assert!(matches!(model("name"), TokenizerModel::Location(_)));
    assert!(matches!(model("./no/such/folder"), TokenizerModel::Location(_)));
    assert!(matches!(model("s3://bucket/tokenizer"), TokenizerModel::Location(_)));
}

#[test]
fn inputs_and_order_can_be_set_by_flag_and_by_recipe() {
    let recipe = "input: [a, b]\norder: shuffle";
    let settings = resolve(&[], recipe, &[("INPUT_URI", "c")]).unwrap();
    assert_eq!(settings.inputs, [Location::local("a"), Location::local("b")]);
    assert!(settings.inputs_given);
    assert_eq!(settings.order, Order::Shuffle);
    assert_eq!(resolve(&[("shuffle", "false")], recipe, &[]).unwrap().order, Order::Natural);
    assert_eq!(resolve(&[("shuffle", "TRUE")], "", &[]).unwrap().order, Order::Shuffle);
    assert!(resolve(&[("shuffle", "natural")], "", &[]).is_err());
}

#[test]
fn an_invalid_value_names_where_it_is_from_and_what_was_expected() {
    let parameters = SettingValues::of_parameters(values(&[("input", "nowhere://x")]));
    let errors = [
        error(&[("cut_sizes", "5,,6")], &[]),
        error(&[("columns", "some")], &[]),
        error(&[("source_input", "general")], &[]),
        error(&[("output_parameters", "s3://b/x")], &[]),
        error(&[("output", "")], &[]),
        error(&[], &[("QA_PER_DOC", "0")]),
        error(&[], &[("KNOWLEDGE_MIXING_COLUMNS", "all")]),
        error(&[], &[("SAVE_GPT_OSS_FORMAT", "yes")]),
        error(&[], &[("REASONING", "a..b")]),
        Settings::resolve(&parameters, None, &environment(&[])).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!("errors", errors.join("\n"));
}

#[test]
fn an_invalid_setting_in_a_recipe_names_line_and_column() {
    let cases = [
        "cut_size: [5]",
        "cut_sizes: [5, 0]",
        "cut_sizes: []",
        "cut_sizes:\n  - 5\n  - x",
        "cut_sizes: -1",
        "cut_sizes: {a: 1}",
        "cut_sizes: [[5]]",
        "qa_per_doc: 0",
        "seed: 9007199254740992",
        "seed: [1, 2]",
        "order: random",
        "order: true",
        "columns: [full, training]",
        "save_gpt_oss_format: maybe",
        "seed: 1\nseed: 2",
        "input: []",
        "input: ['nowhere://x']",
        "shuffle: true",
        "\tx: 1",
    ];
    // The list of keys grows with every setting.
    let keys: Vec<&str> = all().filter_map(Setting::recipe_key).map(|(key, _)| key).collect();
    let error = |case: &&str| {
        let error = parse_recipe(case, "recipe.yaml").unwrap_err().to_string();
        format!("{case}\n  => {}\n", error.replace(&keys.join(", "), "[settings]"))
    };
    insta::assert_snapshot!(cases.iter().map(error).collect::<Vec<_>>().join("\n"));
}

#[test]
fn numbers_in_a_recipe_can_be_written_as_doubles_and_lists_as_text() {
    let recipe = r#"{"cut_sizes": [5.0, 50.0], "qa_per_doc": 3.0, "seed": 9007199254740991, "shuffle": null}"#;
    assert!(parse_recipe(recipe, "r").is_err(), "`shuffle` is not the key of a recipe");
    let settings = resolve(&[], &recipe.replace("shuffle", "order"), &[]).unwrap();
    assert_eq!(settings.cut_sizes, [5, 50]);
    assert_eq!((settings.qa_per_doc, settings.seed), (3, 9_007_199_254_740_991));
    for text in ["cut_sizes: 5", "cut_sizes: '5, 50'", "seed: 1e3", "cut_sizes: null", "input: output/step_02"] {
        assert!(parse_recipe(text, "r").is_ok(), "{text}");
    }
}

#[test]
fn the_schema_of_recipes_describes_every_setting() {
    let schema: serde_json::Value = serde_json::from_str(&recipe_schema()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema.get("required").is_none());
    for (key, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{key}: {property}");
    }
    let of_each_kind = ["input", "cut_sizes", "seed", "save_gpt_oss_format", "reasoning", "order"];
    let properties = of_each_kind.map(|key| (key, &schema["properties"][key]));
    insta::assert_snapshot!("recipe_schema", format!("{:#}", serde_json::json!(properties)));
}

#[test]
fn the_example_recipe_and_every_recipe_in_the_examples_are_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/recipes");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let recipe = parse_recipe(&text, &path.display().to_string()).unwrap();
        let settings = Settings::resolve(&SettingValues::default(), Some(recipe), &environment(&[])).unwrap();
        assert_eq!(settings.cut_sizes, [4, 8], "{}", path.display());
        count += 1;
    }
    assert!(count >= 11, "{count}");
}

#[test]
fn the_table_is_consistent() {
    let unique = |names: Vec<&str>| assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    unique(all().map(|setting| setting.name).collect());
    unique(all().flat_map(|setting| setting.env.iter().copied()).collect());
    unique(all().filter_map(|setting| setting.kfp).map(|(name, _)| name).collect());
    unique(all().filter_map(Setting::recipe_key).map(|(key, _)| key).collect());
    for setting in all() {
        let help = setting.help();
        assert!(!help.is_empty() && help.len() <= 100, "{}: {help}", setting.name);
        assert!(!setting.heading.is_empty() && !setting.value_name.is_empty(), "{}", setting.name);
    }
}
