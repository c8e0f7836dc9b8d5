//! Rows read from plain pages are those that arrow-rs reads, whatever the pages, the nulls and the rows asked for.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use bytes::Bytes;
use instag::intern::{Interned, intern};
use instag::parquet_read::read_lists;
use instag::plain_pages::PlainPages;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

type Row = Option<Vec<Option<String>>>;

fn file(rows: &[Row], (group, page): (usize, usize), second_version: bool, compressed: bool) -> Bytes {
    let mut column = ListBuilder::new(StringBuilder::new());
    for row in rows {
        column.append_option(row.clone());
    }
    let column: ArrayRef = Arc::new(column.finish());
    let batch = RecordBatch::try_from_iter([("tags", column)]).unwrap();
    let version = if second_version { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    let compression = if compressed { Compression::ZSTD(ZstdLevel::default()) } else { Compression::UNCOMPRESSED };
    let settings = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(parquet::basic::Encoding::PLAIN)
        .set_writer_version(version)
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group))
        .set_data_page_row_count_limit(page)
        .set_write_batch_size(page);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(settings.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes.into()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{0,13}",
        "[ab]{12}é",
        "a long tag, number [0-9]{1,3}",
        Just("zero\0".to_owned()),
        Just("数学".to_owned())
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = option::weighted(0.9, vec(option::weighted(0.9, text()), 0..6));
    let long = vec(Just(Some(vec![Some("a long row of one tag".to_owned()); 700])), 0..3);
    (vec(row, 0..60), 1usize..60, long).prop_map(|(some, times, long)| {
        let all = some.iter().cycle().take(some.len() * times);
        all.cloned().chain(long).chain(some.clone()).collect()
    })
}

proptest! {
    #[test]
    fn plain_pages_are_what_arrow_reads(
        rows in rows(),
        sizes in (1usize..2_000, 1usize..400),
        second_version: bool,
        compressed: bool,
        span in (0usize..3_000, 0usize..3_000),
    ) {
        let file = file(&rows, sizes, second_version, compressed);
        let (start, end) = (span.0.min(span.1).min(rows.len()), span.0.max(span.1).min(rows.len()));
        let mut pages = PlainPages::default();
        prop_assert!(pages.add(file.clone(), "tags", start..end).unwrap());
        prop_assert!(pages.add(file.clone(), "tags", 0..rows.len()).unwrap());
        let found = pages.finish(true).unwrap();
        let columns = [start..end, 0..rows.len()].map(|rows| read_lists(file.clone(), "tags", rows).unwrap()).concat();
        let expected = intern(&columns).unwrap();
        let vocabulary = found.words.iter().flatten().collect();
        prop_assert_eq!(Interned { vocabulary, offsets: found.offsets, ids: found.ids, counts: found.counts }, expected);
    }

    #[test]
    fn rows_that_are_not_there_are_told(rows in vec(Just(Some(vec![Some("a".to_owned())])), 0..9), more in 1usize..9) {
        let file = file(&rows, (4, 2), false, false);
        let told = |found: Result<bool, _>| found.map_err(|error: instag::Error| error.to_string());
        let expected = Err(format!("there are {} rows, not {}", rows.len(), rows.len() + more));
        prop_assert_eq!(told(PlainPages::default().add(file, "tags", 0..rows.len() + more)), expected);
    }
}

#[test]
fn coded_pages_are_left_to_others() {
    let column: ArrayRef = Arc::new({
        let mut column = ListBuilder::new(StringBuilder::new());
        (0..100).for_each(|_| column.append_value([Some("a"), Some("b")]));
        column.finish()
    });
    let batch = RecordBatch::try_from_iter([("tags", column)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert!(!PlainPages::default().add(Bytes::from(bytes), "tags", 0..100).unwrap());
}
