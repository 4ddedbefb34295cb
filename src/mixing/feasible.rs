//! Which cuts the data can fill: decided by the average number of summaries, in whole numbers.

use super::row::Row;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::MixKind;
use crate::recipe::{InfeasibleCuts, Source};

/// The sources that decide, if they have rows: those of pairs, or, without any, those of documents.
const DECIDING: [&str; 4] =
    ["extractive_summary", "detailed_summary", "extractive_summary_cpt", "detailed_summary_cpt"];

/// The requested cuts, and what happens to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// Every requested cut, ascending, each once.
    pub(crate) requested: Vec<Cut>,
    /// The largest feasible cut; `None` if no source decides.
    pub(crate) largest_feasible: Option<u32>,
    /// What each deciding source offers.
    pub(crate) offers: Vec<Offer>,
    /// Warnings for the user.
    pub(crate) warnings: Vec<String>,
}

impl Cuts {
    /// The cuts whose mixes are written, ascending.
    pub(crate) fn written(&self) -> Vec<u32> {
        self.requested.iter().filter(|cut| cut.written).map(|cut| cut.size).collect()
    }
}

/// One requested cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The cut size N.
    pub(crate) size: u32,
    /// Whether every deciding source has N summaries per raw document on average.
    pub(crate) feasible: bool,
    /// Whether its mix is written.
    pub(crate) written: bool,
}

/// The summaries that a source offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The source's name.
    pub(crate) source: String,
    /// Its raw documents.
    pub(crate) documents: u64,
    /// Its summaries, distinct within their raw documents.
    pub(crate) summaries: u64,
}

impl Offer {
    /// The largest cut that the average reaches.
    fn largest(&self) -> u32 {
        u32::try_from(self.summaries / self.documents.max(1)).unwrap_or(u32::MAX)
    }
}

impl std::fmt::Display for Offer {
    /// `extractive_summary has 12.50 summaries per raw document on average (75 summaries of 6 raw documents)`; never rounded up to a whole number that
    /// is not reached.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let documents = self.documents.max(1);
        let hundredths = u128::from(self.summaries) * 100 / u128::from(documents);
        let plural = |n: u64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        write!(
            f,
            "{} has {}.{:02} summaries per raw document on average ({} of {})",
            self.source,
            hundredths / 100,
            hundredths % 100,
            plural(self.summaries, "summary", "summaries"),
            plural(self.documents, "raw document", "raw documents"),
        )
    }
}

/// Chooses the cut whose mix is passed to a next step: the requested one, else the largest of those that are written.
///
/// # Errors
/// If the requested cut is not among those written, or none is: check before the mix is published.
pub(crate) fn select_cut(written: &[u32], requested: Option<u32>) -> Result<u32> {
    let Some(largest) = written.iter().max() else {
        return Err(Error::new(ErrorKind::NoFeasibleCut, "no mix is written, so none can be selected"));
    };
    match requested {
        None => Ok(*largest),
        Some(cut) if written.contains(&cut) => Ok(cut),
        Some(cut) => {
            let list = written.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("invalid value `{cut}`: expected a cut that is written ({list})");
            Err(Error::new(ErrorKind::NoFeasibleCut, message)
                .at("--select-cut")
                .hint("omit --select-cut to select the largest cut"))
        }
    }
}

