use super::*;
use crate::cli::SETTINGS;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn resolve(arguments: SettingArguments, recipe: &str, variables: &[(&str, &str)]) -> Result<Settings> {
    let recipe = (!recipe.is_empty()).then(|| Recipe::parse(recipe, "recipe.yaml").unwrap());
    Settings::resolve(&arguments, recipe, &environment(variables))
}

#[test]
fn without_anything_all_settings_have_their_defaults() {
    let settings = resolve(SettingArguments::default(), "", &[]).unwrap();
    assert_eq!(settings.cut_sizes, [5, 50]);
    assert_eq!((settings.qa_per_doc, settings.seed, settings.save_gpt_oss_format), (3, 42, false));
    assert_eq!(settings.tokenizer_model, TokenizerModel::Hub("RedHatAI/Llama-3.1-8B-Instruct".into()));
    assert_eq!(settings.inputs, [Location::parse("output/step_02").unwrap()]);
    assert_eq!(settings.output, Location::parse("output/step_03").unwrap());
    assert!(!settings.inputs_given && settings.threads >= 1);
}

#[test]
fn a_flag_wins_over_the_recipe_the_recipe_over_a_variable_a_variable_over_the_default() {
    let seed = |flag: Option<&str>, recipe, variables: &[(&str, &str)]| {
        let arguments = SettingArguments { seed: flag.map(str::to_owned), ..SettingArguments::default() };
        resolve(arguments, recipe, variables).unwrap().seed
    };
    assert_eq!(seed(Some("1"), "seed: 2", &[("SEED", "3")]), 1);
    assert_eq!(seed(None, "seed: 2", &[("SEED", "3")]), 2);
    assert_eq!(seed(None, "qa_per_doc: 2", &[("SEED", "3")]), 3);
    assert_eq!(seed(None, "", &[]), 42);
}

#[test]
fn the_first_of_several_variables_wins() {
    let both = [("TOKENIZER_MODEL", "builtin"), ("TOKENIZER_MODEL_NAME", "a/b")];
    let model =
        |variables: &[(&str, &str)]| resolve(SettingArguments::default(), "", variables).unwrap().tokenizer_model;
    assert_eq!(model(&both), TokenizerModel::Builtin);
    assert_eq!(model(&both[1..]), TokenizerModel::Hub("a/b".into()));
}

#[test]
fn a_folder_that_exists_wins_over_a_repository_id() {
    let model =
        |value: &str| resolve(SettingArguments::default(), "", &[("TOKENIZER_MODEL", value)]).unwrap().tokenizer_model;
    assert!(matches!(model("assets/builtin-tokenizer"), TokenizerModel::Location(_)));
    assert!(matches!(model("assets/no-such-tokenizer"), TokenizerModel::Hub(_)));
    assert!(matches!(model("owner/name@main"), TokenizerModel::Hub(_)));
    assert!(matches!(model("./no/such/folder"), TokenizerModel::Location(_)));
    assert!(matches!(model("s3://bucket/tokenizer"), TokenizerModel::Location(_)));
}

#[test]
fn a_value_that_is_not_accepted_names_flag_or_variable_and_what_is() {
    let flag = SettingArguments { cut_sizes: Some("5,,6".into()), ..SettingArguments::default() };
    insta::assert_snapshot!(resolve(flag, "", &[]).unwrap_err(), @"--cut-sizes: `5,,6` is not accepted: give whole numbers from 1 to 1000000, separated by commas (5,50), or a JSON list of them ([5, 50])");
    insta::assert_snapshot!(resolve(SettingArguments::default(), "", &[("QA_PER_DOC", "0")]).unwrap_err(), @"QA_PER_DOC (also --qa-per-doc): `0` is not accepted: give a whole number from 1 to 4294967295");
    insta::assert_snapshot!(resolve(SettingArguments::default(), "", &[("KNOWLEDGE_MIXING_COLUMNS", "all")]).unwrap_err(), @"KNOWLEDGE_MIXING_COLUMNS (also --columns): `all` is not accepted: give full or training");
    insta::assert_snapshot!(resolve(SettingArguments::default(), "", &[("SAVE_GPT_OSS_FORMAT", "yes")]).unwrap_err(), @"SAVE_GPT_OSS_FORMAT (also --save-gpt-oss-format): `yes` is not accepted: give true or false");
}

/// The README's table names every setting with its variables and its default, and nothing else.
#[test]
fn the_readme_knows_every_setting() {
    let readme = include_str!("../../README.md");
    let table = readme.split("<!-- settings:").nth(1).unwrap();
    let rows: Vec<[String; 3]> = table
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| {
            let mut cells =
                line.split('|').skip(1).map(|cell| cell.replace(['`'], "").replace("[=BOOL]", "").trim().to_owned());
            std::array::from_fn(|_| cells.next().unwrap())
        })
        .collect();
    let mut expected: Vec<[String; 3]> = SETTINGS
        .iter()
        .map(|info| {
            let default = info.default.unwrap_or_default().trim_matches(['(', ')']);
            [info.flag(), info.env.join(", "), default.to_owned()]
        })
        .collect();
    let mut there = rows;
    there.sort();
    expected.sort();
    assert_eq!(there, expected);
}
