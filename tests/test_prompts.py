"""Prompts: presets, closed sets of labels, what enters the key; and queries that are too long."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import instag as package
import server
from conftest import Instag, Served
from instag.chat import ChatTagger
from instag.ladder import Form, closed_schema
from instag.prompt import PRESETS, load_labels, load_prompt
from instag.replies import Reply, parse_labels
from instag.shortening import LEAST_TOKENS, shorten
from instag.tagger import TagSettings, TagSpeed
from instag.tokens import estimate_tokens

Serve = Callable[..., Served]

MARK = "tokens left out ...]\n"
VICUNA = Path(__file__).parents[1] / "docs" / "vicuna.jinja"


def key(text: str, **settings: Any) -> str:
    """The key of a query's answer, in hex."""
    tagger = ChatTagger(TagSettings(**settings), TagSpeed(answers=None))
    return tagger.requests.keys(tagger.requests.sent([text]))[0].hex()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("# tasks\nmath\ncoding\nhow-to, step by step\ntags\n", "utf-8")
    return path


def test_the_keys_of_paid_answers_stay() -> None:
    """As of the first version of the store: another key would have every answer paid for again."""
    assert key("What is a monad?") == "e350ccfb5ac6283f6b5b001230443db5249af2963a305b6c5f3c113875b1e90c"


def test_presets_are_what_the_models_were_trained_with() -> None:
    vicuna = load_prompt("instagger-vicuna").messages("Hi {query}?")
    assert [message["role"] for message in vicuna] == ["system", "user"]
    assert vicuna[0]["content"].startswith("A chat between a curious user and an artificial intelligence assistant. ")
    assert vicuna[1]["content"].endswith('{"tag": str, "explanation": str}.\nUser query: Hi {query}?')
    chatml = load_prompt("instagger-chatml").messages("Hi")
    assert [message["content"] for message in chatml] == ["You are a helpful assistant.", "Hi"]
    assert load_prompt("instagger-vicuna").output == load_prompt("instagger-chatml").output == "plain"
    assert load_prompt("paper").output is None


