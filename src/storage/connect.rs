//! From a bucket and the environment to an open store.

use super::StorageOptions;
use super::environment::Environment;
use super::location::{Bucket, Scheme};
use crate::error::{Error, ErrorKind, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};
use std::sync::{Arc, Once};
use std::time::Duration;

/// What a store must be able to do. Everything that `object_store` offers for the cloud can.
pub trait Store: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Store for T {}

/// MinIO's address in Kubeflow's own namespace, where nothing else is said.
const KUBEFLOW_MINIO: &str = "http://minio-service.kubeflow:9000";

/// An open store, and what its user should know.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) warnings: Vec<String>,
}

/// Opens the store of a bucket with what the environment says.
pub(crate) async fn open(bucket: &Bucket, options: &StorageOptions, environment: &Environment) -> Result<Opened> {
    let mut warnings = Vec::new();
    let store: Arc<dyn Store> = match bucket.scheme {
        Scheme::Memory => Arc::new(InMemory::new()),
        Scheme::S3 | Scheme::Minio => s3(bucket, options, environment, &mut warnings).await?,
        Scheme::Google => google(bucket, options, environment, &mut warnings)?,
        Scheme::Azure | Scheme::AzureDataLake => azure(bucket, options, environment, &mut warnings)?,
    };
    Ok(Opened { store, warnings })
}

/// Installs the TLS provider that `reqwest` is built to take from the process. Safe to call any number of times.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that the program that uses this library has chosen one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Certificates that are trusted besides the system's: those of the usual variables, as PEM texts.
pub(crate) fn extra_certificates(environment: &Environment) -> Result<Vec<Vec<u8>>> {
    let mut bundles = Vec::new();
    for name in ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"] {
        let Some(path) = environment.get(name) else { continue };
        let bundle = std::fs::read(path).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("cannot read the certificates of {name}")).at(path).caused_by(error)
        })?;
        bundles.push(bundle);
    }
    Ok(bundles)
}

fn client_options(options: &StorageOptions, environment: &Environment) -> Result<ClientOptions> {
    install_tls_provider();
    let mut client = ClientOptions::new()
        .with_timeout(options.request_timeout)
        .with_connect_timeout(Duration::from_secs(5).min(options.request_timeout))
        .with_allow_http(false);
    for bundle in extra_certificates(environment)? {
        for certificate in Certificate::from_pem_bundle(&bundle).map_err(|error| bad_option("a CA bundle", &error))? {
            client = client.with_root_certificate(certificate);
        }
    }
    if !system_has_certificates(environment) {
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            let certificate = Certificate::from_der(root).map_err(|error| bad_option("a root certificate", &error))?;
            client = client.with_root_certificate(certificate);
        }
    }
    Ok(client)
}

/// A client for requests of this program's own: no redirects, the same certificates and times as the stores.
pub(crate) fn http_client(options: &StorageOptions, environment: &Environment) -> Result<reqwest::Client> {
    install_tls_provider();
    let unusable = |what: &str| Error::new(ErrorKind::Usage, format!("{what} cannot be used"));
    let mut certificates = Vec::new();
    for bundle in extra_certificates(environment)? {
        let bundle = reqwest::Certificate::from_pem_bundle(&bundle).map_err(|_| unusable("a CA bundle"))?;
        certificates.extend(bundle);
    }
    if !system_has_certificates(environment) {
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            certificates.extend(reqwest::Certificate::from_der(root).ok());
        }
    }
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .tls_certs_merge(certificates)
        .timeout(options.request_timeout)
        .connect_timeout(Duration::from_secs(5).min(options.request_timeout))
        .build()
        .map_err(|error| unusable("the network settings").caused_by(error.without_url().to_string()))
}

