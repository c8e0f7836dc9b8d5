//! Words beside words: which are one stem, which only look like each other, which are opposites, by the lists of
//! `guards.txt`. Cost: the length of the words; each part of a word is looked up once a word of the vocabulary.

use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::english::{ENGLISH, form};
use crate::reasons::Rules;
use crate::words::{Word, words};

/// Words that may be parts of longer ones are as long as this; the longest that is cut.
const PART: std::ops::RangeInclusive<usize> = 3..=24;

/// Two forms, the smaller first.
type Pair = (String, String);

/// The tables of `guards.txt`, which says what each of them is; words by their form.
pub struct Lists {
    /// Words that negate a tag.
    pub negation: FxHashSet<String>,
    antonym: FxHashMap<String, Vec<String>>,
    /// The lines that a word stands in.
    sibling: FxHashMap<String, Vec<usize>>,
    negative: Vec<&'static str>,
    negative_ending: Vec<&'static str>,
    opposite: Vec<(&'static str, &'static str)>,
    apart: FxHashSet<Pair>,
    short: FxHashSet<Pair>,
    ending: FxHashSet<&'static str>,
    agent: FxHashSet<&'static str>,
}

/// The tables, read at first use.
pub static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let mut sibling: FxHashMap<String, Vec<usize>> = FxHashMap::default();
    for (at, line) in lines("sibling").enumerate() {
        for word in line.split(' ') {
            sibling.entry(plain(word)).or_default().push(at);
        }
    }
    let mut antonym: FxHashMap<String, Vec<String>> = FxHashMap::default();
    for (a, b) in pairs("antonym").flat_map(|(a, b)| [(a, b), (b, a)]) {
        antonym.entry(plain(a)).or_default().push(plain(b));
    }
    Lists {
        negation: table("negation").map(plain).collect(),
        antonym,
        sibling,
        negative: table("negative").collect(),
        negative_ending: table("negative_ending").collect(),
        opposite: pairs("opposite").flat_map(|(a, b)| [(a, b), (b, a)]).collect(),
        apart: pairs("apart").map(|(a, b)| pair(a, b)).collect(),
        short: pairs("short").map(|(a, b)| pair(a, b)).collect(),
        ending: table("ending").collect(),
        agent: table("agent").collect(),
    }
});

fn lines(table: &str) -> impl Iterator<Item = &'static str> {
    let lines = include_str!("guards.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": ")).filter(move |(head, _)| *head == table).map(|(_, words)| words)
}

fn table(name: &str) -> impl Iterator<Item = &'static str> {
    lines(name).flat_map(|line| line.split(' '))
}

fn pairs(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    table(name).filter_map(|pair| pair.split_once('='))
}

/// The form of a word, no rule left out.
pub fn plain(word: &str) -> String {
    form(word, Rules::NONE)
}

fn pair(a: &str, b: &str) -> Pair {
    let (a, b) = (plain(a), plain(b));
    if a <= b { (a, b) } else { (b, a) }
}

/// `a`, `of` and their like, `and`.
pub fn is_function(word: &str) -> bool {
    word == "and" || ENGLISH.articles.contains(word) || ENGLISH.prepositions.contains(word)
}

/// The forms of the words of a to z that a vocabulary writes apart, and may be parts of others.
pub struct Known(FxHashSet<String>);

impl Known {
    /// Takes in the words of tags.
    pub fn new(tags: &[Vec<Word>]) -> Self {
        let distinct: FxHashSet<&str> = tags.iter().flatten().map(|word| word.text.as_str()).collect();
        let may = |word: &&str| word.len() >= *PART.start() && is_letters(word) && is_part(word);
        Self(distinct.into_iter().filter(may).map(plain).collect())
    }

    /// The words of a tag, each in its parts.
    pub fn cut(&self, tag: &str) -> Vec<String> {
        words(tag, Rules::NONE).iter().flat_map(|word| self.parts(&word.text)).collect()
    }

