//! Opens Google Cloud Storage.

use super::client::store_client;
use super::connector::{Connector, is_supported};
use super::credentials::Checked;
use super::options::{check_endpoint, invalid_option, no_retries, without_effect};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::environment::Environment;
use crate::storage::local::read_small;
use crate::storage::location::Bucket;
use crate::storage::options::StorageOptions;
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey};
use std::path::Path;
use std::sync::Arc;

/// The largest file with credentials, in bytes.
const MAX_CREDENTIALS: u64 = 1 << 20;

/// Opens a bucket.
pub(super) fn open(
    bucket: &Bucket,
    options: &StorageOptions,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<GoogleCloudStorage> {
    warnings.extend(environment.check(&["GOOGLE_", "SERVICE_ACCOUNT", "STORAGE_EMULATOR_HOST"])?);
    check_files(environment)?;
    let base_url = environment.first(&["GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"]);
    let is_plain = base_url.is_some_and(|url| url.starts_with("http://"));
    let client = store_client(options).with_allow_http(is_plain);
    let mut builder =
        GoogleCloudStorageBuilder::new().with_client_options(client).with_http_connector(Connector::new(environment)?);
    if let Some(path) = environment.get("SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (name, value) in environment.with_prefix("GOOGLE_") {
        match name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            Ok(GoogleConfigKey::Bucket | GoogleConfigKey::BaseUrl) => {}
            Ok(GoogleConfigKey::Client(key)) if !is_supported(&key) => warnings.push(without_effect(name, None)),
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) if name == "GOOGLE_CLOUD_PROJECT" => {}
            Err(_) => warnings.push(without_effect(name, None)),
        }
    }
    if let Some(url) = base_url {
        check_endpoint("GOOGLE_BASE_URL", url)?;
        builder = builder.with_base_url(url);
    }
    builder = builder.with_bucket_name(&bucket.name).with_retry(no_retries(options));
    let build = |builder: GoogleCloudStorageBuilder| builder.build().map_err(|error| invalid_option(bucket, &error));
    let store = build(builder.clone())?;
    let credentials = Checked(Arc::clone(store.credentials()));
    build(builder.with_credentials(Arc::new(credentials)))
}

/// Checks the files with credentials, which `object_store` opens itself.
fn check_files(environment: &Environment) -> Result<()> {
    let variables =
        ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "SERVICE_ACCOUNT"];
    for variable in variables {
        let Some(path) = environment.get(variable) else { continue };
        read_small(Path::new(path), MAX_CREDENTIALS).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("cannot read the credentials of {variable}")).at(path).caused_by(error)
        })?;
    }
    Ok(())
}
