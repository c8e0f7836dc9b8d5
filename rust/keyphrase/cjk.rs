//! Candidates of text written without spaces (Chinese, Japanese): the longest phrase of the tables at each place, and
//! what lies between them as phrases that the pool must confirm.

use super::candidates::{Candidates, Kind};
use super::language::Language;
use super::latin::FEW_SENTENCES;
use super::lexicon::{CueKind, Entry, Lexicon, Table, role};
use super::tokenize::{Class, Sentence, Text, boundary_behind};

/// A piece of a run: bytes of the query, and what the tables say of it.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    verb: Option<u16>,
    thing: Option<u16>,
    is_stop: bool,
}

/// Reads one sentence. O(characters x longest phrase).
pub fn read(
    query: &str,
    text: &Text,
    lexicon: &'static Lexicon,
    language: Language,
    sentence: Sentence,
    weight: u32,
    out: &mut Candidates,
) {
    let table = lexicon.table(language);
    let mut pieces: Vec<Piece> = Vec::new();
    for at in sentence.from..=sentence.to {
        let token = text.tokens.get(at).filter(|_| at < sentence.to);
        match token {
            Some(token) if token.class == Class::Cjk => {
                let (start, end) = (token.start as usize, token.end as usize);
                cut(query, start, end, table, &mut pieces);
                cues(query, text, lexicon, table, (start, end), weight, out);
            }
            Some(token) if matches!(token.class, Class::Word | Class::Number) => {
                let (start, end) = (token.start as usize, token.end as usize);
                pieces.push(Piece { start, end, verb: None, thing: None, is_stop: true });
            }
            _ => {
                requests(query, &pieces, lexicon, language, weight, out);
                phrases(query, &pieces, language, table, weight, out);
                pieces.clear();
            }
        }
    }
}

/// Cuts `query[start..end]` at the longest phrases of the table; neighboring characters it does not know are one piece.
fn cut(query: &str, start: usize, end: usize, table: &'static Table, pieces: &mut Vec<Piece>) {
    let mut at = start;
    let mut open: Option<usize> = None;
    while at < end {
        let next = boundary_behind(query, at + 1).min(end);
        // One character is too little to cut a word at, unless it is a function word, a cue, or nothing stands before.
        let known = longest(query, at, end, table, |entry| entry.is_known().then_some(entry)).filter(|(entry, to)| {
            let is_thing = entry.verb.is_some() || entry.thing.is_some();
            *to > next || entry.roles & role::STOP != 0 || !entry.cues.is_empty() || open.is_none() && is_thing
        });
        let is_guard = known.is_some_and(|(entry, _)| entry.is_guard());
        if is_guard || known.is_none() && !is_hiragana(query, at) {
            open.get_or_insert(at);
            at = known.map_or(next, |(_, to)| to);
            continue;
        }
        if let Some(from) = open.take() {
            pieces.push(Piece { start: from, end: at, verb: None, thing: None, is_stop: false });
        }
        let (verb, thing, to) = known.map_or((None, None, next), |(entry, to)| (entry.verb, entry.thing, to));
        let is_word = known.is_some_and(|(entry, _)| entry.roles & role::WORD != 0);
        let is_stop = verb.is_none() && thing.is_none() && !is_word;
        pieces.push(Piece { start: at, end: to, verb, thing, is_stop });
        at = to;
    }
    if let Some(from) = open {
        pieces.push(Piece { start: from, end, verb: None, thing: None, is_stop: false });
    }
}

impl Entry {
    /// Whether it cuts text without spaces, or keeps it from being cut.
    fn is_known(&self) -> bool {
        let cuts = self.roles & (role::STOP | role::GUARD | role::WORD) != 0 || !self.cues.is_empty();
        cuts || self.verb.is_some() || self.thing.is_some()
    }

    /// Whether it is known only so that nothing cuts inside it.
    fn is_guard(&self) -> bool {
        let is_only = self.roles & (role::GUARD | role::STOP | role::WORD) == role::GUARD;
        is_only && self.verb.is_none() && self.thing.is_none()
    }
}

fn is_hiragana(query: &str, at: usize) -> bool {
    query.get(at..).and_then(|rest| rest.chars().next()).is_some_and(|c| matches!(c as u32, 0x3041..=0x309F))
}

