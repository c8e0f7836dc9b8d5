//! Frequent itemsets of any length: every set of tags that at least `min_count` rows hold.
//!
//! FP-Growth (Han, Pei, Yin: Mining Frequent Patterns without Candidate Generation, SIGMOD 2000): tags are ranked by
//! count; the rows that hold a tag, cut down to the more frequent tags, are its conditional database, which is mined in
//! the same way. What stands for a database is chosen by what its pairs cost to count, here and at every depth:
//! - sparse: rows as one array of ranks, descending, so that what follows a tag in its row *is* its conditional row, and
//!   an index of the places of each tag. No tree: on tag tables rows share few prefixes, and nodes cost cache misses;
//! - dense: one bit vector over the rows a tag ([`crate::bit_vectors`]).
//!
//! Tags that stand in every row of a set are in no database: each choice of them is put to what was mined without them
//! ([`crate::perfect`]).
//!
//! Sets are found in colexicographic order of ranks (largest rank first), in which every subset precedes its set. So a
//! set of length d is reached only after 2^d - 1 others: recursion is as deep as log2(`max_itemsets`), however long the
//! rows are, and memory for conditional databases is bounded likewise.
//!
//! Cost: the rows' squared lengths for the pairs, then what the sets themselves need; 16 bytes a set while mining.
//! A row of 20,000 tags does not cost its square: long rows come last ([`Places`]), and once a tag has fewer rows left than
//! `min_count`, a long one is searched for the partners still possible, not read. Each tag, with the more frequent ones, is
//! a task of its own; the answer does not depend on the number of threads.
//!
//! Measured (CPU seconds of one core): a million rows of 4.5 tags over 12,000, support 40 (55,835 sets): 0.37, of which the
//! pairs are 0.2, mostly cache misses (a place costs 7 ns where the rows fit the cache, 20 ns here); ten million, support
//! 400 (54,483 sets): 7.5; ten million, support 40 (808,567 sets), later: 4.8, `PyFIM` 25. Mushroom (8,124 rows) at 20 %,
//! 53,583 sets: 3.7 ms, most of it ordering and writing the sets (`PyFIM` 16 ms); 9.4 with
//! conditional rows read for each tag in place of vectors from the start, and 11.7 with databases for perfect extensions
//! as well. Tried at a million, on a busy machine, and no faster: dealing the rows to groups of neighbouring ranks whose
//! rows fit the cache (the copies cost what the misses did; not tried at ten million); keeping the conditional rows of the
//! counting pass for the pass that cuts them down.

use rayon::prelude::*;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bit_vectors::{BitVectors, MEASURED, Ways, of_table};
use crate::csr::{Csr, tag_counts};
use crate::error::{Error, Result};
use crate::perfect::expand;
use crate::places::{END, Places};
use crate::room::{collected, copied, filled, more, push, reserved, zeroed};

/// Frequent itemsets: set `s` is `ids[offsets[s]..offsets[s + 1]]`, which `counts[s]` rows hold.
///
/// Ordered by length, then count descending, then by the ranks of their tags (count descending, then id), the last one
/// first; within a set tags are ordered by rank.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Itemsets {
    /// Bounds of the sets in `ids`.
    pub offsets: Vec<i64>,
    /// Tags of the sets.
    pub ids: Vec<u32>,
    /// Rows that hold each set.
    pub counts: Vec<i64>,
}

impl Itemsets {
    /// The tags of set `at`; empty where there is no such set.
    pub fn set(&self, at: usize) -> &[u32] {
        match self.offsets.get(at..at + 2) {
            Some(&[start, end]) => self.ids.get(start as usize..end as usize).unwrap_or(&[]),
            _ => &[],
        }
    }
}

/// How far to mine.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The fewest rows that make a set frequent, at least 1.
    pub min_count: i64,
    /// The length of the longest set wanted, at least 1.
    pub max_length: usize,
    /// More sets than this are an error.
    pub max_itemsets: usize,
}

/// A set found: its smallest rank, the set without it, its rows.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    pub(crate) parent: u32,
    pub(crate) rank: u32,
    pub(crate) count: u32,
    pub(crate) length: u32,
}

/// Every frequent itemset of the table; a repeat within a row counts once.
pub fn frequent_itemsets(rows: Csr<'_>, bounds: Bounds) -> Result<Itemsets> {
    mine(rows, bounds, MEASURED)
}

