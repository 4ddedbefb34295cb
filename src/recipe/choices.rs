//! Values that are one of a few words, the same in a recipe, on the command line and in the manifest.

use crate::codec::Codec;
use crate::manifest::MixKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One word of a choice and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    /// The word, as written in a recipe or on the command line.
    pub(crate) name: &'static str,
    /// Its meaning in one sentence.
    pub(crate) help: &'static str,
}

/// A type whose values are words.
pub(crate) trait Choice: Copy + 'static {
    /// All values.
    const VALUES: &'static [Self];
    /// The word of each value, in the same order.
    const WORDS: &'static [Word];
}

/// What the rows of a source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Question-answer pairs about a summary of a raw document; cuts select among the summaries.
    SummaryQa,
    /// Question-answer pairs about one fact; the context is the outline only.
    FactQa,
    /// Question-answer pairs about a whole raw document.
    DocumentQa,
    /// Ready-made chats.
    Messages,
    /// Plain documents for continued pretraining: summaries, or any text.
    Document,
}

impl Kind {
    /// The kind's name in a recipe and in the manifest.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SummaryQa => "summary_qa",
            Self::FactQa => "fact_qa",
            Self::DocumentQa => "document_qa",
            Self::Messages => "messages",
            Self::Document => "document",
        }
    }

    /// What the rows of a mix of such samples are.
    pub(crate) fn mix(self) -> MixKind {
        match self {
            Self::SummaryQa | Self::FactQa | Self::DocumentQa | Self::Messages => MixKind::Chat,
            Self::Document => MixKind::Document,
        }
    }

    /// Whether samples are documents.
    pub(crate) fn is_document(self) -> bool {
        self == Self::Document
    }

    /// Whether samples are question-answer pairs, of whose context documents can be made.
    pub(crate) fn is_qa(self) -> bool {
        matches!(self, Self::SummaryQa | Self::FactQa | Self::DocumentQa)
    }
}

macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        $name:ident, default $default:ident {
            $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub(crate) enum $name {
            $($(#[doc = $variant_doc])+ #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// The value's name in a recipe, on the command line and in the manifest.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }

        impl Choice for $name {
            const VALUES: &'static [Self] = &[$(Self::$variant),+];
            const WORDS: &'static [Word] = &[$(Word { name: Self::$variant.name(), help: concat!($($variant_doc),+) }),+];
        }
    };
}

choice! {
    /// The columns of each row.
    Columns, default Full {
        /// All columns.
        Full = "full",
        /// Only what trainers read: messages, unmask and token_length.
        Training = "training",
    }
}

choice! {
    /// Which rules make a tokenizer of its files and pass messages to its chat template.
    TokenizerRules, default Auto {
        /// Those of AutoTokenizer in transformers 5, which builds some classes by rules of its own.
        Auto = "auto",
        /// Those of transformers 4.57: tokenizer.json alone, and messages as they are.
        File = "file",
    }
}

choice! {
    /// Whether a row's messages have the teacher's reasoning.
    Thinking, default Auto {
        /// Only if the chat template prints it, under the key that the template reads.
        Auto = "auto",
        /// In every message under `thinking`, null or empty if there is none: the rows of the upstream notebook.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

/// The key of a message under which a chat template reads reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReasoningKey {
    /// `thinking`, as gpt-oss has it.
    Thinking,
    /// `reasoning_content`, as most other models have it.
    ReasoningContent,
}

impl ReasoningKey {
    /// Both keys; a template that reads both gets the first one.
    pub(crate) const ALL: [Self; 2] = [Self::Thinking, Self::ReasoningContent];

    /// The key.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Thinking => "thinking",
            Self::ReasoningContent => "reasoning_content",
        }
    }
}

/// How the reasoning of samples is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum WrittenReasoning {
    /// Not at all.
    #[default]
    Nowhere,
    /// Under this key of the messages that have some.
    Under(ReasoningKey),
    /// In every message: see [`Thinking::Always`].
    Everywhere,
}

