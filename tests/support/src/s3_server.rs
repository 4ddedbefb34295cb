//! An S3 server on a loopback port, in the test's process, that keeps its objects in a folder.
//!
//! `s3s-fs` checks a condition and then writes, so two concurrent conditional writes may both succeed, and it forgets an
//! upload before the object becomes visible. S3 does neither, so requests that change visible objects run one at a time
//! here.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

/// The access key of every server.
pub const ACCESS_KEY: &str = "test-access-key";
/// The secret key of every server.
pub const SECRET_KEY: &str = "test-secret-key";

/// The server; it stops when dropped. It runs on its own thread, so tests need no runtime.
pub struct S3Server {
    address: SocketAddr,
    root: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

/// What an odd store does instead of what S3 does: it answers a request itself, or not (`None`), or changes the request.
pub type Oddity = dyn Fn(&mut hyper::Request<hyper::body::Incoming>) -> Option<(u16, &'static str)> + Send + Sync;

impl S3Server {
    /// Starts a server with these empty buckets.
    pub fn start(buckets: &[&str]) -> Self {
        Self::odd(buckets, |_| None)
    }

    /// Starts a server that answers some requests differently: with a status and the code of an error.
    pub fn odd(
        buckets: &[&str],
        oddity: impl Fn(&mut hyper::Request<hyper::body::Incoming>) -> Option<(u16, &'static str)> + Send + Sync + 'static,
    ) -> Self {
        let oddity: Arc<Oddity> = Arc::new(oddity);
        let root = tempfile::tempdir().expect("cannot create a folder for the server");
        for bucket in buckets {
            std::fs::create_dir(root.path().join(bucket)).expect("cannot create a bucket");
        }
        let files = s3s_fs::FileSystem::new(root.path()).expect("cannot serve the folder");
        let mut service = s3s::service::S3ServiceBuilder::new(files);
        service.set_auth(s3s::auth::SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let one_at_a_time = Arc::new(tokio::sync::Mutex::new(()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("cannot bind a port");
        listener.set_nonblocking(true).expect("cannot make the port non-blocking");
        let address = listener.local_addr().expect("the port has an address");
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("cannot start a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("tokio cannot use the port");
                loop {
                    let (socket, _) = tokio::select! {
                        accepted = listener.accept() => match accepted { Ok(accepted) => accepted, Err(_) => continue },
                        _ = &mut stopped => return,
                    };
                    let (service, one_at_a_time) = (service.clone(), Arc::clone(&one_at_a_time));
                    let oddity = Arc::clone(&oddity);
                    let service =
                        hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                            let (service, one_at_a_time) = (service.clone(), Arc::clone(&one_at_a_time));
                            let oddity = Arc::clone(&oddity);
                            async move {
                                // An odd store may also take its time.
                                if let Some((status, code)) = tokio::task::block_in_place(|| oddity(&mut request)) {
                                    let body =
                                        format!("<Error><Code>{code}</Code><Message>an odd store</Message></Error>");
                                    let answer = hyper::Response::builder().status(status);
                                    return Ok(answer.body(s3s::Body::from(body)).expect("a valid answer"));
                                }
                                let part = request.uri().query().is_some_and(|query| query.contains("partNumber="));
                                let read = matches!(*request.method(), hyper::Method::GET | hyper::Method::HEAD);
                                let _guard = if part || read { None } else { Some(one_at_a_time.lock().await) };
                                hyper::service::Service::call(&service, request).await
                            }
                        });
                    let _ = socket.set_nodelay(true);
                    tokio::spawn(async move {
                        let socket = hyper_util::rt::TokioIo::new(socket);
                        let _ = hyper::server::conn::http1::Builder::new().serve_connection(socket, service).await;
                    });
                }
            });
        });
        Self { address, root, stop: Some(stop) }
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the server.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder that holds the objects of a bucket as files.
    pub fn bucket(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The variables that point a client to this server.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.endpoint())
    }
}

/// The variables for a server behind another endpoint, such as a proxy.
pub fn environment(endpoint: &str) -> Vec<(String, String)> {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
    ]
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .to_vec()
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}
