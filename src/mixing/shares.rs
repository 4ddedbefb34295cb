//! The arithmetic of shares and budgets, in whole numbers: nothing is lost to rounding, nothing depends on a machine.

use crate::recipe::Decimal;

/// Above any amount of tokens there can be; keeps products within 128 bits.
const MOST: u128 = 1_000_000_000_000_000;
const ONE: u128 = Decimal::ONE_IN_MILLIONTHS as u128;

/// What the sources with a share have to give so that each fills its share of the mix.
///
/// `capacities`: what each source may give; a source without a share gives all of it. With R from those and shares s1,
/// s2, … the mix has T = R / (1 - s1 - s2 - …), and a share is s × T. A source that cannot give that much gives what
/// it has and counts as R for the others: the mix made has the one size T for which T = R + Σ min(s × T, capacity).
/// The result is what is asked: of a source that can give it, s × T of the mix made; of one that cannot, s × T of the
/// mix that would be made if all could (of the mix made where the shares sum to one and that mix has no end).
pub(crate) fn solve_shares(shares: &[Option<Decimal>], capacities: &[u64]) -> Vec<Option<u64>> {
    let capacity = |at: usize| u128::from(capacities[at]).min(MOST);
    let share = |at: usize| u128::from(shares[at].map_or(0, Decimal::millionths));
    let mut given: u128 = (0..shares.len()).filter(|&at| shares[at].is_none()).map(capacity).sum();
    // In the order of the mix size at which a source can give no more: capacity / share.
    let mut open: Vec<usize> = (0..shares.len()).filter(|&at| share(at) > 0).collect();
    open.sort_by(|&a, &b| (capacity(a) * share(b)).cmp(&(capacity(b) * share(a))));
    let mut rest: u128 = open.iter().map(|&at| share(at)).sum();
    let wished = (given, rest);
    let mut capped = vec![false; shares.len()];
    for &at in &open {
        // The mix has given × ONE / (ONE - rest) tokens if nothing more is capped; without end where rest is one.
        if rest < ONE && capacity(at) * (ONE - rest) >= given * share(at) {
            break;
        }
        given += capacity(at);
        rest -= share(at);
        capped[at] = true;
    }
    let target = |at: usize| {
        let (given, rest) = if capped[at] && wished.1 < ONE { wished } else { (given, rest) };
        let free = ONE.saturating_sub(rest).max(1);
        u64::try_from((share(at) * given + free / 2) / free).unwrap_or(u64::MAX)
    };
    (0..shares.len()).map(|at| shares[at].map(|_| target(at))).collect()
}

/// Shares a budget out: a share gets that part of it, the rest goes to the others by weight. The parts are whole
/// numbers and add up to the budget exactly, unless nobody is there to take the rest.
///
/// By highest averages (D'Hondt): with a larger budget nobody gets less, which largest remainders do not promise, and
/// nobody gets less than the whole part of what is due.
pub(crate) fn split_budget(budget: u64, shares: &[Option<Decimal>], weights: &[u64]) -> Vec<u64> {
    let budget = u128::from(budget).min(MOST);
    let weight = |at: usize| if shares[at].is_some() { 0 } else { u128::from(weights[at]).min(MOST) };
    let total: u128 = (0..shares.len()).map(weight).sum::<u128>();
    let shared: u128 = shares.iter().flatten().map(|share| u128::from(share.millionths())).sum();
    let free = ONE.saturating_sub(shared);
    // Every due as a fraction of one denominator; last of all nobody's.
    let whole = ONE.max(shared) * total.max(1);
    let mut dues: Vec<u128> = (0..shares.len())
        .map(|at| match shares[at] {
            Some(share) => u128::from(share.millionths()) * total.max(1),
            None => free * weight(at),
        })
        .collect();
    dues.push(whole - dues.iter().sum::<u128>());
    let mut parts: Vec<u128> = dues.iter().map(|due| budget * due / whole).collect();
    let missing = budget - parts.iter().sum::<u128>();
    for _ in 0..missing {
        // The largest due for each token that one has after one more; of equal ones the first.
        let better = |a: usize, b: usize| dues[b] * (parts[a] + 1) > dues[a] * (parts[b] + 1);
        let next = (1..dues.len()).fold(0, |best, at| if better(best, at) { at } else { best });
        parts[next] += 1;
    }
    parts.truncate(shares.len());
    parts.into_iter().map(|part| u64::try_from(part).unwrap_or(u64::MAX)).collect()
}
