//! `sample`: prints conversations or documents of a finished mix.

use super::print::{print, print_painted};
use super::session::Session;
use crate::cli::SampleArguments;
use crate::colour::has_colours;
use crate::error::Result;
use crate::manifest::MixKind;
use crate::pipeline::{self, SampleOptions, Samples};
use crate::report::conversation;
use crate::report::format::{counted, line};
use crate::settings;
use crate::storage::Location;

pub(super) async fn run(arguments: &SampleArguments, session: &Session<'_>) -> Result<()> {
    let mix = Location::parse(&arguments.mix)?;
    let chat_template = arguments.chat_template.as_deref().map(Location::parse).transpose();
    let options = SampleOptions {
        count: arguments.count.into(),
        source: arguments.source.clone(),
        cut: arguments.cut,
        flagged: arguments.flagged,
        seed: arguments.seed,
        tokenizer: arguments.tokenizer_model.as_deref().map(settings::tokenizer_model).transpose()?,
        chat_template: chat_template.map_err(|error| error.at("--chat-template"))?,
    };
    let Samples { file, kind, rendering, samples } = pipeline::sample(&mix, options, &session.context()?).await?;
    let which = match (&arguments.source, arguments.flagged) {
        (Some(source), true) => format!(" of {} with a flag", line(source)),
        (Some(source), false) => format!(" of {}", line(source)),
        (None, true) => " with a flag".to_owned(),
        (None, false) => String::new(),
    };
    let count = match kind {
        MixKind::Chat => counted(samples.len() as u64, "sample", "samples"),
        MixKind::Document => counted(samples.len() as u64, "document", "documents"),
    };
    let head = format!(
        "{}: {count}{which}, {}\nthe trainer learns from lines that begin with |\n",
        line(&file),
        line(&rendering)
    );
    let has_colours = has_colours(&std::io::stdout());
    let text = head + &conversation::text(&samples, has_colours);
    if has_colours { print_painted(&text) } else { print(&text) }
}
