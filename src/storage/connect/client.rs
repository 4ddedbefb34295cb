//! HTTP clients: time limits and trusted certificates.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::environment::Environment;
use crate::storage::local::read_small;
use crate::storage::options::StorageOptions;
use object_store::ClientOptions;
use reqwest::{Certificate, ClientBuilder};
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

/// The largest bundle of certificates, in bytes.
const MAX_BUNDLE: u64 = 16 << 20;

/// Installs the TLS provider that `reqwest` takes from the process. May be called any number of times.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the process already has a provider, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// The options of a store's client. [`Connector`](super::connector::Connector) makes the client.
pub(super) fn store_client(options: &StorageOptions) -> ClientOptions {
    ClientOptions::new()
        .with_timeout(options.request_timeout)
        .with_connect_timeout(connect_timeout(options))
        .with_allow_http(false)
}

/// The certificates that are trusted in addition to those of the system.
///
/// # Errors
/// A usage error that names the variable whose file of certificates cannot be read.
pub(super) fn certificates(environment: &Environment) -> Result<Vec<Certificate>> {
    let mut certificates = Vec::new();
    for (variable, bundle) in extra_certificates(environment)? {
        let bundle = Certificate::from_pem_bundle(&bundle)
            .map_err(|_| Error::new(ErrorKind::Usage, "not a valid bundle of PEM certificates").at(variable))?;
        certificates.extend(bundle);
    }
    if !system_has_certificates(environment) {
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            certificates.extend(Certificate::from_der(root).ok());
        }
    }
    Ok(certificates)
}

/// What all clients have in common: no redirects, the trusted certificates, and the name of the program.
pub(super) fn client_builder(certificates: Vec<Certificate>) -> ClientBuilder {
    install_tls_provider();
    ClientBuilder::new()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .tls_certs_merge(certificates)
}

/// A client for other requests: it follows no redirects, and has the same certificates and the same time limit for a request as the
/// stores.
///
/// # Errors
/// A usage error that names the variable whose file of certificates cannot be read.
pub(crate) fn http_client(
    options: &StorageOptions,
    connect_timeout: Duration,
    environment: &Environment,
) -> Result<reqwest::Client> {
    client_builder(certificates(environment)?)
        .timeout(options.request_timeout)
        .connect_timeout(connect_timeout)
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::Usage, "cannot build an HTTP client from the environment variables")
                .caused_by(error.without_url().to_string())
        })
}

fn connect_timeout(options: &StorageOptions) -> Duration {
    Duration::from_secs(5).min(options.request_timeout)
}

/// The PEM bundles that are trusted in addition to the system's certificates, with the variables that name them.
fn extra_certificates(environment: &Environment) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut bundles = Vec::new();
    for name in ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"] {
        let Some(path) = environment.get(name) else { continue };
        let bundle = read_small(Path::new(path), MAX_BUNDLE).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("cannot read the certificates of {name}")).at(path).caused_by(error)
        })?;
        bundles.push((name, bundle));
    }
    Ok(bundles)
}

/// Whether the system has root certificates. A `FROM scratch` image has none, so the built-in ones are used.
fn system_has_certificates(environment: &Environment) -> bool {
    const LOCATIONS: &[&str] = &[
        "/etc/ssl/certs",
        "/etc/ssl/cert.pem",
        "/etc/pki/tls/certs",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem",
    ];
    environment.first(&["SSL_CERT_FILE", "SSL_CERT_DIR"]).is_some()
        || LOCATIONS.iter().any(|location| match std::fs::metadata(location) {
            Ok(found) if found.is_dir() => std::fs::read_dir(location).is_ok_and(|mut files| files.next().is_some()),
            Ok(found) => found.len() > 0,
            Err(_) => false,
        })
}
