//! English words to the forms that their spellings share: British and American, singular and plural, and the verb
//! behind a noun of action.
//!
//! Rules and the short lists of `english.txt`, no dictionary. A form is a key that nobody reads (`movie` and `movies` are
//! `movy`), so a rule may be blunt as long as no *other* word has that form; the lists hold what would collide (`news`,
//! `windows`). What needs a dictionary to tell apart (-ed and -ing of any word, adjectives, agents in -er) is left alone: a
//! merge that is missed costs little, a wrong one is silent. Porter stems were tried here and also merge universe /
//! university, project / projection, new / news. Words that are not plain ASCII letters come back as they went in. Figures
//! over 120,000 inflected forms and 15,900 spelling pairs: docs/semantics.md.

use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::reasons::Rules;

type Words = FxHashSet<&'static str>;
type Pairs = Vec<(&'static str, &'static str)>;

/// The tables of `english.txt`, which says what each of them is.
pub struct English {
    /// `a`, `an`, `the`.
    pub articles: Words,
    /// `of` and its like.
    pub prepositions: Words,
    /// Words beside which nothing moves.
    pub ordered: Words,
    /// Those that a verb may change sides around.
    pub directions: Words,
    /// Those that make compounds across a space.
    pub particles: Words,
    own_words: Words,
    not_plural: Words,
    not_plural_endings: Vec<&'static str>,
    plural: Words,
    irregular: FxHashMap<&'static str, &'static str>,
    /// (ending, what it becomes, bytes of the shortest word).
    number_endings: Vec<(&'static str, &'static str, usize)>,
    spelled_apart: Words,
    beginnings: Pairs,
    after_is: Vec<&'static str>,
    after_our: Words,
    after_ll: Vec<&'static str>,
    spelled_endings: Pairs,
    action_endings: Pairs,
    quality_endings: Pairs,
    no_qualities: Words,
    verb_or_noun: Words,
}

/// The tables, read at first use.
pub static ENGLISH: LazyLock<English> = LazyLock::new(|| English {
    articles: words("article").collect(),
    prepositions: words("preposition").collect(),
    ordered: words("ordered").collect(),
    directions: words("direction").collect(),
    particles: words("particle").collect(),
    own_words: words("own_word").collect(),
    not_plural: words("not_plural").collect(),
    not_plural_endings: words("not_plural_ending").collect(),
    plural: words("plural").collect(),
    irregular: pairs("irregular").collect(),
    number_endings: pairs("number_ending")
        .filter_map(|(ending, rest)| Some((ending, rest.split_once('/')?)))
        .filter_map(|(ending, (shared, least))| Some((ending, shared, least.parse().ok()?)))
        .collect(),
    spelled_apart: words("spelled_apart").collect(),
    beginnings: pairs("beginning").collect(),
    after_is: words("after_is").collect(),
    after_our: words("after_our").collect(),
    after_ll: words("after_ll").collect(),
    spelled_endings: pairs("spelled_ending").collect(),
    action_endings: pairs("action_ending").collect(),
    quality_endings: pairs("quality_ending").collect(),
    no_qualities: words("no_quality").collect(),
    verb_or_noun: words("verb_or_noun").collect(),
});

/// The form of a listed adjective, by that of the noun of its quality.
static QUALITIES: LazyLock<FxHashMap<String, String>> = LazyLock::new(|| {
    let of_a_quality = |word: &str| number(&spelling(word));
    pairs("quality").map(|(adjective, noun)| (of_a_quality(noun), of_a_quality(adjective))).collect()
});

/// What each word of a listed verb names, in the shared spelling.
static ACTIONS: LazyLock<FxHashMap<String, Named>> = LazyLock::new(|| {
    let mut named = FxHashMap::default();
    for word in words("verb") {
        let (verb, noun) = word.split_once('=').unwrap_or((word, ""));
        // Of the verbs listed only `debug` doubles its consonant.
        let stem = if verb == "debug" { "debugg" } else { verb.strip_suffix('e').unwrap_or(verb) };
        let has_noun = !noun.is_empty();
        for (word, kind) in [(verb, Action::Verb), (noun, Action::Noun), (&format!("{stem}ing"), Action::Ing)] {
            if !word.is_empty() {
                named.insert(spelling(word), (verb.to_owned(), kind, has_noun));
            }
        }
    }
    named
});

/// Words that name no action whatever they end in, in the shared spelling.
static NO_ACTION: LazyLock<FxHashSet<String>> = LazyLock::new(|| words("no_action").map(spelling).collect());

/// The words of a table.
fn words(table: &str) -> impl Iterator<Item = &'static str> {
    let lines = include_str!("english.txt").lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(": ")).filter(move |(head, _)| *head == table);
    lines.flat_map(|(_, words)| words.split(' '))
}

fn pairs(table: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    words(table).filter_map(|pair| pair.split_once('='))
}

