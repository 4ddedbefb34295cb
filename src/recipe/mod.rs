//! `recipe.yaml`: how much of each source, in a file that can be reviewed, versioned and repeated.
//!
//! [`Recipe::parse`] reads and checks it; what it gives holds no contradiction. Without a recipe the program behaves
//! as with [`Recipe::default`].

mod check;
mod choices;
mod decimal;
mod number;
mod positions;
mod sources;

pub(crate) use choices::{
    BadRows, Columns, Compression, InfeasibleCuts, Kind, OnDuplicate, OnLong, OnShortfall, Order, RepeatUnit,
};
pub(crate) use decimal::Decimal;
pub(crate) use number::Quantity;
pub(crate) use sources::{KNOWN_SOURCES, Source, SourceRecipe, Sources};

use crate::error::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A recipe for knowledge-mixing: how much of each source goes into a mix.
///
/// Every key is optional. A setting that is also a flag of the program is overridden by the flag, and overrides the
/// environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "knowledge-mixing recipe")]
pub(crate) struct Recipe {
    /// Folders or URLs that hold the source folders, in this order (flag --input).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Vec<String>>,
    /// The tokenizer that counts: a folder, a URL, a Hugging Face repository id, or `builtin` (flag --tokenizer-model).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokenizer_model: Option<String>,
    /// A chat template to use instead of the tokenizer's: a path or URL (flag --chat-template).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chat_template: Option<String>,
    /// How many summaries of each raw document a mix holds; one mix is written for each number (flag --cut-sizes).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number::some_positive")]
    #[schemars(with = "Option<Vec<std::num::NonZeroU32>>")]
    pub(crate) cut_sizes: Option<Vec<u32>>,
    /// At most so many question-answer pairs of each sampled summary (flag --qa-per-doc).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number::one_positive")]
    #[schemars(with = "Option<std::num::NonZeroU32>")]
    pub(crate) qa_per_doc: Option<u32>,
    /// The seed of every choice: 0 to 9007199254740991 (flag --seed).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number::seed")]
    pub(crate) seed: Option<u64>,
    /// Where the teacher's reasoning stands: `auto`, `none`, a column, or a path into one (flag --reasoning).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning: Option<String>,
    /// Drop the placeholder questions that gpt-oss teachers leave behind (flag --save-gpt-oss-format).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) save_gpt_oss_format: Option<bool>,
    /// Which columns are written (flag --columns).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) columns: Option<Columns>,
    /// How the mixes are compressed (flag --compression).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<Compression>,
    /// What becomes of cuts that the data cannot fill (flag --infeasible-cuts).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) infeasible_cuts: Option<InfeasibleCuts>,
    /// What becomes of rows that cannot be read (flag --bad-rows).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bad_rows: Option<BadRows>,
    /// The order of a mix's rows (`shuffle`: flag --shuffle).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order: Option<Order>,
    /// The sources, by name: changes to the four known ones, and any number of further ones.
    #[serde(skip_serializing_if = "Sources::is_empty", deserialize_with = "positions::or_default")]
    pub(crate) sources: Sources,
    /// Samples that are taken away before anything else is decided.
    #[serde(deserialize_with = "positions::or_default")]
    pub(crate) filter: Filter,
    /// How large a mix is to be; without it, as large as its sources make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<Budget>,
    /// What becomes of a share or a budget that the data cannot fill.
    #[serde(deserialize_with = "positions::or_default")]
    pub(crate) on_shortfall: OnShortfall,
    /// Documents that are kept back for validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<Split>,
}

/// Samples that are taken away before anything else is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filter {
    /// The longest sample that the trainer can take, in tokens.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number::one_positive")]
    #[schemars(with = "Option<std::num::NonZeroU32>")]
    pub(crate) max_tokens: Option<u32>,
    /// What becomes of samples with more than `max_tokens`.
    #[serde(deserialize_with = "positions::or_default")]
    pub(crate) long_samples: OnLong,
    /// The shortest response, in characters (for a chat: the assistant's messages together).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number::one_positive")]
    #[schemars(with = "Option<std::num::NonZeroU32>")]
    pub(crate) min_response_chars: Option<u32>,
    /// What becomes of samples whose messages another sample has, word for word.
    #[serde(deserialize_with = "positions::or_default")]
    pub(crate) duplicates: OnDuplicate,
}

/// How large a mix is to be: in tokens or in samples, one of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Budget {
    /// So many tokens at most: `100M`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<Quantity>,
    /// So many samples: `20k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<Quantity>,
}

/// Documents that are kept back for validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Split {
    /// Which part of the documents: `0.02` is two in a hundred, at least one where there are two.
    pub(crate) validation: Decimal,
}

impl Recipe {
    /// Reads a recipe (YAML, and so also JSON) and checks it. `place` is what an error names: a file, a URL, a flag.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] with line and column for what is no YAML, an unknown key, a value out of range, and for
    /// keys that contradict each other.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let recipe: Option<Self> = positions::from_yaml(text).map_err(|e| positions::syntax_error(&e, place))?;
        let recipe = recipe.unwrap_or_default();
        if let Err(problem) = check::check(&recipe) {
            let at = positions::of(text, &problem.path)
                .map_or(place.to_owned(), |(line, column)| format!("{place}:{line}:{column}"));
            let error = Error::new(ErrorKind::Usage, problem.message).at(at);
            return Err(if problem.hint.is_empty() { error } else { error.hint(problem.hint) });
        }
        Ok(recipe)
    }

    /// The JSON schema of a recipe, for editors.
    pub(crate) fn schema() -> String {
        let schema = schemars::schema_for!(Self);
        // A schema made by schemars is always JSON.
        serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
    }

    /// A recipe with every key, explained.
    pub(crate) fn example() -> &'static str {
        include_str!("../../examples/recipes/everything.yaml")
    }

    /// What the recipe says of the mixing, all sources and defaults filled in, for the manifest: without settings that
    /// are flags too (the manifest has those) and without paths (the same mix gives the same manifest anywhere).
    pub(crate) fn for_manifest(&self) -> serde_json::Value {
        let sources: Vec<serde_json::Value> = self.all_sources().iter().map(Source::for_manifest).collect();
        serde_json::json!({
            "sources": sources,
            "filter": self.filter,
            "budget": self.budget,
            "on_shortfall": self.on_shortfall,
            "split": self.split,
        })
    }
}

#[cfg(test)]
mod tests;
