//! The arithmetic of shares and budgets against a naive model in floats, and at its edges.

use super::super::shares::{solve_shares, split_budget};
use crate::recipe::Decimal;
use proptest::prelude::*;

fn share(text: &str) -> Option<Decimal> {
    Some(text.parse().unwrap())
}

#[test]
fn a_share_is_a_part_of_the_complete_mix() {
    // 900 tokens of others: a tenth of the mix is 100 of 1000.
    assert_eq!(solve_shares(&[None, share("0.1")], &[900, 5000]), [None, Some(100)]);
    // 600 of others: 0.3 and 0.1 of 1000.
    assert_eq!(solve_shares(&[share("0.3"), None, share("0.1")], &[900, 600, 900]), [Some(300), None, Some(100)]);
    // Nothing but shares: a share of nothing.
    assert_eq!(solve_shares(&[share("0.3")], &[900]), [Some(0)]);
    assert!(solve_shares(&[], &[]).is_empty());
}

#[test]
fn a_source_that_runs_out_makes_the_mix_smaller_for_all() {
    // Half of the mix would be 750 of 1500, but there are only 100: the mix is 600 + 100 + a tenth of itself = 777.8.
    let targets = solve_shares(&[share("0.5"), None, share("0.1")], &[100, 600, 900]);
    assert_eq!(targets, [Some(750), None, Some(78)]);
    // A source that runs out only in the mix that is too large to be made is not capped.
    // Without limits: T = 100 / 0.1 = 1000, b would have to give 300 of its 290. With a at 40: T = 140 / 0.7 = 200.
    let targets = solve_shares(&[share("0.6"), share("0.3"), None], &[40, 290, 100]);
    assert_eq!(targets, [Some(600), Some(60), None]);
}

#[test]
fn shares_that_sum_to_one_are_filled_as_far_as_the_scarcest_goes() {
    assert_eq!(solve_shares(&[share("0.5"), share("0.5")], &[100, 30]), [Some(30), Some(30)]);
}

#[test]
fn a_budget_is_shared_out_to_the_last_token() {
    assert_eq!(split_budget(100, &[None, None, None], &[1, 1, 1]), [34, 33, 33]);
    assert_eq!(split_budget(100, &[None, share("0.1"), None], &[1, 0, 2]), [30, 10, 60]);
    assert_eq!(split_budget(1, &[None, None], &[1, 1]), [1, 0]);
    assert_eq!(split_budget(2, &[None, None, None], &[5, 1, 5]), [1, 0, 1]);
    // An empty source gets nothing; where nobody is left the rest is nobody's.
    assert_eq!(split_budget(100, &[None, None], &[0, 7]), [0, 100]);
    assert_eq!(split_budget(100, &[None], &[0]), [0]);
    assert_eq!(split_budget(100, &[share("0.3"), None], &[0, 0]), [30, 0]);
    assert_eq!(split_budget(1000, &[share("0.3"), share("0.7")], &[0, 0]), [300, 700]);
    assert!(split_budget(5, &[], &[]).is_empty());
}

proptest! {
    #[test]
    fn shares_meet_the_equation_of_the_mix(
        sources in prop::collection::vec((prop::option::of(1u64..400_000), 0u64..10_000_000), 1..6),
    ) {
        let mut sum = 0;
        let shares: Vec<Option<Decimal>> = sources.iter().map(|(share, _)| {
            share.filter(|share| { let fits = sum + share < 1_000_000; if fits { sum += share }; fits }).map(Decimal::from_millionths)
        }).collect();
        let capacities: Vec<u64> = sources.iter().map(|(_, capacity)| *capacity).collect();
        let targets = solve_shares(&shares, &capacities);
        // The naive model: go up from the others' tokens until nothing changes.
        let given: f64 = (0..shares.len()).filter(|&at| shares[at].is_none()).map(|at| capacities[at] as f64).sum();
        let part = |at: usize| shares[at].map_or(0.0, |share| share.millionths() as f64 / 1e6);
        let mut total = given;
        for _ in 0..200_000 {
            let next = given + (0..shares.len()).map(|at| if shares[at].is_some() { (part(at) * total).min(capacities[at] as f64) } else { 0.0 }).sum::<f64>();
            if (next - total).abs() < 1e-9 { break; }
            total = next;
        }
        for at in 0..shares.len() {
            match (shares[at], targets[at]) {
                (None, None) => {}
                (Some(_), Some(target)) if part(at) * total > capacities[at] as f64 + 1.0 => prop_assert!(target > capacities[at]),
                (Some(_), Some(target)) => {
                    let want = part(at) * total;
                    let capped = want + 1.0 >= capacities[at] as f64 && target >= capacities[at];
                    prop_assert!(capped || (target as f64 - want).abs() < 1.0 + total * 1e-9, "{at}: {target} {want}");
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn budgets_lose_nothing_and_give_everybody_what_is_due(
        budget in prop_oneof![0u64..1_000, 0u64..1_000_000_000_000_000],
        sources in prop::collection::vec((prop::option::of(0u64..200_000), prop_oneof![0u64..10, 0u64..1_000_000_000_000_000]), 1..6),
    ) {
        let shares: Vec<Option<Decimal>> = sources.iter().map(|(share, _)| share.map(Decimal::from_millionths)).collect();
        let weights: Vec<u64> = sources.iter().map(|(_, weight)| *weight).collect();
        let parts = split_budget(budget, &shares, &weights);
        let shared: u64 = shares.iter().flatten().map(|share| share.millionths()).sum();
        let total: u128 = (0..weights.len()).filter(|&at| shares[at].is_none()).map(|at| u128::from(weights[at])).sum();
        let sum: u64 = parts.iter().sum();
        if total > 0 {
            prop_assert_eq!(sum, budget);
        } else {
            prop_assert!(sum <= budget);
        }
        for at in 0..parts.len() {
            let exact = match shares[at] {
                Some(share) => budget as f64 * share.millionths() as f64 / 1e6,
                None if total == 0 => 0.0,
                None => budget as f64 * (1.0 - shared as f64 / 1e6) * weights[at] as f64 / total as f64,
            };
            let others = parts.len() as f64;
            prop_assert!(parts[at] as f64 > exact - 1.0 - exact * 1e-9, "{at}: {} {exact}", parts[at]);
            prop_assert!((parts[at] as f64) < exact + others + exact * 1e-9, "{at}: {} {exact}", parts[at]);
        }
        // The next token takes nothing from anybody.
        let next = split_budget(budget + 1, &shares, &weights);
        prop_assert!(parts.iter().zip(&next).all(|(part, next)| part <= next));
    }
}
