//! `component.yaml`: the step as Kubeflow's SDK loads it, made from the command line's own declarations.
//!
//! Settings have no default here, on purpose: Kubeflow merges a component's defaults into the executor input, where nobody
//! can tell them from a value that somebody set, and so they would override every recipe. The description names them.

use super::inputs::{DATASETS, SOURCES};
use crate::cli::{self, KfpType, SettingInfo};
use clap::CommandFactory;
use serde_json::Value;
use std::fmt::Write;

/// What each output is: name, type, description.
const OUTPUTS: [(&str, &str, &str); 9] = [
    ("mixes", "Dataset", "the folder with all files: every mix, manifest.json, metrics.json, report.html"),
    ("dataset", "Dataset", "one file of JSON lines for the training step: the mix of the selected cut"),
    ("metrics", "Metrics", "samples and tokens of each cut and source"),
    ("report", "HTML", "what is in the mixes, as one page"),
    ("summary", "Markdown", "the same in short"),
    ("feasible_cuts", "JsonArray", "the cut sizes that the input can fill, ascending"),
    ("selected_cut", "Integer", "the cut size of dataset"),
    ("total_samples", "Integer", "samples in dataset"),
    ("total_tokens", "Integer", "tokens in dataset"),
];

/// The text of `component.yaml` for an image.
pub(crate) fn component_yaml(image: &str) -> String {
    let mut yaml = String::from(
        "# Made by `knowledge-mixing component`: change src/cli.rs or src/workflow/component.rs, not this file.\n\
         # Settings have no default here, so that a recipe can set them; the descriptions name the defaults. Numbers are text:\n\
         # an Integer that is left unset breaks the SDK's local runner. An empty text counts as unset.\n",
    );
    let about = cli::Cli::command().get_about().map(ToString::to_string).unwrap_or_default();
    field(&mut yaml, 0, "name", "knowledge-mixing");
    field(&mut yaml, 0, "description", &about);
    yaml.push_str("inputs:\n");
    input(&mut yaml, DATASETS, "Dataset", "folder that holds a folder for each source; wins over input_uri");
    for source in SOURCES {
        let words = format!("rows of the source {source} alone; wins over datasets and input_uri");
        input(&mut yaml, source, "Dataset", &words);
    }
    for info in cli::SETTINGS {
        if let Some((name, kind)) = info.kfp {
            input(&mut yaml, name, kind.word(), &description(info, name, kind));
        }
    }
    yaml.push_str("outputs:\n");
    for (name, kind, words) in OUTPUTS {
        let _ = writeln!(yaml, "- name: {name}\n  type: {kind}\n  description: {}", quoted(words));
    }
    let _ = write!(
        yaml,
        "implementation:\n  container:\n    image: {}\n    command: [/usr/local/bin/knowledge-mixing, kfp-step]\n    \
         # The whole executor input, parsed by the step: other placeholders are broken in one release or another.\n    \
         args: [--executor-input, {{executorInput: null}}]\n",
        quoted(image)
    );
    yaml
}

fn input(yaml: &mut String, name: &str, kind: &str, words: &str) {
    let _ = writeln!(yaml, "- name: {name}\n  type: {kind}\n  optional: true\n  description: {}", quoted(words));
}

fn field(yaml: &mut String, indent: usize, name: &str, value: &str) {
    let _ = writeln!(yaml, "{:indent$}{name}: {}", "", quoted(value));
}

/// A JSON string, which is a YAML string as well.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The flag's help, with what the parameter's type does not say.
fn description(info: &SettingInfo, name: &str, kind: KfpType) -> String {
    let command = cli::Cli::command();
    let mix = command.find_subcommand("mix");
    let argument = mix.and_then(|mix| mix.get_arguments().find(|argument| argument.get_id() == info.name));
    let mut words = match name {
        "input_uri" => {
            "folder or URL that holds the source folders, or a JSON list of several; read by the step itself, so \
                        nothing is copied for it"
                .to_string()
        }
        "output_uri" => {
            "folder on a mounted volume or URL to write the mixes to; mixes and dataset then stay empty and their \
                         metadata say where the files are"
                .to_string()
        }
        _ => argument.and_then(clap::Arg::get_help).map(ToString::to_string).unwrap_or_default(),
    };
    if kind == KfpType::Integer {
        words.push_str(" (a whole number, as text)");
    }
    let choices: Vec<_> = argument.map(clap::Arg::get_possible_values).unwrap_or_default();
    // Clap knows two words for a switch; the parameter's type says that already.
    if !choices.is_empty() && kind == KfpType::String {
        let choices: Vec<_> = choices.iter().map(|choice| choice.get_name().to_string()).collect();
        let _ = write!(words, " [one of: {}]", choices.join(", "));
    }
    // The folders that are the defaults on a command line mean nothing inside of a pod.
    if let Some(default) = info.default.filter(|_| !matches!(name, "input_uri" | "output_uri")) {
        let _ = write!(words, " [default: {}]", default.trim_matches(['(', ')']));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::outputs;

    /// Names that the file in the repository is stale, and how to make it anew.
    #[test]
    fn the_file_in_the_repository_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/component.yaml");
        let file = std::fs::read_to_string(path).unwrap_or_default();
        let now = component_yaml(cli::DEFAULT_IMAGE);
        assert!(file == now, "component.yaml is stale: cargo run -- component > component.yaml\n{now}");
    }

    #[test]
    fn it_is_yaml_in_which_every_input_is_optional_and_none_has_a_default() {
        let value: Value = serde_yaml::from_str(&component_yaml("registry/x:1")).unwrap();
        let inputs = value["inputs"].as_array().unwrap();
        for input in inputs {
            assert_eq!(input["optional"], true, "{input}");
            assert!(input.get("default").is_none(), "{input}");
            assert!(!input["description"].as_str().unwrap().is_empty(), "{input}");
        }
        let names: Vec<_> = inputs.iter().map(|input| input["name"].as_str().unwrap()).collect();
        for info in cli::SETTINGS {
            assert!(info.kfp.is_none_or(|(name, _)| names.contains(&name)), "{}", info.name);
        }
        assert_eq!(value["implementation"]["container"]["image"], "registry/x:1");
    }

    #[test]
    fn every_output_that_the_step_writes_is_declared() {
        let declared: Vec<_> = OUTPUTS.iter().map(|(name, ..)| *name).collect();
        for name in [outputs::MIXES, outputs::DATASET, outputs::METRICS, outputs::REPORT, outputs::SUMMARY] {
            assert!(declared.contains(&name), "{name}");
        }
    }
}
