//! Requests in text with spaces: a verb at the beginning of a clause, and the noun phrase that is its object.

use super::candidates::{Candidates, Kind};
use super::language::Language;
use super::latin::{LONGEST_PHRASE, Reader};
use super::lexicon::role;
use super::singular::singular;
use super::tokenize::Class;

impl Reader<'_> {
    /// A verb with its object at `at`: the intention, and the tag "verb object" in a long and a short form.
    pub(super) fn request(
        &mut self,
        at: usize,
        end: usize,
        opened: bool,
        wants: bool,
        weight: u32,
        out: &mut Candidates,
    ) -> bool {
        let (verb, behind) = match self.verb(at, end) {
            _ if wants => (None, at),
            // "Plot: ..." and "Order status" ask nothing; "plot the data" does.
            Some((_, 1)) if !opened && self.is(at, role::HOMOGRAPH) && !self.has_object(at, end) => return false,
            Some((verb, length)) => (Some(verb), at + length),
            None if opened && self.is_open_verb(at, end) => (None, at + 1),
            None => return false,
        };
        let (from, to, thing) = self.object(behind, end);
        if wants && from == to {
            return false;
        }
        let span = self.span(at, if from == to { behind } else { to });
        let lexicon = self.lexicon;
        let known = verb.and_then(|verb| lexicon.verbs.get(verb as usize));
        if let Some(intention) = known.and_then(|known| lexicon.intention(known, thing)) {
            out.add(format_args!("{intention}"), Kind::Intention, weight * 8, span);
        } else if wants {
            out.add(format_args!("information retrieval"), Kind::Intention, weight * 6, span);
        }
        if from == to {
            return known.is_some();
        }
        if known.is_some_and(|known| known.name == "tell about") {
            return true;
        }
        let thing = thing.and_then(|thing| lexicon.things.get(thing as usize));
        let spoken = if wants { "find" } else { self.text.word(at) };
        let name = known.map_or(spoken, |known| known.name);
        if let Some(thing) = thing {
            out.add(format_args!("{name} {}", thing.name), Kind::VerbObject, weight * 8, span);
        }
        if self.language == Language::English {
            let name = if thing.is_some() { name } else { spoken };
            let head = self.fold(to - 1);
            if thing.is_none() {
                out.add(format_args!("{name} {head}"), Kind::VerbObject, weight * 7, span);
            }
            if to - from >= 2 {
                let modifier = self.text.word(to - 2);
                out.add(format_args!("{name} {modifier} {head}"), Kind::VerbObject, weight * 8, span);
            }
        }
        known.is_some() || opened
    }

    /// Whether an unknown word behind "can you" may stand as a verb: it has an object of its own.
    pub(super) fn is_open_verb(&self, at: usize, end: usize) -> bool {
        self.class(at) == Class::Word
            && !self.is(at, role::STOP | role::ADJECTIVE | role::LEAD | role::GENERIC)
            && self.text.word(at).len() > 2
            && self.text.word(at).bytes().all(|b| b.is_ascii_lowercase())
            && !self.text.word(at).ends_with("ing")
            && at + 1 < end
            && self.is(at + 1, role::FILLER)
    }

    /// The noun phrase behind a verb as tokens `from..to` (empty where there is none), and the thing it is.
    pub(super) fn object(&mut self, at: usize, end: usize) -> (usize, usize, Option<u16>) {
        let mut from = at;
        let limit = end.min(at + 10);
        // "2" of "a 2 bedroom apartment" is no part of the thing, as "two" is none.
        let is_skipped = |reader: &Self, at: usize| reader.is(at, role::FILLER) || reader.class(at) == Class::Number;
        while from < limit && is_skipped(self, from) && !self.begins_thing(from, end) {
            from += 1;
        }
        let table = self.table;
        if let Some((thing, length @ 3..)) = self.longest(table, from, end, |entry| entry.thing) {
            return (from, from + length, Some(thing)); // "place to eat"
        }
        let mut to = from;
        while to < end && to - from < 4 && self.is_content(to, to == from) {
            to += 1;
        }
        if to > from && to + 1 < end && self.is(to - 1, role::PART) && self.text.word(to) == "of" {
            let inner = self.object(to + 1, end);
            if inner.1 > inner.0 {
                return inner;
            }
        }
        if self.language.is_head_initial() {
            for start in from..to.min(from + 2) {
                if let Some((thing, length)) = self.longest(table, start, end, |entry| entry.thing) {
                    return (start, start + length, Some(thing));
                }
            }
            return (from, to.min(from + 1), None);
        }
        while to > from + 1 && self.is(to - 1, role::ADJECTIVE) {
            to -= 1;
        }
        for start in from..to {
            if let Some(thing) = self.thing(start, to) {
                return (from.max(to.saturating_sub(LONGEST_PHRASE)), to, Some(thing));
            }
        }
        if to == from + 1 && (self.is(from, role::GENERIC | role::ADJECTIVE)) {
            return (from, from, None);
        }
        (from.max(to.saturating_sub(LONGEST_PHRASE)), to, None)
    }

    pub(super) fn begins_thing(&self, at: usize, end: usize) -> bool {
        // "short story" is a thing although "short" is skipped elsewhere.
        at + 1 < end && {
            let phrase = [self.text.word(at), " ", self.text.word(at + 1)].concat();
            self.table.get(&phrase).is_some_and(|entry| entry.thing.is_some())
        }
    }

    /// The thing that tokens `from..to` name, all of them, the last one folded to the singular.
    pub(super) fn thing(&mut self, from: usize, to: usize) -> Option<u16> {
        self.key.clear();
        for at in from..to - 1 {
            self.key.push_str(self.text.word(at));
            self.key.push(' ');
        }
        let last = self.text.word(to - 1);
        let stem = self.key.len();
        self.key.push_str(last);
        let plain = self.table.get(&self.key).and_then(|entry| entry.thing);
        if plain.is_some() || self.language != Language::English {
            return plain;
        }
        self.key.truncate(stem);
        self.key.push_str(&singular(last));
        self.table.get(&self.key).and_then(|entry| entry.thing)
    }

    /// "what is the address": a tag for what is asked about.
    pub(super) fn inquiry(&mut self, at: usize, end: usize, weight: u32, out: &mut Candidates) {
        if self.language != Language::English || at + 3 > end || self.text.word(at) != "what" {
            return;
        }
        let is_copula = matches!(self.text.word(at + 1), "is" | "are" | "was" | "were" | "'s");
        if !is_copula || !matches!(self.text.word(at + 2), "the" | "its" | "their" | "your" | "his" | "her" | "my") {
            return;
        }
        let (from, to, _) = self.object(at + 3, end);
        if from == to {
            return;
        }
        let span = self.span(at, to);
        let head = self.fold(to - 1);
        if !self.is(to - 1, role::GENERIC) {
            out.add(format_args!("{head} inquiry"), Kind::VerbObject, weight * 6, span);
        }
        if to - from >= 2 {
            let modifier = self.text.word(to - 2);
            out.add(format_args!("{modifier} {head} inquiry"), Kind::VerbObject, weight * 7, span);
        }
    }
}