fn mine(rows: Csr<'_>, bounds: Bounds, ways: Ways) -> Result<Itemsets> {
    if bounds.min_count < 1 {
        let reason = format!("is a number of rows, at least 1, found {}", bounds.min_count);
        return Err(Error::Setting { name: "min_count", reason });
    }
    if bounds.max_length < 1 {
        return Err(Error::Setting { name: "max_length", reason: "must be at least 1, found 0".into() });
    }
    let limit = bounds.max_itemsets.min(END as usize);
    if rows.len() >= END as usize || rows.ids().len() >= END as usize {
        return Err(Error::Limit {
            what: format!("{} rows with {} tags are too many to mine at once", rows.len(), rows.ids().len()),
            hint: "mine a sample, with `min_count` scaled to it".into(),
        });
    }
    let counts = tag_counts(rows)?;
    let mut tags = collected((0..rows.size() as u32).filter(|&tag| counts[tag as usize] >= bounds.min_count))?;
    tags.sort_unstable_by_key(|&tag| (Reverse(counts[tag as usize]), tag));
    if tags.len() > limit {
        return Err(too_many(limit));
    }
    let names = collected(0..tags.len() as u32)?;
    let found = AtomicUsize::new(tags.len());
    let supports = collected(tags.iter().map(|&tag| counts[tag as usize] as u32))?;
    let min_count = u32::try_from(bounds.min_count).unwrap_or(u32::MAX);
    // Frequent tags in all rows; pairs of them are at least as many as if all rows were of one length.
    let (held, words) = (supports.iter().map(|&count| count as usize).sum::<usize>(), rows.len().div_ceil(64));
    let pairs = held / rows.len().max(1) * held.saturating_sub(rows.len()) / 2;
    let vectors = (ways.vectors)(tags.len(), words, pairs).then(|| of_table(rows, &tags, words)).transpose()?;
    let root = if vectors.is_some() { Places::new(Vec::new(), 0)? } else { Places::root(rows, &tags)? };
    let mut found_by = filled(tags.len(), Vec::new())?;
    found_by.par_iter_mut().enumerate().try_for_each_init(
        || Scratch::new(tags.len(), vectors.as_deref().unwrap_or(&[])),
        |scratch, (rank, found_by)| {
            let scratch = scratch.as_mut().map_err(|error| error.clone())?;
            let mut miner = Miner {
                min_count,
                max_length: bounds.max_length,
                limit,
                ways,
                found: &found,
                nodes: Vec::new(),
                full: Vec::new(),
                scratch,
            };
            let parent = Parent { node: 0, length: 1, support: supports[rank] };
            match vectors {
                Some(_) => miner.join(0, words, &names, rank, parent)?,
                None => miner.grow(&root, &names, rank as u32, parent)?,
            }
            *found_by = miner.all(supports[rank])?;
            debug_assert_eq!(
                scratch.vectors.len(),
                vectors.as_ref().map_or(0, Vec::len),
                "vectors were left on the stack"
            );
            Ok::<_, Error>(())
        },
    )?;
    assemble(&tags, &supports, found_by)
}

fn too_many(limit: usize) -> Error {
    Error::Limit {
        what: format!("there are more than {limit} frequent itemsets"),
        hint: "raise `min_count`, bound `max_length`, or raise `max_itemsets` (memory: some 50 bytes a set)".into(),
    }
}

/// What a thread keeps between databases.
struct Scratch {
    /// One counter a rank, all zero between uses.
    counts: Vec<u32>,
    /// The ranks whose counters are not, at most all.
    touched: Vec<u32>,
    vectors: BitVectors,
}

impl Scratch {
    fn new(ranks: usize, bits: &[u64]) -> Result<Self> {
        Ok(Self { counts: zeroed(ranks)?, touched: reserved(ranks)?, vectors: BitVectors::new(copied(bits)?) })
    }
}

/// The set that a database belongs to.
#[derive(Clone, Copy)]
struct Parent {
    node: u32,
    length: u32,
    support: u32,
}

impl Parent {
    /// The sets that extend this one by `extensions`, (tag, rows), whose nodes begin with `first`.
    fn extended(self, extensions: &[(u32, u32)], first: u32) -> Result<Vec<Self>> {
        let extended = |(&(_, support), node): (&(u32, u32), u32)| Self { node, length: self.length + 1, support };
        collected(extensions.iter().zip(first..).map(extended))
    }
}

