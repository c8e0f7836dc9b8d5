//! The lines of a file: read, digested and parsed piece by piece, by whichever thread is free.
//!
//! A thread takes the next piece under a lock (it reads it into a buffer of its own and digests it), then parses it alone,
//! while its bytes are in its cache. Pieces are joined in order: the result depends on neither pieces nor threads.
//!
//! Cost: the kernel's copy of the file, its digest and the parser, each over bytes that are in the cache; a text is written
//! once. With two threads a byte waits for the lock a tenth of the time; reading and digesting, which go one after
//! another, end at some 5 GB/s whatever the threads. What it bought over blocks of 8 MiB read by Python and handed to all
//! threads (1 million records of gsm8k, 560 MB, in turns, medians): 325 ms where that took 480, and half the time in the
//! kernel: no fresh 8 MiB a block, texts of all of a thread's pieces in a few buffers of huge pages, no thread that only reads
//! and waits. One thread: 575 ms. Ruled out: `mmap` (a truncated file is a bus error), Python's buffers (it could write to
//! them meanwhile; copying them costs what this saves). Tried in vain: huge pages for the ends of the buffers too, and the
//! tables of all blocks put end to end on two threads (no time that could be measured, 10 to 20 MB more).

use std::io::{Error, ErrorKind, Read, Result};
use std::ops::Range;
use std::sync::Mutex;

use memchr::memrchr;
use rayon::prelude::*;
use xxhash_rust::xxh3::Xxh3;

use super::columns::{Columns, Mark, Sealed};
use super::{Place, Settings, Worker};

/// A thread takes this part of a block at once: of 8 MiB one, which stays in its cache from the file to the parser.
const PIECES: u64 = 8;

/// Texts of a thread go into buffers of this size, which come in huge pages.
const TEXTS: usize = 8 << 20;

/// A file of lines while it is read.
#[allow(missing_debug_implementations, reason = "the digest has none")]
pub struct Lines<R> {
    source: Source<R>,
    /// Where the next block begins
    pub place: Place,
    plain: bool,
    settings: Settings,
}

/// What is left of the file.
struct Source<R> {
    file: R,
    digest: Box<Xxh3>,
    /// Bytes read, with those that are left out and those read ahead
    bytes: u64,
    /// Bytes at the start that belong to no line
    skipped: usize,
    /// The line that goes on
    rest: Vec<u8>,
    /// The next byte, which tells whether the file goes on
    ahead: Option<u8>,
    ended: bool,
    /// Bytes for which tables are made, the same however many are asked for at once
    block: u64,
    /// Bytes of a line that are refused
    longest: usize,
}

/// A piece as it was taken, and then what was read of it, by which thread.
#[derive(Debug)]
struct Piece {
    block: u64,
    start: u64,
    bytes: usize,
    lines: i64,
    marks: Range<Mark>,
    thread: usize,
}

/// The tables of a block, and the bytes of its lines.
#[derive(Debug)]
pub struct Block {
    /// Its records, with positions in the file
    pub columns: Columns,
    /// Bytes of its lines
    pub bytes: u64,
    /// Records up to its end
    pub records: i64,
}

impl<R: Read + Send> Lines<R> {
    /// Nothing is read yet. The first `skipped` bytes belong to no line; with `plain`, each line is a text.
    pub fn new(file: R, skipped: usize, plain: bool, block: u64, longest: usize, settings: Settings) -> Self {
        let (digest, rest, block) = (Box::default(), Vec::new(), block.max(1));
        let source = Source { file, digest, bytes: 0, skipped, rest, ahead: None, ended: false, block, longest };
        let place = Place { offset: skipped as i64, ..Place::default() };
        Self { source, place, plain, settings }
    }

