//! The library in this process: as the program, without a process for each run.

use knowledge_mixing::Result;
use knowledge_mixing::cli::SettingArguments;
use knowledge_mixing::progress::Progress;
use knowledge_mixing::run::{self, Context, Outcome};
use knowledge_mixing::settings::{Environment, Settings};
use knowledge_mixing::storage::{Storage, StorageOptions};

/// `mix` with these arguments and nothing from the environment.
pub fn mix(arguments: &SettingArguments, threads: usize) -> Result<Outcome> {
    let settings = Settings::resolve(arguments, None, &Environment::new())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let storage = Storage::with_environment(StorageOptions::default(), Default::default());
        let context = Context::new(storage, Progress::silent(), threads)?;
        run::mix(&settings, &context).await
    })
}
