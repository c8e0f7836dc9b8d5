//! Sampling without replacement from given random bits (Fisher-Yates), so that one seed draws the same anywhere.

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::room::reserved;

/// The first `bits.len()` entries of a shuffled `0..n`, one 64-bit draw each; fewer bits draw a prefix. O(draws), or O(n).
pub fn draw(n: usize, bits: &[u64]) -> Result<Vec<i64>> {
    if i64::try_from(n).is_err() {
        return Err(Error::Setting { name: "n", reason: format!("is {n}, which rows cannot number") });
    }
    if bits.len() > n {
        return Err(Error::Setting { name: "bits", reason: format!("draws {} of {n}", bits.len()) });
    }
    let target = |at: usize, bits: u64| at + ((u128::from(bits) * (n - at) as u128) >> 64) as usize;
    if bits.len() < n / 16 {
        // Few draws: only the entries that moved are written down.
        let mut moved: FxHashMap<usize, usize> = FxHashMap::default();
        let drawn = bits.iter().enumerate().map(|(at, &bits)| {
            let to = target(at, bits);
            let here = moved.get(&at).copied().unwrap_or(at);
            moved.insert(to, here).unwrap_or(to) as i64
        });
        return Ok(drawn.collect());
    }
    let mut entries = reserved(n)?;
    entries.extend(0..n as i64);
    for (at, &bits) in bits.iter().enumerate() {
        entries.swap(at, target(at, bits));
    }
    entries.truncate(bits.len());
    Ok(entries)
}
