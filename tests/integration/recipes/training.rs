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
fn a_percentage_is_of_the_mix_or_of_the_rows_that_it_counts() {
    let dropped = "--documents --block-size 512 --max-tokens-per-gpu 500";
    for (flags, message) in [
        (format!("{dropped} --fail-on cut_4.documents.preflight.dropped=50%"), "is 60 of 60 documents"),
        ("--fail-on rows.dropped=0.5%".to_owned(), "rows.dropped is 3 of 377 rows"),
        ("--fail-on tokens=10%".to_owned(), " tokens (limit: tokens=10%)"),
    ] {
        let ended = plan(&flags);
        assert_eq!(ended.code, 3, "{flags}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{flags}: {}", ended.stderr);
    }
    assert_eq!(plan("--fail-on rows.dropped=0.8%").code, 0);
    let ended = plan("--effective-batch-size 4 --fail-on steps=10%");
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("a percentage of `steps` has no meaning"), "{}", ended.stderr);
}

#[test]
fn a_limit_of_a_figure_that_is_not_known_is_a_usage_error() {
    let documents = "--documents=only";
    for (flags, message) in [
        ("--fail-on steps=0", "`steps` needs --effective-batch-size"),
        ("--fail-on steps_per_epoch=0", "`steps_per_epoch` needs --effective-batch-size"),
        ("--fail-on cut_8.preflight.steps=0", "`cut_8.preflight.steps` needs --effective-batch-size"),
        ("--fail-on dropped.too_long=0", "`dropped.too_long` needs --max-seq-len"),
        (
            "--max-seq-len 4096 --fail-on micro_batches_at_most=1",
            "needs --effective-batch-size and --max-tokens-per-gpu",
        ),
        ("--effective-batch-size 4 --fail-on balance_percent_at_least=50", "low values are what is bad"),
        ("--fail-on blocks=1", "`blocks` needs a document mix"),
        (&format!("{documents} --fail-on blocks=1"), "`blocks` needs --block-size"),
        (&format!("{documents} --block-size 512 --fail-on steps=1"), "`steps` needs --effective-batch-size"),
        (&format!("{documents} --fail-on dropped=0"), "`dropped` needs --block-size and --max-tokens-per-gpu"),
        (&format!("{documents} --fail-on dropped.too_long=0"), "`dropped.too_long` needs a mix of conversations"),
    ] {
        let ended = plan(flags);
        assert_eq!(ended.code, 2, "{flags}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{flags}: {}", ended.stderr);
    }
}

#[test]
fn short_and_full_names_of_figures_have_the_same_limits() {
    let settings = "--documents --block-size 512 --max-seq-len 4096 --max-tokens-per-gpu 4000 --effective-batch-size 4";
    for (figure, most) in [
        ("steps", "0"),
        ("tokens_per_step", "1"),
        ("micro_batches_at_least", "0"),
        ("micro_batches_at_most", "0"),
        ("loss_tokens", "1%"),
        ("blocks", "0"),
    ] {
        let of = if figure == "blocks" { "documents." } else { "" };
        for name in [figure.to_owned(), format!("cut_8.{of}preflight.{figure}")] {
            let ended = plan(&format!("{settings} --fail-on {name}={most}"));
            assert_eq!(ended.code, 3, "{name}: {}", ended.stderr);
            assert!(ended.stderr.contains(&format!("cut_8.{of}preflight.{figure} is ")), "{name}: {}", ended.stderr);
        }
    }
    // A reason that did not occur is a figure, too.
    for name in ["dropped.too_long", "cut_8.preflight.dropped.too_long"] {
        assert_eq!(plan(&format!("{settings} --fail-on {name}=0")).code, 0, "{name}");
    }
}

