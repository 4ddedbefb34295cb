//! Counts the tokens of samples.

use super::context::Context;
use crate::error::{Error, Result};
use crate::input::Places;
use crate::manifest::MixKind;
use crate::mixing::Row;
use crate::progress::ProgressUnit;
use crate::recipe::Source;
use crate::sample::{Body, Sample};
use crate::text::TextStore;
use crate::tokens::{ChatTemplate, Counter, DocumentEncoder, TextSource, TrainingEncoder, TrainingLength};
use crate::watchdog::NamedRows;
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Renders and counts samples.
pub(super) struct SampleCounter<'c> {
    pub(super) context: &'c Context,
    pub(super) sources: &'c [Source],
    pub(super) samples: &'c [Sample],
    pub(super) texts: &'c TextStore,
    pub(super) template: &'c ChatTemplate,
    /// Where the samples are from.
    pub(super) places: &'c Arc<Places>,
}

impl SampleCounter<'_> {
    /// The kind of mix that the sample at a place can be in.
    pub(super) fn mix_of(&self, at: u32) -> MixKind {
        self.sources[self.samples[at as usize].source as usize].kind.mix()
    }

    /// The token lengths of the samples at these places, in their order; returns what counted them.
    pub(super) fn count(&self, counter: &Counter, places: &[u32]) -> Result<(Vec<u32>, String)> {
        let bar = self.context.progress.bar("counting", places.len() as u64, ProgressUnit::Rows);
        let progress = bar.counter();
        let done = AtomicUsize::new(0);
        let texts = TextSource {
            count: places.len(),
            text: &|number, out| self.render(places[number], out),
            progress: &|count| {
                let before = done.fetch_max(count, Ordering::Relaxed);
                progress.advance(count.saturating_sub(before) as u64);
            },
            check: &|| Ok(()),
        };
        let _named = self.name_rows();
        let counted = counter
            .encode_all(&texts, |_, length| length, &self.context.pool)
            .map_err(|error| self.first_refused(places).unwrap_or(error))?;
        if let Some(fallback) = counted.fallback {
            self.context.warnings.warn(fallback);
        }
        if let Some(info) = counted.info {
            self.context.progress.info(&info);
        }
        Ok((counted.values, counted.backend.to_string()))
    }

    /// Counts the samples of rows into their records; returns what counted them.
    pub(super) fn count_rows(&self, counter: &Counter, rows: &mut [Row], places: &[u32]) -> Result<String> {
        let (lengths, counted_by) = self.count(counter, places)?;
        for (at, length) in places.iter().zip(lengths) {
            rows[*at as usize].record.tokens = length;
        }
        Ok(counted_by)
    }

    /// Counts what the trainer makes of the samples at these places into the records of their rows.
    pub(super) fn count_training_tokens(
        &self,
        encoder: &TrainingEncoder,
        rows: &mut [Row],
        places: &[u32],
    ) -> Result<()> {
        for (at, length) in places.iter().zip(self.training_lengths(encoder, places)?) {
            let record = &mut rows[*at as usize].record;
            (record.train_tokens, record.loss_tokens) = (length.tokens, length.loss_tokens);
        }
        Ok(())
    }

    /// What the trainer makes of the samples at these places, in their order.
    pub(super) fn training_lengths(&self, encoder: &TrainingEncoder, places: &[u32]) -> Result<Vec<TrainingLength>> {
        let bar = self.context.progress.bar("counting for the trainer", places.len() as u64, ProgressUnit::Rows);
        let progress = bar.counter();
        let done = AtomicUsize::new(0);
        let conversation = |number: usize| {
            NamedRows::begin(places[number].into());
            let sample = &self.samples[places[number] as usize];
            let source = &self.sources[sample.source as usize];
            let kind = sample.body.kind();
            (kind.conversation(source, self.texts), kind.is_unmasked(source))
        };
        let advance = |count| {
            let before = done.fetch_max(count, Ordering::Relaxed);
            progress.advance(count.saturating_sub(before) as u64);
        };
        let _named = self.name_rows();
        let counted = encoder.lengths(self.template, places.len(), &conversation, &advance, &self.context.pool)?;
        if let Some(fallback) = counted.fallback {
            self.context.warnings.warn(fallback);
        }
        Ok(counted.lengths)
    }

    /// Counts the documents at these places into the records of their rows; returns what counted them. A trainer reads a document
    /// as it is counted here, and learns from all of it.
    pub(super) fn count_documents(
        &self,
        encoder: &DocumentEncoder,
        rows: &mut [Row],
        places: &[u32],
    ) -> Result<String> {
        let bar = self.context.progress.bar("counting documents", places.len() as u64, ProgressUnit::Rows);
        let progress = bar.counter();
        let done = AtomicUsize::new(0);
        let text = |number: usize| {
            NamedRows::begin(places[number].into());
            match self.samples[places[number] as usize].body {
                Body::Document(document) => self.texts.get(document.text),
                Body::Pair(_) | Body::Chat(_) => "",
            }
        };
        let advance = |count| {
            let before = done.fetch_max(count, Ordering::Relaxed);
            progress.advance(count.saturating_sub(before) as u64);
        };
        let _named = self.name_rows();
        let counted = encoder.lengths(places.len(), &text, &advance, &self.context.pool)?;
        if let Some(fallback) = counted.fallback {
            self.context.warnings.warn(fallback);
        }
        for (at, length) in places.iter().zip(counted.lengths) {
            let record = &mut rows[*at as usize].record;
            (record.tokens, record.train_tokens, record.loss_tokens) = (length, length, length);
        }
        Ok(counted.backend.to_string())
    }

    /// Has the watchdog name the rows that are counted, until it is dropped.
    fn name_rows(&self) -> NamedRows {
        let places = Arc::clone(self.places);
        NamedRows::new(move |row| places.of(row as usize))
    }

    /// The error of the first of these samples that cannot be rendered: threads meet others before it.
    fn first_refused(&self, places: &[u32]) -> Option<Error> {
        let refused = |at: &u32| self.render(*at, &mut String::new()).err();
        self.context.pool.install(|| places.par_iter().find_map_first(refused))
    }

    /// Appends a sample's conversation as the chat template renders it, or its document.
    pub(super) fn render(&self, at: u32, out: &mut String) -> Result<()> {
        let sample = &self.samples[at as usize];
        let source = &self.sources[sample.source as usize];
        NamedRows::begin(at.into());
        let rendered = self.template.render_into(&sample.body.kind().conversation(source, self.texts), out);
        rendered.map_err(|error| match self.places.of(at as usize) {
            Some(place) => error.and(&format!("the row is {place}")),
            None => error,
        })
    }
}
