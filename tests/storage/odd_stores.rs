//! Stores that speak S3's protocol and lack a part of it, or answer in odd ways.

use crate::support::hyper::body::Incoming;
use crate::support::hyper::{Method, Request};
use crate::support::outside::{self, Ran, copy_folder, examples, mix_files, run, succeed, whole};
use crate::support::program::within;
use crate::support::s3_server::S3Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const OUT: &str = "s3://bucket/out";

fn mix(cuts: &str) -> Vec<&str> {
    let mut arguments = vec!["mix", "--input", "s3://bucket/in", "--output", OUT, "--cut-sizes", cuts];
    arguments.extend(["--tokenizer-model", "builtin", "--lease-timeout", "1", "--max-retries", "2"]);
    arguments
}

fn has(request: &Request<Incoming>, header: &str) -> bool {
    request.headers().contains_key(header)
}

fn is_for(request: &Request<Incoming>, name: &str) -> bool {
    request.uri().path().ends_with(name)
}

/// A server that holds the examples.
fn server(oddity: impl Fn(&mut Request<Incoming>) -> Option<(u16, &'static str)> + Send + Sync + 'static) -> S3Server {
    let server = S3Server::odd(&["bucket"], oddity);
    copy_folder(&examples(), &server.bucket("bucket").join("in"));
    server
}

/// Runs two mixes after each other; the second one replaces the first.
fn two_mixes(server: &S3Server) -> [Ran; 2] {
    let ran = ["2,5", "5"].map(|cuts| succeed(&mix(cuts), &server.environment()));
    assert!(whole(&server.bucket("bucket").join("out")));
    succeed(&["verify", OUT], &server.environment());
    assert!(outside::open_uploads(server).is_empty());
    ran
}

#[test]
fn a_store_without_conditional_writes_is_a_warning() {
    // As several stores and proxies answer to a header that they do not know.
    for (status, code) in [
        (501, "NotImplemented"),
        (400, "InvalidArgument"),
        (400, "InvalidRequest"),
        (403, "AccessDenied"),
        (405, "MethodNotAllowed"),
    ] {
        for headers in [&["if-none-match", "if-match"][..], &["if-none-match"], &["if-match"]] {
            let server = server(move |request| {
                let is_conditional =
                    request.method() == Method::PUT && headers.iter().any(|header| has(request, header));
                is_conditional.then_some((status, code))
            });
            // The second run creates nothing.
            let expected = [1, usize::from(headers.contains(&"if-match"))];
            for (ran, expected) in two_mixes(&server).iter().zip(expected) {
                let warnings = ran.err.matches("does not support conditional writes").count();
                assert_eq!(warnings, expected, "{status} {headers:?}: {}", ran.err);
            }
        }
    }
}

#[test]
fn a_store_that_denies_all_writes_is_an_error_that_says_so() {
    let server = server(|request| (request.method() == Method::PUT).then_some((403, "AccessDenied")));
    let ran = run(&mix("2"), &server.environment());
    assert_eq!(ran.code, Some(74), "{}", ran.err);
    assert!(ran.err.contains("access denied: status 403, AccessDenied"), "{}", ran.err);
}

#[test]
fn a_store_without_metadata_of_uploads_is_a_warning() {
    let server = server(|request| {
        let is_begin =
            request.method() == Method::POST && request.uri().query().is_some_and(|query| query.contains("uploads"));
        let has_metadata = request.headers().keys().any(|name| name.as_str().starts_with("x-amz-meta-"));
        (is_begin && has_metadata).then_some((501, "NotImplemented"))
    });
    for ran in two_mixes(&server) {
        assert_eq!(ran.err.matches("does not keep metadata").count(), 1, "{}", ran.err);
    }
}

/// A store with versions answered like this for an object that had been deleted.
#[test]
fn a_store_that_refuses_to_create_what_it_does_not_have_is_an_error_soon() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = server(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        (request.method() == Method::PUT && has(request, "if-none-match")).then_some((412, "PreconditionFailed"))
    });
    let ran = run(&mix("2"), &server.environment());
    assert_eq!(ran.code, Some(74), "{}", ran.err);
    let expected = "cannot take the lease: the store refuses to write an object that is not found";
    assert!(ran.err.contains(expected) && ran.err.contains("412"), "{}", ran.err);
    assert!(asked.load(Ordering::Relaxed) < 40, "{asked:?} requests");
}

