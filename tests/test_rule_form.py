"""Rule forms: Porter is NLTK's, the form is the oracle's, any string goes in."""

from __future__ import annotations

import random
import sys
import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import oracle
import oracle_english
from instag import _core

ENDINGS = """s es ies sses ed eed ied ing at bl iz y ational tional enci anci izer bli alli entli eli ousli ization
ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al
ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize e ll *d""".split()

inflected = st.builds(
    lambda start, ends: start + "".join(ends),
    st.text("aeiouybcdlstwxzéя數", max_size=5),
    st.lists(st.sampled_from(ENDINGS), max_size=3),
)
# Characters that this Python's Unicode knows: a newer one may give others a meaning.
known = st.text(st.characters(exclude_categories=["Cn", "Cs"]), max_size=12)
tag_like = st.text("aBcsgGedI+#*.-_ /'çÇßİΣ數学ｶ︎\u200c\u200f\u00ad\u0640é\u0301\u200dⅣ²", max_size=12)


def forms(raw: list[str], stemmer: str = "porter", *, paper: bool = False) -> list[str]:
    table, _ = _core.rule_forms(pl.Series(raw, dtype=pl.String), stemmer, paper)
    return pl.DataFrame(table)["form"].to_list()


def test_porter_is_nltk_on_every_word_of_the_lexicons(data: Path) -> None:
    from nltk.stem.porter import PorterStemmer

    lines = [line for name in ("agid_inflections", "varcon_pairs") for line in _lines(data / "lexical" / f"{name}.tsv")]
    words = sorted({word for line in lines for word in line.split("\t")})
    assert len(words) > 200_000
    stem = PorterStemmer().stem
    assert [word for word in words if _core.porter_stem(word) != stem(word)] == []


def test_inflection_is_its_twin_on_every_word_of_the_lexicons(data: Path) -> None:
    lines = [line for name in ("agid_inflections", "varcon_pairs") for line in _lines(data / "lexical" / f"{name}.tsv")]
    words = sorted({word.lower() for line in lines for word in line.split("\t") if word.isalpha()})
    assert len(words) > 180_000
    found = zip(words, forms(words, "inflection"), strict=True)
    assert [row for row in found if row[1] != oracle.rule_form(row[0], oracle_english.inflection)] == []


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@given(st.one_of(inflected, known))
def test_porter_is_nltk_on_made_words(word: str) -> None:
    assert _core.porter_stem(word) == oracle.porter(word)


@given(st.lists(st.one_of(inflected, tag_like, known), max_size=8))
@example(["İs", "éos"])
def test_forms_equal_the_oracle(raw: list[str]) -> None:
    assert forms(raw) == [oracle.rule_form(text) for text in raw]
    assert forms(raw, "inflection") == [oracle.rule_form(text, oracle_english.inflection) for text in raw]
    assert forms(raw, "none") == [oracle.rule_form(text, str) for text in raw]
    assert forms(raw, paper=True) == [oracle.paper_form(text) for text in raw]


def test_forms_equal_the_oracle_on_every_character() -> None:
    codes = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    raw = [f"a{char}b{char}" for char in codes]
    assert forms(raw, "none") == [oracle.rule_form(text, str) for text in raw]


@given(st.text(max_size=20))
def test_the_form_of_a_form_is_itself_without_stems(raw: str) -> None:
    once = forms([raw], "none")
    assert forms(once, "none") == once


@pytest.mark.parametrize("stemmer", _core.stemmers())
def test_every_stemmer_takes_any_string(stemmer: str) -> None:
    seed = random.Random(stemmer)
    letters = "abcdefghijklmnoprstuvyzßäöåéèñçğışüαβγδεабвгдежзиاللهستதமிழ்ை数ｱ ' -.0"
    raw = ["".join(seed.choices(letters, k=seed.randrange(14))) for _ in range(20_000)]
    raw += ["".join(chr(seed.randrange(0xD800)) for _ in range(seed.randrange(10))) for _ in range(20_000)]
    assert len(forms(raw, stemmer)) == len(raw)


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        ("Web-Developments", "web develop"),
        ("snake_case__names", "snake case name"),
        ("ＦＵＬＬ－ｗｉｄｔｈ", "full width"),
        ("Straße", "strass"),
        ("C++11 Templates", "c++ 11 templat"),
        ("C/C++", "c c++"),
        ("C# in F# minor", "c# in f# minor"),
        (".NET Core", ".net core"),
        ("ASP.NET", "asp net"),
        ("A*B", "a b"),
        ("数学题s", "数学题s"),
        ("हिन्दी", "हिन्दी"),
        ("❤️", "❤️"),
        ("\u200fعربي\u200f", "عربي"),
        ("می\u200cخواهم", "میخواهم"),
        ("pre\u00adfix", "prefix"),
        ("a\u200bb", "a b"),
        ("ｻｰﾊﾞｰ", "サーバー"),
        ("서버s", "서버s"),
        ("เครือข่ายing", "เครือข่ายing"),
        ("+", "+"),
        ("", ""),
    ],
)
def test_examples(raw: str, form: str) -> None:
    assert forms([raw]) == [form] == [oracle.rule_form(raw)]