choice! {
    /// A file format of mixes: what a row holds, and how rows are stored.
    Format, default Messages {
        /// The conversations, as JSON lines: combined_cut_{N}x.jsonl.
        Messages = "messages",
        /// Token ids and labels, ready for the trainer, as JSON lines: combined_cut_{N}x.tokens.jsonl.
        Tokens = "tokens",
        /// The conversations, as Parquet: combined_cut_{N}x.parquet.
        MessagesParquet = "messages-parquet",
        /// Token ids and labels, as Parquet: combined_cut_{N}x.tokens.parquet.
        TokensParquet = "tokens-parquet",
    }
}

impl Format {
    /// The format of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::VALUES.iter().copied().find(|format| format.name() == name)
    }

    /// Whether rows hold token ids and labels.
    pub(crate) fn is_tokens(self) -> bool {
        matches!(self, Self::Tokens | Self::TokensParquet)
    }

    /// Whether rows are stored as Parquet, which compresses its columns itself.
    pub(crate) fn is_parquet(self) -> bool {
        matches!(self, Self::MessagesParquet | Self::TokensParquet)
    }

    /// The ending of a file's name, without that of its compression.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Messages => ".jsonl",
            Self::Tokens => ".tokens.jsonl",
            Self::MessagesParquet => ".parquet",
            Self::TokensParquet => ".tokens.parquet",
        }
    }
}

choice! {
    /// How the mixes are compressed.
    Compression, default None {
        /// Plain files: .jsonl.
        None = "none",
        /// Gzip: .jsonl.gz.
        Gzip = "gzip",
        /// Zstandard: .jsonl.zst.
        Zstd = "zstd",
    }
}

impl Compression {
    /// The codec of a whole file of a format. Parquet compresses its columns itself.
    pub(crate) fn codec(self, format: Format) -> Codec {
        match self {
            _ if format.is_parquet() => Codec::None,
            Self::None => Codec::None,
            Self::Gzip => Codec::Gzip,
            Self::Zstd => Codec::Zstd,
        }
    }
}

choice! {
    /// Whether document mixes are made of the QA sources.
    Documents, default No {
        /// No: only sources of documents have document mixes.
        No = "false",
        /// Yes, beside the mixes of conversations.
        Also = "true",
        /// Yes, and no other mixes are written.
        Only = "only",
    }
}

choice! {
    /// Whether document mixes hold the raw documents.
    RawDocuments, default None {
        /// No.
        None = "none",
        /// Each of them once.
        Once = "once",
    }
}

choice! {
    /// What happens to a cut size that the input cannot fill.
    InfeasibleCuts, default Drop {
        /// Leave the cut out with a warning; fail if no cut is left.
        Drop = "drop",
        /// Write the cut with the summaries that are available.
        Keep = "keep",
        /// Fail at the first such cut.
        Fail = "fail",
    }
}

choice! {
    /// What happens to a row that cannot be read, or that the chat template refuses.
    BadRows, default Fail {
        /// Stop at the first such row.
        Fail = "fail",
        /// Skip such rows, count them by reason and list them in rejected.jsonl.
        Skip = "skip",
    }
}

choice! {
    /// The order of a mix's rows.
    Order, default Natural {
        /// Source by source, each in input order.
        Natural = "natural",
        /// A random order over all sources, set by the seed.
        Shuffle = "shuffle",
    }
}

choice! {
    /// What the fractional part of `repeat` is counted in.
    RepeatUnit, default Sample {
        /// Samples: `0.5` takes half of them, best-ranked first.
        Sample = "sample",
        /// Documents: `0.5` takes all samples of half of the documents.
        Document = "document",
    }
}

choice! {
    /// What happens if the data cannot fill a share or a budget.
    OnShortfall, default Fail {
        /// Fail with the numbers; nothing is written.
        Fail = "fail",
        /// Use what is available; the report shows the shortfall.
        Cap = "cap",
    }
}

choice! {
    /// What happens to samples with more tokens than `max_tokens`.
    OnLong, default Drop {
        /// Drop and count them.
        Drop = "drop",
        /// Keep them; the report counts them.
        Keep = "keep",
    }
}

choice! {
    /// What happens to samples with exactly the same messages.
    OnDuplicate, default Keep {
        /// Keep the best-ranked sample, drop and count the others.
        Drop = "drop",
        /// Keep all of them.
        Keep = "keep",
    }
}
