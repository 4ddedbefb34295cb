//! Parses a manifest, which can come from anywhere: its size, the names of its files and what it must have are checked.

use super::{MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, MixState, OutputFile, OutputKind};
use crate::error::{Error, ErrorKind, Result};
use crate::excerpt::excerpt;
use std::collections::HashSet;

/// The values that a manifest may have. One of [`MAX_MANIFEST_BYTES`] has fewer: an input file takes 190 bytes and has seven. Without
/// this limit, 200 MB of empty lists take 9 GB of memory.
const MAX_VALUES: usize = 10_000_000;

/// The files that a mix may have: far more than cuts, kinds and formats make.
const MAX_OUTPUTS: usize = 100_000;

/// The bytes of a file name, as file systems limit them.
const MAX_NAME_BYTES: usize = 255;

impl Manifest {
    /// Parses and checks the bytes of a manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] with what is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let invalid = |what: String| Error::new(ErrorKind::Data, format!("not a valid manifest: {what}"));
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(invalid(format!("{} bytes: expected at most {MAX_MANIFEST_BYTES}", bytes.len())));
        }
        // Each value but the first follows one of these.
        let values = memchr::memchr3_iter(b',', b'[', b'{', bytes).count();
        if values > MAX_VALUES {
            return Err(invalid(format!("{values} values: expected at most {MAX_VALUES}")));
        }
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::new(ErrorKind::Data, "not a valid manifest").caused_by(error))?;
        manifest.check_files().map_err(invalid)?;
        Ok(manifest)
    }

    /// Checks the names of all files, and that a complete mix has a training file.
    fn check_files(&self) -> std::result::Result<(), String> {
        let count = self.outputs.len() + self.left_over.len();
        if count > MAX_OUTPUTS {
            return Err(format!("{count} files: expected at most {MAX_OUTPUTS}"));
        }
        let mut names = HashSet::new();
        for OutputFile { name, .. } in &self.outputs {
            check_name(name).map_err(|why| format!("`outputs`: invalid name `{}`: {why}", excerpt(name)))?;
            // On some file systems, names that differ in case are of one file.
            if !names.insert(name.to_lowercase()) {
                return Err(format!("`outputs`: `{}` occurs twice", excerpt(name)));
            }
        }
        for name in &self.left_over {
            check_name(name).map_err(|why| format!("`left_over`: invalid name `{}`: {why}", excerpt(name)))?;
        }
        if self.state == MixState::Complete && !self.outputs.iter().any(|file| file.kind == OutputKind::Mix) {
            return Err("`outputs`: no training file: a mix has at least one".to_owned());
        }
        Ok(())
    }
}

/// Checks that a name is that of a file directly in the output, whatever a store makes of it.
fn check_name(name: &str) -> std::result::Result<(), &'static str> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        Err("expected 1 to 255 bytes")
    } else if name.starts_with('.') {
        Err("expected a visible file")
    } else if name.contains(['/', '\\']) || ["%2f", "%5c"].iter().any(|separator| lower.contains(separator)) {
        Err("expected a file directly in the output")
    } else if name.chars().any(char::is_control) || lower.contains("%00") {
        Err("expected no control characters")
    } else if lower == MANIFEST_NAME {
        Err("expected another name than the manifest's")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn manifest(change: impl FnOnce(&mut Value)) -> Result<Manifest> {
        let file = |name: &str, kind: &str| json!({"name": name, "kind": kind, "bytes": 1, "digest": "0"});
        let mut manifest = json!({
            "format": 2, "state": "complete", "run": "0", "left_over": ["old.jsonl"],
            "program": {"name": "knowledge-mixing", "version": "0.1.0"},
            "settings": {"cut_sizes": [1], "qa_per_doc": 3, "save_gpt_oss_format": true, "seed": 42, "reasoning": "auto",
                "columns": "full", "compression": "none", "infeasible_cuts": "drop", "bad_rows": "fail", "order": "natural"},
            "tokenizer": {"name": "builtin", "digest": "0", "chat_template_digest": "0"},
            "inputs": [], "sources": [], "cuts": [],
            "outputs": [file("combined_cut_1x.jsonl", "mix"), file("metrics.json", "metrics")],
        });
        change(&mut manifest);
        Manifest::parse(&serde_json::to_vec(&manifest).unwrap())
    }

    #[test]
    fn a_manifest_names_files_directly_in_its_output() {
        manifest(|_| ()).unwrap();
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "a//b",
            "a/b",
            "a\\b",
            ".hidden",
            "a\0",
            "a\n",
            "a\u{1b}[0m",
            "..%2Fx",
            "a%5cb",
            "a%00",
            "manifest.json",
            "MANIFEST.json",
            &"a".repeat(256),
        ] {
            let error = manifest(|manifest| manifest["outputs"][1]["name"] = name.into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{name:?}");
            assert!(error.to_string().contains("`outputs`: invalid name"), "{name:?}: {error}");
            assert!(manifest(|manifest| manifest["left_over"][0] = name.into()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_complete_manifest_names_a_training_file_and_each_file_once() {
        let empty = manifest(|manifest| manifest["outputs"] = json!([])).unwrap_err().to_string();
        assert!(empty.contains("no training file"), "{empty}");
        for name in ["metrics.json", "Metrics.JSON"] {
            let error = manifest(|manifest| manifest["outputs"][0]["name"] = name.into()).unwrap_err().to_string();
            assert!(error.contains("`metrics.json` occurs twice"), "{error}");
        }
        let replacing = manifest(|manifest| {
            manifest["outputs"] = json!([]);
            manifest["state"] = "replacing".into();
        });
        assert!(replacing.is_ok());
    }

    #[test]
    fn the_values_of_a_manifest_are_limited() {
        let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
        let error = Manifest::parse(many.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("10000001 values: expected at most 10000000"), "{error}");
    }
}
