//! Tags that are the same words: one canonical key a tag, equal keys are one group. No model, no dictionary.
//!
//! A key is exact, so groups are transitive by construction and no threshold decides. In this order:
//! 1. Folded as in the rule step (NFKC, full case folding); whatever is no letter, mark, digit or the `+`, `#` or `.` of a
//!    name (c++, c#, .net) parts words.
//! 2. *Compounds*: neighboring words that some tag of the same vocabulary writes as one become it (`front-end`,
//!    `front end` / `frontend`); a number joins the word before it (`python 3` / `python3`), two numbers never join.
//! 3. A phrase that has a short name becomes it (`aliases.rs`).
//! 4. Articles go; each word takes the form that its plural and its British spelling share, and nouns of
//!    action take their verb (`english.rs`).
//! 5. *Word order* moves only where the tag itself shows that it may: `A of B` (for, in, on, about) is `B A`; a verb in
//!    front is its noun behind (`optimize code` / `code optimization`); the two sides of `and` are sorted and it goes; three
//!    words and more are rotated (`python web scraping` / `web scraping python`). Two bare words keep their order (`file
//!    system` / `system file`), and so does every tag with a word of direction or negation (`json to csv`).
//! 6. Where tags with different prepositions meet (`writing for children`, `writing about children`), each preposition
//!    keeps its own group.
//!
//! Sorting the words of a tag was tried and merges `system file` with `file system`; stems were tried and merge
//! `universe` with `university`. Cost: linear in the text, two maps of words; no pair of tags is ever compared.

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::aliases::{Ambiguous, may_begin, shortened};
use crate::english::{Action, ENGLISH, Named, action, form, is_no_noun};
use crate::error::{Error, Result};
use crate::reasons::Rules;
use crate::rule_form::folded;
use crate::script::unified;
use crate::words::{Word, words};

/// In a tag of more words than this nothing moves: it is a sentence.
const MOST_WORDS: usize = 12;

fn is_closed(word: &str) -> bool {
    word == "and" || [&ENGLISH.articles, &ENGLISH.prepositions, &ENGLISH.ordered].iter().any(|set| set.contains(word))
}

/// Whether two neighbors may be one word: never digit to digit, and across a space no single letter, no function word.
fn may_join(a: &str, b: &Word) -> bool {
    let ends_in_digit = a.ends_with(char::is_numeric);
    if ["s", "es"].contains(&b.text.as_str()) {
        return false; // lodash-es is no plural
    }
    if ends_in_digit && b.text.starts_with(char::is_numeric) {
        return false;
    }
    let open = |word: &str| {
        ENGLISH.particles.contains(word)
            || !is_closed(word) && (word.chars().nth(1).is_some() || word.bytes().all(|c| c.is_ascii_digit()))
    };
    b.tight || open(a) && (open(&b.text) || ends_in_digit && !is_closed(&b.text))
}

/// The form of a word, and the action that it names.
type Known = (String, Option<Named>);

fn know(word: &str, off: Rules) -> Known {
    (form(word, off), action(word, off))
}

/// What the vocabulary as a whole knows about words.
struct Lexicon {
    /// The form of every word, and the action that it names.
    known: FxHashMap<String, Known>,
    /// Forms that stand as one word in some tag.
    solid: FxHashSet<String>,
    /// Which meanings of an acronym it spells out.
    ambiguous: Ambiguous,
}

impl Lexicon {
    fn new(tags: &[Vec<Word>]) -> Self {
        let distinct: FxHashSet<&str> = tags.iter().flatten().map(|word| word.text.as_str()).collect();
        let distinct: Vec<&str> = distinct.into_iter().collect();
        let known: FxHashMap<_, _> =
            distinct.par_iter().map(|&word| (word.to_owned(), know(word, Rules::NONE))).collect();
        let solid = known.values().map(|(form, _)| form.clone()).collect();
        let mut lexicon = Self { known, solid, ambiguous: Ambiguous::default() };
        let meet = |mut met: Ambiguous, words: &Vec<Word>| {
            if let Some(forms) = lexicon.forms_of_phrases(&lexicon.compounds(words, Rules::NONE)) {
                met.meet(&forms);
            }
            met
        };
        lexicon.ambiguous = tags.par_iter().fold(Ambiguous::default, meet).reduce(Ambiguous::default, Ambiguous::with);
        lexicon
    }

