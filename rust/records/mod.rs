//! Records: from a block of bytes to samples, queries and rejected rows, without an object a row.
//!
//! Python reads and decompresses blocks; here a block is cut at record boundaries ([`layout`]), its records are parsed
//! onto a tape ([`tape`]), told apart by schema ([`schema`]), read into turns ([`turns`]) and hashed ([`identity`]), and
//! come out as columns ([`columns`]); [`export`] writes them
//! again. What is left of a block is used again before the next one, so memory is a few
//! blocks whatever the file's size. Pieces of a block go to all threads and are joined in order: the result does not
//! depend on blocks or threads. A broken record is a row in `rejected`; nothing here panics on any bytes.

pub mod columns;
pub mod export;
pub mod identity;
pub mod layout;
pub mod scan;
pub mod schema;
pub mod tagged;
pub mod tape;
pub mod transcript;
pub mod turns;

use memchr::{memchr, memchr_iter};
use rayon::prelude::*;

use columns::Columns;
use layout::{Cut, Layout, cut_lines, cut_values};
use schema::Schema;
use tape::{Fault, Kind, Parser, Value};
use turns::Reader;

/// What decides how records are read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The schema of every record; otherwise each shows its own.
    pub schema: Option<Schema>,
    /// The member that names a record's source.
    pub source_column: Option<String>,
    /// The records are tagged already: their tags are read in place of queries.
    pub tagged: Option<tagged::Members>,
}

/// Where a block begins in its file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// Bytes before it
    pub offset: i64,
    /// Line breaks before it
    pub lines: i64,
    /// Records before it
    pub records: i64,
}

/// A block that was read.
#[derive(Debug)]
pub struct Block {
    /// Its records, with positions in the file
    pub columns: Columns,
    /// Where the next block begins: what was not used of this one comes first
    pub next: Place,
    /// Bytes of the block that were used
    pub used: usize,
    /// The layout of what follows
    pub layout: Layout,
}

/// A piece of work for one thread: enough to keep it busy, little enough to share out a block.
const PIECE: usize = 1 << 18;

/// Reads the records that lie wholly in `block`; where it is the `last`, all that is there. O(bytes), all threads.
pub fn read_block(block: &[u8], layout: Layout, place: Place, last: bool, settings: &Settings) -> Block {
    let by_line = matches!(layout, Layout::Lines | Layout::Text);
    let (cut, next_layout) = if by_line {
        (Cut { used: cut_lines(block, last), ..Cut::default() }, layout)
    } else {
        cut_values(block, layout, last)
    };
    let used = cut.used;
    let pieces = if by_line { line_pieces(&block[..used]) } else { span_pieces(&cut.spans) };
    let read: Vec<(Columns, i64)> = pieces
        .par_iter()
        .map(|piece| {
            let bytes = block.get(piece.start..piece.end).unwrap_or(&[]);
            let mut worker = Worker { plain: layout == Layout::Text, ..Worker::new(settings) };
            worker.reader.queries.reserve(bytes.len());
            if by_line {
                worker.lines(bytes);
            } else {
                worker.spans(bytes, piece);
            }
            (worker.finish(), memchr_iter(b'\n', bytes).count() as i64)
        })
        .collect();
    let mut columns = Columns::after(place.records);
    columns.reserve(read.iter().map(|(part, _)| part));
    let (mut lines, mut seen) = (place.lines, 0);
    for (piece, (part, part_lines)) in pieces.iter().zip(&read) {
        // Line breaks between two pieces belong to neither.
        lines += memchr_iter(b'\n', block.get(seen..piece.start).unwrap_or(&[])).count() as i64;
        columns.append(part, place.offset + piece.start as i64, lines);
        lines += part_lines;
        seen = piece.end;
    }
    lines += memchr_iter(b'\n', block.get(seen..used).unwrap_or(&[])).count() as i64;
    if last && matches!(next_layout, Layout::Array | Layout::Elements) {
        columns.reject(lines + 1, "not JSON: the file ends inside its array".into());
    }
    let next = Place { offset: place.offset + used as i64, lines, records: columns.found };
    Block { columns, next, used, layout: next_layout }
}

/// A run of records for one thread: their hull, and, where they are no lines, each of them.
struct Piece<'a> {
    start: usize,
    end: usize,
    spans: &'a [(usize, usize)],
}

fn line_pieces(block: &[u8]) -> Vec<Piece<'static>> {
    let mut pieces = Vec::with_capacity(block.len() / PIECE + 1);
    let mut start = 0;
    while start < block.len() {
        let goal = start + PIECE;
        let end = block.get(goal..).and_then(|rest| memchr(b'\n', rest)).map_or(block.len(), |at| goal + at + 1);
        pieces.push(Piece { start, end, spans: &[] });
        start = end;
    }
    pieces
}

fn span_pieces(spans: &[(usize, usize)]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut first = 0;
    for (at, &(_, end)) in spans.iter().enumerate() {
        let start = spans[first].0;
        if end - start >= PIECE || at + 1 == spans.len() {
            pieces.push(Piece { start, end, spans: &spans[first..=at] });
            first = at + 1;
        }
    }
    pieces
}

