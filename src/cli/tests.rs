//! Command lines of people and engines.

use super::*;
use crate::error::ErrorKind;
use crate::settings::{self, Environment, RunSettings, Settings};

fn words(arguments: &[&str]) -> Vec<OsString> {
    std::iter::once("knowledge-mixing").chain(arguments.iter().copied()).map(OsString::from).collect()
}

fn mix(arguments: &[&str]) -> SettingValues {
    match parse(words(arguments)).unwrap().command {
        Command::Mix(arguments) => arguments.settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
}

#[test]
fn a_flag_that_is_not_given_is_absent() {
    assert_eq!(mix(&["mix"]), SettingValues::default());
}

#[test]
fn a_switch_has_a_value_only_after_an_equals_sign() {
    assert_eq!(mix(&["mix", "--shuffle"]).first("shuffle"), Some("true"));
    assert_eq!(mix(&["mix", "--shuffle=No"]).first("shuffle"), Some("No"));
    assert!(matches!(parse(words(&["mix", "--shuffle", "no"])), Err(Stop::Clap(_))));
}

#[test]
fn a_repeatable_flag_keeps_all_values_in_order() {
    let given = mix(&["mix", "--input", "b", "--input", "a"]);
    assert_eq!(given.get("input").unwrap(), ["b", "a"]);
    assert!(matches!(parse(words(&["mix", "--seed", "1", "--seed", "2"])), Err(Stop::Clap(_))));
}

#[test]
fn values_that_look_like_flags_and_empty_values_reach_the_check_of_settings() {
    assert_eq!(mix(&["mix", "--seed", "-1", "--cut-sizes", "-1"]).first("seed"), Some("-1"));
    for flag in ["--cut-sizes=", "--columns=", "--input=", "--seed=", "--shuffle=", "--fail-on=", "--recipe="] {
        let name = flag.trim_matches(['-', '=']).replace('-', "_");
        assert_eq!(mix(&["mix", flag]).first(&name), Some(""));
    }
    assert_eq!(mix(&["mix", "--columns", "some"]).first("columns"), Some("some"));
}

#[test]
fn help_shows_variable_default_and_choices() {
    let mut command = command();
    let help = command.find_subcommand_mut("mix").unwrap().render_help().to_string();
    let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "[env: TOKENIZER_MODEL, TOKENIZER_MODEL_NAME, STUDENT_MODEL] [default: RedHatAI/Llama-3.1-8B-Instruct]",
        "[env: CUT_SIZES] [default: 5,50]",
        "[default: the number of CPUs that the cgroup allows]",
        "[possible values: none, gzip, zstd]",
        "Examples: knowledge-mixing mix --input",
    ] {
        assert!(flat.contains(part), "`{part}` not found in\n{help}");
    }
}

/// What the settings of a sub-command look like if these variables are set.
fn resolved(command: &Command, environment: &Environment) -> String {
    let run = |given: &SettingValues| format!("{:?}", RunSettings::of(given, environment));
    let all = |given: &SettingValues| {
        let recipe = settings::recipe_argument(given, environment);
        format!("{:?} {recipe:?} {}", Settings::resolve(given, None, environment), run(given))
    };
    match command {
        Command::Mix(arguments) => all(&arguments.settings),
        Command::Plan(arguments) => all(&arguments.settings),
        Command::Verify(arguments) => run(&arguments.run.0),
        Command::Diff(arguments) => run(&arguments.run.0),
        Command::Clean(arguments) => run(&arguments.run.0),
        _ => String::new(),
    }
}

