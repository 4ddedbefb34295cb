//! Opens S3 and stores that speak its protocol.

use super::client::store_client;
use super::connector::{Accept, Connector, is_supported};
use super::credentials::{Checked, trimmed_token_files};
use super::options::{check_endpoint, invalid_option, no_retries, without_effect};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::environment::Environment;
use crate::storage::location::{Bucket, Scheme};
use crate::storage::options::StorageOptions;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use std::sync::Arc;
use std::time::Duration;

/// The address of MinIO in Kubeflow's namespace, used if no variable names another.
const KUBEFLOW_MINIO: &str = "http://minio-service.kubeflow:9000";

/// Time limit for the instance's metadata service to return credentials.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);

/// Variables that hold S3 credentials or say where they are.
const CREDENTIALS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Variables that configure other AWS programs and cause no warning: they make no difference here.
const IGNORED: &[&str] = &[
    "AWS_CA_BUNDLE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_PAGER",
    "AWS_CLI_AUTO_PROMPT",
    "AWS_DEFAULT_OUTPUT",
    "AWS_EXECUTION_ENV",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_ACCOUNT_ID",
    "AWS_SDK_UA_APP_ID",
];

/// Opens a bucket. Requests are not signed if there are no credentials: a public bucket needs none.
pub(super) async fn open(
    bucket: &Bucket,
    options: &StorageOptions,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<AmazonS3> {
    warnings.extend(environment.check(&["AWS_", "MINIO_"])?);
    let mut builder = AmazonS3Builder::new()
        .with_client_options(store_client(options))
        .with_http_connector(Connector::new(environment, Accept::Identity)?)
        // One DELETE per object: many S3-compatible stores lack the bulk request.
        .with_disable_bulk_delete(true);
    builder = with_variables(builder, environment, warnings);
    for (variable, path) in trimmed_token_files(environment, "AWS_", warnings)? {
        if let Ok(key) = variable.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, path);
        }
    }
    check_region(environment)?;
    if bucket.scheme == Scheme::Minio {
        builder = with_minio_credentials(builder, environment);
    }
    builder = with_endpoint(builder, bucket, environment)?;
    // The colon after a tenant is escaped in the path of a request, and in what is signed.
    builder = builder.with_bucket_name(bucket.name.replace(':', "%3A")).with_retry(no_retries(options));
    let build = |builder: AmazonS3Builder| builder.build().map_err(|error| invalid_option(bucket, &error));
    let store = build(builder.clone())?;
    builder = builder.with_credentials(Arc::new(Checked(Arc::clone(store.credentials()))));
    let store = build(builder.clone())?;
    if environment.is_enabled("AWS_SKIP_SIGNATURE")
        || has_credentials(bucket, environment)
        || instance_has_credentials(&store, environment).await
    {
        return Ok(store);
    }
    warnings.push(format!(
        "{bucket}: no credentials found, so requests are not signed: only a public bucket is accessible"
    ));
    build(builder.with_skip_signature(true))
}

fn with_variables(
    mut builder: AmazonS3Builder,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> AmazonS3Builder {
    for (name, value) in environment.with_prefix("AWS_") {
        match name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            // Set from the location and from several variables.
            Ok(AmazonS3ConfigKey::Bucket | AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint) => {}
            Ok(AmazonS3ConfigKey::Client(key)) if !is_supported(&key) => warnings.push(without_effect(name, None)),
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) if IGNORED.contains(&name) => {}
            Err(_) => warnings.push(without_effect(name, alternative(name))),
        }
    }
    builder
}

/// What to use instead of a variable that is not supported.
fn alternative(name: &str) -> Option<&'static str> {
    match name {
        "AWS_PROFILE" | "AWS_DEFAULT_PROFILE" | "AWS_SHARED_CREDENTIALS_FILE" | "AWS_CONFIG_FILE" => Some(
            "profiles are not supported: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a service account",
        ),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN" => Some("use AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        "AWS_SECURITY_TOKEN" => Some("use AWS_SESSION_TOKEN"),
        _ => None,
    }
}

fn with_minio_credentials(mut builder: AmazonS3Builder, environment: &Environment) -> AmazonS3Builder {
    if environment.get("AWS_ACCESS_KEY_ID").is_none() {
        if let Some(key) = environment.get("MINIO_ACCESS_KEY") {
            builder = builder.with_access_key_id(key);
        }
        if let Some(secret) = environment.get("MINIO_SECRET_KEY") {
            builder = builder.with_secret_access_key(secret);
        }
    }
    builder
}

fn with_endpoint(builder: AmazonS3Builder, bucket: &Bucket, environment: &Environment) -> Result<AmazonS3Builder> {
    let is_of_tenant = bucket.name.contains(':');
    let configured = environment.first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]);
    let endpoint = match configured {
        Some(endpoint) => endpoint.to_string(),
        None if bucket.scheme == Scheme::Minio => minio_endpoint(environment),
        None if is_of_tenant => {
            return Err(Error::new(ErrorKind::Usage, "only a store of your own has buckets of tenants")
                .at(bucket)
                .hint("set AWS_ENDPOINT_URL to the store's address"));
        }
        None => return Ok(builder),
    };
    let is_plain = endpoint.starts_with("http://");
    check_endpoint(if configured.is_some() { "AWS_ENDPOINT_URL" } else { "MINIO_ENDPOINT" }, &endpoint)?;
    let is_virtual_hosted = environment.is_enabled("AWS_VIRTUAL_HOSTED_STYLE_REQUEST");
    if is_virtual_hosted && is_of_tenant {
        return Err(Error::new(ErrorKind::Usage, "the bucket of a tenant cannot be part of a host name")
            .at(bucket)
            .hint("remove AWS_VIRTUAL_HOSTED_STYLE_REQUEST, or use credentials of the tenant and s3://BUCKET"));
    }
    let endpoint = if is_virtual_hosted { with_bucket_host(&endpoint, &bucket.name) } else { endpoint };
    Ok(builder.with_endpoint(endpoint).with_allow_http(is_plain))
}

/// The region becomes part of a host name.
fn check_region(environment: &Environment) -> Result<()> {
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        let is_valid = |region: &str| region.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        if environment.get(name).is_some_and(|region| !is_valid(region)) {
            return Err(Error::new(ErrorKind::Usage, "invalid region: expected a name such as eu-central-1").at(name));
        }
    }
    Ok(())
}

fn minio_endpoint(environment: &Environment) -> String {
    match environment.get("MINIO_ENDPOINT") {
        Some(endpoint) if endpoint.contains("://") => endpoint.to_string(),
        Some(endpoint) if environment.is_enabled("MINIO_SECURE") => format!("https://{endpoint}"),
        Some(endpoint) => format!("http://{endpoint}"),
        None => KUBEFLOW_MINIO.to_string(),
    }
}

/// The endpoint with the bucket as the first label of its host, as virtual-hosted requests need it.
fn with_bucket_host(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) if !host.starts_with(&format!("{bucket}.")) => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.to_string(),
    }
}

fn has_credentials(bucket: &Bucket, environment: &Environment) -> bool {
    let has_minio_key = bucket.scheme == Scheme::Minio && environment.get("MINIO_ACCESS_KEY").is_some();
    has_minio_key || environment.first(CREDENTIALS).is_some()
}

/// Whether the instance's metadata service returns credentials.
async fn instance_has_credentials(store: &AmazonS3, environment: &Environment) -> bool {
    if environment.is_enabled("AWS_EC2_METADATA_DISABLED") {
        return false;
    }
    matches!(tokio::time::timeout(METADATA_TIMEOUT, store.credentials().get_credential()).await, Ok(Ok(_)))
}
