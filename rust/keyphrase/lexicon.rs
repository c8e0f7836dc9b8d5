//! The word tables of `lexicon/*.txt`, read once: what a word or phrase can be, language by language.
//!
//! The tables are plain text so that a speaker of a language can extend them without reading Rust; their grammar is in
//! the first lines of each file. Every phrase passes the tokenizer of the queries, so both always agree.

use rustc_hash::FxHashMap;
use std::sync::OnceLock;

use super::candidates::Kind;
use super::language::{LATIN, Language};
use super::tokenize::{Class, Text};

/// Role bits of a word.
pub mod role {
    /// A function word: breaks phrases, tells the language.
    pub const STOP: u16 = 1;
    /// A verb that is no request: breaks phrases.
    pub const VERB: u16 = 2;
    /// May open a phrase, may not end one.
    pub const ADJECTIVE: u16 = 4;
    /// A noun that says nothing alone.
    pub const GENERIC: u16 = 8;
    /// Skipped between a verb and its object.
    pub const FILLER: u16 = 16;
    /// Skipped at the beginning of a clause.
    pub const LEAD: u16 = 32;
    /// Stands before a request ("can you").
    pub const OPENER: u16 = 64;
    /// An opener whose object is the thing looked for.
    pub const WANT: u16 = 128;
    /// A head that stands for what follows "of".
    pub const PART: u16 = 256;
    /// Protects a word without spaces around it from being cut at a function character.
    pub const GUARD: u16 = 512;
    /// A verb that is as often a noun.
    pub const HOMOGRAPH: u16 = 1024;
    /// A noun of a script without spaces: cuts a run of characters.
    pub const WORD: u16 = 2048;
}

const ROLES: [(&str, u16); 12] = [
    ("stop", role::STOP),
    ("verb", role::VERB),
    ("adjective", role::ADJECTIVE),
    ("generic", role::GENERIC),
    ("filler", role::FILLER),
    ("lead", role::LEAD),
    ("opener", role::OPENER),
    ("want", role::WANT),
    ("part", role::PART),
    ("guard", role::GUARD),
    ("homograph", role::HOMOGRAPH),
    ("word", role::WORD),
];

/// What a cue's tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CueKind {
    /// What is wanted.
    Intention,
    /// The same, told by the form of a question.
    Question,
    /// A question, and no more.
    Bare,
    /// Form, genre or subject.
    Fact,
    /// A turn of a conversation.
    Act,
    /// The name of a natural language.
    Language,
    /// Boilerplate that describes a tool.
    Tool,
}

impl CueKind {
    /// The kind of candidate that the phrase alone makes, with the factor of its weight.
    pub fn candidate(self) -> Option<(Kind, u32)> {
        match self {
            Self::Intention => Some((Kind::Intention, 7)),
            Self::Question => Some((Kind::Question, 6)),
            Self::Bare => Some((Kind::Bare, 4)),
            Self::Fact => Some((Kind::Fact, 6)),
            Self::Act => Some((Kind::Act, 5)),
            Self::Language | Self::Tool => None,
        }
    }
}

/// A cue: its tag and what it is.
#[derive(Debug)]
pub struct Cue {
    /// The tag it gives.
    pub tag: &'static str,
    /// What kind of tag that is.
    pub kind: CueKind,
}

/// A verb of verbs.txt.
#[derive(Debug)]
pub struct Verb {
    /// Its name in tags.
    pub name: &'static str,
    /// The intention of the verb alone.
    pub intention: Option<&'static str>,
}

/// A thing of objects.txt.
#[derive(Debug)]
pub struct Thing {
    /// Its name in tags.
    pub name: &'static str,
    class: &'static str,
}

/// Everything the tables say of one phrase.
#[derive(Debug, Default, Clone)]
pub struct Entry {
    /// Index into [`Lexicon::verbs`].
    pub verb: Option<u16>,
    /// Index into [`Lexicon::things`].
    pub thing: Option<u16>,
    /// (Index into [`Lexicon::cues`], held to the beginning of a clause), in file order.
    pub cues: Vec<(u16, bool)>,
    /// Bits of [`role`].
    pub roles: u16,
    /// The longest phrase in the table that begins with this word, in words (in characters where there are no spaces).
    pub longest: u8,
}

/// Phrase (words joined by a space) -> entry.
pub type Table = FxHashMap<String, Entry>;

/// All tables.
#[derive(Debug, Default)]
pub struct Lexicon {
    tables: Vec<Table>,
    /// Verbs in file order.
    pub verbs: Vec<Verb>,
    /// Things in file order.
    pub things: Vec<Thing>,
    /// Cues in file order.
    pub cues: Vec<Cue>,
    /// Word -> how surely it tells each Latin language (2 a function word or a verb, 1 another word of the tables).
    pub marks: FxHashMap<String, [u8; LATIN.len()]>,
    pairs: FxHashMap<(&'static str, &'static str), &'static str>,
}

