//! Frequent itemsets of any length: every set of tags that at least `min_count` rows hold.
//!
//! FP-Growth (Han, Pei, Yin: Mining Frequent Patterns without Candidate Generation, SIGMOD 2000): tags are ranked by
//! count; the rows that hold a tag, cut down to the more frequent tags, are its conditional database, which is mined in
//! the same way. What stands for a database is chosen by what its pairs cost to count, here and at every depth:
//! - sparse: rows as one array of ranks, descending, so that what follows a tag in its row *is* its conditional row, and
//!   an index of the places of each tag. No tree: on tag tables rows share few prefixes, and nodes cost cache misses;
//! - dense: one bit vector over the rows a tag (Zaki's Eclat on conditional databases); a pair is an AND and a popcount;
//!   rows that a set has not are left out of its vectors where that is cheaper than joining them.
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

use crate::csr::{Csr, tag_counts};
use crate::error::{Error, Result};
use crate::perfect::expand;
use crate::places::{END, Places};

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

/// Counting a pair in one word of a bit vector costs this part of counting it at one place of a row.
const WORDS_A_PLACE: usize = 2;

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
    if bounds.min_count < 1 {
        let reason = format!("is a number of rows, at least 1, found {}", bounds.min_count);
        return Err(Error::Setting { name: "min_count", reason });
    }
    if bounds.max_length < 1 {
        return Err(Error::Setting { name: "max_length", reason: "must be at least 1, found 0".into() });
    }
    let limit = bounds.max_itemsets.min(END as usize);
    let too_many = || Error::Limit {
        what: format!("there are more than {limit} frequent itemsets"),
        hint: "raise `min_count`, bound `max_length`, or raise `max_itemsets` (memory: some 50 bytes a set)".into(),
    };
    if rows.len() >= END as usize || rows.ids().len() >= END as usize {
        return Err(Error::Limit {
            what: format!("{} rows with {} tags are too many to mine at once", rows.len(), rows.ids().len()),
            hint: "mine a sample, with `min_count` scaled to it".into(),
        });
    }
    let counts = tag_counts(rows)?;
    let mut tags: Vec<u32> = (0..rows.size() as u32).filter(|&tag| counts[tag as usize] >= bounds.min_count).collect();
    tags.sort_by_key(|&tag| (Reverse(counts[tag as usize]), tag));
    if tags.len() > limit {
        return Err(too_many());
    }
    let names: Vec<u32> = (0..tags.len() as u32).collect();
    let found = AtomicUsize::new(tags.len());
    let supports: Vec<u32> = tags.iter().map(|&tag| counts[tag as usize] as u32).collect();
    let min_count = u32::try_from(bounds.min_count).unwrap_or(u32::MAX);
    // Frequent tags in all rows; pairs of them are at least as many as if all rows were of one length.
    let (held, words) = (supports.iter().map(|&count| count as usize).sum::<usize>(), rows.len().div_ceil(64));
    let pairs = held / rows.len().max(1) * held.saturating_sub(rows.len()) / 2;
    let vectors = is_dense(tags.len(), words, pairs).then(|| bit_vectors(rows, &tags, words));
    let root = if vectors.is_some() { Places::new(Vec::new(), 0) } else { Places::root(rows, &tags) };
    let mined: Vec<Vec<Node>> = (0..tags.len())
        .into_par_iter()
        .map_init(
            || Scratch { counts: vec![0; tags.len()], touched: Vec::new(), bits: vectors.clone().unwrap_or_default() },
            |scratch, rank| {
                let mut miner = Miner {
                    min_count,
                    max_length: bounds.max_length,
                    limit,
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
                miner.all(supports[rank])
            },
        )
        .collect::<Option<_>>()
        .ok_or_else(too_many)?;
    Ok(assemble(&tags, &supports, mined))
}

/// Whether counting `pairs` pairs of `tags` tags at their places costs more than joining vectors of so many words.
fn is_dense(tags: usize, words: usize, pairs: usize) -> bool {
    (tags * tags.saturating_sub(1) / 2).saturating_mul(words) <= pairs.saturating_mul(WORDS_A_PLACE)
}

