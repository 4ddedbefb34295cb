//! The journal of the uploads that a run has begun, by which other runs abort what a killed run leaves.

use super::records::{JournalEntry, journal_content, journal_name};
use super::run::{CONCURRENT_REQUESTS, Run};
use crate::error::Result;
use crate::hash_map::lock;
use crate::storage::location::Location;
use crate::storage::remote::object_path;
use futures::StreamExt;
use object_store::MultipartId;
use object_store::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The uploads that a run has begun, in memory and as an object in the output.
pub(super) struct UploadJournal {
    run: Arc<Run>,
    uploads: Mutex<Uploads>,
    /// Number of uploads that the object lists. Locked while the object is written.
    recorded: tokio::sync::Mutex<usize>,
    may_exist: AtomicBool,
}

#[derive(Default)]
struct Uploads {
    /// Uploads that are neither completed nor aborted.
    open: Vec<JournalEntry>,
    /// Number of uploads that were ever begun.
    begun: usize,
}

/// An upload without any parts yet.
pub(super) struct BegunUpload {
    pub(super) location: Location,
    pub(super) path: Path,
    pub(super) id: MultipartId,
}

impl UploadJournal {
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self {
            run,
            uploads: Mutex::default(),
            recorded: tokio::sync::Mutex::default(),
            may_exist: AtomicBool::new(false),
        }
    }

    /// Begins an upload and records it.
    pub(super) async fn begin(self: &Arc<Self>, name: &str) -> Result<BegunUpload> {
        let (journal, name) = (Arc::clone(self), name.to_string());
        let begin = async move {
            let run = &journal.run;
            let location = run.output.join(&name);
            let path = object_path(&location)?;
            let id = run.create_upload(&path).await.map_err(|error| run.remote.error(&error, &location))?;
            let number = {
                let mut uploads = lock(&journal.uploads);
                uploads.open.push(JournalEntry { id: id.clone(), name });
                uploads.begun += 1;
                uploads.begun
            };
            journal.record(number).await?;
            Ok(BegunUpload { location, path, id })
        };
        self.run.run_tracked(begin).await
    }

    /// Writes the journal unless it lists the upload with this number. Uploads that are begun while the object is being
    /// written share the next write.
    async fn record(&self, number: usize) -> Result<()> {
        let mut recorded = self.recorded.lock().await;
        if *recorded >= number {
            return Ok(());
        }
        let (content, begun) = {
            let uploads = lock(&self.uploads);
            (journal_content(&uploads.open), uploads.begun)
        };
        self.may_exist.store(true, Ordering::Release);
        self.run.put_record(&journal_name(&self.run.options, &self.run.id), content).await?;
        *recorded = begun;
        Ok(())
    }

    /// Forgets an upload that is completed.
    pub(super) fn forget(&self, id: &MultipartId) {
        lock(&self.uploads).open.retain(|entry| entry.id != *id);
    }

    /// Aborts every open upload, then removes the object, as far as the store responds.
    pub(super) async fn abort_uploads(&self) {
        let open = std::mem::take(&mut lock(&self.uploads).open);
        let aborts = open.into_iter().map(|entry| async move { self.run.abort_upload(&entry.name, &entry.id).await });
        let mut aborts = futures::stream::iter(aborts).buffer_unordered(CONCURRENT_REQUESTS);
        let mut all_aborted = true;
        while let Some(aborted) = aborts.next().await {
            all_aborted &= aborted.is_ok();
        }
        // The journal stays if an upload may be left, for the next run to abort.
        if all_aborted && self.may_exist.load(Ordering::Acquire) {
            let _ = self.run.delete(&journal_name(&self.run.options, &self.run.id)).await;
        }
    }
}