impl Lexicon {
    /// The tables, read at first use.
    pub fn get() -> &'static Self {
        static LEXICON: OnceLock<Lexicon> = OnceLock::new();
        LEXICON.get_or_init(Self::read)
    }

    /// The table of one language.
    pub fn table(&self, language: Language) -> &Table {
        &self.tables[language as usize]
    }

    /// The intention of a verb with a thing, else of the verb alone.
    pub fn intention(&self, verb: &Verb, thing: Option<u16>) -> Option<&'static str> {
        let class = thing.and_then(|at| self.things.get(at as usize)).map(|thing| thing.class);
        class.and_then(|class| self.pairs.get(&(verb.name, class)).copied()).or(verb.intention)
    }

    fn read() -> Self {
        let mut made = Self { tables: vec![Table::default(); Language::COUNT], ..Self::default() };
        for (head, rest) in lines(include_str!("lexicon/verbs.txt")) {
            let (name, intention) = head.split_once("->").map_or((head, None), |(a, b)| (a, Some(b.trim())));
            let id = made.verbs.len() as u16;
            made.verbs.push(Verb { name: name.trim(), intention });
            made.add(rest, |entry, _| entry.verb = entry.verb.or(Some(id)));
        }
        for (head, rest) in lines(include_str!("lexicon/objects.txt")) {
            let (name, class) = head.split_once('[').unwrap_or((head, ""));
            let id = made.things.len() as u16;
            let (name, class) = (name.trim(), class.trim_end_matches(']'));
            made.things.push(Thing { name, class });
            made.add_forms(Language::English, name, &mut |entry, _| entry.thing = Some(id));
            made.add(rest, |entry, _| entry.thing = entry.thing.or(Some(id)));
        }
        for (head, rest) in lines(include_str!("lexicon/cues.txt")) {
            let (kind, tag) = head.split_once(' ').unwrap_or((head, head));
            let id = made.cues.len() as u16;
            let kind = match kind {
                "question" => CueKind::Question,
                "bare" => CueKind::Bare,
                "fact" => CueKind::Fact,
                "act" => CueKind::Act,
                "language" => CueKind::Language,
                "tool" => CueKind::Tool,
                _ => CueKind::Intention,
            };
            made.cues.push(Cue { tag, kind });
            made.add(rest, |entry, anchored| entry.cues.push((id, anchored)));
        }
        for (head, rest) in lines(include_str!("lexicon/words.txt")) {
            let (name, language) = head.split_once(' ').unwrap_or((head, "en"));
            let bit = ROLES.iter().find(|(role, _)| *role == name).map_or(0, |(_, bit)| *bit);
            let Some(language) = Language::by_code(language) else { continue };
            made.add_forms(language, rest, &mut |entry, _| entry.roles |= bit);
        }
        for line in include_str!("lexicon/intentions.txt").lines().filter(|line| !line.starts_with('#')) {
            let Some((verbs, (class, intention))) =
                line.split_once('/').and_then(|(verbs, rest)| Some((verbs, rest.split_once('=')?)))
            else {
                continue;
            };
            for verb in verbs.split(',') {
                made.pairs.insert((verb.trim(), class.trim()), intention.trim());
            }
        }
        for (slot, (_, language)) in LATIN.iter().enumerate() {
            for (word, entry) in &made.tables[*language as usize] {
                let is_sure = entry.roles & role::STOP != 0 || entry.verb.is_some();
                let mark = if is_sure { 2 } else { u8::from(entry.thing.is_some() || !entry.cues.is_empty()) };
                if mark > 0 {
                    made.marks.entry(word.clone()).or_default()[slot] = mark;
                }
            }
        }
        made
    }

    /// Adds `en a, b | zh c`.
    fn add(&mut self, forms: &str, mut change: impl FnMut(&mut Entry, bool)) {
        for part in forms.split('|') {
            let (code, forms) = part.trim().split_once(' ').unwrap_or(("", ""));
            if let Some(language) = Language::by_code(code) {
                self.add_forms(language, forms, &mut change);
            }
        }
    }

    fn add_forms(&mut self, language: Language, forms: &str, change: &mut dyn FnMut(&mut Entry, bool)) {
        let mut text = Text::default();
        for form in forms.split(',').map(str::trim).filter(|form| !form.is_empty()) {
            let anchored = form.starts_with('^');
            text.read(form.trim_start_matches('^'));
            let words: Vec<&str> = (0..text.tokens.len())
                .filter(|&at| text.tokens[at].class != Class::End)
                .map(|at| text.word(at))
                .collect();
            let table = &mut self.tables[language as usize];
            let Some(first) = words.first() else { continue };
            let (first, length) = if language.has_spaces() {
                ((*first).to_owned(), words.len())
            } else {
                (first.chars().take(1).collect(), words.concat().chars().count())
            };
            let entry = table.entry(first).or_default();
            entry.longest = entry.longest.max(length as u8);
            let key = if language.has_spaces() { words.join(" ") } else { words.concat() };
            change(table.entry(key).or_default(), anchored);
        }
    }
}

/// The lines `head: rest` of a table, comments left out.
fn lines(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(':')).map(|(head, rest)| (head.trim(), rest.trim()))
}
