//! Opens Google Cloud Storage.

use super::client::store_client;
use super::connector::{Accept, Connector, is_supported};
use super::credentials::Checked;
use super::options::{check_endpoint, invalid_option, no_retries, without_effect};
use crate::error::{Error, ErrorKind, Result};
use crate::secrets;
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
    check_credentials(environment)?;
    let base_url = environment.first(&["GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"]);
    let is_plain = base_url.is_some_and(|url| url.starts_with("http://"));
    let client = store_client(options).with_allow_http(is_plain);
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(client)
        .with_http_connector(Connector::new(environment, Accept::StoredGzip)?);
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

/// Checks the credentials that `object_store` reads itself: those of the variables, and those that `gcloud` leaves in the home folder.
fn check_credentials(environment: &Environment) -> Result<()> {
    if let Some(key) = environment.get("GOOGLE_SERVICE_ACCOUNT_KEY") {
        check_type(key.as_bytes(), "GOOGLE_SERVICE_ACCOUNT_KEY", &["service_account"])?;
    }
    for variable in ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "SERVICE_ACCOUNT"] {
        if let Some(path) = environment.get(variable) {
            check_type(&read_credentials(variable, path)?, path, &["service_account"])?;
        }
    }
    let is_explicit = environment.first(&["GOOGLE_BEARER_TOKEN", "GOOGLE_SERVICE_ACCOUNT_KEY"]).is_some()
        || environment.first(&["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "SERVICE_ACCOUNT"]).is_some();
    let default = ["service_account", "authorized_user"];
    if let Some(path) = environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
        let credentials = read_credentials("GOOGLE_APPLICATION_CREDENTIALS", path)?;
        return if is_explicit { Ok(()) } else { check_type(&credentials, path, &default) };
    }
    if let (false, Some(home)) = (is_explicit, environment.get("HOME")) {
        let path = Path::new(home).join(".config/gcloud/application_default_credentials.json");
        if let Ok(credentials) = read_small(&path, MAX_CREDENTIALS) {
            return check_type(&credentials, &path.display().to_string(), &default);
        }
    }
    Ok(())
}

fn read_credentials(variable: &str, path: &str) -> Result<Vec<u8>> {
    let credentials = read_small(Path::new(path), MAX_CREDENTIALS).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("cannot read the credentials of {variable}")).at(path).caused_by(error)
    })?;
    secrets::protect(|known| known.add_credentials(&String::from_utf8_lossy(&credentials)));
    Ok(credentials)
}

/// Checks the type of credentials. What is not JSON or has no type is left to `object_store`.
///
/// # Errors
/// A usage error that names a type other than those that are `supported`.
fn check_type(credentials: &[u8], place: &str, supported: &[&str]) -> Result<()> {
    let document = serde_json::from_slice::<serde_json::Value>(credentials).unwrap_or_default();
    let is_name = |name: &&str| name.len() < 64 && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
    match document["type"].as_str() {
        Some(name) if !supported.contains(&name) => {
            let name = Some(name).filter(is_name).unwrap_or("another type");
            let message = format!("credentials of type {name} are not supported: expected {}", supported.join(" or "));
            Err(Error::new(ErrorKind::Usage, message).at(place).hint(
                "use the key of a service account or the pod's own service account (workload identity), or set \
                 GOOGLE_BEARER_TOKEN to the output of `gcloud auth print-access-token`",
            ))
        }
        _ => Ok(()),
    }
}
