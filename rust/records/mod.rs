//! Records: from a block of bytes to samples, queries and rejected rows, without an object a row.
//!
//! Python reads and decompresses blocks; here a block is cut at record boundaries ([`layout`]), its records are parsed
//! onto a tape ([`tape`]), told apart by schema ([`schema`]), read into turns ([`turns`]) and hashed ([`identity`]), and
//! come out as columns ([`columns`]); [`lines`] is given a plain file and reads it by itself. [`distinct`] finds duplicates,
//! [`known`] those of earlier parts, [`export`] writes records again. What is left of a block is used again before the next
//! one, so memory is a few blocks whatever the file's size. Pieces of a block go to all threads and are joined in order: the
//! result does not depend on blocks or threads. A broken record is a row in `rejected`; nothing here panics on any bytes.
//!
//! Cost: a byte is read from memory once (checked to be UTF-8, then parsed while it is in the cache) and a text written
//! once. One core, of 1,100 MB/s when the text was still joined and decoded apart: 1,700 MB/s of long prompts with
//! escapes, 1,300 of short questions and answers, 800 of chats. Where Python reads the file, the rest of `instag.read` is
//! nearly as much again: the kernel copies the file out of its cache and clears pages for the texts. Tried: pieces of 4 MB in
//! blocks of 32, which come in huge pages, cost four times the system time, since none is used twice.

pub mod columns;
pub mod distinct;
pub mod export;
pub mod identity;
pub mod known;
pub mod layout;
pub mod lines;
pub mod scan;
pub mod schema;
pub mod tagged;
pub mod tape;
pub mod transcript;
pub mod turns;

use memchr::{memchr, memchr_iter};
use rayon::prelude::*;

use columns::{Columns, Mark};
use layout::{Layout, cut_lines, cut_values};
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

/// A piece of work for one thread: enough to keep it busy and to fill a buffer of texts, little enough to share out.
const PIECE: usize = 1 << 20;

/// So much of a piece is checked to be UTF-8 at once, and parsed while it is still near.
const STRETCH: usize = 1 << 17;

/// Reads the records that lie wholly in `rest` and then `block`; where it is the `last`, all that is there.
///
/// `rest` is what the last block left over: of lines only the one that goes on in `block` is copied, of other layouts
/// everything. Positions count from the start of `rest`. O(bytes), all threads.
pub fn read_block(rest: &[u8], block: &[u8], layout: Layout, place: Place, last: bool, settings: &Settings) -> Block {
    let by_line = matches!(layout, Layout::Lines | Layout::Text);
    let head = match memchr(b'\n', block) {
        _ if rest.is_empty() => 0,
        Some(at) if by_line => at + 1,
        _ => block.len(),
    };
    let (first, block) = block.split_at(head);
    let joined = [rest, first].concat();
    let (pieces, cut);
    let (whole, used, next_layout): (&[u8], _, _) = if by_line {
        let ends = [&joined, block].map(|bytes| cut_lines(bytes, last));
        pieces = line_pieces(&joined[..ends[0]], 0).chain(line_pieces(&block[..ends[1]], joined.len())).collect();
        (&[], ends[0] + ends[1], layout)
    } else {
        let whole = if joined.is_empty() { block } else { &joined };
        let next_layout;
        (cut, next_layout) = cut_values(whole, layout, last);
        pieces = span_pieces(whole, &cut.spans);
        (whole, cut.used, next_layout)
    };
    let read: Vec<(Columns, i64)> = pieces
        .par_iter()
        .map(|piece| Worker::new(settings, layout == Layout::Text, piece.bytes.len()).read(piece, by_line))
        .collect();
    let mut columns = Columns::after(place.records);
    // Line breaks between two pieces belong to neither; lines leave none.
    let between = |start, end| memchr_iter(b'\n', whole.get(start..end).unwrap_or(&[])).count() as i64;
    let (mut lines, mut seen) = (place.lines, 0);
    for (piece, (part, part_lines)) in pieces.iter().zip(read) {
        lines += between(seen, piece.start);
        let all = Mark::default()..part.mark();
        columns.append(&part.seal(), &all, place.offset + piece.start as i64, lines);
        lines += part_lines;
        seen = piece.start + piece.bytes.len();
    }
    lines += between(seen, used);
    if last && matches!(next_layout, Layout::Array | Layout::Elements) {
        columns.reject(lines + 1, "not JSON: the file ends inside its array".into());
    }
    let next = Place { offset: place.offset + used as i64, lines, records: columns.found };
    Block { columns, next, used, layout: next_layout }
}

/// A run of records for one thread: where it begins, its bytes, and, where they are no lines, each record.
struct Piece<'a> {
    start: usize,
    bytes: &'a [u8],
    spans: &'a [(usize, usize)],
}

