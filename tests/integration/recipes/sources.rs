//! What no example recipe shows: additional sources of each kind, other paths, and edge cases.

use super::program::{EXAMPLES, Mix, Row, run};

#[test]
fn additional_sources_of_every_kind() {
    let mix = Mix::of_text(
        "sources:
  more_summaries: {kind: summary_qa, paths: [examples/step_02/detailed_summary], qa_per_doc: 1}
  more_facts: {kind: fact_qa, paths: [examples/step_02/key_facts_to_qa/gen.jsonl]}
  more_questions: {kind: document_qa, paths: [examples/step_02/document_based_qa], with_document: false}
  chats: {kind: messages, paths: [examples/chats/general.jsonl, examples/chats/unmask.jsonl], unmask: true}
",
    );
    let rows = mix.rows(4);
    assert_eq!(
        rows.sources()[4..],
        ["more_summaries", "more_facts", "more_questions", "chats"],
        "in the recipe's order"
    );
    let summaries = rows.of("more_summaries");
    assert_eq!(summaries.len(), summaries.values("document").len(), "one pair of each summary");
    for document in summaries.values("raw_document") {
        let of_document = summaries.0.iter().filter(|row| row.text("raw_document") == document).count();
        assert!(of_document <= 4, "cuts sample them");
    }
    let facts = rows.of("more_facts");
    assert_eq!(facts.len(), rows.of("key_facts_to_qa").len());
    assert!(facts.0.iter().all(|row| row.content(0).starts_with("In ")));
    let questions = rows.of("more_questions");
    assert_eq!(questions.len(), rows.of("document_based_qa").len());
    assert!(questions.0.iter().all(|row| !row.content(0).contains(row.text("document"))));
    let chats = rows.of("chats");
    assert_eq!(chats.len(), 146 + 18, "two paths, in order");
    assert_eq!(chats.0.iter().filter(|row| row.0["unmask"] == false).count(), 9, "but the flag of a row wins");
}

#[test]
fn a_fact_can_include_its_document() {
    let mix = Mix::of_text("sources: {key_facts_to_qa: {with_document: true}}");
    let facts = mix.rows(4).of("key_facts_to_qa");
    assert!(facts.len() > 0);
    for row in facts.0 {
        let context = format!("{}\n{}", row.text("document_outline"), row.text("document"));
        assert_eq!(row.content(0), format!("{context}\n\n{}", row.text("question")));
    }
}

#[test]
fn a_source_with_repeat_zero_is_read_but_not_mixed() {
    let mix = Mix::of_text("sources: {detailed_summary: {repeat: 0}}");
    assert_eq!(mix.rows(4).of("detailed_summary").len(), 0);
    assert_eq!(mix.share(4, "detailed_summary")["samples"], 0);
}

#[test]
fn a_small_split_holds_out_one_document() {
    let mix = Mix::of_text("split: {validation: 0.001}\nsources: {key_facts_to_qa: {repeat: 3}}");
    assert_eq!(mix.validation(4).values("raw_document").len(), 1, "at least one");
    assert!(mix.validation(4).of("key_facts_to_qa").copies().values().all(|copies| *copies == 1), "before any repeat");
    assert!(mix.rows(4).of("key_facts_to_qa").copies().values().all(|copies| *copies == 3));
    let mix = Mix::of_text("split: {validation: 0.999}");
    assert_eq!(mix.rows(4).values("raw_document").len(), 1, "one document remains");
}

#[test]
fn chats_are_split_and_equal_chats_stay_together() {
    let mix = Mix::of_text(
        "split: {validation: 0.25}\nsources: {general: {kind: messages, paths: [examples/chats/general.jsonl]}}",
    );
    let (train, validation) = (mix.rows(4).of("general"), mix.validation(4).of("general"));
    assert_eq!(train.len() + validation.len(), 146);
    assert!((30..=42).contains(&validation.len()), "a quarter: {}", validation.len());
    assert!(train.copies().keys().all(|chat| !validation.copies().contains_key(chat)));
}

#[test]
fn long_samples_that_are_kept_are_reported() {
    let mix = Mix::of_text("filter: {max_tokens: 400, long_samples: keep}");
    let rows = mix.rows(8);
    let (mut samples, mut tokens) = (0, 0);
    for row in rows.0.iter().filter(|row| row.tokens() > 400) {
        samples += 1;
        tokens += row.tokens() - 400;
    }
    let warning = format!(
        "{samples} samples are longer than 400 tokens and kept (long_samples: keep); {tokens} tokens are beyond that limit"
    );
    assert!(samples > 0 && mix.warnings.contains(&warning), "{samples} {tokens}: {}", mix.warnings);
    assert!(mix.read("report.html").contains(&warning) && mix.read("summary.md").contains(&warning));
}

