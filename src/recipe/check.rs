//! Checks of a recipe whose values have the right types: their ranges, and what the keys say together.

use super::choices::{Kind, OnLong, RepeatUnit};
use super::condition::{Condition, Conditions};
use super::decimal::Decimal;
use super::model::Recipe;
use super::nearest::nearest;
use super::sources::{KNOWN_DOCUMENTS, KNOWN_SOURCES, Source, SourceRecipe, known_kind};
use super::yaml::Node;

/// What is wrong, the path of the key at fault, and what to do.
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
const MAX_REPEAT: Decimal = Decimal::from_millionths(1_000 * Decimal::ONE_IN_MILLIONTHS);
/// The largest `weight`.
const MAX_WEIGHT: Decimal = Decimal::from_millionths(1_000_000 * Decimal::ONE_IN_MILLIONTHS);

/// Values that are out of range, whatever the other keys say.
pub(super) fn values(recipe: &Recipe, root: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (measure, _) in recipe.budget.iter().flat_map(|budget| budget.amounts()).filter(|(_, amount)| amount.get() == 0)
    {
        let message = "invalid value `0`: expected a number above 0";
        problems.push(Problem::new(&["budget", measure.name()], message, BUDGET_HINT));
    }
    if let Some(split) = recipe.split
        && !(Decimal::ZERO < split.validation && split.validation < Decimal::ONE)
    {
        let message = format!("invalid value `{}`: expected a number between 0 and 1", split.validation);
        let hint = "write `validation: 0.02` to hold out 2% of the documents";
        problems.push(Problem::new(&["split", "validation"], message, hint));
    }
    for (name, source) in &recipe.sources.0 {
        let kind = root.find(&["sources", name, "kind"].map(str::to_owned)).filter(|entry| entry.key == "kind");
        let has_kind = kind.is_some_and(|entry| !entry.value.is_null());
        let checks = [
            check_name(name),
            // A kind that is not valid is a mistake of its own.
            if has_kind && source.kind.is_none() { Ok(()) } else { check_kind(name, source).map(drop) },
            check_paths(&["sources", name, "paths"], source.paths.as_deref()),
            check_folder(name, source),
            check_conditions(name, source),
            check_share(name, source),
        ];
        problems.extend(checks.into_iter().filter_map(Result::err));
        problems.extend(check_ranges(name, source));
    }
    problems
}

/// Keys that exclude each other or lack each other, in a recipe whose values are all valid.
pub(super) fn contradictions(recipe: &Recipe) -> Vec<Problem> {
    let mut checks = vec![check_budget(recipe)];
    if recipe.filter.long_samples == OnLong::Keep && recipe.filter.max_tokens.is_none() {
        let hint = "add max_tokens, or remove long_samples";
        checks.push(Err(Problem::new(&["filter", "long_samples"], "long_samples needs max_tokens", hint)));
    }
    for (name, source) in &recipe.sources.0 {
        checks.extend([check_exclusive(name, source), check_repeats(recipe, name, source)]);
        checks.extend([check_places(name, source), check_kind_keys(name, source)]);
    }
    let problems: Vec<_> = checks.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { check_sum(recipe).err().into_iter().collect() } else { problems }
}

const BUDGET_HINT: &str = "write `tokens: 100M`, `samples: 20k` or `loss_tokens: 50M`";

fn check_paths(path: &[&str], paths: Option<&[String]>) -> Result<(), Problem> {
    const HINT: &str = "name at least one path or URL, or remove the key";
    match paths {
        Some([]) => Err(Problem::new(path, "empty list of paths", HINT)),
        Some(paths) if paths.iter().any(|path| path.trim().is_empty()) => Err(Problem::new(path, "empty path", HINT)),
        _ => Ok(()),
    }
}

