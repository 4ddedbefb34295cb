//! The classes that build a tokenizer by their own rules, as far as chat models use them: each is a file in
//! `transformers/models/*/tokenization_*.py` (5.24).

use crate::tokens::config::TokenizerConfig;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Whether each text begins with the beginning-of-sequence token and ends with the end-of-sequence token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokens) struct TextEnds {
    pub(in crate::tokens) bos: bool,
    pub(in crate::tokens) eos: bool,
}

/// A class of tokenizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Llama,
    CodeLlama,
    Gemma,
    Qwen2,
    Qwen35,
    Gpt2,
    GptNeoX,
    Cohere,
    CodeGen,
}

/// What came of a class's rules.
pub(super) enum Rebuilt {
    /// The text of a `tokenizer.json` with these rules.
    Json(Vec<u8>),
    /// The file has another model than BPE.
    NotBpe,
}

/// Classes that build a tokenizer by rules that are not known here: encoders, translation, speech.
const UNSUPPORTED: [&str; 41] = [
    "AlbertTokenizer",
    "BarthezTokenizer",
    "BartTokenizer",
    "BertTokenizer",
    "BigBirdTokenizer",
    "BlenderbotTokenizer",
    "CLIPTokenizer",
    "CamembertTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "EsmcTokenizer",
    "FunnelTokenizer",
    "HerbertTokenizer",
    "LEDTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LukeTokenizer",
    "LxmertTokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MPNetTokenizer",
    "MarkupLMTokenizer",
    "MobileBertTokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "PegasusTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoFormerTokenizer",
    "RobertaTokenizer",
    "SeamlessM4TTokenizer",
    "SplinterTokenizer",
    "T5Tokenizer",
    "UdopTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLMRobertaTokenizer",
];

/// Whether a class builds a tokenizer by rules that are not known here.
pub(super) fn is_unsupported(name: &str) -> bool {
    UNSUPPORTED.contains(&name)
}

/// Qwen 2's words.
const QWEN2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 3.5's words: marks belong to letters.
const QWEN35_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Class {
    /// The class of this name, without `Fast`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Llama,
            Self::CodeLlama,
            Self::Gemma,
            Self::Qwen2,
            Self::Qwen35,
            Self::Gpt2,
            Self::GptNeoX,
            Self::Cohere,
            Self::CodeGen,
        ];
        all.into_iter().find(|class| class.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Llama => "LlamaTokenizer",
            Self::CodeLlama => "CodeLlamaTokenizer",
            Self::Gemma => "GemmaTokenizer",
            Self::Qwen2 => "Qwen2Tokenizer",
            Self::Qwen35 => "Qwen3_5Tokenizer",
            Self::Gpt2 => "GPT2Tokenizer",
            Self::GptNeoX => "GPTNeoXTokenizer",
            Self::Cohere => "CohereTokenizer",
            Self::CodeGen => "CodeGenTokenizer",
        }
    }

    /// The special tokens that the class has if the configuration does not say otherwise.
    pub(super) fn default_tokens(self) -> &'static [(&'static str, &'static str)] {
        const END: &str = "<|endoftext|>";
        match self {
            Self::Llama | Self::CodeLlama => &[("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>")],
            Self::Gemma => &[
                ("unk_token", "<unk>"),
                ("bos_token", "<bos>"),
                ("eos_token", "<eos>"),
                ("pad_token", "<pad>"),
                ("mask_token", "<mask>"),
            ],
            Self::Qwen2 | Self::Qwen35 => &[("unk_token", END), ("eos_token", END), ("pad_token", END)],
            Self::Gpt2 | Self::CodeGen => &[("unk_token", END), ("bos_token", END), ("eos_token", END)],
            Self::GptNeoX => {
                &[("unk_token", END), ("bos_token", END), ("eos_token", END), ("pad_token", "<|padding|>")]
            }
            Self::Cohere => &[
                ("unk_token", "<UNK>"),
                ("bos_token", "<BOS_TOKEN>"),
                ("eos_token", "<|END_OF_TURN_TOKEN|>"),
                ("pad_token", "<PAD>"),
                ("cls_token", "<CLS>"),
                ("sep_token", "<SEP>"),
                ("mask_token", "<MASK_TOKEN>"),
            ],
        }
    }

    /// How texts begin and end, if the class does not take that from the file.
    pub(super) fn ends(self) -> Option<TextEnds> {
        match self {
            Self::CodeLlama => Some(TextEnds { bos: true, eos: false }),
            Self::GptNeoX => Some(TextEnds { bos: false, eos: false }),
            _ => None,
        }
    }

    /// The sections of the file that the class replaces: normalizer, pre-tokenizer, and the model's own settings.
    fn sections(self, config: &TokenizerConfig) -> (Value, Value, Value) {
        let add_prefix_space = config.flag("add_prefix_space");
        let byte_level = |use_regex: bool| {
            json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space.unwrap_or(false), "trim_offsets": true,
                "use_regex": use_regex})
        };
        let words = |pattern: &str| {
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
                byte_level(false),
            ]})
        };
        let metaspace = |prepend_scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend_scheme, "split": false});
        let (nfc, none) = (json!({"type": "NFC"}), Value::Null);
        let unk = config.special_token("unk_token").unwrap_or("<unk>");
        let byte_model = json!({"continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false});
        let fallback_model = |unk: Option<&str>| json!({"unk_token": unk, "fuse_unk": true, "byte_fallback": true});
        match self {
            Self::Llama => {
                let scheme = match (add_prefix_space, config.flag("legacy")) {
                    (Some(false), _) => "never",
                    (_, Some(true)) => "always",
                    _ => "first",
                };
                (none, metaspace(scheme), fallback_model(None))
            }
            Self::CodeLlama => {
                let scheme = if add_prefix_space == Some(false) { "never" } else { "first" };
                (none, metaspace(scheme), fallback_model(Some(unk)))
            }
            Self::Gemma => (
                json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
                json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false}),
                fallback_model(Some(unk)),
            ),
            Self::Qwen2 => (nfc, words(QWEN2_WORDS), byte_model),
            Self::Qwen35 => (nfc, words(QWEN35_WORDS), byte_model),
            Self::Gpt2 | Self::CodeGen => (none, byte_level(true), byte_model),
            Self::GptNeoX => (nfc, byte_level(true), byte_model),
            Self::Cohere => {
                let digits = json!({"type": "Digits", "individual_digits": true});
                (nfc, json!({"type": "Sequence", "pretokenizers": [digits, byte_level(true)]}), byte_model)
            }
        }
    }
}