struct Miner<'a> {
    min_count: u32,
    max_length: usize,
    limit: usize,
    ways: Ways,
    found: &'a AtomicUsize,
    /// The sets of this task; node 0 is the task's own tag, node `n` is `nodes[n - 1]`.
    nodes: Vec<Node>,
    /// (node, tag that stands in all of its rows): sets with these are left out of `nodes`.
    full: Vec<(u32, u32)>,
    scratch: &'a mut Scratch,
}

impl Miner<'_> {
    /// Mines the conditional database of `rank`, whose set is `parent`; `names` are its ranks in the root.
    fn grow(&mut self, database: &Places, names: &[u32], rank: u32, parent: Parent) -> Result<()> {
        let places = database.of(rank);
        if places.len() < self.min_count as usize || parent.length as usize >= self.max_length {
            return Ok(());
        }
        let Scratch { counts, touched, .. } = self.scratch;
        for (read, &place) in places.iter().enumerate() {
            let left = (places.len() - read) as u32;
            match database.long_behind(place).filter(|_| left < self.min_count) {
                // What was not seen yet can't become frequent any more, and what was may be too rare by now.
                Some(row) => {
                    touched.retain(|&other| {
                        let count = &mut counts[other as usize];
                        *count *= u32::from(*count + left >= self.min_count);
                        *count > 0
                    });
                    row.visit(touched, |other| counts[other as usize] += u32::from(counts[other as usize] > 0));
                }
                None => database.behind(place, |other| {
                    let count = &mut counts[other as usize];
                    if *count == 0 {
                        touched.push(other);
                    }
                    *count += 1;
                }),
            }
        }
        // From here on, a counter holds the new rank + 1 of a frequent tag.
        let mut frequent: Vec<(u32, u32)> = Vec::new();
        for other in touched.drain(..) {
            let count = std::mem::take(&mut counts[other as usize]);
            if count >= self.min_count {
                push(&mut frequent, (other, count))?;
            }
        }
        frequent.sort_unstable();
        let first = self.emit(parent, &mut frequent, |other| names[other as usize])?;
        if frequent.len() < 2 || parent.length as usize + 1 >= self.max_length {
            return Ok(());
        }
        let counts = &mut self.scratch.counts;
        for (code, &(other, _)) in (1..).zip(&frequent) {
            counts[other as usize] = code;
        }
        let partners = collected(frequent.iter().rev().map(|&(other, _)| other))?;
        let mut ranks: Vec<u32> = Vec::new();
        let (mut rows, mut pairs) = (0, 0);
        for &place in places {
            let start = ranks.len();
            more(&mut ranks, frequent.len())?;
            let keep = |other: u32| {
                let code = counts[other as usize];
                if code != 0 {
                    ranks.push(code - 1);
                }
            };
            match database.long_behind(place) {
                Some(row) => row.visit(&partners, keep),
                None => database.behind(place, keep),
            }
            let length = ranks.len() - start;
            if length < 2 {
                ranks.truncate(start);
            } else {
                ranks[start + length - 1] |= END;
                rows += 1;
                pairs += length * (length - 1) / 2;
            }
        }
        for &(other, _) in &frequent {
            counts[other as usize] = 0;
        }
        if rows < self.min_count as usize {
            return Ok(());
        }
        let names = collected(frequent.iter().map(|&(other, _)| names[other as usize]))?;
        let parents = parent.extended(&frequent, first)?;
        let words = rows.div_ceil(64);
        if (self.ways.vectors)(names.len(), words, pairs) {
            let base = self.scratch.vectors.add(names.len(), words)?;
            let mut row = 0;
            for &rank in &ranks {
                self.scratch.vectors.set(base + (rank & !END) as usize * words, row);
                row += usize::from(rank & END != 0);
            }
            self.grow_bits(base, words, &names, &parents)?;
            self.scratch.vectors.truncate(base);
            return Ok(());
        }
        let conditional = Places::new(ranks, names.len())?;
        (1..).zip(&parents[1..]).try_for_each(|(rank, &parent)| self.grow(&conditional, &names, rank, parent))
    }

    /// Mines a database of bit vectors: rank `r` is the `words` words from `base + r * words`.
    fn grow_bits(&mut self, base: usize, words: usize, names: &[u32], parents: &[Parent]) -> Result<()> {
        (1..names.len()).try_for_each(|rank| self.join(base, words, names, rank, parents[rank]))
    }

    /// Mines what one rank of such a database, whose set is `parent`, makes with the smaller ones.
    fn join(&mut self, base: usize, words: usize, names: &[u32], rank: usize, parent: Parent) -> Result<()> {
        if parent.length as usize >= self.max_length {
            return Ok(());
        }
        let top = self.scratch.vectors.len();
        let mut frequent: Vec<(u32, u32)> = Vec::new();
        for (other, &name) in names[..rank].iter().enumerate() {
            let vectors = &mut self.scratch.vectors;
            let end = vectors.len();
            let count = vectors.join(base + rank * words, base + other * words, words)?;
            if count >= self.min_count {
                push(&mut frequent, (name, count))?;
            }
            if count < self.min_count || count == parent.support {
                vectors.truncate(end);
            }
        }
        let first = self.emit(parent, &mut frequent, |name| name)?;
        if frequent.len() > 1 && parent.length as usize + 1 < self.max_length {
            let words = if (self.ways.narrow)(frequent.len(), words, parent.support as usize) {
                self.scratch.vectors.narrow(base + rank * words..base + (rank + 1) * words, top)?
            } else {
                words
            };
            let parents = parent.extended(&frequent, first)?;
            let names = collected(frequent.iter().map(|&(name, _)| name))?;
            self.grow_bits(top, words, &names, &parents)?;
        }
        self.scratch.vectors.truncate(top);
        Ok(())
    }

    /// Keeps the sets that extend `parent` by one of `extensions`, (tag, rows), and leaves in there what its database needs;
    /// the node of the first.
    fn emit(&mut self, parent: Parent, extensions: &mut Vec<(u32, u32)>, rank: impl Fn(u32) -> u32) -> Result<u32> {
        let (found, before) = (extensions.len(), self.found.load(Ordering::Relaxed));
        let full = &mut self.full;
        more(full, extensions.len())?;
        extensions.retain(|&(tag, count)| {
            if count == parent.support {
                full.push((parent.node, rank(tag)));
            }
            count < parent.support
        });
        let first = self.nodes.len() as u32 + 1;
        let node = |&(tag, count): &(u32, u32)| Node {
            parent: parent.node,
            rank: rank(tag),
            count,
            length: parent.length + 1,
        };
        more(&mut self.nodes, extensions.len())?;
        self.nodes.extend(extensions.iter().map(node));
        // Tags that stand in every row of the parent: each choice of them is a set as well.
        let sure = choices(found - extensions.len(), self.max_length - parent.length as usize);
        let total = self.found.fetch_add(extensions.len(), Ordering::Relaxed) + extensions.len();
        let fit = total <= self.limit && before.saturating_add(sure) <= self.limit;
        if fit { Ok(first) } else { Err(too_many(self.limit)) }
    }

    /// All sets of the task, whose own tag is in `support` rows.
    fn all(self, support: u32) -> Result<Vec<Node>> {
        if self.full.is_empty() {
            return Ok(self.nodes);
        }
        let (found, limit) = (self.found, self.limit);
        found.fetch_sub(self.nodes.len(), Ordering::Relaxed);
        let admit = |sets: usize| {
            let total = found.fetch_add(sets, Ordering::Relaxed) + sets;
            if total <= limit { Ok(()) } else { Err(too_many(limit)) }
        };
        expand(&self.nodes, self.full, support, self.max_length, admit)
    }
}

