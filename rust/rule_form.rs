//! The rule form of a raw tag: two tags with one form are one tag. The form is a key; people never see it.
//!
//! Reference: the paper's rule aggregation: lower-case, special characters to spaces, each word stemmed. Where we part from
//! it (all of it off by [`paper_form`]): NFKC and full case folding instead of lower-casing, so that equal text in
//! another encoding is equal; a mark belongs to the letter it stands on; a short protected list keeps its symbols;
//! words with a letter of another script than the stemmer's are not stemmed, and English words lose their inflection
//! alone (Porter makes one word of `universe` and `university`); a tag without a letter or a digit keeps its raw text, so
//! that `+` and `:-)` do not meet in an empty form.
//! Cost: linear in the text, some 0.5 us a short tag; done once a distinct tag, in parallel.

use std::borrow::Cow;

use caseless::Caseless;
use hashbrown::HashMap;
use rayon::prelude::*;
use rust_stemmers::{Algorithm, Stemmer as Snowball};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::csr::check_size;
use crate::english::{is_own_word, is_plural};
use crate::error::{Error, Result};
use crate::porter;

/// Names that would lose what tells them apart; folded, each kept as one word where it starts a word and no letter
/// follows: `c++11` is `c++ 11`, but `asp.net` is `asp net`. `objective-c` needs no place: without its hyphen it meets nothing but `objective c`.
#[rustfmt::skip] // else one to a line
pub const PROTECTED: &[&str] = &[
    "c++", "vc++", "g++", "notepad++", "hfs+", "a#", "c#", "d#", "f#", "g#", "j#", "q#", ".net", "a*", "b*", "a+", "b+",
];

/// A word of more bytes is left as it is by a Snowball stemmer, whose time grows with the square of a word's length.
pub const LONGEST_WORD: usize = 512;

/// What is done to each word, where all its letters are of the script that the stemmer is for.
pub enum Stemmer {
    /// English inflection alone, checked by lists: the default.
    Inflection,
    /// NLTK's default Porter, the paper's.
    Porter,
    /// Nothing.
    None,
    /// A Snowball stemmer, for words of [`LONGEST_WORD`] bytes at most.
    Snowball(Snowball, Script),
}

/// A script that a stemmer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// English and most others.
    Latin,
    /// Greek, with the letters of its older writing.
    Greek,
    /// Russian.
    Cyrillic,
    /// Arabic.
    Arabic,
    /// Tamil.
    Tamil,
}

impl Script {
    /// Whether a letter, folded, is of this script.
    fn has(self, c: char) -> bool {
        match self {
            Self::Latin => matches!(c, 'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{2af}' | '\u{1e00}'..='\u{1eff}'),
            Self::Greek => matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}'),
            Self::Cyrillic => matches!(c, '\u{400}'..='\u{52f}'),
            Self::Arabic => matches!(c, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}'),
            Self::Tamil => matches!(c, '\u{b80}'..='\u{bff}'),
        }
    }

    /// Whether all letters of a word are of this script; digits and marks are of any.
    fn writes(self, word: &str) -> bool {
        let foreign = |c: char| c.general_category_group() == GeneralCategoryGroup::Letter && !self.has(c);
        word.is_ascii() && self == Self::Latin || !word.chars().any(foreign)
    }
}

/// The Snowball languages: the name that a setting uses, the code of ISO 639-1, the script.
pub const LANGUAGES: &[(&str, &str, Algorithm, Script)] = &[
    ("arabic", "ar", Algorithm::Arabic, Script::Arabic),
    ("danish", "da", Algorithm::Danish, Script::Latin),
    ("dutch", "nl", Algorithm::Dutch, Script::Latin),
    ("english", "en", Algorithm::English, Script::Latin),
    ("finnish", "fi", Algorithm::Finnish, Script::Latin),
    ("french", "fr", Algorithm::French, Script::Latin),
    ("german", "de", Algorithm::German, Script::Latin),
    ("greek", "el", Algorithm::Greek, Script::Greek),
    ("hungarian", "hu", Algorithm::Hungarian, Script::Latin),
    ("italian", "it", Algorithm::Italian, Script::Latin),
    ("norwegian", "no", Algorithm::Norwegian, Script::Latin),
    ("portuguese", "pt", Algorithm::Portuguese, Script::Latin),
    ("romanian", "ro", Algorithm::Romanian, Script::Latin),
    ("russian", "ru", Algorithm::Russian, Script::Cyrillic),
    ("spanish", "es", Algorithm::Spanish, Script::Latin),
    ("swedish", "sv", Algorithm::Swedish, Script::Latin),
    ("tamil", "ta", Algorithm::Tamil, Script::Tamil),
    ("turkish", "tr", Algorithm::Turkish, Script::Latin),
];

