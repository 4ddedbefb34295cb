//! The arguments as people and engines give them.

use super::*;
use std::collections::BTreeSet;

fn words(arguments: &[&str]) -> Vec<OsString> {
    std::iter::once("knowledge-mixing").chain(arguments.iter().copied()).map(OsString::from).collect()
}

fn mix(arguments: &[&str]) -> SettingArguments {
    match parse(words(arguments)).unwrap().command {
        Command::Mix(settings) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
}

#[test]
fn every_setting_has_a_flag_and_every_flag_a_setting() {
    let command = command();
    let flags: BTreeSet<_> =
        command.find_subcommand("mix").unwrap().get_arguments().map(|argument| argument.get_id().to_string()).collect();
    let settings: BTreeSet<_> = SETTINGS.iter().map(|info| info.name.to_string()).collect();
    assert_eq!(flags, settings);
}

#[test]
fn no_variable_serves_two_settings() {
    let all: Vec<_> = SETTINGS.iter().flat_map(|info| info.env).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn what_is_not_given_is_absent() {
    assert_eq!(mix(&["mix"]), SettingArguments::default());
}

#[test]
fn a_switch_takes_a_value_only_with_an_equals_sign() {
    assert_eq!(mix(&["mix", "--shuffle"]).shuffle.as_deref(), Some("true"));
    assert_eq!(mix(&["mix", "--shuffle=No"]).shuffle.as_deref(), Some("No"));
    assert!(matches!(parse(words(&["mix", "--shuffle", "no"])), Err(Stop::Clap(_))));
}

#[test]
fn values_that_look_like_flags_reach_the_check_that_explains_them() {
    assert_eq!(mix(&["mix", "--seed", "-1", "--cut-sizes", "-1"]).seed.as_deref(), Some("-1"));
    assert_eq!(mix(&["mix", "--cut-sizes="]).cut_sizes.as_deref(), Some(""));
}

#[test]
fn help_names_variable_default_and_choices() {
    let mut command = command();
    let help = command.find_subcommand_mut("mix").unwrap().render_help().to_string();
    let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "[env: TOKENIZER_MODEL, TOKENIZER_MODEL_NAME] [default: RedHatAI/Llama-3.1-8B-Instruct]",
        "[env: CUT_SIZES] [default: 5,50]",
        "[default: as many as the cgroup allows]",
        "[possible values: none, gzip, zstd]",
        "Examples: knowledge-mixing mix --input",
    ] {
        assert!(flat.contains(part), "{part} is not in\n{help}");
    }
}

#[test]
fn the_long_help_documents_the_exit_codes_and_none_is_argos() {
    insta::assert_snapshot!(exit_codes_help(), @r"
    Exit codes:
        0  the mix is whole
        2  the command line, a variable or a recipe is wrong
        3  the input cannot be used as it is
        4  no cut that was asked for is feasible
       66  an input, a tokenizer or a template is not there
       69  a storage service cannot be reached: worth a retry
       70  a bug of this program
       74  reading or writing failed
       75  another run is at work on the same output: try again
      130  ended by SIGINT
      143  ended by SIGTERM
    ");
    let mut command = command();
    let help = command.render_long_help().to_string();
    assert!(help.contains("Exit codes:"), "{help}");
    let help = command.find_subcommand_mut("mix").unwrap().render_long_help().to_string();
    assert!(help.contains("Exit codes:") && help.contains("Examples:"), "{help}");
}

#[test]
fn files_stand_in_for_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cuts");
    std::fs::write(&file, "5,10\n").unwrap();
    let path = file.display();
    for arguments in [
        vec!["mix".to_string(), "--cut-sizes".to_string(), format!("@{path}")],
        vec!["mix".to_string(), format!("--cut-sizes=@{path}")],
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(mix(&arguments).cut_sizes.as_deref(), Some("5,10"));
    }
    std::fs::write(&file, "--cut-sizes=7").unwrap();
    assert_eq!(mix(&["mix", &format!("@{path}")]).cut_sizes.as_deref(), Some("7"), "Argo replaces whole arguments");
    assert_eq!(mix(&["mix", "--reasoning", "@@odd"]).reasoning.as_deref(), Some("@odd"));
    assert_eq!(mix(&["mix", "--tokenizer-model=repo/name@main"]).tokenizer_model.as_deref(), Some("repo/name@main"));
    match parse(words(&["mix", "--recipe", "@/no/such/file"])) {
        Err(Stop::Error(error)) => {
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().starts_with("/no/such/file: cannot read the file"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn recipes_are_told_from_their_places() {
    for inline in ["a: 1\nb: 2", "seed: 7", "{\"sources\": {}}", "  {}"] {
        assert!(is_inline_recipe(inline), "{inline}");
    }
    for place in ["recipe.yaml", "s3://b/recipe.yaml", "recipe.yaml\n", "C:/x"] {
        assert!(!is_inline_recipe(place), "{place}");
    }
}

#[test]
fn an_engines_values_pass_the_same_parser() {
    let values = |name: &str, value: &str| BTreeMap::from([(name.to_string(), vec![value.to_string()])]);
    let settings = SettingArguments::from_values(&values("cut_sizes", "-5,x=1")).unwrap();
    assert_eq!(settings.cut_sizes.as_deref(), Some("-5,x=1"));
    let error = SettingArguments::from_values(&values("columns", "some")).unwrap_err();
    insta::assert_snapshot!(error.line(), @"invalid value 'some' for '--columns <COLUMNS>' [possible values: full, training]");
}
