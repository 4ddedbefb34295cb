//! Opens Google Cloud Storage.

use super::client::store_client;
use super::options::{invalid_option, no_retries, without_effect};
use crate::error::Result;
use crate::storage::environment::Environment;
use crate::storage::location::Bucket;
use crate::storage::options::StorageOptions;
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey};

/// Opens a bucket.
pub(super) fn open(
    bucket: &Bucket,
    options: &StorageOptions,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<GoogleCloudStorage> {
    let base_url = environment.first(&["GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"]);
    let is_plain = base_url.is_some_and(|url| url.starts_with("http://"));
    let client = store_client(options, environment)?.with_allow_http(is_plain);
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(client);
    if let Some(path) = environment.get("SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (name, value) in environment.with_prefix("GOOGLE_") {
        match name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            Ok(GoogleConfigKey::Bucket | GoogleConfigKey::BaseUrl) => {}
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) if name == "GOOGLE_CLOUD_PROJECT" => {}
            Err(_) => warnings.push(without_effect(name, None)),
        }
    }
    if let Some(url) = base_url {
        builder = builder.with_base_url(url);
    }
    builder
        .with_bucket_name(&bucket.name)
        .with_retry(no_retries(options))
        .build()
        .map_err(|error| invalid_option(bucket, &error))
}
