"""Settings from flags, a TOML file and defaults: what is wrong is refused by file, table and key, before any work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Instag
from instag import ConfigError
from instag.config import read_run_config, settings_from
from instag.tagger import TagSettings, TagSpeed


def test_a_config_with_paths_relative_to_it(instag: Instag, chats: Path, tmp_path: Path) -> None:
    config = tmp_path / "job.toml"
    config.write_text(
        'files = ["chats.jsonl", "more=chats.jsonl"]\nrun = "out"\n[tag]\ntagger = "keyphrase"\n'
        "[normalize]\nmin-count = 2\nmin_rule_count = 3\n[select]\nk = 5\n"
    )
    said = instag("run", config, "--k", 7, "--json")
    assert said.code == 0, said.err
    stages = said.json["stages"]
    assert stages["select"]["counts"]["selected"] == 7
    assert [s["source"] for s in stages["analyze"]["counts"]["sources"]] == ["chats", "more"]
    assert (tmp_path / "out" / "select" / "selected.jsonl").is_file()


def test_embedders_of_a_config_lie_beside_it(
    instag: Instag, chats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "models" / "m").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_config.py").write_text("def embed(texts):\n    return [[1.0, len(text)] for text in texts]\n")
    config = tmp_path / "job.toml"
    text = 'files = ["chats.jsonl"]\nrun = "out"\n[tag]\ntagger = "keyphrase"\n[normalize]\nmin_count = 2\nembedder = '
    config.write_text(text + '"beside_config:embed"')
    said = instag("run", config, "--k", 7)
    assert said.code == 0, said.err
    assert "embedder `beside_config:embed@" in said.err
    known = {"tag": {"tagger"}, "normalize": {"embedder", "min_count"}}
    for kind in ("sentence-transformers", "model2vec"):
        for name, expected in (("models/m", str(tmp_path / "models" / "m")), ("owner/name", "owner/name")):
            config.write_text(text + f'"{kind}:{name}"')
            assert read_run_config(config, known).stages["normalize"]["embedder"] == f"{kind}:{expected}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("files = [", "is not TOML"),
        ("", "`files` is []"),
        ('files = "a"', "must be a list"),
        ('files = ["a"]\nrun = 3', "`run` is 3"),
        ('files = ["a"]\nruns = "r"', "unknown key `runs`\nhint: did you mean `run`?"),
        ('files = ["a"]\nrun = "r"\n[normalize]\nmin_cuont = 2', "[normalize]: unknown key `min_cuont`"),
        (
            'files = ["chats.jsonl"]\nrun = "r"\n[tag]\ntagger = "keyphrase"\n[normalize]\nmin_count = "a"',
            "`min_count`",
        ),
        ('files = ["a"]\nrun = "r"\nselect = 3', "`select` is 3, must be a table"),
        ("[tag]\nconcurrency = 0", "[tag]: `concurrency` is 0, must be a whole number of at least 1"),
        (
            "[tag]\nmax_failure_rate = 7",
            "[tag]: `max_failure_rate` is 7, must be a number of at least 0 and of at most 1",
        ),
        ('[tag]\nmodel = ""', "[tag]: `model` is '', must be a name"),
        ("[tag]\nlimit = 0", "[tag]: `limit` is 0, must be at least 1"),
        ("[tag]\nlimit = 1.5", "[tag]: `limit` is 1.5, must be a whole number"),
        ('[tag]\nschema = "alpacca"', "[tag]: `schema` is 'alpacca', which is none"),
        ("[normalize]\nskip = 3", "[normalize]: `skip` is 3, must be a list of strings"),
        ('[normalize]\nstemmer = "klingon"', "[normalize]: `stemmer` does not know 'klingon'"),
        ('[select]\nk = "all"', "[select]: `k` is 'all', must be a whole number"),
        ('[select]\nformat = "csv"', "[select]: `format` is 'csv', which is none"),
    ],
)
def test_a_broken_config_is_one_clear_error(
    instag: Instag, chats: Path, tmp_path: Path, text: str, message: str
) -> None:
    config = tmp_path / "job.toml"
    if text.startswith("["):  # whoever tags: what is wrong is said before anything runs
        text = f'files = ["chats.jsonl"]\nrun = "r"\n{text}\n' + ("" if "[tag]" in text else "[tag]\n")
        text += 'tagger = "keyphrase"\n'
        message = f"error: {config}: {message}"
    config.write_text(text)
    said = instag("run", config)
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert said.err.startswith("error: ")
    assert not (tmp_path / "r").exists()


def test_a_typing_error_in_the_last_stage_shows_before_the_first(instag: Instag, chats: Path, tmp_path: Path) -> None:
    for flags in (("--k", 0), ("--min-rule-count", 10**30), ("--embedder", "nope"), ("--seed", -1)):
        said = instag("run", chats, "--run", tmp_path / "run", "--tagger", "keyphrase", *flags)
        assert said.code == 1
        assert not (tmp_path / "run" / "tag" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (TagSettings, "model", " "),
        (TagSettings, "model", None),
        (TagSettings, "model_identity", ""),
        (TagSettings, "temperature", float("nan")),
        (TagSettings, "temperature", -1),
        (TagSettings, "max_tokens", 0),
        (TagSettings, "seed", True),
        (TagSpeed, "concurrency", None),
        (TagSpeed, "concurrency", 2.0),
        (TagSpeed, "max_attempts", 0),
        (TagSpeed, "timeout_s", 0),
        (TagSpeed, "timeout_s", float("inf")),
        (TagSpeed, "max_failure_rate", -0.1),
    ],
)
def test_what_is_outside_its_domain_is_refused_by_name(kind: type, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"`{name}` is "):
        kind(**{name: value})


def test_what_lies_at_the_edge_of_its_domain_is_taken() -> None:
    assert settings_from(TagSpeed, {"max_failure_rate": 1, "timeout_s": 1}).max_failure_rate == 1
    assert TagSettings(temperature=None, seed=-1, max_tokens=1).seed == -1
