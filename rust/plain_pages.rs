//! Rows of tags from the pages of a Parquet column that holds its strings as they stand, numbered page by page.
//!
//! No array of the column is made: a value is looked up where it lies in its page, which is then forgotten. So a shard
//! takes its ids, its distinct strings and one page. A column of arrow-rs takes 16 bytes a value, the levels of all rows
//! and every page until the end, memory that is fresh each time, and is read from afar when the strings are looked up.
//! Measured on ten shards of a million rows, zstd, with `normalize` after it, two threads: 0.82 of the time and 0.45 of the
//! memory. Only a distinct string is checked to be UTF-8. What is not plain, or has more threads than one for a shard, goes
//! through [`crate::parquet_read`] and [`crate::intern`], to the same tables.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::StringViewArray;
use arrow_array::builder::make_view;
use arrow_buffer::Buffer;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::cutting::{Rows, too_long};
use crate::error::{Error, Result};
use crate::intern::{Interned, sort};
use crate::levels::Levels;
use crate::parquet_read::{Part, broken, caught, check_read};
use crate::room::{collected, more, push, reserved, zeroed};
use crate::vocabulary::{Keep, LIMITS, NONE, SHORT, Vocabulary, Wanted, hash, short_key};

/// Levels that are read before their values are cut into rows.
const BLOCK: usize = 1 << 10;
/// Values that room is made for, whatever the file says of its own.
const MOST_EXPECTED: usize = 1 << 24;
/// Bytes of a buffer of strings: each twice as long as the one before.
const LEAST_BUFFER: usize = 1 << 14;
const MOST_BUFFER: usize = 1 << 21;

/// A tag table of its own strings, tags in the order in which they were met.
pub struct Plain {
    /// Distinct tags.
    pub words: StringViewArray,
    /// Row bounds in `ids`.
    pub offsets: Vec<i64>,
    /// Tag ids; within a row in the order of the column, the first of equal tags kept.
    pub ids: Vec<u32>,
    /// Rows that hold each tag.
    pub counts: Vec<i64>,
}

/// Rows of plain pages, as they come.
#[derive(Default)]
pub struct PlainPages {
    vocabulary: Vocabulary<Copies>,
    rows: Rows,
    /// Numbers of values not cut into rows yet, and where rows begin among them.
    codes: Vec<u32>,
    starts: Vec<usize>,
}

/// Strings of a vocabulary, copied out of pages.
#[derive(Default)]
struct Copies {
    views: Vec<u128>,
    /// What longer ones point into: buffers that are full, and the one that is not.
    buffers: Vec<Buffer>,
    buffer: Vec<u8>,
}

impl Keep<&[u8]> for Copies {
    fn keep(&mut self, text: &[u8]) -> Result<()> {
        str::from_utf8(text).map_err(|_| not_text())?;
        if text.len() <= SHORT {
            return push(&mut self.views, make_view(text, 0, 0));
        }
        if self.buffer.capacity() - self.buffer.len() < text.len() {
            let size = (2 * self.buffer.capacity()).clamp(LEAST_BUFFER, MOST_BUFFER).max(text.len());
            let last = std::mem::replace(&mut self.buffer, reserved(size)?);
            if !last.is_empty() {
                push(&mut self.buffers, last.into())?;
            }
        }
        let (buffer, offset) = (self.buffers.len() as u32, self.buffer.len() as u32);
        push(&mut self.views, make_view(text, buffer, offset))?;
        self.buffer.extend_from_slice(text);
        Ok(())
    }
}

impl Copies {
    fn finish(mut self) -> Result<StringViewArray> {
        if !self.buffer.is_empty() {
            push(&mut self.buffers, self.buffer.into())?;
        }
        StringViewArray::try_new(self.views.into(), self.buffers, None).map_err(|_| not_text())
    }
}

fn not_text() -> Error {
    Error::Parquet("its strings are not UTF-8".into())
}

/// The levels and values of one page; levels up to 1, and up to `value`, which stands for one.
struct Content<'p> {
    repetition: Levels<'p>,
    definition: Levels<'p>,
    values: &'p [u8],
    left: usize,
    value: u8,
}

