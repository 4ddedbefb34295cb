//! The recipe's own keys.

use super::choices::{Kind, OnDuplicate, OnLong, OnShortfall};
use super::decimal::Decimal;
use super::flag::{Flag, Flags};
use super::number::{Positive, Quantity};
use super::settings::RecipeSetting;
use super::sources::{KNOWN_DOCUMENTS, KNOWN_SOURCES, Source, SourceRecipe, Sources};
use crate::manifest::Measure;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

/// A recipe for knowledge-mixing: how much of each source a mix holds.
///
/// Every key is optional. A key that is also a flag is overridden by the flag and overrides the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(title = "knowledge-mixing recipe", default, deny_unknown_fields)]
pub(crate) struct Recipe {
    /// Settings that are also flags, in the order of the recipe: see the `settings` module.
    #[schemars(skip)]
    pub(crate) settings: Vec<RecipeSetting>,
    /// The sources by name: changes to the known sources, and any number of additional ones.
    #[schemars(with = "Option<Sources>")]
    pub(crate) sources: Sources,
    /// Samples that are filtered out before anything else is decided.
    #[schemars(with = "Option<Filter>")]
    pub(crate) filter: Filter,
    /// The size of a mix; without it, the sources determine the size.
    pub(crate) budget: Option<Budget>,
    /// What shares are measured in; by default what the budget is measured in, or tokens.
    pub(crate) measure: Option<Measure>,
    /// What happens if the data cannot fill a share or a budget.
    #[schemars(with = "Option<OnShortfall>")]
    pub(crate) on_shortfall: OnShortfall,
    /// Documents that are held out for validation.
    pub(crate) split: Option<Split>,
}

/// Samples that are filtered out before anything else is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, deny_unknown_fields)]
pub(crate) struct Filter {
    /// The longest conversation that the trainer accepts, in tokens; documents are divided into blocks, whatever their length.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Positive>")]
    pub(crate) max_tokens: Option<u32>,
    /// What happens to samples with more tokens than `max_tokens`.
    #[schemars(with = "Option<OnLong>")]
    pub(crate) long_samples: OnLong,
    /// The shortest accepted response, in characters (in a chat: all assistant messages together).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Positive>")]
    pub(crate) min_response_chars: Option<u32>,
    /// What happens to samples with exactly the same messages, and to documents with the same text.
    #[schemars(with = "Option<OnDuplicate>")]
    pub(crate) duplicates: OnDuplicate,
    /// Signs of a broken question or answer; samples with one of them are dropped.
    #[serde(skip_serializing_if = "Flags::is_empty")]
    #[schemars(with = "Option<Vec<Flag>>")]
    pub(crate) drop_flagged: Flags,
}

/// The size of a mix, in tokens, in samples, or in tokens that count for the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, deny_unknown_fields)]
pub(crate) struct Budget {
    /// At most this number of tokens, such as `100M`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<Quantity>,
    /// This number of samples, such as `20k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<Quantity>,
    /// At most this number of tokens that count for the trainer's loss, such as `50M`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) loss_tokens: Option<Quantity>,
}

impl Budget {
    /// What is given of it; a checked budget has exactly one amount.
    pub(crate) fn amounts(self) -> impl Iterator<Item = (Measure, Quantity)> {
        let given =
            [(Measure::Tokens, self.tokens), (Measure::Samples, self.samples), (Measure::LossTokens, self.loss_tokens)];
        given.into_iter().filter_map(|(measure, quantity)| Some((measure, quantity?)))
    }
}

/// Documents that are held out for validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Split {
    /// The fraction of documents to hold out: `0.02` is 2%, and at least one document if there are two.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub(crate) validation: Decimal,
}

/// The keys of a recipe that are not settings.
pub(super) const OWN_KEYS: [&str; 6] = ["sources", "filter", "budget", "measure", "on_shortfall", "split"];

impl Recipe {
    /// The JSON schema of a recipe, with the properties of its settings first.
    pub(crate) fn schema(settings: serde_json::Map<String, serde_json::Value>) -> Schema {
        let mut schema = schemars::schema_for!(Self);
        if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            let own = std::mem::replace(properties, settings);
            properties.extend(own);
        }
        // An empty recipe is one, too.
        schema.insert("type".to_owned(), serde_json::json!(["object", "null"]));
        schema
    }

    /// A commented recipe with every key of the recipe's own.
    pub(crate) fn example() -> &'static str {
        include_str!("../../examples/recipes/everything.yaml")
    }

    /// The sources that are enabled: those of conversations, then those of documents, so that documents change nothing about the
    /// order of the others. Of each, the known ones in their order come before the additional ones in the recipe's order.
    pub(crate) fn all_sources(&self) -> Vec<Source> {
        let unchanged = SourceRecipe::default();
        let known = KNOWN_SOURCES.into_iter();
        let known = known.chain(KNOWN_DOCUMENTS.iter().map(|documents| (documents.name, Kind::Document)));
        let known = known.map(|(name, kind)| (name, kind, self.sources.get(name).unwrap_or(&unchanged)));
        let additional = self.sources.0.iter().filter(|(name, _)| super::sources::known_kind(name).is_none());
        // `check` ensures that every additional source has a kind.
        let additional = additional.filter_map(|(name, source)| Some((name.as_str(), source.kind?, source)));
        let mut sources: Vec<Source> = known
            .chain(additional)
            .filter(|(.., source)| source.enabled != Some(false))
            .map(|(name, kind, source)| Source::new(name, kind, source))
            .collect();
        sources.sort_by_key(|source| source.kind.is_document());
        sources
    }

    /// The recipe in the manifest: its own keys, with all sources and defaults filled in. Settings are left out (the
    /// manifest has them), and so are paths: the same mix has the same manifest wherever its input is.
    pub(crate) fn for_manifest(&self) -> serde_json::Value {
        let source = |source: &Source| {
            let mut value = source.for_manifest();
            // Only if the recipe says so: otherwise the run's setting, which the manifest has as well, or the default applies.
            if let Some(unmask) = self.sources.get(&source.name).and_then(|source| source.unmask) {
                value["unmask"] = serde_json::json!(unmask);
            }
            value
        };
        // A known source of documents is in a run only if the input has it: the recipe of most runs says nothing about it.
        let is_shown = |source: &&Source| !source.is_known_documents() || self.sources.get(&source.name).is_some();
        let sources: Vec<serde_json::Value> = self.all_sources().iter().filter(is_shown).map(source).collect();
        serde_json::json!({
            "sources": sources,
            "filter": self.filter,
            "budget": self.budget,
            "measure": self.measure,
            "on_shortfall": self.on_shortfall,
            "split": self.split,
        })
    }
}
