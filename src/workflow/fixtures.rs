//! Settings and a manifest for the tests of this module.

use crate::manifest::{
    CutRecord, Manifest, MixKind, MixState, OutputFile, OutputKind, Program, SettingsRecord, TokenizerRecord,
};
use crate::settings::{Environment, SettingValues, Settings};

/// The settings of a run with these values.
pub(super) fn settings(values: &[(&str, &str)]) -> Settings {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
    Settings::resolve(&SettingValues::of_flags(values), None, &Environment::default()).unwrap()
}

/// A manifest with the cuts 2 and 5, and with cut 9, which was requested but is not feasible.
pub(super) fn manifest() -> Manifest {
    let cut = |cut, feasible, samples| CutRecord {
        cut,
        mix: MixKind::Chat,
        feasible,
        written: feasible,
        samples,
        tokens: samples * 100,
        validation_samples: None,
        validation_tokens: None,
        sources: Vec::new(),
        preflight: None,
    };
    let file = |cut: u32, rows: u64| OutputFile {
        name: format!("combined_cut_{cut}x.jsonl"),
        kind: OutputKind::Mix,
        mix: MixKind::Chat,
        format: Some("messages".to_owned()),
        loss_tokens: None,
        cut: Some(cut),
        rows: Some(rows),
        tokens: Some(rows * 100),
        bytes: 3,
        digest: format!("d{cut}"),
    };
    Manifest {
        format: 1,
        state: MixState::Complete,
        run: "0123456789abcdef".into(),
        left_over: Vec::new(),
        program: Program { name: "knowledge-mixing".into(), version: "0.0.0".into() },
        settings: SettingsRecord {
            cut_sizes: vec![2, 5, 9],
            qa_per_doc: 3,
            save_gpt_oss_format: false,
            seed: 42,
            reasoning: "auto".into(),
            thinking: "auto".to_owned(),
            unmask: None,
            columns: "full".into(),
            compression: "none".into(),
            infeasible_cuts: "drop".into(),
            bad_rows: "fail".into(),
            order: "natural".into(),
            formats: vec!["messages".into()],
            attention_mask: false,
            max_seq_len: None,
            max_tokens_per_gpu: None,
            effective_batch_size: None,
            gpus: None,
            epochs: None,
            block_size: None,
            documents: None,
            raw_documents: None,
            recipe: None,
        },
        tokenizer: TokenizerRecord {
            name: "builtin".into(),
            digest: "t0".into(),
            rules: "auto".to_owned(),
            class: None,
            chat_template_digest: "c0".into(),
            chat_template_date: None,
        },
        inputs: Vec::new(),
        sources: Vec::new(),
        cuts: vec![cut(2, true, 32), cut(5, true, 80), cut(9, false, 0)],
        document_cuts: Vec::new(),
        outputs: vec![file(2, 32), file(5, 80)],
    }
}