def test_the_template_for_servers_is_vicuna_s() -> None:
    jinja2 = pytest.importorskip("jinja2")
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(VICUNA.read_text())

    def rendered(*messages: dict[str, str]) -> str:
        return str(template.render(messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=True))

    system, user = load_prompt("instagger-vicuna").messages("Hi")
    assert rendered(system, user) == f"<s>{system['content']} USER: {user['content']} ASSISTANT:"
    turns = rendered({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, user)
    assert turns == f"<s>{system['content']} USER: a ASSISTANT: b</s>USER: {user['content']} ASSISTANT:"


@pytest.mark.parametrize(("output", "form"), [(None, "plain"), ("json_schema", "json_schema")])
def test_trained_taggers_answer_in_their_own_form(serve: Serve, tmp_path: Path, output: str | None, form: str) -> None:
    served = serve()
    made = package.tag(
        ["Fix it", "Draw it"], prompt="instagger-vicuna", base_url=served.base_url, answers=None, output=output
    )
    assert made.counts["failed"] == 0
    assert served.stats()["formats"] == {form: 2}


@pytest.mark.parametrize("output", [None, "plain"])
def test_an_endpoint_that_keeps_to_the_schema_gives_labels_alone(
    serve: Serve, labels: Path, tmp_path: Path, output: str | None
) -> None:
    texts = [f"Query {index}" for index in range(40)]
    settings: dict[str, Any] = {"answers": tmp_path / "a.sqlite", "max_failure_rate": 1.0, "output": output}
    settings["base_url"] = serve().base_url
    made = package.tag(texts, prompt="closed", labels=labels, **settings)
    known = load_prompt("closed", labels).labels
    if output is None:
        wanted = [
            server.labels_of(server.tags_of(load_prompt("closed", labels).messages(text)[0]["content"]), list(known))
            for text in texts
        ]
        assert made.queries["tags"].to_list() == wanted
    else:  # tags of its own invention, objects and not labels: none of them gets through
        assert made.failures["reason"].to_list() == ["wrong_shape"] * 40


def test_a_closed_set_is_in_the_messages_the_identity_and_the_schema(labels: Path, tmp_path: Path) -> None:
    prompt = load_prompt("closed", labels)
    (message,) = prompt.messages("Add 1 and 2")
    assert "- math\n- coding\n- how-to, step by step\n- tags\n" in message["content"]
    assert "\nAdd 1 and 2\n" in message["content"]
    assert "{" not in message["content"]
    fewer = tmp_path / "fewer.txt"
    fewer.write_text("math\ncoding")
    assert key("Hi", prompt="closed", labels=labels) != key("Hi", prompt="closed", labels=fewer)
    identities = [
        ChatTagger(TagSettings(prompt="closed", labels=path), TagSpeed(answers=None)).identity
        for path in (labels, fewer)
    ]
    assert [identity["labels"] for identity in identities] == [list(prompt.labels), ["math", "coding"]]
    json.dumps(identities)
    sent = Form().applied({"messages": []}, closed_schema(prompt.labels))
    schema = sent["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["tags"]["items"] == {"type": "string", "enum": list(prompt.labels)}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("text", "tags", "reason"),
    [
        ('{"tags": ["math", "how-to, step by step"]}', ["math", "how-to, step by step"], None),
        ('["Coding", "cooking", "coding"]', ["coding"], None),
        ('{"tags": []}', [], None),
        ("[]", [], None),
        ('["cooking"]', [], "wrong_shape"),
        ('["math", "cod', ["math"], "truncated"),
        ('{"tags": [math, coding}', ["math", "coding"], None),
        ("math, coding", ["math", "coding"], None),
        ("Sorry, no.", [], "refused"),
        ("It needs math.", [], "wrong_shape"),
        ("", [], "empty"),
        ("<think>coding?</think> math", ["math"], None),
    ],
)
def test_labels_are_read_and_none_invented(text: str, tags: list[str], reason: str | None) -> None:
    reply = parse_labels(text, ["math", "coding", "how-to, step by step", "tags"])
    assert ([tag for tag, _ in reply.tags], reply.reason) == (tags, reason)


def test_the_endpoint_may_refuse_a_label() -> None:
    assert parse_labels(None, ["math"], refusal="no") == Reply(reason="refused")
    assert parse_labels("math", ["math"], finish_reason="content_filter").reason == "content_filter"
    assert parse_labels('["math"]', ["math"], finish_reason="length").reason == "truncated"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("math\n\ncoding\n", ":2: a blank line"),
        ("math\n# x\n math \n", ":3: the label `math` stands in line 1 already"),
        ("ask {query}", r":1: a label with `\{query\}`"),
        ("x" * 201, ":1: a label of 201 characters"),
        ("# none\n", "holds no labels"),
        ("", "holds no labels"),
    ],
)
def test_label_files_are_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(package.ConfigError, match=message):
        load_labels(path)


