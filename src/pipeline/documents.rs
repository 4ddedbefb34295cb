//! Documents that are made of the rows of other sources: each distinct summary of the QA sources, and the raw documents.

use super::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::input::SourceLedger;
use crate::recipe::{Documents, Kind, RawDocuments, Recipe, Source, document_source};
use crate::sample::{Body, Document, Sample};
use crate::text::TextId;
use std::collections::HashSet;

/// The name of the source of raw documents.
const RAW_DOCUMENTS: &str = "raw_documents";

/// Which documents are made.
pub(super) struct MakeOptions<'o> {
    /// Whether documents are made of the QA sources.
    pub(super) documents: Documents,
    /// Whether the raw documents are added.
    pub(super) raw_documents: RawDocuments,
    /// The recipe, which can disable the source of some.
    pub(super) recipe: &'o Recipe,
}

/// The documents of a run that are not rows of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct MadeDocuments {
    /// The sources of such documents.
    pub(crate) sources: Vec<MadeSource>,
    /// Whether the samples that they are made of are in no mix themselves.
    pub(crate) only: bool,
}

/// A source whose documents are made of the rows of other sources.
#[derive(Debug, Clone)]
pub(crate) struct MadeSource {
    /// Its place in the list of sources.
    pub(crate) source: usize,
    /// The places of the sources of whose rows its documents are made.
    pub(crate) of: Vec<usize>,
    /// What of these rows.
    part: Part,
}

/// What of a row becomes a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What its question is about: a summary, a list of facts, a document.
    Context,
    /// The raw document.
    RawDocument,
}

impl MadeSource {
    /// The warning about the source if nothing could be made for it, given what became of the rows of all sources.
    pub(super) fn nothing_made(&self, sources: &[Source], ledgers: &[SourceLedger]) -> Option<String> {
        let is_empty = |at: usize| ledgers[at].kept == 0;
        // The raw documents may be documents of another source already.
        let are_elsewhere = || (0..sources.len()).any(|at| sources[at].kind.is_document() && !is_empty(at));
        if !is_empty(self.source) || self.part == Part::RawDocument && are_elsewhere() {
            return None;
        }
        let of: Vec<&str> = self.of.iter().map(|at| sources[*at].name.as_str()).collect();
        Some(format!("source {}: no documents can be made of {}", sources[self.source].name, of.join(", ")))
    }
}

/// Adds the sources of documents that the settings request and the input does not have. `has_files` says which sources it has.
///
/// # Errors
/// If another source has the name of one of them.
pub(super) fn add_made_sources(
    sources: &mut Vec<Source>,
    has_files: &[bool],
    options: &MakeOptions<'_>,
    context: &Context,
) -> Result<Vec<MadeSource>> {
    let mut made = Vec::new();
    if options.documents != Documents::No {
        for (of, _) in has_files.iter().enumerate().filter(|(_, has_files)| **has_files) {
            if !sources[of].kind.is_qa() {
                continue;
            }
            let name = document_source(&sources[of].name);
            if options.recipe.sources.get(&name).is_some_and(|source| source.enabled == Some(false)) {
                continue;
            }
            let known = sources.iter().position(|source| source.name == name);
            if known.is_some_and(|at| has_files.get(at) == Some(&true)) {
                let of = &sources[of].name;
                context.warnings.warn(format!("source {name} has rows of its own, so no documents are made of {of}"));
                continue;
            }
            let by_cut = sources[of].kind == Kind::SummaryQa;
            let source = made_source(sources, known, &name, by_cut)?;
            made.push(MadeSource { source, of: vec![of], part: Part::Context });
        }
    }
    if options.raw_documents == RawDocuments::Once {
        let of: Vec<usize> = (0..has_files.len()).filter(|at| has_files[*at]).collect();
        let known = sources.iter().position(|source| source.name == RAW_DOCUMENTS);
        if known.is_some_and(|at| has_files.get(at) == Some(&true)) {
            let message = format!(
                "source `{RAW_DOCUMENTS}` has rows of its own, so raw documents cannot be added under this name"
            );
            return Err(Error::new(ErrorKind::Usage, message).at("--raw-documents").hint("rename the source"));
        }
        let source = made_source(sources, known, RAW_DOCUMENTS, false)?;
        made.push(MadeSource { source, of, part: Part::RawDocument });
    }
    Ok(made)
}

