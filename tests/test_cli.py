"""The command line from outside: what goes to stdout and stderr, exit codes, what is made again and what is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest

from conftest import Instag
from instag import cli, commands  # noqa: F401 - `cli` gives the group its commands
from instag.run import Run

EXAMPLES = Path(__file__).parents[1] / "examples"


FLAGS = ("--tagger", "keyphrase", "--min-count", 2, "--min-rule-count", 3, "--k", 8)


def test_the_main_job_from_files_to_a_subset(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = instag("run", chats, "--run", run, *FLAGS, "--json")
    assert said.code == 0, said.err
    stages = said.json["stages"]
    assert list(stages) == ["tag", "normalize", "analyze", "select"]
    assert stages["tag"]["counts"]["samples"] == 40
    assert stages["tag"]["counts"]["duplicates"] == 1
    assert stages["tag"]["counts"]["rejected"] == 1
    assert pl.read_parquet(run / "tag" / "rejected.parquet")["line"].to_list() == [4]
    selected = (run / "select" / "selected.jsonl").read_text().splitlines()
    assert len(selected) == 8
    assert set(selected) <= set(chats.read_text().splitlines())
    assert stages["select"]["counts"]["random"]["seeds"] == 20
    for path in (path for stage in stages.values() for path in stage["outputs"]):
        assert Path(path).is_file()
    assert "offline" in said.err
    assert not said.out.count("\n") > 1


def test_a_second_run_does_only_what_is_stale(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def fresh(*flags: object) -> list[str]:
        stages = instag("run", chats, "--run", run, *FLAGS, *flags, "--json").json["stages"]
        return [name for name, stage in stages.items() if stage["fresh"]]

    assert fresh() == ["tag", "normalize", "analyze", "select"]
    assert fresh() == []
    assert fresh("--seed", 1, "--method", "random") == ["select"]
    assert fresh("--stemmer", "none")[:1] == ["normalize"]
    chats.write_text(chats.read_text().replace("rain", "snow"))
    assert fresh("--stemmer", "none")[0] == "tag"


def test_stages_one_by_one_equal_run(instag: Instag, chats: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert instag("run", chats, "--run", whole, *FLAGS).code == 0
    assert instag("tag", chats, "--run", parts, "--tagger", "keyphrase").code == 0
    assert instag("normalize", parts, "--min-count", 2, "--min-rule-count", 3).code == 0
    assert instag("analyze", parts).code == 0
    assert instag("select", parts, "--k", 8).code == 0
    for path in (path for path in whole.rglob("*") if path.is_file() and path.name not in ("manifest.json", ".lock")):
        assert path.read_bytes() == (parts / path.relative_to(whole)).read_bytes(), path.name


def test_show_says_what_stands_and_what_is_stale(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    instag("run", chats, "--run", run, *FLAGS)
    assert {s["state"] for s in instag("show", run, "--json").json["stages"].values()} == {"current"}
    instag("normalize", run, "--min-count", 3)
    states = {name: s["state"] for name, s in instag("show", run, "--json").json["stages"].items()}
    assert states == {"tag": "current", "normalize": "current", "analyze": "stale", "select": "stale"}
    said = instag("show", run)
    assert "stale" in said.err
    assert said.code == 0


def test_a_stage_is_never_made_from_a_stale_one(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    instag("run", chats, "--run", run, *FLAGS)
    instag("tag", chats, "--run", run, "--tagger", "keyphrase", "--limit", 20)
    for command in (("select", run, "--k", 4), ("analyze", run), ("export", run, "--annotated")):
        said = instag(*command)
        assert said.code == 1
        assert "`normalize`" in said.err
        assert "hint: run `instag normalize`" in said.err


def test_export_annotated_gives_every_record_with_tags_count_and_rank(
    instag: Instag, chats: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    instag("run", chats, "--run", run, *FLAGS)
    assert instag("export", run, "--annotated").code == 0
    records = [json.loads(line) for line in (run / "annotated.jsonl").read_text().splitlines()]
    assert len(records) == 41
    assert all(record["instag"]["count"] == len(record["instag"]["tags"]) for record in records)
    ranks = {record["instag"]["rank"] for record in records}
    assert ranks == {None, *range(8)}

    said = instag("export", run, "--annotated", "--out", "-")
    assert said.code == 0
    assert said.out == (run / "annotated.jsonl").read_text()
    assert not Path("-").exists()
    assert instag("export", run, "--annotated", "--out", "-", "--json").code == 2


@pytest.mark.parametrize("compress", [False, True])
def test_import_takes_tagged_rows_straight_to_normalize(instag: Instag, tmp_path: Path, compress: bool) -> None:
    rows = [{"n": i, "who": "ab"[i % 2], "Tags": ["Web Dev", f"t{i % 3}"] if i else None} for i in range(30)]
    run = tmp_path / "run"
    if compress:
        import gzip

        path = tmp_path / "t.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    else:
        path = tmp_path / "t.parquet"
        pl.DataFrame(rows).write_parquet(path)
    said = instag(
        "import", path, "--run", run, "--column", "Tags", "--id-column", "n", "--source-column", "who", "--json"
    )
    assert said.code == 0, said.err
    assert said.json["counts"]["samples"] == 30
    assert said.json["counts"]["untagged"] == 1
    assert instag("normalize", run, "--min-count", 2, "--min-rule-count", 40).code == 0
    assert instag("analyze", run).code == 0
    assert instag("select", run, "--k", 4).code == 0
    assert pl.read_parquet(run / "analyze" / "sources.parquet")["source"].to_list() == ["a", "b"]
    picked = [json.loads(line) for line in (run / "select" / "selected.jsonl").read_text().splitlines()]
    assert picked == [rows[int(i)] for i in pl.read_parquet(run / "select" / "picks.parquet")["id"]]


def test_a_source_that_changed_since_it_was_read_stops_select(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    instag("tag", chats, "--run", run, "--tagger", "keyphrase")
    instag("normalize", run, "--min-count", 2, "--min-rule-count", 3)
    chats.write_text(chats.read_text().replace("rain", "snow"))
    said = instag("select", run, "--k", 8)
    assert said.code == 1
    assert "chats.jsonl" in said.err
    assert "hint:" in said.err
    assert not (run / "select" / "selected.jsonl").exists()


def test_more_than_there_are_selects_what_there_is_and_says_so(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = instag("run", chats, "--run", run, *FLAGS[:-1], 1000, "--json")
    assert said.code == 0
    assert said.json["stages"]["select"]["counts"]["selected"] <= 40
    assert "1,000 asked for" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["tag", "nowhere.jsonl", "--run", "r", "--tagger", "keyphrase"], 1, "nowhere.jsonl"),
        (["run", "chats.jsonl", "--tagger", "keyphrase"], 1, "no run folder is named"),
        (["run", "chats.jsonl", "--run", "r", "--tagger", "keyphrase", "--k", "0"], 1, "`k` is 0"),
        (["run", "chats.jsonl", "--run", "r", "--tagger", "keyphrase", "--min-count", "0"], 1, "`min_count` is 0"),
        (["run", "chats.jsonl", "--run", "r", "--tagger", "keyphrase", "--schema", "nope"], 1, "nope"),
        (["run", "chats.jsonl", "--run", "r", "--tagger", "keyphrase", "--schema", "turns"], 1, "turns"),
        (["normalize", "nowhere"], 1, "stage `tag` of `nowhere` is not there"),
        (["select", "nowhere"], 1, "is not there"),
        (["export", "nowhere", "--annotated"], 1, "is not there"),
        (["show", "nowhere"], 1, "nowhere"),
        (["tag", "chats.jsonl"], 2, "--run"),
        (["frob"], 2, "No such command"),
        (["export", "nowhere"], 2, "--annotated"),
        (["normalize", "r", "--linkage", "both"], 2, "linkage"),
    ],
)
def test_wrong_calls_end_in_one_clear_error(
    instag: Instag,
    chats: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(chats.parent)
    said = instag(*arguments)
    assert (said.code, said.out) == (code, "")
    assert message in said.err
    assert "Traceback" not in said.err


def test_without_a_key_nothing_falls_back(
    instag: Instag, chats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    said = instag("run", chats, "--run", tmp_path / "run")
    assert said.code == 1
    assert "--tagger keyphrase" in said.err


def test_help_teaches_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from instag.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'polars', 'openai', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" in done.stdout.splitlines()[-1]
    assert "--tagger keyphrase" in done.stdout


def test_an_endpoint_tags_and_what_failed_is_listed_and_skipped(
    instag: Instag, chats: Path, tmp_path: Path, serve: Callable[..., Any]
) -> None:
    server = serve(replies={"prose": 0.2, "fenced": 0.2})
    run = tmp_path / "run"
    flags = ("--base-url", server.base_url, "--max-failure-rate", 1, *FLAGS[2:], "--json")
    said = instag("run", chats, "--run", run, *flags)
    assert said.code == 0, said.err
    tagged = said.json["stages"]["tag"]["counts"]
    failures = pl.read_parquet(run / "tag" / "failures.parquet")
    assert 0 < tagged["failed"] == len(failures) < 20
    assert tagged["asked"] == 40
    assert set(failures["reason"]) == {"not_json"}
    assert "not_json" in said.err
    picked = pl.read_parquet(run / "select" / "picks.parquet")["id"]
    assert not set(picked) & set(failures["id"])
    assert said.json["stages"]["analyze"]["counts"]["incomplete"] == tagged["failed"]

    shared = instag("run", chats, "--run", tmp_path / "other", *flags, "--answers", run / "answers.sqlite").json
    assert shared["stages"]["tag"]["counts"]["asked"] == 0
    for path in (path for path in run.rglob("*") if path.is_file()):
        assert b"sk-for-tests" not in path.read_bytes()


def test_too_many_failures_end_in_3_and_lose_nothing(instag: Instag, tmp_path: Path, serve: Callable[..., Any]) -> None:
    pool = tmp_path / "many.jsonl"
    pool.write_text("\n".join(json.dumps({"instruction": f"Question {i}", "output": "a"}) for i in range(300)))
    server = serve(replies={"refused-text": 0.5})
    said = instag("tag", pool, "--run", tmp_path / "run", "--base-url", server.base_url)
    assert said.code == 3
    assert "hint:" in said.err
    answered = server.stats()["answered"]
    server.set(replies={})
    instag("tag", pool, "--run", tmp_path / "run", "--base-url", server.base_url, "--max-failure-rate", 1)
    assert all(count == 1 for key, count in server.stats()["answered"].items() if key in answered)


def test_ctrl_c_ends_in_130_and_the_next_run_goes_on(tmp_path: Path, serve: Callable[..., Any]) -> None:
    pool = tmp_path / "many.jsonl"
    pool.write_text("\n".join(json.dumps({"instruction": f"Question {i}", "output": "a"}) for i in range(400)))
    server = serve(latency=0.05)
    command = [sys.executable, "-m", "instag.cli", "tag", str(pool), "--run", str(tmp_path / "run")]
    command += ["--base-url", server.base_url, "--concurrency", "4"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(400):
            if len(server.stats()["answered"]) > 40:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "tag" / "manifest.json").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "400 queries" in done.stderr
    repeated = [count for count in server.stats()["answered"].values() if count > 1]
    assert len(repeated) <= 4


def test_the_same_bytes_whatever_the_threads_and_the_hash_seed(tmp_path: Path) -> None:
    made = []
    for threads in ("1", "3"):
        run = tmp_path / threads
        command = [sys.executable, "-m", "instag.cli", "run", str(EXAMPLES / "demo.toml"), "--run", str(run), "--quiet"]
        settings = {"RAYON_NUM_THREADS": threads, "POLARS_MAX_THREADS": threads, "PYTHONHASHSEED": threads}
        subprocess.run(command, env={**os.environ, **settings}, check=True)
        files = sorted(
            path for path in run.rglob("*") if path.is_file() and path.name not in ("manifest.json", ".lock")
        )
        made.append({str(path.relative_to(run)): path.read_bytes() for path in files})
    assert len(made[0]) > 12
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("command", "flag", "value"),
    [
        (command.name, option.opts[0], value)
        for command in commands.cli.commands.values()
        for option in command.params
        if isinstance(option.type, click.Choice) and option.opts[0] not in ("--tagger", "--skip")
        for value in option.type.choices
        if command.name in ("normalize", "select")
    ],
)
def test_every_choice_of_every_flag_is_taken(
    instag: Instag, chats: Path, tmp_path: Path, command: str, flag: str, value: str
) -> None:
    run = tmp_path / "run"
    instag("tag", chats, "--run", run, "--tagger", "keyphrase")
    if command == "select":
        instag("normalize", run, "--min-count", 2)
    extra: tuple[str | int, ...] = ("--min-count", 2) if command == "normalize" else ("--k", 3)
    extra = (*extra, "--target-mean-tags", 2) if value == "controlled" else extra
    said = instag(command, run, *extra, flag, value)
    assert said.code == 0, said.err


def test_names_that_look_like_patterns_are_names(instag: Instag, chats: Path, tmp_path: Path) -> None:
    other, run = tmp_path / "exp1", tmp_path / "exp[1]?*"
    assert instag("tag", chats, "--run", other, "--tagger", "keyphrase").code == 0
    assert instag("run", chats, "--run", run, *FLAGS, "--limit", 30).code == 0
    assert len(pl.read_parquet(run / "normalize" / "queries.parquet", glob=False)) == 30
    for name, tags in (("t1.parquet", ["a"]), ("t[1].parquet", ["b"])):
        pl.DataFrame({"tags": [tags]}).write_parquet(tmp_path / name)
    assert instag("import", tmp_path / "t[1].parquet", "--run", tmp_path / "imported").code == 0
    assert pl.read_parquet(tmp_path / "imported" / "tag" / "queries.parquet")["tags"].to_list() == [["b"]]


def test_an_export_never_goes_over_what_it_was_made_from(instag: Instag, chats: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    instag("run", chats, "--run", run, *FLAGS)
    before = chats.read_bytes()
    for target in (chats, run / "tag" / "queries.parquet", run / "select" / "new.jsonl"):
        said = instag("export", run, "--annotated", "--out", target)
        assert said.code == 1
        assert "--out" in said.err
    assert chats.read_bytes() == before
    assert {s["state"] for s in instag("show", run, "--json").json["stages"].values()} == {"current"}


def test_a_run_in_parts_holds_what_a_run_in_one_piece_does(
    instag: Instag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pool"
    folder.mkdir()
    for shard in range(3):
        rows = [{"tags": [f"Tag {i % 3}", "web dev", f"t{i % 5}"][: i % 4], "n": f"{shard}-{i}"} for i in range(50)]
        pl.DataFrame(rows, schema={"tags": pl.List(pl.String), "n": pl.String}).write_parquet(
            folder / f"{shard}.parquet"
        )
    runs = {}
    for name, part_rows in (("whole", 1_000_000), ("parts", 50), ("pieces", 7)):
        monkeypatch.setattr("instag.tagged.SHARD_ROWS", part_rows)
        run = runs[name] = tmp_path / name
        assert instag("import", folder, "--run", run).code == 0
        assert instag("normalize", run, "--min-count", 2, "--min-rule-count", 30).code == 0
        assert instag("analyze", run).code == 0
        assert instag("select", run, "--k", 20).code == 0
        assert instag("export", run, "--annotated").code == 0
        assert {s["state"] for s in instag("show", run, "--json").json["stages"].values()} == {"current"}
    assert len(list((runs["parts"] / "tag" / "queries").iterdir())) == 3
    assert "tag: queries (3 parts), records (3 parts), rejected.parquet\n" in instag("show", runs["parts"]).err
    assert len(list((runs["pieces"] / "normalize" / "queries").iterdir())) == 24
    for stage, table in [
        *(("tag", name) for name in ("queries", "records")),
        *(("normalize", name) for name in ("queries", "ledger", "tags")),
        *(("analyze", name) for name in ("sources", "overlap", "curve")),
        *(("select", name) for name in ("picks", "curve")),
    ]:
        whole = Run(runs["whole"]).table(stage, table)
        for name in ("parts", "pieces"):
            made = Run(runs[name]).table(stage, table)
            assert made.equals(whole), (stage, table, name)
    for name in ("select/selected.jsonl", "annotated.jsonl"):
        assert (runs["pieces"] / name).read_bytes() == (runs["whole"] / name).read_bytes()

    # Made again in one piece, the parts of before are gone.
    monkeypatch.setattr("instag.tagged.SHARD_ROWS", 1_000_000)
    assert instag("import", folder / "0.parquet", "--run", runs["pieces"]).code == 0
    assert {path.name for path in (runs["pieces"] / "tag").iterdir()} == {
        "queries.parquet", "records.parquet", "rejected.parquet", "manifest.json"
    }  # fmt: skip
    said = instag("select", runs["pieces"], "--k", 3)
    assert said.code == 1
    assert "`normalize`" in said.err


def test_threads_are_as_many_as_asked_for_and_the_result_the_same(chats: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from instag import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit as ended: assert not ended.code, ended.code\n"
        "import polars, os; from instag import shards; print(polars.thread_pool_size(), shards.AT_ONCE)"
    )
    found = {}
    for threads in (1, 3):
        command = [sys.executable, "-c", code, "run", str(chats), "--run", str(tmp_path / str(threads)), "--json"]
        said = subprocess.run([*command, *map(str, FLAGS), "--threads", str(threads)], capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        summary, pools = said.stdout.splitlines()
        assert pools == f"{threads} {min(threads, 2)}"
        assert 10_000_000 < json.loads(summary)["peak_memory_bytes"] < 10_000_000_000
        found[threads] = (tmp_path / str(threads) / "select" / "selected.jsonl").read_bytes()
    assert found[1] == found[3]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of the parent as Linux hands it on")
def test_the_peak_of_memory_is_not_that_of_the_parent() -> None:
    child = "from instag.memory import peak_memory_bytes; print(peak_memory_bytes())"
    parent = "import subprocess, sys; held = b'x' * (300 << 20); subprocess.run([sys.executable, '-c', sys.argv[1]])"
    done = subprocess.run([sys.executable, "-c", parent, child], capture_output=True, text=True, check=True)
    assert 1 << 20 < int(done.stdout) < 200 << 20