/// A store whose versions never match: the lease can be created, and not renewed.
#[test]
fn a_store_that_refuses_every_renewal_is_an_error_that_says_what_it_answered() {
    let server = server(|request| {
        (request.method() == Method::PUT && has(request, "if-match")).then_some((412, "PreconditionFailed"))
    });
    let ran = run(&mix("2"), &server.environment());
    assert_eq!(ran.code, Some(75), "{}", ran.err);
    assert!(ran.err.contains("412"), "{}", ran.err);
    assert!(!whole(&server.bucket("bucket").join("out")));
    assert!(outside::open_uploads(&server).is_empty());
}

/// A store goes away after the uploads are completed: the cause is not another run.
#[test]
fn a_store_that_goes_away_in_the_commit_is_unreachable() {
    for gone_at in ["complete", "check", "manifest"] {
        let manifests = AtomicUsize::new(0);
        let server = server(move |request| {
            let query = request.uri().query().unwrap_or_default();
            let is_gone = match gone_at {
                "complete" => {
                    request.method() == Method::POST && query.contains("uploadId") && is_for(request, "5x.jsonl")
                }
                "check" => request.method() == Method::HEAD && is_for(request, "5x.jsonl"),
                // The first one says "replacing".
                _ => {
                    let is_manifest = request.method() == Method::PUT && is_for(request, "manifest.json");
                    is_manifest && manifests.fetch_add(1, Ordering::Relaxed) > 0
                }
            };
            is_gone.then_some((503, "ServiceUnavailable"))
        });
        let ran = run(&mix("5"), &server.environment());
        assert_eq!(ran.code, Some(69), "{gone_at}: {}", ran.err);
        assert!(!ran.err.contains("another run"), "{gone_at}: {}", ran.err);
        let hint = if gone_at == "manifest" { "the mix may be complete" } else { "is not complete: run again" };
        assert!(ran.err.contains(hint), "{gone_at}: {}", ran.err);
        assert!(!whole(&server.bucket("bucket").join("out")));
        let verified = run(&["verify", OUT], &server.environment());
        assert_eq!(verified.code, Some(75), "{gone_at}: {}", verified.err);
    }
}

#[test]
fn what_is_left_over_is_named_and_deleted_by_clean() {
    let server = server(|_| None);
    let [first, second] = two_mixes(&server);
    assert!(!first.err.contains("left over"), "{}", first.err);
    assert!(second.err.contains("left over from earlier mixes: combined_cut_2x.jsonl;"), "{}", second.err);
    let out = server.bucket("bucket").join("out");
    let before = mix_files(&out);
    assert!(before.contains_key("combined_cut_2x.jsonl"));
    let cleaned = succeed(&["clean", OUT], &server.environment());
    assert_eq!(cleaned.out, "s3://bucket/out: deleted combined_cut_2x.jsonl\n");
    assert!(!mix_files(&out).contains_key("combined_cut_2x.jsonl"));
    succeed(&["verify", OUT], &server.environment());
    let again = succeed(&["clean", OUT], &server.environment());
    assert_eq!(again.out, "s3://bucket/out: nothing is left over from earlier mixes\n");
    // As if nothing had been there before.
    let fresh = self::server(|_| None);
    succeed(&mix("5"), &fresh.environment());
    assert!(mix_files(&out) == mix_files(&fresh.bucket("bucket").join("out")));
    let nothing = run(&["clean", "s3://bucket/in"], &server.environment());
    assert_eq!(nothing.code, Some(66), "{}", nothing.err);
    std::fs::write(server.bucket("bucket").join("in/manifest.json"), "{}").unwrap();
    let foreign = run(&["clean", "s3://bucket/in"], &server.environment());
    assert_eq!(foreign.code, Some(66), "{}", foreign.err);
    assert!(foreign.err.contains("manifest.json is not the manifest of a mix"), "{}", foreign.err);
    assert!(!foreign.err.contains("--overwrite"), "{}", foreign.err);
}