/// The place of a source of made documents: one that the recipe describes, or a new one.
fn made_source(sources: &mut Vec<Source>, known: Option<usize>, name: &str, by_cut: bool) -> Result<usize> {
    let Some(at) = known else {
        let mut source = Source::of_made_documents(name, by_cut);
        source.qa_per_doc = source.pairs_per_summary(0);
        sources.push(source);
        return Ok(sources.len() - 1);
    };
    let source = &mut sources[at];
    if !source.kind.is_document() {
        let kind = source.kind.name();
        let message = format!("source `{name}` is of kind {kind}, but documents are made under this name");
        return Err(Error::new(ErrorKind::Usage, message).at("--documents").hint("rename the source"));
    }
    (source.by_cut, source.is_distinct) = (by_cut, true);
    source.qa_per_doc = source.pairs_per_summary(0);
    Ok(at)
}

/// Samples in natural order, and the number of neighbours that are indexed together, with their source.
pub(super) struct Splits {
    pub(super) samples: Vec<Sample>,
    pub(super) counts: Vec<(u32, usize)>,
}

/// Adds the documents that are made of the samples, and counts them.
pub(super) fn make_documents(
    splits: Splits,
    ledgers: &mut [SourceLedger],
    sources: &[Source],
    made: &MadeDocuments,
) -> Splits {
    if made.sources.is_empty() && !made.only {
        return splits;
    }
    let Splits { mut samples, mut counts } = splits;
    let rows = samples.len();
    for source in &made.sources {
        let documents = match source.part {
            Part::Context => contexts(&samples[..rows], &source.of),
            Part::RawDocument => raw_documents(&samples, sources, &source.of),
        };
        let (source, count) = (source.source as u32, documents.len());
        let ledger = &mut ledgers[source as usize];
        (ledger.read, ledger.kept) = (count as u64, count as u64);
        samples.extend(documents.into_iter().map(|document| Sample { source, body: Body::Document(document) }));
        counts.push((source, count));
    }
    if made.only {
        let is_document = |source: u32| sources[source as usize].kind.is_document();
        samples.retain(|sample| is_document(sample.source));
        counts.retain(|(source, _)| is_document(*source));
    }
    // Stable: what comes from files keeps its order.
    samples.sort_by_key(|sample| sample.source);
    counts.sort_by_key(|(source, _)| *source);
    Splits { samples, counts }
}

/// Each distinct context of each raw document, in the order in which they first occur.
fn contexts(samples: &[Sample], of: &[usize]) -> Vec<Document> {
    let mut seen: HashSet<(Option<TextId>, TextId)> = HashSet::new();
    let document = |sample: &Sample| match sample.body {
        Body::Pair(pair) if of.contains(&(sample.source as usize)) => {
            let text = pair.summary?;
            let is_new = seen.insert((pair.raw_document, text));
            is_new.then_some(Document { text, outline: pair.outline, raw_document: pair.raw_document })
        }
        Body::Pair(_) | Body::Chat(_) | Body::Document(_) => None,
    };
    samples.iter().filter_map(document).collect()
}

/// Each distinct raw document, in the order in which they first occur, without those that are whole documents of another source.
fn raw_documents(samples: &[Sample], sources: &[Source], of: &[usize]) -> Vec<Document> {
    let whole = samples.iter().filter(|sample| !sources[sample.source as usize].by_cut);
    let mut seen: HashSet<TextId> = whole
        .filter_map(|sample| match sample.body {
            Body::Document(document) => Some(document.text),
            Body::Pair(_) | Body::Chat(_) => None,
        })
        .collect();
    let document = |sample: &Sample| {
        let (raw_document, outline) = match sample.body {
            Body::Pair(pair) => (pair.raw_document, pair.outline),
            Body::Document(document) => (document.raw_document, document.outline),
            Body::Chat(_) => (None, None),
        };
        let text = raw_document.filter(|_| of.contains(&(sample.source as usize)))?;
        seen.insert(text).then_some(Document { text, outline, raw_document })
    };
    samples.iter().filter_map(document).collect()
}
