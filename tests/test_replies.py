"""Replies: read however they are dressed, refused with the right reason, never an exception, never an invented tag."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instag.replies import REASONS, Reply, clean, parse, parse_labels

AB = (("Cooking", "asks for a recipe"), ("Baking", "it's bread"))
LIST = '[{"tag": "Cooking", "explanation": "asks for a recipe"}, {"tag": "Baking", "explanation": "it\'s bread"}]'


@pytest.mark.parametrize(
    "text",
    [
        LIST,
        f"```json\n{LIST}\n```",
        f"```\n{LIST}```",
        f"Here are the tags:\n\n{LIST}\n\nLet me know if you need more.",
        f"Sure! [1] As asked, in JSON:\n```json\n{LIST}\n```\nHope this helps.",
        LIST.replace("}]", "},]"),
        LIST.replace('"}', '",}'),
        LIST.replace('"', "'").replace("it's", "it\\'s"),
        LIST.replace('"', "'"),
        LIST.replace('"', "“", 1).replace('"', "”", 1),
        LIST.replace('"tag"', "tag").replace('"explanation"', "explanation"),
        LIST.replace("}, {", "} {"),
        LIST.replace("}, {", "}\n{")[1:-1],
        LIST.replace("}, {", "},\n{")[1:-1],
        LIST[:-1],
        LIST[:-1] + "\n```",
        f'{{"tags": {LIST}}}',
        f'{{"result": {LIST}, }}',
        f'{{"tags": {LIST}',
        f'{{"answer": {{"tags": {LIST}}}}}',
        f'<think>Maybe [{{"tag": "Wrong"}}]?</think>\n{LIST}',
        f'As told: [{{"tag": str, "explanation": str}}]\n{LIST}',
        f"{LIST}\n\nBelow is an instruction:\n[begin]\nMore\n[end]\n" + '[{"tag": "Wrong", "explanation": ""}]',
        LIST.replace("tag", "Tag").replace("explanation", "Explanation"),
        LIST.replace("a recipe", "a\nrecipe").replace("a\nrecipe", "a recipe"),
        LIST[:-1] + ', {"tag": "Cooking", "explanation": "again"}]',
    ],
)
def test_every_dress_is_read(text: str) -> None:
    assert parse(text) == Reply(AB)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("[]", ()),
        ('{"tags": []}', ()),
        ("```json\n[]\n```", ()),
        ('["Cooking", "Baking"]', (("Cooking", ""), ("Baking", ""))),
        ('Tags: ["Cooking", "Baking"]', (("Cooking", ""), ("Baking", ""))),
        ('{"tags": ["Cooking"]}', (("Cooking", ""),)),
        ('{"tag": "Cooking", "explanation": "x"}', (("Cooking", "x"),)),
        ('[{"tag": "Cooking"}]', (("Cooking", ""),)),
        ('[{"tag": "Say "Hello" to C", "explanation": "uses "x"."}]', (('Say "Hello" to C', 'uses "x".'),)),
        ('[{"tag": "LaTeX", "explanation": "shows \\alpha"}]', (("LaTeX", "shows \\alpha"),)),
        ('[{"tag": "Two\n Lines", "explanation": "a\nb"}]', (("Two Lines", "a\nb"),)),
        ('[{"tag": "caf\\u00e9 \\ud83d\\ude00", "explanation": "\\ud83d"}]', (("café 😀", "\ufffd"),)),
        ('[{"tag": "写作", "explanation": null, "confidence": 0.9}]', (("写作", ""),)),
        ("[{'tag': 'Cooking', 'explanation': None}]", (("Cooking", ""),)),
    ],
)
def test_other_forms_and_hard_characters(text: str, tags: tuple[tuple[str, str], ...]) -> None:
    assert parse(text) == Reply(tags)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "empty"),
        (" \n", "empty"),
        ("I'm sorry, but I can't assist with that.", "refused"),
        ("As an AI language model, I do not tag this.", "refused"),
        ("抱歉，我无法回答。", "refused"),
        ("Sorry is a word of six letters: no, five.", "not_json"),
        ("Cooking, Baking", "not_json"),
        ("1. Preheat the oven\n2. **Mix**: the flour", "not_json"),
        ("In C, `int a[]` declares an array.", "wrong_shape"),
        ('The list ["a", "b"] has two items.', "wrong_shape"),
        ('[{"name": "Bob", "age": 3}]', "wrong_shape"),
        ('{"Cooking": "asks for a recipe"}', "wrong_shape"),
        ("[1, 2]", "wrong_shape"),
        ("null", "not_json"),
        ('[{"tag": ""}]', "wrong_shape"),
        ('[{"tag": null}, {"tag": "Baking"}]', "wrong_shape"),
        ('[{"tag": "Cooking"}, "Baking"]', "wrong_shape"),
        (f'[{{"tag": "{"x" * 201}"}}]', "wrong_shape"),
        ('[{"tag": "Cooking", "tag": "Baking"}]', "not_json"),
        ('[{"tag": "Cooking" "explanation": "x"}, {"tag": "Baking", "explanation": "y"}]', "not_json"),
        ('[{"tag": "Cooking", "explanation": "x}, {"tag": "Baking", "explanation": "y"}]', "not_json"),
        ('[{"tag": "Cooking, "explanation": "x"}]', "not_json"),
        (LIST.replace('[{"tag": "Cooking"', '[{]"tag": "Cooking"'), "not_json"),
        (LIST.replace('[{"tag"', '"tag"'), "not_json"),
        (LIST.replace('"tag"', '"tag""', 1), "not_json"),
        ('[{"tag": "Cooking", "explanation": "x"}, {"tag": "Bak', "truncated"),
        ('[{"tag": "Cooking", "explanation": "x"},', "truncated"),
        ('[{"tag": "Cooking", "explanation": "x"', "truncated"),
        ("[", "truncated"),
    ],
)
def test_what_can_not_be_read_has_a_reason(text: str | None, reason: str) -> None:
    assert parse(text).reason == reason


def test_a_cut_list_carries_its_whole_tags_beside_the_reason() -> None:
    for end in range(len(LIST) - 1):
        reply = parse(LIST[:end], finish_reason="length")
        assert reply.reason == "truncated"
        assert reply.tags == AB[: len(reply.tags)]
        assert len(reply.tags) == LIST[:end].count("}")


def test_the_endpoint_may_tell_the_reason() -> None:
    assert parse(LIST, refusal="no").reason == "refused"
    assert parse(LIST, finish_reason="content_filter").reason == "content_filter"
    assert parse(LIST, finish_reason="length") == Reply(AB, "truncated")
    assert parse(None, finish_reason="length").reason == "truncated"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["tag", "tags", "explanation", "x"]), inner)
    ),
    max_leaves=9,
)
scraps = st.lists(
    st.sampled_from([*"[]{}\",:'“”\\ \n", "tag", '"tag": ', '{"tag": "A", ', "null", "```", "\\u12", "1"])
)


@given(st.one_of(json_values.map(json.dumps), json_values.map(repr), scraps.map("".join), st.text()))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert_sound(text)


def assert_sound(text: str) -> Reply:
    """A reply has tags or a known reason, and every tag stands in the text (escapes and spaces aside)."""
    reply = parse(text)
    assert reply.reason is None or reply.reason in REASONS
    assert not reply.tags or reply.reason in (None, "truncated")
    there = flat(text)
    for tag, _ in reply.tags:
        assert tag == clean(tag)
        assert tag in text or flat(tag) in there, (tag, text)
    return reply


def assert_in_place(text: str, tags: Iterable[str]) -> None:
    """Every tag stands where a tag belongs: behind the key `tag` where there is one, else as an item of a list."""
    there = clean(re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match.group(1), 16)), text))
    place = (
        r"(?:tag\W{0,9}:|\[\s*[\"'])"
        if re.search(r"\btag\W{0,3}:(?!\s*[\[{])", there, re.IGNORECASE)
        else r"[\[,\]}\"'\n:]"
    )
    for tag in tags:
        words = r"[\W_]*(?:\\[bfnrt][\W_]*)?".join(re.escape(char) for char in tag if char.isalnum())
        if words and f'"tag": "{tag}"' not in there:
            assert re.search(rf"{place}[\W_]*?(?:\\[bfnrt]\W*)?{words}", there, re.IGNORECASE), (tag, text)


def flat(text: str) -> str:
    r"""Letters and digits alone, `\uXXXX` as its character and other escapes without what they name."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match.group(1), 16)), text)
    text = re.sub(r"\\[bfnrt]", "", clean(text))
    return "".join(char for char in text if char.isalnum())


