//! Lazy greedy maximization of a monotone submodular function over the samples (Minoux 1978); here, tag coverage.
//!
//! `F(S) = sum over tags of w[t] * min(held by S, 1)`. Each pick is the sample that adds most to `F`, the earlier row among
//! equals. When no sample adds a tag, the covered set is emptied and a new round starts. A sample's gain never grows
//! within a round, so an old gain is a bound: only samples whose bound reaches the top are looked at again.
//!
//! Cost: a round looks at a sample when the gains have come down to its bound, and they come down to 1 before the rarest
//! tag is covered: about one pass over the pool a round (some 2,000 picks each at 12,000 tags). Samples enter the heap
//! from one list sorted once: most are worth nothing when they are reached, and never enter it. Walking that list is a
//! cache miss a sample (10 million samples: 1.5 s a round); so when few tags are left that can add anything, the samples
//! that hold them are gathered in memory order, which takes a tenth of that.
//!
//! Many rounds mean few tags, and these make few sets: after some rounds only the first sample left of each set is
//! looked at, since whichever is picked, the rest of its set add nothing until the next round. A round is then at most
//! one pass over the distinct sets. Putting equal samples together from the start costs more than the usual few rounds.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::hash::{Hash, Hasher};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rayon::prelude::*;
use rustc_hash::FxHasher;

use crate::complexity_first::Picks;
use crate::error::{Error, Result};
use crate::rank::Pool;

/// The list is narrowed each time this fraction (1 in so many) of what could add something is left.
const NARROW: usize = 16;
/// A round that has walked less than this fraction (1 in so many) of the pool is not narrowed: it would cost more.
const WALKED: usize = 4;
/// After so many rounds equal samples are put together.
const ROUNDS: i32 = 8;

/// What greedy selection maximizes: monotone, submodular, of non-negative gains.
pub trait Objective: Sync {
    /// What a sample with these tags would add now; never more than before in the same round.
    fn gain(&self, tags: &[u32]) -> f64;
    /// Adds the sample; the number of tags that it is the first to hold in this round.
    fn add(&mut self, tags: &[u32]) -> i64;
    /// How many tags, counted in every sample that is left, can still add something in this round.
    fn open(&self) -> usize;
    /// Starts a new round: everything picked is gone, and counts for nothing.
    fn restart(&mut self);
}

/// Weighted tag coverage, each tag counted once a round.
struct Coverage<'a> {
    weights: Option<&'a [f64]>,
    covered: Vec<bool>,
    touched: Vec<usize>, // the tags covered, so that a restart costs what the round did
    left: Vec<usize>,    // samples not picked that hold the tag; 0 for a tag of no weight
    total: usize,        // the sum of `left`
    open: usize,         // the same over tags not covered
}

impl<'a> Coverage<'a> {
    fn new(pool: &Pool<'_>, weights: Option<&'a [f64]>) -> Self {
        let mut left = vec![0usize; pool.rows.size()];
        for row in (0..pool.rows.len()).filter(|&row| pool.holds(row)) {
            for &tag in pool.rows.row(row) {
                if let Some(left) = left.get_mut(tag as usize) {
                    *left += 1;
                }
            }
        }
        for (left, &weight) in left.iter_mut().zip(weights.unwrap_or(&[])) {
            *left = if weight > 0.0 { *left } else { 0 };
        }
        let total = left.iter().sum();
        Self { weights, covered: vec![false; left.len()], touched: vec![], left, total, open: total }
    }
}

impl Objective for Coverage<'_> {
    fn gain(&self, tags: &[u32]) -> f64 {
        let new = tags.iter().map(|&tag| tag as usize).filter(|&tag| self.covered.get(tag) == Some(&false));
        match self.weights {
            None => new.count() as f64,
            Some(weights) => new.map(|tag| weights.get(tag).copied().unwrap_or(0.0)).sum(),
        }
    }

    fn add(&mut self, tags: &[u32]) -> i64 {
        let mut new = 0;
        for tag in tags.iter().map(|&tag| tag as usize) {
            let (Some(covered), Some(left)) = (self.covered.get_mut(tag), self.left.get_mut(tag)) else { continue };
            if !std::mem::replace(covered, true) {
                new += 1;
                self.touched.push(tag);
                self.open = self.open.saturating_sub(*left);
            }
            if *left > 0 {
                *left -= 1;
                self.total = self.total.saturating_sub(1);
            }
        }
        new
    }

    fn open(&self) -> usize {
        self.open
    }

    fn restart(&mut self) {
        for tag in self.touched.drain(..) {
            self.covered[tag] = false;
        }
        self.open = self.total;
    }
}

