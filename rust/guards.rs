//! What keeps two tags apart whatever a model says of them, and the words in which they differ.
//!
//! A model puts `json to csv` and `csv to json` at a cosine of 0.97 and above, then positive / negative, ascending /
//! descending, `python 2` / `python 3`; and it knows few names, so that `dhcp` / `dhcpd` and `jellyfin` / `jellyseerr`
//! are near as well. A pair with a veto never merges; of the others a model is asked for the cosine of what *differs*.
//!
//! Words are cut as `lexical` cuts them, then into parts that the vocabulary writes apart (`cloudservers` as `cloud
//! servers`, so that `cloudstorage` differs from it in `servers` / `storage`), and compared by form. The verdicts, the
//! first that holds: other numbers; a name with a symbol or of one letter; a negating word; opposites; negated words; siblings; another
//! direction or preposition; the same words turned; one tag's words within the other's; lone words that look alike and
//! are no stem (or tags of fewer than four letters). Cost: linear in the pairs, each tag is cut once.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringViewArray};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::english::ENGLISH;
use crate::error::{Error, Result};
use crate::likeness::{Known, LISTS, alike, is_function, plain};
use crate::reasons::Rules;
use crate::words::words;

/// Letters of a tag of one word; what is shorter says too little to a model.
const SHORTEST_NAME: usize = 4;

/// What two tags differ in; `veto` is empty where a model may decide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Why the two are never one.
    pub veto: &'static str,
    /// The words of the first that the second lacks, joined by a space.
    pub left: String,
    /// The words of the second that the first lacks.
    pub right: String,
}

/// A tag in words, and their forms.
#[derive(Debug, Default)]
struct Cut {
    words: Vec<String>,
    forms: Vec<String>,
}

/// A word that another tag lacks, and its form.
#[derive(Debug, Clone, Copy)]
struct Lacked<'a> {
    word: &'a str,
    form: &'a str,
}

impl Cut {
    fn lacking<'a>(&'a self, other: &Self) -> Vec<Lacked<'a>> {
        let mut left = counted(other.forms.iter());
        let lacks = |form: &str| match left.get_mut(form).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                false
            }
            None => true,
        };
        let kept: Vec<bool> = self.forms.iter().map(String::as_str).map(lacks).collect();
        let both = self.words.iter().zip(&self.forms).zip(kept);
        let lacks = both.filter(|((word, _), kept)| *kept && !is_function(word));
        lacks.map(|((word, form), _)| Lacked { word, form }).collect()
    }

    fn told(&self, kind: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str).filter(move |word| kind(word))
    }

    /// Words that carry the meaning, with their forms.
    fn content(&self) -> impl Iterator<Item = (&str, &str)> {
        let both = self.words.iter().zip(&self.forms);
        both.map(|(word, form)| (word.as_str(), form.as_str())).filter(|(word, _)| !is_function(word))
    }

    /// The forms between the words of direction.
    fn segments(&self) -> Vec<FxHashMap<&str, usize>> {
        let mut found = vec![FxHashMap::default()];
        for (word, form) in self.words.iter().zip(&self.forms) {
            if is_ordered(word) {
                found.push(FxHashMap::default());
            } else if let Some(last) = found.last_mut() {
                *last.entry(form.as_str()).or_insert(0) += 1;
            }
        }
        found
    }
}

fn counted<'a>(forms: impl Iterator<Item = &'a String>) -> FxHashMap<&'a str, usize> {
    let mut found = FxHashMap::default();
    for form in forms {
        *found.entry(form.as_str()).or_insert(0) += 1;
    }
    found
}

fn is_ordered(word: &str) -> bool {
    ENGLISH.ordered.contains(word)
}

/// With a symbol in it, or of one letter.
fn is_name(word: &str) -> bool {
    let mut chars = word.chars();
    let lone = chars.next().is_some_and(|c| !c.is_ascii_digit()) && chars.next().is_none();
    lone || word.contains(['+', '#', '.'])
}

/// The runs of digits in words, each behind a space.
fn numbers<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut found = String::new();
    for run in words.flat_map(|word| word.split(|c: char| !c.is_ascii_digit())).filter(|run| !run.is_empty()) {
        let _ = write!(found, " {run}");
    }
    found
}

/// The numbers of each tag, joined by a space; two tags of other numbers always have a veto.
pub fn numbers_of<S: AsRef<str> + Sync>(tags: &[S]) -> Vec<String> {
    let one = |tag: &S| numbers(words(tag.as_ref(), Rules::NONE).iter().map(|word| word.text.as_str()));
    tags.par_iter().map(one).map(|found| found.trim_start().to_owned()).collect()
}