    /// Up to so many blocks; none after the last line. O(bytes), all threads.
    ///
    /// A line of more bytes than `longest` is an error of the kind `FileTooLarge`, with the place it begins at.
    pub fn read(&mut self, blocks: u64) -> Result<Vec<Block>> {
        let end = (self.source.place() / self.source.block).saturating_add(blocks).saturating_mul(self.source.block);
        let source = Mutex::new(&mut self.source);
        let read = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).map(|thread| {
            let mut worker = Worker::new(&self.settings, self.plain, TEXTS);
            let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
            loop {
                let mut next = source.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let Some((block, start)) = next.take(&mut bytes, end)? else { break };
                drop(next);
                let before = worker.columns.mark();
                worker.counted = (0, 0);
                let lines = worker.lines(&bytes);
                let marks = before..worker.columns.mark();
                pieces.push(Piece { block, start, bytes: bytes.len(), lines, marks, thread });
            }
            Ok((worker.columns.seal(), pieces))
        });
        let (sealed, pieces): (Vec<Sealed>, Vec<Vec<Piece>>) = read.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let mut pieces: Vec<Piece> = pieces.into_iter().flatten().collect();
        pieces.sort_unstable_by_key(|piece| piece.start);
        let mut found = Vec::new();
        for block in pieces.chunk_by(|one, other| one.block == other.block) {
            found.push((self.place, block));
            for piece in block {
                self.place.offset += piece.bytes as i64;
                self.place.lines += piece.lines;
                self.place.records += piece.marks.end.found - piece.marks.start.found;
            }
        }
        let join = |(place, block): (Place, &[Piece])| {
            let (mut columns, mut bytes, mut lines) = (Columns::after(place.records), 0, place.lines);
            for piece in block {
                columns.append(&sealed[piece.thread], &piece.marks, piece.start as i64, lines);
                bytes += piece.bytes as u64;
                lines += piece.lines;
            }
            Block { records: columns.found, columns, bytes }
        };
        Ok(found.into_par_iter().map(join).collect())
    }

    /// The digest of the whole file and its bytes: what has not been asked for yet is read now.
    pub fn digest(&mut self) -> Result<(u128, u64)> {
        let mut bytes = Vec::new();
        while !self.source.ended {
            self.source.fill(&mut bytes)?;
            bytes.clear();
        }
        Ok((self.source.digest.digest128(), self.source.bytes))
    }
}

impl<R: Read> Source<R> {
    /// Bytes that pieces were made of.
    fn place(&self) -> u64 {
        self.bytes - u64::from(self.ahead.is_some())
    }

    /// The next piece, which ends with a line, unless pieces have come to `end`: its block, and where it begins.
    fn take(&mut self, into: &mut Vec<u8>, end: u64) -> Result<Option<(u64, u64)>> {
        into.clear();
        if self.ended || self.place() >= end {
            return Ok(None);
        }
        into.append(&mut self.rest);
        let mut start = self.place() - into.len() as u64;
        loop {
            let seen = into.len();
            self.fill(into)?;
            let skipped = std::mem::take(&mut self.skipped).min(into.len());
            into.drain(..skipped);
            start += skipped as u64;
            let line_end =
                if self.ended { Some(into.len()) } else { memrchr(b'\n', &into[seen..]).map(|at| seen + at + 1) };
            if let Some(line_end) = line_end {
                self.rest.extend_from_slice(&into[line_end..]);
                into.truncate(line_end);
                let block = self.place().saturating_sub(1) / self.block;
                return Ok((!into.is_empty()).then_some((block, start)));
            }
            if into.len() > self.longest {
                return Err(Error::new(ErrorKind::FileTooLarge, start.to_string()));
            }
        }
    }

    /// Appends as much as makes a piece.
    fn fill(&mut self, into: &mut Vec<u8>) -> Result<()> {
        let (at, piece) = (self.place() % self.block, self.block.div_ceil(PIECES));
        let (seen, wanted) = (into.len(), ((at / piece + 1) * piece).min(self.block) - at);
        into.reserve(wanted as usize + 1); // and one, at whose end the reader looks whether there is more
        let ahead = self.ahead.take();
        into.extend(ahead);
        self.bytes += (&mut self.file).take(wanted - u64::from(ahead.is_some())).read_to_end(into)? as u64;
        self.digest.update(&into[seen..]);
        let mut next = Vec::new();
        (&mut self.file).take(1).read_to_end(&mut next)?;
        self.ahead = next.pop();
        self.bytes += u64::from(self.ahead.is_some());
        self.ended = self.ahead.is_none();
        Ok(())
    }
}
