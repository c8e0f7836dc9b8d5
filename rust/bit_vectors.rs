//! Rows as bits, one vector a tag: what itemsets are mined from where rows are dense (Zaki's Eclat, on conditional
//! databases). A pair of tags is an AND and a popcount.
//!
//! Vectors lie one behind another on a stack: those of a set stand above those that they were joined from, and are as long
//! as each other. Where a set has few rows of its parent's, most of their bits are zeros that every set below would join
//! again; there its own rows are moved together ([`BitVectors::narrow`]).
//!
//! Cost: 8 bytes for 64 rows; a word to join is half of what a place of a row costs to count.

use std::ops::Range;

use crate::csr::Csr;
use crate::error::Result;
use crate::room::{filled, lengthen, more, zeroed};

/// Counting a pair in one word of a bit vector costs this part of counting it at one place of a row.
const WORDS_A_PLACE: usize = 2;

/// When which database is made; [`MEASURED`] but in tests. The sets found do not depend on it.
#[derive(Clone, Copy)]
pub(crate) struct Ways {
    /// Whether to join vectors of so many words for so many tags, not to count so many pairs at their places.
    pub(crate) vectors: fn(tags: usize, words: usize, pairs: usize) -> bool,
    /// Whether to move together so many rows in so many vectors of so many words.
    pub(crate) narrow: fn(vectors: usize, words: usize, rows: usize) -> bool,
}

/// Whichever costs less.
pub(crate) const MEASURED: Ways = Ways {
    vectors: |tags, words, pairs| {
        (tags * tags.saturating_sub(1) / 2).saturating_mul(words) <= pairs.saturating_mul(WORDS_A_PLACE)
    },
    narrow: |vectors, words, rows| vectors * words.saturating_sub(rows.div_ceil(64)) > 2 * rows,
};

/// The rows of each of `tags` as bits, `words` words a tag.
pub(crate) fn of_table(rows: Csr<'_>, tags: &[u32], words: usize) -> Result<Vec<u64>> {
    let mut start_of = filled(rows.size(), usize::MAX)?;
    for (rank, &tag) in tags.iter().enumerate() {
        start_of[tag as usize] = rank * words;
    }
    let mut bits = zeroed::<u64>(tags.len() * words)?;
    for (row, ids) in rows.rows().enumerate() {
        for &tag in ids {
            let start = start_of.get(tag as usize).copied().unwrap_or(usize::MAX);
            if let Some(word) = bits.get_mut(start.saturating_add(row / 64)) {
                *word |= 1 << (row % 64);
            }
        }
    }
    Ok(bits)
}

/// A stack of vectors.
#[derive(Default)]
pub(crate) struct BitVectors {
    bits: Vec<u64>,
    /// The rows of one vector, while others are cut down to them.
    rows: Vec<u32>,
}

impl BitVectors {
    pub(crate) fn new(bits: Vec<u64>) -> Self {
        Self { bits, rows: Vec::new() }
    }

    /// Where the next vector would begin.
    pub(crate) fn len(&self) -> usize {
        self.bits.len()
    }

