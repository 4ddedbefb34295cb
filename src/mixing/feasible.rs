//! Which cuts the data can fill: a matter of the mean number of summaries, decided in whole numbers.

use super::{Row, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{InfeasibleCuts, Kind};

/// The two sources that have a say, where they are there.
const VOTERS: [&str; 2] = ["extractive_summary", "detailed_summary"];

/// The cuts asked for, and what becomes of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// Every cut asked for, ascending, each once.
    pub(crate) requested: Vec<Cut>,
    /// The largest feasible cut; `None` where no source has a say.
    pub(crate) largest_feasible: Option<u32>,
    /// What each source that has a say offers.
    pub(crate) offers: Vec<Offer>,
    /// What a person should know.
    pub(crate) warnings: Vec<String>,
}

impl Cuts {
    /// The cuts whose mixes are written, ascending.
    pub(crate) fn written(&self) -> Vec<u32> {
        self.requested.iter().filter(|cut| cut.written).map(|cut| cut.size).collect()
    }
}

/// One cut that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The cut size N.
    pub(crate) size: u32,
    /// Whether every source that has a say has N summaries in the mean.
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
    /// The largest cut that the mean reaches.
    fn largest(&self) -> u32 {
        u32::try_from(self.summaries / self.documents.max(1)).unwrap_or(u32::MAX)
    }
}

impl std::fmt::Display for Offer {
    /// `extractive_summary has 12.50 in the mean (75 summaries of 6 raw documents)`; never rounded up to a whole
    /// number that is not reached.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let documents = self.documents.max(1);
        let hundredths = u128::from(self.summaries) * 100 / u128::from(documents);
        let plural = |n: u64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        write!(
            f,
            "{} has {}.{:02} in the mean ({} of {})",
            self.source,
            hundredths / 100,
            hundredths % 100,
            plural(self.summaries, "summary", "summaries"),
            plural(self.documents, "raw document", "raw documents"),
        )
    }
}

/// Chooses the cut whose mix is handed on: the one asked for, else the largest of those that are (or will be) written.
///
/// # Errors
/// The cut asked for is not among those written, or none is: ask before the mix is published.
pub(crate) fn select_cut(written: &[u32], asked: Option<u32>) -> Result<u32> {
    let Some(largest) = written.iter().max() else {
        return Err(Error::new(ErrorKind::NoFeasibleCut, "no mix is written, so none can be handed on"));
    };
    match asked {
        None => Ok(*largest),
        Some(cut) if written.contains(&cut) => Ok(cut),
        Some(cut) => {
            let list = written.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            Err(Error::new(ErrorKind::NoFeasibleCut, format!("cut {cut} is to be handed on, but it is not written"))
                .at("--select-cut")
                .hint(format!("written are: {list}; without --select-cut the largest one is handed on")))
        }
    }
}

/// Decides which of the cuts asked for are written. Wants the rows ranked.
///
/// The two known summary sources have a say, those that have rows; where neither has, every other source of kind
/// `summary_qa` has. Where there is no such source at all, all cuts would be the same: the smallest is written.
///
/// # Errors
/// [`ErrorKind::NoFeasibleCut`] where no cut is left to write, or one is not feasible and `infeasible` is `fail`;
/// it gives the largest feasible cut.
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
    let failing = |size: u32| {
        let few = offers.iter().filter(|offer| offer.largest() < size).map(Offer::to_string);
        format!("cut {size} is not feasible: {}", few.collect::<Vec<_>>().join(", "))
    };
    let keep = infeasible == InfeasibleCuts::Keep;
    let mut cuts = Cuts { largest_feasible: Some(largest), ..Cuts::default() };
    for &size in &sizes {
        let feasible = size <= largest;
        cuts.requested.push(Cut { size, feasible, written: feasible || keep });
        if !feasible {
            let then = if keep { "written all the same" } else { "left out" };
            cuts.warnings.push(format!("{}: {then}", failing(size)));
        }
    }
    let worst = cuts.requested.iter().find(|cut| !cut.feasible).map(|cut| cut.size);
    let none_left = cuts.written().is_empty();
    if let Some(size) = worst.filter(|_| none_left || infeasible == InfeasibleCuts::Fail) {
        let message = match none_left {
            true => format!("no cut is feasible, the largest feasible cut is {largest}: {}", failing(size)),
            false => format!("{}; the largest feasible cut is {largest}", failing(size)),
        };
        let hint = match (largest, infeasible) {
            (0, _) => "generate more summaries of each raw document".to_owned(),
            (_, InfeasibleCuts::Fail) => format!(
                "ask for cuts up to {largest} (--cut-sizes {largest}), or let infeasible cuts be left out (--infeasible-cuts drop)"
            ),
            _ => format!(
                "ask for cuts up to {largest} (--cut-sizes {largest}), or take what there is (--infeasible-cuts keep)"
            ),
        };
        return Err(Error::new(ErrorKind::NoFeasibleCut, message).hint(hint));
    }
    cuts.offers = offers;
    Ok(cuts)
}

/// Every cut is the same: the smallest stands for all.
fn without_summaries(sizes: &[u32]) -> Cuts {
    let requested: Vec<Cut> =
        sizes.iter().enumerate().map(|(at, &size)| Cut { size, feasible: true, written: at == 0 }).collect();
    let warnings = match requested[..] {
        [] => Vec::new(),
        [only] => vec![format!("no summary source is there: nothing is sampled, cut {} holds everything", only.size)],
        [smallest, ..] => {
            let size = smallest.size;
            vec![format!(
                "no summary source is there: all cuts would be the same, only the smallest ({size}) is written"
            )]
        }
    };
    Cuts { requested, warnings, ..Cuts::default() }
}

/// What the sources that have a say offer, those that have rows.
fn offers(rows: &[Row], sources: &[Source]) -> Vec<Offer> {
    let mut counts = vec![(0u64, 0u64); sources.len()];
    for row in rows.iter().filter(|row| row.is_kept() && row.pair == 0) {
        let (documents, summaries) = &mut counts[row.source as usize];
        // Each raw document has one first summary, each summary one first pair.
        *documents += u64::from(row.rank == 0);
        *summaries += 1;
    }
    let offers = |known: bool| -> Vec<Offer> {
        let of_kind = sources.iter().zip(&counts).filter(|(source, _)| source.kind == Kind::SummaryQa);
        of_kind
            .filter(|(source, (documents, _))| *documents > 0 && VOTERS.contains(&source.name.as_str()) == known)
            .map(|(source, &(documents, summaries))| Offer { source: source.name.clone(), documents, summaries })
            .collect()
    };
    let known = offers(true);
    if known.is_empty() { offers(false) } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_written_cut_is_handed_on_unless_another_is_asked_for() {
        assert_eq!(select_cut(&[5, 50, 10], None).unwrap(), 50);
        assert_eq!(select_cut(&[5, 50, 10], Some(10)).unwrap(), 10);
        let error = select_cut(&[5, 10], Some(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoFeasibleCut);
        insta::assert_snapshot!(error, @r"
        --select-cut: cut 50 is to be handed on, but it is not written
          hint: written are: 5, 10; without --select-cut the largest one is handed on
        ");
        assert!(select_cut(&[], None).is_err());
    }
}