/// Picks `k` samples of `pool` by weighted tag coverage (weight 1 each by default); fewer where no more add anything.
///
/// `pool.complexity` is not looked at. Weights are finite and not negative: otherwise an old gain would bound nothing.
pub fn max_coverage(pool: &Pool<'_>, weights: Option<&[f64]>, k: usize) -> Result<Picks> {
    if let Some(weights) = weights {
        let (found, expected) = (weights.len(), pool.rows.size());
        if found != expected {
            return Err(Error::Length { name: "weights", found, expected });
        }
        if let Some(tag) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            let reason = format!("must be finite and not negative, but tag {tag} has {}", weights[tag]);
            return Err(Error::Setting { name: "weights", reason });
        }
    }
    // What a sample adds to an empty round: without weights its number of tags, which needs no array.
    let alone: Option<Vec<f64>> = weights.map(|_| {
        let covered = vec![false; pool.rows.size()];
        let empty = Coverage { weights, covered, touched: vec![], left: vec![], total: 0, open: 0 };
        pool.rows.rows().map(|tags| empty.gain(tags)).collect()
    });
    if let Some(row) = alone.as_ref().and_then(|gains| gains.iter().position(|gain| !gain.is_finite())) {
        let reason = format!("add up to no finite number in row {row}");
        return Err(Error::Setting { name: "weights", reason });
    }
    let pool = Pool { complexity: alone.as_deref(), ..*pool };
    lazy_greedy(&pool, &mut Coverage::new(&pool, weights), k)
}

/// Picks `k` samples, each the one of largest gain (ties: the earlier row), in rounds; `pool.complexity` is what a sample
/// adds to an empty round.
fn lazy_greedy(pool: &Pool<'_>, objective: &mut impl Objective, k: usize) -> Result<Picks> {
    let order = pool.ranked(|_| true)?;
    let mut idle: Vec<bool> = (0..pool.rows.len()).map(|row| !pool.holds(row)).collect();
    let mut sets: Option<Sets> = None;
    let mut picks = Picks::default();
    let mut taken: Vec<u32> = Vec::new(); // in this round
    for round in 1.. {
        if round > ROUNDS && sets.is_none() {
            sets = Some(Sets::of(pool, &order, &mut idle));
        }
        let mut fresh = match &sets {
            Some(sets) => Fresh::Sets(sets.first.iter()),
            None => Fresh::Order(pool, order.iter()),
        };
        let top = fresh.next();
        let mut queue = Queue { pool, fresh, top, walked: 0, again: BinaryHeap::new() };
        let mut enough = objective.open() / NARROW;
        while picks.rows.len() < k && objective.open() > 0 {
            if objective.open() < enough && queue.walked >= pool.rows.len() / WALKED {
                queue.narrow(objective, &idle);
                enough = objective.open() / NARROW;
            }
            let Some((row, stamp)) = queue.pop() else { break };
            if idle[row as usize] {
                continue;
            }
            let tags = pool.rows.row(row as usize);
            if stamp == Some(picks.rows.len()) {
                idle[row as usize] = true;
                taken.push(row);
                picks.rows.push(pool.number(row as usize));
                picks.rounds.push(round);
                picks.gains.push(objective.add(tags));
                continue;
            }
            let gain = objective.gain(tags);
            if gain > 0.0 {
                queue.again.push(((gain.to_bits(), Reverse(row)), picks.rows.len()));
            }
        }
        if taken.is_empty() || picks.rows.len() >= k {
            break;
        }
        for row in taken.drain(..) {
            if let Some(sets) = &mut sets {
                sets.take(pool, row, &mut idle);
            }
        }
        objective.restart();
    }
    Ok(picks)
}

/// A bound on a sample's gain, ordered so that the next to look at is the largest: non-negative floats order as their
/// bits do, and among equals the earlier row comes first.
type Bound = (u64, Reverse<u32>);

