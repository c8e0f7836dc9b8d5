//! Levels of a Parquet page: runs of one value, and values packed in bits (the format's RLE / bit-packing hybrid).
//!
//! Cost: a table look-up for eight values of one bit, or four of two, which is what columns of lists have.
//! Reference: Apache Parquet, `Encodings.md`.

/// The levels of one page, read front to back; `None` wherever the bytes are not what they should be.
pub struct Levels<'p> {
    bytes: &'p [u8],
    bits: u32,
    run: Run<'p>,
}

enum Run<'p> {
    /// So many of one level.
    Same(usize, u8),
    /// Levels in packed bits, `at` of `len` read.
    Packed { packed: &'p [u8], at: usize, len: usize },
}

const ONE_BIT: [[u8; 8]; 256] = unpacked(1);
const TWO_BITS: [[u8; 4]; 256] = unpacked(2);

/// The values that each byte packs.
const fn unpacked<const N: usize>(bits: usize) -> [[u8; N]; 256] {
    let mut table = [[0; N]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut at = 0;
        while at < N {
            table[byte][at] = (byte >> (at * bits)) as u8 & ((1 << bits) - 1);
            at += 1;
        }
        byte += 1;
    }
    table
}

impl<'p> Levels<'p> {
    /// Levels up to `max`, at most 255; none are stored where that is 0.
    pub fn new(bytes: &'p [u8], max: u8) -> Self {
        let run = if max == 0 { Run::Same(usize::MAX, 0) } else { Run::Same(0, 0) };
        Self { bytes, bits: u8::BITS - max.leading_zeros(), run }
    }

    /// The next levels.
    pub fn fill(&mut self, mut levels: &mut [u8]) -> Option<()> {
        while !levels.is_empty() {
            let taken = match &mut self.run {
                Run::Same(0, _) => {
                    self.begin_run()?;
                    continue;
                }
                Run::Same(left, level) => {
                    let taken = levels.len().min(*left);
                    levels.get_mut(..taken)?.fill(*level);
                    *left -= taken;
                    taken
                }
                Run::Packed { packed, at, len } => {
                    let taken = levels.len().min(*len - *at);
                    unpack(packed, *at, self.bits, levels.get_mut(..taken)?)?;
                    *at += taken;
                    if at == len {
                        self.run = Run::Same(0, 0);
                    }
                    taken
                }
            };
            levels = levels.get_mut(taken..)?;
        }
        Some(())
    }

    fn begin_run(&mut self) -> Option<()> {
        let (mut header, mut shift) = (0usize, 0);
        loop {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            header |= usize::from(byte & 0x7f).checked_shl(shift).filter(|_| shift < 35)?;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        let len = header >> 1;
        self.run = if header & 1 == 0 {
            let (&level, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            Run::Same(len, level)
        } else {
            // The last run may say more groups of eight than there are bytes: some writers leave those out.
            let (packed, rest) = self.bytes.split_at(self.bytes.len().min(len.checked_mul(self.bits as usize)?));
            self.bytes = rest;
            let len = packed.len() * 8 / self.bits as usize;
            if len == 0 { Run::Same(0, 0) } else { Run::Packed { packed, at: 0, len } }
        };
        Some(())
    }
}

/// The values from place `at` of those packed.
fn unpack(packed: &[u8], at: usize, bits: u32, levels: &mut [u8]) -> Option<()> {
    let bit = at * bits as usize;
    match (bits, bit % 8) {
        (1, 0) => unpack_bytes(&ONE_BIT, packed.get(bit / 8..)?, levels),
        (2, 0) => unpack_bytes(&TWO_BITS, packed.get(bit / 8..)?, levels),
        _ => {
            for (place, level) in (at..).zip(levels) {
                let bit = place * bits as usize;
                let next = packed.get(bit / 8 + 1).copied().unwrap_or_default();
                let two = u16::from_le_bytes([*packed.get(bit / 8)?, next]);
                *level = (two >> (bit % 8)) as u8 & (u8::MAX >> (u8::BITS - bits));
            }
            Some(())
        }
    }
}

fn unpack_bytes<const N: usize>(table: &[[u8; N]; 256], packed: &[u8], levels: &mut [u8]) -> Option<()> {
    let (whole, rest) = levels.as_chunks_mut::<N>();
    for (values, &byte) in whole.iter_mut().zip(packed) {
        *values = table[usize::from(byte)];
    }
    if let Some(last) = rest.len().checked_sub(1) {
        let byte = *packed.get(whole.len())?;
        rest.copy_from_slice(table[usize::from(byte)].get(..=last)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_packed_levels_come_in_order() {
        // Five times 1; eight packed bits; two times 0.
        let bytes = [10, 1, 3, 0b1010_0110, 4, 0];
        let mut all = [9; 15];
        Levels::new(&bytes, 1).fill(&mut all).unwrap();
        assert_eq!(all, [1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0]);
        for width in 1..15 {
            let (mut levels, mut found) = (Levels::new(&bytes, 1), vec![9; 15]);
            assert!(found.chunks_mut(width).all(|part| levels.fill(part).is_some()));
            assert_eq!(found, all);
            assert!(levels.fill(&mut [0]).is_none());
        }
    }

    #[test]
    fn levels_of_more_bits() {
        for (max, packed, expected) in [
            (3, vec![3, 0b1110_0100, 0b0001_1011], [0, 1, 2, 3, 3, 2, 1, 0]),
            (5, vec![3, 0b1000_1000, 0b1100_0110, 0b1111_1010], [0, 1, 2, 3, 4, 5, 6, 7]),
        ] {
            for width in 1..8 {
                let (mut levels, mut found) = (Levels::new(&packed, max), [9; 8]);
                assert!(found.chunks_mut(width).all(|part| levels.fill(part).is_some()));
                assert_eq!(found, expected);
            }
        }
        let mut found = [9; 4];
        Levels::new(&[], 0).fill(&mut found).unwrap();
        assert_eq!(found, [0; 4]);
        assert!(Levels::new(&[255; 20], 3).fill(&mut found).is_none());
        assert!(Levels::new(&[0; 20], 3).fill(&mut found).is_none());
    }
}
