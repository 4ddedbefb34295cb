//! What a recipe may not say, though each of its values could be read.

use super::sources::{SourceRecipe, known_kind};
use super::{Decimal, Kind, OnLong, Recipe, RepeatUnit};

/// What is wrong, the path of the key to blame, and what to do.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) path: Vec<String>,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Problem {
    fn new(path: &[&str], message: impl Into<String>, hint: impl Into<String>) -> Self {
        let path = path.iter().map(|&key| key.to_owned()).collect();
        Self { path, message: message.into(), hint: hint.into() }
    }
}

/// The largest `repeat` and `max_repeat`.
const MOST_REPEATS: Decimal = Decimal::from_millionths(1_000 * Decimal::ONE_IN_MILLIONTHS);
/// The largest `weight`.
const MOST_WEIGHT: Decimal = Decimal::from_millionths(1_000_000 * Decimal::ONE_IN_MILLIONTHS);

/// The first contradiction or value out of range.
pub(super) fn check(recipe: &Recipe) -> Result<(), Problem> {
    check_places(&["input"], recipe.input.as_deref())?;
    if recipe.filter.long_samples == OnLong::Keep && recipe.filter.max_tokens.is_none() {
        return Err(Problem::new(
            &["filter", "long_samples"],
            "long_samples says what becomes of samples above max_tokens, and there is no max_tokens",
            "add max_tokens, or leave long_samples out",
        ));
    }
    check_budget(recipe)?;
    if let Some(split) = recipe.split
        && !(Decimal::ZERO < split.validation && split.validation < Decimal::ONE)
    {
        let message = format!("validation: {} is not between 0 and 1", split.validation);
        return Err(Problem::new(&["split", "validation"], message, "0.02 keeps two documents in a hundred back"));
    }
    for (name, source) in &recipe.sources.0 {
        check_source(recipe, name, source)?;
    }
    check_sum(recipe)
}

fn check_places(path: &[&str], places: Option<&[String]>) -> Result<(), Problem> {
    match places {
        Some([]) => Err(Problem::new(path, "an empty list of places", "name at least one, or leave the key out")),
        Some(places) if places.iter().any(|place| place.trim().is_empty()) => {
            Err(Problem::new(path, "an empty place", "give a path or a URL"))
        }
        _ => Ok(()),
    }
}

fn check_budget(recipe: &Recipe) -> Result<(), Problem> {
    let Some(budget) = recipe.budget else { return Ok(()) };
    let hint = "give `tokens: 100M` or `samples: 20k`";
    let (key, quantity) = match (budget.tokens, budget.samples) {
        (Some(_), Some(_)) => {
            return Err(Problem::new(&["budget", "samples"], "a budget is in tokens or in samples, not in both", hint));
        }
        (None, None) => return Err(Problem::new(&["budget"], "a budget of nothing", hint)),
        (Some(tokens), None) => ("tokens", tokens),
        (None, Some(samples)) => ("samples", samples),
    };
    if quantity.get() == 0 {
        return Err(Problem::new(&["budget", key], format!("a budget of 0 {key}"), hint));
    }
    Ok(())
}

