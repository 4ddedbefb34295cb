//! An in-memory store whose requests a test delays, reorders and loses. After every change it checks that the manifest
//! describes the visible objects.
//!
//! A request continues after its sender has given up, as on a real network. Versions are named by content and times have
//! a resolution of one second, as in S3.

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The kind of a request to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    Read,
    List,
    Put,
    Delete,
    Begin,
    Part,
    Complete,
    Abort,
}

/// Delays a request before the store sees it: called with the request and the object's name.
pub type Delay = dyn Fn(Asked, &str) -> BoxFuture<'static, ()> + Send + Sync;

type Loses = dyn Fn(Asked, &str) -> bool + Send + Sync;
type Landing = dyn Fn(&str) -> BoxFuture<'static, ()> + Send + Sync;

/// The objects, and every visible state that contradicted its manifest.
#[derive(Debug, Default)]
pub struct World {
    inner: InMemory,
    /// Serialises the requests, each with the check after it.
    order: tokio::sync::Mutex<()>,
    lies: Mutex<Vec<String>>,
    log: Mutex<Vec<String>>,
    /// The runs that have held the lease, in the order in which they took it.
    holders: Mutex<Vec<String>>,
    /// The run of the complete manifest that was there after the last change.
    published: Mutex<Option<String>>,
}

/// The connection of one run to the store.
pub struct Line {
    world: Arc<World>,
    run: u64,
    /// Time after which the sender gives up; the store may still carry out the request.
    patience: Duration,
    delay: Arc<Delay>,
    /// Selects the requests that the store carries out but whose responses are lost.
    loses: Option<Box<Loses>>,
    /// Delays the visibility of a completed upload: called with the object's name.
    landing: Option<Box<Landing>>,
}

/// No delay.
pub fn at_once() -> BoxFuture<'static, ()> {
    std::future::ready(()).boxed()
}

impl World {
    /// Connects a run.
    pub fn line(
        self: &Arc<Self>,
        run: u64,
        patience: Duration,
        delay: impl Fn(Asked, &str) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Line {
        Line { world: Arc::clone(self), run, patience, delay: Arc::new(delay), loses: None, landing: None }
    }

    /// Every object by name.
    pub async fn everything(&self) -> Vec<(String, Bytes)> {
        let mut found = Vec::new();
        let listed: Vec<ObjectMeta> = self.inner.list(None).try_collect().await.unwrap();
        for meta in listed {
            let bytes = self.inner.get(&meta.location).await.unwrap().bytes().await.unwrap();
            found.push((meta.location.filename().unwrap().to_string(), bytes));
        }
        found.sort();
        found
    }

    /// The contradictions seen so far, each with the request that caused it.
    pub fn lies(&self) -> Vec<String> {
        self.lies.lock().unwrap().clone()
    }

    /// The changes so far, one per line.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    fn note(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }

    /// Checks the manifest against the objects, and that no mix of a later holder of the lease was taken away. The manifest is a
    /// line `STATE RUN ...`, then lines of `NAME BYTES DIGEST`.
    async fn look(&self, after: &str) {
        let everything = self.everything().await;
        let content = |name: &str| everything.iter().find(|(found, _)| found == name).map(|(_, content)| content);
        if let Some(holder) = content(".knowledge-mixing.lease").and_then(holder) {
            let mut holders = self.holders.lock().unwrap();
            if !holders.contains(&holder) {
                holders.push(holder);
            }
        }
        let manifest = content("manifest.json").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let mut lines = manifest.iter().flat_map(|text| text.lines());
        let head: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        self.check_order(after, &head);
        if head[0] != "complete" {
            return;
        }
        for line in lines {
            let mut words = line.split(' ');
            let (name, _, digest) = (words.next().unwrap_or_default(), words.next(), words.next().unwrap_or_default());
            let found = content(name).map(|content| blake3::hash(content).to_hex().to_string());
            if found.as_deref() != Some(digest) {
                self.lies.lock().unwrap().push(format!("after {after}: {name} does not match the manifest"));
            }
        }
    }

    fn check_order(&self, after: &str, head: &[&str]) {
        let holders = self.holders.lock().unwrap();
        let place = |run: &str| holders.iter().position(|holder| holder == run);
        let now = head.get(1).copied().unwrap_or_default();
        let mut published = self.published.lock().unwrap();
        if published.as_deref().is_some_and(|before| before != now && place(now) < place(before)) {
            self.lies
                .lock()
                .unwrap()
                .push(format!("after {after}: the mix of a later holder of the lease was taken away"));
        }
        *published = (head[0] == "complete").then(|| now.to_owned());
    }

    async fn version(&self, path: &Path) -> Option<String> {
        let bytes = self.inner.get(path).await.ok()?.bytes().await.ok()?;
        Some(format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..16]))
    }
}

/// The run that holds a lease.
fn holder(lease: &Bytes) -> Option<String> {
    let lease: serde_json::Value = serde_json::from_slice(lease).ok()?;
    lease["run"].as_str().map(str::to_owned)
}

impl Line {
    /// Completed uploads become visible only after this delay.
    pub fn landing_late(mut self, landing: impl Fn(&str) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        self.landing = Some(Box::new(landing));
        self
    }

    /// The responses to these requests are lost.
    pub fn losing(mut self, loses: impl Fn(Asked, &str) -> bool + Send + Sync + 'static) -> Self {
        self.loses = Some(Box::new(loses));
        self
    }

