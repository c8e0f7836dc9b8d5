//! From a column of tag lists to ids: every distinct string is hashed and stored once.
//!
//! The vocabulary comes out ordered by count (rows that hold the tag) descending, then bytewise, so equal data gives
//! equal ids whatever the order of rows, chunks or threads.

use arrow_array::{Array, ArrayRef};
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::Hasher;

use crate::csr::{Csr, remap, tag_counts};
use crate::error::{Error, Result};
use crate::strings::{for_each_str, list_parts};

/// A tag table as the core makes it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Interned {
    /// Distinct tags, by count descending, then bytewise.
    pub vocabulary: Vec<String>,
    /// Row bounds in `ids`.
    pub offsets: Vec<i64>,
    /// Tag ids; within a row in the order of the column, the first of equal tags kept.
    pub ids: Vec<u32>,
    /// Rows that hold each tag.
    pub counts: Vec<i64>,
}

fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Interns the chunks of one `list<string>` column. Null rows are empty, null tags are left out.
pub fn intern(chunks: &[ArrayRef]) -> Result<Interned> {
    let mut index: HashTable<u32> = HashTable::new();
    let mut strings: Vec<String> = Vec::new();
    let mut offsets = vec![0i64];
    let mut ids = Vec::new();
    for chunk in chunks {
        let (bounds, child) = list_parts(chunk.as_ref())?;
        let mut codes: Vec<Option<u32>> = Vec::with_capacity(child.len());
        let mut full = false;
        for_each_str(child.as_ref(), &mut |value| {
            codes.push(value.and_then(|value| {
                let hash = hash(value);
                if let Some(&id) = index.find(hash, |&id| strings[id as usize] == value) {
                    return Some(id);
                }
                let Ok(id) = u32::try_from(strings.len()) else {
                    full = true;
                    return None;
                };
                strings.push(value.to_owned());
                index.insert_unique(hash, id, |&id| self::hash(&strings[id as usize]));
                Some(id)
            }));
        })?;
        if full || strings.len() >= u32::MAX as usize {
            return Err(Error::Limit {
                what: "the column holds 2^32 - 1 distinct tags or more".into(),
                hint: "drop rare tags first, shard by shard".into(),
            });
        }
        for (start, end) in bounds {
            ids.extend(codes.get(start..end).unwrap_or(&[]).iter().flatten());
            offsets.push(ids.len() as i64);
        }
    }
    order(&strings, &offsets, &ids)
}

/// Renumbers ids by count descending, then bytewise, and keeps the first of equal ids in a row.
fn order(strings: &[String], offsets: &[i64], ids: &[u32]) -> Result<Interned> {
    let rows = Csr::new(offsets, ids, strings.len())?;
    let counts = tag_counts(rows);
    let mut by_rank: Vec<u32> = (0..strings.len() as u32).collect();
    by_rank.sort_unstable_by(|&a, &b| {
        let (a, b) = (a as usize, b as usize);
        counts[b].cmp(&counts[a]).then_with(|| strings[a].cmp(&strings[b]))
    });
    let mut map = vec![0u32; strings.len()];
    for (rank, &id) in by_rank.iter().enumerate() {
        map[id as usize] = rank as u32;
    }
    let (offsets, ids) = remap(rows, &map, strings.len())?;
    let vocabulary = by_rank.iter().map(|&id| strings[id as usize].clone()).collect();
    let counts = by_rank.iter().map(|&id| counts[id as usize]).collect();
    Ok(Interned { vocabulary, offsets, ids, counts })
}
