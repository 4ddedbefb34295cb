//! A secret in any place from which a value can come is in nothing that the program writes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use test_support::program::{Ran, Sandbox};
use test_support::rows::{example_sandbox, mix_and};

/// What must not be repeated: letters and digits, and what URLs and JSON escape.
const SECRET: &str = "Zq9xVb7L+mN0pRt/hunter2=Kw";

/// Its forms.
fn forms() -> [String; 3] {
    let percent = SECRET.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    [SECRET.to_owned(), percent, STANDARD.encode(SECRET)]
}

/// Whether a text holds eight consecutive bytes of the secret.
fn leaks(text: &[u8]) -> bool {
    forms().iter().any(|form| form.as_bytes().windows(8).any(|window| text.windows(8).any(|found| found == window)))
}

#[track_caller]
fn is_kept(sandbox: &Sandbox, ran: &Ran, case: &str) {
    assert!(!leaks(ran.stdout.as_bytes()) && !leaks(ran.stderr.as_bytes()), "{case}: {ran}");
    for (name, bytes) in sandbox.tree("out") {
        assert!(!leaks(&bytes), "{case}: {name}");
    }
}

/// Runs with text logs and with JSON logs.
fn check(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)], case: &str) {
    for format in ["text", "json"] {
        let variables = [variables, &[("KNOWLEDGE_MIXING_LOG_FORMAT", format)]].concat();
        is_kept(sandbox, &sandbox.run_with(arguments, &variables), case);
    }
}

/// The flags of `mix`, from its help.
fn flags(sandbox: &Sandbox) -> Vec<String> {
    let help = sandbox.run(&["mix", "--help"]).succeeded().stdout;
    let flag = |line: &str| {
        let at = line.find("--").filter(|at| *at < 7)?;
        Some(line[at..].split([' ', '[', '=', '.']).next()?.to_owned())
    };
    let flags: Vec<String> = help.lines().filter_map(flag).filter(|flag| flag != "--help").collect();
    assert!(flags.len() > 30, "{flags:?}");
    flags
}

/// Flags whose values are names of files, sources and columns, which messages have to repeat.
const NAMES: [&str; 8] = [
    "--input",
    "--source-input",
    "--output",
    "--tokenizer-model",
    "--chat-template",
    "--recipe",
    "--output-parameters",
    "--reasoning",
];

#[test]
fn secrets_in_flags_and_their_variables() {
    let sandbox = example_sandbox();
    for flag in flags(&sandbox) {
        for url in [
            format!("https://me:{SECRET}@host/a?sig={SECRET}"),
            format!("s3://me:{SECRET}@bucket/a"),
            format!("s3://bucket/a?X-Amz-Signature={SECRET}"),
        ] {
            check(&sandbox, &mix_and(&[&format!("{flag}={url}")]), &[], &format!("{flag}={url}"));
        }
        if !NAMES.contains(&flag.as_str()) {
            check(&sandbox, &mix_and(&[&format!("{flag}={SECRET}")]), &[], &flag);
            let variable = format!("KNOWLEDGE_MIXING_{}", flag[2..].to_uppercase().replace('-', "_"));
            check(&sandbox, &mix_and(&[]), &[(&variable, SECRET)], &variable);
        }
    }
    check(&sandbox, &[SECRET], &[], "a sub-command");
    check(&sandbox, &["mix", SECRET], &[], "an argument");
    for arguments in [["sample", "out", "--seed", SECRET], ["stats", "x", "--max-seq-len", SECRET]] {
        check(&sandbox, &arguments, &[], "a flag of a sub-command");
    }
}

#[test]
fn secrets_in_recipes_and_in_files_that_are_none() {
    let sandbox = example_sandbox();
    let texts = [
        format!("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n"),
        format!("{SECRET}\n"),
        format!("&{SECRET}\n"),
        format!("*{SECRET}\n"),
        format!("!{SECRET} x\n"),
        format!("%{SECRET}\n"),
        format!("password: {SECRET}: x\n"),
        format!("{SECRET}: 1\n"),
        format!("\"{SECRET}\": 1\n\"{SECRET}\": 2\n"),
        format!("machine host login me password {SECRET}\n"),
        json!({"type": "service_account", "private_key": SECRET}).to_string(),
        format!("{{\"private_key\": \"{SECRET}\""),
        format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"),
    ];
    for text in texts {
        sandbox.write("recipe", &text);
        check(&sandbox, &mix_and(&["--recipe", "recipe"]), &[], &text);
        check(&sandbox, &["recipe", "check", "recipe"], &[], &text);
    }
    let everything = test_support::repository().join("examples/recipes/everything.yaml");
    let everything = std::fs::read_to_string(everything).unwrap();
    let mut keys = 0;
    for (number, line) in everything.lines().enumerate() {
        let Some((key, _)) = line.split_once(": ").filter(|(key, _)| !key.contains('#')) else { continue };
        // Names of files, and of sources.
        if ["paths", "folder", "column", "input", "output", "tokenizer", "chat_template"]
            .iter()
            .any(|name| key.contains(name))
        {
            continue;
        }
        keys += 1;
        let changed = everything
            .lines()
            .enumerate()
            .map(|(at, line)| if at == number { format!("{key}: \"{SECRET}\"\n") } else { format!("{line}\n") });
        sandbox.write("recipe", changed.collect::<String>());
        check(&sandbox, &["recipe", "check", "recipe"], &[], line);
    }
    assert!(keys > 20, "{keys}");
}

