//! Candidates of a sentence whose words stand between spaces: requests (verb and object), cues, noun phrases.
//!
//! No parser and no model: a request is a verb of the tables at the beginning of a clause (after "please", "can you",
//! "I want to"), its object the noun phrase behind it. Tried and dropped: any verb anywhere (passages are full of them),
//! part-of-speech suffixes alone (nouns and verbs of English look alike).

use super::candidates::{Candidates, Kind};
use super::language::Language;
use super::lexicon::{CueKind, Entry, Lexicon, Table, role};
use super::singular::singular;
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
    key: String,
}

/// Words in the longest noun phrase that is kept.
const LONGEST_PHRASE: usize = 3;

impl<'a> Reader<'a> {
    /// A reader of a query in `language`.
    pub fn new(text: &'a Text, lexicon: &'static Lexicon, language: Language) -> Self {
        let table = lexicon.table(language);
        Self { text, lexicon, table, language, is_short: text.words <= 30, key: String::new() }
    }

    fn roles(&self, at: usize) -> u16 {
        self.table.get(self.text.word(at)).map_or(0, |entry| entry.roles)
    }

    fn is(&self, at: usize, role: u16) -> bool {
        self.roles(at) & role != 0
    }

    fn class(&self, at: usize) -> Class {
        self.text.tokens.get(at).map_or(Class::End, |token| token.class)
    }

    fn span(&self, from: usize, to: usize) -> (u32, u32) {
        let tokens = &self.text.tokens;
        (tokens[from].start, tokens[to.max(from + 1) - 1].end)
    }

