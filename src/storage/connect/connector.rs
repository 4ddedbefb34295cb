//! Makes the HTTP clients of stores. The client that `object_store` makes follows redirects with `x-amz-security-token` and the other
//! headers of the signed request, and panics if an endpoint is not a valid URL.

use super::client::{certificates, client_builder};
use crate::error::Result;
use crate::hash_map::lock;
use crate::storage::environment::Environment;
use crate::storage::refused::{Redirect, RepeatedPage};
use crate::storage::retry::random_bits;
use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey as Key, ClientOptions, HeaderMap};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Url};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Makes the clients of one store: those of its requests and those that fetch credentials.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    certificates: Vec<Certificate>,
    accept: Accept,
}

/// What a store may do to an object on the way (`Accept-Encoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    /// Nothing: proxies may compress what does not say that it must not be, but sizes and ranges are those of the stored bytes.
    Identity,
    /// To send an object that is stored with `Content-Encoding: gzip` as it is. Google decompresses it for those who do not accept
    /// gzip, and then ranges and sizes are wrong.
    StoredGzip,
}

impl Connector {
    /// A connector that trusts the certificates of an environment.
    ///
    /// # Errors
    /// A usage error that names the variable whose file of certificates cannot be read.
    pub(super) fn new(environment: &Environment, accept: Accept) -> Result<Self> {
        Ok(Self { certificates: certificates(environment)?, accept })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source| object_store::Error::Generic { store: "HTTP client", source };
        let builder = client_builder(self.certificates.clone());
        let client = with_options(builder, options).and_then(|builder| Ok(builder.build()?)).map_err(failed)?;
        let (client, accept) = (HttpClient::new(client), self.accept);
        Ok(HttpClient::new(Service { client, accept, last_page: Mutex::default() }))
    }
}

/// Whether [`with_options`] applies an option of `object_store`'s clients.
pub(super) fn is_supported(key: &Key) -> bool {
    !matches!(
        key,
        Key::NoSystemCertificates
            | Key::Http2KeepAliveInterval
            | Key::Http2KeepAliveTimeout
            | Key::Http2KeepAliveWhileIdle
            | Key::Http2MaxFrameSize
            | Key::RandomizeAddresses
    )
}

/// Applies the options of a store's client, which variables such as `AWS_TIMEOUT` and `AWS_PROXY_URL` may have set.
fn with_options(
    mut builder: ClientBuilder,
    options: &ClientOptions,
) -> Result<ClientBuilder, Box<dyn std::error::Error + Send + Sync>> {
    let get = |key| options.get_config_value(&key);
    let is_set = |key| get(key).is_some_and(|value| matches!(value.as_str(), "true" | "1" | "yes" | "on" | "y" | "t"));
    let time = |key| -> Result<Option<Duration>, humantime::DurationError> {
        get(key).map(|value| humantime::parse_duration(&value)).transpose()
    };
    builder = builder.https_only(!is_set(Key::AllowHttp)).dns_resolver(Arc::new(ShufflingResolver));
    builder = builder.tls_danger_accept_invalid_certs(is_set(Key::AllowInvalidCertificates));
    if let Some(limit) = time(Key::Timeout)? {
        builder = builder.timeout(limit);
    }
    if let Some(limit) = time(Key::ConnectTimeout)? {
        builder = builder.connect_timeout(limit);
    }
    if let Some(limit) = time(Key::ReadTimeout)? {
        builder = builder.read_timeout(limit);
    }
    if let Some(limit) = time(Key::PoolIdleTimeout)? {
        builder = builder.pool_idle_timeout(limit);
    }
    if let Some(limit) = get(Key::PoolMaxIdlePerHost) {
        builder = builder.pool_max_idle_per_host(limit.parse()?);
    }
    if let Some(name) = get(Key::UserAgent) {
        builder = builder.user_agent(name);
    }
    if let Some(url) = get(Key::ProxyUrl) {
        let excluded = get(Key::ProxyExcludes).and_then(|hosts| reqwest::NoProxy::from_string(&hosts));
        builder = builder.proxy(reqwest::Proxy::all(url)?.no_proxy(excluded));
    }
    if let Some(certificate) = get(Key::ProxyCaCertificate) {
        builder = builder.tls_certs_merge([reqwest::Certificate::from_pem(certificate.as_bytes())?]);
    }
    if is_set(Key::Http1Only) {
        builder = builder.http1_only();
    }
    if is_set(Key::Http2Only) {
        builder = builder.http2_prior_knowledge();
    }
    Ok(builder)
}

/// Sends requests. A redirect is an error, and so is a listing that does not get on.
#[derive(Debug)]
struct Service {
    client: HttpClient,
    accept: Accept,
    /// The last request for a further page of a listing.
    last_page: Mutex<Option<Url>>,
}

impl Service {
    /// Checks that a request for a page of a listing is not the same as the one before. A listing that is tried again starts with its
    /// first page, whose request has no token.
    fn check_page(&self, url: &Url) -> Result<(), HttpError> {
        let has = |names: &[&str]| url.query_pairs().any(|(name, _)| names.contains(&name.as_ref()));
        if has(&["continuation-token", "marker", "pageToken"]) {
            if lock(&self.last_page).replace(url.clone()).as_ref() == Some(url) {
                return Err(HttpError::new(HttpErrorKind::Unknown, RepeatedPage));
            }
        } else if has(&["list-type", "comp", "prefix"]) {
            lock(&self.last_page).take();
        }
        Ok(())
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The client of `object_store` takes for granted that it is one.
        let url =
            Url::parse(&request.uri().to_string()).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        self.check_page(&url)?;
        // Not signed, so it may be added here. A listing, which has a query, is not stored as gzip.
        let encoding = match self.accept {
            Accept::StoredGzip if request.method().as_str() == "GET" && url.query().is_none() => "gzip",
            _ => "identity",
        };
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        let response = self.client.execute(request).await?;
        // 304 is the answer to a condition.
        if response.status().is_redirection() && response.status().as_u16() != 304 {
            let redirect = redirect(response.status().as_u16(), &url, response.headers());
            return Err(HttpError::new(HttpErrorKind::Unknown, redirect));
        }
        Ok(response)
    }
}

fn redirect(status: u16, url: &Url, headers: &HeaderMap) -> Redirect {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let target = header("location").and_then(|target| url.join(target).ok());
    let is_region = |text: &&str| text.len() < 64 && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    Redirect {
        status,
        target: target.map(|target| target.origin().ascii_serialization()),
        region: header("x-amz-bucket-region").filter(is_region).map(str::to_string),
    }
}

/// Resolves names to addresses in random order, to spread the connections over the servers of a store.
struct ShufflingResolver;

impl Resolve for ShufflingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            addresses.sort_by_cached_key(|_| random_bits());
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
