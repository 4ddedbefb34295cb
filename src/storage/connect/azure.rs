//! Opens Azure Blob Storage.

use super::client::store_client;
use super::connector::{Accept, Connector, is_supported};
use super::credentials::{Checked, trimmed_token_files};
use super::options::{check_endpoint, invalid_option, no_retries, without_effect};
use crate::error::Result;
use crate::storage::environment::Environment;
use crate::storage::location::Bucket;
use crate::storage::options::StorageOptions;
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use std::sync::Arc;

/// Opens a container.
pub(super) fn open(
    bucket: &Bucket,
    options: &StorageOptions,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<MicrosoftAzure> {
    warnings.extend(environment.check(&["AZURE_", "MSI_ENDPOINT", "IDENTITY_HEADER"])?);
    environment.check_untrimmed("IDENTITY_HEADER")?;
    let endpoint = environment.first(&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"]);
    let is_emulator = environment.is_enabled("AZURE_STORAGE_USE_EMULATOR");
    let is_plain = is_emulator || endpoint.is_some_and(|url| url.starts_with("http://"));
    let client = store_client(options).with_allow_http(is_plain);
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(client)
        .with_http_connector(Connector::new(environment, Accept::Identity)?);
    if let Some(url) = endpoint {
        check_endpoint("AZURE_STORAGE_ENDPOINT", url)?;
    }
    for (name, value) in environment.with_prefix("AZURE_") {
        match name.to_ascii_lowercase().parse::<AzureConfigKey>() {
            Ok(AzureConfigKey::ContainerName) => {}
            Ok(AzureConfigKey::Client(key)) if !is_supported(&key) => warnings.push(without_effect(name, None)),
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) => warnings.push(without_effect(name, None)),
        }
    }
    for (variable, path) in trimmed_token_files(environment, "AZURE_", warnings)? {
        if let Ok(key) = variable.to_ascii_lowercase().parse::<AzureConfigKey>() {
            builder = builder.with_config(key, path);
        }
    }
    if let Some(value) = environment.get("MSI_ENDPOINT") {
        builder = builder.with_msi_endpoint(value);
    }
    let url = match &bucket.host {
        Some(host) => format!("abfss://{}@{host}/", bucket.name),
        None => format!("az://{}/", bucket.name),
    };
    builder = builder.with_url(url).with_retry(no_retries(options));
    let build = |builder: MicrosoftAzureBuilder| builder.build().map_err(|error| invalid_option(bucket, &error));
    let store = build(builder.clone())?;
    let credentials = Checked(Arc::clone(store.credentials()));
    build(builder.with_credentials(Arc::new(credentials)))
}
