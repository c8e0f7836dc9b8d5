//! Vocabularies of many shards made one, and a vocabulary put in its order: by count, then bytewise.
//!
//! Both are work on all strings at once, of which there may be 50 million, so it is dealt out into parts, each small enough
//! for a core's cache and gone when it is done. Measured on 10 million strings of twelve bytes, two threads of a busy
//! machine: united in 1.7 - 2.1 s (2.2 - 3.9 with one table a thread), ordered in 1.6 - 1.9 s (as long with all keys at once).
//! Beside the strings' places, 16 bytes each, that takes 8 bytes a string (60 - 100 before) and 5 (44).

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::{Array, ArrayRef};
use rayon::prelude::*;

use crate::csr::check_size;
use crate::error::{Error, Result};
use crate::room::{collected, lengthen, push, reserved, zeroed};
use crate::strings::each_str;
use crate::vocabulary::{BLOCK, LIMITS, Limits, NONE, Vocabulary, full};

/// Texts of a part that are united by themselves, about: more where there would be too many parts.
const PART_TEXTS: usize = 1 << 14;
/// More parts than this are dealt out more slowly.
const MAX_PARTS: usize = 256;
/// Texts looked at for every part that they are to be sorted in.
const SAMPLES: usize = 16;
/// Every value of a string column in chunks, borrowed; a null is the empty string.
pub fn borrow_all(chunks: &[ArrayRef]) -> Result<Vec<&str>> {
    let mut texts = reserved(chunks.iter().map(Array::len).sum())?;
    for chunk in chunks {
        each_str(chunk.as_ref(), &mut |text| texts.push(text.unwrap_or_default()))?;
    }
    Ok(texts)
}

/// The words that are new, the number of each word given, and the sums of their counts by number.
pub type United<'a> = (Vec<&'a str>, Vec<u32>, Vec<i64>);

/// Words with counts, numbered by first appearance: the first `known` are distinct and keep their numbers, others may be
/// among those or repeat.
pub fn unite<'a>(chunks: &'a [ArrayRef], counts: &[i64], known: usize) -> Result<United<'a>> {
    unite_within(chunks, counts, known, LIMITS)
}

/// [`unite`] within other limits.
pub fn unite_within<'a>(chunks: &'a [ArrayRef], counts: &[i64], known: usize, limits: Limits) -> Result<United<'a>> {
    let texts = borrow_all(chunks)?;
    if counts.len() != texts.len() {
        return Err(Error::Length { name: "counts", found: counts.len(), expected: texts.len() });
    }
    let mut numbers = first_places(&texts, limits)?;
    let (mut size, mut new) = (0u32, Vec::new());
    for (place, text) in texts.iter().enumerate() {
        let first = numbers[place] as usize; // not behind `place`, and numbered already where it is before
        numbers[place] = if first == place { size } else { numbers[first] };
        if first == place {
            size += 1;
            if place >= known {
                push(&mut new, *text)?;
            }
        }
    }
    let mut sums = zeroed(size as usize)?;
    for (&number, &count) in numbers.iter().zip(counts) {
        sums[number as usize] = count.wrapping_add(sums[number as usize]);
    }
    Ok((new, numbers, sums))
}

