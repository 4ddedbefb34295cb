//! Which tokenizer transformers makes of a folder.
//!
//! `tokenizer.json` describes a tokenizer completely, but `AutoTokenizer` of transformers 5 takes only its vocabulary and merges
//! for some classes, and builds normalizer and pre-tokenizer by rules of its own. Training and inference call `AutoTokenizer`, so
//! counts follow it. docs/tokenizers.md has the classes and what changes; the source is `models/auto/tokenization_auto.py` and
//! `tokenization_utils_tokenizers.py` of transformers 5.24.

mod classes;
mod model_types;

use super::config::{self, TokenizerConfig};
use super::files::TokenizerFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::TokenizerRules;
use bytes::Bytes;
pub(super) use classes::TextEnds;
use classes::{Class, Rebuilt};
use model_types::{Registered, registered};

/// A tokenizer as transformers makes it of a folder.
#[derive(Debug, Clone)]
pub(super) struct RuledTokenizer {
    /// `tokenizer.json`, or what it would be for the rebuilt tokenizer.
    pub(super) json: Bytes,
    /// Special tokens of the class that the configuration does not name.
    pub(super) default_tokens: Vec<(&'static str, &'static str)>,
    /// The tokens before and after each text, if they do not come from `tokenizer.json`.
    pub(super) ends: Option<TextEnds>,
    /// The class whose rules replaced those of `tokenizer.json`.
    pub(super) class: Option<&'static str>,
    /// A warning: a class whose rules are not known here.
    pub(super) warning: Option<String>,
}

/// The tokenizer of a folder by these rules.
///
/// # Errors
/// If a file is not valid JSON.
pub(super) fn apply(files: &TokenizerFiles, config: &TokenizerConfig, rules: TokenizerRules) -> Result<RuledTokenizer> {
    let as_file = RuledTokenizer {
        json: files.tokenizer_json.clone(),
        default_tokens: Vec::new(),
        ends: None,
        class: None,
        warning: None,
    };
    if rules == TokenizerRules::File {
        return Ok(as_file);
    }
    let Some(name) = class_name(files, config)? else { return Ok(as_file) };
    let Some(class) = Class::named(&name) else {
        let warning = classes::is_unsupported(&name).then(|| {
            format!(
                "transformers 5 builds tokenizers of class {name} by rules that this program does not know; \
                 tokenizer.json is used as it is, and counts may differ"
            )
        });
        return Ok(RuledTokenizer { warning, ..as_file });
    };
    let rebuilt = classes::rebuild(class, &files.tokenizer_json, config).map_err(|error| {
        Error::new(ErrorKind::Data, "not a valid tokenizer")
            .at(files.location_of("tokenizer.json"))
            .caused_by(error)
            .hint("use a tokenizer that transformers loads as a fast tokenizer")
    })?;
    match rebuilt {
        Rebuilt::Json(json) => Ok(RuledTokenizer {
            json: json.into(),
            default_tokens: class.default_tokens().to_vec(),
            ends: class.ends(),
            class: Some(class.name()),
            warning: None,
        }),
        Rebuilt::NotBpe => {
            let warning =
                format!("class {name} needs a BPE model; tokenizer.json is used as it is, and counts may differ");
            Ok(RuledTokenizer { warning: Some(warning), ..as_file })
        }
    }
}

/// The class that builds the tokenizer; `None` if `tokenizer.json` is taken as it is.
fn class_name(files: &TokenizerFiles, config: &TokenizerConfig) -> Result<Option<String>> {
    let model_config = match &files.config {
        Some(bytes) => config::parse_object(bytes, &files.location_of("config.json"))?,
        None => serde_json::Map::new(),
    };
    let text = |key: &str| model_config.get(key).and_then(serde_json::Value::as_str);
    let of_tokenizer = config.text("tokenizer_class");
    let model_type = text("model_type").unwrap_or_default();
    let registered = registered(model_type);
    let Some(declared) = of_tokenizer.or_else(|| text("tokenizer_class")) else {
        return Ok(match registered {
            Registered::Class(class) => Some(class.to_owned()),
            Registered::File | Registered::Unknown => None,
        });
    };
    let declared = without_fast(declared);
    // Code of the repository would build it; it is never run.
    if config.has("auto_map") {
        return Ok(None);
    }
    // `LlamaTokenizer` is for SentencePiece; files like those of Llama 3 are taken as they are.
    if declared == "LlamaTokenizer"
        && !model_types::has_wrong_class(model_type)
        && classes::is_byte_level(&files.tokenizer_json)
    {
        return Ok(None);
    }
    Ok(match registered {
        Registered::Class(class) if class == declared => Some(declared.to_owned()),
        // The configurations of some models name a wrong class.
        Registered::Class(class) if model_types::has_wrong_class(model_type) => Some(class.to_owned()),
        Registered::Class(_) | Registered::Unknown => Some(declared.to_owned()),
        Registered::File => None,
    })
}

