//! What the tests and benchmarks of this repository use. Not an interface for other crates: it changes without notice.

pub use crate::error::{Error, ErrorKind, Result};
pub use crate::manifest::{Manifest, MixState};
pub use crate::storage::hub::{HubSnapshot, fetch_tokenizer};
pub use crate::storage::{
    Environment, Location, ManifestHead, ObjectInfo, Publication, PublishOptions, Published, Sink, StagedFile, Storage,
    StorageOptions, Store, install_tls_provider,
};

pub mod fuzz;
pub mod hot_paths;

use crate::cli::{self, Command};
use crate::pipeline::{self, Context};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::warnings::Warnings;

/// Runs `mix` in this process, without the process's environment: `arguments` are those of the command line, after `mix`.
///
/// # Errors
/// What `mix` itself would report; a usage error for arguments that do not parse.
pub fn mix(arguments: &[String]) -> Result<Manifest> {
    let program = ["knowledge-mixing".to_owned(), "mix".to_owned()];
    let parsed = cli::parse(program.iter().chain(arguments).map(Into::into));
    let Ok(Command::Mix(arguments)) = parsed.map(|cli| cli.command) else {
        return Err(Error::new(ErrorKind::Usage, "these are not arguments of mix"));
    };
    let settings = Settings::resolve(&arguments.settings, None, &Default::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(ErrorKind::Io, "cannot start").caused_by(error))?;
    runtime.block_on(async {
        let storage = Storage::with_environment(StorageOptions::default(), Environment::default());
        let context = Context::new(storage, Progress::silent(), Warnings::silent(), settings.threads)?;
        Ok(pipeline::mix(&settings, &context).await?.manifest)
    })
}
