//! The program itself from anywhere to anywhere: the same bytes, clear errors, no secret.

use crate::backend::Azurite;
use crate::support::http_server::{Answer, HttpServer};
use crate::support::outside::{self, Variables, copy_folder, examples, files, run, succeed};
use crate::support::s3_server::{ACCESS_KEY, S3Server};
use knowledge_mixing::testing::Location;
use std::collections::BTreeMap;
use std::path::Path;

const TOKENIZER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/builtin-tokenizer");
const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/recipes/weights.yaml");

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Runs `mix` from and to everywhere and compares every file with those of the first run.
fn the_same_everywhere(input: &Path, extra: &[&str], on_server: &[&str]) {
    let server = S3Server::start(&["bucket", "elsewhere"]);
    copy_folder(input, &server.bucket("elsewhere").join("deep/in"));
    copy_folder(Path::new(TOKENIZER), &server.bucket("bucket").join("models/builtin-tokenizer"));
    std::fs::copy(RECIPE, server.bucket("bucket").join("recipe.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let local_input = input.to_str().unwrap();
    let s3_input = "s3://elsewhere/deep/in";
    let mix = |input: &str, output: &str, more: &[&str]| {
        let arguments = [&["mix", "--input", input, "--output", output, "--cut-sizes", "2,5,8"], more].concat();
        succeed(&arguments, &server.environment());
    };
    let reference = folder.path().join("reference");
    mix(local_input, reference.to_str().unwrap(), extra);
    let reference = files(&reference);
    assert!(reference.len() > 5 && reference.contains_key("manifest.json"));

    let to = folder.path().join("from-s3");
    for more in [extra, on_server] {
        mix(s3_input, to.to_str().unwrap(), more);
        assert!(files(&to) == reference, "S3 to local, {more:?}");
        mix(local_input, "s3://bucket/out/local", more);
        assert!(files(&server.bucket("bucket").join("out/local")) == reference, "local to S3, {more:?}");
        mix(s3_input, "s3://bucket/out/s3", more);
        assert!(files(&server.bucket("bucket").join("out/s3")) == reference, "S3 to S3, {more:?}");
        succeed(&["verify", "s3://bucket/out/s3"], &server.environment());
    }
    assert!(outside::open_uploads(&server).is_empty());
    let no_difference = succeed(&["diff", "s3://bucket/out/s3", to.to_str().unwrap()], &server.environment());
    assert_eq!(no_difference.out, "no difference\n");
}

#[test]
fn the_examples_give_the_same_bytes_from_anywhere_to_anywhere() {
    the_same_everywhere(
        &examples(),
        &["--tokenizer-model", TOKENIZER, "--recipe", RECIPE],
        &["--tokenizer-model", "s3://bucket/models/builtin-tokenizer", "--recipe", "s3://bucket/recipe.yaml"],
    );
}

#[test]
fn mixes_of_many_parts_give_the_same_bytes_from_anywhere_to_anywhere() {
    let input = tempfile::tempdir().unwrap();
    outside::large_input(input.path());
    the_same_everywhere(
        input.path(),
        &["--tokenizer-model", TOKENIZER],
        &["--tokenizer-model", "s3://bucket/models/builtin-tokenizer"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_give_the_same_bytes_from_azure_to_azure() {
    let Some(azurite) = Azurite::find() else { return };
    let container = azurite.container();
    for file in container.storage.list(&Location::local(examples())).await.unwrap() {
        container.put(&format!("in/{}", file.key), std::fs::read(file.location.local_path().unwrap()).unwrap()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| container.folder.join(name).to_string();
    let mix = |input: &str, output: &str| {
        let arguments =
            ["mix", "--input", input, "--output", output, "--tokenizer-model", TOKENIZER, "--cut-sizes", "2,5"];
        succeed(&arguments, &azurite.environment());
    };
    mix(examples().to_str().unwrap(), folder.path().to_str().unwrap());
    // The second time over the first mix.
    for _ in 0..2 {
        mix(&at("in"), &at("out"));
        succeed(&["verify", &at("out")], &azurite.environment());
    }
    let stored = container.everything().await.into_iter();
    let stored = stored.filter_map(|(name, content)| Some((name.strip_prefix("out/")?.to_string(), content.to_vec())));
    assert!(stored.collect::<BTreeMap<_, _>>() == files(folder.path()));

    let mut wrong = azurite.environment();
    wrong.retain(|(name, _)| name != "AZURE_STORAGE_ACCOUNT_KEY");
    wrong.push(("AZURE_STORAGE_ACCOUNT_KEY".into(), "bm90LXRoZS1rZXk=".into()));
    let mut told = String::new();
    for (what, location, variables) in [
        ("wrong key", at("in"), &wrong),
        ("no such container", "az://nowhere/in".to_string(), &azurite.environment()),
        ("nothing there", at("nothing"), &azurite.environment()),
    ] {
        let ran = run(&["plan", "--input", &location, "--tokenizer-model", "builtin"], variables);
        told.push_str(&format!("-- {what}: {}\n{}", ran.code.unwrap(), ran.err));
    }
    insta::assert_snapshot!(told);
}

/// What a person reads where it cannot heal, and what an engine gets.
#[test]
fn what_cannot_heal_ends_with_its_code_and_says_why() {
    let server = S3Server::start(&["bucket"]);
    copy_folder(&examples(), &server.bucket("bucket").join("in"));
    let here = server.environment();
    let endpoint = server.endpoint();
    let anonymous = variables(&[("AWS_ENDPOINT_URL", &endpoint)]);
    let wrong = variables(&[
        ("AWS_ENDPOINT_URL", &endpoint),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", "not-the-secret"),
    ]);
    let builtin = ["--tokenizer-model", "builtin"];
    let out = tempfile::tempdir().unwrap();
    let local = out.path().to_str().unwrap();
    let mut told = String::new();
    for (what, arguments, variables) in [
        ("private, no credentials", vec!["mix", "--input", "s3://bucket/in", "--output", local], &anonymous),
        ("wrong secret", vec!["mix", "--input", "s3://bucket/in", "--output", local], &wrong),
        ("no such bucket", vec!["mix", "--input", "s3://nowhere/in", "--output", local], &here),
        ("nothing there", vec!["mix", "--input", "s3://bucket/nothing", "--output", local], &here),
        ("wrong secret to write", vec!["mix", "--input", local, "--output", "s3://bucket/out"], &wrong),
        ("a secret in the URL", vec!["mix", "--input", "s3://key:hush@bucket/in", "--output", local], &here),
        ("nothing to verify", vec!["verify", "s3://bucket/nothing"], &here),
        ("no recipe", vec!["plan", "--input", "s3://bucket/in", "--recipe", "s3://bucket/no.yaml"], &here),
    ] {
        let began = std::time::Instant::now();
        let more: &[&str] = if arguments[0] == "verify" { &[] } else { &builtin };
        let ran = run(&[&arguments[..], more].concat(), variables);
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{what} took {:?}", began.elapsed());
        told.push_str(&format!("-- {what}: {}\n{}", ran.code.unwrap(), ran.err.replace(local, "OUTPUT")));
    }
    assert!(files(out.path()).is_empty());
    insta::assert_snapshot!(told);
}

/// A recognisable secret in every variable that can hold one, in `.env` and in URLs: it is nowhere in what the program
/// says or writes, whether it fails or succeeds.
#[test]
fn no_secret_is_in_anything_that_is_said_or_written() {
    const SECRET: &str = "wEirD-SeCrEt-0123456789";
    let server = S3Server::start(&["bucket"]);
    copy_folder(&examples(), &server.bucket("bucket").join("in"));
    // A server that repeats everything that it was sent.
    let echo = HttpServer::start(|request| {
        Answer::new(403).body(format!("<Error><Code>Denied</Code><Message>{:?}</Message></Error>", request.headers))
    });
    let with_user = |url: &str| url.replace("http://", &format!("http://user:{SECRET}@"));
    let nobody = format!("http://user:{SECRET}@127.0.0.1:1/?sig={SECRET}");
    let secrets = [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "MINIO_ACCESS_KEY",
        "MINIO_SECRET_KEY",
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_CLIENT_SECRET",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
    ];
    let all_secret = |endpoint: &str| {
        let mut all: Variables = secrets.map(|name| (name.to_string(), SECRET.to_string())).to_vec();
        for name in ["AWS_ENDPOINT_URL", "GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT", "HF_ENDPOINT", "MINIO_ENDPOINT"] {
            all.push((name.into(), endpoint.into()));
        }
        all.push(("AZURE_STORAGE_ACCOUNT_NAME".into(), "account".into()));
        all
    };
    // Where the credentials are right, everything else is a secret.
    let mut working = all_secret(&server.endpoint());
    working.retain(|(name, _)| {
        !matches!(name.as_str(), "AWS_SECRET_ACCESS_KEY" | "AWS_ACCESS_KEY_ID" | "AWS_SESSION_TOKEN")
    });
    working.extend(server.environment());

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let dotenv: String = secrets.map(|name| format!("{name}={SECRET}\n")).concat();
    std::fs::write(folder.path().join(".env"), format!("{dotenv}AWS_ENDPOINT_URL={}\n", echo.endpoint)).unwrap();
    let output = out.to_str().unwrap();
    let url = |scheme: &str| format!("{scheme}://user:{SECRET}@bucket/in?sig={SECRET}");
    let urls = ["s3", "gs", "az", "https", "minio"].map(url);
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["mix", "--input", "s3://bucket/in", "--output", output, "--tokenizer-model", "builtin"],
        vec!["mix", "--input", "s3://bucket/in", "--output", "s3://bucket/out", "--tokenizer-model", "builtin"],
        vec!["plan", "--input", "s3://bucket/in", "--tokenizer-model", "builtin", "--format", "json"],
        vec!["plan", "--input", "gs://bucket/in", "--tokenizer-model", "builtin"],
        vec!["plan", "--input", "az://bucket/in", "--tokenizer-model", "builtin"],
        vec!["plan", "--input", "minio://bucket/in", "--tokenizer-model", "builtin"],
        vec!["plan", "--input", "s3://bucket/in", "--tokenizer-model", "owner/name"],
        vec!["verify", "s3://bucket/out"],
        vec!["verify", "az://bucket/out"],
        vec!["diff", "s3://bucket/out", "gs://bucket/out"],
    ];
    for url in &urls {
        commands.push(vec!["mix", "--input", url, "--output", output]);
        commands.push(vec!["plan", "--tokenizer-model", url]);
        commands.push(vec!["plan", "--recipe", url]);
        commands.push(vec!["verify", url]);
    }
    let environments =
        [working, all_secret(&echo.endpoint), all_secret(&with_user(&echo.endpoint)), all_secret(&nobody), vec![]];
    let (mut succeeded, mut failed) = (0, 0);
    for (number, environment) in environments.iter().enumerate() {
        for arguments in &commands {
            for format in ["text", "json"] {
                let more = ["--log-format", format, "--max-retries", "0"];
                let mut command = outside::command(&[&arguments[..], &more].concat(), environment);
                command.env("HF_HOME", folder.path().join("hub"));
                if environment.is_empty() {
                    command.current_dir(folder.path());
                }
                let ran: outside::Ran = command.output().unwrap().into();
                if ran.code == Some(0) {
                    succeeded += 1
                } else {
                    failed += 1
                }
                for said in [&ran.out, &ran.err] {
                    assert!(!said.contains(SECRET), "environment {number}, {arguments:?}:\n{said}");
                }
            }
        }
    }
    for (name, content) in files(&out).into_iter().chain(files(&server.bucket("bucket").join("out"))) {
        assert!(!String::from_utf8_lossy(&content).contains(SECRET), "{name}");
    }
    eprintln!("{succeeded} succeeded, {failed} failed");
    assert!(succeeded >= 8 && failed > 100, "{succeeded} succeeded, {failed} failed: no test of anything");
}