/// The longest phrase of the table at `at` of which `get` makes something, and where it ends.
fn longest<T>(
    query: &str,
    at: usize,
    end: usize,
    table: &'static Table,
    get: impl Fn(&'static Entry) -> Option<T>,
) -> Option<(T, usize)> {
    let rest = query.get(at..end)?;
    let first = rest.chars().next()?;
    let entry = table.get(rest.get(..first.len_utf8())?)?;
    let mut bounds = [0usize; 24];
    let mut count = 0;
    for (start, c) in rest.char_indices().take((entry.longest as usize).min(bounds.len())) {
        bounds[count] = start + c.len_utf8();
        count += 1;
    }
    bounds[..count].iter().rev().find_map(|&to| Some((get(table.get(rest.get(..to)?)?)?, at + to)))
}

/// Bytes of the longest run that is a turn of a conversation.
const LONGEST_ACT: usize = 60;

/// The longest cue at each character that no cue before has taken, whatever the pieces.
fn cues(
    query: &str,
    text: &Text,
    lexicon: &'static Lexicon,
    table: &'static Table,
    (start, end): (usize, usize),
    weight: u32,
    out: &mut Candidates,
) {
    let mut at = start;
    while at < end {
        let found = longest(query, at, end, table, |entry| (!entry.cues.is_empty()).then_some(&entry.cues));
        let Some((cues, to)) = found else {
            at = boundary_behind(query, at + 1);
            continue;
        };
        let span = (at as u32, to as u32);
        for &(id, _) in cues {
            let Some(cue) = lexicon.cues.get(id as usize) else { continue };
            let is_due = cue.kind != CueKind::Act
                || at == start && end - start <= LONGEST_ACT && text.sentences.len() <= FEW_SENTENCES;
            if let Some((kind, factor)) = cue.kind.candidate().filter(|_| is_due) {
                out.add(format_args!("{}", cue.tag), kind, weight * factor, span);
            } else if cue.kind == CueKind::Language {
                let before = query.get(..at).unwrap_or("");
                let behind = query.get(to..).unwrap_or("");
                if before.ends_with(['成', '为', '到']) || behind.starts_with('に') {
                    out.add(format_args!("translation to {}", cue.tag), Kind::Fact, weight * 9, span);
                } else if before.ends_with(['用', '以']) || behind.starts_with('で') {
                    out.add(format_args!("{} wanted", cue.tag), Kind::Fact, weight * 7, span);
                }
            }
        }
        at = to;
    }
}

/// What joins a second request to the first.
const JOINS: [&str; 5] = ["并", "并且", "然后", "再", "和"];

/// Verbs with their objects in one clause. In Chinese the object is the last thing behind the verb (its modifiers stand
/// before it), in Japanese the nearest one before.
fn requests(
    query: &str,
    pieces: &[Piece],
    lexicon: &'static Lexicon,
    language: Language,
    weight: u32,
    out: &mut Candidates,
) {
    let (mut found, mut until) = (0, 0);
    for (at, piece) in pieces.iter().enumerate() {
        let Some(verb) =
            piece.verb.and_then(|verb| lexicon.verbs.get(verb as usize)).filter(|_| found < 2 && piece.start >= until)
        else {
            continue; // none, or one inside the last object's modifiers
        };
        let object = if language == Language::Japanese {
            pieces[..at].iter().rev().find(|piece| piece.thing.is_some())
        } else {
            let behind = &pieces[at + 1..];
            // Verbs behind belong to what modifies the object, unless a conjunction stands before them.
            let joins = |piece: &Piece| JOINS.contains(&query.get(piece.start..piece.end).unwrap_or(""));
            let clause = behind.windows(2).position(|pair| joins(&pair[0]) && pair[1].verb.is_some());
            behind[..clause.unwrap_or(behind.len())].iter().rev().find(|piece| piece.thing.is_some())
        };
        let (start, end) = object
            .map_or((piece.start, piece.end), |object| (piece.start.min(object.start), piece.end.max(object.end)));
        let span = (start as u32, end as u32);
        until = end;
        let weight = if found == 0 { weight } else { weight * 8 / 10 };
        if let Some(intention) = lexicon.intention(verb, object.and_then(|object| object.thing)) {
            out.add(format_args!("{intention}"), Kind::Intention, weight * 8, span);
        }
        if let Some(thing) = object.and_then(|object| object.thing).and_then(|thing| lexicon.things.get(thing as usize))
        {
            out.add(format_args!("{} {}", verb.name, thing.name), Kind::VerbObject, weight * 8, span);
        }
        found += 1;
    }
}

/// Characters in the longest run that is taken for one phrase, and in the longest part of a run.
const LONGEST_RUN: usize = 6;
const LONGEST_PART: usize = 4;

/// What lies between known pieces: whole runs of two to six characters, and parts of them that the pool may confirm.
fn phrases(
    query: &str,
    pieces: &[Piece],
    language: Language,
    table: &'static Table,
    weight: u32,
    out: &mut Candidates,
) {
    for piece in pieces.iter().filter(|piece| !piece.is_stop && piece.verb.is_none() && piece.thing.is_none()) {
        let Some(run) = query.get(piece.start..piece.end) else { continue };
        let bounds: Vec<usize> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
        let length = bounds.len() - 1;
        let is_katakana = run.chars().all(|c| matches!(c as u32, 0x30A0..=0x30FF));
        if (2..=LONGEST_RUN).contains(&length) || is_katakana && (2..=12).contains(&length) {
            let span = (piece.start as u32, piece.end as u32);
            out.add(format_args!("{run}"), Kind::Topic, weight * (4 + length.min(4) as u32), span);
        }
        let is_word = table.get(run).is_some_and(|entry| entry.roles & role::WORD != 0);
        if language != Language::Chinese || length <= 2 || is_word {
            continue;
        }
        for from in 0..length.min(16) {
            for to in from + 2..=length.min(from + LONGEST_PART) {
                if to - from == length {
                    continue;
                }
                let span = ((piece.start + bounds[from]) as u32, (piece.start + bounds[to]) as u32);
                let part = run.get(bounds[from]..bounds[to]).unwrap_or("");
                out.add(format_args!("{part}"), Kind::Gram, weight * (to - from) as u32 * 2, span);
            }
        }
    }
}