/// How many sets of 1 to `length` of `full` tags there are, saturating.
fn choices(full: usize, length: usize) -> usize {
    let mut term = 1usize;
    let mut sum = 0usize;
    for chosen in 1..=full.min(length) {
        term = term.saturating_mul(full - chosen + 1) / chosen;
        sum = sum.saturating_add(term);
        if sum > END as usize {
            return usize::MAX;
        }
    }
    sum
}

/// The sets of all tasks, in the order promised.
fn assemble(tags: &[u32], supports: &[u32], mined: Vec<Vec<Node>>) -> Result<Itemsets> {
    let mut nodes: Vec<Node> = reserved(supports.len() + mined.iter().map(Vec::len).sum::<usize>())?;
    nodes.extend((0..).zip(supports).map(|(rank, &count)| Node { parent: rank, rank, count, length: 1 }));
    for (task, found) in (0..).zip(mined) {
        let base = nodes.len() as u32;
        nodes.extend(
            found
                .into_iter()
                .map(|node| Node { parent: if node.parent == 0 { task } else { base + node.parent - 1 }, ..node }),
        );
    }
    // Sets of one length were found in colexicographic order of ranks: the position breaks ties between counts.
    let key = |node: &Node| u64::from(node.length) << 32 | u64::from(!node.count);
    let mut order: Vec<(u64, u32)> = reserved(nodes.len())?;
    nodes.par_iter().map(key).zip(0..nodes.len() as u32).collect_into_vec(&mut order);
    order.par_sort_unstable();
    let held = nodes.iter().map(|node| node.length as usize).sum();
    let mut sets =
        Itemsets { offsets: reserved(nodes.len() + 1)?, ids: reserved(held)?, counts: reserved(nodes.len())? };
    sets.offsets.push(0);
    for &(_, at) in &order {
        let mut node = nodes[at as usize];
        sets.counts.push(i64::from(node.count));
        for _ in 1..node.length {
            sets.ids.push(tags[node.rank as usize]);
            node = nodes[node.parent as usize];
        }
        sets.ids.push(tags[node.rank as usize]);
        sets.offsets.push(sets.ids.len() as i64);
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use std::collections::HashMap;

    const TAGS: u32 = 9;

    /// Rows that are copies of few, each less some tags: sets are long, shared by many rows, and tags stand together.
    fn tables() -> impl Strategy<Value = Vec<Vec<u32>>> {
        let kinds = vec(1..1u32 << TAGS, 1..6);
        (kinds, vec((any::<prop::sample::Index>(), any::<u32>(), any::<u32>()), 1..300)).prop_map(|(kinds, rows)| {
            let row = |(kind, one, two): (prop::sample::Index, u32, u32)| kind.get(&kinds) & (one | two);
            let held = |bits: u32| (0..TAGS).filter(|tag| bits >> tag & 1 == 1).collect();
            rows.into_iter().map(row).map(held).collect()
        })
    }

    /// Every subset of every row.
    fn counted(rows: &[Vec<u32>], bounds: Bounds) -> HashMap<Vec<u32>, i64> {
        let mut counts = HashMap::new();
        for row in rows {
            for chosen in 1..1usize << row.len() {
                let set: Vec<u32> = (0..row.len()).filter(|at| chosen >> at & 1 == 1).map(|at| row[at]).collect();
                *counts.entry(set).or_insert(0) += 1;
            }
        }
        counts.retain(|set, count| *count >= bounds.min_count && set.len() <= bounds.max_length);
        counts
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0), ..ProptestConfig::default() })]

        /// Whichever databases are made, and whether vectors are cut down at every set or at none, the sets are the same.
        #[test]
        fn all_ways_lead_to_the_sets(rows in tables(), min_count in 1..30i64, max_length in 1..=TAGS as usize) {
            let (mut offsets, ids) = (vec![0], rows.concat());
            for row in &rows {
                offsets.push(offsets[offsets.len() - 1] + row.len() as i64);
            }
            let table = Csr::new(&offsets, &ids, TAGS as usize).unwrap();
            let bounds = Bounds { min_count, max_length, max_itemsets: 1 << 20 };
            let found = frequent_itemsets(table, bounds).unwrap();
            let sets = (0..found.counts.len()).map(|at| {
                let mut set = found.set(at).to_vec();
                set.sort_unstable();
                (set, found.counts[at])
            });
            prop_assert_eq!(sets.collect::<HashMap<_, _>>(), counted(&rows, bounds));

            // At the root, below it, or nowhere.
            let vectors: [fn(usize, usize, usize) -> bool; 3] =
                [|_, _, _| true, |tags, _, _| tags < TAGS as usize - 1, |_, _, _| false];
            let narrow: [fn(usize, usize, usize) -> bool; 3] =
                [|_, _, _| true, |_, words, rows| words > rows.div_ceil(64), |_, _, _| false];
            for vectors in vectors {
                for narrow in narrow {
                    prop_assert_eq!(&mine(table, bounds, Ways { vectors, narrow }).unwrap(), &found);
                }
            }
        }
    }
}
