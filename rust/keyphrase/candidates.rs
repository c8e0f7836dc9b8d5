//! What one query could be tagged with: strings, their kind, a weight by where they stand, and the place in the text.
//!
//! A candidate knows nothing of other queries; `choose.rs` weighs them over the pool.

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::fmt::Write as _;
use std::hash::Hasher;

/// What a candidate is, in the order in which a query's tags stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A canonical intention: "creative writing".
    Intention,
    /// The intention that the form of a question tells: "causal explanation".
    Question,
    /// A question that tells no more than that it is one: "factual question".
    Bare,
    /// A verb and its object: "write essay".
    VerbObject,
    /// Programming language, format asked for, form of the task.
    Fact,
    /// A noun phrase.
    Topic,
    /// A run of characters of a script without spaces, which the pool alone can tell to be a word.
    Gram,
    /// A turn of a conversation: "confirmation".
    Act,
    /// The language of the query, where it is not English.
    Language,
}

impl Kind {
    /// Every kind, by its number.
    pub const ALL: [Self; 9] = [
        Self::Intention,
        Self::Question,
        Self::Bare,
        Self::VerbObject,
        Self::Fact,
        Self::Topic,
        Self::Gram,
        Self::Act,
        Self::Language,
    ];

    /// How a tag's explanation begins.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Intention => "intention",
            Self::Question | Self::Bare => "kind of question",
            Self::VerbObject => "verb and object",
            Self::Fact => "form or subject named",
            Self::Act => "turn of a conversation",
            Self::Topic => "noun phrase",
            Self::Gram => "phrase frequent in the pool",
            Self::Language => "language of the query",
        }
    }
}

/// One candidate of one query. The text is `strings[id]` of its [`Candidates`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which string.
    pub id: u32,
    /// What it is.
    pub kind: Kind,
    /// Weight within the query, 1 to 1,000: what it is made of and where it stands.
    pub weight: u16,
    /// First byte in the query of what it was read from.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The candidates of a run of queries, with their strings stored once and counted.
#[derive(Debug, Default)]
pub struct Candidates {
    index: HashTable<u32>,
    /// Distinct strings, in order of first appearance.
    pub strings: Vec<Box<str>>,
    /// Queries that hold each string: a partial, added up over shards.
    pub counts: Vec<u32>,
    last: Vec<u32>,
    /// Query bounds in `all`.
    pub offsets: Vec<usize>,
    /// Candidates, query after query, in order of appearance, none twice in a query.
    pub all: Vec<Candidate>,
    scratch: String,
}

/// Candidates kept of a query; the first ones found are the most telling.
const MOST: usize = 96;

fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

impl Candidates {
    /// Opens the next query.
    pub fn open(&mut self) {
        self.offsets.push(self.all.len());
    }

    /// Number of queries.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are no queries.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The candidates of one query.
    pub fn row(&self, row: usize) -> &[Candidate] {
        let end = self.offsets.get(row + 1).copied().unwrap_or(self.all.len());
        self.offsets.get(row).and_then(|&start| self.all.get(start..end)).unwrap_or(&[])
    }

    /// Adds a candidate to the query opened last; a string that the query has already keeps its better (kind, weight).
    pub fn add(&mut self, text: std::fmt::Arguments<'_>, kind: Kind, weight: u32, span: (u32, u32)) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let _ = scratch.write_fmt(text); // writing to a string cannot fail
        let id = self.intern(&scratch);
        self.scratch = scratch;
        let weight = weight.clamp(1, 1000) as u16;
        let row = self.offsets.len() as u32;
        let from = self.offsets.last().copied().unwrap_or(0);
        let slot = id as usize;
        if self.last[slot] == row {
            let found = self.all[from..].iter_mut().find(|candidate| candidate.id == id);
            if let Some(found) = found.filter(|found| (kind, u16::MAX - weight) < (found.kind, u16::MAX - found.weight))
            {
                *found = Candidate { id, kind, weight, start: span.0, end: span.1 };
            }
        } else if self.all.len() - from < MOST {
            self.last[slot] = row;
            self.counts[slot] += 1;
            self.all.push(Candidate { id, kind, weight, start: span.0, end: span.1 });
        }
    }

    fn intern(&mut self, text: &str) -> u32 {
        let (hash, strings) = (hash(text), &self.strings);
        if let Some(&id) = self.index.find(hash, |&id| &*strings[id as usize] == text) {
            return id;
        }
        let id = self.strings.len() as u32;
        self.strings.push(text.into());
        self.counts.push(0);
        self.last.push(0);
        let strings = &self.strings;
        self.index.insert_unique(hash, id, |&id| self::hash(&strings[id as usize]));
        id
    }

    /// Appends another run: strings are matched, counts added. The order of runs is the order of queries, so the result
    /// is the same however the queries were cut.
    pub fn merge(&mut self, other: &Self) {
        let map: Vec<u32> = other.strings.iter().map(|text| self.intern(text)).collect();
        for (&id, count) in map.iter().zip(&other.counts) {
            self.counts[id as usize] += count;
        }
        let base = self.all.len();
        self.offsets.extend(other.offsets.iter().map(|offset| base + offset));
        self.all.extend(other.all.iter().map(|c| Candidate { id: map[c.id as usize], ..*c }));
    }
}
