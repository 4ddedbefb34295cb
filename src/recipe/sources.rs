//! The sources of a recipe: the four known ones, changed or not, and further ones.

use super::number;
use super::{Decimal, Kind, Recipe, RepeatUnit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The sources that are there without a recipe, in their order.
pub(crate) const KNOWN_SOURCES: [(&str, Kind); 4] = [
    ("extractive_summary", Kind::SummaryQa),
    ("detailed_summary", Kind::SummaryQa),
    ("key_facts_to_qa", Kind::FactQa),
    ("document_based_qa", Kind::DocumentQa),
];

/// What a recipe says of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceRecipe {
    /// `false` leaves the source out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enabled: Option<bool>,
    /// What its rows are. Needed for a source that is not one of the four known ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    /// Folders, files or URLs that hold its rows; without it, the folder of its name in every input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paths: Option<Vec<String>>,
    /// How often its samples go into a mix: `2.5` is two whole copies and a half, `0.3` is 30%, `0` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeat: Option<Decimal>,
    /// What the part of `repeat` is counted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<RepeatUnit>,
    /// Which part of the mix's tokens it fills: `0.1` is a tenth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<Decimal>,
    /// Up to how many times a share or a budget may repeat it; without it, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_repeat: Option<Decimal>,
    /// Its weight when the budget is shared out; 1 where another source has a weight, else in proportion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<Decimal>,
    /// At most so many question-answer pairs of each of its summaries.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number::one_positive")]
    #[schemars(with = "Option<std::num::NonZeroU32>")]
    pub(crate) qa_per_doc: Option<u32>,
    /// Whether the summary (or document) stands in the user's message between outline and question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) with_document: Option<bool>,
    /// For chats without an `unmask` of their own: whether the trainer learns from all messages (`true`) or from the
    /// assistant's alone (`false`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unmask: Option<bool>,
}

/// The sources of a recipe by name, in the order in which they stand there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources(pub Vec<(String, SourceRecipe)>);

impl Sources {
    /// Whether the recipe says nothing of any source.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the recipe says of a source.
    pub(crate) fn get(&self, name: &str) -> Option<&SourceRecipe> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, source)| source)
    }
}

impl Serialize for Sources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, source)| (name, source)))
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourcesVisitor;
        impl<'de> Visitor<'de> for SourcesVisitor {
            type Value = Sources;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("sources by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sources, A::Error> {
                let mut sources: Vec<(String, SourceRecipe)> = Vec::new();
                while let Some((name, source)) = map.next_entry::<String, Option<SourceRecipe>>()? {
                    if sources.iter().any(|(known, _)| *known == name) {
                        return Err(de::Error::custom(format!("source `{name}` stands here twice")));
                    }
                    sources.push((name, source.unwrap_or_default()));
                }
                Ok(Sources(sources))
            }
        }
        deserializer.deserialize_map(SourcesVisitor)
    }
}

impl JsonSchema for Sources {
    fn schema_name() -> Cow<'static, str> {
        "Sources".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<Option<SourceRecipe>>();
        let known: serde_json::Map<String, serde_json::Value> =
            KNOWN_SOURCES.iter().map(|(name, _)| ((*name).to_owned(), source.clone().to_value())).collect();
        json_schema!({"type": "object", "properties": known, "additionalProperties": source})
    }
}

/// A source as the rest of the program sees it: what a recipe says, and the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name.
    pub(crate) name: String,
    /// What its rows are.
    pub(crate) kind: Kind,
    /// Folders, files or URLs that hold its rows; `None`: the folder of its name in every input.
    pub(crate) paths: Option<Vec<String>>,
    /// How often its samples go into a mix, where it has no share.
    pub(crate) repeat: Decimal,
    /// What the part of `repeat` is counted in.
    pub(crate) unit: RepeatUnit,
    /// Which part of the mix it fills.
    pub(crate) share: Option<Decimal>,
    /// Up to how many times a share or a budget may repeat it.
    pub(crate) max_repeat: Option<Decimal>,
    /// Its weight when the budget is shared out.
    pub(crate) weight: Option<Decimal>,
    /// At most so many pairs of each summary; `None`: the setting of the run in a summary source, else all.
    pub(crate) qa_per_doc: Option<u32>,
    /// Whether the summary (or document) stands in the user's message.
    pub(crate) with_document: bool,
    /// For chats without an `unmask` of their own.
    pub(crate) unmask: bool,
}

impl Source {
    fn new(name: &str, kind: Kind, recipe: &SourceRecipe) -> Self {
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
            // Chats come from instruction tuning, where the user's words are no target.
            unmask: recipe.unmask.unwrap_or(kind != Kind::Messages),
        }
    }

    pub(super) fn for_manifest(&self) -> serde_json::Value {
        let mut value = serde_json::json!({"name": self.name, "kind": self.kind});
        match self.share {
            Some(share) => value["share"] = serde_json::json!(share),
            None => value["repeat"] = serde_json::json!(self.repeat),
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
        match self.kind {
            Kind::Messages => value["unmask"] = serde_json::json!(self.unmask),
            _ => value["with_document"] = serde_json::json!(self.with_document),
        }
        value
    }
}

impl Recipe {
    /// The sources that are on: the known ones in their order, then the further ones in the recipe's.
    pub(crate) fn all_sources(&self) -> Vec<Source> {
        let off = SourceRecipe::default();
        let known = KNOWN_SOURCES.iter().map(|&(name, kind)| (name, kind, self.sources.get(name).unwrap_or(&off)));
        let further = self.sources.0.iter().filter(|(name, _)| !is_known(name));
        // `check` has seen to it that every further source has a kind.
        let further = further.filter_map(|(name, source)| Some((name.as_str(), source.kind?, source)));
        known
            .chain(further)
            .filter(|(.., source)| source.enabled != Some(false))
            .map(|(name, kind, source)| Source::new(name, kind, source))
            .collect()
    }
}

/// Whether a source is one of the four known ones.
pub(super) fn is_known(name: &str) -> bool {
    known_kind(name).is_some()
}

/// The kind of a known source.
pub(super) fn known_kind(name: &str) -> Option<Kind> {
    KNOWN_SOURCES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}