/// The form that a noun shares with its plural; a word that is neither comes back as it is.
fn number(word: &str) -> String {
    if let Some(one) = ENGLISH.irregular.get(word) {
        return number(one);
    }
    let plural = is_plural(word);
    let one = word.strip_suffix('s').unwrap_or(word);
    for &(ending, shared, least) in &ENGLISH.number_endings {
        let fits = word.len() >= least && (plural || !ending.ends_with('s'));
        if let Some(stem) = word.strip_suffix(ending).filter(|_| fits) {
            return format!("{stem}{shared}");
        }
    }
    if plural { one.to_owned() } else { word.to_owned() }
}

/// Whether the last letter of a word is the -s of a plural, as far as lists and endings tell.
pub fn is_plural(word: &str) -> bool {
    word.ends_with('s') && (ENGLISH.plural.contains(word) || word.chars().nth(3).is_some() && !is_singular(word))
}

/// Whether a word that looks inflected means another thing than the word it comes from: `building`, `shared`.
pub fn is_own_word(word: &str) -> bool {
    ENGLISH.own_words.contains(word)
}

/// Whether a word in -s is no plural by its ending or its place in the list; nor is `bios`.
fn is_singular(word: &str) -> bool {
    ENGLISH.not_plural.contains(word)
        || ENGLISH.not_plural_endings.iter().any(|ending| word.ends_with(ending))
        || word.chars().nth(4).is_none() && word.ends_with("os")
}

/// The form that British and American spellings of a word share; any other word as it is.
fn spelling(word: &str) -> String {
    if word.len() < 4 || ENGLISH.spelled_apart.contains(word) {
        return word.to_owned();
    }
    let begun = |&(british, american): &(_, _)| Some((word.strip_prefix(british)?, american));
    if let Some((rest, american)) = ENGLISH.beginnings.iter().find_map(begun) {
        return format!("{american}{rest}");
    }
    let mut word = word.to_owned();
    for after in &ENGLISH.after_is {
        let cut = word.len().saturating_sub(after.len() + 2);
        // Of the words in -ise that have no -ize (exercise, noise) none meets another word here; `prise` and `size` do.
        if cut > 2
            && word.ends_with(after)
            && (word[cut..].starts_with("is") || *after != "es" && word[cut..].starts_with("ys"))
        {
            word.replace_range(cut + 1..cut + 2, "z");
            break;
        }
    }
    let after_our = |rest: &str| rest.is_empty() || ENGLISH.after_our.contains(rest);
    if let Some(at) = word.rfind("our").filter(|&at| at > 2 && after_our(&word[at + 3..])) {
        word.replace_range(at..at + 3, "or");
    }
    for ending in &ENGLISH.after_ll {
        let stem = word.strip_suffix(ending).and_then(|stem| stem.strip_suffix('l')).filter(|stem| stem.ends_with('l'));
        // modelled, traveller; not in words of one syllable: filling is not filing
        if let Some(stem) = stem.filter(|stem| syllables(stem) > 1) {
            return format!("{stem}{ending}");
        }
    }
    for (british, american) in &ENGLISH.spelled_endings {
        if let Some(stem) = word.strip_suffix(british) {
            return format!("{stem}{american}");
        }
    }
    word
}

/// Runs of vowels.
fn syllables(word: &str) -> usize {
    let vowel = |c: u8| b"aeiouy".contains(&c);
    let bytes = word.as_bytes();
    (0..bytes.len()).filter(|&at| vowel(bytes[at]) && (at == 0 || !vowel(bytes[at - 1]))).count()
}

/// The adjective behind a noun of quality, by its ending or the list: `scalability` as `scalable`; any other as it is.
fn quality(noun: String) -> String {
    if let Some(adjective) = QUALITIES.get(&noun) {
        return adjective.clone();
    }
    let (stem, ending) = match ENGLISH.quality_endings.iter().find_map(|(of, to)| Some((noun.strip_suffix(of)?, to))) {
        Some(found) if noun.len() > 8 && !ENGLISH.no_qualities.contains(noun.as_str()) => found,
        _ => return noun,
    };
    format!("{stem}{ending}")
}

/// The form that a word shares with its plural, its other spelling and the noun of its quality; `off` leaves rules out.
/// Lower case in; a key, not a word, out.
pub fn form(word: &str, off: Rules) -> String {
    if !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let spelled = if off.has(Rules::SPELLING) { word.to_owned() } else { spelling(word) };
    let one = if off.has(Rules::PLURAL) { spelled } else { number(&spelled) };
    if off.has(Rules::ADJECTIVE_AND_NOUN) { one } else { quality(one) }
}

/// What a word that names an action is: the verb itself, its -ing, or another noun of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `optimize`
    Verb,
    /// `optimizing`
    Ing,
    /// `optimization`
    Noun,
}

