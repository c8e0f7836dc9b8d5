//! The second pass: which of a query's candidates become its tags, weighed over the pool.
//!
//! Whole numbers only, so that equal input gives equal bytes on every machine. Repeated below as `choose_tags` in
//! tests/oracle.py.

use super::candidates::{Candidate, Kind};

/// The most tags a query gets.
pub const MOST_TAGS: usize = 8;

/// Queries of the pool that must hold a part of a run of characters before it is taken for a word, and a request before
/// it stands first.
const GRAM_COUNT: u32 = 3;

/// Below so many tags, its language aside, a query also gets phrases that no other query holds.
const FEW_TAGS: usize = 3;

/// Tags of a kind that a query gets at most.
fn quota(kind: Kind) -> usize {
    match kind {
        Kind::Intention | Kind::Fact => 3,
        Kind::VerbObject | Kind::Act | Kind::Topic | Kind::Gram => 2,
        Kind::Question | Kind::Bare | Kind::Language => 1,
    }
}

/// How much a phrase held by `count` of `queries` tells: rare ones tell more of the query, repeated ones more to the
/// pool; the product of both is flat in the middle and low at the ends (once; nearly everywhere).
fn spread(count: u32, queries: usize) -> u32 {
    let common = count.max(1).ilog2() + 1;
    let rare = (queries as u64 / u64::from(count.max(1)) + 1).ilog2() + 1;
    common.min(8) * rare
}

/// What a candidate is worth among those of its kind.
fn score(candidate: &Candidate, count: u32, queries: usize) -> u32 {
    let weight = u32::from(candidate.weight);
    match candidate.kind {
        Kind::Topic => weight * spread(count, queries),
        Kind::Gram if count >= GRAM_COUNT => weight * spread(count, queries),
        Kind::Gram => 0,
        // Among the long and the short form of one request: the long one where the pool repeats it.
        Kind::VerbObject => weight * count.min(GRAM_COUNT),
        _ => weight,
    }
}

/// The tags of one query as positions in `row`, the most telling first, at most [`MOST_TAGS`].
///
/// A request that the pool repeats stands first, then kinds in the order of [`Kind`]; within a kind by score, ties to
/// the earlier candidate. What the pool holds once
/// fills up to [`FEW_TAGS`] only.
pub fn choose(row: &[Candidate], strings: &[Box<str>], counts: &[u32], queries: usize) -> Vec<usize> {
    let count = |at: usize| counts.get(row[at].id as usize).copied().unwrap_or(0);
    let text = |at: usize| strings.get(row[at].id as usize).map_or("", |text| &**text);
    let mut order: Vec<(Kind, u32, usize)> = Vec::with_capacity(row.len());
    for (at, candidate) in row.iter().enumerate() {
        let score = score(candidate, count(at), queries);
        let kind = if candidate.kind == Kind::Gram { Kind::Topic } else { candidate.kind };
        if score > 0 {
            order.push((kind, u32::MAX - score, at));
        }
    }
    order.sort_unstable();
    let mut chosen: Vec<usize> = Vec::with_capacity(MOST_TAGS);
    // First what does not hang on the pool, then phrases the pool repeats, then, where tags are few, the others.
    for round in 0..3 {
        for &(kind, _, at) in &order {
            let told = chosen.iter().filter(|&&other| row[other].kind != Kind::Language).count();
            let is_phrase = matches!(kind, Kind::VerbObject | Kind::Topic);
            let is_due = match round {
                0 => !is_phrase,
                1 => is_phrase && count(at) >= 2,
                _ => is_phrase && count(at) < 2 && told < FEW_TAGS,
            };
            let of_kind = chosen.iter().filter(|&&other| tier(row[other].kind) == kind);
            let is_free = of_kind.clone().count() < quota(kind) && chosen.len() < MOST_TAGS;
            let is_wanted = kind != Kind::Bare || chosen.iter().all(|&other| row[other].kind > Kind::Bare);
            let is_new = !is_phrase
                || of_kind.clone().all(|&other| !overlaps(&row[other], &row[at]))
                    && !(kind == Kind::Topic
                        && chosen
                            .iter()
                            .any(|&other| says(&row[other], &row[at]) || holds_words(text(other), text(at))));
            if is_due && is_free && is_wanted && is_new {
                chosen.push(at);
            }
        }
    }
    let held = |at: usize| chosen.iter().any(|&other| other != at && holds_words(text(other), text(at)));
    let doubled: Vec<usize> =
        chosen.iter().copied().filter(|&at| tier(row[at].kind) == Kind::Topic && held(at)).collect();
    chosen.retain(|at| !doubled.contains(at));
    let is_repeated = |at: usize| row[at].kind == Kind::VerbObject && count(at) >= GRAM_COUNT;
    chosen.sort_by_key(|&at| (!is_repeated(at), order.iter().position(|entry| entry.2 == at)));
    chosen
}

fn tier(kind: Kind) -> Kind {
    if kind == Kind::Gram { Kind::Topic } else { kind }
}

fn overlaps(a: &Candidate, b: &Candidate) -> bool {
    a.start < b.end && b.start < a.end
}

/// Whether a phrase was read from the words of a cue that has its tag already ("perfect" of a confirmation).
fn says(cue: &Candidate, phrase: &Candidate) -> bool {
    matches!(cue.kind, Kind::Question | Kind::Bare | Kind::Fact | Kind::Act) && overlaps(cue, phrase)
}

/// Whether every word of `small` is a word of `large`.
fn holds_words(large: &str, small: &str) -> bool {
    small.split(' ').all(|word| large.split(' ').any(|other| other == word))
}