#[test]
fn the_documented_command_has_limits_that_are_checked() {
    let text = std::fs::read_to_string(test_support::repository().join("docs/preflight.md")).unwrap();
    let command = text.lines().find(|line| line.starts_with("knowledge-mixing mix") && line.contains("--fail-on"));
    let flags = command.unwrap().strip_prefix("knowledge-mixing mix ").unwrap();
    let ended = plan(flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn a_shortfall_of_a_document_mix_is_reported_everywhere() {
    let recipe = "budget: {tokens: 30000}\non_shortfall: cap\n";
    for documents in ["documents: true\n", "documents: only\n"] {
        let text = format!("{recipe}{documents}");
        let mix = mix(&text, "");
        let manifest = mix.manifest();
        let cuts = manifest.get("document_cuts").or(manifest.get("cuts")).unwrap();
        let source = &cuts[0]["sources"][0];
        let requested = &source["requested"];
        let shortfall = requested["shortfall"].as_u64().unwrap();
        assert!(shortfall > 0);
        let thousands = |n: u64| format!("{},{:03}", n / 1000, n % 1000);
        let numbers = ["available", "target"].map(|key| thousands(requested[key].as_u64().unwrap()));
        let plan = plan_of(&text);
        for (report, text) in [
            ("report.html", &mix.read("report.html")),
            ("summary.md", &mix.read("summary.md")),
            ("table", &mix.table),
            ("plan", &plan),
        ] {
            for part in numbers.iter().chain([&thousands(shortfall)]) {
                let rows = text.lines().filter(|line| line.contains(source["name"].as_str().unwrap()));
                assert!(rows.clone().any(|row| row.contains(part.as_str())), "{documents}: {part} in {report}: {text}");
            }
        }
        assert!(mix.end.contains("tokens short of "), "{}", mix.end);
    }
}

fn plan_of(recipe: &str) -> String {
    let ended = run(&["plan", "--recipe", &format!("{EXAMPLES}{recipe}"), "--quiet"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.stdout
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

#[test]
fn a_document_mix_that_the_trainer_drops_takes_no_steps_and_raises_the_alarm() {
    for (documents, prefix) in [("documents: true", "cut_8.documents"), ("documents: only", "cut_8")] {
        let mix = mix(documents, "--block-size 512 --max-tokens-per-gpu 500 --effective-batch-size 4 --epochs 2");
        let metrics: Value = serde_json::from_str(&mix.read("metrics.json")).unwrap();
        let figure = |name: &str| metrics.get(format!("{prefix}.preflight.{name}")).and_then(Value::as_u64);
        assert_eq!((figure("samples"), figure("dropped")), (Some(0), Some(102)));
        assert_eq!((figure("steps_per_epoch"), figure("steps"), figure("tokens_per_step")), (Some(0), Some(0), None));
        assert!(mix.end.contains("the trainer will drop 102 of the 102 documents of cut 8x"), "{}", mix.end);
        let warning = "--block-size 512 is larger than --max-tokens-per-gpu 500";
        assert!(mix.warnings.contains(warning), "{}", mix.warnings);
        assert!(mix.read("report.html").contains(warning));
    }
}

#[test]
fn documents_are_called_documents_in_every_run() {
    for documents in ["documents: true", "documents: only"] {
        let mix = mix(documents, "");
        let header = if documents.ends_with("only") { "Mixes " } else { "Document mixes " };
        let table = &mix.table[mix.table.find(header).unwrap()..];
        let table = table.split("\n\n").next().unwrap();
        let first = table.lines().next().unwrap();
        assert!(first.contains("documents") && !first.contains("samples"), "{first}");
        let all = table.lines().find(|line| line.split_whitespace().any(|word| word == "all")).unwrap();
        assert!(!all.contains('%'), "{all}");
    }
    let mix = mix("documents: only", "");
    assert!(mix.read("summary.md").contains("| cut | source | documents |"));
    assert!(!mix.read("summary.md").contains("sample"), "{}", mix.read("summary.md"));
    let report = mix.read("report.html");
    assert!(report.contains("Documents and tokens by cut") && !report.contains("<h2 id=\"mixes\">Samples"));
    assert!(mix.end.contains("cut  documents  tokens"), "{}", mix.end);
}