#[test]
fn a_sub_command_reads_every_variable_that_its_help_shows() {
    for line in [
        &["mix"][..],
        &["plan"],
        &["clean", "x"],
        &["diff", "x", "y"],
        &["component"],
        &["kfp-step", "--executor-input", "{}"],
        &["recipe", "check", "x"],
        &["recipe", "schema"],
        &["recipe", "example"],
    ] {
        let parsed = parse(words(line)).unwrap().command;
        let names = if line[0] == "recipe" { 2 } else { 1 };
        let mut root = command();
        let sub = line[..names].iter().fold(&mut root, |sub, name| sub.find_subcommand_mut(name).unwrap());
        for argument in sub.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let flag = argument.get_long().map(|long| format!("--{long}"));
            let Some(setting) = settings::all().find(|setting| Some(setting.flag()) == flag) else {
                assert!(!help.contains("[env:") && !help.contains("[default:"), "{line:?}: {help}");
                continue;
            };
            let default = setting.shown_default().map(|default| format!("[default: {default}]"));
            assert_eq!(help.contains("[default:"), default.is_some(), "{line:?}: {help}");
            assert!(default.is_none_or(|default| help.ends_with(&default)), "{line:?}: {help}");
            assert_eq!(help.contains("[env:"), !setting.env.is_empty(), "{line:?}: {help}");
            for variable in setting.env {
                assert!(help.contains(variable), "{line:?}: {help}");
                let set = Environment::from([((*variable).to_owned(), "17".to_owned())]);
                let (with, without) = (resolved(&parsed, &set), resolved(&parsed, &Environment::new()));
                assert_ne!(with, without, "{line:?} does not read {variable}");
            }
        }
    }
}

#[test]
fn the_long_help_lists_the_exit_codes_without_those_of_argo() {
    insta::assert_snapshot!(exit_codes_help(), @r"
    Exit codes:
        0  success; diff also exits with 0 if the mixes differ
        1  diff --exit-code: the mixes differ
        2  invalid command line, variable or recipe; a file of somebody else is in the way
        3  invalid data: rows, tokenizer, chat template or manifest; a recipe's shortfall; a mix that differs from its manifest
        4  a requested or selected cut cannot be written
       66  an input, recipe, tokenizer, chat template or mix was not found
       69  a storage service is unreachable: retry later
       70  a bug in this program
       74  reading or writing failed
       75  another run is publishing to this output, or the mix is being replaced: retry later
      130  stopped by SIGINT
      143  stopped by SIGTERM
    ");
    let mut command = command();
    let help = command.render_long_help().to_string();
    assert!(help.contains("Exit codes:"), "{help}");
    let help = command.find_subcommand_mut("mix").unwrap().render_long_help().to_string();
    assert!(help.contains("Exit codes:") && help.contains("Examples:"), "{help}");
}

#[test]
fn a_value_can_be_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cuts");
    std::fs::write(&file, "5,10\n").unwrap();
    let path = file.display();
    for arguments in [
        vec!["mix".to_string(), "--cut-sizes".to_string(), format!("@{path}")],
        vec!["mix".to_string(), format!("--cut-sizes=@{path}")],
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(mix(&arguments).first("cut_sizes"), Some("5,10"));
    }
    std::fs::write(&file, "--cut-sizes=7").unwrap();
    assert_eq!(mix(&["mix", &format!("@{path}")]).first("cut_sizes"), Some("7"), "Argo replaces whole arguments");
    assert_eq!(mix(&["mix", "--reasoning", "@@odd"]).first("reasoning"), Some("@odd"));
    assert_eq!(mix(&["mix", "--tokenizer-model=repo/name@main"]).first("tokenizer_model"), Some("repo/name@main"));
    match parse(words(&["mix", "--recipe", "@/no/such/file"])) {
        Err(Stop::Error(error)) => {
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().starts_with("/no/such/file: cannot read the file"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_version_has_the_commit_if_the_build_knows_it() {
    let [none, empty, known] = [None, Some(""), Some("0123abc\n")].map(long_version);
    assert_eq!(none, empty);
    assert!(!none.contains("commit") && none.lines().count() == 2, "{none}");
    assert_eq!(known.lines().nth(1), Some("commit 0123abc"), "{known}");
}
