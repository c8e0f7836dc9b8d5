//! Distinct strings, numbered as they first come: the table that interning asks for every value.
//!
//! What it costs is cache misses, so each look-up is one in a table of 16-byte entries, four to a cache line, or for
//! longer strings of 8-byte ones, and one more in a buffer where the distinct ones lie end to end. A string of at most
//! twelve bytes is its own key (as in an Arrow view): it is never hashed as text, never compared. Longer ones are told
//! apart by 32 bits of hash, then by their bytes, beside which their numbers stand; half of their table stays empty, and
//! it grows in the order of the numbers, so that what comes often is found at once.
//!
//! Bought: texts compared as numbers (slices compare by a call) 4 % of reading plain shards; 8-byte entries, half full, in
//! place of 16-byte ones, three quarters full, some 2 %.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use crate::error::{Error, Result};
use crate::room::{filled, more, push, zeroed};

/// No number: what a null has, and what a string gets that cannot be numbered any more.
pub const NONE: u32 = u32::MAX;
/// The longest string that is its own key.
pub const SHORT: usize = 12;

const KEY_BITS: u32 = 8 * SHORT as u32;
const KEY: u128 = (1 << KEY_BITS) - 1;
/// Strings numbered together.
pub(crate) const BLOCK: usize = 1 << 10;
/// The unit of places in `bytes`.
const ALIGN: usize = 8;

/// How much 32 bits can tell apart.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Strings of a vocabulary.
    pub strings: u32,
    /// Units of [`ALIGN`] bytes in its buffer of longer strings.
    pub units: u32,
    /// Values of one row.
    pub row: u32,
}

/// What holds everywhere but in tests; [`NONE`] is no string's number.
pub const LIMITS: Limits = Limits { strings: NONE, units: u32::MAX, row: u32::MAX };

impl Default for Limits {
    fn default() -> Self {
        LIMITS
    }
}

/// Where the strings of a vocabulary are kept: borrowed from their column, or copied.
pub trait Keep<T> {
    /// Keeps one more, or tells why it cannot.
    fn keep(&mut self, text: T) -> Result<()>;
}

impl<T> Keep<T> for Vec<T> {
    fn keep(&mut self, text: T) -> Result<()> {
        push(self, text)
    }
}

/// Nowhere: numbers are all that is wanted.
impl<T> Keep<T> for () {
    fn keep(&mut self, _text: T) -> Result<()> {
        Ok(())
    }
}

/// Distinct strings in the order of their first appearance, kept in a `K`.
#[derive(Default)]
pub struct Vocabulary<K> {
    limits: Limits,
    strings: K,
    len: usize,
    /// Short ones: the key, and above it the number + 1; 0 is an empty place. Open addressing, at most three quarters full.
    short: Vec<u128>,
    shorts: usize,
    /// Longer ones, addressed by the hash; `start` is 0 in an empty place. At most half full.
    long: Vec<Long>,
    longs: usize,
    /// The longer strings: number, length, text, up to the next multiple of [`ALIGN`].
    bytes: Vec<u8>,
    /// Why a string could not be numbered: it is full, or memory ran out. Numbers go on being asked for, a block of them.
    refused: Option<Error>,
    fetched: Vec<Long>,
}

/// A long string to be numbered: its [`hash`], and where the number goes.
#[derive(Clone, Copy)]
pub struct Wanted<T> {
    /// The hash of the text.
    pub hash: u64,
    /// The text.
    pub text: T,
    /// The place of its number.
    pub to: u32,
}

#[derive(Clone, Copy, Default)]
struct Long {
    /// The upper half.
    hash: u32,
    start: u32,
}

/// The key of a short string, given as its bytes from the lowest up and zeros; none for one that ends in a zero byte.
///
/// Without those the length need not be part of the key.
pub fn short_key(padded: u128, len: usize) -> Option<u128> {
    let used = (u128::BITS - padded.leading_zeros()).div_ceil(8);
    (used as usize == len).then_some(padded)
}

/// The hash of a longer string.
pub fn hash(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    hasher.finish()
}

impl<K: Default> Vocabulary<K> {
    /// An empty one that holds so much.
    pub fn within(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }
}

impl<K> Vocabulary<K> {
    /// The strings, by number.
    pub fn strings(&self) -> &K {
        &self.strings
    }