/// What the tags `a[i]` and `b[i]` differ in, for each `i`, in the light of all `tags`.
pub fn differences<S: AsRef<str> + Sync>(tags: &[S], a: &[u32], b: &[u32]) -> Result<Vec<Difference>> {
    if a.len() != b.len() {
        return Err(Error::Length { name: "b", found: b.len(), expected: a.len() });
    }
    let known = Known::new(&tags.par_iter().map(|tag| words(tag.as_ref(), Rules::NONE)).collect::<Vec<_>>());
    let cut = |tag: &S| {
        let words = known.cut(tag.as_ref());
        Cut { forms: words.iter().map(|word| plain(word)).collect(), words }
    };
    let cuts: Vec<Cut> = tags.par_iter().map(cut).collect();
    let one = |(row, (&a, &b)): (usize, (&u32, &u32))| {
        let at = |id: u32| cuts.get(id as usize).ok_or(Error::Id { row, id, size: tags.len() });
        Ok(difference(at(a)?, at(b)?))
    };
    a.par_iter().zip(b).enumerate().map(one).collect()
}

/// The fields of differences as columns of text.
pub fn columns(told: &[Difference]) -> Vec<(&'static str, ArrayRef)> {
    let column =
        |field: fn(&Difference) -> &str| Arc::new(told.iter().map(|one| Some(field(one))).collect::<StringViewArray>());
    vec![("veto", column(|one| one.veto)), ("left", column(|one| &one.left)), ("right", column(|one| &one.right))]
}

fn difference(a: &Cut, b: &Cut) -> Difference {
    let (left, right) = (a.lacking(b), b.lacking(a));
    let text = |lacked: &[Lacked], by: &str| lacked.iter().map(|one| one.word).collect::<Vec<_>>().join(by);
    let words = |cut: &'_ Cut| numbers(cut.words.iter().map(String::as_str));
    let other_numbers = words(a) != words(b);
    if !left.is_empty() && text(&left, "") == text(&right, "") {
        return Difference { veto: if other_numbers { "number" } else { "" }, ..Difference::default() }; // only spaces differ
    }
    let veto = if other_numbers { "number" } else { veto(a, b, &left, &right) };
    Difference { veto, left: text(&left, " "), right: text(&right, " ") }
}

/// Why two tags of the same numbers are never one, the first reason that holds.
fn veto(a: &Cut, b: &Cut, left: &[Lacked], right: &[Lacked]) -> &'static str {
    let crossed =
        |apart: &dyn Fn(&Lacked, &Lacked) -> bool| left.iter().any(|one| right.iter().any(|other| apart(one, other)));
    let mut lacked = left.iter().chain(right);
    if a.words.is_empty() || b.words.is_empty() || lacked.clone().any(|one| is_name(one.word)) {
        return "symbol";
    }
    if lacked.any(|one| LISTS.negation.contains(one.form)) {
        return "negation";
    }
    if crossed(&|one, other| LISTS.antonyms(one.form, other.form)) {
        return "antonym";
    }
    if crossed(&|one, other| LISTS.negated(one.word, other.word) || LISTS.negated(other.word, one.word)) {
        return "negation";
    }
    if crossed(&|one, other| LISTS.siblings(one.form, other.form)) {
        return "sibling";
    }
    if crossed(&|one, other| same_letters(one.word, other.word)) {
        return "reversal";
    }
    if !a.told(is_ordered).eq(b.told(is_ordered)) {
        return "direction";
    }
    if left.is_empty() && right.is_empty() {
        let preposition = |word: &str| ENGLISH.prepositions.contains(word);
        return if !a.content().map(|(_, form)| form).eq(b.content().map(|(_, form)| form)) {
            "reversal"
        } else if a.told(preposition).eq(b.told(preposition)) {
            ""
        } else {
            "direction"
        };
    }
    if a.told(is_ordered).next().is_some() && crosses(a, b) {
        return "reversal";
    }
    of_stems(a, b, left, right)
}

/// Whether two words of a script that is written without spaces have the same letters in another order: 语音转文本 (speech to
/// text), 文本转语音 (text to speech).
fn same_letters(a: &str, b: &str) -> bool {
    let letters = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    a != b && !a.is_ascii() && a.len() == b.len() && letters(a) == letters(b)
}

/// Whether a word that both tags hold stands on another side of a word of direction.
fn crosses(a: &Cut, b: &Cut) -> bool {
    let (ours, theirs) = (counted(a.forms.iter()), counted(b.forms.iter()));
    let shared: Vec<(&str, usize)> =
        ours.iter().filter_map(|(form, &count)| Some((*form, count.min(*theirs.get(form)?)))).collect();
    let within = |segment: &FxHashMap<&str, usize>, (form, most): (&str, usize)| {
        segment.get(form).copied().unwrap_or(0).min(most)
    };
    let segments = (a.segments(), b.segments());
    segments.0.iter().zip(&segments.1).any(|(a, b)| shared.iter().any(|&word| within(a, word) != within(b, word)))
}