/// Whether the system brings root certificates: a `FROM scratch` image does not, and then those that are compiled in are
/// taken.
pub(crate) fn system_has_certificates(environment: &Environment) -> bool {
    const PLACES: &[&str] = &[
        "/etc/ssl/certs",
        "/etc/ssl/cert.pem",
        "/etc/pki/tls/certs",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem",
    ];
    environment.first(&["SSL_CERT_FILE", "SSL_CERT_DIR"]).is_some()
        || PLACES.iter().any(|place| match std::fs::metadata(place) {
            Ok(found) if found.is_dir() => std::fs::read_dir(place).is_ok_and(|mut files| files.next().is_some()),
            Ok(found) => found.len() > 0,
            Err(_) => false,
        })
}

/// `object_store` tries nothing again by itself: [`super::retry`] does.
fn no_retries(options: &StorageOptions) -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: options.retry_timeout, ..RetryConfig::default() }
}

async fn s3(
    bucket: &Bucket,
    options: &StorageOptions,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Arc<dyn Store>> {
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client_options(options, environment)?)
        // One DELETE for each object: the bulk request is what S3's imitations lack most often.
        .with_disable_bulk_delete(true);
    for (name, value) in environment.starting("AWS_") {
        match name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            // Decided below, for every bucket.
            Ok(AmazonS3ConfigKey::Bucket | AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint) => {}
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) if S3_KNOWN.contains(&name) => {}
            Err(_) => warnings.push(no_effect(name, aws_instead(name))),
        }
    }
    let mut endpoint =
        environment.first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]).map(String::from);
    if bucket.scheme == Scheme::Minio {
        if endpoint.is_none() {
            endpoint = Some(minio_endpoint(environment));
        }
        if environment.get("AWS_ACCESS_KEY_ID").is_none() {
            if let Some(key) = environment.get("MINIO_ACCESS_KEY") {
                builder = builder.with_access_key_id(key);
            }
            if let Some(secret) = environment.get("MINIO_SECRET_KEY") {
                builder = builder.with_secret_access_key(secret);
            }
        }
    }
    if let Some(endpoint) = &endpoint {
        let plain = endpoint.starts_with("http://");
        if !plain && !endpoint.starts_with("https://") {
            return Err(Error::new(ErrorKind::Usage, "the S3 endpoint must begin with http:// or https://")
                .at("AWS_ENDPOINT_URL"));
        }
        let virtual_hosted = environment.yes("AWS_VIRTUAL_HOSTED_STYLE_REQUEST");
        let endpoint = if virtual_hosted { with_bucket_host(endpoint, &bucket.name) } else { endpoint.clone() };
        builder = builder.with_endpoint(endpoint).with_allow_http(plain);
    }
    builder = builder.with_bucket_name(&bucket.name).with_retry(no_retries(options));
    let build = |builder: AmazonS3Builder| builder.build().map_err(|error| bad_option(&bucket.to_string(), &error));
    let store = build(builder.clone())?;
    let unsigned = environment.yes("AWS_SKIP_SIGNATURE");
    let minio = bucket.scheme == Scheme::Minio && environment.get("MINIO_ACCESS_KEY").is_some();
    let explicit = minio || environment.first(S3_CREDENTIALS).is_some();
    if unsigned || explicit {
        return Ok(Arc::new(store));
    }
    // Only the instance's metadata service is left: without an answer from it the requests go unsigned, which is all
    // that a public bucket needs.
    let disabled = environment.yes("AWS_EC2_METADATA_DISABLED");
    let found = !disabled
        && matches!(
            tokio::time::timeout(Duration::from_secs(3), store.credentials().get_credential()).await,
            Ok(Ok(_))
        );
    if found {
        return Ok(Arc::new(store));
    }
    warnings
        .push(format!("{bucket}: no credentials were found, so requests are not signed: only a public bucket answers"));
    Ok(Arc::new(build(builder.with_skip_signature(true))?))
}

/// Variables that hold credentials for S3, or say where they are.
const S3_CREDENTIALS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Variables that other programs of AWS read, that need not be reported: they change nothing that matters here.
const S3_KNOWN: &[&str] = &[
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

fn aws_instead(name: &str) -> &'static str {
    match name {
        "AWS_PROFILE" | "AWS_DEFAULT_PROFILE" | "AWS_SHARED_CREDENTIALS_FILE" | "AWS_CONFIG_FILE" => {
            "profiles are not read: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a service account"
        }
        "AWS_CONTAINER_AUTHORIZATION_TOKEN" => "use AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_SECURITY_TOKEN" => "use AWS_SESSION_TOKEN",
        _ => "",
    }
}

