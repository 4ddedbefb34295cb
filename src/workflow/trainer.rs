//! What a training step can read: training_hub refuses a path that does not end in `.jsonl`, so a compressed mix would only fail
//! there, after the pipeline has waited for a GPU.

use crate::codec::Codec;
use crate::settings::Settings;
use crate::warnings::Warnings;

/// Warns if the next step gets a file that is compressed or Parquet: the selected mix. `place` is the setting or output that says
/// so; `is_decompressed` says that the step gets the file without its compression.
pub(super) fn warn_of_refused_file(place: &str, is_decompressed: bool, settings: &Settings, warnings: &Warnings) {
    let format = settings.selected_format;
    let codec = settings.compression.codec(format);
    let remedy = match codec {
        _ if format.is_parquet() => "pass --select-format messages or tokens",
        Codec::None => return,
        _ if is_decompressed => return,
        _ => "pass --compression none",
    };
    let ending = codec.file_name(format.ending());
    warnings.warn(format!(
        "{place}: the next step gets a {ending} file, but training_hub reads only plain .jsonl files: {remedy}"
    ));
}

/// Warns if `mix` or `plan` runs as a step of a workflow, or selects a file for one, and that file is compressed or Parquet.
pub(crate) fn check_step(settings: &Settings, warnings: &Warnings) {
    let place = match settings {
        _ if settings.output_parameters.is_some() => "--output-parameters",
        _ if settings.select_cut.is_some() => "--select-cut",
        _ if settings.select_format.is_some() => "--select-format",
        _ => return,
    };
    warn_of_refused_file(place, false, settings, warnings);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::fixtures::settings;

    fn warnings(pairs: &[(&str, &str)]) -> Vec<String> {
        let warnings = Warnings::silent();
        check_step(&settings(pairs), &warnings);
        warnings.all()
    }

    #[test]
    fn a_compressed_mix_that_a_workflow_passes_on_is_a_warning() {
        let gzip = ("compression", "gzip");
        insta::assert_snapshot!(
            warnings(&[gzip, ("output_parameters", "/outputs"), ("select_cut", "5")]).join("\n"),
            @"--output-parameters: the next step gets a .jsonl.gz file, but training_hub reads only plain .jsonl files: pass --compression none"
        );
        for (name, value, file) in [
            ("select_cut", "5", "--select-cut: the next step gets a .jsonl.zst file"),
            ("select_format", "tokens", "--select-format: the next step gets a .tokens.jsonl.zst file"),
            ("select_format", "tokens-parquet", "--select-format: the next step gets a .tokens.parquet file"),
        ] {
            let raised =
                warnings(&[("compression", "zstd"), ("formats", "messages,tokens,tokens-parquet"), (name, value)]);
            assert!(raised.len() == 1 && raised[0].starts_with(file), "{raised:?}");
        }
    }

    #[test]
    fn a_mix_that_is_not_compressed_or_not_passed_on_is_no_warning() {
        let passed_on = ("output_parameters", "/outputs");
        for pairs in [&[passed_on][..], &[("compression", "gzip")], &[("compression", "none"), ("select_cut", "5")]] {
            assert!(warnings(pairs).is_empty(), "{pairs:?}");
        }
    }
}
