//! From a column of tag lists to ids: every distinct string is stored once.
//!
//! The vocabulary comes out ordered by count (rows that hold the tag) descending, then bytewise, so equal data gives
//! equal ids whatever the order of rows, chunks or threads; or, for shards that are merged later, in the order in which
//! they were met, which spares the sorting.
//!
//! Cost: O(values); rows are split among the threads, each with a vocabulary of its own (a mergeable partial). What must
//! be read of a value is its view, 16 bytes, and its text where no view like it was met; what costs is where a string is
//! looked up, at random in tables of a few megabytes (vocabulary.rs), and where its rows are counted, 8 bytes each.
//! Measured on a million rows, 4.5 million values, 172,000 distinct, one thread on a busy machine, CPU time: views of one
//! dictionary page 107 ms (296 when nearly every string was hashed and compared), as many copies of each string 130 ms
//! (280). What bought it: short strings as their own keys; long views known by where they point (before, a small
//! cache of views, too small for a long tail); distinct long texts end to end in one buffer instead of all over the
//! column; hashes of a block first, then their entries, then the texts, so that cache misses overlap; rows cut from a
//! block without a branch a row (cutting.rs).

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::downcast_integer;
use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{Array, ArrayRef, DictionaryArray, GenericStringArray, OffsetSizeTrait, StringViewArray};
use arrow_schema::DataType;
use rayon::prelude::*;

use crate::cutting::{Rows, too_long};
use crate::error::{Error, Result};
use crate::room::{collected, filled, lengthen, more, no_room, push, reserved, zeroed};
use crate::strings::{Lists, borrow_strs};
use crate::uniting::by_count;
use crate::vocabulary::{LIMITS, Limits, NONE, SHORT, Vocabulary, short_key};

/// A tag table as the core makes it; the tags are borrowed from the column.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Interned<'a> {
    /// Distinct tags, by count descending, then bytewise; or as they were met.
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
/// More rows could not be told apart by 32 bits.
const MAX_ROWS: usize = u32::MAX as usize;
/// Values that are numbered before they are cut into rows.
const BLOCK: usize = 1 << 10;

/// Interns the chunks of one `list<string>` column. Null rows are empty, null tags are left out.
pub fn intern(chunks: &[ArrayRef]) -> Result<Interned<'_>> {
    intern_within(chunks, LIMITS)
}

/// [`intern`] within other limits.
pub fn intern_within(chunks: &[ArrayRef], limits: Limits) -> Result<Interned<'_>> {
    let mut made = merge(shards(chunks, rayon::current_num_threads(), limits)?)?;
    sort(&mut made)?;
    Ok(made)
}

/// [`intern`], but tags in the order in which they were met (which depends on the number of threads): for shards, whose
/// vocabularies are united and ordered later. `at_once` such calls share the threads.
pub fn intern_shard(chunks: &[ArrayRef], at_once: usize) -> Result<Interned<'_>> {
    merge(shards(chunks, rayon::current_num_threads() / at_once.max(1), LIMITS)?)
}

/// Whether one thread does all the work of so many rows, `at_once` such calls at a time.
pub fn is_done_by_one(rows: usize, at_once: usize) -> bool {
    parts(rows, rayon::current_num_threads() / at_once.max(1)) == 1
}

fn parts(rows: usize, threads: usize) -> usize {
    threads.clamp(1, rows / MIN_ROWS + 1).max(rows / MAX_ROWS + 1)
}

fn shards(chunks: &[ArrayRef], threads: usize, limits: Limits) -> Result<Vec<Shard<'_>>> {
    let chunks = chunks.iter().map(|chunk| Lists::of(chunk.as_ref())).collect::<Result<Vec<_>>>()?;
    let rows: usize = chunks.iter().map(Lists::len).sum();
    let shards = parts(rows, threads);
    let part = |at| Shard::of(&chunks, rows * at / shards..rows * (at + 1) / shards, limits);
    (0..shards).into_par_iter().map(part).collect()
}

/// The tags of some rows, numbered by first appearance.
#[derive(Default)]
struct Shard<'a> {
    limits: Limits,
    vocabulary: Vocabulary<Vec<&'a str>>,
    rows: Rows,
}

