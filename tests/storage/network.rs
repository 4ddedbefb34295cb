//! The connection to the server: a private certificate authority, and a proxy.

use crate::support::outside::{copy_folder, examples, files, run, succeed};
use crate::support::s3_server::{S3Server, environment};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Makes a certificate authority and its certificate for `localhost`; false if `openssl` is missing.
fn certificates(folder: &Path) -> bool {
    let openssl = |arguments: &str| {
        let ran = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
        ran.is_ok_and(|ran| ran.status.success())
    };
    std::fs::write(folder.join("extensions"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=private"))
        && openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"))
        && openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem",
        )
}

/// Terminates TLS in front of a server, until the test's process ends.
fn with_tls(server: SocketAddr, folder: &Path) -> u16 {
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap().map(|found| found.unwrap()).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(socket).await else { return };
                    let Ok(mut server) = tokio::net::TcpStream::connect(server).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    });
    port
}

#[test]
fn a_private_certificate_authority_is_trusted_if_a_variable_names_it() {
    let folder = tempfile::tempdir().unwrap();
    if !certificates(folder.path()) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "openssl not found");
        eprintln!("SKIPPED: openssl not found, so TLS is not tested");
        return;
    }
    let server = S3Server::start(&["bucket"]);
    copy_folder(&examples(), &server.bucket("bucket").join("in"));
    let port = with_tls(server.address(), folder.path());
    let endpoint = environment(&format!("https://localhost:{port}"));
    let authority = folder.path().join("ca.pem").to_str().unwrap().to_string();
    fn mix(output: &str) -> Vec<&str> {
        vec![
            "mix",
            "--input",
            "s3://bucket/in",
            "--output",
            output,
            "--tokenizer-model",
            "builtin",
            "--max-retries",
            "0",
        ]
    }
    for variable in ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        let mut variables = endpoint.clone();
        variables.push((variable.into(), authority.clone()));
        let output = format!("s3://bucket/{variable}");
        succeed(&mix(&output), &variables);
        succeed(&["verify", &output], &variables);
        assert!(files(&server.bucket("bucket").join(variable)).contains_key("manifest.json"));
    }
    let refused = run(&mix("s3://bucket/never"), &endpoint);
    let mut missing = endpoint.clone();
    missing.push(("AWS_CA_BUNDLE".into(), "/no/such/bundle.pem".into()));
    let missing = run(&mix("s3://bucket/never"), &missing);
    let report = format!(
        "-- {}\n{}-- {}\n{}",
        refused.code.unwrap(),
        refused.err.replace(&port.to_string(), "PORT"),
        missing.code.unwrap(),
        missing.err
    );
    insta::assert_snapshot!(report);
}

/// A forward proxy for plain HTTP that counts requests, until the test's process ends.
fn forward_proxy() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || {
                let _ = forward(socket, &count);
            });
        }
    });
    (port, seen)
}

fn forward(mut client: TcpStream, count: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length, mut server) = (String::new(), 0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if head.is_empty() {
            // A request to a proxy: `PUT http://host:port/path HTTP/1.1`.
            let Some((method, rest)) = line.split_once(" http://") else { return Ok(()) };
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            server = Some(TcpStream::connect(host)?);
            head = format!("{method} /{path}");
            count.fetch_add(1, Relaxed);
            continue;
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        head.push_str(&line);
    }
    let Some(mut server) = server else { return Ok(()) };
    server.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    std::io::copy(&mut reader.take(length), &mut server)?;
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

#[test]
fn the_usual_variables_configure_a_proxy() {
    let server = S3Server::start(&["bucket"]);
    copy_folder(&examples(), &server.bucket("bucket").join("in"));
    for (variable, no_proxy, is_used) in
        [("HTTP_PROXY", "", true), ("http_proxy", "", true), ("HTTP_PROXY", "127.0.0.1", false)]
    {
        let (port, seen) = forward_proxy();
        let mut variables = server.environment();
        variables.push((variable.into(), format!("http://127.0.0.1:{port}")));
        variables.push(("NO_PROXY".into(), no_proxy.into()));
        let output = "s3://bucket/out";
        succeed(&["mix", "--input", "s3://bucket/in", "--output", output, "--tokenizer-model", "builtin"], &variables);
        succeed(&["verify", output], &variables);
        let requests = seen.load(Relaxed);
        assert_eq!(requests > 20, is_used, "{variable} {no_proxy}: {requests} requests");
    }
}