    /// Takes off what lies from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.bits.truncate(len);
    }

    /// Puts on `vectors` vectors of `words` words without a row; they begin at what is returned.
    pub(crate) fn add(&mut self, vectors: usize, words: usize) -> Result<usize> {
        let base = self.bits.len();
        lengthen(&mut self.bits, base + vectors * words, 0)?;
        Ok(base)
    }

    /// Puts `row` into the vector that begins at `start`.
    pub(crate) fn set(&mut self, start: usize, row: usize) {
        self.bits[start + row / 64] |= 1 << (row % 64);
    }

    /// Puts on the rows that two vectors have in common; how many.
    pub(crate) fn join(&mut self, one: usize, two: usize, words: usize) -> Result<u32> {
        let end = self.add(1, words)?;
        let (read, joint) = self.bits.split_at_mut(end);
        let (one, two) = (&read[one..][..words], &read[two..][..words]);
        let mut count = 0;
        for ((joint, one), two) in joint.iter_mut().zip(one).zip(two) {
            *joint = one & two;
            count += joint.count_ones();
        }
        Ok(count)
    }

    /// Cuts the vectors from `top` on down to the rows that the vector `of` has, and whose order stays; how many words each
    /// has then. They are as long as that one, which lies below them.
    pub(crate) fn narrow(&mut self, of: Range<usize>, top: usize) -> Result<usize> {
        let Self { bits, rows } = self;
        let words = of.len();
        rows.clear();
        for (at, &word) in (0..).zip(&bits[of]) {
            more(rows, 64)?;
            let mut word = word;
            while word != 0 {
                rows.push(at * 64 + word.trailing_zeros());
                word &= word - 1;
            }
        }
        let narrow = rows.len().div_ceil(64);
        let vectors = (bits.len() - top) / words.max(1);
        for vector in 0..vectors {
            let (from, to) = (top + vector * words, top + vector * narrow);
            for (at, rows) in rows.chunks(64).enumerate() {
                let bit = |row: &u32| bits[from + (row / 64) as usize] >> (row % 64) & 1;
                // The word written lies before those still to be read.
                bits[to + at] = rows.iter().rev().fold(0, |word, row| word << 1 | bit(row));
            }
        }
        bits.truncate(top + vectors * narrow);
        Ok(narrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    /// How many rows, and which vectors have each, the first one's number of rows often at the edge of a word.
    fn vectors() -> impl Strategy<Value = Vec<Vec<bool>>> {
        let rows = prop_oneof![1..200usize, (1..5usize, 0..3usize).prop_map(|(words, more)| words * 64 + more - 1)];
        let vectors = (rows, 1..5usize).prop_flat_map(|(rows, others)| {
            let kept = prop_oneof![Just(rows), 0..=rows, (0..=rows / 64).prop_map(|words| words * 64)];
            let of = (kept, any::<u64>()).prop_map(move |(kept, seed)| scattered(rows, kept, seed));
            (of, vec(vec(any::<bool>(), rows), others))
        });
        vectors.prop_map(|(of, others)| [vec![of], others].concat())
    }

    /// `kept` of `rows` rows.
    fn scattered(rows: usize, kept: usize, seed: u64) -> Vec<bool> {
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|&row| (row as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..rows).map(|row| order[..kept].contains(&row)).collect()
    }

    /// A stack of these vectors.
    fn stack(vectors: &[Vec<bool>], words: usize) -> BitVectors {
        let mut stack = BitVectors::default();
        for vector in vectors {
            let start = stack.add(1, words).unwrap();
            (0..vector.len()).filter(|&row| vector[row]).for_each(|row| stack.set(start, row));
        }
        stack
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0), ..ProptestConfig::default() })]

        /// Bit `n` of a vector cut down is what it was in the `n`th row kept; nothing below it changes.
        #[test]
        fn rows_kept_move_together(first in vectors(), again in vectors()) {
            let mut used = stack(&first, first[0].len().div_ceil(64)); // what another one left must not matter
            let top = first[0].len().div_ceil(64);
            used.narrow(0..top, top).unwrap();

            let words = again[0].len().div_ceil(64);
            used.bits.clone_from(&stack(&again, words).bits);
            let narrow = used.narrow(0..words, words).unwrap();
            let kept: Vec<usize> = (0..again[0].len()).filter(|&row| again[0][row]).collect();
            let cut = |vector: &Vec<bool>| kept.iter().map(|&row| vector[row]).collect::<Vec<_>>();
            let expected: Vec<Vec<bool>> = again[1..].iter().map(cut).collect();
            prop_assert_eq!(narrow, kept.len().div_ceil(64));
            prop_assert_eq!(&used.bits[..words], &stack(&again[..1], words).bits);
            prop_assert_eq!(&used.bits[words..], &stack(&expected, narrow).bits);
        }

        #[test]
        fn joint_rows_are_put_on_and_counted(vectors in vectors()) {
            let words = vectors[0].len().div_ceil(64);
            let mut joined = stack(&vectors, words);
            let count = joined.join(0, words, words).unwrap();
            let both: Vec<bool> = vectors[0].iter().zip(&vectors[1]).map(|(&one, &two)| one && two).collect();
            prop_assert_eq!(count as usize, both.iter().filter(|&&held| held).count());
            prop_assert_eq!(joined.bits, stack(&[vectors, vec![both]].concat(), words).bits);
        }
    }

    #[test]
    fn a_vector_is_cut_down_where_its_words_cost_more_than_that() {
        assert!((MEASURED.narrow)(10, 100, 64)); // 10 x 99 words less, 64 rows to gather
        assert!(!(MEASURED.narrow)(10, 100, 64 * 90));
        assert!(!(MEASURED.narrow)(1, 2, 64));
        assert!((MEASURED.vectors)(10, 1, 23));
        assert!(!(MEASURED.vectors)(10, 1, 22));
    }
}
