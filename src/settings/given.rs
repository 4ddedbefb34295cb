//! Settings as they are given: text by name, from a command line or from a workflow engine.

use std::collections::BTreeMap;

/// The environment variables, as text.
pub(crate) type Environment = BTreeMap<String, String>;

/// The variables of this process; a value that is not UTF-8 cannot be a setting.
pub(crate) fn process_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Unchecked texts of settings, by the setting's name (`cut_sizes`: `5,50`); a setting that is not given is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SettingValues {
    values: BTreeMap<String, Vec<String>>,
    are_parameters: bool,
}

impl SettingValues {
    /// The values of flags.
    pub(crate) fn of_flags(values: BTreeMap<String, Vec<String>>) -> Self {
        Self { values, are_parameters: false }
    }

    /// The values of a workflow engine's input parameters.
    pub(crate) fn of_parameters(values: BTreeMap<String, Vec<String>>) -> Self {
        Self { values, are_parameters: true }
    }

    /// The texts of a setting.
    pub(crate) fn get(&self, name: &str) -> Option<&[String]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// The first text of a setting.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.get(name)?.first().map(String::as_str)
    }

    /// Whether these are a workflow engine's input parameters, not flags.
    pub(super) fn are_parameters(&self) -> bool {
        self.are_parameters
    }
}
