//! Opens Azure Blob Storage.

use super::client::store_client;
use super::options::{invalid_option, no_retries, without_effect};
use crate::error::Result;
use crate::storage::environment::Environment;
use crate::storage::location::Bucket;
use crate::storage::options::StorageOptions;
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};

/// Opens a container.
pub(super) fn open(
    bucket: &Bucket,
    options: &StorageOptions,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<MicrosoftAzure> {
    let endpoint = environment.first(&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"]);
    let is_emulator = environment.is_enabled("AZURE_STORAGE_USE_EMULATOR");
    let is_plain = is_emulator || endpoint.is_some_and(|url| url.starts_with("http://"));
    let client = store_client(options, environment)?.with_allow_http(is_plain);
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(client);
    for (name, value) in environment.with_prefix("AZURE_") {
        match name.to_ascii_lowercase().parse::<AzureConfigKey>() {
            Ok(AzureConfigKey::ContainerName) => {}
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) => warnings.push(without_effect(name, None)),
        }
    }
    if let Some(value) = environment.get("MSI_ENDPOINT") {
        builder = builder.with_msi_endpoint(value);
    }
    let url = match &bucket.host {
        Some(host) => format!("abfss://{}@{host}/", bucket.name),
        None => format!("az://{}/", bucket.name),
    };
    builder.with_url(url).with_retry(no_retries(options)).build().map_err(|error| invalid_option(bucket, &error))
}