/// The rows of each of `tags` as bits, `words` words a tag.
fn bit_vectors(rows: Csr<'_>, tags: &[u32], words: usize) -> Vec<u64> {
    let mut start_of = vec![usize::MAX; rows.size()];
    for (rank, &tag) in tags.iter().enumerate() {
        start_of[tag as usize] = rank * words;
    }
    let mut bits = vec![0u64; tags.len() * words];
    for (row, ids) in rows.rows().enumerate() {
        for &tag in ids {
            let start = start_of.get(tag as usize).copied().unwrap_or(usize::MAX);
            if let Some(word) = bits.get_mut(start.saturating_add(row / 64)) {
                *word |= 1 << (row % 64);
            }
        }
    }
    bits
}

/// What a thread keeps between databases.
struct Scratch {
    /// One counter a rank, all zero between uses.
    counts: Vec<u32>,
    touched: Vec<u32>,
    bits: Vec<u64>,
}

/// The set that a database belongs to.
#[derive(Clone, Copy)]
struct Parent {
    node: u32,
    length: u32,
    support: u32,
}

struct Miner<'a> {
    min_count: u32,
    max_length: usize,
    limit: usize,
    found: &'a AtomicUsize,
    /// The sets of this task; node 0 is the task's own tag, node `n` is `nodes[n - 1]`.
    nodes: Vec<Node>,
    /// (node, tag that stands in all of its rows): sets with these are left out of `nodes`.
    full: Vec<(u32, u32)>,
    scratch: &'a mut Scratch,
}

