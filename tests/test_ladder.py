"""The ladder of forms: found by trying, remembered per endpoint and model, told, and outside the key of an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import instag
from conftest import Served
from instag.chat import ChatTagger
from instag.ladder import FORMATS, Form
from instag.tagger import TagSettings, TagSpeed

Serve = Callable[..., Served]

TEXTS = pl.Series([f"Query {index}" for index in range(60)])


def tagged(served: Served, folder: Path, texts: pl.Series = TEXTS, **settings: Any) -> ChatTagger:
    tagger = ChatTagger(TagSettings(**settings), TagSpeed(base_url=served.base_url, answers=folder / "answers.sqlite"))
    assert tagger.tag(texts)["status"].unique().to_list() == ["ok"]
    return tagger


@pytest.mark.parametrize(
    ("rejects", "output"), [([], "json_schema"), (["json_schema"], "json_object"), (list(FORMATS[:2]), "plain")]
)
def test_the_strictest_form_that_the_endpoint_takes_is_found_and_remembered(
    serve: Serve, tmp_path: Path, rejects: list[str], output: str
) -> None:
    served = serve(rejects=rejects)
    assert tagged(served, tmp_path).requests.form.output == output
    assert set(served.stats()["formats"]) == {output}
    rejected = served.stats()["rejected"]
    assert list(rejected) == rejects
    again = tagged(served, tmp_path, TEXTS + "?")
    assert again.requests.form.output == output
    assert served.stats()["rejected"] == rejected  # not tried again


def test_what_the_endpoint_refuses_is_left_out_or_named_otherwise(serve: Serve, tmp_path: Path) -> None:
    served = serve(rejects=["temperature", "max_tokens", "seed"])
    tagger = tagged(served, tmp_path, seed=3, max_tokens=500)
    assert tagger.requests.form == Form("json_schema", temperature=False, seed=False, limit="max_completion_tokens")
    assert len(tagger.requests.form.told()) == 2


def test_what_is_remembered_goes_by_the_address_wherever_it_is_given(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rejects, texts in ((["json_schema"], TEXTS), ([], TEXTS + "?")):
        served = serve(rejects=rejects)
        monkeypatch.setenv("OPENAI_BASE_URL", served.base_url)
        tagger = ChatTagger(speed=TagSpeed(answers=tmp_path / "answers.sqlite"))
        tagger.tag(texts)
        assert tagger.requests.form.output == ("json_object" if rejects else "json_schema")


def test_the_form_enters_no_key(serve: Serve, tmp_path: Path) -> None:
    first, second = serve(), serve(rejects=["json_schema", "temperature"])
    assert tagged(first, tmp_path).usage.asked == len(TEXTS)
    assert tagged(second, tmp_path).usage.asked == 0
    assert ChatTagger(speed=TagSpeed(output="plain")).identity == ChatTagger().identity


def test_a_form_asked_for_is_where_it_begins(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    instag.tag(TEXTS, base_url=served.base_url, answers=tmp_path / "a.sqlite", output="plain")
    assert set(served.stats()["formats"]) == {"plain"}
    with pytest.raises(instag.ConfigError, match="`output` is 'xml'"):
        instag.tag(TEXTS, answers=None, output="xml")


@pytest.mark.parametrize(
    "said",
    [
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model",
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        "Structured Outputs are not supported",
        "failed to parse grammar",
    ],
)
def test_what_servers_say_leads_down(said: str) -> None:
    lowered = Form().lowered(400, said)
    assert lowered is not None
    assert lowered.output == "json_object"


def test_other_words_do_not() -> None:
    for status, said in (
        (400, "This model's maximum context length is 8192 tokens"),
        (401, "Incorrect API key"),
        (429, "rate limit on json_schema requests"),
        (500, "internal error"),
        (400, "content management policy"),
    ):
        assert Form().lowered(status, said) is None
    assert (
        Form("plain", temperature=False, seed=False, limit="max_completion_tokens").lowered(400, "temperature") is None
    )


def test_every_ladder_ends() -> None:
    form: Form | None = Form()
    rungs = 0
    while form is not None:
        form, rungs = (
            form.lowered(400, "temperature, seed, max_tokens: use max_completion_tokens; response_format"),
            rungs + 1,
        )
    assert rungs == 6


def test_what_another_version_remembered_is_no_obstacle() -> None:
    assert Form.from_dict({"output": "yaml", "new": 1, "temperature": False}, None) == Form(temperature=False)