fn no_effect(name: &str, instead: &str) -> String {
    if instead.is_empty() {
        format!("{name} is set and has no effect")
    } else {
        format!("{name} is set and has no effect: {instead}")
    }
}

fn minio_endpoint(environment: &Environment) -> String {
    match environment.get("MINIO_ENDPOINT") {
        Some(endpoint) if endpoint.contains("://") => endpoint.to_string(),
        Some(endpoint) if environment.yes("MINIO_SECURE") => format!("https://{endpoint}"),
        Some(endpoint) => format!("http://{endpoint}"),
        None => KUBEFLOW_MINIO.to_string(),
    }
}

/// The endpoint with the bucket as the first label of its host, as virtual-hosted requests want it.
fn with_bucket_host(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) if !host.starts_with(&format!("{bucket}.")) => format!("{scheme}://{bucket}.{host}"),
        _ => endpoint.to_string(),
    }
}

fn google(
    bucket: &Bucket,
    options: &StorageOptions,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Arc<dyn Store>> {
    let base_url = environment.first(&["GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"]);
    let plain = base_url.is_some_and(|url| url.starts_with("http://"));
    let client = client_options(options, environment)?.with_allow_http(plain);
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(client);
    if let Some(path) = environment.get("SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (name, value) in environment.starting("GOOGLE_") {
        match name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            Ok(GoogleConfigKey::Bucket | GoogleConfigKey::BaseUrl) => {}
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) if name == "GOOGLE_CLOUD_PROJECT" => {}
            Err(_) => warnings.push(no_effect(name, "")),
        }
    }
    if let Some(url) = base_url {
        builder = builder.with_base_url(url);
    }
    let store = builder
        .with_bucket_name(&bucket.name)
        .with_retry(no_retries(options))
        .build()
        .map_err(|error| bad_option(&bucket.to_string(), &error))?;
    Ok(Arc::new(store))
}

fn azure(
    bucket: &Bucket,
    options: &StorageOptions,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Arc<dyn Store>> {
    let endpoint = environment.first(&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"]);
    let emulator = environment.yes("AZURE_STORAGE_USE_EMULATOR");
    let plain = emulator || endpoint.is_some_and(|url| url.starts_with("http://"));
    let client = client_options(options, environment)?.with_allow_http(plain);
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(client);
    for (name, value) in environment.starting("AZURE_") {
        match name.to_ascii_lowercase().parse::<AzureConfigKey>() {
            Ok(AzureConfigKey::ContainerName) => {}
            Ok(key) => builder = builder.with_config(key, value),
            Err(_) => warnings.push(no_effect(name, "")),
        }
    }
    if let Some(value) = environment.get("MSI_ENDPOINT") {
        builder = builder.with_msi_endpoint(value);
    }
    let url = match &bucket.host {
        Some(host) => format!("abfss://{}@{host}/", bucket.name),
        None => format!("az://{}/", bucket.name),
    };
    let store = builder
        .with_url(url)
        .with_retry(no_retries(options))
        .build()
        .map_err(|error| bad_option(&bucket.to_string(), &error))?;
    Ok(Arc::new(store))
}

fn bad_option(place: &str, error: &object_store::Error) -> Error {
    // The builders repeat names of options and URLs, but some parse errors repeat a value: only the kind is told.
    let told = match error {
        object_store::Error::UnknownConfigurationKey { key, .. } => format!("unknown option {key}"),
        object_store::Error::Generic { source, .. } => first_words(&source.to_string()),
        _ => "the environment's settings for this store do not fit together".to_string(),
    };
    Error::new(ErrorKind::Usage, format!("cannot open the store: {told}")).at(place)
}

/// A message up to the first value that it quotes.
fn first_words(text: &str) -> String {
    text.split(['"', '\'', '`', ':']).next().unwrap_or_default().trim().to_string()
}