    /// The forms of words, where one of them may begin a phrase.
    fn forms_of_phrases(&self, words: &[String]) -> Option<Vec<String>> {
        let known = |word: &String| self.known.get(word).map(|(form, _)| form);
        let may =
            |word: &String| known(word).map_or_else(|| may_begin(&form(word, Rules::NONE)), |form| may_begin(form));
        let forms = |word: &String| known(word).map_or_else(|| form(word, Rules::NONE), String::clone);
        words.iter().any(may).then(|| words.iter().map(forms).collect())
    }

    /// Neighbors that are one word elsewhere become it (the whole tag, else three before two), and numbers join the word
    /// before them.
    fn compounds(&self, words: &[Word], off: Rules) -> Vec<String> {
        if off.has(Rules::COMPOUND) {
            return words.iter().map(|word| word.text.clone()).collect();
        }
        let mut joined: Vec<String> = Vec::with_capacity(words.len());
        let mut at = 0;
        while at < words.len() {
            let whole =
                |span: usize| -> String { words[at..at + span].iter().map(|word| word.text.as_str()).collect() };
            let left = words.len() - at;
            let whole_tag = (at == 0 && (4..=MOST_WORDS).contains(&left)).then_some(left);
            let compound = whole_tag.into_iter().chain((2..=3.min(left)).rev()).find_map(|span| {
                if !words[at..at + span].windows(2).all(|w| may_join(&w[0].text, &w[1])) {
                    return None;
                }
                let whole = whole(span);
                (whole.chars().nth(2).is_some() && self.solid.contains(&form(&unified(&whole), Rules::NONE)))
                    .then_some((span, whole))
            });
            let (span, whole) = compound.unwrap_or_else(|| (1, whole(1)));
            at += span;
            let number = whole.bytes().all(|c| c.is_ascii_digit() || c == b'.');
            match joined.last_mut() {
                Some(last) if number && !is_closed(last) && !last.ends_with(|c: char| c.is_numeric()) => {
                    last.push_str(&whole);
                }
                _ => joined.push(whole),
            }
        }
        joined
    }

    /// The form of each word, a word of action as its verb, marked; a verb in front apart, if it may move.
    fn forms(&self, words: &[String], movable: bool, articles: bool, off: Rules) -> (Vec<String>, Option<String>) {
        let many = words.len() > 1;
        let (mut forms, mut in_front) = (Vec::with_capacity(words.len()), None);
        for (at, word) in words.iter().enumerate() {
            let made; // a compound may be new
            let (form, action) = if let Some(known) = self.known.get(word).filter(|_| off == Rules::NONE) {
                known
            } else {
                made = know(word, off);
                &made
            };
            let Some((verb, kind, has_noun)) = action else {
                forms.push(form.clone());
                continue;
            };
            // `creating content` has a noun that it did not use, so it is a verb; `writing prompts` may be prompts
            let is_verb = *kind == Action::Verb || *kind == Action::Ing && (*has_noun || articles);
            match (at == 0 && many && movable && is_verb, kind) {
                (true, _) => in_front = Some(format!("{verb}~")),
                // `estimate` ends many a tag as a noun, `generate` none
                (false, Action::Verb) if many && !(at + 1 == words.len() && is_no_noun(verb)) => {
                    forms.push(form.clone());
                }
                (false, _) => forms.push(format!("{verb}~")),
            }
        }
        (forms, in_front)
    }

    /// The key of a tag, and the prepositions in it but `of`; `off` leaves rules out.
    fn key(&self, tag: &str, words: &[Word], off: Rules) -> (String, Vec<&'static str>) {
        let mut words = self.compounds(words, off);
        if words.is_empty() {
            return (tag.to_owned(), Vec::new()); // symbols alone stand for themselves
        }
        if let Some(forms) = self.forms_of_phrases(&words).filter(|_| !off.has(Rules::ALIAS)) {
            words = shortened(words, &forms, &self.ambiguous);
        }
        let all = words.len();
        let last = words.last().cloned();
        words.retain(|word| off.has(Rules::FUNCTION_WORD) || !ENGLISH.articles.contains(word.as_str()));
        if last.as_deref() == Some("a") || words.is_empty() {
            words.extend(last); // vitamin a
        }
        let articles = words.len() < all;
        let short = words.len() <= MOST_WORDS;
        let ordered: Vec<&String> = words.iter().filter(|word| ENGLISH.ordered.contains(word.as_str())).collect();
        let stays = !short || !ordered.is_empty();
        let movable = short && ordered.iter().all(|word| ENGLISH.directions.contains(word.as_str()));
        let (mut forms, verb) = self.forms(&words, movable, articles, off);
        let mut prepositions = Vec::new();
        let turns = !off.has(Rules::WORD_ORDER);
        if !stays && !off.has(Rules::FUNCTION_WORD) {
            forms = without_prepositions(forms, turns, &mut prepositions);
            without_and(&mut forms, turns);
        }
        let behind = if turns { forms.len() } else { 0 };
        forms.splice(behind..behind, verb);
        if !stays && turns && forms.len() > 2 {
            let rotated = |by: usize| forms[by..].iter().chain(&forms[..by]);
            let turn = (0..forms.len()).min_by(|&a, &b| rotated(a).cmp(rotated(b))).unwrap_or(0);
            forms.rotate_left(turn);
        }
        (forms.join(" "), prepositions)
    }
}