def test_labels_and_closed_belong_together(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(package.ConfigError, match="`closed` has no labels"):
        load_prompt("closed")
    with pytest.raises(package.ConfigError, match="`paper` takes no labels"):
        load_prompt("paper", labels)
    with pytest.raises(package.ConfigError, match=r"the label file .* can't be read: no such file"):
        load_prompt("closed", tmp_path / "none.txt")
    labels.write_bytes("é".encode("latin-1"))
    with pytest.raises(package.ConfigError, match=r"the label file .* is not UTF-8"):
        load_prompt("closed", labels)
    with pytest.raises(package.ConfigError, match=", ".join(f"`{name}`" for name in PRESETS)):
        load_prompt("papre")


LETTERS = "ab \n\t请é\u0301\u200d😀\U0001f1e6\U0001f3fd\u1161\r.{"


@given(
    st.lists(st.text(alphabet=LETTERS, min_size=1, max_size=9) | st.text(max_size=5), max_size=9).map("".join),
    st.integers(1, 200),
    st.integers(LEAST_TOKENS, 120),
)
def test_a_long_text_keeps_its_head_and_its_tail(text: str, times: int, most: int) -> None:
    text *= times
    short = shorten(text, most)
    assert estimate_tokens(short) <= most
    assert shorten(text, most) == short
    if estimate_tokens(text) <= most:
        assert short == text
        return
    head, _, rest = short.rpartition("\n[... about ")
    tail = rest.partition(MARK)[2]
    assert text.startswith(head)
    assert text.endswith(tail)
    assert estimate_tokens(head) > most / 5
    assert estimate_tokens(tail) > most / 5
    short.encode("utf-8")


def test_a_text_is_cut_where_a_line_or_a_word_ends_and_never_within_a_character() -> None:
    words = shorten("word " * 999, 100)
    assert "word\n[... about " in words
    assert f"{MARK}word " in words
    lines = shorten("a line of words\n" * 99, 100)
    assert "words\n[... " in lines
    assert f"{MARK}a line" in lines
    for cluster in ("e\u0301", "👩\u200d👩\u200d👧", "👍\U0001f3fd", "\U0001f1e9\U0001f1ea", "\u1112\u1161\u11ab"):
        for shift in range(len(cluster) + 1):
            head, _, rest = shorten("x" * shift + cluster * 400 + "x" * shift, 80).partition("\n[... ")
            tail = rest.partition(MARK)[2]
            assert head.endswith(cluster), (cluster, shift)
            assert tail.startswith(cluster), (cluster, shift)
    hostile = shorten("x" + "\u0301" * 100_000, 80)  # one character, for what that is worth
    assert unicodedata.combining(hostile[-1])


def test_the_longest_real_prompt_is_cut_and_told(serve: Serve, instag: Instag, tmp_path: Path, data: Path) -> None:
    csv.field_size_limit(1 << 20)
    with (data / "instructions" / "awesome_prompts" / "prompts.csv").open(encoding="utf-8", newline="") as file:
        longest = max((row["prompt"] for row in csv.DictReader(file)), key=len)
    assert len(longest) == 144_260
    short = shorten(longest, 8000)
    assert 7_800 < estimate_tokens(short) <= 8000
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps({"text": text}) + "\n" for text in (longest, "Write a poem", longest + " ")))
    served = serve()
    common = ("tag", pool, "--run", tmp_path / "run", "--base-url", served.base_url, "--schema", "text", "--json")
    planned = instag(*common, "--dry-run")
    assert planned.json["cut_queries"] == 2
    assert "long queries cut from the middle: 2" in planned.err
    made = instag(*common)
    assert made.json["counts"]["cut_queries"] == 2
    assert made.json["counts"]["failed"] == 0
    more = instag(*common, "--max-query-tokens", 20_000)
    assert more.json["counts"]["cut_queries"] == 2
    assert instag(*common, "--max-query-tokens", 100_000).json["counts"]["cut_queries"] == 0
    assert instag(*common, "--max-query-tokens", 3).code != 0


def test_without_a_limit_nothing_is_cut() -> None:
    tagger = ChatTagger(TagSettings(max_query_tokens=None), TagSpeed(answers=None))
    (sent,) = tagger.requests.sent(["word " * 99_999])
    assert not sent.cut
    assert len(sent.text) == 5 * 99_999
    with pytest.raises(package.ConfigError, match="`max_query_tokens` is 49, must be a whole number of at least 50"):
        TagSettings(max_query_tokens=49)


def test_a_model_of_several_names_is_one_by_its_identity(serve: Serve, instag: Instag, tmp_path: Path) -> None:
    data = tmp_path / "q.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"Query {at}"}) + "\n" for at in range(5)))
    settings = ["--base-url", serve().base_url, "--answers", tmp_path / "a.sqlite", "--json"]
    asked: list[int] = []
    for model, identity in (("m", "m"), ("/models/m", "m"), ("/models/m", "/models/m")):
        run = tmp_path / f"{len(asked)}"
        told = instag("tag", data, "--run", run, "--model", model, "--model-identity", identity, *settings).json
        asked.append(told["counts"]["asked"])
    assert asked == [5, 0, 5]
