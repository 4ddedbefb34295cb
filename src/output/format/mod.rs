//! File formats: how samples become rows, and rows become a file.

mod encoding;
mod jsonl;

pub(super) use encoding::{FileAssembler, RowEncoder};

use crate::recipe::Source;
use crate::sample::RowLayout;
use crate::text::TextStore;

/// A file format of mixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON lines with the conversation's messages.
    MessagesJsonl,
}

impl Format {
    /// The ending of a file's name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::MessagesJsonl => ".jsonl",
        }
    }

    /// An encoder for a batch of neighbouring samples.
    pub(crate) fn encoder<'r>(
        self,
        layout: &'r RowLayout,
        sources: &'r [Source],
        texts: &'r TextStore,
    ) -> Box<dyn RowEncoder + 'r> {
        match self {
            Self::MessagesJsonl => Box::new(jsonl::JsonLines::new(layout, sources, texts)),
        }
    }

    /// An assembler for one file.
    pub(crate) fn assembler(self) -> Box<dyn FileAssembler> {
        match self {
            Self::MessagesJsonl => Box::new(jsonl::Concatenation),
        }
    }
}