fn without_fast(class: &str) -> &str {
    class.strip_suffix("Fast").unwrap_or(class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::fixtures;
    use serde_json::Value;

    fn ruled(config: &str, model_config: Option<&str>, rules: TokenizerRules) -> RuledTokenizer {
        let mut files = fixtures::sentence_piece();
        files.tokenizer_config = Some(Bytes::copy_from_slice(config.as_bytes()));
        files.config = model_config.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        let config = TokenizerConfig::load(&files).unwrap();
        apply(&files, &config, rules).unwrap()
    }

    fn class(config: &str, model_config: Option<&str>) -> Option<&'static str> {
        ruled(config, model_config, TokenizerRules::Auto).class
    }

    #[test]
    fn the_class_comes_from_the_configurations() {
        const LLAMA: &str = r#"{"tokenizer_class": "LlamaTokenizerFast"}"#;
        assert_eq!(class("{}", None), None);
        assert_eq!(class("{}", Some(r#"{"model_type": "gemma2"}"#)), Some("GemmaTokenizer"));
        assert_eq!(class("{}", Some(r#"{"model_type": "llama"}"#)), None);
        assert_eq!(class(LLAMA, None), Some("LlamaTokenizer"));
        assert_eq!(class("{}", Some(r#"{"tokenizer_class": "LlamaTokenizer"}"#)), Some("LlamaTokenizer"));
        assert_eq!(class(LLAMA, Some(r#"{"model_type": "llama"}"#)), Some("LlamaTokenizer"));
        // Models that take the file, and one whose configuration names a wrong class.
        assert_eq!(class(LLAMA, Some(r#"{"model_type": "phi3"}"#)), None);
        assert_eq!(class(LLAMA, Some(r#"{"model_type": "mistral"}"#)), None);
        assert_eq!(class(LLAMA, Some(r#"{"model_type": "qwen2"}"#)), Some("Qwen2Tokenizer"));
        assert_eq!(class(LLAMA, Some(r#"{"model_type": "gemma3"}"#)), Some("LlamaTokenizer"));
        assert_eq!(class(r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#, None), None);
        assert_eq!(class(r#"{"tokenizer_class": "LlamaTokenizer", "auto_map": {}}"#, None), None);
        assert_eq!(ruled(LLAMA, None, TokenizerRules::File).class, None);
    }

    #[test]
    fn a_class_that_is_not_known_is_a_warning() {
        let unknown = ruled(r#"{"tokenizer_class": "T5Tokenizer"}"#, None, TokenizerRules::Auto);
        assert!(unknown.warning.unwrap().contains("class T5Tokenizer"));
        assert_eq!(ruled(r#"{"tokenizer_class": "MyTokenizer"}"#, None, TokenizerRules::Auto).warning, None);
    }

    #[test]
    fn a_rebuilt_tokenizer_keeps_vocabulary_and_merges() {
        let json = ruled(r#"{"tokenizer_class": "LlamaTokenizer"}"#, None, TokenizerRules::Auto).json;
        let rebuilt: Value = serde_json::from_slice(&json).unwrap();
        let file: Value = serde_json::from_slice(&fixtures::sentence_piece().tokenizer_json).unwrap();
        assert_eq!(rebuilt["model"]["vocab"], file["model"]["vocab"]);
        assert_eq!(rebuilt["model"]["merges"], file["model"]["merges"]);
        assert_eq!(rebuilt["normalizer"], Value::Null);
        assert_eq!(rebuilt["pre_tokenizer"]["prepend_scheme"], "first");
    }

    /// transformers ignores `add_bos_token` and `add_eos_token` of a folder with a `tokenizer.json`.
    #[test]
    fn texts_begin_and_end_as_the_class_says() {
        let ends = |config: &str| ruled(config, None, TokenizerRules::Auto).ends;
        assert_eq!(ends(r#"{"tokenizer_class": "LlamaTokenizer", "add_bos_token": true}"#), None);
        let code_llama = ends(r#"{"tokenizer_class": "CodeLlamaTokenizer"}"#);
        assert_eq!(code_llama, Some(TextEnds { bos: true, eos: false }));
    }
}