    /// The longest phrase of `table` at `at` (before `end`) of which `get` makes something, and its length in tokens.
    fn longest<T>(
        &mut self,
        table: &'static Table,
        at: usize,
        end: usize,
        get: impl Fn(&'static Entry) -> Option<T>,
    ) -> Option<(T, usize)> {
        let first = table.get(self.text.word(at))?;
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
    fn open(&mut self, mut at: usize, end: usize) -> (usize, bool, bool) {
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

    fn verb(&mut self, at: usize, end: usize) -> Option<(u16, usize)> {
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
            || at < sentence.to && (self.verb(at, sentence.to).is_some() && self.class(at + 1) == Class::Word)
            || at < sentence.to
                && self.table.get(self.text.word(at)).is_some_and(|entry| entry.cues.iter().any(|cue| cue.1))
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
                || matches!(self.text.word(inner - 1), "and" | "then" | "y" | "et" | "und");
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

    fn has_object(&mut self, at: usize, end: usize) -> bool {
        let Some((_, length)) = self.verb(at, end) else { return false };
        at + length < end && self.is(at + length, role::FILLER)
    }

    /// A verb with its object at `at`: the intention, and the tag "verb object" in a long and a short form.
    fn request(&mut self, at: usize, end: usize, opened: bool, wants: bool, weight: u32, out: &mut Candidates) -> bool {
        let (verb, behind) = match self.verb(at, end) {
            _ if wants => (None, at),
            Some((verb, length)) => (Some(verb), at + length),
            None if opened && self.is_open_verb(at, end) => (None, at + 1),
            None => return false,
        };
        let (from, to, thing) = self.object(behind, end);
        let span = self.span(at, to);
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
        let thing = thing.and_then(|thing| lexicon.things.get(thing as usize));
        let spoken = if wants { "find" } else { self.text.word(at) };
        let name = known.map_or(spoken, |known| known.name);
        if let Some(thing) = thing {
            out.add(format_args!("{name} {}", thing.name), Kind::VerbObject, weight * 8, span);
        }
        if self.language == Language::English {
            let name = if thing.is_some() { name } else { spoken };
            let head = singular(self.text.word(to - 1));
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
    fn is_open_verb(&self, at: usize, end: usize) -> bool {
        self.class(at) == Class::Word
            && !self.is(at, role::STOP | role::ADJECTIVE | role::LEAD | role::GENERIC)
            && self.text.word(at).len() > 2
            && self.text.word(at).bytes().all(|b| b.is_ascii_lowercase())
            && !self.text.word(at).ends_with("ing")
            && at + 1 < end
            && self.is(at + 1, role::FILLER)
    }

    /// The noun phrase behind a verb as tokens `from..to` (empty where there is none), and the thing it is.
    fn object(&mut self, at: usize, end: usize) -> (usize, usize, Option<u16>) {
        let mut from = at;
        let limit = end.min(at + 10);
        while from < limit && self.is(from, role::FILLER) && !self.begins_thing(from, end) {
            from += 1;
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
        let table = self.table;
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

    fn begins_thing(&self, at: usize, end: usize) -> bool {
        // "short story" is a thing although "short" is skipped elsewhere.
        at + 1 < end && {
            let phrase = [self.text.word(at), " ", self.text.word(at + 1)].concat();
            self.table.get(&phrase).is_some_and(|entry| entry.thing.is_some())
        }
    }

    /// The thing that tokens `from..to` name, all of them, the last one folded to the singular.
    fn thing(&mut self, from: usize, to: usize) -> Option<u16> {
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
    fn inquiry(&mut self, at: usize, end: usize, weight: u32, out: &mut Candidates) {
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
        let head = singular(self.text.word(to - 1));
        if !self.is(to - 1, role::GENERIC) {
            out.add(format_args!("{head} inquiry"), Kind::VerbObject, weight * 6, span);
        }
        if to - from >= 2 {
            let modifier = self.text.word(to - 2);
            out.add(format_args!("{modifier} {head} inquiry"), Kind::VerbObject, weight * 7, span);
        }
    }

    fn cues(&mut self, sentence: Sentence, weight: u32, out: &mut Candidates) {
        let mut is_clause = true;
        for at in sentence.from..sentence.to {
            for table in [self.table, self.lexicon.table(Language::English)] {
                let is_own = std::ptr::eq(table, self.table);
                let cues = |entry: &'static Entry| {
                    let open = entry.cues.iter().any(|cue| !cue.1 || is_clause);
                    open.then_some(&entry.cues)
                };
                let Some((cues, length)) = self.longest(table, at, sentence.to, cues) else { continue };
                let span = self.span(at, at + length);
                for &(id, anchored) in cues {
                    let Some(cue) = self.lexicon.cues.get(id as usize).filter(|_| is_clause || !anchored) else {
                        continue;
                    };
                    match cue.kind {
                        CueKind::Fact => out.add(format_args!("{}", cue.tag), Kind::Fact, weight * 6, span),
                        CueKind::Language => self.asked_language(at, length, cue.tag, weight, out),
                        CueKind::Intention if is_own && cue.is_question => {
                            out.add(format_args!("{}", cue.tag), Kind::Question, weight * 6, span);
                        }
                        CueKind::Intention if is_own => {
                            out.add(format_args!("{}", cue.tag), Kind::Intention, weight * 7, span)
                        }
                        CueKind::Act if is_own && self.is_short => {
                            out.add(format_args!("{}", cue.tag), Kind::Act, weight * 5, span);
                        }
                        _ => {}
                    }
                }
                if is_own && self.language == Language::English {
                    break;
                }
            }
            is_clause = self.class(at) == Class::Break || is_clause && self.is(at, role::LEAD);
        }
    }

    /// "into French", "auf Deutsch": the language that the answer is wanted in.
    fn asked_language(&mut self, at: usize, length: usize, name: &str, weight: u32, out: &mut Candidates) {
        let Some(before) = at.checked_sub(1) else { return };
        let span = self.span(before, at + length);
        match self.text.word(before) {
            "to" | "into" | "al" | "ins" => {
                out.add(format_args!("translation to {name}"), Kind::Fact, weight * 9, span)
            }
            "in" | "en" | "auf" | "em" => out.add(format_args!("{name} wanted"), Kind::Fact, weight * 7, span),
            _ => {}
        }
    }

    /// Whether a word may stand in a noun phrase.
    fn is_content(&self, at: usize, is_first: bool) -> bool {
        let word = self.text.word(at);
        if self.class(at) != Class::Word || word.starts_with(['\'', '_']) || word.contains('.') && word.len() > 12 {
            return false;
        }
        let roles = self.roles(at);
        let is_named = self.text.tokens[at].is_capital && !is_first;
        roles & role::STOP == 0
            && (roles & role::VERB == 0 || is_named)
            && !(self.language == Language::English && word.len() > 4 && (word.ends_with("ed") || word.ends_with("ly")))
    }

    /// Noun phrases: runs of content words; the run's last words, and its head alone.
    fn topics(&mut self, sentence: Sentence, weight: u32, out: &mut Candidates) {
        let mut at = sentence.from;
        while at < sentence.to {
            let mut from = at;
            while at < sentence.to && self.is_content(at, at == sentence.from) && at - from < 6 {
                at += 1;
            }
            let next = at.max(from + 1);
            let mut to = at;
            while from < to && self.is(from, role::ADJECTIVE) {
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

    fn phrase(&self, from: usize, to: usize, weight: u32, out: &mut Candidates) {
        let is_romance = self.language.is_head_initial();
        let word = |at: usize| self.text.word(at);
        let is_english = self.language == Language::English;
        let fold = |at: usize| if is_english { singular(word(at)) } else { word(at).into() };
        let starts = if is_romance { from..to.min(from + 1) } else { to.saturating_sub(LONGEST_PHRASE).max(from)..to };
        for start in starts {
            let end = if is_romance { to.min(start + LONGEST_PHRASE) } else { to };
            let span = self.span(start, end);
            let gerund = u32::from(is_english && word(start).ends_with("ing") && word(start).len() > 5) * 3;
            match end - start {
                3 => {
                    let text = format_args!("{} {} {}", word(start), word(start + 1), fold(end - 1));
                    out.add(text, Kind::Topic, weight * (10 - gerund), span);
                }
                2 => out.add(
                    format_args!("{} {}", word(start), fold(end - 1)),
                    Kind::Topic,
                    weight * (10 - gerund),
                    span,
                ),
                _ => {
                    let head = fold(start);
                    let is_generic =
                        self.table.get(&*head).is_some_and(|e| e.roles & (role::GENERIC | role::STOP) != 0)
                            || self.is(start, role::GENERIC);
                    if !is_generic && gerund == 0 && head.chars().count() > 2 {
                        out.add(format_args!("{head}"), Kind::Topic, weight * 5, span);
                    }
                }
            }
        }
    }
}
