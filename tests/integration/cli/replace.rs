//! A second run with the same output.

use super::{accepted, earlier_mix};
use insta::assert_snapshot;
use test_support::rows::{example_sandbox, manifest, mix_and};

#[test]
fn a_second_mix_replaces_only_the_files_of_the_first() {
    let sandbox = example_sandbox();
    accepted(&sandbox, &["--cut-sizes", "1,2,3"]);
    sandbox.write("out/notes/of a user.txt", "notes");
    sandbox.write("out/combined_cut_7x.jsonl", "not part of the mix");
    let ran = accepted(&sandbox, &["--cut-sizes", "2"]);
    let mut tree = sandbox.tree("out");
    assert_eq!(tree.remove("notes/of a user.txt").as_deref(), Some(&b"notes"[..]));
    assert_eq!(tree.remove("combined_cut_7x.jsonl").as_deref(), Some(&b"not part of the mix"[..]));
    assert_eq!(tree.keys().collect::<Vec<_>>(), earlier_mix().keys().collect::<Vec<_>>());
    assert_snapshot!(ran.stderr);
    // Compressed files have other names, so the uncompressed ones are obsolete.
    accepted(&sandbox, &["--compression", "zstd"]);
    assert!(!sandbox.path("out/combined_cut_2x.jsonl").exists());
    assert!(sandbox.path("out/combined_cut_2x.jsonl.zst").exists());
    assert_eq!(sandbox.run(&["verify", "out"]).code, 0);
}

#[test]
fn repeating_a_mix_gives_the_same_files() {
    let sandbox = example_sandbox();
    accepted(&sandbox, &[]);
    let first = sandbox.tree("out");
    accepted(&sandbox, &[]);
    assert!(sandbox.tree("out") == first);
    assert!(first == *earlier_mix());
}

#[test]
fn files_that_no_manifest_names_are_replaced_only_if_that_is_asked_for() {
    let sandbox = example_sandbox();
    sandbox.write_tree("out", earlier_mix());
    std::fs::remove_file(sandbox.path("out/manifest.json")).expect("cannot remove the manifest");
    let not_a_mix = "{\"outputs\": [{\"name\": \"../step_02/key_facts_to_qa/gen.jsonl\"}]";
    for manifest in [None, Some(not_a_mix), Some("")] {
        if let Some(text) = manifest {
            sandbox.write("out/manifest.json", text);
        }
        let before = sandbox.tree("out");
        assert_ne!(sandbox.run(&["verify", "out"]).code, 0);
        let ran = sandbox.run(&mix_and(&[]));
        assert_eq!(ran.code, 2, "{ran}");
        assert!(ran.stderr.contains("not part of a mix") && ran.stderr.contains("--overwrite"), "{ran}");
        assert!(sandbox.tree("out") == before);
        accepted(&sandbox, &["--overwrite"]);
        assert!(sandbox.tree("out") == *earlier_mix());
    }
}

#[test]
fn a_forged_manifest_cannot_remove_files_elsewhere() {
    let sandbox = example_sandbox();
    accepted(&sandbox, &[]);
    let text = sandbox.read_text("out/manifest.json");
    for name in ["../victim.txt", "sub/../../victim.txt", "/victim.txt", "..", ""] {
        sandbox.write("victim.txt", "alive");
        sandbox.write("out/manifest.json", text.replace("\"summary.md\"", &serde_json::json!(name).to_string()));
        let ran = sandbox.run(&mix_and(&[]));
        assert!(ran.code != 70 && ran.code != 101, "{ran}");
        assert_eq!(sandbox.read("victim.txt"), b"alive", "{name}");
        assert!(sandbox.tree("step_02") == test_support::rows::example(), "{name}");
    }
}

#[test]
fn the_manifest_describes_the_files() {
    let tree = earlier_mix();
    let manifest = manifest(tree);
    let outputs = manifest["outputs"].as_array().expect("`outputs` is a list");
    assert_eq!(outputs.len() + 1, tree.len());
    for output in outputs {
        let bytes = &tree[output["name"].as_str().expect("a name is a string")];
        assert_eq!(output["bytes"], bytes.len(), "{output}");
        assert_eq!(output["digest"], blake3::hash(bytes).to_hex().as_str(), "{output}");
        if output["kind"] == "mix" {
            assert_eq!(output["rows"], bytes.iter().filter(|byte| **byte == b'\n').count(), "{output}");
        }
    }
    let text = String::from_utf8_lossy(&tree["manifest.json"]);
    assert!(!text.contains("/tmp"), "paths are not recorded");
}

/// On a write-back cache, the size of a file that was just written changes a moment later.
#[test]
fn verify_waits_for_a_file_that_settles_and_reports_one_that_does_not() {
    let sandbox = example_sandbox();
    accepted(&sandbox, &[]);
    let path = sandbox.path("out/combined_cut_2x.jsonl");
    let whole = std::fs::read(&path).expect("the mix has this file");
    std::fs::write(&path, &whole[..100]).expect("cannot write");
    let settle = std::thread::spawn({
        let path = path.clone();
        move || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            std::fs::write(path, whole).expect("cannot write");
        }
    });
    let ran = sandbox.run(&["verify", "out"]);
    settle.join().expect("the thread ends");
    assert_eq!(ran.code, 0, "{ran}");
    std::fs::write(&path, "x").expect("cannot write");
    let ran = sandbox.run(&["verify", "out"]);
    assert_eq!(ran.code, 3, "{ran}");
}

#[test]
fn a_mix_that_is_being_replaced_is_neither_verified_nor_compared() {
    let sandbox = example_sandbox();
    accepted(&sandbox, &[]);
    let text = sandbox.read_text("out/manifest.json");
    sandbox.write("out/manifest.json", text.replace("\"state\": \"complete\"", "\"state\": \"replacing\""));
    for arguments in [&["verify", "out"][..], &["diff", "out", "out"], &["clean", "out"]] {
        let ran = sandbox.run(arguments);
        assert_eq!(ran.code, 75, "{arguments:?}: {ran}");
        assert!(ran.stderr.contains("the mix is not complete"), "{arguments:?}: {ran}");
    }
    accepted(&sandbox, &[]);
    assert!(sandbox.tree("out") == *earlier_mix());
}

/// A pipe of a private name must not block a run.
#[test]
fn a_pipe_in_place_of_the_lock_is_an_error() {
    let sandbox = example_sandbox();
    std::fs::create_dir(sandbox.path("out")).expect("cannot create the folder");
    let lock = sandbox.path("out/.knowledge-mixing.lock");
    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RWXU).expect("cannot create a pipe");
    let ran = sandbox.run(&mix_and(&[]));
    assert_eq!(ran.code, 74, "{ran}");
    assert!(ran.stderr.contains("not a regular file"), "{ran}");
}
