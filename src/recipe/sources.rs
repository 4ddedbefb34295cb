//! The sources of a recipe: the known ones, and additional ones.

use super::choices::{Kind, RepeatUnit, WrittenReasoning};
use super::condition::Condition;
use super::decimal::Decimal;
use super::number::Positive;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;
use std::borrow::Cow;

/// The known sources of conversations, which need no recipe, in the order of a mix.
pub(crate) const KNOWN_SOURCES: [(&str, Kind); 4] = [
    ("extractive_summary", Kind::SummaryQa),
    ("detailed_summary", Kind::SummaryQa),
    ("key_facts_to_qa", Kind::FactQa),
    ("document_based_qa", Kind::DocumentQa),
];

/// A known source of documents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownDocuments {
    /// Its name.
    pub(crate) name: &'static str,
    /// The known source of pairs that the generator makes of the same documents.
    pub(crate) of: &'static str,
    /// Whether cuts select among its documents.
    pub(crate) by_cut: bool,
}

/// The known sources of documents, in the order of a document mix. An input without them lacks nothing.
pub(crate) const KNOWN_DOCUMENTS: [KnownDocuments; 4] = [
    KnownDocuments { name: "extractive_summary_cpt", of: "extractive_summary", by_cut: true },
    KnownDocuments { name: "detailed_summary_cpt", of: "detailed_summary", by_cut: true },
    KnownDocuments { name: "key_facts_cpt", of: "key_facts_to_qa", by_cut: false },
    KnownDocuments { name: "document_based_cpt", of: "document_based_qa", by_cut: false },
];

/// Whether a source of this name is a known source of documents.
pub(crate) fn is_known_documents(name: &str) -> bool {
    KNOWN_DOCUMENTS.iter().any(|known| known.name == name)
}

/// The ending of the names of sources whose documents are those of a source of pairs.
const DOCUMENTS_ENDING: &str = "_cpt";

/// The source of documents that belongs to a source of pairs.
pub(crate) fn document_source(of: &str) -> String {
    let known = KNOWN_DOCUMENTS.iter().find(|known| known.of == of);
    known.map_or_else(|| format!("{of}{DOCUMENTS_ENDING}"), |known| known.name.to_owned())
}

/// The keys of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(default, deny_unknown_fields)]
pub(crate) struct SourceRecipe {
    /// `false` disables the source.
    pub(crate) enabled: Option<bool>,
    /// What the rows are; required for an additional source.
    pub(crate) kind: Option<Kind>,
    /// Folders, files or URLs with the rows; without it, the folder of the same name in each input.
    #[schemars(extend("minItems" = 1, "items" = json!({"type": "string", "pattern": "\\S"})))]
    pub(crate) paths: Option<Vec<String>>,
    /// The folder in each input, if its name is not the source's; several sources can share one.
    #[schemars(extend("pattern" = r"^[^./_\\][^/\\]*$"))]
    pub(crate) folder: Option<String>,
    /// Which rows of its files belong to the source; without it, all.
    #[serde(rename = "where")]
    pub(crate) condition: Option<Condition>,
    /// The column with the text of a document; `document` by default.
    #[schemars(length(min = 1))]
    pub(crate) column: Option<String>,
    /// Whether cuts select among the documents of each raw document, instead of taking all.
    pub(crate) by_cut: Option<bool>,
    /// How often each sample is in a mix: `2.5` is two copies and a half, `0.3` is 30%, `0` is none.
    #[schemars(extend("maximum" = 1000))]
    pub(crate) repeat: Option<Decimal>,
    /// What the fractional part of `repeat` is counted in.
    pub(crate) unit: Option<RepeatUnit>,
    /// The fraction of the mix's tokens that the source fills: `0.1` is a tenth.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub(crate) share: Option<Decimal>,
    /// How often a share or a budget may repeat the source; once by default.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1000))]
    pub(crate) max_repeat: Option<Decimal>,
    /// The weight of the source when the budget is divided; 1 if another source has a weight, else proportional to its size.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1_000_000))]
    pub(crate) weight: Option<Decimal>,
    /// The maximum number of question-answer pairs per summary.
    #[schemars(with = "Option<Positive>")]
    pub(crate) qa_per_doc: Option<u32>,
    /// Whether the user message includes the summary (or document) between outline and question.
    pub(crate) with_document: Option<bool>,
    /// Whether the trainer learns from all messages but the system's (`true`) or only from the assistant's (`false`); a chat's
    /// own `unmask` key wins. By default `true` for question-answer pairs and `false` for chats.
    pub(crate) unmask: Option<bool>,
}