def mutated(text: str, chance: random.Random) -> str:
    """The text with one to three accidents: a piece lost, doubled, moved, or a character of JSON put in."""
    for _ in range(chance.randint(1, 3)):
        start, end = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
        end = min(end, start + chance.choice([1, 1, 2, 5, 60]))
        match chance.randrange(4):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:end] + text[start:]
            case 2:
                text = (
                    text[:start]
                    + chance.choice([*"[]{}\"',:\\\n“`", "\\u12", "\ud800", '"tag"', "null"])
                    + text[start:]
                )
            case _:
                text = text[:start]
    return text


def as_json(words: list[str], form: int) -> str:
    """Tags as the paper's prompt asks for them, dressed in one of some forms."""
    listed: list[Any] = [{"tag": word, "explanation": f'it asks for "{word}", it\'s said'} for word in words]
    text = json.dumps(listed, ensure_ascii=False, indent=form % 3 or None)
    dressed = [text, f"```json\n{text}\n```", f"Here are the tags:\n{text}", f'{{"tags": {text}}}', repr(listed)]
    return [*dressed, json.dumps({"tags": listed}), json.dumps({"tags": words})][form % 7]


FUZZ = int(os.environ.get("INSTAG_FUZZ", "100000"))


def test_mutated_real_replies_never_raise_and_never_invent(data: Path) -> None:
    """`INSTAG_FUZZ` mutations of the real replies, half as they are, half as JSON in the forms that are asked for."""
    chance = random.Random(0)
    found = [reply for _, reply, _ in real_replies(data)]
    sources = found + [as_json(re.findall(r"[\w-]+", text)[1:], at) for at, text in enumerate(found)]
    for text in sources[len(found) :]:
        assert parse(text).reason is None
    labels = dict.fromkeys([*FIRST, *SECOND])
    read = 0
    for _ in range(FUZZ):
        text = mutated(chance.choice(sources), chance)
        reply = assert_sound(text)
        assert_in_place(text, [tag for tag, _ in reply.tags])
        closed = parse_labels(text, labels)
        assert closed.reason is None or closed.reason in REASONS
        assert all(label in labels and label in text.lower() for label, _ in closed.tags), (closed, text)
        read += reply.reason is None
    assert read > FUZZ // 10  # else the mutations are too wild to tell


