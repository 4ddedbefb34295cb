//! Which tokenizer a run uses.

use super::values::{Kind, Value};
use crate::error::Result;
use crate::storage::Location;
use crate::storage::hub::is_repository_id;
use crate::tokens::TokenizerModel;

/// The tokenizer that a flag names.
///
/// # Errors
/// A usage error that names the flag.
pub(crate) fn tokenizer_model(text: &str) -> Result<TokenizerModel> {
    TokenizerModel::parse(&[text.to_owned()], Kind::Text).map_err(|error| error.at("--tokenizer-model"))
}

/// `builtin`, a URL, an existing folder, or a repository id; anything else is a folder that does not exist.
impl Value for TokenizerModel {
    fn parse(texts: &[String], kind: Kind) -> Result<Self> {
        let text = String::parse(texts, kind)?;
        let text = text.trim();
        if text == "builtin" {
            return Ok(Self::Builtin);
        }
        // A single word is more likely a misspelled folder than one of the hub's few repositories without an owner.
        let (id, _) = text.split_once('@').unwrap_or((text, ""));
        let is_repository = !text.contains("://") && id.contains('/') && is_repository_id(text);
        if is_repository && !std::path::Path::new(text).exists() {
            return Ok(Self::Hub(text.to_owned()));
        }
        Location::parse(text).map(Self::Location)
    }
}