@pytest.mark.parametrize(
    "tags",
    [
        ("test", "tests", "testing", "tested"),
        ("cache", "caches", "caching"),
        ("baby name", "Babies names", "baby's names"),
        ("unit-test", "unit testing"),
        ("status", "statuses"),
        ("stemmed", "stems"),
        ("travelled", "travelling"),
    ],
)
def test_inflection_joins(tags: tuple[str, ...]) -> None:
    assert len(set(forms([tag.replace("'s", "") for tag in tags], "inflection"))) == 1


@pytest.mark.parametrize(
    "tags",
    [
        ("universe", "university", "universal"),
        ("project", "projection", "projector"),
        ("history", "histology", "historic"),
        ("conversation", "conversion", "converse"),
        ("manager", "management", "manage"),
        ("customer", "customization", "custom"),
        ("computer", "computing"),
        ("local", "locale", "localization"),
        ("window", "windows"),
        ("build", "building"),
        ("market", "marketing"),
        ("train", "training"),
        ("share", "shared"),
        ("unit", "united"),
        ("moral", "morale"),
        ("io", "ios"),
        ("gp", "gps"),
        ("new", "news"),
        ("canon", "canonical"),
        ("communicate", "communities"),
    ],
)
def test_inflection_joins_no_other_words(tags: tuple[str, ...]) -> None:
    assert len(set(forms(list(tags), "inflection"))) == len(tags)


def test_snowball_languages_by_name() -> None:
    assert forms(["Preguntas frecuentes"], "spanish") == ["pregunt frecuent"]


@pytest.mark.parametrize(
    ("language", "letters", "endings"),
    [
        ("spanish", "abcdefghilmnoprstuvzáéíóúñ", "amientos aciones ándolos mente ible aban iéramos es o"),
        ("italian", "abcdefghilmnopqrstuvzàèéìòù", "azione amenti abile issimo ando erebbero mente gli i"),
        ("portuguese", "abcdefghilmnopqrstuvzãõáéíóúâêç", "ações amento ável mente ássemos idade ando os a"),
        ("russian", "абвгдежзийклмнопрстуфхцчшщыьэюя", "ость ение ами ующий ться ейшие ала ы"),
    ],
)
def test_snowball_is_pystemmer_where_the_algorithm_has_not_changed_since(
    language: str, letters: str, endings: str
) -> None:
    """Newer Snowballs changed English, German, Dutch and others; the twin of those four is as old as ours."""
    import Stemmer

    seed = random.Random(language)
    starts = ["".join(seed.choices(letters, k=seed.randrange(1, 8))) for _ in range(20_000)]
    words = starts + [start + seed.choice(endings.split()) for start in starts]
    assert forms(words, language) == Stemmer.Stemmer(language).stemWords(words)


@pytest.mark.parametrize("stemmer", [name for name in _core.stemmers() if name not in ("inflection", "porter", "none")])
def test_snowball_leaves_words_beyond_512_bytes_as_they_are(stemmer: str) -> None:
    """Its time grows with the square of a word's length: two million letters would take hours."""
    at_most, beyond, huge = "a" * 505 + "nations", "a" * 506 + "nations", "tions" * 400_000
    wide = "é" * 256 + "s"  # 513 bytes, 257 letters
    assert forms([beyond, wide, huge, f"{beyond} {huge}"], stemmer) == [beyond, wide, huge, f"{beyond} {huge}"]
    (stem,) = forms([at_most], stemmer)
    assert (len(stem) < len(at_most)) == (stemmer in "danish dutch english french german norwegian swedish".split())
    mixed = forms([f"nations {beyond} nations"], stemmer)[0].split(" ")
    assert mixed == [forms(["nations"], stemmer)[0], beyond, forms(["nations"], stemmer)[0]]


def test_porter_takes_words_of_any_length() -> None:
    assert forms(["a" * 2_000_000 + "nations"]) == ["a" * 2_000_000 + "nat"]


def test_groups_are_numbered_by_first_appearance() -> None:
    _, groups = _core.rule_forms(pl.Series(["b tests", "a", "B-test", "A"]), "porter", False)
    assert groups.tolist() == [0, 1, 0, 1]


def test_unknown_stemmers_are_refused() -> None:
    with pytest.raises(ValueError, match='`stemmer` is "klingon", must be inflection, porter, none or one of arabic'):
        forms(["a"], "klingon")
