//! The dataset card: `README.md` beside the mixes, which `datasets` reads to find the splits of each mix, and which the Hugging Face
//! hub shows as the page of the dataset.
//!
//! Format: <https://huggingface.co/docs/datasets/repository_structure>.

use super::format::{cut_name, line, thousands};
use super::summary::{escape, table_of};
use super::wording::not_documents;
use crate::manifest::{Manifest, MixKind, OutputFile, OutputKind};
use crate::recipe::Format;

/// The file name of the card.
pub(crate) const CARD: &str = "README.md";

/// One mix as `datasets` knows it: a name, and a file for each split.
struct Config<'m> {
    name: String,
    train: &'m OutputFile,
    validation: Option<&'m OutputFile>,
}

/// The dataset card of a mix: the selected file is what `load_dataset` returns if it is given no name.
///
/// Untrusted text is escaped, so that it cannot become a link, a table cell or HTML.
pub(crate) fn card(manifest: &Manifest, selected_cut: u32, selected_format: Format) -> String {
    let configs = configs(manifest, selected_format);
    let selected = config_name(selected_cut, selected_format, manifest.main_mix());
    let mut text = String::from("---\npretty_name: Knowledge mix\nconfigs:\n");
    for Config { name, train, validation } in &configs {
        text.push_str(&format!("- config_name: {name}\n"));
        if *name == selected {
            text.push_str("  default: true\n");
        }
        text.push_str(&format!("  data_files:\n  - split: train\n    path: {}\n", train.name));
        if let Some(validation) = validation {
            text.push_str(&format!("  - split: validation\n    path: {}\n", validation.name));
        }
    }
    text.push_str("---\n\n# Knowledge mix\n\n");
    let program = &manifest.program;
    text.push_str(&format!(
        "{} by {} {}. A cut of N holds at most N summaries of each raw \
         document; larger cuts contain smaller ones.\n\n",
        what(manifest),
        escape(&program.name),
        escape(&program.version),
    ));
    text.push_str(&format!(
        "```python\nfrom datasets import load_dataset\n\nmix = load_dataset(\"FOLDER_OR_REPOSITORY\")  # {selected}\n```\n\n"
    ));
    text.push_str(&mixes(&configs));
    if let Some(note) = not_documents(manifest) {
        text.push_str(&format!("{}.\n\n", escape(&note)));
    }
    text.push_str(&sources(manifest));
    text.push_str(&made_with(manifest));
    text.push_str("`manifest.json` lists every input and output file with its digest; `report.html` shows samples and token lengths.\n");
    text
}

/// What the mixes are for.
fn what(manifest: &Manifest) -> &'static str {
    match (manifest.main_mix(), manifest.document_cuts.is_empty()) {
        (MixKind::Chat, true) => "Fine-tuning data, mixed from generated question-answer data",
        (MixKind::Chat, false) => {
            "Fine-tuning data, mixed from generated question-answer data, and documents for continued pretraining, mixed"
        }
        (MixKind::Document, _) => "Documents for continued pretraining, mixed from generated data",
    }
}

/// The mixes that `datasets` loads. It reads all files of a folder in one way, so these are either those of JSON Lines or those of
/// Parquet: the kind of the selected file.
fn configs(manifest: &Manifest, selected_format: Format) -> Vec<Config<'_>> {
    let format = |file: &OutputFile| file.format.as_deref().and_then(Format::parse);
    let is_shown = |file: &&OutputFile| format(file).is_some_and(|it| it.is_parquet() == selected_format.is_parquet());
    let of_kind = |kind: OutputKind| manifest.outputs.iter().filter(move |file| file.kind == kind).filter(is_shown);
    of_kind(OutputKind::Mix)
        .filter_map(|train| {
            let is_same =
                |file: &&OutputFile| file.cut == train.cut && file.format == train.format && file.mix == train.mix;
            let name = config_name(train.cut?, format(train)?, train.mix);
            Some(Config { name, train, validation: of_kind(OutputKind::Validation).find(is_same) })
        })
        .collect()
}

