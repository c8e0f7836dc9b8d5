//! Rules with antecedents of any length and one consequent, from frequent itemsets.
//!
//! Each tag of a frequent set is in turn the consequent, the others its antecedent, whose count is looked up: every
//! subset of a frequent set is itself among the sets. Reference: Agrawal, Srikant: Fast Algorithms for Mining
//! Association Rules, VLDB 1994. Cost: O(tags in all sets x their length), and sorting the rules found.

use hashbrown::HashTable;
use rayon::prelude::*;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

use crate::association::{Thresholds, confidence};
use crate::error::{Error, Result};
use crate::fpgrowth::Itemsets;
use crate::room::{collected, collected_in_parallel, joined, no_room, reserved};

/// The most rules made at once: some 100 bytes each, while they are written out.
pub const MAX_RULES: usize = 20_000_000;

/// Rules: the antecedent of rule `r` is `antecedents[offsets[r]..offsets[r + 1]]`.
///
/// Ordered by the antecedent's length, then by its ids, then by the consequent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemsetRules {
    /// Bounds of the antecedents.
    pub offsets: Vec<i64>,
    /// Tags of the antecedents, in the order of the set.
    pub antecedents: Vec<u32>,
    /// Consequents.
    pub consequents: Vec<u32>,
    /// Rows with antecedent and consequent.
    pub counts: Vec<i64>,
    /// `counts` over the rows of the antecedent.
    pub confidences: Vec<f64>,
}

/// Sets looked at by a thread in one go.
const BLOCK: usize = 1 << 12;

#[derive(Clone, Copy)]
struct Rule {
    /// The place of the antecedent among the sets.
    antecedent: u32,
    consequent: u32,
    count: i64,
    confidence: f64,
}

fn hash<'a>(set: impl Iterator<Item = &'a u32>) -> u64 {
    let mut hasher = FxHasher::default();
    set.for_each(|tag| tag.hash(&mut hasher));
    hasher.finish()
}

/// Every rule in `sets`, which must hold each subset of each set, as [`crate::fpgrowth::frequent_itemsets`] makes them;
/// an error above [`MAX_RULES`].
pub fn itemset_rules(sets: &Itemsets, min_confidence: f64) -> Result<ItemsetRules> {
    at_most(MAX_RULES, sets, min_confidence)
}

fn at_most(most: usize, sets: &Itemsets, min_confidence: f64) -> Result<ItemsetRules> {
    let thresholds = Thresholds::new(1, min_confidence)?;
    let count = sets.counts.len();
    let of = |at: u32| sets.set(at as usize);
    let mut index: HashTable<u32> = HashTable::new();
    index.try_reserve(count, |&at| hash(of(at).iter())).map_err(|_| no_room::<u64>(count))?;
    for at in 0..count as u32 {
        index.insert_unique(hash(of(at).iter()), at, |&at| hash(of(at).iter()));
    }
    let rules_of = |at: usize| {
        let (set, count, index) = (sets.set(at), sets.counts[at], &index);
        (0..if set.len() > 1 { set.len() } else { 0 }).filter_map(move |out| {
            let others = || set[..out].iter().chain(&set[out + 1..]);
            let &antecedent = index.find(hash(others()), |&at| of(at).iter().eq(others()))?;
            let whole = sets.counts[antecedent as usize];
            let (enough, confidence) = (count >= thresholds.needed(whole), confidence(count, whole));
            enough.then_some(Rule { antecedent, consequent: set[out], count, confidence })
        })
    };
    // At most one rule for each tag of each set: only where these are too many need the rules be counted.
    if sets.ids.len() > most {
        let found = (0..count).into_par_iter().map(|at| rules_of(at).count()).sum::<usize>();
        if found > most {
            let what = format!("{found} rules in {count} itemsets, at most {most} are made");
            return Err(Error::Limit { what, hint: "raise `min_confidence` or mine fewer itemsets".into() });
        }
    }
    let blocks = (0..count).into_par_iter().step_by(BLOCK);
    let blocks = blocks.map(|first| collected((first..(first + BLOCK).min(count)).flat_map(rules_of)));
    let mut rules = joined(&collected_in_parallel(blocks)?)?;
    let order = |a: &Rule, b: &Rule| {
        let (one, two) = (of(a.antecedent), of(b.antecedent));
        one.len().cmp(&two.len()).then_with(|| one.cmp(two)).then(a.consequent.cmp(&b.consequent))
    };
    rules.par_sort_unstable_by(order);
    let mut found = ItemsetRules {
        offsets: reserved(rules.len() + 1)?,
        antecedents: reserved(rules.iter().map(|rule| of(rule.antecedent).len()).sum())?,
        consequents: collected(rules.iter().map(|rule| rule.consequent))?,
        counts: collected(rules.iter().map(|rule| rule.count))?,
        confidences: collected(rules.iter().map(|rule| rule.confidence))?,
    };
    found.offsets.push(0);
    for rule in &rules {
        found.antecedents.extend_from_slice(of(rule.antecedent));
        found.offsets.push(found.antecedents.len() as i64);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All subsets of five tags, as frequent as each other: 5 x 2^4 rules, less the 5 without an antecedent.
    #[test]
    fn too_many_rules_are_refused_before_they_are_made() {
        let mut sets = Itemsets { offsets: vec![0], ..Itemsets::default() };
        for bits in 1..32u32 {
            sets.ids.extend((0..5).filter(|tag| bits >> tag & 1 == 1));
            sets.offsets.push(sets.ids.len() as i64);
            sets.counts.push(7);
        }
        assert_eq!(at_most(75, &sets, 1.0).unwrap().counts.len(), 75);
        let refused = at_most(74, &sets, 1.0).unwrap_err().to_string();
        assert!(refused.contains("75 rules in 31 itemsets, at most 74 are made"), "{refused}");
        sets.counts[30] = 6; // the five rules of the whole set hold no more
        assert_eq!(at_most(70, &sets, 1.0).unwrap().counts.len(), 70);
    }
}
