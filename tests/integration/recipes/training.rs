//! What a run says of the training of its mixes: limits, steps, drops and shortfalls, of conversations and of documents.

use super::program::{EXAMPLES, Mix, run};
use serde_json::Value;
use test_support::program::Ran;

const BOTH: &str = "documents: true";

/// Plans the examples with more flags.
fn plan(flags: &str) -> Ran {
    let mut arguments =
        vec!["plan", "--input", "examples/step_02", "--tokenizer-model", "builtin", "--cut-sizes", "4,8"];
    arguments.extend(flags.split_whitespace());
    run(&arguments)
}

fn mix(recipe: &str, flags: &str) -> Mix {
    Mix::of(&format!("{EXAMPLES}{recipe}"), &flags.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn steps_of_document_mixes_are_reported_everywhere() {
    let mix = mix(BOTH, "--block-size 512 --effective-batch-size 4 --epochs 2");
    let metrics: Value = serde_json::from_str(&mix.read("metrics.json")).unwrap();
    let figures = ["steps_per_epoch", "steps", "tokens_per_step"]
        .map(|name| metrics[format!("cut_8.documents.preflight.{name}")].as_u64().unwrap());
    assert_eq!(figures, [9, 18, 1970]);
    for text in [mix.read("summary.md"), mix.table.clone()] {
        let row = text.lines().find(|line| line.contains("8x documents")).expect("the training of documents");
        let cells: Vec<&str> = row.split_whitespace().filter(|cell| *cell != "|").collect();
        assert_eq!(cells[cells.len() - 3..], ["9", "18", "1,970"], "{row}");
    }
}

#[test]
fn the_training_call_is_under_training_if_only_a_block_size_is_set() {
    let mix = mix(BOTH, "--block-size 512");
    let (report, summary) = (mix.read("report.html"), mix.read("summary.md"));
    let plan = plan("--documents --block-size 512").stdout;
    for (text, heading) in [
        (&report, "<h2 id=\"training\">Training</h2>"),
        (&summary, "## Training"),
        (&mix.table, "Training "),
        (&plan, "Training "),
    ] {
        assert_eq!(text.matches("is_pretraining=True, block_size=512").count(), 1, "{text}");
        let at = text.find(heading).unwrap_or_else(|| panic!("{heading} in {text}"));
        let section = &text[at + heading.len()..];
        let end = section.find("<h2").or(section.find("\n## ")).unwrap_or(section.len());
        assert!(section[..end].contains("is_pretraining=True, block_size=512"), "{text}");
    }
}
