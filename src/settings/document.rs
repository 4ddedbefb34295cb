//! `docs/settings.md`, generated from the table.

use super::setting::Setting;
use super::table;
use super::values::Kind;
use std::fmt::Write;

const PREFACE: &str = "\
<!-- Generated from src/settings/table.rs by `UPDATE_DOCS=1 cargo test --lib`: do not edit. -->

# Settings

Every setting is a flag; most can also be set by a recipe, an environment variable, or an input of the Kubeflow component.
A flag wins over the recipe, the recipe over the variable, and the variable over the default.

- A `.env` file in the working directory adds environment variables; a variable that is already set keeps its value.
- An empty value counts as not given. Only an empty `--input` or `--output` is an error.
- `--flag=@FILE` reads the value from a file; `@@` stands for a value that begins with `@`.
- If a setting has several variables, the first one that is set wins.
- A setting with a Kubeflow input is also an input of the templates for Argo Workflows, by the name of its flag (`cut-sizes`).
- The sub-commands that read finished mixes and other files (`verify`, `diff`, `report`, `sample`, `stats`, `clean`) and `init` have the
  flags marked with \\*, `init` also `--input`; `mix` and `plan` have all of them.
";

/// The text of `docs/settings.md`.
pub(super) fn settings_md() -> String {
    let mut text = PREFACE.to_owned();
    let mut headings: Vec<&str> = Vec::new();
    for setting in table::all() {
        if !headings.contains(&setting.heading) {
            headings.push(setting.heading);
        }
    }
    for heading in headings {
        let _ =
            write!(text, "\n## {heading}\n\n| flag | meaning | default | variable | recipe key | Kubeflow input |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        for setting in table::all().filter(|setting| setting.heading == heading) {
            row(&mut text, setting);
        }
    }
    text
}

fn row(text: &mut String, setting: &Setting) {
    let code = |text: &str| format!("`{text}`");
    let is_shared = table::RunSettings::TABLE.iter().any(|shared| shared.name == setting.name);
    let value = match setting.kind {
        Kind::Switch | Kind::SwitchOr(_) => format!("[={}]", setting.value_name),
        _ => format!(" {}", setting.value_name),
    };
    let default = match setting.default_text().is_some()
        && matches!(setting.shown_default(), Some(shown) if !shown.contains(' '))
    {
        true => setting.shown_default().map(code),
        false => setting.shown_default().map(str::to_owned),
    };
    let _ = writeln!(
        text,
        "| `{}{value}`{} | {} | {} | {} | {} | {} |",
        setting.flag(),
        if is_shared { " \\*" } else { "" },
        meaning(setting),
        default.unwrap_or_default(),
        setting.shown_variables().iter().map(|variable| code(variable)).collect::<Vec<_>>().join(", "),
        setting.recipe_key().map(|(key, _)| code(key)).unwrap_or_default(),
        setting.kfp.map(|(name, _)| code(name)).unwrap_or_default(),
    );
}

fn meaning(setting: &Setting) -> String {
    let mut meaning = setting.help();
    if let Kind::Choice(words) | Kind::Choices(words) | Kind::SwitchOr(words) = setting.kind {
        let words = words.iter().map(|word| format!("<br>`{}`: {}", word.name, word.help.trim().trim_end_matches('.')));
        meaning.extend(words);
    }
    let details = setting.details();
    if !details.is_empty() {
        let _ = write!(meaning, ". {details}");
    }
    meaning
}

#[test]
fn docs_settings_md_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, settings_md()).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap_or_default();
    assert!(file == settings_md(), "docs/settings.md is stale: run `UPDATE_DOCS=1 cargo test --lib`");
}