impl Stemmer {
    /// `inflection`, `porter`, `none`, or a language of [`LANGUAGES`] by its name or its code.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "inflection" => Ok(Self::Inflection),
            "porter" => Ok(Self::Porter),
            "none" => Ok(Self::None),
            _ => {
                let found = LANGUAGES.iter().find(|(language, code, ..)| *language == name || *code == name);
                let (.., algorithm, script) = found.ok_or_else(|| {
                    let languages: Vec<_> = LANGUAGES.iter().map(|(language, ..)| *language).collect();
                    let languages = languages.join(", ");
                    let reason = format!("is {name:?}, must be inflection, porter, none or one of {languages}");
                    Error::Setting { name: "stemmer", reason }
                })?;
                Ok(Self::Snowball(Snowball::create(*algorithm), *script))
            }
        }
    }

    fn stem<'w>(&self, word: &'w str) -> Cow<'w, str> {
        let script = if let Self::Snowball(_, script) = self { *script } else { Script::Latin };
        if !script.writes(word) {
            return Cow::Borrowed(word);
        }
        match self {
            Self::Inflection => Cow::Owned(porter::inflection(word, is_plural, is_own_word)),
            Self::Porter => Cow::Owned(porter::stem(word)),
            Self::None => Cow::Borrowed(word),
            Self::Snowball(..) if word.len() > LONGEST_WORD => Cow::Borrowed(word),
            Self::Snowball(stemmer, _) => stemmer.stem(word),
        }
    }
}

/// The text in which spellings of one tag are equal: NFKC without what nobody sees, full case folding, NFKC again (folding
/// can take a composed letter apart).
pub fn folded(raw: &str) -> String {
    if raw.is_ascii() {
        raw.to_ascii_lowercase() // the same, without the tables
    } else {
        raw.nfkc().filter(|&c| !is_unseen(c)).default_case_fold().nfkc().collect()
    }
}

/// Marks of direction, joiners, soft hyphens, selectors of a variant, fillers, and the bar that only stretches an Arabic word.
/// The space of no width parts words (Thai, Khmer), so it is none of them.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{640}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The form of a raw tag: folded, then words of letters, numbers and the marks on them, each stemmed, joined by one space.
pub fn rule_form(raw: &str, stemmer: &Stemmer) -> String {
    let text = folded(raw);
    let mut form = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut word = "";
    while let Some(first) = rest.chars().next() {
        let name = if word.is_empty() { protected(rest) } else { None }; // `asp.net` is `asp net`
        word = name.unwrap_or(&rest[..word_len(rest)]);
        let stem = if name.is_some() { Cow::Borrowed(word) } else { stemmer.stem(word) };
        if !stem.is_empty() {
            if !form.is_empty() {
                form.push(' ');
            }
            form.push_str(&stem);
        }
        rest = &rest[if word.is_empty() { first.len_utf8() } else { word.len() }..];
    }
    if form.is_empty() { raw.to_owned() } else { form }
}

/// The paper's form and nothing else: lower-case; what is neither letter nor number becomes a space; NLTK's Porter.
pub fn paper_form(raw: &str) -> String {
    let text = raw.to_lowercase();
    let words = text.split(|c| !is_letter_or_number(c)).filter(|word| !word.is_empty());
    words.map(porter::stem).collect::<Vec<_>>().join(" ")
}

/// The forms of a vocabulary, in its order; the stemmer is not used by the paper's form.
pub fn rule_forms(vocabulary: &[&str], stemmer: &Stemmer, paper: bool) -> Vec<String> {
    let form = |raw: &&str| if paper { paper_form(raw) } else { rule_form(raw, stemmer) };
    vocabulary.par_iter().map(form).collect()
}

/// A group for each form: equal forms, equal group; groups are numbered by first appearance.
pub fn group(forms: &[String]) -> Result<Vec<u32>> {
    check_size(forms.len())?;
    let mut groups: HashMap<&str, u32> = HashMap::with_capacity(forms.len());
    let of_form = |form| {
        let next = groups.len() as u32;
        *groups.entry(form).or_insert(next)
    };
    Ok(forms.iter().map(String::as_str).map(of_form).collect())
}

/// Bytes of the word that `text` starts with: letters, numbers, and marks after one of them.
fn word_len(text: &str) -> usize {
    let mut len = 0;
    for c in text.chars() {
        if !is_of_word(c, len > 0) {
            break;
        }
        len += c.len_utf8();
    }
    len
}

/// Whether a char is part of a word: a letter, a number, and inside of one a mark.
pub fn is_of_word(c: char, inside: bool) -> bool {
    match c.general_category_group() {
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number => true,
        // The sign that makes a heart an emoji is a mark: alone it would be the form of every such emoji.
        GeneralCategoryGroup::Mark => inside,
        _ => false,
    }
}

/// The protected name that `text`, the start of a word, begins with.
fn protected(text: &str) -> Option<&'static str> {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.general_category_group() == GeneralCategoryGroup::Letter);
    PROTECTED.iter().find(|name| text.strip_prefix(**name).is_some_and(ends)).copied()
}

/// Categories L* and N*; `_` is neither.
fn is_letter_or_number(c: char) -> bool {
    matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}
