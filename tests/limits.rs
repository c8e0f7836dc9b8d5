//! What 32 bits cannot tell apart ends in an error, before a number comes round again. Real limits are 2^32 - 1: the
//! kernels are held to small ones, and to sizes that are only told, never made.

use std::sync::Arc;

use arrow_array::builder::{LargeListBuilder, LargeStringBuilder};
use arrow_array::{ArrayRef, LargeStringArray, StringViewArray};
use instag::csr::{Csr, check_size, remap, renamed_counts};
use instag::intern::intern_within;
use instag::uniting::unite_within;
use instag::vocabulary::{LIMITS, Limits, NONE, Vocabulary};
use instag::{Error, analysis, association, cluster};
use proptest::collection::vec;
use proptest::prelude::*;

/// A column of lists, the strings of `rows`.
fn lists(rows: &[Vec<String>]) -> ArrayRef {
    let mut column = LargeListBuilder::new(LargeStringBuilder::new());
    for row in rows {
        for text in row {
            column.values().append_value(text);
        }
        column.append(true);
    }
    Arc::new(column.finish())
}

fn is_limit<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Limit { .. }))
}

proptest! {
    /// Short and long strings: as many as there are numbers are taken, one more is refused, and no number is used twice.
    #[test]
    fn a_vocabulary_takes_what_it_can_number(lengths in vec(0usize..40, 1..80), strings in 0u32..80) {
        let texts: Vec<String> = lengths.iter().enumerate().map(|(at, &len)| format!("{at:02}{}", "x".repeat(len))).collect();
        let limits = Limits { strings, ..LIMITS };
        let mut vocabulary = Vocabulary::<Vec<&String>>::within(limits);
        let ids: Vec<u32> = texts.iter().map(|text| vocabulary.id(text)).collect();
        let expected: Vec<u32> = (0..texts.len() as u32).map(|id| if id < strings { id } else { NONE }).collect();
        prop_assert_eq!(ids, expected);
        prop_assert_eq!(is_limit(&vocabulary.check()), texts.len() > strings as usize);

        let rows: Vec<Vec<String>> = texts.iter().map(|text| vec![text.clone()]).collect();
        prop_assert_eq!(is_limit(&intern_within(&[lists(&rows)], limits)), texts.len() > strings as usize);

        let column: ArrayRef = Arc::new(LargeStringArray::from(texts.clone()));
        let counts = vec![i64::MAX / 100; texts.len()];
        prop_assert_eq!(is_limit(&unite_within(&[column], &counts, 0, limits)), texts.len() >= strings as usize);
    }
}

#[test]
fn a_buffer_of_long_strings_has_an_end() {
    let texts: Vec<String> = (0..100).map(|at| format!("a text of more than twelve bytes, number {at}")).collect();
    let limits = Limits { units: 100, ..LIMITS };
    let mut vocabulary = Vocabulary::<Vec<&String>>::within(limits);
    let numbered = texts.iter().filter(|text| vocabulary.id(text) != NONE).count();
    assert!(is_limit(&vocabulary.check()));
    assert!((10..20).contains(&numbered), "{numbered}"); // 100 units of 8 bytes
    assert_eq!(vocabulary.len(), numbered);
    let rows = [texts.clone()];
    assert!(is_limit(&intern_within(&[lists(&rows)], limits)));
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(&texts));
    assert!(is_limit(&unite_within(&[column], &[1; 100], 0, limits)));
}

#[test]
fn a_row_longer_than_can_be_numbered_is_refused() {
    let row = |len: usize| vec!["a".to_owned(); len];
    let limits = Limits { row: 5_000, ..LIMITS };
    assert!(intern_within(&[lists(&[row(5_000), row(5_000)])], limits).is_ok());
    assert!(is_limit(&intern_within(&[lists(&[row(5_000), row(5_001), row(3)])], limits)));
}

#[test]
fn a_size_that_ids_cannot_number_is_refused_before_anything_is_made() {
    let (most, more) = (u32::MAX as usize, u32::MAX as usize + 1);
    assert_eq!(check_size(most), Ok(()));
    assert!(is_limit(&check_size(more)));
    assert!(is_limit(&Csr::new(&[0], &[], more)));
    let rows = Csr::new(&[0], &[], 0).unwrap();
    assert!(is_limit(&remap(rows, &[], more)));
    assert!(is_limit(&renamed_counts(rows, &[], more)));
    assert!(is_limit(&analysis::first_seen(&[0], &[], more, &[], None)));
    assert!(is_limit(&cluster::single(more, &[], &[])));
    assert!(is_limit(&cluster::complete(more, &[], &[], &[])));
    assert!(is_limit(&association::Pairs::from_arrays(more, &[], &[])));
}

/// `DROPPED` is the largest number of 32 bits, and no id of any vocabulary.
#[test]
fn the_mark_of_dropped_ids_is_no_id() {
    let (offsets, ids) = ([0i64, 2], [0u32, 1]);
    let rows = Csr::new(&offsets, &ids, 2).unwrap();
    assert!(Csr::new(&[0, 1], &[u32::MAX], u32::MAX as usize).is_err());
    assert_eq!(remap(rows, &[u32::MAX, 0], 1), Ok((vec![0, 1], vec![0])));
}