/// Rows that are held out are not trained: no trainer truncates them.
#[test]
fn long_samples_that_are_held_out_are_not_reported() {
    let mix = Mix::of_text("filter: {max_tokens: 400, long_samples: keep}\nsplit: {validation: 0.5}");
    let is_long = |row: &&Row| row.tokens() > 400;
    let (rows, validation) = (mix.rows(8), mix.validation(8));
    let samples = rows.0.iter().filter(is_long).count();
    assert!(samples > 0 && validation.0.iter().any(|row| is_long(&row)));
    let warning = format!("cut 8: {samples} samples are longer than 400 tokens and kept");
    assert!(mix.warnings.contains(&warning), "{warning}: {}", mix.warnings);
}

/// Signs of broken questions are counted in every run, and dropped if the recipe says so.
#[test]
fn broken_questions_are_counted_and_dropped_by_request() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("key_facts_to_qa")).unwrap();
    let row = |question: &str, response: &str, document: &str| {
        serde_json::json!({
            "question": question, "response": response, "document_outline": "Tides", "document": document,
            "raw_document": "The tide turns twice a day."
        })
    };
    let rows = [
        row("When does the tide turn?", "Twice a day.", "The tide turns."),
        row("<question>", "Twice a day.", "The tide turns."),
        row("What is ...?", "It is the tide.", "The tide turns."),
        row("What is high water?", "High water.<|eot_id|>", "The tide turns."),
        row("What is low water?", "Low water.", "The tide<|im_end|> turns."),
        row("The tide turns.", "Yes.", "The tide turns."),
        row("Who measured it?", "I'm sorry, but the text does not say.", "The tide turns."),
        row("[Insert question]?", "The document does not mention it.", "The tide turns."),
    ];
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(folder.path().join("key_facts_to_qa/rows.jsonl"), text).unwrap();
    let recipe = format!("input: ['{}']\ntokenizer_model: builtin\ncut_sizes: [4]\n", folder.path().display());
    let counted = Mix::of(&recipe, &[]);
    let metrics: serde_json::Value = serde_json::from_str(&counted.read("metrics.json")).unwrap();
    let figures: Vec<_> = ["", ".placeholder", ".ellipsis", ".template_token", ".no_question", ".refusal"]
        .map(|flag| metrics[format!("rows.flagged{flag}")].as_u64())
        .into();
    // `<question>` has no question mark, and key facts are asked without their document.
    assert_eq!(figures, [Some(7), Some(2), Some(1), Some(2), Some(2), Some(2)]);
    assert_eq!(metrics["rows.dropped"], 0);
    let page = counted.read("report.html");
    assert!(page.contains("Examples: template token") && page.contains("Low water."));
    assert!(counted.read("summary.md").contains("| question that asks nothing | 2 | 0 |"));
    let dropped = Mix::of(&format!("{recipe}filter: {{drop_flagged: [placeholder, template_token]}}"), &[]);
    let metrics: serde_json::Value = serde_json::from_str(&dropped.read("metrics.json")).unwrap();
    let reasons = ["rows.dropped.placeholder", "rows.dropped.template_token", "rows.kept", "rows.flagged"];
    assert_eq!(reasons.map(|name| metrics[name].as_u64()), [Some(2), Some(2), Some(4), Some(7)]);
    assert_eq!(dropped.rows(4).0.len(), 4);
}

#[test]
fn a_chat_with_a_short_last_response_is_not_a_short_chat() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.jsonl");
    let chat = |answers: [&str; 2]| {
        let turn = |role: &str, content: &str| serde_json::json!({"role": role, "content": content});
        let [first, second] = answers;
        let messages = [turn("user", "a"), turn("assistant", first), turn("user", "b"), turn("assistant", second)];
        serde_json::json!({"messages": messages}).to_string() + "\n"
    };
    std::fs::write(&path, chat(["an answer of some length", "yes"]) + &chat(["no", "yes"])).unwrap();
    let path = path.display();
    let mix = Mix::of_text(&format!(
        "filter: {{min_response_chars: 10}}\nsources: {{chats: {{kind: messages, paths: ['{path}']}}}}"
    ));
    let chats = mix.rows(4).of("chats");
    assert_eq!(chats.len(), 1, "the length is that of all assistant messages");
    assert_eq!(chats.0[0].content(3), "yes");
}

