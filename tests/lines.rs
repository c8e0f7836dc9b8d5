//! Laws of reading lines: whatever the blocks, the threads and the reads, what `read_block` gives of the whole file.

use std::io::{self, Read};

use arrow_array::RecordBatch;
use instag::records::columns::{Columns, Table};
use instag::records::layout::Layout;
use instag::records::lines::Lines;
use instag::records::{Place, Settings, read_block};
use proptest::prelude::*;

/// Gives as many bytes at a time as the numbers say, in turn, and then an error, where it is asked for.
struct Slow<'a>(&'a [u8], Vec<usize>, Option<io::ErrorKind>);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1.rotate_left(1);
        let count = self.1[0].min(into.len()).min(self.0.len());
        if let (Some(kind), true) = (self.2, self.0.is_empty()) {
            return Err(kind.into());
        }
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn tables(columns: Columns) -> [RecordBatch; 3] {
    let batch = |table: Table| RecordBatch::try_from_iter(table).unwrap();
    columns.finish().map(batch)
}

fn one_piece(bytes: &[u8], plain: bool) -> (Columns, Place) {
    let layout = if plain { Layout::Text } else { Layout::Lines };
    let block = read_block(b"", bytes, layout, Place::default(), true, &Settings::default());
    (block.columns, block.next)
}

const LINES: [&[u8]; 8] = [
    b"{\"prompt\": \"one\", \"id\": 7}",
    b"{\"prompt\": \"a prompt of more than twelve bytes\"}\r",
    b"{\"messages\": [{\"role\": \"user\", \"content\": \"two\"}, {\"role\": \"user\", \"content\": \"three\"}]}",
    b"{broken",
    b"{\"prompt\": 1}",
    b"",
    b" ",
    b"\xff",
];

proptest! {
    #[test]
    fn blocks_threads_and_reads_do_not_matter(
        lines in prop::collection::vec(0..LINES.len(), 0..30),
        ends in any::<bool>(),
        plain in any::<bool>(),
        (block, at_once) in (1..200_u64, 1..9_u64),
        reads in prop::collection::vec(1..50_usize, 1..5),
    ) {
        let mut bytes = lines.iter().map(|&line| LINES[line]).collect::<Vec<_>>().join(&b'\n');
        bytes.extend(ends.then_some(b'\n'));
        let (expected, next) = one_piece(&bytes, plain);
        let mut file = Lines::new(Slow(&bytes, reads, None), 0, plain, block, 1 << 20, Settings::default());
        let mut joined: Vec<[RecordBatch; 3]> = Vec::new();
        loop {
            let found = file.read(at_once).unwrap();
            if found.is_empty() {
                break;
            }
            for block in found {
                prop_assert!(block.bytes > 0);
                joined.push(tables(block.columns));
            }
        }
        for (at, expected) in tables(expected).iter().enumerate() {
            let rows: usize = joined.iter().map(|tables| tables[at].num_rows()).sum();
            prop_assert_eq!(rows, expected.num_rows());
            let mut start = 0;
            for found in joined.iter().map(|tables| &tables[at]) {
                let expected = expected.slice(start, found.num_rows());
                prop_assert_eq!(found.columns(), expected.columns());
                start += found.num_rows();
            }
        }
        prop_assert_eq!((file.place.offset, file.place.lines, file.place.records), (next.offset, next.lines, next.records));
        prop_assert_eq!(file.digest().unwrap(), (xxhash_rust::xxh3::xxh3_128(&bytes), bytes.len() as u64));
    }
}

#[test]
fn a_long_line_and_a_failing_file_are_errors() {
    let bytes = [LINES[0], b"\n", &[b'x'; 500]].concat();
    let read = |longest, kind| {
        let mut lines = Lines::new(Slow(&bytes, vec![9], kind), 0, false, 64, longest, Settings::default());
        std::iter::repeat_with(move || lines.read(1)).find_map(Result::err)
    };
    let long = read(99, None).unwrap();
    assert_eq!((long.kind(), long.to_string()), (io::ErrorKind::FileTooLarge, "27".to_owned()));
    assert_eq!(read(1 << 20, Some(io::ErrorKind::BrokenPipe)).unwrap().kind(), io::ErrorKind::BrokenPipe);
}