/// A verb, what a word is to it, and whether it has a noun beside its -ing.
pub type Named = (String, Action, bool);

/// `optimizations` as (`optimize`, [`Action::Noun`], true).
///
/// Verbs are those of a list, and every one in -ize or -ify by its ending; any other word names no action, and none does
/// where `off` leaves the rule out.
pub fn action(word: &str, off: Rules) -> Option<Named> {
    if off.has(Rules::VERB_AND_NOUN) || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let word = if off.has(Rules::SPELLING) { word.to_owned() } else { spelling(word) };
    let singular = |word: &str| if off.has(Rules::PLURAL) { None } else { action_of(&number(word)) };
    action_of(&word).or_else(|| singular(&word))
}

/// Whether a verb is never a noun: in -ize, -ify and -ate, but for a few.
pub fn is_no_noun(verb: &str) -> bool {
    ["ize", "ify", "ate"].iter().any(|ending| verb.ends_with(ending)) && !ENGLISH.verb_or_noun.contains(verb)
}

fn action_of(word: &str) -> Option<Named> {
    if let Some(named) = ACTIONS.get(word) {
        return Some(named.clone());
    }
    if word.len() < 7 || NO_ACTION.contains(word) {
        return None;
    }
    let (ending, verb) = ENGLISH.action_endings.iter().find(|(ending, _)| word.ends_with(ending))?;
    let kind = match *ending {
        _ if ending == verb => Action::Verb,
        _ if ending.ends_with("ing") => Action::Ing,
        _ => Action::Noun,
    };
    Some((format!("{}{verb}", &word[..word.len() - ending.len()]), kind, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(word: &str) -> String {
        super::form(word, Rules::NONE)
    }

    #[test]
    fn plurals_share_a_form() {
        for (one, many) in [
            ("history", "histories"),
            ("class", "classes"),
            ("cache", "caches"),
            ("house", "houses"),
            ("virus", "viruses"),
            ("database", "databases"),
            ("hero", "heroes"),
            ("shoe", "shoes"),
            ("child", "children"),
            ("api", "apis"),
            ("topic", "topics"),
            ("photo", "photos"),
            ("movie", "movies"),
            ("case", "cases"),
            ("lens", "lenses"),
            ("analysis", "analyses"),
            ("branch", "branches"),
            ("box", "boxes"),
            ("bus", "buses"),
            ("size", "sizes"),
        ] {
            assert_eq!(form(one), form(many), "{many}");
        }
    }

    #[test]
    fn other_words_have_other_forms() {
        for (a, b) in [
            ("window", "windows"),
            ("new", "news"),
            ("physic", "physics"),
            ("http", "https"),
            ("cs", "css"),
            ("io", "ios"),
            ("panda", "pandas"),
            ("canva", "canvas"),
            ("dn", "dns"),
            ("statu", "status"),
            ("filing", "filling"),
            ("size", "sise"),
            ("universe", "university"),
            ("general", "generate"),
            ("timber", "timbre"),
            ("prolog", "prologue"),
            ("rose", "ros"),
            ("glass", "glasses"),
            ("prize", "prise"),
            ("数学", "数学s"),
        ] {
            assert_ne!(form(a), form(b), "{a} {b}");
        }
    }

    #[test]
    fn spellings_share_a_form() {
        for (british, american) in [
            ("colour", "color"),
            ("colourful", "colorful"),
            ("organisation", "organization"),
            ("analyse", "analyze"),
            ("centre", "center"),
            ("centred", "centered"),
            ("travelling", "traveling"),
            ("catalogue", "catalog"),
            ("defence", "defense"),
            ("serialise", "serialize"),
            ("counsellor", "counselor"),
            ("favourites", "favorites"),
            ("neighbourhoods", "neighborhood"),
            ("kilometres", "kilometer"),
            ("colourise", "colorize"),
            ("programmes", "program"),
        ] {
            assert_eq!(form(british), form(american), "{british}");
        }
    }

    #[test]
    fn actions() {
        let found = |word| action(word, Rules::NONE).map(|(verb, kind, _)| (verb, kind));
        assert_eq!(found("optimization"), Some(("optimize".into(), Action::Noun)));
        assert_eq!(found("optimizing"), Some(("optimize".into(), Action::Ing)));
        assert_eq!(found("installing"), Some(("install".into(), Action::Ing)));
        assert_eq!(found("installation"), Some(("install".into(), Action::Noun)));
        assert_eq!(found("writing"), Some(("write".into(), Action::Ing)));
        assert_eq!(found("creation"), Some(("create".into(), Action::Noun)));
        for word in [
            "projection",
            "station",
            "project",
            "university",
            "size",
            "organization",
            "string",
            "exercise",
            "enterprises",
        ] {
            assert_eq!(found(word), None, "{word}");
        }
    }
}