    async fn ask<T: Send + 'static>(
        &self,
        asked: Asked,
        path: &Path,
        work: impl FnOnce(Arc<World>) -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let name = path.filename().unwrap_or_default().to_string();
        let (delay, world, run) = ((self.delay)(asked, &name), Arc::clone(&self.world), self.run);
        let task = tokio::spawn(async move {
            delay.await;
            let _guard = world.order.lock().await;
            let done = work(Arc::clone(&world)).await;
            if !matches!(asked, Asked::Read | Asked::List | Asked::Part | Asked::Begin) {
                let what = format!("run {run}: {asked:?} {name}");
                let outcome = done.as_ref().err().map(|error| error.to_string()).unwrap_or_default();
                world.note(format!("{what} {outcome}"));
                world.look(&what).await;
            }
            done
        });
        let lost = self.loses.as_ref().is_some_and(|loses| loses(asked, path.filename().unwrap_or_default()));
        match tokio::time::timeout(self.patience, task).await {
            Ok(done) if !lost => done.expect("the store does not panic"),
            _ => Err(no_answer()),
        }
    }
}

fn no_answer() -> Error {
    Error::Generic { store: "world", source: "status code: 503 no response".into() }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connection of run {}", self.run)
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

#[async_trait]
impl ObjectStore for Line {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let at = path.clone();
        self.ask(Asked::Put, path, move |world| {
            async move {
                let current = world.version(&at).await;
                let refused = |what: &str| -> Box<dyn std::error::Error + Send + Sync> { what.to_string().into() };
                match &options.mode {
                    PutMode::Create if current.is_some() => {
                        return Err(Error::AlreadyExists { path: at.to_string(), source: refused("it exists") });
                    }
                    PutMode::Update(version) if version.e_tag != current => {
                        return Err(Error::Precondition { path: at.to_string(), source: refused("another version") });
                    }
                    _ => options.mode = PutMode::Overwrite,
                }
                let put = world.inner.put_opts(&at, payload, options).await?;
                Ok(PutResult { e_tag: world.version(&at).await, ..put })
            }
            .boxed()
        })
        .await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("the program uploads with `MultipartStore`")
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let at = path.clone();
        self.ask(Asked::Read, path, move |world| {
            async move {
                let mut got = world.inner.get_opts(&at, options).await?;
                got.meta.e_tag = world.version(&at).await;
                got.meta.last_modified =
                    chrono::DateTime::from_timestamp(got.meta.last_modified.timestamp(), 0).unwrap();
                Ok(got)
            }
            .boxed()
        })
        .await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // The stream must not borrow, so it gets a copy of the connection. The program deletes one object at a time.
        let world = Arc::clone(&self.world);
        let (run, patience, delay) = (self.run, self.patience, Arc::clone(&self.delay));
        paths
            .and_then(move |path| {
                let line = Line {
                    world: Arc::clone(&world),
                    run,
                    patience,
                    delay: Arc::clone(&delay),
                    loses: None,
                    landing: None,
                };
                async move {
                    let at = path.clone();
                    line.ask(Asked::Delete, &path, move |world| async move { world.inner.delete(&at).await }.boxed())
                        .await?;
                    Ok(path)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.world.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        self.ask(Asked::List, &prefix.clone(), move |world| {
            async move { world.inner.list_with_delimiter(Some(&prefix)).await }.boxed()
        })
        .await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unreachable!("the program copies nothing")
    }
}

#[async_trait]
impl MultipartStore for Line {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        let at = path.clone();
        self.ask(Asked::Begin, path, move |world| {
            async move { world.inner.create_multipart_opts(&at, options).await }.boxed()
        })
        .await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, index: usize, payload: PutPayload) -> Result<PartId> {
        let (at, id) = (path.clone(), id.clone());
        self.ask(Asked::Part, path, move |world| {
            async move { world.inner.put_part(&at, &id, index, payload).await }.boxed()
        })
        .await
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let (at, id) = (path.clone(), id.clone());
        let Some(landing) = &self.landing else {
            return self
                .ask(Asked::Complete, path, move |world| {
                    async move { world.inner.complete_multipart(&at, &id, parts).await }.boxed()
                })
                .await;
        };
        // The upload is consumed now; the store shows the object later, whether or not the sender still waits.
        let hidden = Path::from(format!("hidden-{id}"));
        let (aside, wait) = (hidden.clone(), landing(path.filename().unwrap_or_default()));
        let accepted = self
            .ask(Asked::Begin, path, move |world| {
                async move { world.inner.complete_multipart(&aside, &id, parts).await }.boxed()
            })
            .await?;
        let (world, run) = (Arc::clone(&self.world), self.run);
        let shown = tokio::spawn(async move {
            wait.await;
            let _guard = world.order.lock().await;
            let got = world.inner.get(&hidden).await?;
            let attributes: Attributes = got.attributes.clone();
            let bytes = got.bytes().await?;
            world.inner.delete(&hidden).await?;
            world.inner.put_opts(&at, bytes.into(), PutOptions { attributes, ..PutOptions::default() }).await?;
            let what = format!("run {run}: landed {at}");
            world.note(what.clone());
            world.look(&what).await;
            Ok(accepted)
        });
        match tokio::time::timeout(self.patience, shown).await {
            Ok(done) => done.expect("the store does not panic"),
            Err(_) => Err(no_answer()),
        }
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let (at, id) = (path.clone(), id.clone());
        self.ask(Asked::Abort, path, move |world| async move { world.inner.abort_multipart(&at, &id).await }.boxed())
            .await
    }
}