fn check_budget(recipe: &Recipe) -> Result<(), Problem> {
    let Some(budget) = recipe.budget else { return Ok(()) };
    let amounts: Vec<_> = budget.amounts().map(|(measure, _)| measure).collect();
    let measure = match amounts[..] {
        [] => return Err(Problem::new(&["budget"], "the budget is empty", BUDGET_HINT)),
        [measure] => measure,
        [first, second, ..] => {
            let message = format!("a budget has one amount, not both {} and {}", first.name(), second.name());
            return Err(Problem::new(&["budget", second.name()], message, BUDGET_HINT));
        }
    };
    let key = measure.name();
    if let Some(other) = recipe.measure.filter(|other| *other != measure) {
        let message = format!("shares cannot be measured in {} if the budget is measured in {key}", other.name());
        return Err(Problem::new(&["measure"], message, "remove the key: the budget decides"));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(Problem::new(
        &["sources", name],
        format!("`{name}` is not a valid source name"),
        "use letters, digits, _ and -, starting with a letter or digit: the name is also that of a folder and of metrics",
    ))
}

/// The problem of a source's key.
fn problem<T>(name: &str, key: &str, message: impl Into<String>, hint: &str) -> Result<T, Problem> {
    Err(Problem::new(&["sources", name, key], message, hint))
}

/// A source's kind: that of the known source, or else the key's.
fn check_kind(name: &str, source: &SourceRecipe) -> Result<Kind, Problem> {
    match (known_kind(name), source.kind) {
        (Some(known), Some(kind)) if known != kind => {
            let message = format!("source `{name}` is of kind {}, not {}", known.name(), kind.name());
            problem(name, "kind", message, "remove the kind, or rename the source")
        }
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        (None, None) => {
            let known = KNOWN_SOURCES.map(|(name, _)| name);
            let names: Vec<&str> = known.into_iter().chain(KNOWN_DOCUMENTS.map(|known| known.name)).collect();
            let first = match nearest(name, names.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`? if not,"),
                None => "correct the name, or".to_owned(),
            };
            Err(Problem::new(
                &["sources", name],
                format!("`{name}` is not a known source ({}) and has no kind", names.join(", ")),
                format!("{first} add `kind: summary_qa`, `fact_qa`, `document_qa`, `messages` or `document`"),
            ))
        }
    }
}

fn check_folder(name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    let is_name = |folder: &str| !folder.is_empty() && !folder.contains(['/', '\\']) && !folder.starts_with(['.', '_']);
    match source.folder.as_deref().filter(|folder| !is_name(folder)) {
        Some(folder) => {
            let message = format!("invalid value `{folder}`: expected the name of a folder in the input");
            problem(name, "folder", message, "use paths for a folder that is elsewhere")
        }
        None => Ok(()),
    }
}

/// Checks the values of the conditions.
fn check_conditions(name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    let Some(Conditions(conditions)) = &source.conditions else { return Ok(()) };
    if conditions.is_empty() {
        return problem(name, "where", "empty list of conditions", CONDITION_HINT);
    }
    conditions.iter().enumerate().try_for_each(|(number, condition)| {
        let problem = |key: &str, message: &str, hint: &str| Err(condition_problem(name, number, key, message, hint));
        if condition.column.is_empty() {
            return problem("column", "empty column", CONDITION_HINT);
        }
        if condition.one_of.as_ref().is_some_and(Vec::is_empty) {
            return problem("in", "empty list of values", "name at least one value");
        }
        Ok(())
    })
}

/// The problem of a key of a condition: of the only one, or of one in the list.
fn condition_problem(name: &str, number: usize, key: &str, message: impl Into<String>, hint: &str) -> Problem {
    Problem::new(&["sources", name, "where", &number.to_string(), key], message, hint)
}

const CONDITION_HINT: &str =
    "write `where: {column: dataset_type, equals: summary_detailed}`, or use in, at_least or at_most";

/// Checks that a source is in one place, and that its conditions say something that can be true.
fn check_places(name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    if source.folder.is_some() && source.paths.is_some() {
        let message = "folder and paths exclude each other: one is a folder in each input, the other is independent of the inputs";
        return problem(name, "folder", message, "remove one of them");
    }
    let Some(Conditions(conditions)) = &source.conditions else { return Ok(()) };
    conditions.iter().enumerate().try_for_each(|(number, condition)| check_sense(name, number, condition))
}

/// Checks that a condition says something that can be true.
fn check_sense(name: &str, number: usize, condition: &Condition) -> Result<(), Problem> {
    let Condition { equals, one_of, at_least, at_most, .. } = condition;
    let problem = |key: &str, message: String, hint: &str| Err(condition_problem(name, number, key, message, hint));
    if equals.is_some() && one_of.is_some() {
        return problem("in", "equals and in exclude each other".to_owned(), "list all values in `in`");
    }
    if let (Some(least), Some(most)) = (at_least, at_most)
        && least.is_above(*most)
    {
        let message = format!("no number is at least {least} and at most {most}");
        return problem("at_least", message, "exchange the two numbers");
    }
    if equals.is_none() && one_of.is_none() && at_least.is_none() && at_most.is_none() {
        return problem("column", "the condition is empty: every row would meet it".to_owned(), CONDITION_HINT);
    }
    Ok(())
}

fn check_share(name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    let Some(share) = source.share else { return Ok(()) };
    if !(Decimal::ZERO < share && share <= Decimal::ONE) {
        let message = format!("invalid value `{share}`: expected a share above 0 and at most 1");
        let hint = "write `share: 0.1` for a tenth of the mix, or `enabled: false` to disable the source";
        return problem(name, "share", message, hint);
    }
    Ok(())
}

/// Checks the keys that exclude a share.
fn check_exclusive(name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    if source.share.is_none() {
        return Ok(());
    }
    if source.repeat.is_some() {
        let message = "repeat and share exclude each other: the share determines how often a source is repeated";
        return problem(name, "repeat", message, "remove one of them; use max_repeat to limit a share");
    }
    if source.weight.is_some() {
        let message = "weight and share exclude each other: weights divide what the shares leave of a budget";
        return problem(name, "weight", message, "remove one of them");
    }
    Ok(())
}

fn check_ranges(name: &str, source: &SourceRecipe) -> Vec<Problem> {
    let ranges = [
        ("repeat", source.repeat, MAX_REPEAT),
        ("max_repeat", source.max_repeat, MAX_REPEAT),
        ("weight", source.weight, MAX_WEIGHT),
    ];
    let given = ranges.into_iter().filter_map(|(key, value, max)| Some((key, value?, max)));
    let wrong = given.filter(|(key, value, max)| value > max || (*value == Decimal::ZERO && *key != "repeat"));
    let problem = |(key, value, max)| {
        let min = if key == "repeat" { "of at least 0" } else { "above 0" };
        let message = format!("invalid value `{value}`: expected a number {min} and at most {max}");
        Problem::new(&["sources", name, key], message, "")
    };
    wrong.map(problem).collect()
}

/// Checks the keys that depend on a repeat, a share or a budget.
fn check_repeats(recipe: &Recipe, name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    if source.max_repeat.is_some() && source.repeat.is_some() {
        let message = "repeat and max_repeat exclude each other: one is exact, the other a limit";
        return problem(name, "max_repeat", message, "remove one of them");
    }
    if source.max_repeat.is_some() && source.share.is_none() && recipe.budget.is_none() {
        let message = "max_repeat needs a share or a budget to limit";
        return problem(name, "max_repeat", message, "use repeat instead, or add a share or a budget");
    }
    if source.weight.is_some() && recipe.budget.is_none() {
        return problem(name, "weight", "weight needs a budget to divide", "add a budget, or use repeat instead");
    }
    if source.unit.is_some() && source.repeat.is_none() {
        return problem(name, "unit", "unit needs a repeat", "add repeat, or remove unit");
    }
    Ok(())
}

/// Checks the keys that only some kinds have.
fn check_kind_keys(name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    let Some(kind) = known_kind(name).or(source.kind) else { return Ok(()) };
    if kind.is_document() {
        return check_document_keys(name, source);
    }
    if source.column.is_some() {
        let message = "only documents are in a column of any name";
        return problem(name, "column", message, "add `kind: document`, or remove column");
    }
    if source.by_cut.is_some() {
        let message = format!("the kind decides whether cuts select among samples of kind {}", kind.name());
        return problem(name, "by_cut", message, "remove by_cut");
    }
    if kind != Kind::Messages {
        return Ok(());
    }
    if source.unit == Some(RepeatUnit::Document) {
        return problem(name, "unit", "chats have no documents to count", "remove unit");
    }
    if source.qa_per_doc.is_some() {
        return problem(name, "qa_per_doc", "chats have no summaries with pairs", "remove qa_per_doc");
    }
    if source.with_document.is_some() {
        return problem(name, "with_document", "chats are used unchanged", "remove with_document");
    }
    Ok(())
}

/// Checks the keys of a source of documents.
fn check_document_keys(name: &str, source: &SourceRecipe) -> Result<(), Problem> {
    if source.column.as_ref().is_some_and(String::is_empty) {
        return problem(name, "column", "empty column", "name the column with the text, or remove the key");
    }
    for (key, is_given) in [
        ("qa_per_doc", source.qa_per_doc.is_some()),
        ("with_document", source.with_document.is_some()),
        ("unmask", source.unmask.is_some()),
    ] {
        if is_given {
            return problem(name, key, "documents have no questions and no messages", &format!("remove {key}"));
        }
    }
    Ok(())
}

/// Checks the sources together: at least one is enabled, and the shares of each mix add up.
fn check_sum(recipe: &Recipe) -> Result<(), Problem> {
    let sources = recipe.all_sources();
    if sources.is_empty() {
        return Err(Problem::new(&["sources"], "every source is disabled", "enable at least one"));
    }
    let (documents, chats): (Vec<Source>, Vec<Source>) =
        sources.into_iter().partition(|source| source.kind.is_document());
    check_shares(recipe, &chats, false)?;
    // A known source of documents that the recipe does not name may not be in the input.
    let named = documents.into_iter().filter(|source| recipe.sources.get(&source.name).is_some());
    check_shares(recipe, &named.collect::<Vec<_>>(), true)
}

/// Checks the shares of the sources of one mix; `has_more` says that it may have more sources than these.
fn check_shares(recipe: &Recipe, sources: &[Source], has_more: bool) -> Result<(), Problem> {
    let shares: Vec<(&str, Decimal)> =
        sources.iter().filter_map(|source| source.share.map(|share| (source.name.as_str(), share))).collect();
    let Some(&(last, _)) = shares.last() else { return Ok(()) };
    let sum = Decimal::from_millionths(shares.iter().map(|(_, share)| share.millionths()).sum());
    let others: Vec<&str> =
        sources.iter().filter(|source| source.share.is_none()).map(|source| source.name.as_str()).collect();
    let path = ["sources", last, "share"];
    let problem = |message: String, hint: &str| Err(Problem::new(&path, message, hint));
    if sum > Decimal::ONE {
        return problem(format!("the shares add up to {sum}: expected at most 1"), "lower them");
    }
    if sum == Decimal::ONE && recipe.budget.is_none() {
        return problem(
            "the shares add up to 1, which leaves the size of the mix open".into(),
            "add a budget, or leave a part of the mix to sources without a share",
        );
    }
    if sum == Decimal::ONE && !others.is_empty() {
        return problem(
            format!("the shares add up to 1, which leaves nothing for {}", others.join(", ")),
            "lower them, or disable the other sources (enabled: false)",
        );
    }
    if sum < Decimal::ONE && others.is_empty() && !has_more {
        return problem(
            format!("every source has a share, but the shares add up to only {sum}"),
            "raise them to 1 and add a budget, or leave one source without a share",
        );
    }
    Ok(())
}