/// The verdicts that look through inflection: one tag within the other, the same stems turned, lone words alike.
fn of_stems(a: &Cut, b: &Cut, left: &[Lacked], right: &[Lacked]) -> &'static str {
    let agents = a.words.len() > 1 || b.words.len() > 1;
    let (mut ours, mut theirs) = (Vec::new(), right.to_vec());
    for one in left {
        match theirs.iter().position(|other| LISTS.same_stem(one.word, other.word, agents)) {
            Some(at) => drop(theirs.remove(at)),
            None => ours.push(one),
        }
    }
    if left.is_empty() || right.is_empty() || ours.is_empty() != theirs.is_empty() {
        return "containment";
    }
    let mut both = a.content().zip(b.content());
    if ours.is_empty() && !both.all(|((one, _), (other, _))| LISTS.same_stem(one, other, agents)) {
        return "reversal";
    }
    let ([one], [other]) = (left, right) else { return "" };
    let (one, other) = (one.word, other.word);
    let short = !agents && one.chars().count().min(other.chars().count()) < SHORTEST_NAME;
    if (short || alike(one, other)) && !LISTS.same_stem(one, other, agents) { "look-alike" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(a: &str, b: &str) -> Difference {
        differences(&[a, b], &[0], &[1]).unwrap().remove(0)
    }

    #[test]
    fn what_never_merges_is_told() {
        for (a, b, veto) in [
            ("json to csv", "csv to json", "reversal"),
            ("file system", "system file", "reversal"),
            ("test data", "data testing", "reversal"),
            ("lossy compression", "lossless compression", "antonym"),
            ("sort ascending", "sort descending", "antonym"),
            ("encode text", "decode texts", "antonym"),
            ("client app", "server app", "antonym"),
            ("supervised learning", "unsupervised learning", "antonym"),
            ("linear", "non-linear", "negation"),
            ("secure boot", "insecure boot", "negation"),
            ("frontend", "backend", "antonym"),
            ("writing for children", "writing about children", "direction"),
            ("with sugar", "without sugar", "negation"),
            ("python 2", "python 3", "number"),
            ("c", "c++", "symbol"),
            ("plan b", "plan c", "symbol"),
            ("security", "national security", "containment"),
            ("formatting", "format text", "containment"),
            ("java", "javascript", "sibling"),
            ("spanish translation", "french translation", "sibling"),
            ("dhcp", "dhcpd", "look-alike"),
            ("dock", "docker", "look-alike"),
            ("project", "projection", "look-alike"),
            ("universe", "university", "look-alike"),
            ("jfx", "oculus", "look-alike"),
            ("english to spanish", "spanish to polish", "sibling"),
            ("🎉", "🎈", "symbol"),
        ] {
            assert_eq!(found(a, b).veto, veto, "{a} / {b}");
            assert_eq!(found(b, a).veto, veto, "{b} / {a}");
        }
    }

    #[test]
    fn a_model_is_asked_for_what_differs() {
        for (a, b, left, right) in [
            ("photo editing", "image editing", "photo", "image"),
            ("rename files", "renaming files", "rename", "renaming"),
            ("video recorder", "video recording", "recorder", "recording"),
            ("app launcher", "application launcher", "app", "application"),
            ("folder", "directory", "folder", "directory"),
            ("windows 10", "win10", "windows", "win"),
            ("tag", "tagging", "tag", "tagging"),
            ("connectionchecker", "connection-checker", "", ""),
        ] {
            let told = Difference { veto: "", left: left.into(), right: right.into() };
            assert_eq!(found(a, b), told, "{a} / {b}");
        }
    }

    #[test]
    fn solid_words_are_cut_where_the_vocabulary_parts_them() {
        let tags = ["cloudservers", "cloudstorage", "cloud", "server", "storage"];
        let told = differences(&tags, &[0, 0], &[1, 2]).unwrap();
        assert_eq!((told[0].left.as_str(), told[0].right.as_str()), ("servers", "storage"));
        assert_eq!(told[1].veto, "containment");
    }

    #[test]
    fn hostile_arrays_are_refused() {
        assert_eq!(differences(&["a"], &[0], &[1]), Err(Error::Id { row: 0, id: 1, size: 1 }));
        assert!(differences(&["a"], &[0], &[]).is_err());
    }
}
