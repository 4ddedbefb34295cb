//! The arithmetic of shares and budgets, in whole numbers: nothing is lost to rounding, nothing depends on a machine.

use crate::recipe::Decimal;

/// More than any real amount of tokens; keeps products within 128 bits.
const MOST: u128 = 1_000_000_000_000_000;
const ONE: u128 = Decimal::ONE_IN_MILLIONTHS as u128;

/// Computes the targets of the sources that have a share, so that each fills its share of the mix.
///
/// `capacities` is how much each source can give; a source without a share gives all of it. If those give R, and the shares
/// are s1, s2, …, the mix has T = R / (1 - s1 - s2 - …), and the target of a share is s × T. A source that cannot give that
/// much gives what it has and counts towards R for the others: the actual mix has the only size T with
/// T = R + Σ min(s × T, capacity). The target of a source that can fill its share is s × T of the actual mix; that of a
/// source that cannot is s × T of the mix in which all could (of the actual mix, if the shares sum to one and that mix would
/// be infinite).
pub(crate) fn solve_shares(shares: &[Option<Decimal>], capacities: &[u64]) -> Vec<Option<u64>> {
    let capacity = |at: usize| u128::from(capacities[at]).min(MOST);
    let share = |at: usize| u128::from(shares[at].map_or(0, Decimal::millionths));
    let mut given: u128 = (0..shares.len()).filter(|&at| shares[at].is_none()).map(capacity).sum();
    // Ordered by the mix size at which a source is exhausted: capacity / share.
    let mut open: Vec<usize> = (0..shares.len()).filter(|&at| share(at) > 0).collect();
    open.sort_by(|&a, &b| (capacity(a) * share(b)).cmp(&(capacity(b) * share(a))));
    let mut rest: u128 = open.iter().map(|&at| share(at)).sum();
    let unlimited = (given, rest);
    let mut capped = vec![false; shares.len()];
    for &at in &open {
        // The mix has given × ONE / (ONE - rest) tokens if no other source is capped; it is infinite if rest is one.
        if rest < ONE && capacity(at) * (ONE - rest) >= given * share(at) {
            break;
        }
        given += capacity(at);
        rest -= share(at);
        capped[at] = true;
    }
    let target = |at: usize| {
        let (given, rest) = if capped[at] && unlimited.1 < ONE { unlimited } else { (given, rest) };
        let free = ONE.saturating_sub(rest).max(1);
        u64::try_from((share(at) * given + free / 2) / free).unwrap_or(u64::MAX)
    };
    (0..shares.len()).map(|at| shares[at].map(|_| target(at))).collect()
}

/// Divides a budget: each share gets that part of it, the rest goes to the other sources by weight. The parts are integers
/// and add up to the budget exactly, unless no source takes the rest.
///
/// Uses the highest averages method (D'Hondt): with a larger budget no source gets less, which largest remainders do not
/// guarantee, and each gets at least its quota, rounded down.
pub(crate) fn split_budget(budget: u64, shares: &[Option<Decimal>], weights: &[u64]) -> Vec<u64> {
    let budget = u128::from(budget).min(MOST);
    let weight = |at: usize| if shares[at].is_some() { 0 } else { u128::from(weights[at]).min(MOST) };
    let total: u128 = (0..shares.len()).map(weight).sum::<u128>();
    let shared: u128 = shares.iter().flatten().map(|share| u128::from(share.millionths())).sum();
    let free = ONE.saturating_sub(shared);
    // Quotas as fractions of one denominator; the last one belongs to no source.
    let denominator = ONE.max(shared) * total.max(1);
    let mut quotas: Vec<u128> = (0..shares.len())
        .map(|at| match shares[at] {
            Some(share) => u128::from(share.millionths()) * total.max(1),
            None => free * weight(at),
        })
        .collect();
    quotas.push(denominator - quotas.iter().sum::<u128>());
    let mut parts: Vec<u128> = quotas.iter().map(|quota| budget * quota / denominator).collect();
    let missing = budget - parts.iter().sum::<u128>();
    for _ in 0..missing {
        // The largest quota per token after getting one more; of equal ones the first.
        let better = |a: usize, b: usize| quotas[b] * (parts[a] + 1) > quotas[a] * (parts[b] + 1);
        let next = (1..quotas.len()).fold(0, |best, at| if better(best, at) { at } else { best });
        parts[next] += 1;
    }
    parts.truncate(shares.len());
    parts.into_iter().map(|part| u64::try_from(part).unwrap_or(u64::MAX)).collect()
}
