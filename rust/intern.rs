//! From a column of tag lists to ids: every distinct string is hashed and stored once.
//!
//! The vocabulary comes out ordered by count (rows that hold the tag) descending, then bytewise, so equal data gives
//! equal ids whatever the order of rows, chunks or threads.
//!
//! Cost: O(values); rows are split among the threads, each with a vocabulary of its own (a mergeable partial).
//! Where Polars gathered a column from fewer strings, a repeated string is the same 16-byte view, and a small
//! direct-mapped cache of views answers without touching the string; columns cast or read from files share nothing,
//! which the cache notices, and steps aside (it cost a tenth there). What is left is one hash and one comparison a
//! value, bound by memory: an entry holds hash, string and id in half a cache line.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::downcast_integer;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{Array, ArrayRef, DictionaryArray, GenericStringArray, OffsetSizeTrait, StringViewArray};
use arrow_schema::DataType;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rayon::prelude::*;
use rustc_hash::FxHasher;
use std::hash::Hasher;

use crate::error::{Error, Result};
use crate::strings::{Lists, borrow_strs};

/// A tag table as the core makes it; the tags are borrowed from the column.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Interned<'a> {
    /// Distinct tags, by count descending, then bytewise.
    pub vocabulary: Vec<&'a str>,
    /// Row bounds in `ids`.
    pub offsets: Vec<i64>,
    /// Tag ids; within a row in the order of the column, the first of equal tags kept.
    pub ids: Vec<u32>,
    /// Rows that hold each tag.
    pub counts: Vec<i64>,
}

/// Fewer rows are not worth a thread.
const MIN_ROWS: usize = 1 << 14;
/// Slots of 32 bytes: a megabyte, about the second-level cache (a quarter and eight times of it were not faster).
const CACHE_BITS: u32 = 15;

/// Interns the chunks of one `list<string>` column. Null rows are empty, null tags are left out.
pub fn intern(chunks: &[ArrayRef]) -> Result<Interned<'_>> {
    let chunks = chunks.iter().map(|chunk| Lists::of(chunk.as_ref())).collect::<Result<Vec<_>>>()?;
    let rows: usize = chunks.iter().map(Lists::len).sum();
    let shards = rayon::current_num_threads().clamp(1, rows / MIN_ROWS + 1);
    let shards: Result<Vec<_>> = (0..shards)
        .into_par_iter()
        .map(|at| Shard::of(&chunks, rows * at / shards..rows * (at + 1) / shards))
        .collect();
    merge(shards?)
}

/// The tags of some rows, numbered by first appearance.
#[derive(Default)]
struct Shard<'a> {
    index: HashTable<(u64, &'a str, u32)>,
    strings: Vec<&'a str>,
    tallies: Vec<Tally>,
    ids: Vec<u32>,
    ends: Vec<i64>,
    full: bool,
}

/// A tag's rows so far, and the last of them (counted from 1), which keeps repeats in a row out.
#[derive(Clone, Copy, Default)]
struct Tally {
    rows: i64,
    last: usize,
}

/// Ids of the views met last.
struct Cache {
    slots: Vec<Slot>,
    looked: usize,
    found: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    view: u128,
    chunk: u32,
    id: u32,
}

impl Cache {
    fn new() -> Self {
        Self { slots: vec![Slot { view: 0, chunk: u32::MAX, id: 0 }; 1 << CACHE_BITS], looked: 0, found: 0 }
    }

    /// The slot for a view; none where the last thousands of views were hardly ever met again.
    fn slot(&mut self, view: u128) -> Option<&mut Slot> {
        if self.looked >= 1 << CACHE_BITS && self.found < self.looked / 2 {
            return None;
        }
        self.looked += 1;
        let mixed = (view as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (view >> 64) as u64;
        self.slots.get_mut((mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - CACHE_BITS)) as usize)
    }
}

