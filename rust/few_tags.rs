//! Greedy tag coverage over few tags: thousands of rounds of a few picks each, at a cost a pick, not a pass a round.
//!
//! A row is a mask of tags, and rows of the same mask wait in one queue, the earliest at its head. Masks are cut in two
//! halves, and queues whose low halves are equal are one list. With `open` the mask of tags not covered, the next pick is
//! the best over the lists of what its low half adds plus what the best high half in the list adds. The latter hangs on the
//! high half of `open` alone, which comes back round after round: it is kept for each of the two. Rows only ever leave, so
//! what was kept is a bound, and it is still the best while its row is there: it is looked at again only where its row was
//! picked in the meantime and the bound would win.
//!
//! Cost: O(tags in the pool), then a walk over the lists a pick (at most `2^(tags / 2)`, a thousand at 20 tags), and over
//! the queues of a list where the kept bound is to be found anew; memory 8 bytes for each pair of halves met, at most
//! `2^tags`. 200,000 rows of 1 to 6 of 20 tags, all of them picked (34,289 rounds): 0.46 s CPU, by a pass over the
//! distinct masks a round 11.3 s. Ten million such rows, k = 6,000: 0.23 s, against 5.9 s. Thought of: for each mask of
//! open tags its own queue of the rows that add most (a pick of 6 of 20 tags makes 2^14 of them stale).

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::complexity_first::Picks;
use crate::error::Result;
use crate::rank::Pool;
use crate::room::{collected, lengthen, no_room, push, zeroed};

/// More tags than this make too many halves.
const TAGS: usize = 24;
/// Fewer picks a tag than this are fewer rounds than grouping the rows pays for.
const PICKS_A_TAG: usize = 8;

/// Picks `k` samples by coverage where they hold few tags and rounds will be many; `None` where not.
///
/// The picks are those of [`crate::coverage::max_coverage`] without weights.
pub(crate) fn cover_few(pool: &Pool<'_>, k: usize) -> Result<Option<Picks>> {
    let Some(halves) = Halves::of(pool)?.filter(|halves| k / PICKS_A_TAG >= halves.tags) else { return Ok(None) };
    let mut left = Left::new(pool, &halves)?;
    let mut picks = Picks::default();
    let (mut round, mut open) = (1, halves.all());
    while picks.rows.len() < k {
        if let Some((gain, row)) = left.best(open)? {
            let tags = halves.mask(pool.rows.row(row as usize));
            left.take(row, tags);
            open = Mask { low: open.low & !tags.low, high: open.high & !tags.high };
            picks.push(row, round, gain)?;
        } else if open == halves.all() {
            break;
        } else {
            round += 1;
            open = halves.all();
        }
    }
    Ok(Some(picks))
}

/// Tags as bits, half of them each.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Mask {
    low: u16,
    high: u16,
}

/// Which bit stands for a tag.
struct Halves {
    bit_of: Vec<Mask>,
    tags: usize,
}

impl Halves {
    /// The tags of the samples that may be picked, where these are few.
    fn of(pool: &Pool<'_>) -> Result<Option<Self>> {
        let mut held = zeroed::<bool>(pool.rows.size())?;
        let mut tags = 0;
        for row in (0..pool.rows.len()).filter(|&row| pool.holds(row)) {
            for &tag in pool.rows.row(row) {
                let Some(held) = held.get_mut(tag as usize) else { return Ok(None) };
                tags += usize::from(!std::mem::replace(held, true));
            }
            if tags > TAGS {
                return Ok(None);
            }
        }
        // Neighbors in the vocabulary are about as frequent: one to each half.
        let mut at = 0;
        let bit_of = held.into_iter().map(|held| {
            let bit = u16::from(held) << (at / 2);
            let to_low = at % 2 == 0;
            at += u32::from(held);
            if to_low { Mask { low: bit, high: 0 } } else { Mask { low: 0, high: bit } }
        });
        Ok(Some(Self { bit_of: collected(bit_of)?, tags }))
    }

    fn mask(&self, tags: &[u32]) -> Mask {
        let bits = tags.iter().filter_map(|&tag| self.bit_of.get(tag as usize));
        bits.fold(Mask { low: 0, high: 0 }, |sum, bit| Mask { low: sum.low | bit.low, high: sum.high | bit.high })
    }