/// `cut_5x` for messages, which most people want, `cut_5x_tokens` for tokens, and `cut_5x_documents` for documents.
fn config_name(cut: u32, format: Format, mix: MixKind) -> String {
    let documents = match mix {
        MixKind::Chat => "",
        MixKind::Document => "_documents",
    };
    let suffix = match format {
        Format::Messages | Format::MessagesParquet => "",
        Format::Tokens | Format::TokensParquet => "_tokens",
    };
    format!("cut_{}{documents}{suffix}", cut_name(cut))
}

fn mixes(configs: &[Config<'_>]) -> String {
    let number = |number: Option<u64>| number.map_or_else(String::new, thousands);
    let rows = configs.iter().flat_map(|config| {
        let splits = [("train", Some(config.train)), ("validation", config.validation)];
        splits.into_iter().filter_map(|(split, file)| {
            let file = file?;
            let name = format!("`{}`", file.name);
            Some(vec![config.name.clone(), split.to_owned(), number(file.rows), number(file.tokens), name])
        })
    });
    table_of("Mixes", &["name", "split", "samples", "tokens", "file"], 2..4, rows)
}

fn sources(manifest: &Manifest) -> String {
    let rows = manifest.sources.iter().map(|source| {
        let dropped = source.dropped.values().sum();
        let or_empty = |number: u64| if number == 0 { String::new() } else { thousands(number) };
        vec![
            escape(&source.name),
            thousands(source.read),
            thousands(dropped),
            or_empty(source.documents),
            or_empty(source.summaries),
        ]
    });
    table_of("Sources", &["source", "rows read", "dropped", "raw documents", "summaries"], 1..5, rows)
}

fn made_with(manifest: &Manifest) -> String {
    let (settings, tokenizer) = (&manifest.settings, &manifest.tokenizer);
    let mut lines = vec![
        format!("- tokenizer: {} (rules: {})", escape(&tokenizer.name), escape(&tokenizer.rules)),
        format!("- seed: {}", settings.seed),
        format!("- pairs of each sampled summary: at most {}", settings.qa_per_doc),
        format!("- columns: {}", escape(&settings.columns)),
    ];
    if let Some(length) = settings.max_seq_len {
        lines.push(format!("- sequence length: {}", thousands(u64::from(length))));
    }
    if let Some(recipe) = &settings.recipe {
        // One line, so that nothing in it can end the block.
        lines.push(format!("- recipe:\n\n  ```json\n  {}\n  ```", line(&recipe.to_string())));
    }
    format!("## Made with\n\n{}\n\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    fn file(cut: u32, kind: OutputKind, format: Format, name: &str) -> OutputFile {
        OutputFile {
            name: format!("combined_cut_{cut}x{name}"),
            kind,
            mix: MixKind::Chat,
            cut: Some(cut),
            format: Some(format.name().to_owned()),
            rows: Some(1234),
            tokens: Some(567_890),
            loss_tokens: None,
            bytes: 1,
            digest: String::new(),
        }
    }

    #[test]
    fn the_selected_mix_is_the_default() {
        let (mut manifest, _) = synthetic::small();
        manifest.outputs = vec![
            file(2, OutputKind::Mix, Format::Messages, ".jsonl"),
            file(5, OutputKind::Mix, Format::Messages, ".jsonl"),
            file(5, OutputKind::Validation, Format::Messages, ".validation.jsonl"),
            file(5, OutputKind::Mix, Format::Tokens, ".tokens.jsonl"),
            file(5, OutputKind::Mix, Format::MessagesParquet, ".parquet"),
        ];
        insta::assert_snapshot!(card(&manifest, 5, Format::Messages));
        let of_parquet = card(&manifest, 5, Format::MessagesParquet);
        assert!(of_parquet.contains("default: true") && of_parquet.contains("path: combined_cut_5x.parquet"));
        assert!(!of_parquet.contains(".jsonl"));
    }

    #[test]
    fn a_mix_of_a_recipe() {
        let (mut manifest, _) = synthetic::with_recipe();
        manifest.tokenizer.name = synthetic::HOSTILE.to_owned();
        let cut = manifest.cuts.iter().filter(|cut| cut.written).map(|cut| cut.cut).max().unwrap();
        insta::assert_snapshot!(card(&manifest, cut, Format::Messages));
    }
}