/// One thread's work on a piece.
struct Worker<'s> {
    settings: &'s Settings,
    plain: bool,
    parser: Parser,
    reader: Reader,
    columns: Columns,
    /// Line breaks before the byte, counted only as far as a rejected row asks.
    counted: (i64, usize),
}

impl<'s> Worker<'s> {
    fn new(settings: &'s Settings) -> Self {
        Self {
            settings,
            plain: false,
            parser: Parser::default(),
            reader: Reader::default(),
            columns: Columns::default(),
            counted: (0, 0),
        }
    }

    fn lines(&mut self, piece: &[u8]) {
        let whole = std::str::from_utf8(piece).ok(); // once for all; only a broken piece is checked line by line
        let mut start = 0;
        while start < piece.len() {
            let line_end = memchr(b'\n', &piece[start..]).map_or(piece.len(), |at| start + at);
            let end = if line_end > start && piece[line_end - 1] == b'\r' { line_end - 1 } else { line_end };
            self.record(piece, whole, start, end);
            start = line_end + 1;
        }
    }

    fn spans(&mut self, hull: &[u8], piece: &Piece<'_>) {
        let whole = std::str::from_utf8(hull).ok();
        for &(start, end) in piece.spans {
            self.record(hull, whole, start - piece.start, end - piece.start);
        }
    }

    fn record(&mut self, piece: &[u8], whole: Option<&str>, start: usize, end: usize) {
        let bytes = piece.get(start..end).unwrap_or(&[]);
        let text = match whole {
            Some(whole) => whole.get(start..end).ok_or(0),
            None => std::str::from_utf8(bytes).map_err(|error| error.valid_up_to()),
        };
        let outcome = match text {
            Ok(text) if text.trim_ascii().is_empty() => return,
            Ok(text) if self.plain && text.trim().is_empty() => return,
            Ok(line) if self.plain => {
                let sample = self.reader.read_line(line);
                self.columns.accept(&sample, None, start as i64, end as i64);
                Ok(())
            }
            Ok(text) => self.json(text, start, end),
            Err(at) => Err(format!("invalid UTF-8 at byte {}", at + 1)),
        };
        if let Err(reason) = outcome {
            let (lines, at) = self.counted;
            let line = lines + memchr_iter(b'\n', piece.get(at..start).unwrap_or(&[])).count() as i64;
            self.counted = (line, start);
            self.columns.reject(line + 1, reason);
        }
    }

    fn json(&mut self, text: &str, start: usize, end: usize) -> Result<(), String> {
        let value = self.parser.parse(text).map_err(Fault::reason)?;
        let sample = match &self.settings.tagged {
            Some(members) => tagged::read_tags(&mut self.reader, value, members)?,
            None => self.reader.read(value, self.settings.schema)?,
        };
        let source = self.settings.source_column.as_deref().and_then(|name| member(value, name));
        self.columns.accept(&sample, source, start as i64, end as i64);
        Ok(())
    }

    fn finish(mut self) -> Columns {
        self.columns.queries = self.reader.queries;
        self.columns.query_ends = self.reader.ends;
        self.columns
    }
}

/// The last member of that name that is not null.
fn member<'a>(record: Value<'a>, name: &str) -> Option<Value<'a>> {
    record
        .members()
        .filter(|(key, value)| key.raw() == name && value.kind() != Kind::Null)
        .map(|(_, value)| value)
        .last()
}

/// For each 128-bit id (in two halves) the row of its sample, and for each sample the record that holds it first. O(n).
pub fn unique_rows(high: &[u64], low: &[u64]) -> crate::Result<(Vec<i64>, Vec<i64>)> {
    if high.len() != low.len() {
        return Err(crate::Error::Length { name: "low", found: low.len(), expected: high.len() });
    }
    let mut rows = Vec::with_capacity(high.len());
    let mut firsts: Vec<i64> = Vec::new();
    // The low half is a hash already; the whole id is compared.
    let mut seen: hashbrown::HashTable<(u64, u64, i64)> = hashbrown::HashTable::with_capacity(high.len());
    for (at, id) in high.iter().copied().zip(low.iter().copied()).enumerate() {
        let entry = seen.entry(id.1, |&(high, low, _)| (high, low) == id, |&(_, low, _)| low);
        let row = entry.or_insert_with(|| {
            firsts.push(at as i64);
            (id.0, id.1, firsts.len() as i64 - 1)
        });
        rows.push(row.get().2);
    }
    Ok((rows, firsts))
}

/// Ids as 32 hexadecimal digits.
pub fn hex_ids(high: &[u64], low: &[u64]) -> crate::Result<Vec<String>> {
    if high.len() != low.len() {
        return Err(crate::Error::Length { name: "low", found: low.len(), expected: high.len() });
    }
    Ok(high.iter().zip(low).map(|(high, low)| format!("{high:016x}{low:016x}")).collect())
}
