//! `kfp-step`: runs `mix` as a step of a Kubeflow pipeline.

use super::print::print_mix;
use super::session::Session;
use crate::cli::KfpStepArguments;
use crate::error::Result;
use crate::pipeline;
use crate::workflow::kfp_step::KfpStep;
use crate::workflow::mix_result::MixResult;
use std::time::Instant;

pub(super) async fn run(arguments: &KfpStepArguments, session: &Session<'_>) -> Result<()> {
    let step = KfpStep::prepare(&arguments.executor_input, &session.storage).await?;
    let (settings, context) = session.prepare(step.settings()).await?;
    step.check(&settings, &context.warnings);
    let start = Instant::now();
    let outcome = pipeline::mix(&settings, &context).await?;
    print_mix(&outcome, &settings, start.elapsed(), session.progress);
    let result = MixResult {
        manifest: outcome.manifest,
        metrics: outcome.metrics,
        report_html: outcome.report_html,
        summary_md: outcome.summary_md,
        selected_cut: outcome.selected_cut,
        selected_format: settings.selected_format,
    };
    let (published, storage) = (outcome.published, session.storage.clone());
    let write = move |is_stopping: &dyn Fn() -> bool| {
        let written = step.publish(&result, &storage, is_stopping);
        // Until here, no other run could replace the mix.
        drop(published);
        written
    };
    session.storage.write_files(write).await
}
