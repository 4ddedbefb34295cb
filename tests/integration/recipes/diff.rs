//! `diff`: the differences between two finished mixes.

use super::program::{EXAMPLES, Mix, run};

fn diff(a: &Mix, b: &Mix) -> String {
    let ended = run(&["diff", a.path().to_str().unwrap(), b.path().to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.stdout
}

#[test]
fn mixes_with_different_seeds() {
    insta::assert_snapshot!(diff(&Mix::of_text(""), &Mix::of_text("seed: 43")));
}

#[test]
fn mixes_with_different_cuts() {
    insta::assert_snapshot!(diff(&Mix::of_text(""), &Mix::of(EXAMPLES, &["--cut-sizes", "2,4"])));
}

#[test]
fn mixes_with_different_recipes() {
    insta::assert_snapshot!(diff(&Mix::of_text(""), &Mix::of_example("split")));
    insta::assert_snapshot!(diff(&Mix::of_example("budget"), &Mix::of_example("weights")));
}

#[test]
fn mixes_with_added_rows() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("key_facts_to_qa");
    std::fs::create_dir(&copy).unwrap();
    let text = std::fs::read_to_string("examples/step_02/key_facts_to_qa/gen.jsonl").unwrap();
    let with = |name: &str, rows: usize| {
        let lines: String = text.lines().take(rows).map(|line| format!("{line}\n")).collect();
        std::fs::write(copy.join(name), lines).unwrap();
        let recipe = format!("sources: {{key_facts_to_qa: {{paths: ['{}']}}}}", copy.display());
        Mix::of_text(&recipe)
    };
    let before = with("gen.jsonl", 40);
    with("gen.jsonl", 50);
    insta::assert_snapshot!(diff(&before, &with("later.jsonl", 5)));
}

#[test]
fn equal_mixes_and_a_missing_mix() {
    let mix = Mix::of_text("");
    assert_eq!(diff(&mix, &Mix::of_text("")), "no differences\n");
    let folder = tempfile::tempdir().unwrap();
    let ended = run(&["diff", mix.path().to_str().unwrap(), folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, 66, "{}", ended.stderr);
    assert!(ended.stderr.contains("manifest.json"), "{}", ended.stderr);
}