/// Bounds, the largest first.
enum Fresh<'a> {
    Order(&'a Pool<'a>, std::slice::Iter<'a, u32>),
    Sets(std::collections::btree_set::Iter<'a, Reverse<Bound>>),
    Narrowed(std::vec::IntoIter<Bound>),
}

impl Iterator for Fresh<'_> {
    type Item = Bound;

    fn next(&mut self) -> Option<Bound> {
        match self {
            Self::Order(pool, rows) => rows.next().map(|&row| bound(pool, row)),
            Self::Sets(bounds) => bounds.next().map(|&Reverse(bound)| bound),
            Self::Narrowed(bounds) => bounds.next(),
        }
    }
}

/// What a sample adds to an empty round.
fn bound(pool: &Pool<'_>, row: u32) -> Bound {
    (pool.complexity(row as usize).to_bits(), Reverse(row))
}

/// The samples left, those of equal tags together: only the first of each can be the next pick.
struct Sets {
    first: BTreeSet<Reverse<Bound>>, // the first sample of each set, by what it adds to an empty round
    after: Vec<Option<u32>>,         // the sample that takes a sample's place once that is picked
}

impl Sets {
    /// The samples in `order` that are not idle; all but the first of each set become so.
    fn of(pool: &Pool<'_>, order: &[u32], idle: &mut [bool]) -> Self {
        let tags = |row: u32| pool.rows.row(row as usize);
        let hash = |row: u32| {
            let mut hasher = FxHasher::default();
            tags(row).hash(&mut hasher);
            hasher.finish()
        };
        let mut after = vec![None; idle.len()];
        let mut first: HashTable<u32> = HashTable::new();
        for row in (0..idle.len() as u32).rev() {
            if idle[row as usize] {
                continue;
            }
            match first.entry(hash(row), |&other| tags(other) == tags(row), |&other| hash(other)) {
                Entry::Occupied(mut found) => {
                    let next = std::mem::replace(found.get_mut(), row);
                    after[row as usize] = Some(next);
                    idle[next as usize] = true;
                }
                Entry::Vacant(place) => {
                    place.insert(row);
                }
            }
        }
        let rows = order.iter().filter(|&&row| !idle[row as usize]);
        Self { first: rows.map(|&row| Reverse(bound(pool, row))).collect(), after }
    }

    /// The next sample of the same tags takes the place of `row`.
    fn take(&mut self, pool: &Pool<'_>, row: u32, idle: &mut [bool]) {
        self.first.remove(&Reverse(bound(pool, row)));
        if let Some(next) = self.after[row as usize] {
            self.first.insert(Reverse(bound(pool, next)));
            idle[next as usize] = false;
        }
    }
}

/// The samples of one round by the bound on their gain.
struct Queue<'a> {
    pool: &'a Pool<'a>,
    fresh: Fresh<'a>,                  // samples not looked at
    top: Option<Bound>,                // the first of them
    walked: usize,                     // how many were, in this round
    again: BinaryHeap<(Bound, usize)>, // samples looked at, and how many picks there were then
}

impl Queue<'_> {
    /// The sample of the largest bound, and the number of picks at which the bound was its gain.
    fn pop(&mut self) -> Option<(u32, Option<usize>)> {
        if self.top > self.again.peek().map(|&(bound, _)| bound) {
            self.walked += 1;
            return std::mem::replace(&mut self.top, self.fresh.next()).map(|(_, Reverse(row))| (row, None));
        }
        self.again.pop().map(|((_, Reverse(row)), stamp)| (row, Some(stamp)))
    }

    /// Keeps only the samples that can still add something, with their gains of now.
    fn narrow(&mut self, objective: &impl Objective, idle: &[bool]) {
        let rows = (0..self.pool.rows.len() as u32).into_par_iter().with_min_len(1 << 16);
        let rows = rows.filter(|&row| !idle[row as usize]);
        let gains = rows.map(|row| (objective.gain(self.pool.rows.row(row as usize)).to_bits(), Reverse(row)));
        let mut bounds: Vec<Bound> = gains.filter(|&(gain, _)| gain > 0).collect();
        bounds.par_sort_unstable_by(|a, b| b.cmp(a));
        self.fresh = Fresh::Narrowed(bounds.into_iter());
        self.top = self.fresh.next();
        self.again.clear();
    }
}
