//! The program between all backends: the same bytes, clear errors, no secret.

use crate::backend::Azurite;
use crate::support::http_server::{Answer, HttpServer};
use crate::support::outside::{self, Variables, copy_folder, examples, files, mix_files, run, succeed};
use crate::support::s3_server::{ACCESS_KEY, S3Server};
use knowledge_mixing::testing::Location;
use std::path::Path;

const TOKENIZER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/builtin-tokenizer");
const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/recipes/weights.yaml");

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Runs `mix` between all backends and compares every file with those of the first run.
fn assert_same_bytes_everywhere(input: &Path, extra: &[&str], on_server: &[&str]) {
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
    let reference = mix_files(&reference);
    assert!(reference.len() > 5 && reference.contains_key("manifest.json"));

    let to = folder.path().join("from-s3");
    for more in [extra, on_server] {
        mix(s3_input, to.to_str().unwrap(), more);
        assert!(mix_files(&to) == reference, "S3 to local, {more:?}");
        mix(local_input, "s3://bucket/out/local", more);
        assert!(mix_files(&server.bucket("bucket").join("out/local")) == reference, "local to S3, {more:?}");
        mix(s3_input, "s3://bucket/out/s3", more);
        assert!(mix_files(&server.bucket("bucket").join("out/s3")) == reference, "S3 to S3, {more:?}");
        succeed(&["verify", "s3://bucket/out/s3"], &server.environment());
    }
    assert!(outside::open_uploads(&server).is_empty());
    let no_difference = succeed(&["diff", "s3://bucket/out/s3", to.to_str().unwrap()], &server.environment());
    assert_eq!(no_difference.out, "no differences\n");
}

#[test]
fn the_examples_give_the_same_bytes_on_every_backend() {
    assert_same_bytes_everywhere(
        &examples(),
        &["--tokenizer-model", TOKENIZER, "--recipe", RECIPE],
        &["--tokenizer-model", "s3://bucket/models/builtin-tokenizer", "--recipe", "s3://bucket/recipe.yaml"],
    );
}

#[test]
fn mixes_of_many_parts_give_the_same_bytes_on_every_backend() {
    let input = tempfile::tempdir().unwrap();
    outside::large_input(input.path());
    assert_same_bytes_everywhere(
        input.path(),
        &["--tokenizer-model", TOKENIZER],
        &["--tokenizer-model", "s3://bucket/models/builtin-tokenizer"],
    );
}

#[test]
fn more_files_than_one_pass_writes_give_the_same_bytes_in_a_bucket() {
    let server = S3Server::start(&["bucket"]);
    let folder = tempfile::tempdir().unwrap();
    let cuts: Vec<String> = (1..=160).map(|cut| cut.to_string()).collect();
    let cuts = cuts.join(",");
    let input = examples();
    for output in [folder.path().to_str().unwrap(), "s3://bucket/out"] {
        let arguments = ["mix", "--input", input.to_str().unwrap(), "--output", output, "--cut-sizes", &cuts];
        let more = ["--infeasible-cuts", "keep", "--columns", "training", "--tokenizer-model", "builtin"];
        succeed(&[&arguments[..], &more].concat(), &server.environment());
    }
    let local = mix_files(folder.path());
    assert!(local.len() > 160, "{} files", local.len());
    assert!(mix_files(&server.bucket("bucket").join("out")) == local);
}

