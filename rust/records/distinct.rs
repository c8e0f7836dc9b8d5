//! Which records are the same sample: by their ids, over all files and within each.
//!
//! Records are dealt out by bits of their ids, so that the hash table of a part stays in the cache and parts need no lock;
//! one pass over the records then numbers the samples. Cost: some 60 bytes an id moved, all threads.
//! Tried: one table for all ids, whose every probe misses the cache, took two to three times the CPU time (1 million: 65 ms
//! against 25, 5 million: 410 against 210).

use arrow_array::StringViewArray;
use arrow_array::builder::StringViewBuilder;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rayon::prelude::*;

use crate::error::{Error, Result};

/// The samples of a pool.
#[derive(Debug, Default)]
pub struct Distinct {
    /// For each record the row of its sample
    pub rows: Vec<i64>,
    /// For each sample the record that holds it first
    pub firsts: Vec<i64>,
    /// For each record whether it is the first of its sample in its own file
    pub fresh: Vec<bool>,
}

/// Records dealt out by one thread at a time.
const RUN: usize = 1 << 16;

/// Ids written by one thread at a time: enough for huge pages.
const IDS: usize = 1 << 18;

/// Records whose table fits into a core's own cache.
const PART: usize = 1 << 13;

/// Tells equal 128-bit ids (in two halves), of files that end before the records `ends`. O(n), all threads.
pub fn unique_rows(high: &[u64], low: &[u64], ends: &[i64]) -> Result<Distinct> {
    same_length(high, low)?;
    if u32::try_from(high.len()).is_err() {
        let (what, hint) = (format!("{} records in one pool", high.len()), "read fewer files at once".to_owned());
        return Err(Error::Limit { what, hint });
    }
    let parts = (high.len() / PART).next_power_of_two();
    let deal = |(run, (high, low)): (usize, (&[u64], &[u64]))| {
        let mut dealt = vec![Vec::with_capacity(high.len() / parts * 5 / 4 + 8); parts];
        for (at, (&high, &low)) in high.iter().zip(low).enumerate() {
            dealt[(high >> 32) as usize & (parts - 1)].push((low, (run * RUN + at) as u32));
        }
        dealt
    };
    let dealt: Vec<Vec<Vec<(u64, u32)>>> =
        high.par_chunks(RUN).zip(low.par_chunks(RUN)).enumerate().map(deal).collect();
    let part = |part: usize| repeats(dealt.iter().flat_map(|run| &run[part]).copied(), high, ends);
    let mut repeats: Vec<Repeat> = (0..parts).into_par_iter().flat_map_iter(part).collect();
    repeats.par_sort_unstable_by_key(|repeat| repeat.at);

    let (mut rows, mut firsts) = (Vec::with_capacity(high.len()), Vec::with_capacity(high.len()));
    let mut fresh = vec![true; high.len()];
    let mut repeats = repeats.into_iter().peekable();
    for (at, fresh) in fresh.iter_mut().enumerate() {
        if let Some(repeat) = repeats.next_if(|repeat| repeat.at as usize == at) {
            rows.push(rows[repeat.first as usize]);
            *fresh = repeat.fresh;
        } else {
            rows.push(firsts.len() as i64);
            firsts.push(at as i64);
        }
    }
    Ok(Distinct { rows, firsts, fresh })
}

/// A record whose id came before.
struct Repeat {
    at: u32,
    first: u32,
    /// Whether no earlier one is in the same file
    fresh: bool,
}

/// The repeats among records of one part, in their order: (low half of the id, record).
fn repeats(records: impl Iterator<Item = (u64, u32)> + Clone, high: &[u64], ends: &[i64]) -> Vec<Repeat> {
    let mut found = Vec::new();
    // (low half, first record, last file) of each id; the low half is a hash already, the high one is compared last
    let mut seen: HashTable<(u64, u32, u32)> = HashTable::with_capacity(records.clone().count());
    let (mut file, mut ends) = (0, ends.iter().peekable());
    for (low, at) in records {
        while ends.next_if(|&&end| end <= i64::from(at)).is_some() {
            file += 1;
        }
        let same = |seen: &(u64, u32, u32)| seen.0 == low && high[seen.1 as usize] == high[at as usize];
        match seen.entry(low, same, |seen| seen.0) {
            Entry::Occupied(mut entry) => {
                let (_, first, last_file) = entry.get_mut();
                found.push(Repeat { at, first: *first, fresh: std::mem::replace(last_file, file) != file });
            }
            Entry::Vacant(entry) => _ = entry.insert((low, at, file)),
        }
    }
    found
}

/// (row, turn) of each sample's queries, and for each query of all records whether it is one of them: those of the
/// records `firsts`, which rise and have `turns` queries each. O(queries).
pub fn query_rows(firsts: &[i64], turns: &[i32]) -> Result<(Vec<i64>, Vec<i32>, Vec<bool>)> {
    let queries = turns.iter().map(|&turns| usize::try_from(turns).unwrap_or(0)).sum();
    let (mut rows, mut numbers, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    rows.try_reserve_exact(queries).map_err(too_many)?;
    numbers.try_reserve_exact(queries).map_err(too_many)?;
    kept.try_reserve_exact(queries).map_err(too_many)?;
    let mut firsts = firsts.iter().copied().zip(0..).peekable();
    for (at, &turns) in turns.iter().enumerate() {
        let row = firsts.next_if(|&(first, _)| first == at as i64).map(|(_, row): (i64, i64)| row);
        for turn in 0..turns {
            kept.push(row.is_some());
            if let Some(row) = row {
                rows.push(row);
                numbers.push(turn);
            }
        }
    }
    Ok((rows, numbers, kept))
}

/// Ids as 32 hexadecimal digits. O(n), all threads.
pub fn hex_ids(high: &[u64], low: &[u64]) -> Result<StringViewArray> {
    same_length(high, low)?;
    let digits =
        |half: u64| half.to_be_bytes().map(|byte| [byte >> 4, byte & 15].map(|d| b"0123456789abcdef"[d as usize]));
    let runs: Vec<StringViewArray> = high
        .par_chunks(IDS)
        .zip(low.par_chunks(IDS))
        .map(|(high, low)| {
            let mut ids = StringViewBuilder::with_capacity(high.len()).with_fixed_block_size(32 * high.len() as u32);
            for id in high.iter().zip(low).map(|(&high, &low)| [digits(high), digits(low)]) {
                ids.append_value(std::str::from_utf8(id.as_flattened().as_flattened()).unwrap_or(""));
            }
            ids.finish()
        })
        .collect();
    let mut ids = StringViewBuilder::with_capacity(high.len());
    for run in &runs {
        ids.append_array(run);
    }
    Ok(ids.finish())
}

fn same_length(high: &[u64], low: &[u64]) -> Result<()> {
    if high.len() == low.len() {
        return Ok(());
    }
    Err(Error::Length { name: "low", found: low.len(), expected: high.len() })
}

fn too_many(_: std::collections::TryReserveError) -> Error {
    Error::Limit { what: "more queries than memory holds".into(), hint: "read fewer files at once".into() }
}
