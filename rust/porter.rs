//! The Porter stemmer as NLTK ships it (`nltk.stem.PorterStemmer()`, mode `NLTK_EXTENSIONS`), word for word.
//!
//! Reference: M. Porter, "An algorithm for suffix stripping", Program 14.3 (1980), with Martin Porter's later changes
//! and NLTK's own: a pool of irregular forms, `ies`/`ied` in words of four letters, `y` after a consonant only, `alli`
//! before the other rules, `fulli`, `logi`. The paper stems with NLTK, and other "Porter" stemmers (Snowball's `porter`
//! and `english`) part from it on some words.
//! Cost: linear in the word. It runs once a distinct word, so chars in a `Vec`, not bytes in place: equal to NLTK on
//! words of any script without a second path.

/// Forms that NLTK looks up before any rule.
const IRREGULAR: &[(&str, &str)] = &[
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
    ("sky", "sky"),
];

// In every list the first suffix that fits decides, whether its condition holds or not.

const STEP_1A: &[(&str, &str)] = &[("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")];

/// Where the stem has a measure above 0.
const STEP_2: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

/// Where the stem has a measure above 0.
const STEP_3: &[(&str, &str)] =
    &[("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// Where the stem has a measure above 1; `ion` also wants an `s` or a `t` before it, and stands apart.
const STEP_4: &[(&str, &str)] = &[
    ("al", ""),
    ("ance", ""),
    ("ence", ""),
    ("er", ""),
    ("ic", ""),
    ("able", ""),
    ("ible", ""),
    ("ant", ""),
    ("ement", ""),
    ("ment", ""),
    ("ent", ""),
    ("ou", ""),
    ("ism", ""),
    ("ate", ""),
    ("iti", ""),
    ("ous", ""),
    ("ive", ""),
    ("ize", ""),
];

/// The stem of one word; the word is lower-cased first. Any text is taken, and what no rule knows stays as it is.
pub fn stem(word: &str) -> String {
    let lower = word.to_lowercase();
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| *form == lower) {
        return (*stem).to_owned();
    }
    if word.chars().nth(2).is_none() {
        return lower;
    }
    let mut word: Vec<char> = lower.chars().collect();
    step_1a(&mut word);
    step_1b(&mut word);
    step_1c(&mut word);
    step_2(&mut word);
    apply(&mut word, STEP_3, 0, 1);
    step_4(&mut word);
    step_5(&mut word);
    word.into_iter().collect()
}

/// The word without its inflection: Porter's first and last steps alone, `-s`, `-ed`, `-ing`, final `e`; what makes another
/// word of a word (`universe`, `university`) stays. An `-s` goes where `is_plural`, and what `is_own_word` is left.
pub fn inflection(word: &str, is_plural: impl Fn(&str) -> bool, is_own_word: impl Fn(&str) -> bool) -> String {
    let lower = word.to_lowercase();
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| *form == lower) {
        return (*stem).to_owned();
    }
    if word.chars().nth(2).is_none() || lower.ends_with('s') && !is_plural(&lower) {
        return lower;
    }
    let mut word: Vec<char> = lower.chars().collect();
    step_1a(&mut word);
    let singular: String = word.iter().collect();
    if is_own_word(&singular) {
        return singular;
    }
    step_1b(&mut word);
    step_1c(&mut word);
    step_5(&mut word);
    word.into_iter().collect()
}

fn is_vowel_letter(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u')
}

/// Whether each char is a consonant, in order: not a vowel, and for `y` not one after a consonant.
fn consonants(word: &[char]) -> impl Iterator<Item = bool> + '_ {
    let mut before = false;
    word.iter().map(move |&c| {
        before = if c == 'y' { !before } else { !is_vowel_letter(c) };
        before
    })
}

/// Whether the char at `at` is a consonant; a run of `y` behind it is walked back to what it stands on.
fn is_consonant(word: &[char], at: usize) -> bool {
    let run = word[..=at].iter().rev().take_while(|&&c| c == 'y').count();
    let (base, flips) = if run > at { (true, at) } else { (!is_vowel_letter(word[at - run]), run) };
    base != (flips % 2 == 1)
}

/// How many times a consonant follows a vowel: the paper's m.
fn measure(word: &[char]) -> usize {
    let mut vowel_before = false;
    consonants(word).filter(|&consonant| std::mem::replace(&mut vowel_before, !consonant) && consonant).count()
}

fn has_vowel(word: &[char]) -> bool {
    consonants(word).any(|consonant| !consonant)
}