    /// The strings, by number.
    pub fn into_strings(self) -> K {
        self.strings
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// An error where a string could not be numbered: behind 2^32 - 1 of them, behind 32 GiB, or without memory.
    pub fn check(&self) -> Result<()> {
        self.refused.clone().map_or(Ok(()), Err)
    }

    /// The number of a string; a new one where it was not met before.
    pub fn id<T: AsRef<[u8]> + Copy>(&mut self, text: T) -> u32
    where
        K: Keep<T>,
    {
        let bytes = text.as_ref();
        if bytes.len() <= SHORT {
            let mut padded = [0; 16];
            padded[..bytes.len()].copy_from_slice(bytes);
            if let Some(key) = short_key(u128::from_le_bytes(padded), bytes.len()) {
                return self.short_id(key, || text);
            }
        }
        self.long_id(hash(bytes), text)
    }

    /// The number of the short string with this key; `text` is asked for only where it is new.
    pub fn short_id<T>(&mut self, key: u128, text: impl FnOnce() -> T) -> u32
    where
        K: Keep<T>,
    {
        if 4 * self.shorts >= 3 * self.short.len() && !self.grow(Self::grow_short) {
            return NONE;
        }
        let mask = self.short.len() - 1;
        let mut at = spread(key) & mask;
        loop {
            let entry = self.short[at];
            if entry & KEY == key && entry != 0 {
                return (entry >> KEY_BITS) as u32 - 1;
            }
            if entry == 0 {
                let id = self.number(text());
                if id != NONE {
                    self.short[at] = key | (u128::from(id + 1) << KEY_BITS);
                    self.shorts += 1;
                }
                return id;
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of a string that is no short key, of this [`hash`].
    pub fn long_id<T: AsRef<[u8]> + Copy>(&mut self, hash: u64, text: T) -> u32
    where
        K: Keep<T>,
    {
        if 2 * self.longs >= self.long.len() && !self.grow(Self::grow_long) {
            return NONE;
        }
        let mask = self.long.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let entry = self.long[at];
            if entry.start == 0 {
                let (id, start) = match self.start_of(text.as_ref()) {
                    Ok(start) => (self.number(text), start),
                    Err(error) => return self.refuse(error),
                };
                if id != NONE {
                    self.store(id, text.as_ref());
                    self.long[at] = Long { hash: (hash >> 32) as u32, start };
                    self.longs += 1;
                }
                return id;
            }
            if let Some(id) = self.held(entry, hash, text.as_ref()) {
                return id;
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of a short string; a longer one is noted in `wanted`, which has room, to be numbered with others.
    pub fn id_or_note<T: AsRef<[u8]> + Copy>(&mut self, text: T, to: u32, wanted: &mut Vec<Wanted<T>>) -> u32
    where
        K: Keep<T>,
    {
        if text.as_ref().len() <= SHORT {
            return self.id(text);
        }
        wanted.push(Wanted { hash: hash(text.as_ref()), text, to });
        NONE
    }

    /// The numbers of long strings, each written where `wanted` says.
    ///
    /// First all entries are fetched, then all texts compared, so that the cache misses of many strings overlap.
    pub fn long_ids<T: AsRef<[u8]> + Copy>(&mut self, wanted: &[Wanted<T>], ids: &mut [u32])
    where
        K: Keep<T>,
    {
        let mask = self.long.len().wrapping_sub(1);
        self.fetched.clear();
        if let Err(error) = more(&mut self.fetched, wanted.len()) {
            self.refuse(error);
            return;
        }
        self.fetched.extend(wanted.iter().map(|w| self.long.get(w.hash as usize & mask).copied().unwrap_or_default()));
        let fetched = std::mem::take(&mut self.fetched);
        for (&Wanted { hash, text, to }, entry) in wanted.iter().zip(&fetched) {
            let id = self.held(*entry, hash, text.as_ref()).unwrap_or_else(|| self.long_id(hash, text));
            if let Some(to) = ids.get_mut(to as usize) {
                *to = id;
            }
        }
        self.fetched = fetched;
    }

    fn number<T>(&mut self, text: T) -> u32
    where
        K: Keep<T>,
    {
        let id = self.len;
        if id >= self.limits.strings as usize {
            return self.refuse(full());
        }
        if let Err(error) = self.strings.keep(text) {
            return self.refuse(error);
        }
        self.len += 1;
        id as u32
    }

    /// Notes why a string gets no number; the first reason stands.
    #[cold]
    fn refuse(&mut self, error: Error) -> u32 {
        self.refused.get_or_insert(error);
        NONE
    }

    /// Where the next text will stand, with room for it made.
    fn start_of(&mut self, text: &[u8]) -> Result<u32> {
        let start = u32::try_from(self.bytes.len() / ALIGN).map_err(|_| full())?.max(1); // place 0 is no place
        if start > self.limits.units || u32::try_from(text.len()).is_err() {
            return Err(full());
        }
        more(&mut self.bytes, 3 * ALIGN + text.len())?; // place 0, the numbers, what is added up to the next place
        Ok(start)
    }

    /// Copies a text to the end of `bytes`, where there is room.
    fn store(&mut self, id: u32, text: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.resize(ALIGN, 0);
        }
        self.bytes.extend_from_slice(&id.to_le_bytes());
        self.bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(text);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
    }

    /// The number that stands where an entry says, if its text is this one.
    fn held(&self, entry: Long, hash: u64, text: &[u8]) -> Option<u32> {
        if entry.hash != (hash >> 32) as u32 || entry.start == 0 {
            return None;
        }
        let (id, held) = self.bytes.get(entry.start as usize * ALIGN..)?.split_first_chunk::<4>()?;
        let (len, held) = held.split_first_chunk::<4>()?;
        let same = u32::from_le_bytes(*len) as usize == text.len() && same(held.get(..text.len())?, text);
        same.then_some(u32::from_le_bytes(*id))
    }

    /// Makes a table larger; false where there is no memory for that, or was none before, so that it is not full.
    #[cold]
    fn grow(&mut self, table: impl FnOnce(&mut Self) -> Result<()>) -> bool {
        if self.refused.is_none()
            && let Err(error) = table(self)
        {
            self.refuse(error);
        }
        self.refused.is_none()
    }

    fn grow_short(&mut self) -> Result<()> {
        let mask = (2 * self.short.len()).max(1 << 10) - 1;
        let old = std::mem::replace(&mut self.short, zeroed(mask + 1)?);
        for entry in old.into_iter().filter(|&entry| entry != 0) {
            let mut at = spread(entry & KEY) & mask;
            while self.short[at] != 0 {
                at = (at + 1) & mask;
            }
            self.short[at] = entry;
        }
        Ok(())
    }

    fn grow_long(&mut self) -> Result<()> {
        let mask = (2 * self.long.len()).max(1 << 10) - 1;
        self.long = filled(mask + 1, Long::default())?;
        let mut start = ALIGN;
        while let Some((head, rest)) = self.bytes.get(start..).and_then(|held| held.split_first_chunk::<8>()) {
            let len = (u64::from_le_bytes(*head) >> 32) as usize;
            let Some(text) = rest.get(..len) else { break };
            let hash = hash(text);
            let mut at = hash as usize & mask;
            while self.long[at].start != 0 {
                at = (at + 1) & mask;
            }
            self.long[at] = Long { hash: (hash >> 32) as u32, start: (start / ALIGN) as u32 };
            start += (head.len() + len).next_multiple_of(ALIGN);
        }
        Ok(())
    }
}

/// What is said of a vocabulary that is full.
pub(crate) fn full() -> Error {
    Error::Limit {
        what: "there are 2^32 - 1 distinct tags or more, or 32 GiB of them".into(),
        hint: "drop rare tags first, shard by shard".into(),
    }
}

/// A key's place before it is cut to the table.
fn spread(key: u128) -> usize {
    let (low, high) = (key as u64, (key >> 64) as u64);
    let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from(high ^ 0xd1b5_4a32_d192_ed03);
    (product as u64 ^ (product >> 64) as u64) as usize
}

/// Whether bytes of the same length are equal: eight at a time, the last eight again, as numbers (slices would be a call).
fn same(held: &[u8], text: &[u8]) -> bool {
    let (Some(held_end), Some(text_end)) = (held.last_chunk::<8>(), text.last_chunk::<8>()) else {
        return held == text;
    };
    let number = |eight: &[u8; 8]| u64::from_ne_bytes(*eight);
    let mut differing = number(held_end) ^ number(text_end);
    for (held, text) in held.as_chunks::<8>().0.iter().zip(text.as_chunks::<8>().0) {
        differing |= number(held) ^ number(text);
    }
    differing == 0
}
