//! The names of the mixing component in the public knowledge-tuning pipeline, and ours for the same things. A step that is declared
//! with them (`component-upstream.yaml`) takes that component's place.

/// Names of the public component, and ours.
const NAMES: [(&str, &str); 5] = [
    ("datasets_path", "datasets"),
    ("tokenizer_model_name", "tokenizer_model"),
    ("cut_size", "cut_sizes"),
    ("output_path", "mixes"),
    ("dataset_file", "dataset"),
];

/// The output parameter for what the public component returns: the path of the selected mix in the artifact with all files.
pub(super) const RETURNED: &str = "Output";

/// Our name for an input or output.
pub(super) fn our_name(name: &str) -> &str {
    NAMES.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours)
}
