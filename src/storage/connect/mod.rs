//! Opens the store of a bucket with the environment's credentials and options.

mod azure;
pub(crate) mod client;
mod connector;
mod credentials;
mod google;
mod options;
mod s3;

use super::environment::Environment;
use super::location::{Bucket, Scheme};
use super::options::StorageOptions;
use crate::error::Result;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use std::sync::Arc;

/// What a store must support. All of `object_store`'s cloud stores do.
pub trait Store: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Store for T {}

/// An open store and the warnings about its options.
pub(crate) struct OpenedStore {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) warnings: Vec<String>,
}

/// Opens the store of a bucket.
pub(crate) async fn open(bucket: &Bucket, options: &StorageOptions, environment: &Environment) -> Result<OpenedStore> {
    let mut warnings = Vec::new();
    let store: Arc<dyn Store> = match bucket.scheme {
        Scheme::Memory => Arc::new(InMemory::new()),
        Scheme::S3 | Scheme::Minio => Arc::new(s3::open(bucket, options, environment, &mut warnings).await?),
        Scheme::Google => Arc::new(google::open(bucket, options, environment, &mut warnings)?),
        Scheme::Azure | Scheme::AzureDataLake => Arc::new(azure::open(bucket, options, environment, &mut warnings)?),
    };
    Ok(OpenedStore { store, warnings })
}
