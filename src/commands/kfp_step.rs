//! `kfp-step`: runs `mix` as a step of a Kubeflow pipeline.

use super::print::print_table;
use super::session::Session;
use crate::cli::KfpStepArguments;
use crate::error::Result;
use crate::pipeline;
use crate::report::wording::RunKind;
use crate::workflow::kfp_step::{Finished, Step};

pub(super) async fn run(arguments: &KfpStepArguments, session: &Session<'_>) -> Result<()> {
    let step = Step::prepare(&arguments.executor_input)?;
    let outcome = run_step(&step, session).await;
    if outcome.is_err() {
        step.abandon();
    }
    outcome
}

async fn run_step(step: &Step, session: &Session<'_>) -> Result<()> {
    let (settings, context) = session.prepare(step.settings()).await?;
    let outcome = pipeline::mix(&settings, &context).await?;
    if !session.progress.is_quiet() {
        print_table(&outcome, RunKind::Mix)?;
    }
    step.publish(&Finished {
        manifest: outcome.manifest,
        metrics: outcome.metrics,
        report_html: outcome.report_html,
        summary_md: outcome.summary_md,
        selected_cut: outcome.selected_cut,
    })
}
