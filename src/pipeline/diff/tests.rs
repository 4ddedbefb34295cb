use super::*;
use crate::report::synthetic;
use serde_json::json;

fn manifest() -> Manifest {
    synthetic::small().0
}

#[test]
fn a_mix_does_not_differ_from_itself() {
    let diff = differences(&manifest(), &manifest());
    assert!(diff.is_empty());
    assert_eq!(diff.to_string(), "");
}

#[test]
fn reports_are_not_compared() {
    let (a, mut b) = (manifest(), manifest());
    for file in b.outputs.iter_mut().filter(|file| matches!(file.kind, OutputKind::Metrics | OutputKind::Report)) {
        file.digest = "f".repeat(64);
    }
    assert!(differences(&a, &b).is_empty());
    b.outputs[0].digest = "e".repeat(64);
    assert_eq!(differences(&a, &b).0.len(), 1, "{:?}", b.outputs[0]);
    drop(a);
}

#[test]
fn the_default_recipe_equals_none() {
    let (a, mut b) = (manifest(), manifest());
    b.settings.recipe = Some(Recipe::parse("seed: 42", "test").unwrap().for_manifest());
    assert!(differences(&a, &b).is_empty());
    b.settings.recipe = Some(
        Recipe::parse("sources: {chat: {kind: messages, share: 0.1}}\nfilter: {max_tokens: 99}", "test")
            .unwrap()
            .for_manifest(),
    );
    insta::assert_snapshot!(differences(&a, &b), @r"
    settings
      recipe.sources.chat.kind   none -> messages
      recipe.sources.chat.share  none -> 0.1
      recipe.filter.max_tokens   none -> 99
    ");
}

#[test]
fn amounts_show_their_difference_and_settings_do_not() {
    let (a, mut b) = (manifest(), manifest());
    b.settings.seed = 7;
    b.cuts[0].tokens -= 1_000;
    b.sources[0].read += 12_345;
    b.inputs[0].digest = "ab".repeat(32);
    insta::assert_snapshot!(differences(&a, &b), @r"
    settings
      seed  42 -> 7
    inputs
      extractive_summary/part-00000.jsonl.gz: digest  1a0d12016999… -> abababababab…
    source extractive_summary
      read  76 -> 12,421 (+12,345)
    cut 2
      tokens  40,894 -> 39,894 (-1,000)
    ");
}

#[test]
fn what_only_one_mix_has_is_reported_once() {
    let (mut a, mut b) = (manifest(), manifest());
    let moved = a.cuts.pop().unwrap();
    b.cuts.retain(|cut| cut.cut != a.cuts[0].cut);
    assert_eq!(b.cuts.last(), Some(&moved));
    b.inputs.remove(0);
    b.sources[1].dropped.insert("new_reason".to_owned(), 3);
    insta::assert_snapshot!(differences(&a, &b), @r"
    inputs
      extractive_summary/part-00000.jsonl.gz  only in the first
    source detailed_summary
      dropped as new_reason  none -> 3
    cut 2: only in the first
    cut 50: only in the second
    ");
}

#[test]
fn ten_thousand_files_are_compared_quickly() {
    let mut a = manifest();
    let file = a.inputs[0].clone();
    a.inputs = (0..10_000)
        .map(|n| {
            let mut file = file.clone();
            file.key = format!("{n}.jsonl");
            file
        })
        .collect();
    let mut b = a.clone();
    b.inputs[5_000].rows += 1;
    let started = std::time::Instant::now();
    assert_eq!(differences(&a, &b).0.len(), 1);
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn hostile_names_are_harmless() {
    let (a, mut b) = (manifest(), manifest());
    b.inputs[0].key = "evil\u{1b}[2J\nname.jsonl".to_owned();
    assert!(!differences(&a, &b).to_string().contains('\u{1b}'));
}

#[test]
fn values_are_shown_for_people() {
    let shown = |a: Value, b: Value| Change::Values(Some(a), Some(b)).to_string();
    assert_eq!(shown(json!(1_000), json!(2_500)), "1,000 -> 2,500 (+1,500)");
    assert_eq!(shown(json!(5), json!(2)), "5 -> 2 (-3)");
    assert_eq!(shown(Value::Null, json!("x")), "none -> x");
    assert_eq!(shown(json!([4, 8]), json!([4])), "[4,8] -> [4]");
    assert_eq!(shown(json!("0123456789abcdef".repeat(4)), json!("ab")), "0123456789ab… -> ab");
}