/// The lease of an output.
fn lease(server: &S3Server) -> serde_json::Value {
    let bytes = std::fs::read(server.bucket("bucket").join("out/.knowledge-mixing.lease")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Ends a run by a signal while a request for a deletion is on its way, and checks that the lease is given back.
fn assert_lease_is_given_back(server: &S3Server, seen: &AtomicUsize, arguments: &[&str]) {
    let child = outside::start(arguments, &server.environment());
    assert!(within(Duration::from_secs(60), || seen.load(Ordering::Acquire) > 0));
    outside::signal(&child, "TERM");
    let ended = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(143), "{}", ended.err);
    assert_eq!(lease(server)["run"], serde_json::Value::Null, "{}", ended.err);
}

/// A server on which the first deletion takes a moment, and the number of deletions so far.
fn slow_to_delete() -> (S3Server, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let server = server(move |request| {
        if request.method() == Method::DELETE && count.fetch_add(1, Ordering::AcqRel) == 0 {
            std::thread::sleep(Duration::from_millis(400));
        }
        None
    });
    (server, seen)
}

#[test]
fn a_signal_while_uploads_of_a_dead_run_are_aborted_gives_the_lease_back() {
    // The first run never completes its uploads: it is killed while all of them are open and the lease names them.
    let (completions, aborts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let is_dead = Arc::new(AtomicBool::new(false));
    let seen = (Arc::clone(&completions), Arc::clone(&aborts), Arc::clone(&is_dead));
    let server = server(move |request| {
        let (completions, aborts, is_dead) = &seen;
        let is_completion =
            request.method() == Method::POST && request.uri().query().unwrap_or_default().contains("uploadId");
        if is_completion && !is_dead.load(Ordering::Acquire) {
            completions.fetch_add(1, Ordering::AcqRel);
            within(Duration::from_secs(60), || is_dead.load(Ordering::Acquire));
            return Some((503, "SlowDown"));
        }
        if request.method() == Method::DELETE && aborts.fetch_add(1, Ordering::AcqRel) == 0 {
            std::thread::sleep(Duration::from_millis(400));
        }
        None
    });
    let mut child = outside::start(&mix("5"), &server.environment());
    assert!(within(Duration::from_secs(60), || completions.load(Ordering::Acquire) > 0));
    child.kill().unwrap();
    child.wait().unwrap();
    is_dead.store(true, Ordering::Release);
    assert!(!lease(&server)["uploads"].as_array().unwrap().is_empty());
    assert_lease_is_given_back(&server, &aborts, &mix("2"));
    assert!(outside::open_uploads(&server).is_empty());
}

#[test]
fn a_signal_while_left_over_files_are_deleted_gives_the_lease_back() {
    let (server, seen) = slow_to_delete();
    two_mixes(&server);
    seen.store(0, Ordering::Release);
    assert_lease_is_given_back(&server, &seen, &["clean", OUT, "--lease-timeout", "1"]);
    succeed(&["clean", OUT, "--lease-timeout", "1"], &server.environment());
}

/// Whether an object belongs to a mix is not guessed.
#[test]
fn a_file_of_a_killed_commit_that_cannot_be_read_is_an_error_that_says_so() {
    let is_denied = Arc::new(AtomicBool::new(false));
    let denied = Arc::clone(&is_denied);
    let server = server(move |request| {
        let is_of_mix = request.method() == Method::GET && is_for(request, "combined_cut_2x.jsonl");
        (is_of_mix && denied.load(Ordering::Acquire)).then_some((403, "AccessDenied"))
    });
    succeed(&mix("2"), &server.environment());
    let out = server.bucket("bucket").join("out");
    let mut left = lease(&server);
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let file = |output: &serde_json::Value| serde_json::json!({"name": output["name"], "bytes": output["bytes"], "digest": output["digest"]});
    let files: Vec<_> = manifest["outputs"].as_array().unwrap().iter().map(file).collect();
    left["commit"] = serde_json::json!({"run": manifest["run"], "files": files});
    std::fs::write(out.join(".knowledge-mixing.lease"), left.to_string()).unwrap();
    std::fs::remove_file(out.join("manifest.json")).unwrap();
    is_denied.store(true, Ordering::Release);
    let ran = run(&mix("2"), &server.environment());
    assert_eq!(ran.code, Some(74), "{}", ran.err);
    assert!(ran.err.contains("combined_cut_2x.jsonl: access denied"), "{}", ran.err);
    is_denied.store(false, Ordering::Release);
    succeed(&mix("2"), &server.environment());
}

#[test]
fn a_logged_retry_names_the_bucket_and_no_secret() {
    let seen = AtomicUsize::new(0);
    let server = server(move |request| {
        let is_busy = request.method() == Method::PUT && seen.fetch_add(1, Ordering::Relaxed) < 2;
        is_busy.then_some((503, "SlowDown"))
    });
    let ran = succeed(&mix("2"), &server.environment());
    let line =
        ran.err.lines().find(|line| line.contains("; trying again in 0.")).unwrap_or_else(|| panic!("{}", ran.err));
    assert!(line.starts_with("s3://bucket: ") && line.contains("503"), "{line}");
    let environment = server.environment();
    let secret = environment.iter().find(|(name, _)| name == "AWS_SECRET_ACCESS_KEY").map(|(_, value)| value.as_str());
    for hidden in [secret.unwrap(), "Signature", "Authorization"] {
        assert!(!ran.err.contains(hidden), "{}", ran.err);
    }
}

/// Another run replaces the mix between two requests of `verify`.
#[test]
fn a_mix_that_is_replaced_while_it_is_verified_is_no_damage() {
    for state in ["complete", "replacing"] {
        let folder = Arc::new(std::sync::OnceLock::<std::path::PathBuf>::new());
        let of_bucket = Arc::clone(&folder);
        let server = server(move |request| {
            if let (true, Some(out)) = (request.method() == Method::GET && is_for(request, "5x.jsonl"), of_bucket.get())
            {
                std::fs::write(out.join("combined_cut_5x.jsonl"), "of the other run").unwrap();
                let text = std::fs::read_to_string(out.join("manifest.json")).unwrap();
                let run = text.lines().find(|line| line.contains("\"run\": ")).unwrap();
                let text = text.replace(run, "  \"run\": \"0123456789abcdef\",");
                std::fs::write(out.join("manifest.json"), text.replace("\"complete\"", &format!("\"{state}\"")))
                    .unwrap();
            }
            None
        });
        succeed(&mix("5"), &server.environment());
        folder.set(server.bucket("bucket").join("out")).unwrap();
        let ran = run(&["verify", OUT], &server.environment());
        assert_eq!(ran.code, Some(75), "{state}: {}", ran.err);
        assert!(ran.err.contains("the mix was replaced while it was verified"), "{state}: {}", ran.err);
    }
}

/// Another run replaces the mix between two requests of a step that reads it back: the object is another one, or gone.
#[test]
fn a_mix_that_is_replaced_while_a_step_reads_it_back_is_tried_again() {
    for content in [Some("of the other run"), None] {
        let bucket = Arc::new(std::sync::OnceLock::<std::path::PathBuf>::new());
        let of_bucket = Arc::clone(&bucket);
        let server = server(move |request| {
            if let (true, Some(bucket)) =
                (request.method() == Method::GET && is_for(request, "5x.jsonl"), of_bucket.get())
            {
                let file = bucket.join("out/combined_cut_5x.jsonl");
                match content {
                    Some(content) => std::fs::write(file, content).unwrap(),
                    None => _ = std::fs::remove_file(file),
                }
            }
            None
        });
        bucket.set(server.bucket("bucket")).unwrap();
        let root = tempfile::tempdir().unwrap();
        let artifact = |name: &str| serde_json::json!({"artifacts": [{"name": name, "uri": root.path().join(name)}]});
        let input = serde_json::json!({
            "inputs": {"parameterValues": {
                "input_uri": "s3://bucket/in", "output_uri": OUT, "cut_sizes": "5", "tokenizer_model": "builtin",
            }},
            "outputs": {
                "artifacts": {"mixes": artifact("mixes"), "dataset": artifact("dataset")},
                "outputFile": root.path().join("executor_output.json"),
            },
        });
        let ran = run(&["kfp-step", "--executor-input", &input.to_string()], &server.environment());
        assert_eq!(ran.code, Some(75), "{content:?}: {}", ran.err);
        assert!(ran.err.contains("another run replaced the mix"), "{content:?}: {}", ran.err);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "{content:?}");
    }
}

/// Each request in flight has a connection of its own.
#[test]
fn many_objects_are_read_with_few_open_files() {
    let server = server(|_| None);
    let folder = server.bucket("bucket").join("in/extractive_summary");
    for number in 0..60 {
        std::fs::copy(folder.join("gen.jsonl"), folder.join(format!("{number}.jsonl"))).unwrap();
    }
    let ran = |limit: u32| -> Ran {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh", &limit.to_string()]);
        command.arg(crate::support::binary()).args(mix("2")).env_clear().envs(server.environment());
        command.current_dir(std::env::temp_dir()).output().unwrap().into()
    };
    let enough = ran(32);
    assert_eq!(enough.code, Some(0), "{}", enough.err);
    for limit in 9..12 {
        let ran = ran(limit);
        let hint = "raise the limit of open files: `ulimit -n 1024`";
        assert!(ran.code == Some(0) || ran.code == Some(74) && ran.err.contains(hint), "{limit}: {}", ran.err);
    }
}

/// A firewall, a clock that is wrong or a token that has expired refuses one request of a store whose conditions work: then nothing is
/// written without a condition.
#[test]
fn a_refused_write_is_not_repeated_without_its_condition() {
    for (status, code) in [(403, "RequestTimeTooSkewed"), (400, "ExpiredToken"), (405, "MethodNotAllowed")] {
        let (manifests, without) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&without);
        let server = server(move |request| {
            if request.method() != Method::PUT || !is_for(request, "manifest.json") {
                return None;
            }
            let is_conditional = has(request, "if-match") || has(request, "if-none-match");
            count.fetch_add(usize::from(!is_conditional), Ordering::Relaxed);
            // The second one says that the mix is complete.
            (manifests.fetch_add(1, Ordering::Relaxed) > 0).then_some((status, code))
        });
        let ran = run(&mix("5"), &server.environment());
        assert_eq!(ran.code, Some(74), "{status}: {}", ran.err);
        assert!(!whole(&server.bucket("bucket").join("out")), "{status}");
        assert_eq!(without.load(Ordering::Relaxed), 0, "{status}: {}", ran.err);
    }
}