#[test]
fn secrets_in_env_files() {
    for line in [
        format!("AWS_SECRET_ACCESS_KEY='{SECRET}\n"),
        format!("AWS_SECRET_ACCESS_KEY={SECRET} and more\n"),
        format!("AWS_SECRET_ACCESS_KEY=\"{SECRET}\0\"\n"),
        format!("AWS_SECRET_ACCESS_KEY={SECRET}\0\n"),
        format!("{SECRET}\n"),
        format!("={SECRET}\n"),
        format!("SEED={SECRET}\n"),
        format!("KNOWLEDGE_MIXING_{}=1\n", SECRET.replace(['+', '/', '='], "_")),
    ] {
        let sandbox = example_sandbox();
        sandbox.write(".env", &line);
        let ran = sandbox.run(&mix_and(&[]));
        assert!(!ran.stderr.contains("panicked"), "{line:?}: {ran}");
        if !line.starts_with("KNOWLEDGE") {
            is_kept(&sandbox, &ran, &line);
        }
    }
}

#[test]
fn secrets_in_executor_inputs() {
    let sandbox = example_sandbox();
    let uris = [
        format!("https://me:{SECRET}@host/a?X-Amz-Signature={SECRET}&b=c"),
        format!("s3://me:{SECRET}@bucket/a?X-Amz-Credential={SECRET}"),
        format!("az://container/a?sv=2022&sig={SECRET}"),
    ];
    let out = sandbox.path("kfp");
    let outputs = json!({"outputFile": out.join("o.json")});
    let mut inputs = vec![
        json!(SECRET),
        json!([SECRET]),
        json!({"inputs": SECRET, "outputs": outputs}),
        json!({"inputs": {"parameterValues": SECRET}, "outputs": outputs}),
        json!({"inputs": {"artifacts": {"datasets": SECRET}}, "outputs": outputs}),
        json!({"outputs": {"outputFile": [SECRET]}}),
        json!({"outputs": {"outputFile": SECRET}}),
        json!({"inputs": {"parameterValues": {"seed": SECRET}}, "outputs": outputs}),
        json!({"inputs": {"parameterValues": {"cut_sizes": [SECRET]}}, "outputs": outputs}),
    ];
    for uri in &uris {
        inputs.push(json!({"inputs": {"artifacts": {"datasets": {"artifacts": [{"uri": uri}]}}}, "outputs": outputs}));
        inputs.push(json!({"inputs": {"parameterValues": {"input_uri": uri, "output_uri": uri}}, "outputs": outputs}));
        inputs.push(json!({"outputs": {"outputFile": outputs["outputFile"], "artifacts": {"mixes": {"artifacts": [{"uri": uri}]}}}}));
    }
    for input in inputs {
        let text = input.to_string();
        check(&sandbox, &["kfp-step", "--executor-input", &text], &[], &text);
        check(&sandbox, &["kfp-step", "--executor-input", &text[..text.len() - 1]], &[], &text);
        sandbox.write("input.json", &text);
        check(&sandbox, &["kfp-step", "--executor-input", "@input.json"], &[], &text);
    }
}

#[test]
fn secrets_of_stores_and_of_the_hub() {
    let sandbox = example_sandbox();
    let percent = &forms()[1];
    let endpoint = format!("http://me:{percent}@127.0.0.1:9/?sig={percent}");
    let document = json!({"type": SECRET, "private_key": SECRET, "client_email": 7}).to_string();
    sandbox.write("credentials.json", &document);
    sandbox.write("token", format!(" {SECRET}\u{e9}"));
    let with_line = format!("{SECRET}\n{SECRET}");
    let cases: [(&str, Vec<(&str, &str)>); 14] = [
        ("s3://b/p", vec![("AWS_ENDPOINT_URL", &endpoint), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")]),
        (
            "s3://b/p",
            vec![
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
                ("AWS_ACCESS_KEY_ID", SECRET),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
                ("AWS_SESSION_TOKEN", SECRET),
            ],
        ),
        ("s3://b/p", vec![("AWS_SECRET_ACCESS_KEY", &with_line), ("AWS_ACCESS_KEY_ID", "x")]),
        ("s3://b/p", vec![("AWS_ENDPOINT_URL", SECRET), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y")]),
        ("s3://b/p", vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", &endpoint)]),
        (
            "s3://b/p",
            vec![
                ("HTTP_PROXY", &endpoint),
                ("HTTPS_PROXY", &endpoint),
                ("AWS_ACCESS_KEY_ID", "x"),
                ("AWS_SECRET_ACCESS_KEY", "y"),
            ],
        ),
        ("az://c/p", vec![("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", SECRET)]),
        (
            "az://c/p",
            vec![
                ("AZURE_STORAGE_ACCOUNT_NAME", "a"),
                ("AZURE_STORAGE_SAS_TOKEN", SECRET),
                ("AZURE_STORAGE_ENDPOINT", &endpoint),
            ],
        ),
        ("gs://b/p", vec![("GOOGLE_SERVICE_ACCOUNT_KEY", &document)]),
        ("gs://b/p", vec![("GOOGLE_SERVICE_ACCOUNT_KEY", SECRET)]),
        ("gs://b/p", vec![("GOOGLE_APPLICATION_CREDENTIALS", "credentials.json")]),
        ("gs://b/p", vec![("GOOGLE_BASE_URL", &endpoint), ("GOOGLE_BEARER_TOKEN", SECRET)]),
        ("hub", vec![("HF_ENDPOINT", &endpoint), ("HF_TOKEN", SECRET), ("HF_HOME", "hf")]),
        ("hub", vec![("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_TOKEN_PATH", "token"), ("HF_HOME", "hf")]),
    ];
    for (input, variables) in cases {
        let from = if input == "hub" { ["--tokenizer-model", "a/b"] } else { ["--input", input] };
        let mut arguments = mix_and(&from);
        arguments.extend(["--max-retries", "0", "--retry-timeout", "2"]);
        check(&sandbox, &arguments, &variables, &format!("{input} {variables:?}"));
    }
}