#[test]
fn few_descriptors_give_the_same_bytes_in_a_bucket_or_a_clear_error() {
    let server = S3Server::start(&["bucket"]);
    copy_folder(&examples(), &server.bucket("bucket").join("in"));
    let mut report = String::new();
    for descriptors in [12, 14, 16, 18, 20, 24, 32, 64] {
        let limit = format!("--nofile={descriptors}:{descriptors}");
        let mut command = std::process::Command::new("prlimit");
        command.arg(limit).arg(crate::support::binary()).args([
            "mix",
            "--input",
            "s3://bucket/in",
            "--cut-sizes",
            "2,5,8",
        ]);
        command.args(["--output", "s3://bucket/out", "--tokenizer-model", "builtin", "--max-retries", "3"]);
        command.env_clear().envs(server.environment()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let ran = outside::Ran::from(command.output().unwrap());
        report.push_str(&format!("{descriptors} descriptors: {:?} {}\n", ran.code, ran.err));
        match ran.code {
            Some(0) => assert!(outside::whole(&server.bucket("bucket").join("out"))),
            Some(74) => assert!(ran.err.contains("raise the limit of open files: `ulimit -n"), "{report}"),
            _ => panic!("{report}"),
        }
        assert!(descriptors < 32 || ran.code == Some(0), "{report}");
        assert!(!ran.err.contains("panicked"), "{report}");
    }
    eprintln!("{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_give_the_same_bytes_on_azure() {
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
    // The second run replaces the first mix.
    for _ in 0..2 {
        mix(&at("in"), &at("out"));
        succeed(&["verify", &at("out")], &azurite.environment());
    }
    let stored = tempfile::tempdir().unwrap();
    for (name, content) in container.everything().await {
        if let Some(name) = name.strip_prefix("out/") {
            std::fs::write(stored.path().join(name), content).unwrap();
        }
    }
    assert!(mix_files(stored.path()) == mix_files(folder.path()));

    let mut wrong = azurite.environment();
    wrong.retain(|(name, _)| name != "AZURE_STORAGE_ACCOUNT_KEY");
    wrong.push(("AZURE_STORAGE_ACCOUNT_KEY".into(), "bm90LXRoZS1rZXk=".into()));
    let mut report = String::new();
    for (what, location, variables) in [
        ("wrong key", at("in"), &wrong),
        ("container not found", "az://nowhere/in".to_string(), &azurite.environment()),
        ("folder not found", at("nothing"), &azurite.environment()),
    ] {
        let ran = run(&["plan", "--input", &location, "--tokenizer-model", "builtin"], variables);
        report.push_str(&format!("-- {what}: {}\n{}", ran.code.unwrap(), ran.err));
    }
    insta::assert_snapshot!(report);
}

/// The message for a user and the exit code for an engine.
#[test]
fn permanent_errors_have_their_exit_code_and_say_why() {
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
    let mut report = String::new();
    for (what, arguments, variables) in [
        ("private, no credentials", vec!["mix", "--input", "s3://bucket/in", "--output", local], &anonymous),
        ("wrong secret", vec!["mix", "--input", "s3://bucket/in", "--output", local], &wrong),
        ("bucket not found", vec!["mix", "--input", "s3://nowhere/in", "--output", local], &here),
        ("folder not found", vec!["mix", "--input", "s3://bucket/nothing", "--output", local], &here),
        ("wrong secret to write", vec!["mix", "--input", local, "--output", "s3://bucket/out"], &wrong),
        ("a secret in the URL", vec!["mix", "--input", "s3://key:hush@bucket/in", "--output", local], &here),
        ("mix not found", vec!["verify", "s3://bucket/nothing"], &here),
        ("recipe not found", vec!["plan", "--input", "s3://bucket/in", "--recipe", "s3://bucket/no.yaml"], &here),
    ] {
        let began = std::time::Instant::now();
        let more: &[&str] = if arguments[0] == "verify" { &[] } else { &builtin };
        let ran = run(&[&arguments[..], more].concat(), variables);
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{what} took {:?}", began.elapsed());
        report.push_str(&format!("-- {what}: {}\n{}", ran.code.unwrap(), ran.err.replace(local, "OUTPUT")));
    }
    assert!(mix_files(out.path()).is_empty());
    insta::assert_snapshot!(report);
}

const SECRET: &str = "wEirD-SeCrEt-0123456789";

/// Variables that hold credentials.
const SECRET_VARIABLES: [&str; 15] = [
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

/// The secret in every variable that holds credentials, and all endpoints.
fn secret_environment(endpoint: &str) -> Variables {
    let mut all: Variables = SECRET_VARIABLES.map(|name| (name.to_string(), SECRET.to_string())).to_vec();
    for name in ["AWS_ENDPOINT_URL", "GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT", "HF_ENDPOINT", "MINIO_ENDPOINT"] {
        all.push((name.into(), endpoint.into()));
    }
    all.push(("AZURE_STORAGE_ACCOUNT_NAME".into(), "account".into()));
    all
}

/// Commands that read from and write to every kind of store, also with secrets in their URLs.
fn commands(output: &str) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = [
        &["mix", "--input", "s3://bucket/in", "--output", output, "--tokenizer-model", "builtin"][..],
        &["mix", "--input", "s3://bucket/in", "--output", "s3://bucket/out", "--tokenizer-model", "builtin"],
        &["plan", "--input", "s3://bucket/in", "--tokenizer-model", "builtin", "--format", "json"],
        &["plan", "--input", "gs://bucket/in", "--tokenizer-model", "builtin"],
        &["plan", "--input", "az://bucket/in", "--tokenizer-model", "builtin"],
        &["plan", "--input", "minio://bucket/in", "--tokenizer-model", "builtin"],
        &["plan", "--input", "s3://bucket/in", "--tokenizer-model", "owner/name"],
        &["verify", "s3://bucket/out"],
        &["verify", "az://bucket/out"],
        &["diff", "s3://bucket/out", "gs://bucket/out"],
    ]
    .map(|arguments| arguments.iter().map(|argument| argument.to_string()).collect())
    .into();
    for scheme in ["s3", "gs", "az", "https", "minio"] {
        let url = format!("{scheme}://user:{SECRET}@bucket/in?sig={SECRET}");
        for arguments in [
            &["mix", "--output", output, "--input"][..],
            &["plan", "--tokenizer-model"],
            &["plan", "--recipe"],
            &["verify"],
        ] {
            let arguments = arguments.iter().map(|argument| argument.to_string());
            commands.push(arguments.chain([url.clone()]).collect());
        }
    }
    commands
}

/// Puts a recognizable secret into every variable that can hold one, into `.env` and into URLs. No output or file of
/// the program contains it, whether it succeeds or fails.
#[test]
fn no_output_or_file_contains_a_secret() {
    let server = S3Server::start(&["bucket"]);
    copy_folder(&examples(), &server.bucket("bucket").join("in"));
    // A server that repeats the request's headers.
    let echo = HttpServer::start(|request| {
        Answer::new(403).body(format!("<Error><Code>Denied</Code><Message>{:?}</Message></Error>", request.headers))
    });
    let with_user = echo.endpoint.replace("http://", &format!("http://user:{SECRET}@"));
    let unreachable = format!("http://user:{SECRET}@127.0.0.1:1/?sig={SECRET}");
    // With the right credentials, all other variables hold the secret.
    let mut working = secret_environment(&server.endpoint());
    working.retain(|(name, _)| {
        !matches!(name.as_str(), "AWS_SECRET_ACCESS_KEY" | "AWS_ACCESS_KEY_ID" | "AWS_SESSION_TOKEN")
    });
    working.extend(server.environment());

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let dotenv: String = SECRET_VARIABLES.map(|name| format!("{name}={SECRET}\n")).concat();
    std::fs::write(folder.path().join(".env"), format!("{dotenv}AWS_ENDPOINT_URL={}\n", echo.endpoint)).unwrap();
    let [echoed, echoed_with_user, unreachable] =
        [&echo.endpoint, &with_user, &unreachable].map(|e| secret_environment(e));
    // Without any variables, the program reads `.env`.
    let environments = [working, echoed, echoed_with_user, unreachable, vec![]];
    let (mut succeeded, mut failed) = (0, 0);
    for (number, environment) in environments.iter().enumerate() {
        for arguments in commands(out.to_str().unwrap()) {
            for format in ["text", "json"] {
                let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                arguments.extend(["--log-format", format, "--max-retries", "0"]);
                let mut command = outside::command(&arguments, environment);
                command.env("HF_HOME", folder.path().join("hub"));
                if environment.is_empty() {
                    command.current_dir(folder.path());
                }
                let ran: outside::Ran = command.output().unwrap().into();
                let outcome = if ran.code == Some(0) { &mut succeeded } else { &mut failed };
                *outcome += 1;
                for output in [&ran.out, &ran.err] {
                    assert!(!output.contains(SECRET), "environment {number}, {arguments:?}:\n{output}");
                }
            }
        }
    }
    for (name, content) in files(&out).into_iter().chain(files(&server.bucket("bucket").join("out"))) {
        assert!(!String::from_utf8_lossy(&content).contains(SECRET), "{name}");
    }
    eprintln!("{succeeded} succeeded, {failed} failed");
    assert!(succeeded >= 8 && failed > 100, "too few: {succeeded} succeeded, {failed} failed");
}
