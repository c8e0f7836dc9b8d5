"""keyphrase: what a query must be tagged with, what it must not, and that the pool alone decides the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import instag
import oracle
import real_queries
from instag import KeyphraseTagger, _core

# (query, tags it must have, tags it must not have)
EXAMPLES: list[tuple[str, list[str], list[str]]] = [
    ("Write a short story about a dragon who is afraid of the dark.", ["creative writing", "write story"], ["short"]),
    (
        "Could you please draft an email to my landlord about the heater?",
        ["write email"],
        ["yes-no question", "please"],
    ),
    (
        "Translate the following sentence into French: It snows.",
        ["translation", "translation to french"],
        ["following"],
    ),
    ("Summarize this article in three bullet points.", ["text summarization", "bullet points"], ["three"]),
    ("Fix the bug in this Python function.\n```python\ndef add(a, b):\n    return a - b\n```", ["python"], ["def"]),
    ('def add(a, b):\n    """Give the sum of two numbers."""\n', ["code completion", "python"], []),
    ("Fix the bug in this code.", ["code debugging"], ["grammar correction"]),
    ("Implement a binary search in Rust.", ["rust", "development"], []),
    ("What is the capital of Mongolia?", ["capital inquiry"], ["what"]),
    ("Why do leaves change color in autumn?", ["causal explanation"], ["yes-no question"]),
    ("How do I remove a coffee stain from a wool carpet?", ["how-to guidance"], ["code debugging"]),
    (
        "A farmer has 17 sheep and buys 5 more every week. How many sheep does he have after 4 weeks?",
        ["math word problem"],
        ["purchase", "quantity question"],
    ),
    ("Classify the review as positive or negative: The soup was cold.", ["sentiment analysis"], []),
    ("Explain the difference between a violin and a viola.", ["concept explanation", "comparison"], []),
    ("You are a museum guide in Athens. Describe the Parthenon to children.", ["role play", "description"], []),
    ("Give me the populations of the five largest cities in Brazil as JSON.", ["json format"], ["five"]),
    ("Correct the grammar in this sentence: He go to school.", ["grammar correction"], ["confirmation"]),
    ("Suggest ten names for a bakery.", ["recommendation", "suggest name"], ["ten"]),
    ("yes please", ["confirmation"], []),
    ("No thanks, that's all.", ["refusal", "conversation closing"], []),
    ("Hello!", ["greeting"], []),
    ("I am looking for a vegetarian restaurant in Lyon.", ["find restaurant"], ["looking"]),
    ("Book a flight from Oslo to Rome for next Friday.", ["travel booking", "book flight"], ["next friday"]),
    ("Create a table comparing electric and diesel cars.", ["table creation"], ["comparing"]),
    ("What are the pros and cons of remote work?", ["comparison"], ["pro inquiry"]),
    ("Rewrite this paragraph in a formal tone.", ["paraphrasing", "rewrite paragraph"], []),
    ("Who wrote The Master and Margarita?", ["factual question"], ["text writing"]),
    ("Write a SQL query that returns the ten newest customers.", ["code generation", "sql"], []),
    ("Solve the equation 3x + 5 = 20 step by step.", ["mathematical problem solving", "solve equation"], []),
    ("Write a haiku about winter.", ["creative writing", "write haiku"], []),
    ("Compose a tweet announcing our new bicycle lights.", ["marketing copywriting"], []),
    ("Plan a three-day trip to Lisbon for a family.", ["planning", "travel planning"], []),
    (
        "Which is a mammal?\n(A) shark\n(B) dolphin\n(C) eel\n(D) trout",
        ["options or items given"],
        ["information request"],
    ),
    ("Fill in the blank: The sun rises in the ____.", ["sentence completion"], ["___"]),
    ("Give me a recipe for lentil soup.", ["recipe creation", "give recipe"], []),
    ("Tell me a joke about programmers.", ["humor", "tell joke"], []),
    ("Are you ChatGPT?", ["chatbot identity"], ["yes-no question"]),
    ("What do you think about open plan offices?", ["opinion question"], ["information request"]),
    ("12 * 7 + 3 = ?", ["arithmetic"], []),
    ("Convert 50 degrees Celsius to Fahrenheit.", ["unit conversion"], []),
    ("请写一首关于秋天的诗。", ["creative writing", "write poem", "chinese language"], ["关于"]),
    ("把下面的句子翻译成英文：今天天气很好。", ["translation", "translation to english"], ["下面"]),
    ("用Python写一个计算素数的程序。", ["code generation", "write program"], []),
    ("什么是机器学习？", ["definition", "machine learning"], ["什么"]),
    ("请总结这篇文章的主要内容。", ["text summarization", "summarize article"], ["内容"]),
    ("小明有12个苹果，又买了8个，他现在一共有多少个苹果？", ["math word problem"], ["purchase"]),
    ("为一家新开的咖啡店写一个广告语。", ["marketing copywriting", "write slogan"], []),
    ("如何提高英语口语？", ["how-to guidance"], ["如何"]),
    ("解释一下光合作用的过程。", ["concept explanation", "光合作用"], []),
    ("给我推荐几部科幻电影。", ["media recommendation", "suggest movie"], []),
    (
        "Escribe un cuento corto sobre un faro abandonado.",
        ["creative writing", "write story", "spanish language"],
        ["un"],
    ),
    ("Traduce esta frase al inglés: El perro duerme.", ["translation", "translation to english"], []),
    ("¿Cuál es la capital de Australia?", ["factual question", "spanish language"], ["cuál"]),
    ("Dame una receta de tortilla de patatas.", ["recipe creation"], ["dame"]),
    ("Écris un poème sur la mer.", ["creative writing", "write poem", "french language"], ["la"]),
    ("Résume ce texte en une phrase.", ["text summarization", "short answer"], []),
    ("Comment puis-je apprendre à jouer du piano ?", ["how-to guidance", "french language"], []),
    (
        "Schreibe einen Brief an meine Vermieterin.",
        ["correspondence writing", "write letter", "german language"],
        ["einen"],
    ),
    ("Was ist der Unterschied zwischen Wetter und Klima?", ["comparison", "german language"], []),
    ("春についての詩を書いてください。", ["creative writing", "write poem", "japanese language"], []),
    ("この文章を英語に翻訳してください。", ["translation", "translation to english", "japanese language"], []),
    ("なぜ空は青いのですか？", ["causal explanation", "japanese language"], []),
    ("Escreva uma carta de apresentação para uma vaga.", ["correspondence writing", "portuguese language"], []),
    ("Scrivi una poesia sulla luna.", ["creative writing", "italian language"], []),
    ("Напиши стихотворение о море.", ["russian language"], []),
    # What the twin found: a net is no language; a colon, not a cue, begins a clause; one tooth; ’ is an apostrophe.
    ("The company reported a net income of 2,000,000 dollars.", [], ["c#"]),
    ("Kai left early.\nGiven the context: Why did Kai do this?", ["causal explanation"], []),
    ("Just one will do.", [], ["yes-no question"]),
    ("Describe your teeth.", ["describe tooth"], ["describe teeth"]),
    # A letter stands for a value unless it is a capital.
    ("Given an integer array nums and an integer k, return s.length.", ["array"], ["integer k", "s.length"]),
    ("D’après le texte, qui est le roi ?", ["reading comprehension", "french language"], []),
]


def tags(queries: Sequence[str | None]) -> list[list[str]]:
    return KeyphraseTagger().tag(pl.Series("query", queries, dtype=pl.String))["tags"].to_list()


def candidates(queries: list[str]) -> list[list[oracle.Candidate]]:
    """The first pass of the kernel, row by row."""
    table, parts = _core.keyphrase_candidates(pl.Series(queries, dtype=pl.String))
    texts = pl.DataFrame(table)["candidates"].cast(pl.List(pl.String)).to_list()
    numbers = iter(parts.reshape(-1, 4).tolist())
    return [[(text, *next(numbers)) for text in row] for row in texts]


ALL_TAGS = dict(zip([query for query, _, _ in EXAMPLES], tags([query for query, _, _ in EXAMPLES]), strict=True))


@pytest.mark.parametrize(("query", "must", "must_not"), EXAMPLES, ids=[query[:30] for query, _, _ in EXAMPLES])
def test_examples(query: str, must: list[str], must_not: list[str]) -> None:
    got = ALL_TAGS[query]
    assert set(must) <= set(got), got
    assert not set(must_not) & set(got), got


@pytest.mark.parametrize("query", ["🙂🙂🙂", "12345", "!!! ???", "", "   \n\t", None])
def test_symbols_numbers_and_nulls_are_untagged(query: str | None) -> None:
    assert tags([query, "Write a poem."])[0] == []


# Text as it comes: any characters, and words the tables know in any order.
WORDS = "please write a poem about the 学习 写一首 诗 翻译成 英文 what is how many ? . : ``` def x(): - (A) ____ 12 é"
words = st.sampled_from([*WORDS.split(" "), "\n"])
texts = st.one_of(st.text(max_size=80), st.lists(words, max_size=30).map(" ".join), st.lists(words).map("".join))


@given(st.lists(texts, max_size=20))
@settings(max_examples=200)
def test_any_text_gets_a_few_clean_tags(queries: list[str]) -> None:
    frame = KeyphraseTagger().tag(pl.Series(queries, dtype=pl.String))
    assert len(frame) == len(queries)
    for got, explanations in zip(frame["tags"].to_list(), frame["explanations"].to_list(), strict=True):
        assert len(got) == len(explanations) <= 8
        assert len(set(got)) == len(got)
        assert all(tag.strip() == tag != "" for tag in got)
        assert all(explanations)


@given(st.lists(texts, max_size=30))
@settings(max_examples=200)
def test_the_choice_equals_the_oracle(queries: list[str]) -> None:
    assert tags([*queries]) == oracle.choose_tags(candidates(queries))


@given(st.lists(texts, max_size=12), st.randoms(use_true_random=False))
def test_what_a_query_gets_hangs_on_the_pool_and_not_on_its_order(queries: list[str], random: object) -> None:
    order = list(range(len(queries)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = tags([queries[at] for at in order])
    assert shuffled == [tags([*queries])[at] for at in order]


def test_a_long_query_costs_no_more_than_its_ends() -> None:
    head = "Summarize the following report for a busy manager.\n"
    middle = "The committee met again on the matter of the northern bridge and its pillars. " * 20_000
    assert tags([head + middle])[0][0] == "text summarization"
    assert candidates([head + middle]) == candidates([head + middle + middle[:-78] + middle[-78:]])


def test_phrases_the_pool_repeats_come_before_those_it_holds_once() -> None:
    pool = ["Tell me about the solar panel on a windmill."] + ["Describe a solar panel."] * 5
    got = tags([*pool])[0]
    assert got.index("solar panel") < got.index("windmill")
    assert "windmill" not in tags(["Write a short poem about the solar panel on a windmill.", *pool[1:]])[0]


def test_other_columns_are_refused_and_string_columns_of_any_kind_agree() -> None:
    with pytest.raises(instag.DataError, match="strings"):
        KeyphraseTagger().tag(pl.Series([1, 2]))
    plain = pl.Series(["Write a poem.", None, "Hola, ¿qué tal?"])
    for other in (plain.cast(pl.Categorical), pl.concat([plain[:1], plain[1:]], rechunk=False)):
        assert KeyphraseTagger().tag(other).equals(KeyphraseTagger().tag(plain))


def test_identity_and_label_say_what_it_is() -> None:
    tagger = KeyphraseTagger()
    assert dict(tagger.identity) == {"tagger": "keyphrase", "version": 3}
    assert "not the paper's tagger" in tagger.label


SCRIPT = """
import sys, polars as pl
from instag import _core
queries = pl.read_parquet(sys.argv[1])["query"]
frame = pl.DataFrame(_core.keyphrase_tags(queries))
print(frame.with_columns(pl.col("tags").cast(pl.List(pl.String))).hash_rows(seed=1).to_list())
"""


def test_any_number_of_threads_gives_the_same_tags(tmp_path: Path) -> None:
    base = [query for query, _, _ in EXAMPLES]
    pool = pl.Series("query", [f"{query} {word}" for word in range(300) for query in base])  # more than one run
    pool.to_frame().write_parquet(tmp_path / "pool.parquet")
    printed = set()
    for threads in ("1", "2", "5"):
        env = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "pool.parquet")]
        printed.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1


def test_real_queries_get_two_to_six_tags_that_the_pool_repeats(data: Path) -> None:
    pool = [query for queries in real_queries.pool(data).values() for query in queries]
    frame = KeyphraseTagger().tag(pl.Series(pool).unique(maintain_order=True))
    counts = frame["tags"].list.len()
    assert 2 <= (counts.median() or 0) <= 6  # type: ignore[operator]
    assert (counts == 0).mean() < 0.05  # type: ignore[operator]
    held = frame["tags"].explode().drop_nulls().value_counts()["count"]
    assert 500 <= (held >= 20).sum() <= 8000  # what the paper's min_count would keep
    assert (held.max() or 0) < 0.25 * len(frame)  # type: ignore[operator]


def test_the_choice_equals_the_oracle_on_real_queries(data: Path) -> None:
    files = real_queries.pool(data)
    sample = [query for queries in files.values() for query in queries[:: max(1, len(queries) // 150)]]
    assert tags([*sample]) == oracle.choose_tags(candidates(sample))


ODD = [
    "",
    " \n\t\u200b",
    "?!%&/()=",
    "🙂🙂 👩‍👩‍👧‍👦 🇫🇷",
    "12 3.4 5e6",
    "\u202eabc\u202c \u0000 \ufeff",
    "write " * 20_000,
    "写一首诗" * 10_000,
    "x" * 100_000,
    "(" * 100_000,
    "```\n" * 30_000,
    "Écris un poème 关于秋天 for мама через الخريف をください。",
]


def test_odd_queries_get_few_tags_or_none() -> None:
    rows = tags(ODD)
    assert [len(row) for row in rows] == [0, 0, 0, 0, 0, 1, 1, 4, 0, 0, 1, 2]
    assert all(tag.isprintable() and len(tag) <= 20 for row in rows for tag in row)