#[test]
fn a_budget_below_one_sample_is_an_error_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let recipe = format!("{EXAMPLES}budget: {{tokens: 20}}");
    let ended = run(&["mix", "--recipe", &recipe, "--output", output.to_str().unwrap()]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the mix would be empty") && ended.stderr.contains("budgets smaller"),
        "{}",
        ended.stderr
    );
    assert!(!output.join("manifest.json").exists());
}

#[test]
fn a_known_source_can_have_other_paths_and_they_must_exist() {
    let mix = Mix::of_text("sources: {document_based_qa: {paths: [examples/step_02/document_based_qa/gen.jsonl]}}");
    assert_eq!(mix.rows(4).of("document_based_qa").len(), 24);
    let recipe = format!("{EXAMPLES}sources: {{general: {{kind: messages, paths: [examples/nowhere]}}}}");
    let ended = run(&["plan", "--recipe", &recipe]);
    assert_eq!(ended.code, 66, "{}", ended.stderr);
    assert!(ended.stderr.contains("examples/nowhere") && ended.stderr.contains("general"), "{}", ended.stderr);
}

const GENERAL: &str = "general: {kind: messages, paths: [examples/chats/general.jsonl]";

#[test]
fn large_shares_repeat_their_source_and_two_shares_both_hold() {
    let text = format!(
        "sources:\n  {GENERAL}, share: 0.3, max_repeat: 4}}\n  dialogues: {{kind: messages, paths: [examples/chats/unmask.jsonl], share: 0.05, max_repeat: 9}}\n"
    );
    let mix = Mix::of_text(&text);
    for cut in [4, 8] {
        let rows = mix.rows(cut);
        let rest: u64 = rows
            .0
            .iter()
            .filter(|row| !["general", "dialogues"].contains(&row.source().as_str()))
            .map(|row| row.tokens())
            .sum();
        for (source, share) in [("general", 0.3), ("dialogues", 0.05)] {
            // R / (1 - s1 - s2) tokens; each share is met within one sample.
            let target = share * rest as f64 / (1.0 - 0.35);
            let actual = rows.of(source);
            assert!(actual.tokens() as f64 <= target + 1.0, "{source}: {} of {target}", actual.tokens());
            assert!(
                (actual.tokens() + actual.longest()) as f64 > target - 210.0,
                "{source}: {} of {target}",
                actual.tokens()
            );
        }
        let copies = rows.of("general").copies();
        let (fewest, most) = (copies.values().min().unwrap(), copies.values().max().unwrap());
        assert!(*most > 1, "copies fill the share");
        // The file holds two chats twice.
        assert!(
            *most - *fewest <= *most / 2 + 1,
            "every sample is copied before any is copied again: {fewest} to {most}"
        );
    }
}

#[test]
fn shares_that_sum_to_one_fill_a_budget() {
    let mix = Mix::of_text(&format!(
        "sources:
  extractive_summary: {{share: 0.7}}
  detailed_summary: {{enabled: false}}
  key_facts_to_qa: {{enabled: false}}
  document_based_qa: {{enabled: false}}
  {GENERAL}, share: 0.3}}
budget: {{tokens: 10k}}
"
    ));
    let rows = mix.rows(4);
    for (source, target) in [("extractive_summary", 7_000), ("general", 3_000)] {
        let actual = rows.of(source);
        assert!(actual.tokens() <= target && actual.tokens() + 310 > target, "{source}: {}", actual.tokens());
    }
}

#[test]
fn a_share_that_cannot_be_filled_is_an_error_with_figures() {
    let recipe = format!("{EXAMPLES}sources:\n  {GENERAL}, share: 0.9}}\n");
    let ended = run(&["plan", "--recipe", &recipe]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stdout.contains("shortfall"), "the plan is printed");
    assert!(
        ended.stderr.contains("general (share 0.9) is ") && ended.stderr.contains(" short of its target of "),
        "{}",
        ended.stderr
    );
    let capped = Mix::of(&format!("{recipe}on_shortfall: cap\n"), &[]);
    assert_eq!(capped.rows(4).of("general").len(), 146, "every sample once");
}
