"""`lexical` keys: equal to the slow twin, on made and on real vocabularies; the word lists are what they claim."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle_english as english
import oracle_lexical as oracle
import oracle_script
from instag.embedders import Lexical

CONTENT = """code optimize optimizing optimization optimise write writing debug debugging installing
install installation create creation summarise summarization modify modifications exercise enterprise
colour color travelled traveler filling
catalogue centre tyres mould analyses analysis analyze organisation children child mice movies movie caches
classes news windows io ios bios css dns apis topics physics fors ands abouts front end frontend ends data base database
log login drop down dropdown sql nosql web app webapp webapps python python3 java script javascript 3d file system
nlp natural language processing languages qa quality assurance question answering apis js userinterface user interface
database milliliter ml machine learning localization l10n config configure configuration
""".split()
CLOSED = "a an the of for in on about and to from into no non not with without vs over under &".split()
NAMES = """c c++ c++11 c# c#7 f# issue#7 a+b + # .net asp.net net node.js nodejs js 3 3.1 1,000 2 10 d x s es
children's o'reilly dogs'
l’été it’s ÉTÉ Straße STRASSE ΟΔΟΣ οδός ｆｕｌｌ full 数学 ❤️ ☕️ ② ² ४ é e\u0301 हिन्दी 🅰 r&d 遊戲 游戏 動画
動畫 台灣 臺灣 後 サーバー サーバ کتاب كتاب ۱۲ ١٢ soft\u00adhyphen می\u200cخواهم \u200fعربي\u200f كـتاب""".split()
BETWEEN = [" ", " ", " ", "-", "_", ".", "/", "", " & ", "& ", " && ", "  ", "\n", "\x1c", ", ", "'", "+", "#"]

word = st.one_of(st.sampled_from(CONTENT), st.sampled_from(CLOSED), st.sampled_from(NAMES))
cased = st.builds(lambda text, change: change(text), word, st.sampled_from([str, str, str.upper, str.title]))
tags_of_words = st.lists(st.tuples(cased, st.sampled_from(BETWEEN)), min_size=1, max_size=6).map(
    lambda parts: "".join(part for pair in parts for part in pair[:2])[: -len(parts[-1][1]) or None]
)
tags_of_signs = st.text(st.sampled_from("abcs s12.,-+#'’&  net\u0301️é数🅰"), max_size=14)
# Characters that this Python's Unicode knows: a newer one may give others a meaning.
any_text = st.text(st.characters(exclude_categories=["Cn", "Cs"]), max_size=12)


def keys(tags: list[str]) -> list[str]:
    return list(Lexical().keys(tags))


def same(*tags: str) -> bool:
    return len(set(keys(list(tags)))) == 1


@settings(max_examples=1000)
@given(st.lists(st.one_of(tags_of_words, tags_of_words, tags_of_signs, any_text), max_size=12))
def test_keys_equal_the_oracle(tags: list[str]) -> None:
    assert keys(tags) == oracle.keys(tags)


@settings(max_examples=500)
@given(st.data(), st.lists(st.one_of(tags_of_words, tags_of_words, tags_of_signs, any_text), min_size=1, max_size=8))
def test_reasons_equal_the_oracle(data: st.DataObject, tags: list[str]) -> None:
    into = data.draw(st.lists(st.sampled_from(range(len(tags))), min_size=len(tags), max_size=len(tags)))
    assert Lexical().reasons(tags, into) == oracle.reasons(tags, into)


@given(st.lists(tags_of_words, min_size=2, max_size=6))
def test_tags_of_one_key_have_a_reason_and_others_none(tags: list[str]) -> None:
    found = keys(tags)
    for at in range(len(tags)):
        reasons = Lexical().reasons(tags, [at] * len(tags))
        meets = [key == found[at] and tag != tags[at] for key, tag in zip(found, tags, strict=True)]
        assert [reason != "" for reason in reasons] == meets


@given(st.lists(st.sampled_from(CONTENT + CLOSED), min_size=9, max_size=16).map(" ".join))
def test_sentences_equal_the_oracle(tag: str) -> None:
    assert keys([tag]) == oracle.keys([tag])


def test_pairs_of_words_equal_the_oracle() -> None:
    tags = [f"{a}{gap}{b}" for a, b in combinations(CONTENT + CLOSED + NAMES, 2) for gap in (" ", "-", " and ", " of ")]
    assert keys(tags) == oracle.keys(tags)


def test_characters_of_every_script_equal_the_oracle() -> None:
    codes = [*range(0x3000), *range(0x3000, 0x20000, 5)]
    known = [chr(code) for code in codes if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]
    tags = [f"a{char}b {char}s" for char in known]
    assert keys(tags) == oracle.keys(tags)


# ---- real vocabularies ----


def members(value: Any, name: str) -> Iterator[Any]:
    """Every value of a member, however deep."""
    if isinstance(value, dict):
        yield from (value[name] for _ in range(name in value))
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from members(child, name)


def ask_ubuntu(data: Path) -> Iterator[str]:
    with gzip.open(data / "tags" / "ask_ubuntu" / "tags.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield from json.loads(line)["tags"]


def winget(data: Path) -> Iterator[str]:
    for tags in members(json.loads((data / "tags" / "winget" / "index.v2.json").read_text("utf-8")), "Tags"):
        yield from tags or []


def tag_pairs(data: Path) -> Iterator[str]:
    for name in ("stackoverflow", "github_topics"):
        for line in (data / "tag_pairs" / f"{name}.jsonl").read_text("utf-8").splitlines():
            pair = json.loads(line)
            yield from (pair["a"], pair["b"])


def replies(data: Path) -> Iterator[str]:
    """The labels and reasons of the replies to a tagging prompt: tags and sentences."""
    for path in sorted((data / "tagging_replies" / "just_eval").glob("*.json")):
        yield from strings(json.loads(path.read_text("utf-8")))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value[:200]
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(child)


def inflections(data: Path) -> Iterator[str]:
    for name in ("agid_inflections", "varcon_pairs"):
        for line in (data / "lexical" / f"{name}.tsv").read_text("utf-8").splitlines():
            yield from line.split("\t")


@pytest.mark.parametrize(
    ("vocabulary", "at_least"),
    [(ask_ubuntu, 3_000), (winget, 20_000), (tag_pairs, 6_000), (replies, 2_000), (inflections, 200_000)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_keys_of_real_tags_equal_the_oracle(
    vocabulary: Callable[[Path], Iterator[str]], at_least: int, data: Path
) -> None:
    tags = sorted(set(vocabulary(data)))
    assert len(tags) > at_least
    found = zip(tags, keys(tags), oracle.keys(tags), strict=True)
    assert [row for row in found if row[1] != row[2]] == []


@pytest.mark.parametrize("vocabulary", [ask_ubuntu, winget, tag_pairs])
def test_reasons_of_real_merges_equal_the_oracle(vocabulary: Callable[[Path], Iterator[str]], data: Path) -> None:
    tags = sorted(set(vocabulary(data)))
    first: dict[str, int] = {}
    into = [first.setdefault(key, at) for at, key in enumerate(keys(tags))]
    reasons = Lexical().reasons(tags, into)
    known = oracle.lexicon(tags)
    merged = [at for at, other in enumerate(into) if other != at]
    found = [(tags[at], tags[into[at]], reasons[at], oracle.reason(tags[at], tags[into[at]], known)) for at in merged]
    assert [row for row in found if row[2] != row[3] or not row[2]] == []
    assert not any(reason for at, reason in enumerate(reasons) if into[at] == at)


# ---- what the twin brought to light ----


@pytest.mark.parametrize(
    "tags",
    [
        ("install", "installation", "installing"),
        ("scalable", "scalability"),
        ("case-sensitive", "case sensitivity", "Case-Sensitivity"),
        ("numeric", "numerical"),
        ("password generate", "password generation", "generate passwords"),
        ("programing", "programming"),
        ("full text search", "fts", "fulltext-search"),
        ("gae", "google-app-engine", "google appengine"),
        ("react.js", "react", "reactjs", "react js"),
        ("windows-11-installation-media", "windows11installationmedia", "Windows 11 installation media"),
        ("ΟΔΟΣ", "οδος", "οδοσ"),
        ("Straße", "STRASSE"),
        ("z and y and x", "x and y and z", "y & z & x"),
        ("salt & pepper", "salt && pepper", "salt& pepper", "salt and pepper"),
        ("c#7", "C# 7"),
        ("exercises for seniors", "senior exercise"),
        ("software for enterprises", "enterprise software"),
        ("nlp", "natural language processing", "Natural-Language Processing", "NLP"),
        ("LLMs", "llm", "large language models"),
        ("APIs", "api", "application programming interface"),
        ("ui design", "user-interface design", "User Interfaces Design"),
        ("database", "db", "DBs", "databases"),
        ("l10n", "localization", "localisation", "localize"),
        ("visual-studio 2019", "Visual Studio 2019", "vs2019"),
        ("遊戲", "游戏"),
        ("台灣", "臺灣", "台湾"),
        ("サーバー", "サーバ", "ｻｰﾊﾞｰ"),
        ("کتاب", "كتاب", "كـتاب", "\u200fكتاب\u200e"),
        ("python ۳", "python 3"),
        ("soft\u00adware", "software"),
        ("می\u200cخواهم", "میخواهم"),
    ],
)
def test_these_meet(tags: tuple[str, ...]) -> None:
    assert same(*tags)


@pytest.mark.parametrize(
    "tags",
    [
        ("❤️", "☕️"),
        ("c#7", "c7"),
        ("stable", "stability"),
        ("variable", "variability"),
        ("responsible", "responsibility"),
        ("cost estimate", "cost estimation"),
        ("active", "activity"),
        ("universal", "university"),
        ("fors", "for"),
        ("and a", "ands a"),
        ("ui test", "test ui"),
        ("ml", "milliliter", "machine learning"),
        ("qa", "quality assurance", "question answering"),
        ("動画", "動畫"),
        ("会議", "會議"),
        ("後", "后"),
        ("スキー", "スキ"),
        ("write a b c d e f g h i j k l m n", "a b c d e f g h i j k l m n write"),
    ],
)
def test_these_stay_apart(tags: tuple[str, ...]) -> None:
    assert len(set(keys(list(tags)))) == len(tags)


# ---- the word lists ----


def test_a_phrase_has_one_name_and_no_name_is_a_phrase_of_another() -> None:
    lines = [line for line in oracle.ALIASES.read_text("utf-8").splitlines() if not line.startswith("#")]
    entries = [entry.split("=") for line in lines for entry in line.split()]
    phrases = [phrase for _, listed in entries for phrase in listed.split("/")]
    assert len(phrases) == len(set(phrases))
    names = {name: oracle.phrase_of([name]) for name, _ in entries}
    assert [name for name, found in names.items() if found and found.name != name] == []
    shared = [name for name, listed in entries if "/" in listed]
    assert [name for name in shared if [name for name, _ in entries].count(name) > 1] == []


def test_no_letter_is_both_traditional_and_simplified() -> None:
    pairs = [pair for name in ("simple", "common") for pair in oracle_script.table(name).items()]
    traditional, simplified = zip(*pairs, strict=True)
    assert len(traditional) == len(set(traditional)) > 500
    assert not set(traditional) & set(simplified)
    for char in traditional + simplified:
        assert unicodedata.name(char).startswith("CJK UNIFIED IDEOGRAPH"), char


def table_names() -> set[str]:
    lines = english.ENGLISH.read_text("utf-8").splitlines()
    return {line.split(": ")[0] for line in lines if line and not line.startswith("#")}


def test_the_order_of_the_lists_decides_nothing() -> None:
    for endings in (english.NUMBER_ENDINGS, english.SPELLED_ENDINGS, english.ACTION_ENDINGS, english.QUALITY_ENDINGS):
        assert [(a, b) for a in endings for b in endings if a != b and a.endswith(b)] == []
    beginnings = english.BEGINNINGS
    assert [(a, b) for a in beginnings for b in beginnings if a != b and a.startswith(b)] == []


def test_no_table_is_empty_or_unread() -> None:
    source = english.ENGLISH.with_name("english.rs").read_text("utf-8")
    assert set(re.findall(r'\b(?:words|pairs)\("(\w+)"\)', source)) == table_names()
    assert all(map(english.table, table_names()))


def test_function_words_are_their_own_forms() -> None:
    assert {word for word in english.CLOSED if english.form(word) != word or english.action(word)} == set()


def test_nothing_is_listed_twice() -> None:
    for name in table_names():
        listed = english.table(name)
        assert len(listed) == len(set(listed)), name
    assert english.DIRECTIONS <= english.ORDERED
    assert english.PARTICLES <= english.CLOSED
