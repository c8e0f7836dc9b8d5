//! Acronyms and short names for what they stand for, by a short list of our own (`aliases.txt`).
//!
//! The phrase becomes the acronym, never the other way round, so that a tag does not gain words: `ui test` and `test ui`
//! stay two bare words in another order. An acronym with several meanings (`cnn`, `ar`) stands for one of them only in a
//! vocabulary that spells out that one alone; where two are spelled out, it meets none of them.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};
use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::english::form;
use crate::reasons::Rules;

/// What a phrase is called.
#[derive(Debug, Clone, Copy)]
struct Called {
    name: &'static str,
    /// The phrase as the list has it.
    meaning: &'static str,
    /// The name has other meanings.
    shared: bool,
}

/// Phrases of the list, and what they are called.
struct Phrases {
    /// By their forms without the spaces: a vocabulary may write any words of one together (`fulltext search`).
    called: BTreeMap<String, Called>,
    longest: usize,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let mut found = Phrases { called: BTreeMap::new(), longest: 1 };
    let pairs =
        include_str!("aliases.txt").lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(' '));
    for (name, phrases) in pairs.filter_map(|pair| pair.split_once('=')) {
        let shared = phrases.contains('/');
        for phrase in phrases.split('/') {
            let words: Vec<String> = phrase.split('-').map(|word| form(word, Rules::NONE)).collect();
            found.longest = found.longest.max(words.len());
            for spelled in [words.concat(), form(&phrase.replace('-', ""), Rules::NONE)] {
                found.called.insert(spelled, Called { name, meaning: phrase, shared });
            }
        }
    }
    found
});

/// Names of several meanings that a vocabulary spells out.
#[derive(Debug, Default)]
pub struct Ambiguous(FxHashMap<&'static str, FxHashSet<&'static str>>);

impl Ambiguous {
    /// Takes in the phrases of a tag, given as forms.
    pub fn meet(&mut self, forms: &[String]) {
        for at in 0..forms.len() {
            for (name, _) in phrases_at(forms, at).filter(|(name, _)| name.shared) {
                self.0.entry(name.name).or_default().insert(name.meaning);
            }
        }
    }

    /// Unites what parts of a vocabulary spell out.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        for (name, phrases) in other.0 {
            self.0.entry(name).or_default().extend(phrases);
        }
        self
    }

    fn is_told(&self, name: Called) -> bool {
        !name.shared || self.0.get(name.name).is_some_and(|phrases| phrases.len() == 1)
    }
}

/// Whether a phrase may start at a word of this form.
pub fn may_begin(form: &str) -> bool {
    let after = PHRASES.called.range::<str, _>((Included(form), Unbounded)).next();
    after.is_some_and(|(phrase, _)| phrase.starts_with(form))
}

/// The phrases that start at a word, the longest first.
fn phrases_at(forms: &[String], at: usize) -> impl Iterator<Item = (Called, usize)> + '_ {
    let most = if may_begin(&forms[at]) { PHRASES.longest.min(forms.len() - at) } else { 0 };
    (1..=most)
        .rev()
        .filter_map(move |span| PHRASES.called.get(&forms[at..at + span].concat()).map(|&name| (name, span)))
}

/// `words` with each phrase by its name; `forms` are theirs.
pub fn shortened(words: Vec<String>, forms: &[String], ambiguous: &Ambiguous) -> Vec<String> {
    let mut short: Vec<String> = Vec::with_capacity(words.len());
    let mut next = 0;
    for (at, word) in words.into_iter().enumerate() {
        if at < next {
            continue;
        }
        let name = phrases_at(forms, at).find(|(name, _)| ambiguous.is_told(*name));
        next = at + name.map_or(1, |(_, span)| span);
        short.push(name.map_or(word, |(name, _)| name.name.to_owned()));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_has_one_name_and_a_name_is_no_phrase_of_another() {
        let text = include_str!("aliases.txt");
        let pairs = || text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(' '));
        let mut seen = FxHashSet::default();
        for (name, phrases) in pairs().filter_map(|pair| pair.split_once('=')) {
            let called = PHRASES.called.get(&form(name, Rules::NONE));
            assert!(called.is_none_or(|found| found.name == name), "{name}");
            for phrase in phrases.split('/') {
                assert!(seen.insert(phrase), "{phrase}");
            }
        }
    }
}
