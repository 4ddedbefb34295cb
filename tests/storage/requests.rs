//! What is sent to the stores that have no server here: Google's and Azure's, against a server that writes it down.

use crate::backend::options;
use crate::support::http_server::{Answer, HttpServer};
use knowledge_mixing::testing::{Environment, Location, Storage, StorageOptions};

const HUSH: &str = "c2VjcmV0LXRoYXQtbXVzdC1ub3QtYmUtdG9sZA==";

fn storage(variables: &[(&str, &str)]) -> Storage {
    Storage::with_environment(
        StorageOptions { max_retries: 0, ..options() },
        Environment::from_iter(variables.iter().copied()),
    )
}

#[tokio::test]
async fn google_is_asked_with_the_token_of_the_environment() {
    let server = HttpServer::start(|request| match request.target.as_str() {
        target if target.contains("list-type=2") => Answer::new(200).body(
            "<ListBucketResult><Contents><Key>in/b.jsonl</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"1\"</ETag><Size>5</Size></Contents></ListBucketResult>",
        ),
        target if target.ends_with("jsonl") => Answer::new(200)
            .body("hello")
            .header("etag", "\"1\"")
            .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        _ => Answer::new(404),
    });
    let storage = storage(&[("GOOGLE_BASE_URL", &server.endpoint), ("GOOGLE_BEARER_TOKEN", HUSH)]);
    let listed = storage.list(&Location::parse("gs://bucket/in").unwrap()).await.unwrap();
    assert_eq!(listed[0].key, "b.jsonl");
    let read = storage.read(&listed[0].location, 10).await.unwrap().unwrap();
    assert_eq!(read, "hello");
    let bearer = format!("Bearer {HUSH}");
    assert!(server.requests().iter().all(|request| request.header("authorization") == Some(bearer.as_str())));
}

#[tokio::test]
async fn azure_is_asked_with_the_account_of_the_url_or_the_environment() {
    let server = HttpServer::start(|request| {
        match request.target.as_str() {
        target if target.contains("comp=list") => Answer::new(200).body(
            "<EnumerationResults><Blobs><Blob><Name>in/b.jsonl</Name><Properties>\
             <Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Content-Length>5</Content-Length>\
             <Content-Type>x/y</Content-Type><Etag>0x1</Etag></Properties></Blob></Blobs><NextMarker/></EnumerationResults>",
        ),
        // Azure quotes the tag in a header, and not in a listing.
        target if target.contains("/in/b.jsonl") => Answer::new(if request.header("range").is_some() { 206 } else { 200 })
            .body("hello")
            .header("content-range", "bytes 0-4/5")
            .header("etag", "\"0x1\"")
            .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        _ => Answer::new(404),
    }
    });
    for (url, account) in [
        ("az://container/in", Some(("AZURE_STORAGE_ACCOUNT_NAME", "account"))),
        ("abfss://container@account.dfs.core.windows.net/in", None),
    ] {
        let endpoint = format!("{}/account", server.endpoint);
        let mut variables = vec![("AZURE_STORAGE_ENDPOINT", endpoint.as_str()), ("AZURE_STORAGE_ACCOUNT_KEY", HUSH)];
        variables.extend(account);
        let storage = storage(&variables);
        let listed = storage.list(&Location::parse(url).unwrap()).await.unwrap();
        assert_eq!(listed[0].key, "b.jsonl");
        assert_eq!(storage.read(&listed[0].location, 10).await.unwrap().unwrap(), "hello");
        assert_eq!(storage.read_range(&listed[0], 0..5).await.unwrap(), "hello");
        assert_eq!(server.requests().last().unwrap().header("if-match"), Some("\"0x1\""));
    }
    let signed = |header: &str| header.starts_with("SharedKey account:");
    assert!(server.requests().iter().all(|request| request.header("authorization").is_some_and(signed)));
}

