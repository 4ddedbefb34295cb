//! `verify`: checks a mix against its manifest.

use super::print::print;
use super::session::Session;
use crate::cli::VerifyArguments;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{self, DeepOptions, DeeplyVerified, RUN_AGAIN, Verified};
use crate::progress::ProgressUnit;
use crate::report::format::{counted, line};
use crate::settings;
use crate::storage::Location;

pub(super) async fn run(arguments: &VerifyArguments, session: &Session<'_>) -> Result<()> {
    let mix = Location::parse(&arguments.mix)?;
    if arguments.deep {
        return run_deep(&mix, arguments, session).await;
    }
    let bar = |bytes| session.progress.bar("verifying", bytes, ProgressUnit::Bytes);
    let verified = pipeline::verify(&session.storage, &mix, &bar).await?;
    print(&(complete(&mix, verified) + "\n"))
}

fn complete(mix: &Location, verified: Verified) -> String {
    let Verified { files, bytes, rows } = verified;
    format!("{mix}: complete: {files} files, {bytes} bytes and {rows} rows match the manifest")
}

async fn run_deep(mix: &Location, arguments: &VerifyArguments, session: &Session<'_>) -> Result<()> {
    let chat_template = arguments.chat_template.as_deref().map(Location::parse).transpose();
    let options = DeepOptions {
        tokenizer: arguments.tokenizer_model.as_deref().map(settings::tokenizer_model).transpose()?,
        chat_template: chat_template.map_err(|error| error.at("--chat-template"))?,
    };
    let found = pipeline::verify_deep(mix, options, &session.context()?).await?;
    let DeeplyVerified { verified, counting, differences } = found;
    if differences.is_empty() {
        return print(&format!("{}, and so do all figures; {}\n", complete(mix, verified), line(&counting)));
    }
    print(&differences.iter().map(|difference| line(difference) + "\n").collect::<String>())?;
    let count = counted(differences.len() as u64, "difference", "differences");
    let message = format!("the figures of the mix are not those of its rows: {count} (see standard output)");
    Err(Error::new(ErrorKind::Data, message).at(mix).hint(RUN_AGAIN))
}
