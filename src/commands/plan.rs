//! `plan`: shows what `mix` would write.

use super::print::{print, print_table};
use super::session::Session;
use crate::cli::{PlanArguments, PlanFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{self, Outcome};
use crate::report::wording::RunKind;
use crate::workflow::parameters::{self, OutputParameters};
use crate::workflow::trainer;

pub(super) async fn run(arguments: &PlanArguments, session: &Session<'_>) -> Result<()> {
    let (settings, context) = session.prepare(&arguments.settings).await?;
    if let Some(folder) = &settings.output_parameters {
        parameters::create_folder(folder)?;
    }
    trainer::check_step(&settings, &context.warnings);
    let (outcome, shortfall) = pipeline::plan(&settings, &context).await?;
    if let Some(folder) = &settings.output_parameters {
        OutputParameters::of(&outcome.manifest, outcome.selected_cut)?.with_figures(&outcome.metrics).write(folder)?;
    }
    match arguments.format {
        PlanFormat::Table => print_table(&outcome, RunKind::Plan)?,
        PlanFormat::Json => print(&json(&outcome)?)?,
    }
    shortfall
}

/// The plan for programs: the manifest, as far as it is known before anything is written, and the metrics.
fn json(outcome: &Outcome) -> Result<String> {
    let Outcome { manifest, metrics, selected_cut, statistics, .. } = outcome;
    let not_json =
        |error: serde_json::Error| Error::new(ErrorKind::Bug, "cannot write the plan as JSON").caused_by(error);
    let mut manifest = serde_json::to_value(manifest).map_err(not_json)?;
    // What is decided when a mix is published.
    if let Some(manifest) = manifest.as_object_mut() {
        manifest.retain(|key, _| key != "state" && key != "run");
    }
    let plan = serde_json::json!({
        "manifest": manifest,
        "metrics": metrics,
        "selected_cut": selected_cut,
        "warnings": statistics.warnings,
    });
    serde_json::to_string_pretty(&plan).map(|text| text + "\n").map_err(not_json)
}