/// A `tokenizer.json` with vocabulary, merges and post-processor of this one, and everything else by the rules of a class.
///
/// # Errors
/// If the file is not the JSON of a tokenizer.
pub(super) fn rebuild(class: Class, file: &[u8], config: &TokenizerConfig) -> Result<Rebuilt, serde_json::Error> {
    // Raw: a vocabulary takes ten times its size as values.
    let mut sections: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(file)?;
    let Some(model) = sections.get("model") else { return Ok(Rebuilt::NotBpe) };
    let mut of_model: BTreeMap<String, Box<RawValue>> = serde_json::from_str(model.get())?;
    let is_bpe = of_model.get("type").is_none_or(|kind| kind.get() == "\"BPE\"");
    let (Some(vocab), Some(merges)) = (of_model.remove("vocab"), of_model.remove("merges")) else {
        return Ok(Rebuilt::NotBpe);
    };
    if !is_bpe {
        return Ok(Rebuilt::NotBpe);
    }
    let (normalizer, pre_tokenizer, settings) = class.sections(config);
    let mut model =
        BTreeMap::from([("type", serde_json::value::to_raw_value("BPE")?), ("vocab", vocab), ("merges", merges)]);
    for (key, value) in settings.as_object().into_iter().flatten() {
        model.insert(key, serde_json::value::to_raw_value(value)?);
    }
    let model = serde_json::value::to_raw_value(&model)?;
    sections.insert("model".to_owned(), model);
    sections.insert("normalizer".to_owned(), serde_json::value::to_raw_value(&normalizer)?);
    sections.insert("pre_tokenizer".to_owned(), serde_json::value::to_raw_value(&pre_tokenizer)?);
    // The configuration's list of added tokens is complete; the file's list stands in if there is none.
    if config.has("added_tokens_decoder") {
        sections.insert("added_tokens".to_owned(), serde_json::value::to_raw_value(&Vec::<Value>::new())?);
    }
    serde_json::to_vec(&sections).map(Rebuilt::Json)
}

/// Whether the file's pre-tokenizer or decoder maps between bytes and characters.
pub(super) fn is_byte_level(file: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Sections {
        #[serde(default)]
        pre_tokenizer: Value,
        #[serde(default)]
        decoder: Value,
    }
    let Ok(Sections { pre_tokenizer, decoder }) = serde_json::from_slice(file) else { return false };
    let is_byte_level = |step: &Value| step["type"] == "ByteLevel";
    is_byte_level(&pre_tokenizer)
        || is_byte_level(&decoder)
        || pre_tokenizer["pretokenizers"].as_array().is_some_and(|steps| steps.iter().any(is_byte_level))
}