/// `a of b c` as `b c a` where it turns; a preposition at either end is an ordinary word.
fn without_prepositions(forms: Vec<String>, turns: bool, found: &mut Vec<&'static str>) -> Vec<String> {
    let last = forms.len().saturating_sub(1);
    let mut segments: Vec<Vec<String>> = vec![Vec::new()];
    for (at, form) in forms.into_iter().enumerate() {
        match ENGLISH.prepositions.get(form.as_str()) {
            Some(&preposition) if at < last && segments.last().is_some_and(|segment| !segment.is_empty()) => {
                segments.push(Vec::new());
                if preposition != "of" {
                    found.push(preposition);
                }
            }
            _ => segments.last_mut().into_iter().for_each(|segment| segment.push(form.clone())),
        }
    }
    if turns {
        segments.reverse();
    }
    segments.into_iter().flatten().collect()
}

/// `spelling and grammar` as `grammar spelling`, `c and b and a` as `a b c` where it turns.
fn without_and(forms: &mut Vec<String>, turns: bool) {
    forms.dedup_by(|again, form| form == "and" && again == form);
    let (mut first, mut at) = (0, 1);
    while at + 1 < forms.len() {
        if forms[at] == "and" {
            forms.remove(at);
            let side = forms.remove(at);
            let place = if turns { first + forms[first..at].partition_point(|other| *other <= side) } else { at };
            forms.insert(place, side);
        } else {
            first = at;
        }
        at += 1;
    }
}

/// The key of each tag, in the light of the whole vocabulary: tags of one key are the same words.
pub fn keys<S: AsRef<str> + Sync>(tags: &[S]) -> Vec<String> {
    let cut: Vec<Vec<Word>> = tags.par_iter().map(|tag| words(tag.as_ref(), Rules::NONE)).collect();
    let lexicon = Lexicon::new(&cut);
    let mut found: Vec<(String, Vec<&str>)> =
        tags.par_iter().zip(&cut).map(|(tag, words)| lexicon.key(tag.as_ref(), words, Rules::NONE)).collect();
    let mut first: FxHashMap<String, Vec<&str>> = FxHashMap::default();
    let mut parted: FxHashSet<String> = FxHashSet::default();
    for (key, prepositions) in found.iter().filter(|(_, prepositions)| !prepositions.is_empty()) {
        if first.entry(key.clone()).or_insert_with(|| prepositions.clone()) != prepositions {
            parted.insert(key.clone());
        }
    }
    for (key, prepositions) in found.iter_mut().filter(|(_, prepositions)| !prepositions.is_empty()) {
        if parted.contains(key) {
            key.push_str(" | ");
            key.push_str(&prepositions.join(" "));
        }
    }
    found.into_iter().map(|(key, _)| key).collect()
}

/// Why each tag has the key of the tag `into[i]` of the same vocabulary; empty where it is that tag, or their words differ.
///
/// A rule is a reason where the two keys would differ without it. What parts words is one where the two have as many words,
/// but not as many hyphens and the like; where there is no reason else, it is that, or case.
pub fn reasons<S: AsRef<str> + Sync>(tags: &[S], into: &[u32]) -> Result<Vec<String>> {
    if into.len() != tags.len() {
        return Err(Error::Length { name: "into", found: into.len(), expected: tags.len() });
    }
    if let Some(row) = into.iter().position(|&into| into as usize >= tags.len()) {
        return Err(Error::Id { row, id: into[row], size: tags.len() });
    }
    if into.iter().enumerate().all(|(at, &into)| into as usize == at) {
        return Ok(vec![String::new(); tags.len()]); // nothing merged: the vocabulary need not be read again
    }
    let cut: Vec<Vec<Word>> = tags.par_iter().map(|tag| words(tag.as_ref(), Rules::NONE)).collect();
    let lexicon = Lexicon::new(&cut);
    let told = |(at, &into): (usize, &u32)| {
        let (a, b) = (tags.get(at).map(AsRef::as_ref), tags.get(into as usize).map(AsRef::as_ref));
        match (a, b) {
            (Some(a), Some(b)) if a != b => lexicon.reasons(a, b).told(),
            _ => String::new(),
        }
    };
    Ok(into.par_iter().enumerate().map(told).collect())
}

