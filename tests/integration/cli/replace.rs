//! A second run into the same folder.

use super::{accepted, earlier_mix};
use insta::assert_snapshot;
use test_support::rows::{example_sandbox, manifest, mix_and};

#[test]
fn the_second_mix_replaces_the_first_and_only_what_the_first_had_made() {
    let sandbox = example_sandbox();
    accepted(&sandbox, &["--cut-sizes", "1,2,3"]);
    sandbox.write("out/notes/of somebody.txt", "dear to somebody");
    sandbox.write("out/combined_cut_7x.jsonl", "somebody else's");
    let ran = accepted(&sandbox, &["--cut-sizes", "2"]);
    let mut tree = sandbox.tree("out");
    assert_eq!(tree.remove("notes/of somebody.txt").as_deref(), Some(&b"dear to somebody"[..]));
    assert_eq!(tree.remove("combined_cut_7x.jsonl").as_deref(), Some(&b"somebody else's"[..]));
    assert_eq!(tree.keys().collect::<Vec<_>>(), earlier_mix().keys().collect::<Vec<_>>());
    assert_snapshot!(ran.stderr);
    // Other compression, other names: the plain files are obsolete.
    accepted(&sandbox, &["--compression", "zstd"]);
    assert!(!sandbox.path("out/combined_cut_2x.jsonl").exists());
    assert!(sandbox.path("out/combined_cut_2x.jsonl.zst").exists());
    assert_eq!(sandbox.run(&["verify", "out"]).code, 0);
}

#[test]
fn the_same_mix_twice_is_the_same_files() {
    let sandbox = example_sandbox();
    accepted(&sandbox, &[]);
    let first = sandbox.tree("out");
    accepted(&sandbox, &[]);
    assert!(sandbox.tree("out") == first);
    assert!(first == *earlier_mix());
}

#[test]
fn files_without_a_manifest_are_no_mix_and_the_next_run_makes_one() {
    let sandbox = example_sandbox();
    sandbox.write_tree("out", earlier_mix());
    std::fs::remove_file(sandbox.path("out/manifest.json")).expect("the manifest");
    assert_ne!(sandbox.run(&["verify", "out"]).code, 0);
    accepted(&sandbox, &[]);
    assert!(sandbox.tree("out") == *earlier_mix());
    // A manifest that nobody can read stands in nobody's way, and names nothing that could be removed.
    sandbox.write("out/manifest.json", "{\"outputs\": [{\"name\": \"../step_02/key_facts_to_qa/gen.jsonl\"}]");
    accepted(&sandbox, &[]);
    assert!(sandbox.tree("out") == *earlier_mix());
}

#[test]
fn a_manifest_cannot_make_the_program_remove_files_elsewhere() {
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
fn the_manifest_tells_the_truth() {
    let tree = earlier_mix();
    let manifest = manifest(tree);
    let outputs = manifest["outputs"].as_array().expect("outputs");
    assert_eq!(outputs.len() + 1, tree.len());
    for output in outputs {
        let bytes = &tree[output["name"].as_str().expect("a name")];
        assert_eq!(output["bytes"], bytes.len(), "{output}");
        assert_eq!(output["digest"], blake3::hash(bytes).to_hex().as_str(), "{output}");
        if output["kind"] == "mix" {
            assert_eq!(output["rows"], bytes.iter().filter(|byte| **byte == b'\n').count(), "{output}");
        }
    }
    let text = String::from_utf8_lossy(&tree["manifest.json"]);
    assert!(!text.contains("/tmp"), "no path of this machine");
}
