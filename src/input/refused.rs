//! Rejects the samples whose conversation the chat template does not render.

use super::find::InputObject;
use super::ledger::RejectedRow;
use super::read::Artifacts;
use crate::error::{Error, ErrorKind, Result};
use crate::excerpt::excerpt;
use crate::recipe::Source;
use crate::sample::{Body, RejectReason, Sample, TemplateProbe};
use rayon::prelude::*;

impl Artifacts {
    /// Rejects the samples that the template refuses, as if their rows had not been readable: no decision sees them. `files` are those
    /// that were read, with bad rows skipped.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] if it refuses every conversation: then the template is broken, and not the rows.
    pub(crate) fn reject_refused(
        &mut self,
        sources: &[Source],
        files: &[InputObject],
        template: &dyn TemplateProbe,
    ) -> Result<()> {
        let conversations = self.samples.iter().filter(|sample| !matches!(sample.body, Body::Document(_))).count();
        let refusals = self.refusals(sources, template);
        if let Some((at, why)) = refusals.first()
            && refusals.len() == conversations
        {
            let message = format!("the chat template renders no row, not even this one: {why}");
            return Err(Error::new(ErrorKind::Data, message)
                .at(self.places(files).of(*at).unwrap_or_default())
                .hint("fix the template, or pass another one with --chat-template FILE"));
        }
        if !refusals.is_empty() {
            self.reject(refusals, sources, files);
        }
        Ok(())
    }

    /// The places of the samples that the template refuses, in order, and why.
    fn refusals(&self, sources: &[Source], template: &dyn TemplateProbe) -> Vec<(usize, String)> {
        let refusal = |(at, sample): (usize, &Sample)| {
            let conversation = match sample.body {
                Body::Document(_) => return None,
                _ => sample.body.kind().conversation(&sources[sample.source as usize], &self.texts),
            };
            template.refusal(&conversation).map(|why| (at, excerpt(&why).into_owned()))
        };
        self.samples.par_iter().enumerate().filter_map(refusal).collect()
    }

    fn reject(&mut self, refusals: Vec<(usize, String)>, sources: &[Source], files: &[InputObject]) {
        let mut refusals = refusals.into_iter().peekable();
        let (mut old_samples, mut old_rejected) =
            (std::mem::take(&mut self.samples).into_iter(), { std::mem::take(&mut self.rejected).into_iter() });
        let old_origins = std::mem::take(&mut self.origins);
        let mut at = 0;
        for (number, file) in files.iter().enumerate() {
            let ledger = &mut self.ledgers[file.source];
            let mut rejected: Vec<RejectedRow> = old_rejected.by_ref().take(self.rejected_by_file[number]).collect();
            for sample in old_samples.by_ref().take(self.samples_by_file[number]) {
                let origin = old_origins[at];
                match refusals.next_if(|(refused, _)| *refused == at) {
                    None => {
                        self.samples.push(sample);
                        self.origins.push(origin);
                    }
                    Some((_, message)) => {
                        self.samples_by_file[number] -= 1;
                        ledger.kept -= 1;
                        ledger.reasoning_left_out -= u64::from(origin.lacks_reasoning());
                        ledger.drop_rows(RejectReason::TemplateRefused.as_str(), 1);
                        rejected.push(RejectedRow {
                            source: sources[file.source].name.clone(),
                            file: file.key.clone(),
                            line: origin.line().into(),
                            reason: RejectReason::TemplateRefused,
                            message,
                        });
                    }
                }
                at += 1;
            }
            rejected.sort_by_key(|row| row.line);
            self.rejected.extend(rejected);
        }
    }
}
