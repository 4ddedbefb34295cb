//! `plan` with a recipe: target, available, actual and shortfall before anything is written, and the same figures in
//! every report of `mix`.

use super::program::{EXAMPLES, Mix, run};
use serde_json::Value;

const SHORT: &str = "sources:
  extractive_summary: {weight: 3}
  general: {kind: messages, paths: [examples/chats/general.jsonl], share: 0.5}
budget: {tokens: 60k}
";

#[test]
fn plan_shows_every_source_of_every_cut() {
    insta::assert_snapshot!(run(&["plan", "--recipe", "examples/recipes/replay.yaml", "--quiet"]).stdout);
    insta::assert_snapshot!(run(&["plan", "--recipe", "examples/recipes/weights.yaml", "--quiet"]).stdout);
    insta::assert_snapshot!(run(&["plan", "--recipe", "examples/recipes/split.yaml", "--quiet"]).stdout);
}

#[test]
fn plan_shows_a_shortfall_before_it_fails() {
    let recipe = format!("{EXAMPLES}{SHORT}");
    let ended = run(&["plan", "--recipe", &recipe]);
    assert_eq!(ended.code, 3);
    insta::assert_snapshot!(ended.stdout);
    insta::assert_snapshot!(ended.stderr);
    let json = run(&["plan", "--recipe", &recipe, "--format", "json"]);
    assert_eq!((json.code, json.stderr), (3, ended.stderr));
    let plan: Value = serde_json::from_str(&json.stdout).expect("the plan is printed anyway");
    let cuts = plan["manifest"]["cuts"].as_array().unwrap();
    assert_eq!(cuts.len(), 2);
    for cut in cuts {
        let sources = cut["sources"].as_array().unwrap();
        assert_eq!(sources.len(), 5);
        let targets: u64 = sources.iter().map(|source| source["requested"]["target"].as_u64().unwrap()).sum();
        assert_eq!(targets, 60_000, "the targets add up to the budget");
        for requested in sources.iter().map(|source| &source["requested"]) {
            let number = |key: &str| requested[key].as_u64().unwrap_or_else(|| panic!("{key} in {requested}"));
            assert_eq!(requested["measure"], "tokens");
            assert!(number("actual") <= number("target"));
            assert_eq!(number("shortfall"), number("target").saturating_sub(number("available")));
        }
    }
    // `mix` finds the same shortfall and writes nothing.
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let ended_mix = run(&["mix", "--recipe", &recipe, "--output", output.to_str().unwrap()]);
    assert_eq!(ended_mix.code, 3, "{}", ended_mix.stderr);
    assert!(
        ended_mix.stderr.contains("general (share 0.5) is 18825 tokens short of its target of 30000"),
        "{}",
        ended_mix.stderr
    );
    let left = std::fs::read_dir(&output).map(|entries| entries.count()).unwrap_or(0);
    assert_eq!(left, 0, "no file remains");
}

#[test]
fn a_capped_shortfall_is_reported_everywhere() {
    let mix = Mix::of_text(&format!("{SHORT}on_shortfall: cap\n"));
    let plan = run(&["plan", "--recipe", &format!("{EXAMPLES}{SHORT}on_shortfall: cap\n"), "--quiet"]);
    assert_eq!(plan.code, 0);
    let recipe_table =
        |text: &str| text[text.find("Tokens  source").expect("the table of targets")..].replace("planned", "actual");
    let words = |text: String| {
        text.split_whitespace().filter(|word| !word.starts_with("--")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(recipe_table(&plan.stdout)), words(recipe_table(&mix.table)), "the plan predicts the mix");
    let chats = Mix::of_text("sources: {general: {kind: messages, paths: [examples/chats/general.jsonl]}}").rows(4);
    let available = chats.of("general").tokens();
    let requested = mix.share(8, "general")["requested"].clone();
    let expected = serde_json::json!(
        {"measure": "tokens", "target": 30_000, "available": available, "actual": available, "shortfall": 30_000 - available});
    assert_eq!(requested, expected);
    assert_eq!(mix.rows(8).of("general").tokens(), available);
    let metrics: Value = serde_json::from_str(&mix.read("metrics.json")).unwrap();
    assert_eq!(metrics["cut_8.general.shortfall_tokens"], 30_000 - available);
    let thousands = |n: u64| format!("{},{:03}", n / 1000, n % 1000);
    for report in [&mix.read("report.html"), &mix.read("summary.md"), &mix.table] {
        for part in
            ["share 0.5", "weight 3", "part of the", "30,000", &thousands(available), &thousands(30_000 - available)]
        {
            assert!(report.contains(part), "{part} in {report}");
        }
    }
}

#[test]
fn a_recipe_without_targets_has_no_table_of_targets() {
    let mix = Mix::of_text("seed: 1");
    assert!(!mix.table.contains("Tokens  source"));
    assert!(!mix.read("summary.md").contains("Recipe targets"));
    assert!(mix.share(4, "extractive_summary").get("requested").is_none());
}
