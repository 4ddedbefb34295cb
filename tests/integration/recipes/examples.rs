//! Every recipe of `examples/recipes`, checked by counting the rows of its files.

use super::program::{Mix, Rows, run};

const CUTS: [u32; 2] = [4, 8];
const KNOWN: [&str; 4] = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"];

/// A mix without a recipe.
fn plain() -> Mix {
    Mix::of_text("")
}

fn recipes() -> Vec<String> {
    let folder = std::fs::read_dir("examples/recipes").expect("cannot list the examples");
    let mut names: Vec<String> = folder.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Checks that the figures of the manifest are those of the files.
fn matches_its_manifest(mix: &Mix) {
    let manifest = mix.manifest();
    for cut in CUTS {
        let rows = mix.rows(cut);
        let record = manifest["cuts"].as_array().unwrap().iter().find(|record| record["cut"] == cut).unwrap();
        assert_eq!(record["samples"], rows.len() as u64, "cut {cut}");
        assert_eq!(record["tokens"], rows.tokens(), "cut {cut}");
        for share in record["sources"].as_array().unwrap() {
            let of_source = rows.of(share["name"].as_str().unwrap());
            assert_eq!(share["samples"], of_source.len() as u64, "{share}");
            assert_eq!(share["tokens"], of_source.tokens(), "{share}");
            // Equal rows of the input are several samples.
            let distinct = share["distinct"].as_u64().unwrap();
            assert!((of_source.copies().len() as u64..=of_source.len() as u64).contains(&distinct), "{share}");
        }
    }
    assert_eq!(run(&["verify", mix.path().to_str().unwrap()]).code, 0);
}

#[test]
fn every_example_recipe_has_a_test() {
    let tested = include_str!("examples.rs");
    for recipe in recipes() {
        let name = recipe.trim_start_matches("examples/recipes/").trim_end_matches(".yaml");
        assert!(tested.contains(&format!("of_example(\"{name}\")")), "{name} has no test");
    }
}

#[test]
fn upsample_writes_two_and_a_half_and_three_tenths_of_a_copy() {
    let (mix, plain) = (Mix::of_example("upsample"), plain());
    matches_its_manifest(&mix);
    for cut in CUTS {
        let (rows, all) = (mix.rows(cut), plain.rows(cut));
        let (extractive, available) = (rows.of(KNOWN[0]), all.of(KNOWN[0]));
        let target = 2.5 * available.len() as f64;
        assert!((extractive.len() as f64 - target).abs() <= 1.0, "cut {cut}: {} of {target}", extractive.len());
        let copies = extractive.copies();
        assert_eq!(copies.len(), available.copies().len(), "every sample is in the mix");
        assert!(copies.values().all(|copies| [2, 3].contains(copies)));
        let (detailed, available) = (rows.of(KNOWN[1]), all.of(KNOWN[1]));
        let target = 0.3 * available.len() as f64;
        assert!((detailed.len() as f64 - target).abs() <= 1.0, "cut {cut}: {} of {target}", detailed.len());
        assert!(detailed.within(&available));
        for source in &KNOWN[2..] {
            assert_eq!(rows.of(source), all.of(source));
        }
    }
    assert!(mix.rows(4).within(&mix.rows(8)), "a larger cut contains the smaller one, copies counted");
}

#[test]
fn by_document_selects_complete_documents() {
    let (mix, plain) = (Mix::of_example("by_document"), plain());
    matches_its_manifest(&mix);
    let mut chosen = None;
    for cut in CUTS {
        let (rows, all) = (mix.rows(cut).of(KNOWN[0]), plain.rows(cut).of(KNOWN[0]));
        let documents = rows.values("raw_document");
        assert_eq!(documents.len() * 2, all.values("raw_document").len(), "half of the documents");
        let available = all.0.iter().filter(|row| documents.contains(row.text("raw_document"))).count();
        assert_eq!(rows.len(), available, "all of their samples");
        assert_eq!(*chosen.get_or_insert(documents.clone()), documents, "the same documents in every cut");
        assert_eq!(mix.rows(cut).sources(), [KNOWN[0], KNOWN[2], KNOWN[3]], "a disabled source has no rows");
    }
    assert!(!mix.warnings.contains("no source"), "a disabled source is not reported as unknown: {}", mix.warnings);
}

#[test]
fn replay_is_a_tenth_of_the_tokens_within_one_sample() {
    let mix = Mix::of_example("replay");
    matches_its_manifest(&mix);
    let chats = Mix::of_text("sources: {general: {kind: messages, paths: [examples/chats/general.jsonl]}}").rows(4);
    for cut in CUTS {
        let rows = mix.rows(cut);
        let (general, all) = (rows.of("general").tokens(), rows.tokens());
        // Selection stops before the first sample that does not fit: at most one sample below the target.
        let target = (all - general) as f64 / 9.0;
        assert!(general as f64 <= target + 1.0, "cut {cut}: {general} of {target}");
        assert!(general as f64 + chats.of("general").longest() as f64 > target, "cut {cut}: {general} of {target}");
        assert!(rows.of("general").copies().values().all(|copies| *copies <= 4));
        assert_ne!(rows.sources(), [&KNOWN[..], &["general"]].concat(), "rows are shuffled");
    }
    assert!(mix.rows(4).within(&mix.rows(8)));
}

/// Selection stops before the first sample that exceeds the target.
fn fills(rows: &Rows, target: u64, longest: u64) {
    assert!(rows.tokens() <= target, "{} of {target}", rows.tokens());
    assert!(rows.tokens() + longest > target, "{} of {target}, and a sample of {longest} would fit", rows.tokens());
}

#[test]
fn budget_is_not_exceeded_and_divided_in_proportion() {
    let (mix, plain) = (Mix::of_example("budget"), plain());
    matches_its_manifest(&mix);
    for cut in CUTS {
        let (rows, all) = (mix.rows(cut), plain.rows(cut));
        assert!(rows.tokens() <= 20_000);
        let available: u64 = KNOWN[..3].iter().map(|source| all.of(source).tokens()).sum();
        let mut targets = 0;
        for source in &KNOWN[..3] {
            let target = mix.share(cut, source)["requested"]["target"].as_u64().unwrap();
            let due = 20_000.0 * all.of(source).tokens() as f64 / available as f64;
            assert!((target as f64 - due).abs() <= 1.0, "{source}: {target} of {due}");
            fills(&rows.of(source), target, all.of(source).longest());
            assert!(rows.of(source).within(&all.of(source)));
            targets += target;
        }
        assert_eq!(targets, 20_000, "no token is lost to rounding");
    }
    let larger = Mix::of_text("sources: {document_based_qa: {enabled: false}}\nbudget: {tokens: 30k}");
    for cut in CUTS {
        assert!(mix.rows(cut).within(&larger.rows(cut)), "a larger budget contains the smaller one");
    }
}

#[test]
fn weights_divide_a_number_of_samples() {
    let (mix, plain) = (Mix::of_example("weights"), plain());
    matches_its_manifest(&mix);
    for cut in CUTS {
        let (rows, all) = (mix.rows(cut), plain.rows(cut));
        for (source, part) in KNOWN.iter().zip([75, 75, 25, 25]) {
            let available = all.of(source).len() * if part == 25 { 3 } else { 1 };
            let requested = &mix.share(cut, source)["requested"];
            assert_eq!(rows.of(source).len(), available.min(part), "cut {cut} {source}");
            assert_eq!(requested["measure"], "samples");
            assert_eq!(requested["target"], part);
            assert_eq!(requested["available"], all.of(source).len());
            assert_eq!(requested["actual"], available.min(part));
            assert_eq!(requested["shortfall"], part - available.min(part));
        }
    }
    assert!(mix.rows(4).len() < 200, "the small cut has fewer: capped");
    assert_eq!(mix.rows(8).len(), 200, "a budget of samples is met exactly");
}

#[test]
fn filter_removes_long_short_and_duplicate_samples_and_reports_them() {
    let mix = Mix::of_example("filter");
    matches_its_manifest(&mix);
    let manifest = mix.manifest();
    let dropped = |reason: &str| -> u64 {
        let sources = manifest["sources"].as_array().unwrap();
        sources.iter().filter_map(|source| source["dropped"][reason].as_u64()).sum()
    };
    let unfiltered = Mix::of_text(
        "sources: {general: {kind: messages, paths: [examples/chats/general.jsonl]}}\ninfeasible_cuts: keep",
    )
    .rows(8);
    let long = |rows: &Rows| rows.0.iter().filter(|row| row.tokens() > 400).count();
    let short = |rows: &Rows| rows.0.iter().filter(|row| row.content(1).chars().count() < 12).count();
    let duplicates = |rows: &Rows| {
        let mut messages: Vec<String> = rows.0.iter().map(|row| row.0["messages"].to_string()).collect();
        messages.sort();
        let all = messages.len();
        messages.dedup();
        all - messages.len()
    };
    for (reason, count) in [
        ("too_long", long(&unfiltered)),
        ("short_response", short(&unfiltered)),
        ("duplicate", duplicates(&unfiltered)),
    ] {
        assert!(count > 0, "the examples have {reason} samples");
        assert!(dropped(reason) > 0, "{reason}");
        assert!(mix.table.contains(reason), "the closing table reports {reason}");
        for report in ["report.html", "summary.md"] {
            assert!(mix.read(report).contains(reason), "{report} reports {reason}");
        }
    }
    for cut in CUTS {
        let rows = mix.rows(cut);
        assert_eq!((long(&rows), short(&rows), duplicates(&rows)), (0, 0, 0), "cut {cut}");
    }
    for source in manifest["sources"].as_array().unwrap() {
        let dropped: u64 = source["dropped"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
        assert_eq!(source["read"].as_u64().unwrap(), source["kept"].as_u64().unwrap() + dropped);
    }
}

#[test]
fn split_holds_out_complete_documents() {
    let (mix, plain) = (Mix::of_example("split"), plain());
    matches_its_manifest(&mix);
    let mut chosen = None;
    for cut in CUTS {
        let (train, validation) = (mix.rows(cut), mix.validation(cut));
        let documents = validation.values("raw_document");
        assert_eq!(documents.len(), 1, "a fifth of six documents, rounded");
        for column in ["raw_document", "document_outline", "document"] {
            let both: Vec<String> = train.values(column).intersection(&validation.values(column)).cloned().collect();
            assert_eq!(both, Vec::<String>::new(), "cut {cut}: {column} on both sides");
        }
        assert_eq!(train.len() + validation.len(), plain.rows(cut).len(), "no sample is lost");
        assert!(train.within(&plain.rows(cut)) && validation.within(&plain.rows(cut)));
        assert_eq!(validation.sources(), KNOWN, "every source of the document");
        assert_eq!(*chosen.get_or_insert(documents.clone()), documents, "the same documents in every cut");
        let manifest = mix.manifest();
        let record = manifest["cuts"].as_array().unwrap().iter().find(|record| record["cut"] == cut).unwrap().clone();
        assert_eq!(record["validation_samples"], validation.len());
        assert_eq!(record["validation_tokens"], validation.tokens());
    }
    for text in [&mix.table, &mix.read("report.html"), &mix.read("summary.md")] {
        assert!(text.contains("held out for validation"));
    }
}

#[test]
fn shuffle_reorders_the_same_rows() {
    let mix = Mix::of_example("shuffle");
    matches_its_manifest(&mix);
    let natural = Mix::of_text("seed: 7");
    for cut in CUTS {
        assert_ne!(mix.rows(cut), natural.rows(cut));
        assert_eq!(mix.rows(cut).copies(), natural.rows(cut).copies());
    }
    // The small cut is a subsequence of the large one.
    let large = mix.rows(8);
    let mut rest = large.0.iter();
    assert!(mix.rows(4).0.iter().all(|row| rest.any(|other| other == row)));
}

#[test]
fn sources_follow_the_settings_of_the_recipe() {
    let (mix, plain) = (Mix::of_example("sources"), plain());
    matches_its_manifest(&mix);
    for cut in CUTS {
        let (rows, all) = (mix.rows(cut), plain.rows(cut));
        assert_eq!(rows.sources(), ["extractive_summary", "key_facts_to_qa", "document_based_qa", "second_reading"]);
        let pairs = |rows: &Rows| {
            let mut of_summary = std::collections::BTreeMap::<_, usize>::new();
            for row in &rows.0 {
                *of_summary
                    .entry((row.text("raw_document").to_owned(), row.text("document").to_owned()))
                    .or_default() += 1;
            }
            of_summary
        };
        let (two, three) = (pairs(&rows.of(KNOWN[0])), pairs(&all.of(KNOWN[0])));
        assert!(three.values().any(|pairs| *pairs == 3) && two.values().any(|pairs| *pairs == 2));
        let capped = three.iter().map(|(summary, pairs)| (summary.clone(), *pairs.min(&2))).collect();
        assert_eq!(two, capped, "qa_per_doc: 2 of one source alone");
        for row in rows.of("document_based_qa").0 {
            assert_eq!(row.content(0), format!("In {}, {}", row.text("document_outline"), row.text("question")));
        }
        let again = rows.of("second_reading");
        assert_eq!(again.len(), all.of("document_based_qa").len());
        for row in again.0 {
            let context = format!("{}\n{}", row.text("document_outline"), row.text("document"));
            assert_eq!(row.content(0), format!("{context}\n\n{}", row.text("question")));
        }
    }
}

#[test]
fn chats_keep_their_tools_and_their_unmask_flag() {
    let mix = Mix::of_example("chats");
    matches_its_manifest(&mix);
    for cut in CUTS {
        let rows = mix.rows(cut);
        let (tools, dialogues) = (rows.of("tools"), rows.of("dialogues"));
        assert_eq!((tools.len(), dialogues.len()), (36, 18), "every cut holds all chats");
        for row in &tools.0 {
            let tools: serde_json::Value = serde_json::from_str(row.text("tools")).expect("tools are a JSON string");
            assert!(tools[0]["function"]["name"].is_string());
            assert_eq!(row.0["unmask"], false, "by default only the assistant's messages are trained");
        }
        let roles: std::collections::BTreeSet<&str> = tools
            .0
            .iter()
            .flat_map(|row| row.0["messages"].as_array().unwrap())
            .filter_map(|m| m["role"].as_str())
            .collect();
        assert_eq!(roles.into_iter().collect::<Vec<_>>(), ["assistant", "system", "tool", "user"]);
        let unmasked = dialogues.0.iter().filter(|row| row.0["unmask"] == true).count();
        assert_eq!(unmasked, 9, "the flag of a row wins");
        // Templates test which keys a row and a message have.
        assert!(rows.0.iter().all(|row| row.0.get("tools").is_some() == (row.source() == "tools")));
        let has = |row: &super::program::Row, key: &str| {
            row.0["messages"].as_array().unwrap().iter().any(|message| message.get(key).is_some())
        };
        assert!(tools.0.iter().all(|row| has(row, "tool_calls") && has(row, "tool_call_id")));
        assert!(rows.of(KNOWN[0]).0.iter().chain(&dialogues.0).all(|row| !has(row, "tool_calls")));
        assert!(tools.0.iter().flat_map(|row| row.0["messages"].as_array().unwrap()).all(|message| {
            message.get("tool_calls").is_none_or(|calls| calls[0]["function"]["arguments"].is_object())
        }));
        // `datasets` infers the columns of a file from its start.
        assert!(rows.0[0].0.get("tools").is_some(), "a row with every key comes first");
        assert!(rows.of(KNOWN[0]).0.iter().all(|row| row.0["unmask"] == true));
    }
}

#[test]
fn everything_combined() {
    let mix = Mix::of_example("everything");
    matches_its_manifest(&mix);
    for cut in CUTS {
        let (rows, validation) = (mix.rows(cut), mix.validation(cut));
        assert!(rows.tokens() <= 20_000);
        assert!(!rows.sources().contains(&"document_based_qa".to_owned()));
        fills(&rows.of("general"), 2_000, 160);
        assert!(rows.of("key_facts_to_qa").copies().values().all(|copies| *copies <= 2));
        assert!(rows.values("raw_document").is_disjoint(&validation.values("raw_document")));
        assert!(validation.len() > 0);
        assert!(validation.copies().values().all(|copies| *copies == 1), "validation has every sample once");
        for source in rows.sources() {
            let requested = &mix.share(cut, &source)["requested"];
            assert!(requested["actual"].as_u64() <= requested["target"].as_u64(), "{source}: {requested}");
        }
    }
    assert_eq!(
        run(&["recipe", "example"]).stdout,
        std::fs::read_to_string("examples/recipes/everything.yaml").unwrap()
    );
}

#[test]
fn documents_are_a_second_mix_of_the_same_artifacts() {
    let mix = Mix::of_example("documents");
    matches_its_manifest(&mix);
    for cut in CUTS {
        let (documents, held_out) = (mix.documents(cut), mix.held_out_documents(cut));
        let general = documents.of("general_text");
        let target = (documents.tokens() - general.tokens()) as f64 / 9.0;
        // No text is longer than 300 tokens.
        assert!(general.tokens() as f64 <= target + 1.0 && (general.tokens() + 300) as f64 > target);
        assert!(documents.of("raw_documents").len() > 0 && documents.of("document_based_cpt").len() == 0);
        let raw =
            |rows: &Rows| rows.values("raw_document").into_iter().filter(|raw| !raw.is_empty()).collect::<Vec<_>>();
        let (train, validation) = (mix.rows(cut), mix.validation(cut));
        for (train, held_out) in [(&train, &held_out), (&documents, &validation), (&documents, &held_out)] {
            assert!(raw(held_out).iter().all(|document| !raw(train).contains(document)), "cut {cut}");
        }
    }
}

#[test]
fn one_file_is_divided_among_sources() {
    let mix = Mix::of_example("one_file");
    matches_its_manifest(&mix);
    assert!(mix.warnings.contains("3 rows belong to no source: 3 dataset_type=summary_outline"), "{}", mix.warnings);
    for cut in CUTS {
        assert_eq!(mix.rows(cut).sources(), KNOWN);
        assert_eq!(mix.documents(cut).of("extractive_summary_cpt").len(), 2 * cut as usize);
    }
}
