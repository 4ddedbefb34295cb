//! What the manifest says of a run, before its files are written.

use super::prepare::Prepared;
use crate::artifacts::{BadRows, TextId};
use crate::dataset::manifest::{
    CutRecord, MANIFEST_FORMAT, Manifest, MixSettings, Program, ShareRecord, SourceRecord,
};
use crate::dataset::{Columns, Compression};
use crate::mixing::{NO_TEXT, Row};
use crate::recipe::InfeasibleCuts;
use crate::settings::Settings;
use std::collections::{BTreeMap, HashSet};

/// The manifest without its outputs.
pub fn manifest(settings: &Settings, prepared: &Prepared) -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        program: Program { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        settings: mix_settings(settings),
        tokenizer: prepared.tokenizer.clone(),
        inputs: prepared.artifacts.inputs.clone(),
        sources: sources(prepared),
        cuts: cuts(prepared),
        outputs: Vec::new(),
    }
}

fn mix_settings(settings: &Settings) -> MixSettings {
    MixSettings {
        cut_sizes: settings.cut_sizes.clone(),
        qa_per_doc: settings.qa_per_doc,
        save_gpt_oss_format: settings.save_gpt_oss_format,
        seed: settings.seed,
        reasoning: settings.reasoning.to_string(),
        columns: match settings.columns {
            Columns::Full => "full",
            Columns::Training => "training",
        }
        .to_owned(),
        compression: match settings.compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
        .to_owned(),
        infeasible_cuts: match settings.infeasible_cuts {
            InfeasibleCuts::Drop => "drop",
            InfeasibleCuts::Keep => "keep",
            InfeasibleCuts::Fail => "fail",
        }
        .to_owned(),
        bad_rows: match settings.bad_rows {
            BadRows::Fail => "fail",
            BadRows::Skip => "skip",
        }
        .to_owned(),
        order: if settings.shuffle { "shuffle" } else { "natural" }.to_owned(),
        recipe: settings.recipe.as_ref().and_then(|recipe| serde_json::to_value(recipe).ok()),
    }
}

fn sources(prepared: &Prepared) -> Vec<SourceRecord> {
    let mut records: Vec<SourceRecord> = prepared
        .statistics
        .sources
        .iter()
        .zip(&prepared.sources)
        .map(|(statistics, source)| SourceRecord {
            name: source.name.clone(),
            kind: source.kind.name().to_owned(),
            read: statistics.read,
            kept: statistics.kept,
            dropped: statistics.dropped.iter().cloned().collect::<BTreeMap<_, _>>(),
            documents: 0,
            summaries: 0,
        })
        .collect();
    let mut documents: HashSet<(u32, u32)> = HashSet::new();
    let mut summaries: HashSet<(u32, u32, u32)> = HashSet::new();
    for row in prepared.table.iter().filter(|row| row.is_kept()) {
        let Row { source, document, summary, .. } = *row;
        let record = &mut records[source as usize];
        record.documents += u64::from(document != NO_TEXT && documents.insert((source, document)));
        let has_summary = summary != NO_TEXT && summary != TextId::EMPTY.number();
        record.summaries += u64::from(has_summary && summaries.insert((source, document, summary)));
    }
    records
}

fn cuts(prepared: &Prepared) -> Vec<CutRecord> {
    let record = |cut: &crate::mixing::Cut| {
        let plan = prepared.plans.iter().find(|plan| plan.cut == cut.size);
        let sources: Vec<ShareRecord> = plan
            .map(|plan| plan.sources.iter().zip(&prepared.sources))
            .into_iter()
            .flatten()
            .map(|(of_source, source)| ShareRecord {
                name: source.name.clone(),
                samples: of_source.got.samples,
                tokens: of_source.got.tokens,
                distinct: of_source.distinct,
                asked: of_source.asked.clone(),
                shortfall_tokens: of_source.shortfall,
            })
            .collect();
        CutRecord {
            cut: cut.size,
            feasible: cut.feasible,
            written: cut.written,
            samples: sources.iter().map(|source| source.samples).sum(),
            tokens: sources.iter().map(|source| source.tokens).sum(),
            sources,
        }
    };
    prepared.cuts.asked.iter().map(record).collect()
}
