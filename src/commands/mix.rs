//! `mix`: writes the training files.

use super::print::print_mix;
use super::session::Session;
use crate::error::Result;
use crate::manifest::MANIFEST_NAME;
use crate::pipeline;
use crate::settings::SettingValues;
use crate::workflow::mix_result::selected_file;
use crate::workflow::parameters::{self, OutputParameters};
use crate::workflow::trainer;
use std::time::Instant;

pub(super) async fn run(given: &SettingValues, session: &Session<'_>) -> Result<()> {
    let (settings, context) = session.prepare(given).await?;
    if let Some(folder) = &settings.output_parameters {
        parameters::create_folder(folder)?;
    }
    trainer::check_step(&settings, &context.warnings);
    let start = Instant::now();
    let outcome = pipeline::mix(&settings, &context).await?;
    if let Some(folder) = &settings.output_parameters {
        let file = selected_file(&outcome.manifest, outcome.selected_cut, settings.selected_format)?;
        OutputParameters::of(&outcome.manifest, outcome.selected_cut)?
            .with_dataset(&settings.output, file)
            .with_figures(&outcome.metrics)
            .write(folder)?;
        parameters::write_reports(folder, &outcome.report_html, &outcome.summary_md, &outcome.metrics)?;
    }
    if !session.progress.is_json() {
        session.progress.info(&format!("the mix is complete: {}", settings.output.join(MANIFEST_NAME)));
    }
    print_mix(&outcome, &settings, start.elapsed(), session.progress);
    Ok(())
}