/// What a source says by itself.
fn check_source(recipe: &Recipe, name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    let problem = |key: &str, message: String, hint: &str| Err(Problem::new(&["sources", name, key], message, hint));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Err(Problem::new(
            &["sources", name],
            format!("`{name}` cannot be the name of a source"),
            "use letters, digits, _ and -, beginning with a letter or digit: it names a folder and metrics",
        ));
    }
    let kind = match (known_kind(name), source.kind) {
        (Some(known), Some(kind)) if known != kind => {
            let message = format!("the source `{name}` is of kind {}, not {}", known.name(), kind.name());
            return problem("kind", message, "leave the kind out, or give the source another name");
        }
        (Some(known), _) => known,
        (None, Some(kind)) => kind,
        (None, None) => {
            let known: Vec<&str> = super::KNOWN_SOURCES.iter().map(|(name, _)| *name).collect();
            return Err(Problem::new(
                &["sources", name],
                format!("`{name}` is no known source ({}), and has no kind", known.join(", ")),
                "mend the name, or add `kind: summary_qa`, `fact_qa`, `document_qa` or `messages`",
            ));
        }
    };
    check_places(&["sources", name, "paths"], source.paths.as_deref())?;
    if let Some(share) = source.share {
        if !(Decimal::ZERO < share && share <= Decimal::ONE) {
            let message = format!("share: {share} is not above 0 and at most 1");
            return problem("share", message, "0.1 is a tenth of the mix; `enabled: false` leaves the source out");
        }
        if source.repeat.is_some() {
            return problem(
                "repeat",
                "repeat and share contradict each other: a share decides how often a source is repeated".into(),
                "leave one of them out; max_repeat limits a share",
            );
        }
        if source.weight.is_some() {
            return problem(
                "weight",
                "weight and share contradict each other: a weight divides what the shares leave of a budget".into(),
                "leave one of them out",
            );
        }
    }
    for (key, value, most) in [
        ("repeat", source.repeat, MOST_REPEATS),
        ("max_repeat", source.max_repeat, MOST_REPEATS),
        ("weight", source.weight, MOST_WEIGHT),
    ] {
        let Some(value) = value else { continue };
        if value > most || (value == Decimal::ZERO && key != "repeat") {
            let message = format!("{key}: {value} is not above 0 and at most {most}");
            return problem(key, message, "");
        }
    }
    if source.max_repeat.is_some() {
        if source.repeat.is_some() {
            return problem(
                "max_repeat",
                "repeat and max_repeat contradict each other: repeat says how often, max_repeat up to how often".into(),
                "leave one of them out",
            );
        }
        if source.share.is_none() && recipe.budget.is_none() {
            return problem(
                "max_repeat",
                "max_repeat limits a share or a budget, and there is neither".into(),
                "use repeat, or add a share or a budget",
            );
        }
    }
    if source.weight.is_some() && recipe.budget.is_none() {
        let message = "a weight divides a budget, and there is none".into();
        return problem("weight", message, "add a budget, or use repeat");
    }
    if source.unit.is_some() && source.repeat.is_none() {
        let message = "unit says what the part of a repeat is counted in, and there is no repeat".into();
        return problem("unit", message, "add repeat, or leave unit out");
    }
    if kind == Kind::Messages {
        if source.unit == Some(RepeatUnit::Document) {
            return problem("unit", "chats have no documents to count in".into(), "leave unit out");
        }
        if source.qa_per_doc.is_some() {
            return problem("qa_per_doc", "chats have no summaries to count pairs of".into(), "leave qa_per_doc out");
        }
        if source.with_document.is_some() {
            return problem("with_document", "chats are taken as they are".into(), "leave with_document out");
        }
    } else if source.unmask.is_some() {
        let message = format!("unmask is for chats; rows of kind {} are always unmasked", kind.name());
        return problem("unmask", message, "leave unmask out");
    }
    Ok(())
}

/// What the sources say together.
fn check_sum(recipe: &Recipe) -> Result<(), Problem> {
    let sources = recipe.all_sources();
    if sources.is_empty() {
        return Err(Problem::new(&["sources"], "every source is switched off", "leave at least one on"));
    }
    let shares: Vec<(&str, Decimal)> =
        sources.iter().filter_map(|source| source.share.map(|share| (source.name.as_str(), share))).collect();
    let Some(&(last, _)) = shares.last() else { return Ok(()) };
    let sum = Decimal::from_millionths(shares.iter().map(|(_, share)| share.millionths()).sum());
    let others: Vec<&str> =
        sources.iter().filter(|source| source.share.is_none()).map(|source| source.name.as_str()).collect();
    let path = ["sources", last, "share"];
    let problem = |message: String, hint: &str| Err(Problem::new(&path, message, hint));
    if sum > Decimal::ONE {
        return problem(format!("the shares sum to {sum}: more than the whole mix"), "lower them");
    }
    if sum == Decimal::ONE && recipe.budget.is_none() {
        return problem(
            "the shares sum to 1: nothing says how large the mix is".into(),
            "add a budget, or leave a part to sources without a share",
        );
    }
    if sum == Decimal::ONE && !others.is_empty() {
        return problem(
            format!("the shares sum to 1: nothing is left for {}", others.join(", ")),
            "lower them, or switch the others off (enabled: false)",
        );
    }
    if sum < Decimal::ONE && others.is_empty() {
        return problem(
            format!("every source has a share, and they sum to {sum}: nothing fills the rest"),
            "let them sum to 1, with a budget, or leave one without a share",
        );
    }
    Ok(())
}