    /// A word cut between letters and digits, and each piece into known words; a name with a symbol stays whole.
    fn parts(&self, word: &str) -> Vec<String> {
        if word.contains(['+', '#']) || word.starts_with('.') {
            return vec![word.to_owned()];
        }
        let number = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
        let mut rest = word;
        let mut found = Vec::new();
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| number(c) != number(first)).unwrap_or(rest.len());
            let (piece, behind) = rest.split_at(end);
            found.extend(self.pieces(piece));
            rest = behind;
        }
        found
    }

    /// Two known words (or else three), the first as long as can be; the word itself where it is not made of them.
    fn pieces(&self, word: &str) -> Vec<String> {
        if !is_letters(word) || word.len() < 2 * PART.start() || word.len() > *PART.end() {
            return vec![word.to_owned()];
        }
        let split = |word: &str| {
            let cuts = (*PART.start()..=word.len().saturating_sub(*PART.start())).rev();
            cuts.map(|cut| (word[..cut].to_owned(), word[cut..].to_owned())).collect::<Vec<_>>()
        };
        for (head, tail) in split(word) {
            if self.has(&head) && self.has(&tail) {
                return vec![head, tail];
            }
        }
        for (head, rest) in split(word) {
            if !self.has(&head) {
                continue;
            }
            for (middle, tail) in split(&rest) {
                if self.has(&middle) && self.has(&tail) {
                    return vec![head, middle, tail];
                }
            }
        }
        vec![word.to_owned()]
    }

    fn has(&self, word: &str) -> bool {
        is_part(word) && self.0.contains(&plain(word))
    }
}

fn is_letters(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// No ending and no function word.
fn is_part(word: &str) -> bool {
    !(LISTS.ending.contains(word) || LISTS.agent.contains(word) || is_function(word) || ENGLISH.ordered.contains(word))
}

impl Lists {
    /// Whether two forms are listed as opposites.
    pub fn antonyms(&self, a: &str, b: &str) -> bool {
        self.antonym.get(a).is_some_and(|opposites| opposites.iter().any(|opposite| opposite == b))
    }

    /// Whether two forms are other ones of a line of siblings.
    pub fn siblings(&self, a: &str, b: &str) -> bool {
        a != b
            && self
                .sibling
                .get(a)
                .zip(self.sibling.get(b))
                .is_some_and(|(ours, theirs)| ours.iter().any(|line| theirs.contains(line)))
    }

    /// Whether `b` is `a` with a negative beginning or ending, or the two have opposite beginnings.
    pub fn negated(&self, a: &str, b: &str) -> bool {
        let same = |a: &str, b: &str| b.chars().nth(2).is_some() && self.kin(a, b, false);
        self.negative.iter().filter_map(|head| b.strip_prefix(head)).any(|rest| same(a, rest))
            || self.negative_ending.iter().filter_map(|tail| b.strip_suffix(tail)).any(|rest| same(a, rest))
            || self
                .opposite
                .iter()
                .filter_map(|(ours, theirs)| a.strip_prefix(ours).zip(b.strip_prefix(theirs)))
                .any(|(ours, theirs)| ours.chars().nth(2).is_some() && self.kin(ours, theirs, false))
    }

    /// Whether two words share their form, or are a stem of three letters or more with listed endings.
    fn kin(&self, a: &str, b: &str, agents: bool) -> bool {
        let both = pair(a, b);
        if both.0 == both.1 {
            return true;
        }
        if self.apart.contains(&both) {
            return false;
        }
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let most = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        (3..=most).any(|cut| self.ends(&a, cut, agents) && self.ends(&b, cut, agents))
    }

    /// Whether what follows a stem is nothing or an ending, with or without the last letter doubled.
    fn ends(&self, word: &[char], cut: usize, agents: bool) -> bool {
        let rest: String = word[cut..].iter().collect();
        let listed = |rest: &str| self.ending.contains(rest) || agents && self.agent.contains(rest);
        let doubled = rest.strip_prefix(word[cut - 1]).filter(|rest| listed(rest));
        if cut == 3 {
            // pan, pane; but tag, tagging
            return ["", "s", "ing"].contains(&rest.as_str()) || doubled.is_some_and(|rest| rest.starts_with("ing"));
        }
        rest.is_empty() || listed(&rest) || doubled.is_some()
    }

    /// Whether two words are of one stem, or a listed short form and its long one.
    pub fn same_stem(&self, a: &str, b: &str, agents: bool) -> bool {
        self.short.contains(&pair(a, b)) || self.kin(a, b, agents)
    }
}

/// Whether two words begin with the same two letters, end with the same three, or have half of their ends in common.
pub fn alike(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let front = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let back = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let back = back.min(a.len().min(b.len()) - front);
    front >= 2 || back >= 3 || 2 * (front + back) >= a.len().max(b.len())
}
