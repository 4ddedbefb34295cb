//! `mix`: writes the training files.

use super::print::print_table;
use super::session::Session;
use crate::error::Result;
use crate::manifest::MANIFEST_NAME;
use crate::pipeline;
use crate::report::wording::RunKind;
use crate::settings::SettingValues;
use crate::workflow::next_step::trainer_warning;
use crate::workflow::parameters::{self, OutputParameters};

pub(super) async fn run(given: &SettingValues, session: &Session<'_>) -> Result<()> {
    let (settings, context) = session.prepare(given).await?;
    if let Some(folder) = &settings.output_parameters {
        parameters::create_folder(folder)?;
        // A workflow engine reads the parameters: a next step gets the file of the selected cut.
        if let Some(warning) = trainer_warning(settings.selected_format, settings.compression, false) {
            context.warnings.warn(warning);
        }
    }
    let outcome = pipeline::mix(&settings, &context).await?;
    if let Some(folder) = &settings.output_parameters {
        OutputParameters::of(&outcome.manifest, outcome.selected_cut)?.write(folder)?;
    }
    session.progress.info(&format!("the mix is complete: {}", settings.output.join(MANIFEST_NAME)));
    if session.progress.is_quiet() { Ok(()) } else { print_table(&outcome, RunKind::Mix) }
}