/// Without this permission, the uploads of a run that was taken for dead could be completed later.
#[test]
fn a_run_that_may_not_abort_uploads_does_not_take_over() {
    let is_broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let breaks = Arc::clone(&is_broken);
    let server = server(move |request| {
        let is_complete =
            request.method() == Method::POST && request.uri().query().is_some_and(|it| it.contains("uploadId"));
        match *request.method() {
            Method::DELETE => Some((403, "AccessDenied")),
            _ => (is_complete && breaks.load(Ordering::Relaxed)).then_some((503, "ServiceUnavailable")),
        }
    });
    let first = run(&mix("5"), &server.environment());
    assert_eq!(first.code, Some(69), "{}", first.err);
    is_broken.store(false, Ordering::Relaxed);
    let second = run(&mix("5"), &server.environment());
    assert_eq!(second.code, Some(74), "{}", second.err);
    assert!(second.err.contains("s3:AbortMultipartUpload"), "{}", second.err);
    assert!(!whole(&server.bucket("bucket").join("out")));
}

#[test]
fn a_store_that_goes_away_while_a_mix_is_verified_is_unreachable() {
    let manifests = AtomicUsize::new(0);
    let is_away = Arc::new(AtomicBool::new(false));
    let away = Arc::clone(&is_away);
    let server = server(move |request| {
        let is_first = is_for(request, "manifest.json") && manifests.fetch_add(1, Ordering::Relaxed) == 0;
        (away.load(Ordering::Relaxed) && !is_first).then_some((503, "ServiceUnavailable"))
    });
    succeed(&mix("5"), &server.environment());
    is_away.store(true, Ordering::Relaxed);
    let ran = run(&["verify", OUT, "--max-retries", "1"], &server.environment());
    assert_eq!(ran.code, Some(69), "{}", ran.err);
}