/// For each text the place of the first that is the same.
///
/// Texts are dealt out by their first and last bytes into parts whose tables fit into a core's cache and are gone with the part: one
/// table of 50 million strings would be 2 GB, and every look-up in it a miss.
fn first_places(texts: &[&str], limits: Limits) -> Result<Vec<u32>> {
    if texts.len() >= limits.strings as usize {
        return Err(full());
    }
    let parts = (texts.len() / PART_TEXTS).clamp(1, MAX_PARTS);
    let part_of = |at: usize| {
        let text = texts[at];
        let end = text.as_bytes().last_chunk::<8>().map_or(0, |end| u64::from_le_bytes(*end));
        let mixed = (prefix(text) ^ end.rotate_left(32) ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((u128::from(mixed) * parts as u128) >> 64) as usize
    };
    let (starts, places) = dealt(texts.len(), parts, part_of)?;
    let mut firsts: Vec<AtomicU32> = reserved(texts.len())?;
    firsts.resize_with(texts.len(), AtomicU32::default);
    (0..parts)
        .into_par_iter()
        .try_for_each(|part| note_first_places(texts, &places[starts[part]..starts[part + 1]], &firsts, limits))?;
    Ok(firsts.into_iter().map(AtomicU32::into_inner).collect())
}

/// Notes in `firsts`, for each of the texts at some `places`, the first of them that holds the same.
fn note_first_places(texts: &[&str], places: &[u32], firsts: &[AtomicU32], limits: Limits) -> Result<()> {
    let (mut vocabulary, mut first_of) = (Vocabulary::<()>::within(limits), Vec::new());
    let (mut ids, mut wanted) = (reserved(BLOCK)?, reserved(BLOCK)?);
    for block in places.chunks(BLOCK) {
        ids.clear();
        wanted.clear();
        for (number, &place) in (0..).zip(block) {
            ids.push(vocabulary.id_or_note(texts[place as usize], number, &mut wanted));
        }
        vocabulary.long_ids(&wanted, &mut ids);
        vocabulary.check()?;
        lengthen(&mut first_of, vocabulary.len(), NONE)?;
        for (&id, &place) in ids.iter().zip(block) {
            let Some(first) = first_of.get_mut(id as usize) else { continue };
            *first = place.min(*first);
            firsts[place as usize].store(*first, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// The places of texts, by count descending, then bytewise.
pub fn by_count(texts: &[&str], counts: &[i64]) -> Result<Vec<u32>> {
    if counts.len() != texts.len() {
        return Err(Error::Length { name: "counts", found: counts.len(), expected: texts.len() });
    }
    check_size(texts.len())?;
    let tags = || counts.iter().zip(texts);
    if tags().is_sorted_by(|a, b| (Reverse(a.0), a.1) <= (Reverse(b.0), b.1)) {
        return collected(0..texts.len() as u32); // as interning leaves them
    }
    // By numbers where they tell: count, then the first eight bytes, then the text itself. These are 40 bytes a tag, so
    // they are made part by part, each between two keys of a sample. (16 bytes, and the text looked up by its place where
    // they are equal, took 1.7 times as long.)
    let key = |at: usize| (Reverse(counts[at]), prefix(texts[at]), texts[at]);
    let parts = (texts.len() / PART_TEXTS).clamp(1, MAX_PARTS);
    let mut sample = collected((0..texts.len()).step_by(texts.len() / (parts * SAMPLES) + 1).map(key))?;
    sample.sort_unstable();
    let bounds = collected((1..parts).filter_map(|part| sample.get(part * sample.len() / parts)).copied())?;
    let (starts, mut order) = dealt(texts.len(), parts, |at| bounds.partition_point(|bound| *bound <= key(at)))?;
    let (mut left, mut cut) = (order.as_mut_slice(), Vec::with_capacity(parts));
    for bounds in starts.windows(2) {
        let (part, after) = left.split_at_mut(bounds[1] - bounds[0]);
        cut.push(part);
        left = after;
    }
    cut.into_par_iter().try_for_each(|part| {
        let mut keys = reserved(part.len())?;
        keys.extend(part.iter().map(|&at| (key(at as usize), at)));
        keys.sort_unstable();
        part.iter_mut().zip(keys).for_each(|(place, (_, at))| *place = at);
        Ok::<_, Error>(())
    })?;
    Ok(order)
}

/// The numbers below `len` by the part they belong to, rising in each: (where parts start, the numbers).
fn dealt(len: usize, parts: usize, part_of: impl Fn(usize) -> usize + Sync) -> Result<(Vec<usize>, Vec<u32>)> {
    check_size(len)?;
    let mut part: Vec<u8> = reserved(len)?; // at most `MAX_PARTS`
    (0..len).into_par_iter().map(|at| part_of(at).min(parts - 1) as u8).collect_into_vec(&mut part);
    let mut starts = vec![0; parts + 1];
    for &part in &part {
        starts[usize::from(part) + 1] += 1;
    }
    for part in 0..parts {
        starts[part + 1] += starts[part];
    }
    let (mut next, mut numbers) = (starts.clone(), zeroed(len)?);
    for (at, &part) in (0u32..).zip(&part) {
        let slot = &mut next[usize::from(part)];
        numbers[*slot] = at;
        *slot += 1;
    }
    Ok((starts, numbers))
}

/// The first eight bytes as a number that orders as they do.
fn prefix(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let len = text.len().min(8);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    u64::from_be_bytes(bytes)
}