impl Lexicon {
    fn reasons(&self, a: &str, b: &str) -> Rules {
        let same = |off: Rules| self.key(a, &words(a, off), off).0 == self.key(b, &words(b, off), off).0;
        if !same(Rules::NONE) {
            return Rules::NONE;
        }
        let needed = Rules::NAMED[2..].iter().filter(|(rule, _)| !same(*rule));
        let found = needed.fold(Rules::NONE, |found, (rule, _)| found.and(*rule));
        let (ours, theirs) = (words(a, Rules::NONE), words(b, Rules::NONE));
        let hyphens = |words: &[Word]| words.iter().filter(|word| word.tight).count();
        let parted = ours.len() == theirs.len() && hyphens(&ours) != hyphens(&theirs);
        match found {
            _ if parted => found.and(Rules::SEPARATORS),
            Rules::NONE if folded(a) == folded(b) => Rules::CASE,
            Rules::NONE if ours.len() != theirs.len() => Rules::COMPOUND, // and an alias would do as well
            Rules::NONE => Rules::SEPARATORS,
            _ => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(tags: &[&str]) -> bool {
        keys(tags).windows(2).all(|w| w[0] == w[1])
    }

    #[test]
    fn the_same_words_meet() {
        for tags in [
            &["code optimization", "Optimize code", "optimization of code", "optimizing the code", "code-optimisation"]
                [..],
            &["front-end", "frontend", "Front End", "front_ends"],
            &["colour theory", "color theory", "theory of colour"],
            &["python 3", "python3", "Python-3"],
            &["spelling and grammar check", "grammar & spelling check"],
            &["python web scraping", "web scraping python"],
            &["convert json to csv", "json to csv conversion"],
            &["children's books", "books for children", "child book"],
            &["c++", "C++"],
            &["node.js", "nodejs", "Node JS"],
            &["数学", "「数学」"],
            &["ｆｕｌｌ　ｗｉｄｔｈ", "full width"],
        ] {
            assert!(same(tags), "{tags:?} -> {:?}", keys(tags));
        }
    }

    #[test]
    fn reasons_are_the_rules_that_a_merge_needs() {
        for (a, b, told) in [
            ("APIs", "api", "plural"),
            ("Front End", "front end", "case"),
            ("front_end", "front end", "separators"),
            ("snake_case", "snake-case", "separators"),
            ("python 3", "python3", "compound"),
            ("colour", "color", "spelling"),
            ("nlp", "natural language processing", "alias"),
            ("optimize code", "code optimization", "verb and noun+word order"),
            ("optimization of code", "code optimization", "function word+word order"),
            ("a poem", "poem", "function word"),
            ("colours-theory", "color theory", "separators+spelling+plural"),
            ("遊戲", "游戏", "script"),
            ("security", "national security", ""),
            ("api", "api", ""),
        ] {
            assert_eq!(reasons(&[a, b], &[1, 1]).unwrap()[0], told, "{a} {b}");
        }
    }

    #[test]
    fn acronyms_of_two_meanings_need_a_vocabulary_with_one() {
        assert!(same(&["qa", "quality assurance"]));
        let keys = keys(&["qa", "quality assurance", "question answering"]);
        assert_eq!(keys.iter().collect::<FxHashSet<_>>().len(), 3);
    }

    #[test]
    fn other_meanings_stay_apart() {
        for tags in [
            ["json to csv", "csv to json"],
            ["python 2", "python 3"],
            ["java", "javascript"],
            ["universe", "university"],
            ["project", "projection"],
            ["history", "histology"],
            ["security", "national security"],
            ["linear", "non-linear"],
            ["supervised", "unsupervised"],
            ["file system", "system file"],
            ["c", "c++"],
            ["c#", "c++"],
            ["window", "windows"],
            ["version 1.2", "version 12"],
            ["python 3.1", "python 3.11"],
            ["dogs vs cats", "cats vs dogs"],
            ["net", ".net"],
            ["writing for children", "writing about children"],
            ["lossy", "lossless"],
            ["1 2", "12"],
            ["+", "-"],
            ["tag 1 2", "tag 12"],
            ["with sugar", "without sugar"],
            ["a", "the"],
            ["🎉", "🎈"],
            ["vitamin a", "vitamin"],
        ] {
            assert!(!same(&tags), "{tags:?} -> {:?}", keys(&tags));
        }
    }
}
