//! `stats`: prints what files of messages hold.

use super::print::print;
use super::session::Session;
use crate::cli::{StatsArguments, TextFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{self, StatsOptions};
use crate::settings;
use crate::storage::Location;

pub(super) async fn run(arguments: &StatsArguments, session: &Session<'_>) -> Result<()> {
    let chat_template = arguments.chat_template.as_deref().map(Location::parse).transpose();
    let options = StatsOptions {
        files: arguments.files.iter().map(|file| Location::parse(file)).collect::<Result<_>>()?,
        tokenizer: settings::tokenizer_model(&arguments.tokenizer_model)?,
        chat_template: chat_template.map_err(|error| error.at("--chat-template"))?,
        max_seq_len: arguments.max_seq_len,
        loss_tokens: arguments.loss_tokens,
    };
    let statistics = pipeline::stats(options, &session.context()?).await?;
    match arguments.format {
        TextFormat::Text => print(&statistics.text()),
        TextFormat::Json => {
            let text = serde_json::to_string_pretty(&statistics.json());
            let text = text
                .map_err(|error| Error::new(ErrorKind::Bug, "cannot write the statistics as JSON").caused_by(error))?;
            print(&(text + "\n"))
        }
    }
}
