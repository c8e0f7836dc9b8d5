//! The offline tagger `keyphrase`: open-set tags from the text alone, without a model. A baseline and a dry run, not the
//! paper's tagger.
//!
//! Two passes. The first reads every query by itself ([`read`]) and makes candidates: canonical intentions and
//! verb-object pairs from clauses that ask, facts on the surface, noun phrases; strings are interned and counted, and
//! the counts of two runs of queries add up ([`Candidates::merge`]). The second chooses ([`choose`]): intentions first,
//! phrases weighed by how many queries of the pool hold them (C-value's idea that the longer term wins where the pool
//! repeats it: Frantzi, Ananiadou & Mima 2000; candidates between function words: RAKE, Rose et al. 2010).
//!
//! Cost: O(bytes), with at most 2,000 bytes of a query read; rayon over runs of queries, merged in order, so the bytes
//! are the same on any number of threads. Both passes have a slow twin: `tests/oracle_keyphrase.py`, and `choose_tags` of
//! `tests/oracle.py`. Tried: single frequent words (every query of a pool gets the same five);
//! plain idf (tags that occur once); frequency alone (tags that say nothing).

pub mod candidates;
pub mod choose;
mod cjk;
mod cues;
mod facts;
pub mod language;
mod latin;
pub mod lexicon;
mod phrases;
mod requests;
pub mod singular;
pub mod tokenize;

use std::sync::Arc;