/// The sources of a recipe by name, in the recipe's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources(pub Vec<(String, SourceRecipe)>);

impl Sources {
    /// The keys of a source, if the recipe names it.
    pub(crate) fn get(&self, name: &str) -> Option<&SourceRecipe> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, source)| source)
    }
}

impl JsonSchema for Sources {
    fn schema_name() -> Cow<'static, str> {
        "Sources".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = |kind: serde_json::Value, generator: &mut SchemaGenerator| {
            let mut schema = generator.subschema_for::<SourceRecipe>();
            schema.insert("properties".to_owned(), json!({"kind": kind}));
            schema
        };
        let documents = KNOWN_DOCUMENTS.map(|known| (known.name, Kind::Document));
        let mut known = serde_json::Map::new();
        for (name, kind) in KNOWN_SOURCES.into_iter().chain(documents) {
            let schema = source(json!({"enum": [kind, null]}), generator);
            known.insert(name.to_owned(), json!({"anyOf": [schema, {"type": "null"}]}));
        }
        let mut additional = source(json!({"not": {"type": "null"}}), generator);
        additional.insert("required".to_owned(), json!(["kind"]));
        json_schema!({
            "type": "object",
            "properties": known,
            "additionalProperties": additional,
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$"}
        })
    }
}

/// A source of a run: the keys of the recipe, with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The name: that of its folder and of `metadata.source`.
    pub(crate) name: String,
    /// What the rows are.
    pub(crate) kind: Kind,
    /// Folders, files or URLs with the rows; `None`: its folder in each input.
    pub(crate) paths: Option<Vec<String>>,
    /// The name of its folder in each input, if it is not its own.
    pub(crate) folder: Option<String>,
    /// Which rows of its files belong to it.
    pub(crate) condition: Option<Condition>,
    /// The column with the text of a document, if it is given.
    pub(crate) column: Option<String>,
    /// Whether cuts select among its samples.
    pub(crate) by_cut: bool,
    /// Whether it holds each distinct document of a raw document once, as cuts need it. Otherwise every row is a sample.
    pub(crate) is_distinct: bool,
    /// How often each sample is in a mix, if the source has no share.
    pub(crate) repeat: Decimal,
    /// What the fractional part of `repeat` is counted in.
    pub(crate) unit: RepeatUnit,
    /// The fraction of the mix that the source fills.
    pub(crate) share: Option<Decimal>,
    /// How often a share or a budget may repeat the source; `None`: once.
    pub(crate) max_repeat: Option<Decimal>,
    /// The weight of the source when a budget is divided.
    pub(crate) weight: Option<Decimal>,
    /// The recipe's maximum number of pairs per summary: see [`Source::pairs_per_summary`].
    pub(crate) qa_per_doc: Option<u32>,
    /// Whether the user message includes the summary (or document).
    pub(crate) with_document: bool,
    /// `unmask` of its rows; a chat's own key wins.
    pub(crate) unmask: bool,
    /// How the reasoning of its samples is written.
    pub(crate) reasoning: WrittenReasoning,
}

/// How much of a source a mix holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// A multiple of what is available.
    Repeat {
        /// `2.5`: two copies and a half.
        times: Decimal,
        /// What the fractional part is counted in.
        unit: RepeatUnit,
    },
    /// A fraction of the mix.
    Share(Decimal),
}

impl Source {
    pub(super) fn new(name: &str, kind: Kind, recipe: &SourceRecipe) -> Self {
        let known = KNOWN_DOCUMENTS.iter().find(|known| known.name == name);
        let by_cut = recipe.by_cut.unwrap_or(kind == Kind::SummaryQa || known.is_some_and(|known| known.by_cut));
        Self {
            name: name.to_owned(),
            kind,
            paths: recipe.paths.clone(),
            folder: recipe.folder.clone(),
            condition: recipe.condition.clone(),
            column: recipe.column.clone(),
            by_cut,
            is_distinct: kind.is_document() && (by_cut || known.is_some()),
            repeat: recipe.repeat.unwrap_or(Decimal::ONE),
            unit: recipe.unit.unwrap_or_default(),
            share: recipe.share,
            max_repeat: recipe.max_repeat,
            weight: recipe.weight,
            qa_per_doc: recipe.qa_per_doc,
            with_document: recipe.with_document.unwrap_or(matches!(kind, Kind::SummaryQa | Kind::DocumentQa)),
            // Chats come from instruction tuning, which does not train on the user's messages.
            unmask: recipe.unmask.unwrap_or(kind != Kind::Messages),
            reasoning: WrittenReasoning::default(),
        }
    }

