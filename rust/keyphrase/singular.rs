//! English plurals folded to the singular, by rule and a few exceptions: enough for the head of a noun phrase.

use std::borrow::Cow;

const SAME: [&str; 34] = [
    "news",
    "series",
    "species",
    "physics",
    "mathematics",
    "economics",
    "politics",
    "ethics",
    "statistics",
    "lens",
    "bus",
    "gas",
    "always",
    "perhaps",
    "sometimes",
    "this",
    "his",
    "plus",
    "has",
    "was",
    "is",
    "its",
    "us",
    "yes",
    "pros",
    "cons",
    "jeans",
    "pants",
    "electronics",
    "graphics",
    "athletics",
    "linguistics",
    "mechanics",
    "thermodynamics",
];

const IRREGULAR: [(&str, &str); 24] = [
    ("people", "people"),
    ("men", "man"),
    ("women", "woman"),
    ("children", "child"),
    ("feet", "foot"),
    ("teeth", "tooth"),
    ("mice", "mouse"),
    ("geese", "goose"),
    ("wolves", "wolf"),
    ("lives", "life"),
    ("knives", "knife"),
    ("leaves", "leaf"),
    ("halves", "half"),
    ("shelves", "shelf"),
    ("selves", "self"),
    ("criteria", "criterion"),
    ("analyses", "analysis"),
    ("hypotheses", "hypothesis"),
    ("movies", "movie"),
    ("cookies", "cookie"),
    ("ties", "tie"),
    ("pies", "pie"),
    ("matrices", "matrix"),
    ("shoes", "shoe"),
];

/// The singular of an English noun; a word that is none comes back as it is.
///
/// "stories" -> "story", "boxes" -> "box", "classes" -> "class", "clips" -> "clip", "physics" -> "physics".
pub fn singular(word: &str) -> Cow<'_, str> {
    if let Some((_, one)) = IRREGULAR.iter().find(|(many, _)| *many == word) {
        return Cow::Borrowed(one);
    }
    let keeps = !word.ends_with('s') || word.chars().count() < 4 || SAME.contains(&word);
    if keeps || word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        return Cow::Borrowed(word);
    }
    if let Some(stem) = word.strip_suffix("ies") {
        return if stem.chars().count() > 1 { Cow::Owned([stem, "y"].concat()) } else { Cow::Borrowed(word) };
    }
    for ending in ["sses", "shes", "ches", "xes", "zzes"] {
        if word.ends_with(ending) {
            return Cow::Borrowed(word.strip_suffix("es").unwrap_or(word));
        }
    }
    if word.ends_with("oes") && word.chars().count() > 4 {
        return Cow::Borrowed(word.strip_suffix("es").unwrap_or(word));
    }
    Cow::Borrowed(word.strip_suffix('s').unwrap_or(word))
}