use arrow_array::{ArrayRef, LargeListArray, LargeStringArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::strings::{borrow_strs, to_lists};
use candidates::{Candidate, Candidates};
use latin::Reader;
use lexicon::Lexicon;
use tokenize::{Sentence, Text};

/// Queries read by one task. A constant: the cut must not depend on the machine.
const RUN: usize = 8192;

/// Sentences of a query that are read: so many at the beginning, as many at the end (what is asked stands there), and
/// so many inside that ask.
const MOST_EDGE: usize = 2;
const MOST_INSIDE: usize = 4;

/// Adds the next query to `out` with its candidates; nothing but white space and symbols gives none.
pub fn read(query: &str, text: &mut Text, lexicon: &'static Lexicon, out: &mut Candidates) {
    out.open();
    text.read(query);
    let language = language::language(text, lexicon);
    let mut reader = Reader::new(text, lexicon, language);
    let picked = pick(&mut reader, out);
    let asks = picked.iter().any(|(_, weight)| *weight > PASSIVE);
    for &(sentence, weight) in &picked {
        if language.has_spaces() {
            reader.read(sentence, weight, out);
        } else {
            cjk::read(query, text, lexicon, language, sentence, weight, out);
        }
    }
    facts::facts(query, text, language, asks || !language.has_spaces() && text.sentences.len() == 1, out);
}

/// Weights of a sentence: one that asks at the beginning or the end, one that asks inside, one that only tells.
const ASKING: u32 = 10;
const INSIDE: u32 = 7;
const PASSIVE: u32 = 5;

/// The sentences worth reading, with their weights, in order of the text.
fn pick(reader: &mut Reader<'_>, out: &mut Candidates) -> Vec<(Sentence, u32)> {
    let text = reader.text;
    let count = text.sentences.len();
    let mut kept: Vec<(Sentence, bool)> = Vec::with_capacity(count.min(64));
    for &sentence in &text.sentences {
        // A line such as "Answer:" asks nothing of its own.
        let is_label = count > 1 && sentence.to - sentence.from == 2 && text.word(sentence.to - 1) == ":";
        if !is_label && !reader.is_tool(sentence, out) {
            let asks = reader.asks(sentence);
            kept.push((sentence, asks));
        }
    }
    let mut inside = 0;
    let mut weighed: Vec<(Sentence, u32)> = Vec::with_capacity(2 * MOST_EDGE + MOST_INSIDE);
    for (at, &(sentence, asks)) in kept.iter().enumerate() {
        let asks = asks && !sentence.is_item;
        if at < MOST_EDGE || at + MOST_EDGE >= kept.len() {
            weighed.push((sentence, if asks { ASKING } else { PASSIVE }));
        } else if asks && inside < MOST_INSIDE {
            inside += 1;
            weighed.push((sentence, INSIDE));
        }
    }
    weighed
}

/// The tags of a column of queries.
#[derive(Debug, Default)]
pub struct Tagged {
    /// Distinct tags, in order of first appearance.
    pub vocabulary: Vec<Box<str>>,
    /// Row bounds in `ids` and `explanations`.
    pub offsets: Vec<i64>,
    /// Tags of every query, the most telling first.
    pub ids: Vec<u32>,
    /// Where each tag comes from.
    pub explanations: Vec<String>,
}

/// Tags every query of the chunks of a string column; a null has no tags.
pub fn tag(chunks: &[ArrayRef]) -> Result<Tagged> {
    let queries = texts(chunks)?;
    let pool = candidates(&queries);
    crate::csr::check_size(pool.strings.len())?; // else numbers came round again, and nothing of it is used
    let rows: Vec<Vec<usize>> = (0..queries.len())
        .into_par_iter()
        .map(|row| choose::choose(pool.row(row), &pool.strings, &pool.counts, queries.len()))
        .collect();
    let explain = |row: usize| rows[row].iter().map(move |&at| (row, at)).collect::<Vec<_>>();
    let explanations: Vec<String> = (0..queries.len())
        .into_par_iter()
        .flat_map_iter(explain)
        .map(|(row, at)| explanation(queries[row], &pool.row(row)[at]))
        .collect();
    let mut made = Tagged { explanations, offsets: vec![0], ..Tagged::default() };
    let mut map = vec![u32::MAX; pool.strings.len()];
    for (row, chosen) in rows.iter().enumerate() {
        for &at in chosen {
            let id = pool.row(row)[at].id as usize;
            if map[id] == u32::MAX {
                map[id] = made.vocabulary.len() as u32;
                made.vocabulary.push(pool.strings[id].clone());
            }
            made.ids.push(map[id]);
        }
        made.offsets.push(made.ids.len() as i64);
    }
    Ok(made)
}

/// The strings of the chunks of a column; a null is empty.
fn texts(chunks: &[ArrayRef]) -> Result<Vec<&str>> {
    let mut queries: Vec<&str> = Vec::new();
    for chunk in chunks {
        queries.extend(borrow_strs(chunk.as_ref())?.into_iter().map(|query| query.unwrap_or("")));
    }
    Ok(queries)
}

/// The first pass alone, for the twin in Python: rows of strings, then kind, weight, start and end of each candidate.
pub fn first_pass(chunks: &[ArrayRef]) -> Result<(ArrayRef, Vec<[u32; 4]>)> {
    let pool = candidates(&texts(chunks)?);
    let strings: LargeStringArray = pool.strings.iter().map(|text| Some(&**text)).collect();
    let offsets: Vec<i64> = pool.offsets.iter().map(|&at| at as i64).chain([pool.all.len() as i64]).collect();
    let ids: Vec<u32> = pool.all.iter().map(|candidate| candidate.id).collect();
    let parts = pool.all.iter().map(|c| [c.kind as u32, u32::from(c.weight), c.start, c.end]).collect();
    Ok((to_lists(&[Arc::new(strings)], &offsets, &ids)?, parts))
}

/// The candidates of many queries, read in parallel and merged in order.
pub fn candidates(queries: &[&str]) -> Candidates {
    let lexicon = Lexicon::get();
    let runs: Vec<Candidates> = queries
        .par_chunks(RUN)
        .map_init(Text::default, |text, run| {
            let mut out = Candidates::default();
            for query in run {
                read(query, text, lexicon, &mut out);
            }
            out
        })
        .collect();
    runs.into_iter()
        .reduce(|mut all, run| {
            all.merge(&run);
            all
        })
        .unwrap_or_default()
}

/// Characters of the query that an explanation quotes.
const QUOTED: usize = 60;

/// "verb and object: 'write an essay'": what the tag is and the words it was read from.
fn explanation(query: &str, candidate: &Candidate) -> String {
    let end = tokenize::boundary_before(query, candidate.end as usize);
    let words = query.get(candidate.start as usize..end).unwrap_or("").split_whitespace();
    let mut quoted = String::new();
    for word in words {
        if !quoted.is_empty() {
            quoted.push(' ');
        }
        quoted.push_str(word);
    }
    if let Some((cut, _)) = quoted.char_indices().nth(QUOTED) {
        quoted.truncate(cut);
        quoted.push('…');
    }
    match candidate.kind {
        candidates::Kind::Language => candidate.kind.explanation().to_owned(),
        _ if candidate.start == candidate.end => "form of the query".to_owned(),
        kind => format!("{}: '{quoted}'", kind.explanation()),
    }
}

impl Tagged {
    /// The columns `tags` (lists over a dictionary) and `explanations` (lists of strings), one row a query.
    pub fn columns(&self) -> Result<Vec<(&'static str, ArrayRef)>> {
        let vocabulary: LargeStringArray = self.vocabulary.iter().map(|tag| Some(&**tag)).collect();
        let tags = to_lists(&[Arc::new(vocabulary)], &self.offsets, &self.ids)?;
        let explanations: LargeStringArray = self.explanations.iter().map(Some).collect();
        let item = Arc::new(Field::new("item", DataType::LargeUtf8, true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets.clone()));
        let lists = LargeListArray::try_new(item, offsets, Arc::new(explanations), None);
        let lists = lists.map_err(|error| Error::Column(error.to_string()))?;
        Ok(vec![("tags", tags), ("explanations", Arc::new(lists))])
    }
}