    fn all(&self) -> Mask {
        let bits = |count: usize| ((1u32 << count) - 1) as u16;
        Mask { low: bits(self.tags.div_ceil(2)), high: bits(self.tags / 2) }
    }
}

/// What a row adds, then how early it is, as one integer: the larger is picked first. Rows count from 1 here, since row 0
/// stands for what is not known yet, the best that could be.
type Key = u64;

fn key(gain: u8, row: u32) -> Key {
    u64::from(gain) << 32 | u64::from(!row)
}

fn row_of(key: Key) -> u32 {
    !(key as u32)
}

/// The rows of one mask that are left, in `after`; the list they are in says the low half.
struct Queue {
    high: u16,
    head: u32,
}

/// The rows that are left.
struct Left {
    lows: Vec<u16>,         // the low half of each list; 0 where the list is empty
    lists: Vec<Vec<Queue>>, // none empty at first
    list_of: Vec<u32>,      // by low half
    after: Vec<u32>,        // by row: the next row of its mask, 0 behind the last
    taken: Vec<bool>,       // by row; row 0 is not there
    /// By the high half that is open, for each list: its best queue, or what that was; 0 where the list was empty.
    known: Vec<Vec<Key>>,
    bits: Vec<u8>, // how many are set in a half
}

impl Left {
    fn new(pool: &Pool<'_>, halves: &Halves) -> Result<Self> {
        let rows = pool.rows.len();
        let mut after = zeroed(rows + 1)?;
        let mut heads: HashMap<Mask, u32, FxBuildHasher> = HashMap::default();
        for row in (0..rows).rev().filter(|&row| pool.holds(row)) {
            heads.try_reserve(1).map_err(|_| no_room::<(Mask, u32)>(heads.len() + 1))?;
            let head = heads.entry(halves.mask(pool.rows.row(row))).or_insert(0);
            after[row + 1] = std::mem::replace(head, row as u32 + 1);
        }
        let mut queues = collected(heads)?;
        queues.sort_unstable_by_key(|&(mask, _)| (mask.low, mask.high));
        let (mut lows, mut lists) = (Vec::new(), Vec::new());
        let mut list_of = vec![0u32; usize::from(halves.all().low) + 1];
        for list in queues.chunk_by(|(a, _), (b, _)| a.low == b.low) {
            let low = list[0].0.low;
            list_of[usize::from(low)] = lows.len() as u32;
            push(&mut lows, low)?;
            push(&mut lists, collected(list.iter().map(|&(mask, head)| Queue { high: mask.high, head }))?)?;
        }
        let mut taken = zeroed(rows + 1)?;
        taken[0] = true;
        let known = vec![Vec::new(); usize::from(halves.all().high) + 1];
        let bits = (0..=halves.all().low).map(|half| half.count_ones() as u8).collect();
        Ok(Self { lows, lists, list_of, after, taken, known, bits })
    }

    /// The row that adds most of `open`, the earliest such: (tags it adds, row).
    fn best(&mut self, open: Mask) -> Result<Option<(i64, u32)>> {
        let Self { lows, lists, taken, known, bits, .. } = self;
        let added = |half: u16, open: u16| bits[usize::from(half & open)];
        let known = &mut known[usize::from(open.high)];
        lengthen(known, lows.len(), key(added(open.high, open.high), 0))?;
        let mut best = key(0, 0); // what adds nothing is not picked
        for ((&low, list), known) in lows.iter().zip(lists).zip(known) {
            let here = key(added(low, open.low), u32::MAX);
            if here + *known <= best {
                continue;
            }
            if taken[row_of(*known) as usize] {
                let keys = list.iter().map(|queue| key(added(queue.high, open.high), queue.head));
                *known = keys.max().unwrap_or(0);
            }
            best = best.max(here + *known);
        }
        Ok(row_of(best).checked_sub(1).map(|row| ((best >> 32) as i64, row)))
    }

    /// Takes a row out, the first of its mask.
    fn take(&mut self, row: u32, tags: Mask) {
        let at = self.list_of[usize::from(tags.low)] as usize;
        let row = row as usize + 1;
        self.taken[row] = true;
        let list = &mut self.lists[at];
        let Some(queue) = list.iter().position(|queue| queue.high == tags.high) else { return };
        list[queue].head = self.after[row];
        if list[queue].head == 0 {
            list.swap_remove(queue);
        }
        if list.is_empty() {
            self.lows[at] = 0;
        }
    }
}
