//! `--fail-on`: figures that end a run if they are too high.

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Manifest;
use crate::settings::{FailOn, Limit};
use serde_json::{Map, Value};

/// The names that apply to every cut: what follows `cut_N.preflight.` in metrics.json. Those with `.` also stand for one reason.
const OF_EVERY_CUT: [&str; 11] = [
    "dropped",
    "dropped.too_short",
    "dropped.too_long",
    "dropped.no_loss_tokens",
    "dropped.unbalanced_markers",
    "dropped.over_max_tokens_per_gpu",
    "samples",
    "tokens",
    "loss_tokens",
    "steps",
    "steps_per_epoch",
];

/// Checks the figures of a run against their limits.
///
/// # Errors
/// [`ErrorKind::Usage`] for a name that no figure has; [`ErrorKind::Data`] with all figures that are too high.
pub(super) fn check(manifest: &Manifest, metrics: &Map<String, Value>, limits: &[FailOn]) -> Result<()> {
    let mut exceeded = Vec::new();
    for limit in limits {
        let keys = keys(manifest, metrics, &limit.name)?;
        for (key, samples) in keys {
            let figure = metrics.get(&key).and_then(Value::as_u64).unwrap_or_default();
            let is_exceeded = match limit.limit {
                Limit::Number(most) => figure > most,
                Limit::Percent(percent) => {
                    u128::from(figure) * 100_000_000 > u128::from(percent.millionths()) * u128::from(samples)
                }
            };
            if is_exceeded {
                let of = match limit.limit {
                    Limit::Number(_) => String::new(),
                    Limit::Percent(_) => format!(" of {samples} samples"),
                };
                exceeded.push(format!("{key} is {figure}{of} (limit: {limit})"));
            }
        }
    }
    if exceeded.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, exceeded.join("; "))
        .at("--fail-on")
        .hint("change the settings or the data, or raise the limit; nothing was published"))
}

/// The figures that a name stands for, each with the samples of its cut.
fn keys(manifest: &Manifest, metrics: &Map<String, Value>, name: &str) -> Result<Vec<(String, u64)>> {
    let written = || manifest.cuts.iter().filter(|cut| cut.written);
    if metrics.contains_key(name) {
        let of_cut = written().find(|cut| name.starts_with(&format!("cut_{}.", cut.cut)));
        let all: u64 = written().map(|cut| cut.samples).max().unwrap_or_default();
        return Ok(vec![(name.to_owned(), of_cut.map_or(all, |cut| cut.samples))]);
    }
    if OF_EVERY_CUT.contains(&name) {
        return Ok(written().map(|cut| (format!("cut_{}.preflight.{name}", cut.cut), cut.samples)).collect());
    }
    let names = OF_EVERY_CUT.join(", ");
    Err(Error::new(
        ErrorKind::Usage,
        format!("unknown figure `{name}`: expected a name of metrics.json, or one of {names}"),
    )
    .at("--fail-on"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;
    use serde_json::json;

    #[test]
    fn figures_above_their_limit_are_named() {
        let (manifest, _) = synthetic::small();
        let cut = manifest.cuts.iter().find(|cut| cut.written).unwrap();
        let mut metrics = Map::new();
        metrics.insert(format!("cut_{}.preflight.dropped", cut.cut), json!(cut.samples / 10));
        metrics.insert("rows.dropped".to_owned(), json!(7));
        let check = |name: &str, limit| check(&manifest, &metrics, &[FailOn { name: name.to_owned(), limit }]);
        check("dropped", Limit::Percent("10".parse().unwrap())).unwrap();
        let error = check("dropped", Limit::Percent("9.5".parse().unwrap())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.line().contains(&format!("of {} samples (limit: dropped=9.5%)", cut.samples)), "{error}");
        check("rows.dropped", Limit::Number(7)).unwrap();
        assert!(check("rows.dropped", Limit::Number(6)).unwrap_err().line().contains("rows.dropped is 7"));
        // A reason that did not occur has no figure.
        check("dropped.too_long", Limit::Number(0)).unwrap();
        assert_eq!(check("droped", Limit::Number(0)).unwrap_err().kind(), ErrorKind::Usage);
    }
}