/// Condition *d: a double consonant at the end.
fn ends_double(word: &[char]) -> bool {
    matches!(word, [.., a, b] if a == b) && is_consonant(word, word.len() - 1)
}

/// Condition *o: consonant, vowel, consonant other than w, x, y; NLTK adds words that are a vowel and a consonant.
fn ends_cvc(word: &[char]) -> bool {
    let n = word.len();
    if n == 2 {
        return !is_consonant(word, 0) && is_consonant(word, 1);
    }
    n >= 3
        && is_consonant(word, n - 3)
        && !is_consonant(word, n - 2)
        && is_consonant(word, n - 1)
        && !matches!(word[n - 1], 'w' | 'x' | 'y')
}

/// What stands before `suffix`, where the word ends with it.
fn before<'w>(word: &'w [char], suffix: &str) -> Option<&'w [char]> {
    let (stem, end) = word.split_at_checked(word.len().checked_sub(suffix.len())?)?;
    end.iter().copied().eq(suffix.chars()).then_some(stem)
}

fn replace(word: &mut Vec<char>, suffix: &str, with: &str) {
    word.truncate(word.len() - suffix.len());
    word.extend(with.chars());
}

/// The first rule whose suffix fits (`extra` chars of it count as stem), where the stem's measure is `least` or more.
fn apply(word: &mut Vec<char>, rules: &[(&str, &str)], extra: usize, least: usize) {
    for (suffix, with) in rules {
        if let Some(stem) = before(word, suffix) {
            if measure(&word[..stem.len() + extra]) >= least {
                replace(word, suffix, with);
            }
            return;
        }
    }
}

/// Plurals: `sses` -> `ss`, `ies` -> `i` (`ie` in words of four letters), `s` -> nothing.
fn step_1a(word: &mut Vec<char>) {
    if word.len() == 4 && before(word, "ies").is_some() {
        replace(word, "s", "");
    } else {
        apply(word, STEP_1A, 0, 0);
    }
}

/// `ied`, `eed`, `ed`, `ing`, and what their removal asks to be mended.
fn step_1b(word: &mut Vec<char>) {
    if before(word, "ied").is_some() {
        let end = if word.len() == 4 { "d" } else { "ed" };
        return replace(word, end, "");
    }
    if let Some(stem) = before(word, "eed") {
        if measure(stem) > 0 {
            replace(word, "d", "");
        }
        return;
    }
    let Some(suffix) = ["ed", "ing"].into_iter().find(|suffix| before(word, suffix).is_some_and(has_vowel)) else {
        return;
    };
    replace(word, suffix, "");
    if ["at", "bl", "iz"].iter().any(|end| before(word, end).is_some()) {
        word.push('e');
    } else if ends_double(word) {
        if !matches!(word.last(), Some('l' | 's' | 'z')) {
            word.pop();
        }
    } else if before(word, "*d").is_some() {
        replace(word, "*d", "d"); // NLTK spells the double-consonant rule "*d", and takes it for a suffix as well
    } else if measure(word) == 1 && ends_cvc(word) {
        word.push('e');
    }
}

/// `y` -> `i` after a consonant that does not stand alone.
fn step_1c(word: &mut Vec<char>) {
    if before(word, "y").is_some_and(|stem| stem.len() > 1 && is_consonant(stem, stem.len() - 1)) {
        replace(word, "y", "i");
    }
}

/// Double suffixes to single ones.
fn step_2(word: &mut Vec<char>) {
    if before(word, "alli").is_some_and(|stem| measure(stem) > 0) {
        replace(word, "li", "");
    }
    if before(word, "logi").is_some() {
        apply(word, &[("logi", "log")], 1, 1); // the `l` counts as stem: `geologi` as `archaeologi`
    } else {
        apply(word, STEP_2, 0, 1);
    }
}

/// Single suffixes away.
fn step_4(word: &mut Vec<char>) {
    if let Some(stem) = before(word, "ion") {
        if measure(stem) > 1 && matches!(stem.last(), Some('s' | 't')) {
            replace(word, "ion", "");
        }
    } else {
        apply(word, STEP_4, 0, 2);
    }
}

/// A final `e` away, a final `ll` to `l`.
fn step_5(word: &mut Vec<char>) {
    if before(word, "e").is_some_and(|stem| measure(stem) > 1 || (measure(stem) == 1 && !ends_cvc(stem))) {
        word.pop();
    }
    if before(word, "ll").is_some() && measure(&word[..word.len() - 1]) > 1 {
        word.pop();
    }
}