impl Miner<'_> {
    /// Mines the conditional database of `rank`, whose set is `parent`; `names` are its ranks in the root.
    fn grow(&mut self, database: &Places, names: &[u32], rank: u32, parent: Parent) -> Option<()> {
        let places = database.of(rank);
        if places.len() < self.min_count as usize || parent.length as usize >= self.max_length {
            return Some(());
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
                frequent.push((other, count));
            }
        }
        frequent.sort_unstable();
        let first = self.emit(parent, &mut frequent, |other| names[other as usize])?;
        if frequent.len() < 2 || parent.length as usize + 1 >= self.max_length {
            return Some(());
        }
        let counts = &mut self.scratch.counts;
        for (code, &(other, _)) in (1..).zip(&frequent) {
            counts[other as usize] = code;
        }
        let partners: Vec<u32> = frequent.iter().rev().map(|&(other, _)| other).collect();
        let mut ranks: Vec<u32> = Vec::new();
        let (mut rows, mut pairs) = (0, 0);
        for &place in places {
            let start = ranks.len();
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
                *ranks.last_mut()? |= END;
                rows += 1;
                pairs += length * (length - 1) / 2;
            }
        }
        for &(other, _) in &frequent {
            counts[other as usize] = 0;
        }
        if rows < self.min_count as usize {
            return Some(());
        }
        let names: Vec<u32> = frequent.iter().map(|&(other, _)| names[other as usize]).collect();
        let parents = frequent.iter().zip(first..).map(|(&(_, support), node)| Parent {
            node,
            length: parent.length + 1,
            support,
        });
        let parents: Vec<Parent> = parents.collect();
        let words = rows.div_ceil(64);
        if is_dense(names.len(), words, pairs) {
            let base = self.scratch.bits.len();
            self.scratch.bits.resize(base + names.len() * words, 0);
            let mut row = 0;
            for &rank in &ranks {
                let at = base + (rank & !END) as usize * words + row / 64;
                self.scratch.bits[at] |= 1 << (row % 64);
                row += usize::from(rank & END != 0);
            }
            let done = self.grow_bits(base, words, &names, &parents);
            self.scratch.bits.truncate(base);
            return done;
        }
        let conditional = Places::new(ranks, names.len());
        (1..).zip(&parents[1..]).try_for_each(|(rank, &parent)| self.grow(&conditional, &names, rank, parent))
    }

    /// Mines a database of bit vectors: rank `r` is the `words` words from `base + r * words`.
    fn grow_bits(&mut self, base: usize, words: usize, names: &[u32], parents: &[Parent]) -> Option<()> {
        (1..names.len()).try_for_each(|rank| self.join(base, words, names, rank, parents[rank]))
    }

    /// Mines what one rank of such a database, whose set is `parent`, makes with the smaller ones.
    fn join(&mut self, base: usize, words: usize, names: &[u32], rank: usize, parent: Parent) -> Option<()> {
        if parent.length as usize >= self.max_length {
            return Some(());
        }
        let top = self.scratch.bits.len();
        let mut frequent: Vec<(u32, u32)> = Vec::new();
        for other in 0..rank {
            let bits = &mut self.scratch.bits;
            let end = bits.len();
            bits.resize(end + words, 0);
            let (read, joint) = bits.split_at_mut(end);
            let one = &read[base + rank * words..][..words];
            let two = &read[base + other * words..][..words];
            let mut count = 0;
            for ((joint, one), two) in joint.iter_mut().zip(one).zip(two) {
                *joint = one & two;
                count += joint.count_ones();
            }
            if count >= self.min_count {
                frequent.push((names[other], count));
            }
            if count < self.min_count || count == parent.support {
                bits.truncate(end);
            }
        }
        let first = self.emit(parent, &mut frequent, |name| name)?;
        if frequent.len() > 1 && parent.length as usize + 1 < self.max_length {
            let words = self.narrow(base + rank * words..base + (rank + 1) * words, top, parent.support as usize);
            let parents: Vec<Parent> = frequent
                .iter()
                .zip(first..)
                .map(|(&(_, support), node)| Parent { node, length: parent.length + 1, support })
                .collect();
            let names: Vec<u32> = frequent.iter().map(|&(name, _)| name).collect();
            self.grow_bits(top, words, &names, &parents)?;
        }
        self.scratch.bits.truncate(top);
        Some(())
    }

    /// Leaves out of the vectors from `top` on the rows that `rows` has not, where that costs less than joining them as they
    /// are; how many words a vector has then. `rows` has at most `count`.
    fn narrow(&mut self, rows: std::ops::Range<usize>, top: usize, count: usize) -> usize {
        let Scratch { bits, touched, .. } = self.scratch;
        let words = rows.len();
        let vectors = (bits.len() - top) / words;
        if vectors * words.saturating_sub(count.div_ceil(64)) <= 2 * count {
            return words;
        }
        for (at, mut word) in (0..).zip(&bits[rows]).map(|(at, &word)| (at, word)) {
            while word != 0 {
                touched.push(at * 64 + word.trailing_zeros());
                word &= word - 1;
            }
        }
        let narrow = touched.len().div_ceil(64);
        for vector in 0..vectors {
            let (from, to) = (top + vector * words, top + vector * narrow);
            for (at, rows) in touched.chunks(64).enumerate() {
                let bit = |row: &u32| bits[from + (row / 64) as usize] >> (row % 64) & 1;
                // The word written lies before those still to be read.
                bits[to + at] = rows.iter().rev().fold(0, |word, row| word << 1 | bit(row));
            }
        }
        touched.clear();
        bits.truncate(top + vectors * narrow);
        narrow
    }

    /// Keeps the sets that extend `parent` by one of `extensions`, (tag, rows), and leaves in there what its database needs;
    /// the node of the first, or `None` where there are too many.
    fn emit(&mut self, parent: Parent, extensions: &mut Vec<(u32, u32)>, rank: impl Fn(u32) -> u32) -> Option<u32> {
        let (found, before) = (extensions.len(), self.found.load(Ordering::Relaxed));
        let full = &mut self.full;
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
        self.nodes.extend(extensions.iter().map(node));
        // Tags that stand in every row of the parent: each choice of them is a set as well.
        let sure = choices(found - extensions.len(), self.max_length - parent.length as usize);
        let total = self.found.fetch_add(extensions.len(), Ordering::Relaxed) + extensions.len();
        (total <= self.limit && before.saturating_add(sure) <= self.limit).then_some(first)
    }

    /// All sets of the task, whose own tag is in `support` rows.
    fn all(self, support: u32) -> Option<Vec<Node>> {
        if self.full.is_empty() {
            return Some(self.nodes);
        }
        let (found, limit) = (self.found, self.limit);
        found.fetch_sub(self.nodes.len(), Ordering::Relaxed);
        let admit = |sets: usize| found.fetch_add(sets, Ordering::Relaxed) + sets <= limit;
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
fn assemble(tags: &[u32], supports: &[u32], mined: Vec<Vec<Node>>) -> Itemsets {
    let mut nodes: Vec<Node> =
        (0..).zip(supports).map(|(rank, &count)| Node { parent: rank, rank, count, length: 1 }).collect();
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
    let mut order: Vec<(u64, u32)> = nodes.par_iter().map(key).zip(0..nodes.len() as u32).collect();
    order.par_sort_unstable();
    let mut sets = Itemsets { offsets: Vec::with_capacity(nodes.len() + 1), ..Itemsets::default() };
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
    sets
}
