//! Candidates of a sentence whose words stand between spaces: requests (verb and object), cues, noun phrases.
//!
//! No parser and no model: a request is a verb of the tables at the beginning of a clause (after "please", "can you",
//! "I want to"), its object the noun phrase behind it. Tried and dropped: any verb anywhere (passages are full of them),
//! part-of-speech suffixes alone (nouns and verbs of English look alike).

use super::candidates::{Candidates, Kind};
use super::language::Language;
use super::lexicon::{CueKind, Entry, Lexicon, Table, role};
use super::tokenize::{Class, Sentence, Text};

/// Reads sentences of one query.
pub struct Reader<'a> {
    /// The query.
    pub text: &'a Text,
    /// The tables.
    pub lexicon: &'static Lexicon,
    /// The table of its language.
    pub table: &'static Table,
    /// Its language.
    pub language: Language,
    /// Whether it is short enough to be a turn of a conversation.
    pub is_short: bool,
    pub(super) entries: Vec<Option<&'static Entry>>,
    pub(super) key: String,
}

/// Words in the longest noun phrase that is kept.
pub(super) const LONGEST_PHRASE: usize = 3;

/// Up to so many sentences a question may lack its mark; in longer texts "which" opens what is told, too.
pub(super) const FEW_SENTENCES: usize = 2;

impl<'a> Reader<'a> {
    /// A reader of a query in `language`.
    pub fn new(text: &'a Text, lexicon: &'static Lexicon, language: Language) -> Self {
        let table = lexicon.table(language);
        // One look-up a word: almost everything below asks what a word can be.
        let entries = (0..text.tokens.len()).map(|at| table.get(text.word(at))).collect();
        Self { text, lexicon, table, language, is_short: text.words <= 30, entries, key: String::new() }
    }

    pub(super) fn roles(&self, at: usize) -> u16 {
        self.entries.get(at).copied().flatten().map_or(0, |entry| entry.roles)
    }

    pub(super) fn is(&self, at: usize, role: u16) -> bool {
        self.roles(at) & role != 0
    }

    pub(super) fn class(&self, at: usize) -> Class {
        self.text.tokens.get(at).map_or(Class::End, |token| token.class)
    }

    pub(super) fn span(&self, from: usize, to: usize) -> (u32, u32) {
        let tokens = &self.text.tokens;
        (tokens[from].start, tokens[to.max(from + 1) - 1].end)
    }

    /// The longest phrase of `table` at `at` (before `end`) of which `get` makes something, and its length in tokens.
    pub(super) fn longest<T>(
        &mut self,
        table: &'static Table,
        at: usize,
        end: usize,
        get: impl Fn(&'static Entry) -> Option<T>,
    ) -> Option<(T, usize)> {
        let is_own = std::ptr::eq(table, self.table);
        let first = if is_own { self.entries.get(at).copied().flatten()? } else { table.get(self.text.word(at))? };
        for length in (2..=(first.longest as usize).min(end.saturating_sub(at))).rev() {
            self.key.clear();
            for word in at..at + length {
                if word > at {
                    self.key.push(' ');
                }
                self.key.push_str(self.text.word(word));
            }
            if let Some(found) = table.get(&self.key).and_then(&get) {
                return Some((found, length));
            }
        }
        get(first).map(|found| (found, 1))
    }

    /// Past words that only lead in ("please", "then,"), and past an opener ("can you"); whether there was one, and
    /// whether it names what is wanted.
    pub(super) fn open(&mut self, mut at: usize, end: usize) -> (usize, bool, bool) {
        let (mut opened, mut wants) = (false, false);
        for _ in 0..12 {
            if at >= end {
                break;
            }
            let table = self.table;
            if let Some((bits, length)) = self.longest(table, at, end, |entry| {
                let bits = entry.roles & (role::OPENER | role::WANT);
                (bits != 0).then_some(bits)
            }) {
                (opened, wants) = (true, bits & role::OPENER == 0);
                at += length;
            } else if self.class(at) == Class::Break || self.is(at, role::LEAD) && self.verb(at, end).is_none() {
                at += 1;
            } else {
                break;
            }
        }
        (at, opened, wants)
    }

    pub(super) fn verb(&mut self, at: usize, end: usize) -> Option<(u16, usize)> {
        if self.class(at) != Class::Word {
            return None;
        }
        let table = self.table;
        self.longest(table, at, end, |entry| entry.verb)
    }

    /// Whether a sentence asks for something: a question mark, a question word, a verb or an opener at its beginning.
    pub fn asks(&mut self, sentence: Sentence) -> bool {
        let (at, opened, _) = self.open(sentence.from, sentence.to);
        sentence.is_question
            || opened
            || at + 1 < sentence.to && self.verb(at, sentence.to).is_some() && self.class(at + 1) == Class::Word
            || at < sentence.to
                && self.text.sentences.len() <= FEW_SENTENCES
                && self.entries[at].is_some_and(|entry| entry.cues.iter().any(|cue| cue.1))
    }

    /// Whether a sentence is boilerplate that describes a tool; then the tag stays and the sentence is skipped.
    pub fn is_tool(&mut self, sentence: Sentence, out: &mut Candidates) -> bool {
        if self.language != Language::English {
            return false;
        }
        let lexicon = self.lexicon;
        let tool = |entry: &'static Entry| {
            let mut cues = entry.cues.iter().filter_map(|cue| lexicon.cues.get(cue.0 as usize));
            cues.find(|cue| cue.kind == CueKind::Tool)
        };
        let Some((cue, length)) = self.longest(self.table, sentence.from, sentence.to, tool) else { return false };
        out.add(format_args!("{}", cue.tag), Kind::Fact, 80, self.span(sentence.from, sentence.from + length));
        true
    }

    /// Every candidate of a sentence; `weight` (1 to 10) says where it stands.
    pub fn read(&mut self, sentence: Sentence, weight: u32, out: &mut Candidates) {
        self.cues(sentence, weight, out);
        let mut found = 0;
        let (at, opened, wants) = self.open(sentence.from, sentence.to);
        if at < sentence.to {
            found += u32::from(self.request(at, sentence.to, opened, wants, weight, out));
            self.inquiry(at, sentence.to, weight, out);
        }
        // Clauses inside: behind a comma or "and", a verb that has its object right behind it.
        for inner in at + 1..sentence.to {
            if found >= 3 {
                break;
            }
            let is_clause = self.class(inner - 1) == Class::Break
                || matches!(self.text.word(inner - 1), "and" | "then" | "y" | "et" | "und")
                || weight > 5 && self.is_opener(inner, sentence.to);
            if !is_clause {
                continue;
            }
            let (start, opened, wants) = self.open(inner, sentence.to);
            if start >= sentence.to || (wants || !opened && !self.has_object(start, sentence.to)) {
                continue;
            }
            found += u32::from(self.request(start, sentence.to, opened, wants, weight * 9 / 10, out));
        }
        self.topics(sentence, weight, out);
    }

    /// Whether an opener of two words or more stands at `at` ("help me", "want to").
    pub(super) fn is_opener(&mut self, at: usize, end: usize) -> bool {
        let table = self.table;
        let opener = |entry: &'static Entry| (entry.roles & role::OPENER != 0).then_some(());
        self.entries[at].is_some_and(|entry| entry.longest > 1)
            && self.longest(table, at, end, opener).is_some_and(|((), length)| length > 1)
    }

    pub(super) fn has_object(&mut self, at: usize, end: usize) -> bool {
        let Some((_, length)) = self.verb(at, end) else { return false };
        at + length < end && self.is(at + length, role::FILLER)
    }
}
