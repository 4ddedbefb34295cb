//! What the environment decides, and what in it has no effect.

use super::given::{Environment, SettingValues};
use super::resolve::Resolver;
use super::table;
use crate::recipe::{Recipe, nearest};

/// The prefix of this program's own variables.
const PREFIX: &str = "KNOWLEDGE_MIXING_";

/// A warning for each variable of this program's prefix that no setting has.
///
/// Kubernetes gives every pod variables for each service in its namespace: those of a service that is named after this program
/// (`KNOWLEDGE_MIXING_SERVICE_HOST`, `KNOWLEDGE_MIXING_PORT_80_TCP`) are not meant for it.
pub(crate) fn unknown_variables(environment: &Environment) -> Vec<String> {
    let known: Vec<&str> = table::all().flat_map(|setting| setting.env).copied().collect();
    let is_of_a_service = |name: &str| name.contains("_SERVICE_") || name.contains("_PORT");
    let is_unknown = |name: &&String| name.starts_with(PREFIX) && !known.contains(&name.as_str());
    let names = environment.keys().filter(is_unknown).filter(|name| !is_of_a_service(name));
    names
        .map(|name| match nearest(&name[PREFIX.len()..], known.iter().filter_map(|known| known.strip_prefix(PREFIX))) {
            Some(known) => format!("{name}: unknown variable, it has no effect; did you mean {PREFIX}{known}?"),
            None => format!("{name}: unknown variable, it has no effect"),
        })
        .collect()
}

/// The settings that a variable decides, such as `seed 7 (SEED)`.
pub(crate) fn of_environment(given: &SettingValues, recipe: Option<&Recipe>, environment: &Environment) -> Vec<String> {
    let resolver = Resolver { given, recipe, environment };
    table::all()
        .filter_map(|setting| {
            let (variable, texts) = resolver.by_variable_alone(setting)?;
            Some(format!("{} {} ({variable})", setting.name.replace('_', " "), texts.join(" ")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(names: &[&str]) -> Environment {
        names.iter().map(|name| ((*name).to_owned(), "7".to_owned())).collect()
    }

    #[test]
    fn a_misspelt_variable_is_named_and_those_of_kubernetes_are_not() {
        let names = ["KNOWLEDGE_MIXING_COLUMN", "KNOWLEDGE_MIXING_COLUMNS", "KNOWLEDGE_MIXING_X", "OTHER_COLUMN"];
        assert_eq!(
            unknown_variables(&environment(&names)),
            [
                "KNOWLEDGE_MIXING_COLUMN: unknown variable, it has no effect; did you mean KNOWLEDGE_MIXING_COLUMNS?",
                "KNOWLEDGE_MIXING_X: unknown variable, it has no effect",
            ]
        );
        let of_kubernetes = [
            "KNOWLEDGE_MIXING_SERVICE_HOST",
            "KNOWLEDGE_MIXING_SERVICE_PORT_HTTP",
            "KNOWLEDGE_MIXING_PORT",
            "KNOWLEDGE_MIXING_PORT_80_TCP_ADDR",
            "KNOWLEDGE_MIXING_API_SERVICE_HOST",
        ];
        assert!(unknown_variables(&environment(&of_kubernetes)).is_empty());
    }

    #[test]
    fn settings_of_the_environment_are_named_unless_something_else_decides() {
        let environment = environment(&["SEED", "QA_PER_DOC"]);
        let given = SettingValues::of_flags([("qa_per_doc".to_owned(), vec!["3".to_owned()])].into());
        assert_eq!(of_environment(&given, None, &environment), ["seed 7 (SEED)"]);
        let recipe = super::super::parse_recipe("seed: 5", "r").unwrap();
        assert!(of_environment(&given, Some(&recipe), &environment).is_empty());
    }
}
