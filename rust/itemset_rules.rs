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
use crate::error::Result;
use crate::fpgrowth::Itemsets;

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

struct Rule {
    antecedent: Vec<u32>,
    consequent: u32,
    count: i64,
    confidence: f64,
}

fn hash(set: &[u32]) -> u64 {
    let mut hasher = FxHasher::default();
    set.hash(&mut hasher);
    hasher.finish()
}

/// Every rule in `sets`, which must hold each subset of each set, as [`crate::fpgrowth::frequent_itemsets`] makes them.
pub fn itemset_rules(sets: &Itemsets, min_confidence: f64) -> Result<ItemsetRules> {
    let thresholds = Thresholds::new(1, min_confidence)?;
    let mut index: HashTable<usize> = HashTable::with_capacity(sets.counts.len());
    for at in 0..sets.counts.len() {
        index.insert_unique(hash(sets.set(at)), at, |&at| hash(sets.set(at)));
    }
    let mut rules: Vec<Rule> = (0..sets.counts.len())
        .into_par_iter()
        .flat_map_iter(|at| {
            let (set, count, index) = (sets.set(at), sets.counts[at], &index);
            (0..if set.len() > 1 { set.len() } else { 0 }).filter_map(move |out| {
                let antecedent = [&set[..out], &set[out + 1..]].concat();
                let &whole = index.find(hash(&antecedent), |&at| sets.set(at) == antecedent)?;
                let enough = count >= thresholds.needed(sets.counts[whole]);
                let confidence = confidence(count, sets.counts[whole]);
                enough.then_some(Rule { antecedent, consequent: set[out], count, confidence })
            })
        })
        .collect();
    let order = |a: &Rule, b: &Rule| {
        let lengths = a.antecedent.len().cmp(&b.antecedent.len());
        lengths.then_with(|| a.antecedent.cmp(&b.antecedent)).then(a.consequent.cmp(&b.consequent))
    };
    rules.par_sort_unstable_by(order);
    let mut found = ItemsetRules { offsets: vec![0], ..ItemsetRules::default() };
    for rule in rules {
        found.antecedents.extend(rule.antecedent);
        found.offsets.push(found.antecedents.len() as i64);
        found.consequents.push(rule.consequent);
        found.counts.push(rule.count);
        found.confidences.push(rule.confidence);
    }
    Ok(found)
}