impl<'a> Shard<'a> {
    /// The shard of `rows`, counted over all chunks.
    fn of(chunks: &[Lists<'a>], rows: Range<usize>) -> Result<Self> {
        let mut shard = Self { ends: Vec::with_capacity(rows.len()), ..Self::default() };
        let mut cache = Cache::new();
        let mut start = 0;
        for (number, lists) in chunks.iter().enumerate() {
            let within = rows.start.max(start) - start..rows.end.clamp(start, start + lists.len()) - start;
            start += lists.len();
            let Some(values) = lists.values().filter(|_| within.start < within.end) else {
                let empty = within.len(); // rows of a chunk that holds nothing but nulls
                shard.ends.extend(std::iter::repeat_n(shard.ids.len() as i64, empty));
                continue;
            };
            shard.add_column(lists, values, within, number as u32, &mut cache)?;
        }
        if shard.full {
            return Err(full());
        }
        Ok(shard)
    }

    fn add_column(
        &mut self,
        lists: &Lists<'a>,
        values: &'a ArrayRef,
        rows: Range<usize>,
        chunk: u32,
        cache: &mut Cache,
    ) -> Result<()> {
        match values.data_type() {
            DataType::Utf8View => self.add_views(lists, values.as_string_view(), rows, chunk, cache),
            DataType::Utf8 => self.add_plain(lists, values.as_string::<i32>(), rows),
            DataType::LargeUtf8 => self.add_plain(lists, values.as_string::<i64>(), rows),
            DataType::Null => self.add(lists, rows, |_, _| None),
            DataType::Dictionary(keys, _) => {
                macro_rules! add_codes {
                    ($key:ty) => {
                        self.add_codes(lists, values.as_dictionary::<$key>(), rows)?
                    };
                }
                downcast_integer! {
                    keys.as_ref() => (add_codes),
                    other => return Err(Error::Column(format!("a dictionary with keys of type {other}"))),
                }
            }
            other => return Err(Error::Column(other.to_string())),
        }
        Ok(())
    }

    fn add_views(
        &mut self,
        lists: &Lists<'a>,
        values: &'a StringViewArray,
        rows: Range<usize>,
        chunk: u32,
        cache: &mut Cache,
    ) {
        let views: &[u128] = values.views();
        let nulls = values.nulls();
        self.add(lists, rows, |shard, at| {
            let view = *views.get(at)?;
            if nulls.is_some_and(|nulls| nulls.is_null(at)) {
                return None;
            }
            let Some(slot) = cache.slot(view) else { return shard.id(values.value(at)) };
            if slot.view == view && slot.chunk == chunk {
                let id = slot.id;
                cache.found += 1;
                return Some(id);
            }
            let id = shard.id(values.value(at))?;
            *slot = Slot { view, chunk, id };
            Some(id)
        });
    }

    fn add_plain<O: OffsetSizeTrait>(
        &mut self,
        lists: &Lists<'a>,
        values: &'a GenericStringArray<O>,
        rows: Range<usize>,
    ) {
        self.add(
            lists,
            rows,
            |shard, at| {
                if at >= values.len() || values.is_null(at) { None } else { shard.id(values.value(at)) }
            },
        );
    }

    /// Codes are ids but for one table: a value of the dictionary is hashed when its code is first met.
    fn add_codes<K: ArrowDictionaryKeyType>(
        &mut self,
        lists: &Lists<'a>,
        values: &'a DictionaryArray<K>,
        rows: Range<usize>,
    ) -> Result<()> {
        let words = borrow_strs(values.values().as_ref())?;
        let mut met: Vec<Option<u32>> = vec![None; words.len()];
        let keys = values.keys();
        self.add(lists, rows, |shard, at| {
            if at >= keys.len() {
                return None;
            }
            let code = values.key(at)?;
            let id = met.get_mut(code)?;
            if id.is_none() {
                *id = shard.id((*words.get(code)?)?);
            }
            *id
        });
        Ok(())
    }

    /// Appends rows, each value's id told by `id_of`.
    fn add(&mut self, lists: &Lists<'a>, rows: Range<usize>, mut id_of: impl FnMut(&mut Self, usize) -> Option<u32>) {
        for row in rows {
            let number = self.ends.len() + 1;
            for at in lists.row(row) {
                let Some(id) = id_of(self, at) else { continue };
                let Some(tally) = self.tallies.get_mut(id as usize) else { continue };
                if tally.last != number {
                    *tally = Tally { rows: tally.rows + 1, last: number };
                    self.ids.push(id);
                }
            }
            self.ends.push(self.ids.len() as i64);
        }
    }

    /// The id of a string, a new one where it was not met before.
    fn id(&mut self, text: &'a str) -> Option<u32> {
        let mut hasher = FxHasher::default();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        match self.index.entry(hash, |&(h, known, _)| h == hash && known == text, |&(h, ..)| h) {
            Entry::Occupied(entry) => Some(entry.get().2),
            Entry::Vacant(entry) => {
                let id = self.strings.len() as u32;
                if id == u32::MAX {
                    self.full = true;
                    return None;
                }
                entry.insert((hash, text, id));
                self.strings.push(text);
                self.tallies.push(Tally::default());
                Some(id)
            }
        }
    }
}

fn full() -> Error {
    Error::Limit {
        what: "the column holds 2^32 - 1 distinct tags or more".into(),
        hint: "drop rare tags first, shard by shard".into(),
    }
}

/// One table of all shards, numbered by count descending, then bytewise.
fn merge(shards: Vec<Shard<'_>>) -> Result<Interned<'_>> {
    let mut whole = Shard::default();
    let mut maps = Vec::with_capacity(shards.len()); // a shard's id -> the whole's
    let mut rows = Vec::with_capacity(shards.len());
    for (at, mut shard) in shards.into_iter().enumerate() {
        rows.push((std::mem::take(&mut shard.ends), std::mem::take(&mut shard.ids)));
        if at == 0 {
            maps.push((0..shard.strings.len() as u32).collect());
            whole = shard;
            continue;
        }
        let mut map = Vec::with_capacity(shard.strings.len());
        for (text, tally) in shard.strings.iter().zip(&shard.tallies) {
            let id = whole.id(text).ok_or_else(full)?;
            whole.tallies[id as usize].rows += tally.rows;
            map.push(id);
        }
        maps.push(map);
    }

    // Sorted by numbers where they tell: count, then the first eight bytes, then the string itself.
    let tags = whole.strings.iter().zip(&whole.tallies).zip(0u32..);
    let mut order: Vec<_> = tags.map(|((text, tally), id)| (-tally.rows, prefix(text), *text, id)).collect();
    order.par_sort_unstable();
    let mut rank = vec![0u32; order.len()];
    for (place, &(_, _, _, id)) in (0u32..).zip(&order) {
        rank[id as usize] = place;
    }
    maps.par_iter_mut().flatten().for_each(|id| *id = rank[*id as usize]);

    let mut offsets = vec![0];
    let mut ids = vec![0; rows.iter().map(|(_, ids)| ids.len()).sum()];
    let (mut left, mut parts) = (ids.as_mut_slice(), Vec::with_capacity(rows.len()));
    for ((ends, local), map) in rows.iter().zip(&maps) {
        let base = offsets.last().copied().unwrap_or(0);
        offsets.extend(ends.iter().map(|end| base + end));
        let (part, after) = left.split_at_mut(local.len());
        left = after;
        parts.push((part, local, map));
    }
    parts.into_par_iter().for_each(|(part, local, map)| {
        for (new, &old) in part.iter_mut().zip(local) {
            *new = map[old as usize];
        }
    });
    let vocabulary = order.iter().map(|&(_, _, text, _)| text).collect();
    let counts = order.iter().map(|&(count, ..)| -count).collect();
    Ok(Interned { vocabulary, offsets, ids, counts })
}

/// The first eight bytes as a number that orders as they do.
fn prefix(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let len = text.len().min(8);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    u64::from_be_bytes(bytes)
}