/// Decides which of the requested cuts are written. Rows have to be ranked.
///
/// The two known summary sources decide, those that have rows; if neither has, every other source of kind `summary_qa`
/// does. If there is no such source at all, the sources of documents that cuts select from decide in the same way. Without these, all
/// cuts would be the same: the smallest is written.
///
/// # Errors
/// [`ErrorKind::NoFeasibleCut`] if no cut is left to write, or one is not feasible and `infeasible` is `fail`; it gives the
/// largest feasible cut.
pub(crate) fn feasible(
    rows: &[Row],
    sources: &[Source],
    cut_sizes: &[u32],
    infeasible: InfeasibleCuts,
) -> Result<Cuts> {
    let mut sizes = cut_sizes.to_vec();
    sizes.sort_unstable();
    sizes.dedup();
    let offers = offers(rows, sources);
    let Some(largest) = offers.iter().map(Offer::largest).min() else {
        return Ok(without_summaries(&sizes));
    };
    let why = |size: u32| {
        let few = offers.iter().filter(|offer| offer.largest() < size).map(Offer::to_string);
        few.collect::<Vec<_>>().join(", ")
    };
    let keep = infeasible == InfeasibleCuts::Keep;
    let mut cuts = Cuts { largest_feasible: Some(largest), ..Cuts::default() };
    for &size in &sizes {
        let feasible = size <= largest;
        cuts.requested.push(Cut { size, feasible, written: feasible || keep });
        if !feasible {
            let then = if keep { "is written with fewer summaries" } else { "is left out" };
            cuts.warnings.push(format!("cut {size} is not feasible and {then}: {}", why(size)));
        }
    }
    let worst = cuts.requested.iter().find(|cut| !cut.feasible).map(|cut| cut.size);
    let none_left = cuts.written().is_empty();
    if let Some(size) = worst.filter(|_| none_left || infeasible == InfeasibleCuts::Fail) {
        let message = match none_left {
            true => format!("no requested cut is feasible: {}; the largest feasible cut is {largest}", why(size)),
            false => format!("cut {size} is not feasible: {}; the largest feasible cut is {largest}", why(size)),
        };
        let hint = match (largest, infeasible) {
            (0, _) => "generate more summaries per raw document".to_owned(),
            (_, InfeasibleCuts::Fail) => format!(
                "request cuts up to {largest} (--cut-sizes {largest}), or leave infeasible cuts out (--infeasible-cuts drop)"
            ),
            _ => format!(
                "request cuts up to {largest} (--cut-sizes {largest}), or accept what is available (--infeasible-cuts keep)"
            ),
        };
        return Err(Error::new(ErrorKind::NoFeasibleCut, message).hint(hint));
    }
    cuts.offers = offers;
    Ok(cuts)
}

/// All cuts are the same: only the smallest is written.
fn without_summaries(sizes: &[u32]) -> Cuts {
    let requested: Vec<Cut> =
        sizes.iter().enumerate().map(|(at, &size)| Cut { size, feasible: true, written: at == 0 }).collect();
    let warnings = match requested[..] {
        [] => Vec::new(),
        [only] => vec![format!("no summary source found: nothing is sampled, cut {} holds everything", only.size)],
        [smallest, ..] => {
            let size = smallest.size;
            vec![format!(
                "no summary source found: all cuts would be the same, so only the smallest ({size}) is written"
            )]
        }
    };
    Cuts { requested, warnings, ..Cuts::default() }
}

/// What the deciding sources offer, those that have rows.
fn offers(rows: &[Row], sources: &[Source]) -> Vec<Offer> {
    let mut counts = vec![(0u64, 0u64); sources.len()];
    for row in rows.iter().filter(|row| row.is_kept() && row.pair == 0) {
        let (documents, summaries) = &mut counts[row.record.source as usize];
        // Each raw document has one first summary, each summary one first pair.
        *documents += u64::from(row.rank == 0);
        *summaries += 1;
    }
    let offers = |mix: MixKind, known: bool| -> Vec<Offer> {
        let of_kind = sources.iter().zip(&counts).filter(|(source, _)| source.by_cut && source.kind.mix() == mix);
        of_kind
            .filter(|(source, (documents, _))| *documents > 0 && DECIDING.contains(&source.name.as_str()) == known)
            .map(|(source, &(documents, summaries))| Offer { source: source.name.clone(), documents, summaries })
            .collect()
    };
    let deciding =
        [(MixKind::Chat, true), (MixKind::Chat, false), (MixKind::Document, true), (MixKind::Document, false)];
    deciding.into_iter().map(|(mix, known)| offers(mix, known)).find(|offers| !offers.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_written_cut_is_selected_by_default() {
        assert_eq!(select_cut(&[5, 50, 10], None).unwrap(), 50);
        assert_eq!(select_cut(&[5, 50, 10], Some(10)).unwrap(), 10);
        let error = select_cut(&[5, 10], Some(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoFeasibleCut);
        insta::assert_snapshot!(error, @r"
        --select-cut: invalid value `50`: expected a cut that is written (5, 10)
          hint: omit --select-cut to select the largest cut
        ");
        assert!(select_cut(&[], None).is_err());
    }
}