impl<'a> Shard<'a> {
    /// The shard of `rows`, counted over all chunks.
    fn of(chunks: &[Lists<'a>], rows: Range<usize>, limits: Limits) -> Result<Self> {
        let vocabulary = Vocabulary::within(limits);
        let mut shard = Self { limits, vocabulary, rows: Rows::reserved(rows.len())? };
        let (mut start, mut coded) = (0, Coded::default());
        for lists in chunks {
            let within = rows.start.max(start) - start..rows.end.clamp(start, start + lists.len()) - start;
            start += lists.len();
            let Some(values) = lists.values().filter(|_| within.start < within.end) else {
                shard.rows.add_empty(within.len())?; // of a chunk that holds nothing but nulls
                continue;
            };
            shard.add_column(lists, values, within, &mut coded)?;
        }
        shard.vocabulary.check()?;
        shard.rows.ids.shrink_to_fit();
        Ok(shard)
    }

    fn add_column(
        &mut self,
        lists: &Lists<'a>,
        values: &'a ArrayRef,
        rows: Range<usize>,
        coded: &mut Coded<'a>,
    ) -> Result<()> {
        match values.data_type() {
            DataType::Utf8View => self.add_views(lists, values.as_string_view(), rows)?,
            DataType::Utf8 => self.add_plain(lists, values.as_string::<i32>(), rows)?,
            DataType::LargeUtf8 => self.add_plain(lists, values.as_string::<i64>(), rows)?,
            DataType::Null => self.add(lists, rows, |_, _, _| Ok(()))?,
            DataType::Dictionary(keys, _) => {
                macro_rules! add_codes {
                    ($key:ty) => {
                        self.add_codes(lists, values.as_dictionary::<$key>(), rows, coded)?
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

    fn add_views(&mut self, lists: &Lists<'a>, values: &'a StringViewArray, rows: Range<usize>) -> Result<()> {
        let views: &[u128] = values.views();
        let nulls = values.nulls();
        let span = lists.span(&rows);
        let mut shared = SharedViews::of(values, views.get(span).unwrap_or(&[]))?;
        let (mut wanted, mut long) = (Vec::new(), Vec::new());
        self.add(lists, rows, |vocabulary, at, codes| {
            wanted.clear();
            match &shared {
                Some(_) => more(&mut long, at.len())?,
                None => more(&mut wanted, at.len())?,
            }
            for ((at, code), to) in at.zip(&mut *codes).zip(0..) {
                let Some(&view) = views.get(at).filter(|_| nulls.is_none_or(|nulls| nulls.is_valid(at))) else {
                    continue;
                };
                let len = view as u32 as usize;
                if len <= SHORT
                    && let Some(key) = short_key(view >> 32, len)
                {
                    *code = vocabulary.short_id(key, || values.value(at));
                    continue;
                }
                match &shared {
                    Some(_) => long.push((at, to)),
                    None => *code = vocabulary.id_or_note(values.value(at), to, &mut wanted),
                }
            }
            vocabulary.long_ids(&wanted, codes);
            let Some(shared) = &mut shared else { return Ok(()) };
            for (at, to) in long.drain(..) {
                if let (Some(&view), Some(code)) = (views.get(at), codes.get_mut(to as usize)) {
                    *code = shared.id(view, || vocabulary.id(values.value(at)));
                }
            }
            Ok(())
        })
    }

    fn add_plain<O: OffsetSizeTrait>(
        &mut self,
        lists: &Lists<'a>,
        values: &'a GenericStringArray<O>,
        rows: Range<usize>,
    ) -> Result<()> {
        let mut wanted = Vec::new();
        self.add(lists, rows, |vocabulary, at, codes| {
            wanted.clear();
            more(&mut wanted, at.len())?;
            for ((at, code), to) in at.zip(&mut *codes).zip(0..) {
                if at < values.len() && values.is_valid(at) {
                    *code = vocabulary.id_or_note(values.value(at), to, &mut wanted);
                }
            }
            vocabulary.long_ids(&wanted, codes);
            Ok(())
        })
    }

    /// Codes are ids but for one table: a value of the dictionary is looked up when its code is first met. Chunks of a
    /// file share a dictionary, and the table.
    fn add_codes<K: ArrowDictionaryKeyType>(
        &mut self,
        lists: &Lists<'a>,
        values: &'a DictionaryArray<K>,
        rows: Range<usize>,
        coded: &mut Coded<'a>,
    ) -> Result<()> {
        let Coded { words, met, .. } = coded.of(values.values())?;
        let keys = values.keys();
        self.add(lists, rows, |vocabulary, at, codes| {
            for (at, code) in at.zip(codes) {
                let Some(key) = Some(at).filter(|&at| at < keys.len()).and_then(|at| values.key(at)) else { continue };
                let (Some(id), Some(&Some(word))) = (met.get_mut(key), words.get(key)) else { continue };
                if *id == NONE {
                    *id = vocabulary.id(word);
                }
                *code = *id;
            }
            Ok(())
        })
    }

    /// Appends rows; `number` tells the ids of values at some places, all [`NONE`] before.
    fn add(
        &mut self,
        lists: &Lists<'a>,
        rows: Range<usize>,
        mut number: impl FnMut(&mut Vocabulary<Vec<&'a str>>, Range<usize>, &mut [u32]) -> Result<()>,
    ) -> Result<()> {
        let values = lists.span(&rows).len().min(lists.values().map_or(0, Array::len));
        self.rows.reserve(values)?;
        let (mut codes, mut ends) = (Vec::new(), Vec::new());
        let mut rows = rows.map(|row| lists.row(row)).peekable();
        while let Some(first) = rows.next() {
            // Rows that lie end to end, some values of them: a block. Null and empty rows lie anywhere.
            let mut block = first;
            ends.clear();
            push(&mut ends, block.len())?;
            while let Some(row) = rows.next_if(|row| row.is_empty() || (row.start == block.end && block.len() < BLOCK))
            {
                if !row.is_empty() {
                    block.end = row.end;
                }
                push(&mut ends, block.len())?;
            }
            if block.len() > self.limits.row as usize {
                return Err(too_long(block.len()));
            }
            codes.clear();
            lengthen(&mut codes, block.len(), NONE)?;
            number(&mut self.vocabulary, block, &mut codes)?;
            self.rows.cut(&codes, &ends, self.vocabulary.len())?;
        }
        Ok(())
    }
}

/// The dictionary of the chunk read last, and the ids of its values that were met.
#[derive(Default)]
struct Coded<'a> {
    dictionary: Option<&'a ArrayRef>,
    words: Vec<Option<&'a str>>,
    met: Vec<u32>,
}

impl<'a> Coded<'a> {
    fn of(&mut self, dictionary: &'a ArrayRef) -> Result<&mut Self> {
        if self.dictionary.is_none_or(|last| !last.to_data().ptr_eq(&dictionary.to_data())) {
            let words = borrow_strs(dictionary.as_ref())?;
            let met = filled(words.len(), NONE)?;
            *self = Self { dictionary: Some(dictionary), words, met };
        }
        Ok(self)
    }
}

/// Ids of the long strings of one column whose values repeat views: a view that was met is known by where it points.
///
/// A dictionary page that is read once, or a column gathered from fewer strings, gives the same view for the same
/// string. Such a view is looked up by its place in the buffers, one entry for every 16 bytes of them, without a hash.
struct SharedViews {
    /// The first entry of each buffer.
    starts: Vec<usize>,
    /// The view met last at a place: its id, and above it the rest of what it says; 0 where there was none.
    places: Vec<u64>,
}

/// Views looked at to tell whether they are shared.
const SAMPLE: usize = 1 << 10;
/// Bytes of a buffer with one entry: strings that share one only take turns.
const STRIDE: usize = 16;

impl SharedViews {
    /// None where views seem to hold more text than twice the buffers: then they are not shared, or hardly.
    fn of(values: &StringViewArray, views: &[u128]) -> Result<Option<Self>> {
        let every = views.len() / SAMPLE + 1;
        let long = views.iter().step_by(every).map(|&view| view as u32 as usize).filter(|&len| len > SHORT);
        let buffers = values.data_buffers();
        let bytes: usize = buffers.iter().map(arrow_buffer::Buffer::len).sum();
        if long.sum::<usize>().saturating_mul(every) <= 2 * bytes {
            return Ok(None);
        }
        let (mut starts, mut entries) = (reserved(buffers.len())?, 0);
        for buffer in buffers.iter() {
            starts.push(entries);
            entries += buffer.len() / STRIDE + 1;
        }
        Ok(Some(Self { starts, places: zeroed(entries)? }))
    }

    /// The id of a long view; `id` is asked where it was not met before, or not lately.
    fn id(&mut self, view: u128, id: impl FnOnce() -> u32) -> u32 {
        let (len, buffer, offset) = (view as u32, (view >> 64) as u32 as usize, (view >> 96) as usize);
        let place = self.starts.get(buffer).and_then(|start| self.places.get_mut(start + offset / STRIDE));
        let (Some(place), true) = (place, len < 1 << 28) else { return id() };
        let rest = (len << 4) | (offset % STRIDE) as u32;
        if (*place >> 32) as u32 == rest {
            return *place as u32;
        }
        let id = id();
        *place = (u64::from(rest) << 32) | u64::from(id);
        id
    }
}

/// One table of all shards, numbered as they were met.
fn merge(shards: Vec<Shard<'_>>) -> Result<Interned<'_>> {
    let mut shards = shards.into_iter();
    let Some(mut whole) = shards.next() else { return Ok(Interned { offsets: vec![0], ..Interned::default() }) };
    let mut counts = whole.rows.counts(whole.vocabulary.len())?;
    let mut rows = Vec::with_capacity(shards.len()); // of the shards after the first, with their ids in the whole
    for shard in shards {
        let strings = shard.vocabulary.strings();
        let map = collected(strings.iter().map(|text| whole.vocabulary.id(text)))?;
        whole.vocabulary.check()?;
        lengthen(&mut counts, whole.vocabulary.len(), 0)?;
        for (&id, count) in map.iter().zip(shard.rows.counts(map.len())?) {
            counts[id as usize] += count;
        }
        rows.push((shard.rows.ends, shard.rows.ids, map));
    }

    let mut offsets = zeroed(1 + whole.rows.ends.len() + rows.iter().map(|(ends, ..)| ends.len()).sum::<usize>())?;
    let mut ids = whole.rows.ids;
    let (kept, added) = (ids.len(), rows.iter().map(|(_, ids, _)| ids.len()).sum::<usize>());
    ids.try_reserve_exact(added).map_err(|_| no_room::<u32>(kept + added))?;
    ids.resize(kept + added, 0);
    let (own, mut offsets_left) = offsets[1..].split_at_mut(whole.rows.ends.len());
    own.copy_from_slice(&whole.rows.ends);
    let (mut ids_left, mut base) = (&mut ids[kept..], kept as i64);
    let mut parts = Vec::with_capacity(rows.len());
    for (ends, local, map) in &rows {
        let (new_ends, after_ends) = offsets_left.split_at_mut(ends.len());
        let (new_ids, after_ids) = ids_left.split_at_mut(local.len());
        parts.push((base, ends, new_ends, local, new_ids, map));
        base += local.len() as i64;
        (offsets_left, ids_left) = (after_ends, after_ids);
    }
    parts.into_par_iter().for_each(|(base, ends, new_ends, local, new_ids, map)| {
        new_ends.iter_mut().zip(ends).for_each(|(new, end)| *new = base + end);
        new_ids.iter_mut().zip(local).for_each(|(new, &id)| *new = map[id as usize]);
    });
    Ok(Interned { vocabulary: whole.vocabulary.into_strings(), offsets, ids, counts })
}

/// Numbers the tags by count descending, then bytewise.
pub(crate) fn sort(made: &mut Interned<'_>) -> Result<()> {
    let order = by_count(&made.vocabulary, &made.counts)?;
    let mut rank: Vec<u32> = zeroed(order.len())?;
    for (place, &id) in (0u32..).zip(&order) {
        rank[id as usize] = place;
    }
    made.ids.par_chunks_mut(1 << 16).for_each(|ids| ids.iter_mut().for_each(|id| *id = rank[*id as usize]));
    made.vocabulary = collected(order.iter().map(|&id| made.vocabulary[id as usize]))?;
    made.counts = collected(order.iter().map(|&id| made.counts[id as usize]))?;
    Ok(())
}