TASKS = ["math", "coding", "writing", "info-seek", "role-play", "procedure"]
TOPICS = ["stem", "humanities", "lifestyle", "finance", "medical", "nature", "ethics", "malicious"]
FIRST = [*TASKS, *TOPICS, "easy", "medium", "hard"]
SECOND = [*TASKS, "reasoning", "1", "2", "3", "4", "5"]


def real_replies(data: Path) -> list[tuple[int, str, list[str]]]:
    """(id, raw text, closed label set) of the 1,600 replies."""
    folder = data / "tagging_replies" / "just_eval"
    replies = []
    for name, labels in (("all.tag.gpt-4.json", FIRST), ("all.tag.gpt-4.supp.json", SECOND)):
        replies += [(one["id"], one["result"], labels) for one in json.loads((folder / name).read_text())]
    return replies


def test_real_replies_of_a_closed_set_equal_the_merged_result(data: Path) -> None:
    """All 1,600 are read, and give the published merge: topics of the first prompt, the rest of the second."""
    merged: dict[int, set[str]] = {}
    for at, text, labels in real_replies(data):
        reply = parse_labels(text, labels)
        assert reply.reason is None
        kept = TOPICS if labels is FIRST else SECOND
        merged.setdefault(at, set()).update(tag for tag, _ in reply.tags if tag in kept)
    published = json.loads((data / "tagging_replies" / "just_eval" / "tags.json").read_text())
    assert len(published) == len(merged) == 800
    for row in published:
        assert merged[row["id"]] == {name for name, value in row.items() if value is True}


def test_real_replies_that_are_no_json_give_no_tags(data: Path) -> None:
    """None of them is the JSON that the paper's prompt asks for, so none may give an open-set tag."""
    reasons = [parse(text).reason for _, text, _ in real_replies(data)]
    assert {reason: reasons.count(reason) for reason in set(reasons)} == {"not_json": 1599, "wrong_shape": 1}
