//! Noun phrases in text with spaces: runs of words that are neither function words nor verbs.

use std::borrow::Cow;

use super::candidates::{Candidates, Kind};
use super::language::Language;
use super::latin::{LONGEST_PHRASE, Reader};
use super::lexicon::{Entry, role};
use super::singular::singular;
use super::tokenize::{Class, Sentence};

/// Endings of English words that are hardly ever nouns, or participles.
const ADJECTIVE_ENDINGS: [&str; 7] = ["able", "ible", "ful", "ous", "ical", "less", "ily"];

/// Words in -ing that go on with a noun phrase; others end it ("a table comparing ...").
const GERUND_NOUNS: [&str; 18] = [
    "learning",
    "engineering",
    "programming",
    "processing",
    "marketing",
    "training",
    "testing",
    "building",
    "meeting",
    "planning",
    "writing",
    "mining",
    "painting",
    "drawing",
    "wedding",
    "clothing",
    "housing",
    "morning",
];

/// Whether a word is a letter that stands for a value ("an integer k", "s.length"), not a name ("vitamin C").
fn is_variable(word: &str, is_capital: bool) -> bool {
    let bytes = word.as_bytes();
    !is_capital && bytes.first().is_some_and(u8::is_ascii_alphabetic) && matches!(bytes.get(1), None | Some(b'.'))
}

impl Reader<'_> {
    /// A word as it ends a noun phrase: an English plural in the singular, unless it is a name ("Los Angeles").
    pub(super) fn fold(&self, at: usize) -> Cow<'_, str> {
        let word = self.text.word(at);
        let is_name = self.text.tokens[at].is_capital;
        if self.language == Language::English && !is_name { singular(word) } else { word.into() }
    }

    /// Whether a word may stand in a noun phrase.
    pub(super) fn is_content(&self, at: usize, is_first: bool) -> bool {
        let word = self.text.word(at);
        if self.class(at) != Class::Word
            || word.starts_with(['\'', '_'])
            || word.contains('.') && word.chars().count() > 12
            || is_variable(word, self.text.tokens[at].is_capital)
        {
            return false;
        }
        let roles = self.roles(at);
        let is_named = self.text.tokens[at].is_capital && !is_first;
        let is_participle = !is_first && self.is_gerund(word);
        roles & role::STOP == 0
            && (!is_participle || is_named || GERUND_NOUNS.contains(&word))
            && (roles & role::VERB == 0 || is_named)
            && !(self.language == Language::English
                && (word.ends_with("ed") && !word.ends_with("eed") || word.ends_with("ly"))
                && word.chars().count() > 4)
    }

    fn is_gerund(&self, word: &str) -> bool {
        self.language == Language::English && word.ends_with("ing") && word.chars().count() > 5
    }

    /// Noun phrases: runs of content words; the run's last words, and its head alone.
    pub(super) fn topics(&mut self, sentence: Sentence, weight: u32, out: &mut Candidates) {
        let mut at = sentence.from;
        while at < sentence.to {
            let mut from = at;
            while at < sentence.to && self.is_content(at, at == sentence.from) && at - from < 6 {
                at += 1;
            }
            let next = at.max(from + 1);
            let mut to = at;
            // "New York" keeps what "new shoes" loses.
            let is_name = |at: usize| self.text.tokens[at].is_capital;
            while from < to && self.is(from, role::ADJECTIVE) && !(from + 1 < to && is_name(from) && is_name(from + 1))
            {
                from += 1;
            }
            while from < to && self.is(to - 1, role::ADJECTIVE) {
                to -= 1;
            }
            at = next;
            if from >= to || from == sentence.from && self.verb(from, to).is_some() {
                continue;
            }
            self.phrase(from, to, weight, out);
        }
    }

    pub(super) fn phrase(&self, from: usize, to: usize, weight: u32, out: &mut Candidates) {
        let is_romance = self.language.is_head_initial();
        let word = |at: usize| self.text.word(at);
        let is_english = self.language == Language::English;
        let starts = if is_romance { from..to.min(from + 1) } else { to.saturating_sub(LONGEST_PHRASE).max(from)..to };
        for start in starts {
            let end = if is_romance { to.min(start + LONGEST_PHRASE) } else { to };
            let span = self.span(start, end);
            let gerund = u32::from(self.is_gerund(word(start))) * 3;
            match end - start {
                3 => {
                    let text = format_args!("{} {} {}", word(start), word(start + 1), self.fold(end - 1));
                    out.add(text, Kind::Topic, weight * (10 - gerund), span);
                }
                2 => out.add(
                    format_args!("{} {}", word(start), self.fold(end - 1)),
                    Kind::Topic,
                    weight * (10 - gerund),
                    span,
                ),
                _ => {
                    let head = self.fold(start);
                    let says_nothing = |entry: &Entry| {
                        entry.roles & (role::GENERIC | role::STOP) != 0 || entry.verb.is_some() && entry.thing.is_none()
                    };
                    let is_adjective = is_english && ADJECTIVE_ENDINGS.iter().any(|ending| head.ends_with(ending));
                    let is_generic = is_adjective
                        || self.table.get(&*head).is_some_and(says_nothing)
                        || self.is(start, role::GENERIC);
                    if !is_generic && gerund == 0 && head.chars().count() > 2 {
                        out.add(format_args!("{head}"), Kind::Topic, weight * 5, span);
                    }
                }
            }
        }
    }
}