/// The rows of one file that are wanted, and how many have begun.
struct Span {
    wanted: Range<usize>,
    begun: usize,
}

impl PlainPages {
    /// Adds the rows `rows` of a column, as [`crate::parquet_read::read_lists`] reads them; false, and nothing of use
    /// any more, where not all its pages are plain.
    pub fn add<R: ChunkReader + 'static>(&mut self, file: R, column: &str, rows: Range<usize>) -> Result<bool> {
        caught(|| self.add_part(file, column, rows))
    }

    fn add_part<R: ChunkReader + 'static>(&mut self, file: R, column: &str, rows: Range<usize>) -> Result<bool> {
        let part = Part::of(&file, column, &rows)?;
        let leaf = part.metadata.parquet_schema().column(part.leaf);
        let (Ok(value), 1, Type::BYTE_ARRAY) =
            (u8::try_from(leaf.max_def_level()), leaf.max_rep_level(), leaf.physical_type())
        else {
            return Ok(false);
        };
        let groups = || part.groups.iter().filter_map(|&group| part.metadata.metadata().row_groups().get(group));
        let chunks = || groups().filter_map(|group| group.columns().get(part.leaf));
        if chunks().any(|chunk| chunk.dictionary_page_offset().is_some()) {
            return Ok(false);
        }
        let expected: usize = chunks().map(|chunk| usize::try_from(chunk.num_values()).unwrap_or(0)).sum();
        self.rows.reserve(expected.min(MOST_EXPECTED))?;
        let file = Arc::new(file);
        let mut span = Span { wanted: part.skipped..part.skipped + rows.len(), begun: 0 };
        for (group, chunk) in groups().zip(chunks()) {
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            let (before, mut first) = (span.begun, true);
            let mut pages = SerializedPageReader::new(file.clone(), chunk, rows, None)?;
            while span.begun <= span.wanted.end
                && let Some(page) = pages.get_next_page()?
            {
                let Some(content) = Content::of(&page, value)? else { return Ok(false) };
                self.add_page(content, &mut span, &mut first)?;
            }
            if span.begun <= span.wanted.end {
                check_read(span.begun - before, rows)?;
            }
        }
        self.vocabulary.check()?;
        Ok(true)
    }

    fn add_page(&mut self, mut page: Content<'_>, span: &mut Span, first: &mut bool) -> Result<()> {
        let (mut wanted, mut levels) = (Vec::new(), ([0; BLOCK], [0; BLOCK]));
        while page.left > 0 && span.begun <= span.wanted.end {
            let len = page.left.min(BLOCK);
            page.left -= len;
            more(&mut self.starts, len)?;
            more(&mut self.codes, len)?;
            more(&mut wanted, len)?;
            let (repetition, definition) = (&mut levels.0[..len], &mut levels.1[..len]);
            page.repetition.fill(repetition).ok_or_else(broken)?;
            page.definition.fill(definition).ok_or_else(broken)?;
            if std::mem::take(first) && repetition.first() != Some(&0) {
                return Err(broken()); // a row that began nowhere
            }
            self.add_block((repetition, definition), &mut page, span, &mut wanted).ok_or_else(broken)?;
            self.vocabulary.long_ids(&wanted, &mut self.codes);
            wanted.clear();
            self.cut()?;
        }
        Ok(())
    }

    /// Numbers the values of some levels, for which there is room; long ones are noted in `wanted`.
    fn add_block<'p>(
        &mut self,
        (repetition, definition): (&[u8], &[u8]),
        page: &mut Content<'p>,
        span: &mut Span,
        wanted: &mut Vec<Wanted<&'p [u8]>>,
    ) -> Option<()> {
        let mut starts = self.starts.len();
        self.starts.resize(starts + repetition.len(), 0);
        let (first, rows) = (span.wanted.start + 1, span.wanted.len());
        for (&repeated, &defined) in repetition.iter().zip(definition) {
            let begins = repeated == 0;
            span.begun += usize::from(begins);
            let inside = span.begun.wrapping_sub(first) < rows;
            *self.starts.get_mut(starts)? = self.codes.len();
            starts += usize::from(begins & inside);
            if defined != page.value {
                continue; // a null, or a row without values
            }
            let (len, rest) = page.values.split_first_chunk::<4>()?;
            let len = u32::from_le_bytes(*len) as usize;
            let (text, after) = rest.split_at_checked(len)?;
            page.values = after;
            if !inside {
                continue;
            }
            let code = if let Some(key) = key(rest, len) {
                self.vocabulary.short_id(key, || text)
            } else {
                wanted.push(Wanted { hash: hash(text), text, to: self.codes.len() as u32 });
                NONE
            };
            self.codes.push(code);
        }
        self.starts.truncate(starts);
        Some(())
    }

    /// Cuts the rows that have ended.
    fn cut(&mut self) -> Result<()> {
        if let Some(&open) = self.starts.last() {
            self.rows.cut(&self.codes[..open], &self.starts[1..], self.vocabulary.len())?;
            self.codes.copy_within(open.., 0);
            self.codes.truncate(self.codes.len() - open);
            self.starts.clear();
            self.starts.push(0);
        }
        if self.codes.len() > LIMITS.row as usize - BLOCK {
            return Err(too_long(self.codes.len()));
        }
        Ok(())
    }

    /// All rows; the tags by count descending, then bytewise, where they are to be `sorted`.
    pub fn finish(mut self, sorted: bool) -> Result<Plain> {
        if !self.starts.is_empty() {
            push(&mut self.starts, self.codes.len())?;
            self.cut()?;
        }
        self.vocabulary.check()?;
        let (counts, words) = (self.rows.counts(self.vocabulary.len())?, self.vocabulary.into_strings().finish()?);
        let Rows { mut ids, ends, .. } = self.rows;
        ids.shrink_to_fit();
        let mut offsets = zeroed(ends.len() + 1)?;
        offsets[1..].copy_from_slice(&ends);
        if !sorted {
            return Ok(Plain { words, offsets, ids, counts });
        }
        let mut made = Interned { vocabulary: collected(words.iter().flatten())?, offsets, ids, counts };
        sort(&mut made)?;
        let mut words = Copies::default();
        made.vocabulary.iter().try_for_each(|word| words.keep(word.as_bytes()))?;
        Ok(Plain { words: words.finish()?, offsets: made.offsets, ids: made.ids, counts: made.counts })
    }
}

