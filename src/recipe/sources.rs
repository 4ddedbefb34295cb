//! The sources of a recipe: the four known ones, and additional ones.

use super::choices::{Kind, RepeatUnit, WrittenReasoning};
use super::decimal::Decimal;
use super::number::Positive;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;
use std::borrow::Cow;

/// The known sources, which need no recipe, in the order of a mix.
pub(crate) const KNOWN_SOURCES: [(&str, Kind); 4] = [
    ("extractive_summary", Kind::SummaryQa),
    ("detailed_summary", Kind::SummaryQa),
    ("key_facts_to_qa", Kind::FactQa),
    ("document_based_qa", Kind::DocumentQa),
];

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
        let mut known = serde_json::Map::new();
        for (name, kind) in KNOWN_SOURCES {
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
    /// Folders, files or URLs with the rows; `None`: the folder of the same name in each input.
    pub(crate) paths: Option<Vec<String>>,
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
        Self {
            name: name.to_owned(),
            kind,
            paths: recipe.paths.clone(),
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

    /// A source of ready-made chats without a recipe.
    pub(crate) fn of_chats(name: &str) -> Self {
        Self::new(name, Kind::Messages, &SourceRecipe::default())
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

    /// The maximum number of pairs per summary, `None` for all of them: the source's own, or else the run's setting,
    /// which limits only sources of summaries.
    pub(crate) fn pairs_per_summary(&self, run: u32) -> Option<u32> {
        self.qa_per_doc.or((self.kind == Kind::SummaryQa).then_some(run))
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
        if self.kind != Kind::Messages {
            value["with_document"] = serde_json::json!(self.with_document);
        }
        value
    }
}

/// The kind of a known source.
pub(super) fn known_kind(name: &str) -> Option<Kind> {
    KNOWN_SOURCES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}
