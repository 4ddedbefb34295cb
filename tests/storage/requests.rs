//! Requests to Google's and Azure's stores, against a server that records them.

use crate::backend::{PUBLISH_OPTIONS, options};
use crate::conformance::read_all;
use crate::support::http_server::{Answer, HttpServer};
use knowledge_mixing::testing::{Environment, ErrorKind, Location, Storage, StorageOptions, fetch_tokenizer};

const HUSH: &str = "c2VjcmV0LXRoYXQtbXVzdC1ub3QtYmUtdG9sZA==";

fn storage(variables: &[(&str, &str)]) -> Storage {
    Storage::with_environment(
        StorageOptions { max_retries: 0, ..options() },
        Environment::from_iter(variables.iter().copied()),
    )
}

#[tokio::test]
async fn google_requests_carry_the_token_of_the_environment() {
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
async fn azure_requests_are_signed_for_the_account_of_the_url_or_the_environment() {
    let server = HttpServer::start(|request| {
        match request.target.as_str() {
        target if target.contains("comp=list") => Answer::new(200).body(
            "<EnumerationResults><Blobs><Blob><Name>in/b.jsonl</Name><Properties>\
             <Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Content-Length>5</Content-Length>\
             <Content-Type>x/y</Content-Type><Etag>0x1</Etag></Properties></Blob></Blobs><NextMarker/></EnumerationResults>",
        ),
        // Azure quotes the entity tag in a header, but not in a listing.
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

/// Puts a secret into every variable that may hold one, causes errors of every kind, and looks for it in the messages.
#[tokio::test]
async fn messages_hold_no_secret() {
    let server = HttpServer::start(|request| {
        // A server that repeats the whole request, as S3 does if a signature is wrong.
        let echo = format!("{} {:?}", request.target, request.headers);
        Answer::new(403).body(format!("<Error><Code>Denied</Code><Message>{HUSH} {echo}</Message></Error>"))
    });
    let with_user = server.endpoint.replace("http://", &format!("http://user:{HUSH}@"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = format!("http://user:{HUSH}@{closed}/?sig={HUSH}");
    let sas = format!("sv=1&sig={HUSH}");
    let mut messages = String::new();
    for endpoint in [&server.endpoint, &with_user, &unreachable] {
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
            messages += &format!("{:?}\n", storage.list(&location).await.map(|listed| listed.len()));
            messages += &format!("{:?}\n", storage.read(&location, 10).await);
            messages += &format!("{:?}\n", storage.stat(&location).await);
            match storage.publish(&location, PUBLISH_OPTIONS).await {
                Ok(publication) => messages += &format!("{:?}\n", publication.create("name").await.err()),
                Err(error) => messages += &format!("{error}\n{error:?}\n"),
            }
        }
        messages += &format!("{:?}\n", fetch_tokenizer(&storage, "a/b").await.err());
        messages += &storage.warnings().all().join("\n");
    }
    for url in [
        format!("s3://{HUSH}@bucket/x"),
        format!("s3://key:{HUSH}@bucket/x"),
        format!("az://container/x?sig={HUSH}"),
        format!("https://user:{HUSH}@host/x?sig={HUSH}"),
    ] {
        messages += &format!("{:?}\n", Location::parse(&url).err());
    }
    let bad_key =
        storage(&[("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "not base64 hush-hush")]);
    messages += &format!("{:?}\n", bad_key.list(&Location::parse("az://container/x").unwrap()).await.err());
    let bad_account = storage(&[("GOOGLE_SERVICE_ACCOUNT_KEY", "{\"private_key\": \"hush-hush\"}")]);
    messages += &format!("{:?}\n", bad_account.list(&Location::parse("gs://bucket/x").unwrap()).await.err());
    assert!(messages.lines().count() > 40, "{messages}");
    for secret in [HUSH, "hush-hush"] {
        assert!(!messages.contains(secret), "{}", messages.lines().find(|line| line.contains(secret)).unwrap());
    }
}

#[tokio::test]
async fn a_variable_without_effect_is_reported() {
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
        // The credentials of another store do not count.
        let others = [("GOOGLE_BEARER_TOKEN", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "b"), ("MINIO_ACCESS_KEY", "c")];
        let mut variables = vec![("AWS_ENDPOINT_URL", server.endpoint.as_str()), (variable, "true")];
        variables.extend(others);
        let storage = storage(&variables);
        assert_eq!(storage.read(&Location::parse("s3://bucket/x").unwrap(), 9).await.unwrap().unwrap(), "open");
    }
}

#[tokio::test]
async fn minio_uses_the_endpoint_and_credentials_of_kubeflow() {
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

/// What secrets that were pasted from a file look like.
fn with_line_breaks(variables: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    variables.iter().map(|(name, value)| (*name, format!("{value}\r\n"))).collect()
}

fn object(body: &str) -> Answer {
    Answer::new(200).body(body).header("etag", "\"1\"").header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
}

fn storage_of(variables: &[(&'static str, String)]) -> Storage {
    storage(&variables.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

#[tokio::test]
async fn line_breaks_around_the_values_of_variables_are_ignored_with_a_warning() {
    let server = HttpServer::start(|_| object("x"));
    let account = format!("{}/account", server.endpoint);
    for (url, expected, variables) in [
        (
            "s3://bucket/x",
            "Credential=key/",
            &[
                ("AWS_ENDPOINT_URL", server.endpoint.as_str()),
                ("AWS_ACCESS_KEY_ID", "key"),
                ("AWS_SECRET_ACCESS_KEY", HUSH),
                ("AWS_SESSION_TOKEN", HUSH),
                ("AWS_REGION", "eu-central-1"),
            ][..],
        ),
        ("gs://bucket/x", "Bearer", &[("GOOGLE_BASE_URL", server.endpoint.as_str()), ("GOOGLE_BEARER_TOKEN", HUSH)]),
        (
            "az://container/x",
            "SharedKey account:",
            &[
                ("AZURE_STORAGE_ENDPOINT", account.as_str()),
                ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
                ("AZURE_STORAGE_ACCOUNT_KEY", HUSH),
            ],
        ),
    ] {
        let storage = storage_of(&with_line_breaks(variables));
        let read = storage.read(&Location::parse(url).unwrap(), 10).await.unwrap();
        assert_eq!(read.unwrap(), "x", "{url}");
        let request = server.requests().pop().unwrap();
        assert!(request.header("authorization").unwrap().contains(expected), "{request:?}");
        let warnings = storage.warnings().all();
        assert_eq!(warnings.len(), variables.len(), "{warnings:?}");
        for (name, _) in variables {
            assert!(warnings.contains(&format!("{name}: white space around the value is ignored")), "{warnings:?}");
        }
        assert!(!warnings.join("").contains(HUSH));
    }
}

#[tokio::test]
async fn values_that_no_request_can_carry_are_usage_errors_that_name_the_variable() {
    let s3 = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let azure = [
        ("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
    ];
    for (url, others, variable, value) in [
        ("s3://bucket/x", &s3[..], "AWS_ACCESS_KEY_ID", "hush\nhush"),
        ("s3://bucket/x", &s3, "AWS_SESSION_TOKEN", "hush\u{1}"),
        ("s3://bucket/x", &s3, "AWS_SESSION_TOKEN", "hush-\u{e9}"),
        ("s3://bucket/x", &s3, "AWS_REGION", "eu\ncentral"),
        ("s3://bucket/x", &s3, "AWS_REGION", "eu central/1"),
        ("s3://bucket/x", &s3, "AWS_ENDPOINT_URL", "http://host\n:9"),
        ("s3://bucket/x", &s3, "AWS_ENDPOINT_URL", "http://host:99999"),
        ("s3://bucket/x", &s3, "AWS_ENDPOINT_URL", "http://ho st"),
        ("s3://bucket/x", &s3, "AWS_ENDPOINT_URL", "ftp://host"),
        ("minio://bucket/x", &s3[1..], "MINIO_ENDPOINT", "ho st:9000"),
        ("gs://bucket/x", &[], "GOOGLE_BEARER_TOKEN", "hush\nhush"),
        ("gs://bucket/x", &[("GOOGLE_BEARER_TOKEN", "a")], "GOOGLE_BASE_URL", "http://host:99999"),
        ("az://container/x", &azure, "AZURE_STORAGE_ACCOUNT_NAME", "acc\nount"),
        ("az://container/x", &azure, "AZURE_STORAGE_ENDPOINT", "http://host:99999"),
    ] {
        let mut variables: Vec<_> = others.to_vec();
        variables.retain(|(name, _)| *name != variable);
        variables.push((variable, value));
        let error = storage(&variables).read(&Location::parse(url).unwrap(), 10).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Usage, "{value:?}: {text}");
        assert!(text.starts_with(&format!("{variable}: invalid ")), "{value:?}: {text}");
        assert!(!text.contains("hush"), "{text}");
    }
}

/// The credentials of a pod (EKS), whose token file and whose answer both end with a line break.
#[tokio::test]
async fn line_breaks_in_token_files_and_in_fetched_credentials_are_ignored() {
    let server = HttpServer::start(|request| match request.target.as_str() {
        "/credentials" if request.header("authorization") == Some("token-of-the-pod") => Answer::new(200).body(
            "{\"AccessKeyId\": \"key\\n\", \"SecretAccessKey\": \"secret\", \"Token\": \"session\\n\", \
             \"Expiration\": \"2099-01-01T00:00:00Z\"}",
        ),
        "/credentials" => Answer::new(401),
        _ => object("x"),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let credentials = format!("{}/credentials", server.endpoint);
    let variables = [
        ("AWS_ENDPOINT_URL", server.endpoint.as_str()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &credentials),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
    ];
    std::fs::write(&file, "token-of-the-pod\n").unwrap();
    let location = Location::parse("s3://bucket/x").unwrap();
    let storage_of_pod = storage(&variables);
    assert_eq!(storage_of_pod.read(&location, 10).await.unwrap().unwrap(), "x");
    assert_eq!(server.requests().pop().unwrap().header("x-amz-security-token"), Some("session"));
    let warnings = storage_of_pod.warnings().all();
    let expected = format!("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE ({}): white space", file.display());
    assert!(warnings.len() == 1 && warnings[0].starts_with(&expected), "{warnings:?}");

    for broken in [&b"hush\nhush"[..], b"hush\xff"] {
        std::fs::write(&file, broken).unwrap();
        let error = storage(&variables).read(&location, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.to_string().starts_with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE ("), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

/// An STS or a metadata service that answers with what no header can carry: an error, no panic.
#[tokio::test]
async fn fetched_credentials_that_no_header_can_carry_are_an_error() {
    let server = HttpServer::start(|_| {
        Answer::new(200).body(
            "{\"AccessKeyId\": \"key\", \"SecretAccessKey\": \"secret\", \"Token\": \"hush\\nhush\", \
             \"Expiration\": \"2099-01-01T00:00:00Z\"}",
        )
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "token").unwrap();
    let storage = storage(&[
        ("AWS_ENDPOINT_URL", server.endpoint.as_str()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server.endpoint),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
    ]);
    let error = storage.read(&Location::parse("s3://bucket/x").unwrap(), 10).await.unwrap_err();
    assert!(error.to_string().contains("the fetched credentials contain a character"), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[tokio::test]
async fn no_redirect_of_a_store_is_followed_and_the_message_says_where_it_leads() {
    let elsewhere = HttpServer::start(|_| object("believed"));
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}/bucket/x?X-Amz-Security-Token={HUSH}", elsewhere.endpoint);
        let server = HttpServer::start(move |_| Answer::new(status).header("location", &target));
        let endpoint = server.endpoint.as_str();
        let variables = [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", HUSH),
            ("AWS_SESSION_TOKEN", HUSH),
            ("GOOGLE_BASE_URL", endpoint),
            ("GOOGLE_BEARER_TOKEN", HUSH),
            ("AZURE_STORAGE_ENDPOINT", endpoint),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_ACCOUNT_KEY", HUSH),
        ];
        let storage = storage(&variables);
        for url in ["s3://bucket/x", "gs://bucket/x", "az://container/x"] {
            let location = Location::parse(url).unwrap();
            let read = storage.read(&location, 10).await.unwrap_err();
            let listed = storage.list(&location).await.unwrap_err();
            let publication = storage.publish(&location, PUBLISH_OPTIONS).await;
            let written = publication.err().expect("a redirect was followed");
            for error in [read, listed, written] {
                let text = error.to_string();
                let expected =
                    format!("redirects to another address: status {status}, redirects to {}", elsewhere.endpoint);
                assert!(text.contains(&expected) && text.contains("set the endpoint"), "{text}");
                assert!(!text.contains(HUSH), "{text}");
                assert_eq!(error.kind(), ErrorKind::Io);
            }
        }
    }
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
}

#[tokio::test]
async fn a_redirect_of_s3_names_the_region_of_the_bucket() {
    let region = HttpServer::start(|_| Answer::new(301).header("x-amz-bucket-region", "eu-west-1"));
    let endpoint = HttpServer::start(|_| Answer::new(307).header("location", "https://b.s3.eu-west-1.amazonaws.com/x"));
    let neither = HttpServer::start(|_| Answer::new(301));
    let signature = HttpServer::start(|_| {
        Answer::new(400).body("<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message><Region>eu-west-1</Region></Error>")
    });
    for (server, part) in [
        (region, "status 301, region eu-west-1"),
        (endpoint, "redirects to https://b.s3.eu-west-1.amazonaws.com"),
        (neither, "status 301"),
        (signature, "the region is wrong"),
    ] {
        let variables = [
            ("AWS_ENDPOINT_URL", server.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
        ];
        let error = storage(&variables).read(&Location::parse("s3://bucket/x").unwrap(), 10).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the bucket is in another region") && text.contains(part), "{text}");
        assert!(text.contains("set AWS_REGION to the bucket's region"), "{text}");
    }
}

const LIST_KEYS: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];

/// A page of an S3 listing.
fn page(keys: &[&str], folders: &[&str], next: Option<&str>) -> Answer {
    let mut body = String::from("<ListBucketResult>");
    for key in keys {
        body += &format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"1\"</ETag><Size>1</Size></Contents>"
        );
    }
    for folder in folders {
        body += &format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
    }
    if let Some(next) = next {
        body += &format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>");
    }
    Answer::new(200).body(body + "</ListBucketResult>")
}

async fn list_error(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (String, usize) {
    let server = HttpServer::start(move |request| answer(&request.target));
    let mut variables = vec![("AWS_ENDPOINT_URL", server.endpoint.as_str())];
    variables.extend(LIST_KEYS);
    let options = StorageOptions { retry_timeout: std::time::Duration::from_secs(2), ..options() };
    let storage = Storage::with_environment(options, Environment::from_iter(variables));
    let error = storage.list(&Location::parse("s3://bucket/in").unwrap()).await.unwrap_err();
    (error.to_string(), server.requests().len())
}

#[tokio::test]
async fn a_listing_that_does_not_end_is_an_error_that_says_what_was_answered() {
    let (error, requests) = list_error(|_| page(&["in/a", "in/b"], &[], Some("again"))).await;
    assert!(error.contains("the store's listing does not end: 2 keys so far: key `in/a` again"), "{error}");
    assert!(requests <= 3, "{requests} requests");

    let (error, requests) = list_error(|_| page(&[], &[], Some("again"))).await;
    assert!(error.contains("the continuation token of the listing repeats"), "{error}");
    assert!(requests <= 3, "{requests} requests");

    // New tokens without end, and no keys.
    let count = std::sync::atomic::AtomicUsize::new(0);
    let next = move || count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
    let (error, _) = list_error(move |_| page(&[], &[], Some(&next()))).await;
    assert!(error.contains("the store's listing does not end: 0 keys so far"), "{error}");
}

#[tokio::test]
async fn a_listing_that_is_tried_again_after_an_error_is_complete() {
    let failed = std::sync::atomic::AtomicBool::new(false);
    let server = HttpServer::start(move |request| match request.target.contains("continuation-token") {
        false => page(&["in/a"], &[], Some("next")),
        true if !failed.swap(true, std::sync::atomic::Ordering::Relaxed) => Answer::new(503),
        true => page(&["in/b"], &[], None),
    });
    let mut variables = vec![("AWS_ENDPOINT_URL", server.endpoint.as_str())];
    variables.extend(LIST_KEYS);
    let storage = Storage::with_environment(options(), Environment::from_iter(variables));
    let listed = storage.list(&Location::parse("s3://bucket/in").unwrap()).await.unwrap();
    assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

/// Ceph's buckets of a tenant: the colon is escaped on the wire and in what is signed, as boto3 does it.
#[tokio::test]
async fn the_bucket_of_a_tenant_is_part_of_the_path() {
    let server = HttpServer::start(|_| {
        Answer::new(200).body("x").header("etag", "\"1\"").header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
    });
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let location = Location::parse("s3://tenant:bucket/in/x").unwrap();
    let endpoint = ("AWS_ENDPOINT_URL", server.endpoint.as_str());
    storage(&[&keys[..], &[endpoint]].concat()).read(&location, 9).await.unwrap().unwrap();
    assert_eq!(server.requests()[0].target, "/tenant%3Abucket/in/x");
    for (more, hint) in [
        (&[][..], "set AWS_ENDPOINT_URL"),
        (&[endpoint, ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")], "remove AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
    ] {
        let error = storage(&[&keys[..], more].concat()).read(&location, 9).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let text = error.to_string();
        assert!(text.starts_with("s3://tenant:bucket: ") && text.contains(hint), "{text}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn credentials_of_google_that_are_not_supported_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let adc = folder.path().join(".config/gcloud/application_default_credentials.json");
    std::fs::create_dir_all(adc.parent().unwrap()).unwrap();
    let content = format!("{{\"type\": \"external_account\", \"audience\": \"{HUSH}\"}}");
    std::fs::write(&adc, &content).unwrap();
    let path = adc.to_str().unwrap();
    let location = Location::parse("gs://bucket/x").unwrap();
    for (name, value, expected) in [
        ("GOOGLE_APPLICATION_CREDENTIALS", path, "service_account or authorized_user"),
        ("HOME", folder.path().to_str().unwrap(), "service_account or authorized_user"),
        ("GOOGLE_SERVICE_ACCOUNT", path, "service_account"),
        ("SERVICE_ACCOUNT", path, "service_account"),
        ("GOOGLE_SERVICE_ACCOUNT_KEY", &content, "service_account"),
    ] {
        let error = storage(&[(name, value)]).read(&location, 9).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{name}");
        let message = format!(": credentials of type external_account are not supported: expected {expected}");
        let text = error.to_string();
        assert!(text.contains(&message) && text.contains("GOOGLE_BEARER_TOKEN"), "{text}");
        assert!(!text.contains(HUSH), "{text}");
    }
    // A token that is given takes precedence, as the hint says.
    let server = HttpServer::start(|_| Answer::new(404));
    let variables = [
        ("GOOGLE_APPLICATION_CREDENTIALS", path),
        ("GOOGLE_BEARER_TOKEN", "token"),
        ("GOOGLE_BASE_URL", &server.endpoint),
    ];
    assert!(storage(&variables).read(&location, 9).await.unwrap().is_none());
}

/// A store with one object, `in/x.jsonl`, whose responses `change` may change.
fn with_object(
    content: &'static [u8],
    e_tag: &'static str,
    change: impl Fn(Answer) -> Answer + Send + Sync + 'static,
) -> HttpServer {
    HttpServer::start(move |request| {
        if request.target.contains("list-type=2") {
            return Answer::new(200).body(format!(
                "<ListBucketResult><Contents><Key>in/x.jsonl</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                 <ETag>{e_tag}</ETag><Size>{}</Size></Contents></ListBucketResult>",
                content.len()
            ));
        }
        // A weak tag matches no condition.
        if request.header("if-match").is_some_and(|tag| tag != e_tag || tag.starts_with("W/")) {
            return Answer::new(412);
        }
        let range = request.header("range").unwrap().trim_start_matches("bytes=").split_once('-').unwrap();
        let (start, end): (usize, usize) = (range.0.parse().unwrap(), range.1.parse().unwrap());
        let answer = Answer::new(206)
            .body(&content[start..=end])
            .header("content-range", format!("bytes {start}-{end}/{}", content.len()))
            .header("etag", e_tag)
            .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
        change(answer)
    })
}

fn replaced(mut answer: Answer, name: &str, value: &str) -> Answer {
    answer.headers.retain(|(found, _)| found != name);
    answer.header(name, value)
}

async fn read_object(server: &HttpServer) -> Result<Vec<u8>, knowledge_mixing::testing::Error> {
    let variables =
        [("AWS_ENDPOINT_URL", server.endpoint.as_str()), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let storage = storage(&variables);
    let listed = storage.list(&Location::parse("s3://bucket/in").unwrap()).await?;
    read_all(&storage, &listed[0]).await.map(|bytes| bytes.to_vec())
}

#[tokio::test]
async fn objects_with_weak_entity_tags_are_read() {
    let content: &'static [u8] = vec![b'x'; 9 << 20].leak();
    assert!(read_object(&with_object(content, "W/\"1\"", |answer| answer)).await.unwrap() == content);
    // A proxy makes a tag weak.
    let weakening = with_object(content, "\"1\"", |answer| replaced(answer, "etag", "W/\"1\""));
    assert!(read_object(&weakening).await.unwrap() == content);
    assert!(weakening.requests().iter().all(|request| request.header("accept-encoding") == Some("identity")));
    for (name, value) in [("etag", "W/\"2\""), ("last-modified", "Thu, 01 Jan 2026 00:00:01 GMT")] {
        let server = with_object(content, "W/\"1\"", move |answer| replaced(answer, name, value));
        let text = read_object(&server).await.unwrap_err().to_string();
        assert!(text.contains("changed while it was read"), "{name}: {text}");
    }
}

#[tokio::test]
async fn content_that_is_changed_on_the_way_is_an_error_that_says_so() {
    type Change = fn(Answer) -> Answer;
    let changes: [(&str, Change); 3] = [
        ("the store lists 5 bytes and sends 9", |answer| replaced(answer, "content-range", "bytes 0-4/9")),
        ("non-partial response", |answer| Answer { status: 200, ..answer }),
        ("Content-Range header not present", |mut answer| {
            answer.headers.retain(|(name, _)| name != "content-range");
            answer
        }),
    ];
    for (cause, change) in changes {
        let error = read_object(&with_object(b"hello", "\"1\"", change)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let text = error.to_string();
        assert!(text.contains("does not send the bytes that are stored") && text.contains(cause), "{cause}: {text}");
        assert!(text.contains("Content-Encoding"), "{text}");
    }
}