fn line_pieces(lines: &[u8], before: usize) -> impl Iterator<Item = Piece<'_>> {
    stretches(lines, PIECE).map(move |(start, bytes)| Piece { start: before + start, bytes, spans: &[] })
}

/// Lines in runs of `size` bytes, and as far as the line goes on, each with its position.
fn stretches(lines: &[u8], size: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = lines.get(start..).filter(|rest| !rest.is_empty())?;
        let end = rest.get(size..).and_then(|after| memchr(b'\n', after)).map_or(rest.len(), |at| size + at + 1);
        let found = (start, &rest[..end]);
        start += end;
        Some(found)
    })
}

fn span_pieces<'a>(block: &'a [u8], spans: &'a [(usize, usize)]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut first = 0;
    for (at, &(_, end)) in spans.iter().enumerate() {
        let start = spans[first].0;
        if end - start >= PIECE || at + 1 == spans.len() {
            pieces.push(Piece { start, bytes: block.get(start..end).unwrap_or(&[]), spans: &spans[first..=at] });
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
    fn new(settings: &'s Settings, plain: bool, bytes: usize) -> Self {
        Self {
            settings,
            plain,
            parser: Parser::default(),
            reader: Reader::default(),
            columns: Columns::with_buffers(bytes),
            counted: (0, 0),
        }
    }

    /// The columns of a piece, and how many line breaks it holds.
    fn read(mut self, piece: &Piece<'_>, by_line: bool) -> (Columns, i64) {
        let breaks = if by_line { self.lines(piece.bytes) } else { self.spans(piece) };
        (self.columns, breaks)
    }

    fn lines(&mut self, piece: &[u8]) -> i64 {
        let mut breaks = 0;
        for (before, bytes) in stretches(piece, STRETCH) {
            let text = simdutf8::basic::from_utf8(bytes).ok(); // once for all; only a broken stretch is checked line by line
            let mut start = 0;
            while start < bytes.len() {
                let line_break = memchr(b'\n', &bytes[start..]).map(|at| start + at);
                breaks += i64::from(line_break.is_some());
                let line_end = line_break.unwrap_or(bytes.len());
                let end = if line_end > start && bytes[line_end - 1] == b'\r' { line_end - 1 } else { line_end };
                self.record(piece, (before + start, before + end), text.and_then(|text| text.get(start..end)));
                start = line_end + 1;
            }
        }
        breaks
    }

    fn spans(&mut self, piece: &Piece<'_>) -> i64 {
        let text = simdutf8::basic::from_utf8(piece.bytes).ok();
        for (start, end) in piece.spans.iter().map(|&(start, end)| (start - piece.start, end - piece.start)) {
            self.record(piece.bytes, (start, end), text.and_then(|text| text.get(start..end)));
        }
        memchr_iter(b'\n', piece.bytes).count() as i64
    }

    /// The record at `span` of a piece; `text` is it where it is known to be UTF-8.
    fn record(&mut self, piece: &[u8], span: (usize, usize), text: Option<&str>) {
        let bytes = piece.get(span.0..span.1).unwrap_or(&[]);
        let text = text.map_or_else(|| std::str::from_utf8(bytes).map_err(|error| error.valid_up_to()), Ok);
        let outcome = match text {
            Ok(text) if text.trim_ascii().is_empty() => return,
            Ok(text) if self.plain && text.trim().is_empty() => return,
            Ok(line) if self.plain => self.plain(line, span),
            Ok(text) => self.json(text, span),
            Err(at) => Err(format!("invalid UTF-8 at byte {}", at + 1)),
        };
        if let Err(reason) = outcome {
            let (lines, at) = self.counted;
            let line = lines + memchr_iter(b'\n', piece.get(at..span.0).unwrap_or(&[])).count() as i64;
            self.counted = (line, span.0);
            self.columns.reject(line + 1, reason);
        }
    }

    fn plain(&mut self, line: &str, span: (usize, usize)) -> Result<(), String> {
        if u32::try_from(line.len()).is_err() {
            return Err(Fault::Long.reason());
        }
        let sample = self.reader.read_line(line);
        self.columns.accept(&sample, &self.reader, None, span);
        Ok(())
    }

    fn json(&mut self, text: &str, span: (usize, usize)) -> Result<(), String> {
        let value = self.parser.parse(text).map_err(Fault::reason)?;
        let sample = match &self.settings.tagged {
            Some(members) => tagged::read_tags(&mut self.reader, value, members)?,
            None => self.reader.read(value, self.settings.schema)?,
        };
        let source = self.settings.source_column.as_deref().and_then(|name| member(value, name));
        self.columns.accept(&sample, &self.reader, source, span);
        Ok(())
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