    /// A source of documents that are made of the rows of other sources.
    pub(crate) fn of_made_documents(name: &str, by_cut: bool) -> Self {
        Self { by_cut, is_distinct: true, ..Self::new(name, Kind::Document, &SourceRecipe::default()) }
    }

    /// Whether it needs no recipe.
    pub(crate) fn is_known(&self) -> bool {
        known_kind(&self.name).is_some()
    }

    /// Whether it is a known source of documents, which an input may lack.
    pub(crate) fn is_known_documents(&self) -> bool {
        is_known_documents(&self.name)
    }

    /// The name in the hashes that rank its samples. Documents have that of the pairs that are made of them, so that the same cut
    /// holds the same summaries.
    pub(crate) fn rank_name(&self) -> &str {
        match self.name.strip_suffix(DOCUMENTS_ENDING) {
            Some(name) if self.kind.is_document() && self.by_cut => name,
            _ => &self.name,
        }
    }

    /// The name of its folder in each input.
    pub(crate) fn folder_name(&self) -> &str {
        self.folder.as_deref().unwrap_or(&self.name)
    }

    /// A source of ready-made chats without a recipe.
    pub(crate) fn of_chats(name: &str) -> Self {
        Self::new(name, Kind::Messages, &SourceRecipe::default())
    }

    /// Whether the recipe says how much of it a mix holds.
    pub(crate) fn has_rule(&self) -> bool {
        self.repeat != Decimal::ONE || self.share.is_some() || self.weight.is_some()
    }

    /// How much of the source a mix holds.
    pub(crate) fn amount(&self) -> Amount {
        match self.share {
            Some(share) => Amount::Share(share),
            None => Amount::Repeat { times: self.repeat, unit: self.unit },
        }
    }

    /// Whether nothing of the source is requested.
    pub(crate) fn is_off(&self) -> bool {
        matches!(self.amount(), Amount::Repeat { times: Decimal::ZERO, .. } | Amount::Share(Decimal::ZERO))
    }

    /// The maximum number of samples per summary, `None` for all of them: the source's own, or else the run's setting,
    /// which limits only sources of pairs about summaries. Of equal documents there is one.
    pub(crate) fn pairs_per_summary(&self, run: u32) -> Option<u32> {
        match self.kind {
            Kind::Document => self.is_distinct.then_some(1),
            _ => self.qa_per_doc.or((self.kind == Kind::SummaryQa).then_some(run)),
        }
    }

    pub(super) fn for_manifest(&self) -> serde_json::Value {
        let mut value = serde_json::json!({"name": self.name, "kind": self.kind});
        match self.amount() {
            Amount::Share(share) => value["share"] = serde_json::json!(share),
            Amount::Repeat { times, .. } => value["repeat"] = serde_json::json!(times),
        }
        if self.unit == RepeatUnit::Document {
            value["unit"] = serde_json::json!(self.unit);
        }
        for (key, number) in [("max_repeat", self.max_repeat), ("weight", self.weight)] {
            if let Some(number) = number {
                value[key] = serde_json::json!(number);
            }
        }
        if let Some(pairs) = self.qa_per_doc {
            value["qa_per_doc"] = serde_json::json!(pairs);
        }
        if self.kind.is_qa() {
            value["with_document"] = serde_json::json!(self.with_document);
        }
        if self.kind.is_document() {
            value["by_cut"] = serde_json::json!(self.by_cut);
        }
        for (key, text) in [("folder", &self.folder), ("column", &self.column)] {
            if let Some(text) = text {
                value[key] = serde_json::json!(text);
            }
        }
        if let Some(condition) = &self.condition {
            value["where"] = serde_json::json!(condition);
        }
        value
    }
}

/// The kind of a known source.
pub(super) fn known_kind(name: &str) -> Option<Kind> {
    let documents = KNOWN_DOCUMENTS.iter().map(|known| (known.name, Kind::Document));
    KNOWN_SOURCES.into_iter().chain(documents).find(|(known, _)| *known == name).map(|(_, kind)| kind)
}
