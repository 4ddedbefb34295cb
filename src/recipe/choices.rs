//! The settings that are one of a few words, the same in a recipe and on the command line.

use crate::codec::Codec;
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the rows of a source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Question-answer pairs about a summary of a raw document; cuts choose among the summaries.
    SummaryQa,
    /// Question-answer pairs about one fact; the context is the outline alone.
    FactQa,
    /// Question-answer pairs about a whole raw document.
    DocumentQa,
    /// Ready chats.
    Messages,
}

impl Kind {
    /// Its name in a recipe and in the manifest.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SummaryQa => "summary_qa",
            Self::FactQa => "fact_qa",
            Self::DocumentQa => "document_qa",
            Self::Messages => "messages",
        }
    }
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ValueEnum,
        )]
        #[serde(rename_all = "snake_case")]
        #[value(rename_all = "snake_case")]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Its name in a recipe, on the command line and in the manifest.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

choice! {
    /// Which columns are written.
    Columns {
        /// All of them.
        #[default]
        Full = "full",
        /// All that the trainer reads: `messages`, `unmask`, `token_length`; an eighth of the bytes.
        Training = "training",
    }
}

choice! {
    /// How the mixes are compressed.
    Compression {
        /// Plain JSON lines.
        #[default]
        None = "none",
        /// `.jsonl.gz`
        Gzip = "gzip",
        /// `.jsonl.zst`
        Zstd = "zstd",
    }
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

choice! {
    /// What becomes of cuts that the data cannot fill.
    InfeasibleCuts {
        /// They are left out, with a warning; an error only where none is left.
        #[default]
        Drop = "drop",
        /// They are written with the summaries that there are.
        Keep = "keep",
        /// The first one is an error.
        Fail = "fail",
    }
}

choice! {
    /// What becomes of rows that cannot be read.
    BadRows {
        /// The first one is an error.
        #[default]
        Fail = "fail",
        /// They are counted by reason and written to `rejected.jsonl`.
        Skip = "skip",
    }
}

choice! {
    /// The order of a mix's rows.
    Order {
        /// Source by source, each in input order.
        #[default]
        Natural = "natural",
        /// A seeded order over all of them.
        Shuffle = "shuffle",
    }
}

choice! {
    /// What the part of a `repeat` is counted in.
    RepeatUnit {
        /// Samples: `0.5` is half of them, the best-ranked first.
        #[default]
        Sample = "sample",
        /// Documents: `0.5` is all samples of half of the documents.
        Document = "document",
    }
}

choice! {
    /// What becomes of a share or a budget that the data cannot fill.
    OnShortfall {
        /// An error that gives the numbers; nothing is written.
        #[default]
        Fail = "fail",
        /// The source gives what it has, and the report says by how much it stays behind.
        Cap = "cap",
    }
}

choice! {
    /// What becomes of samples that are longer than `max_tokens`.
    OnLong {
        /// They are dropped, and counted.
        #[default]
        Drop = "drop",
        /// They stay; the report counts them.
        Keep = "keep",
    }
}

choice! {
    /// What becomes of samples whose messages another sample has, word for word.
    OnDuplicate {
        /// The best-ranked stays, the others are dropped, and counted.
        Drop = "drop",
        /// They stay.
        #[default]
        Keep = "keep",
    }
}