/// The key of a short string at the start of some bytes; none for a longer one.
fn key(bytes: &[u8], len: usize) -> Option<u128> {
    if len > SHORT {
        return None;
    }
    let padded = if let Some(whole) = bytes.first_chunk::<16>() {
        u128::from_le_bytes(*whole) & ((1 << (8 * len)) - 1)
    } else {
        let mut padded = [0; 16];
        padded.get_mut(..len)?.copy_from_slice(bytes.get(..len)?);
        u128::from_le_bytes(padded)
    };
    short_key(padded, len)
}

impl<'p> Content<'p> {
    /// None for a page that is not of plain values.
    fn of(page: &'p Page, value: u8) -> Result<Option<Self>> {
        let (levels, left) = match page {
            Page::DataPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                ..
            } => {
                let told = |bytes: &'p [u8]| {
                    let (len, rest) = bytes.split_first_chunk::<4>()?;
                    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
                };
                let levels = told(buf).and_then(|(repetition, rest)| Some((repetition, told(rest)?)));
                (levels, *num_values)
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                rep_levels_byte_len,
                def_levels_byte_len,
                ..
            } => {
                let levels = buf.split_at_checked(*rep_levels_byte_len as usize);
                let split = |rest: &'p [u8]| rest.split_at_checked(*def_levels_byte_len as usize);
                (levels.and_then(|(repetition, rest)| Some((repetition, split(rest)?))), *num_values)
            }
            _ => return Ok(None),
        };
        let (repetition, (definition, values)) = levels.ok_or_else(broken)?;
        let (repetition, definition) = (Levels::new(repetition, 1), Levels::new(definition, value));
        Ok(Some(Self { repetition, definition, values, left: left as usize, value }))
    }
}
