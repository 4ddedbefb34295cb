//! Repository ids: `OWNER/NAME` or `OWNER/NAME@REVISION`.

use std::fmt;

/// The revision of a repository id that names none.
const DEFAULT_REVISION: &str = "main";

/// The longest segment of an id or revision: the hub's own limit for names.
const MAX_SEGMENT: usize = 96;

/// A repository and one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    id: String,
    revision: String,
}

/// Whether a text is a valid repository id: `OWNER/NAME` or `OWNER/NAME@REVISION`. A name without an owner is not: it
/// cannot be told from a folder.
pub(crate) fn is_repository_id(text: &str) -> bool {
    Repository::parse(text).is_some()
}

impl Repository {
    /// Parses a repository id. The rules for names are those of the Python client's `validate_repo_id`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        let (owner, name) = id.split_once('/')?;
        let is_valid = is_name(owner) && is_name(name) && revision.split('/').all(is_segment);
        is_valid.then(|| Self { id: id.to_string(), revision: revision.to_string() })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn revision(&self) -> &str {
        &self.revision
    }
}

/// The id, with the revision unless it is the default.
impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.revision == DEFAULT_REVISION { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

/// An owner or a name. The cache joins both with `--`, so neither may contain it.
fn is_name(text: &str) -> bool {
    is_segment(text) && !text.ends_with(['.', '-']) && !text.contains("--") && !text.ends_with(".git")
}

/// Letters, digits, `-`, `_` and `.`, so that a segment is neither a path out of the cache nor an option.
fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_SEGMENT
        && !text.starts_with(['.', '-'])
        && !text.contains("..")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_owner_and_a_name_and_perhaps_a_revision() {
        for text in
            ["RedHatAI/Llama-3.1-8B-Instruct", "a/b", "_a/b_", "a/b@main", "a/b@refs/pr/1", "a/b@0123abc", "a/b@v1--rc"]
        {
            assert!(is_repository_id(text), "{text}");
        }
        let long = format!("a/{}", "b".repeat(MAX_SEGMENT + 1));
        for text in [
            "",
            "/a",
            "a/",
            "a/b/c",
            "gpt2",
            "gpt2@main",
            "../a",
            "./a",
            "a/..",
            "a/b..c",
            "a b/c",
            "~/a",
            "s3://a/b",
            "a/.b",
            "-a/b",
            "a/b-",
            "a/b.",
            "a/b--c",
            "a/b.git",
            "a/b@",
            "a/b@../x",
            "a/b@-x",
            "a/b@x//y",
            "a/b@x@y",
            &long,
        ] {
            assert!(!is_repository_id(text), "{text}");
        }
    }

    #[test]
    fn the_default_revision_is_not_displayed() {
        for (text, displayed) in [("a/b", "a/b"), ("a/b@main", "a/b"), ("a/b@refs/pr/1", "a/b@refs/pr/1")] {
            assert_eq!(Repository::parse(text).unwrap().to_string(), displayed);
        }
    }
}