/// A secret in every variable that holds one, errors of every kind, and a look whether it shows anywhere.
#[tokio::test]
async fn no_secret_is_ever_told() {
    let server = HttpServer::start(|request| {
        // A server that repeats everything that it was sent, as S3 does when a signature is wrong.
        let echo = format!("{} {:?}", request.target, request.headers);
        Answer::new(403).body(format!("<Error><Code>Denied</Code><Message>{HUSH} {echo}</Message></Error>"))
    });
    let with_user = server.endpoint.replace("http://", &format!("http://user:{HUSH}@"));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = format!("http://user:{HUSH}@{nobody}/?sig={HUSH}");
    let sas = format!("sv=1&sig={HUSH}");
    let mut told = String::new();
    for endpoint in [&server.endpoint, &with_user, &away] {
        let storage = storage(&[
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", HUSH),
            ("AWS_SECRET_ACCESS_KEY", HUSH),
            ("AWS_SESSION_TOKEN", HUSH),
            ("AWS_PROFILE", HUSH),
            ("GOOGLE_BASE_URL", endpoint.as_str()),
            ("GOOGLE_BEARER_TOKEN", HUSH),
            ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_SAS_TOKEN", sas.as_str()),
            ("HF_ENDPOINT", endpoint.as_str()),
            ("HF_TOKEN", HUSH),
            ("HF_HOME", "/proc/no-home"),
        ]);
        for url in ["s3://bucket/x", "gs://bucket/x", "az://container/x"] {
            let location = Location::parse(url).unwrap();
            told += &format!("{:?}\n", storage.list(&location).await.map(|listed| listed.len()));
            told += &format!("{:?}\n", storage.read(&location, 10).await);
            told += &format!("{:?}\n", storage.stat(&location).await);
            match storage.publish(&location).await {
                Ok(publication) => told += &format!("{:?}\n", publication.create("name").await.err()),
                Err(error) => told += &format!("{error}\n{error:?}\n"),
            }
        }
        told += &format!("{:?}\n", knowledge_mixing::testing::fetch_tokenizer(&storage, "a/b").await.err());
        told += &storage.warnings().all().join("\n");
    }
    for url in [
        format!("s3://{HUSH}@bucket/x"),
        format!("s3://key:{HUSH}@bucket/x"),
        format!("az://container/x?sig={HUSH}"),
        format!("https://user:{HUSH}@host/x?sig={HUSH}"),
    ] {
        told += &format!("{:?}\n", Location::parse(&url).err());
    }
    let bad_key =
        storage(&[("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "not base64 hush-hush")]);
    told += &format!("{:?}\n", bad_key.list(&Location::parse("az://container/x").unwrap()).await.err());
    let bad_account = storage(&[("GOOGLE_SERVICE_ACCOUNT_KEY", "{\"private_key\": \"hush-hush\"}")]);
    told += &format!("{:?}\n", bad_account.list(&Location::parse("gs://bucket/x").unwrap()).await.err());
    assert!(told.lines().count() > 40, "{told}");
    for secret in [HUSH, "hush-hush"] {
        assert!(!told.contains(secret), "{}", told.lines().find(|line| line.contains(secret)).unwrap());
    }
}

#[tokio::test]
async fn an_option_without_effect_is_reported() {
    let server = HttpServer::start(|_| Answer::new(404));
    let storage = storage(&[
        ("AWS_ENDPOINT_URL", &server.endpoint),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_PROFILE", "work"),
        ("AWS_REGOIN", "eu-central-1"),
    ]);
    let _ = storage.stat(&Location::parse("s3://bucket/x").unwrap()).await;
    let _ = storage.stat(&Location::parse("s3://bucket/y").unwrap()).await;
    insta::assert_snapshot!(storage.warnings().all().join("\n"));
}

#[tokio::test]
async fn a_public_bucket_needs_no_credentials() {
    let server = HttpServer::start(|request| match request.header("authorization") {
        Some(_) => Answer::new(403),
        None => Answer::new(200)
            .body("open")
            .header("etag", "\"1\"")
            .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
    });
    for variable in ["AWS_SKIP_SIGNATURE", "AWS_EC2_METADATA_DISABLED"] {
        // Those of another storage are none.
        let others = [("GOOGLE_BEARER_TOKEN", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "b"), ("MINIO_ACCESS_KEY", "c")];
        let mut variables = vec![("AWS_ENDPOINT_URL", server.endpoint.as_str()), (variable, "true")];
        variables.extend(others);
        let storage = storage(&variables);
        assert_eq!(storage.read(&Location::parse("s3://bucket/x").unwrap(), 9).await.unwrap().unwrap(), "open");
    }
}

#[tokio::test]
async fn minio_is_found_where_kubeflow_says() {
    let server = HttpServer::start(|_| {
        Answer::new(200).body("x").header("etag", "\"1\"").header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
    });
    let host = server.endpoint.trim_start_matches("http://");
    let storage =
        storage(&[("MINIO_ENDPOINT", host), ("MINIO_ACCESS_KEY", "minio-user"), ("MINIO_SECRET_KEY", "minio-pass")]);
    storage.read(&Location::parse("minio://mlpipeline/v2/x").unwrap(), 9).await.unwrap().unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.target, "/mlpipeline/v2/x");
    assert!(request.header("authorization").unwrap().contains("Credential=minio-user/"));
}
