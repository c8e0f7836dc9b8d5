"""The run folder: what is finished, what is not, what was touched since, and who may write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from instag.errors import ArtifactError
from instag.output import Output
from instag.run import Run


def write(run: Run, stage: str = "tag", rows: int = 3, **inputs: object) -> None:
    with run.write(stage, settings={"rows": rows}, inputs=inputs) as out:
        out.table("queries", pl.DataFrame({"id": range(rows)}))


def test_a_stage_is_current_until_settings_inputs_or_outputs_change(tmp_path: Path) -> None:
    run = Run(tmp_path / "deep" / "run")
    assert run.state("tag") == "absent"
    write(run)
    assert run.state("tag") == "current"
    assert run.is_current("tag", settings={"rows": 3}, inputs={})
    assert not run.is_current("tag", settings={"rows": 4}, inputs={})
    assert not run.is_current("tag", settings={"rows": 3}, inputs={"files": []})
    table = run.path / "tag" / "queries.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"!")
    assert not run.is_current("tag", settings={"rows": 3}, inputs={})
    assert run.state("tag") == "damaged"
    with pytest.raises(ArtifactError, match="not what `tag` wrote"):
        run.need("tag")


def test_a_stage_made_from_what_no_longer_stands_is_stale(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write(run)
    write(run, "normalize", stages={"tag": run.digest("tag")})
    assert run.state("normalize") == "current"
    write(run, rows=4)
    assert run.state("normalize") == "stale"
    with pytest.raises(ArtifactError, match="was made from another `tag`"):
        run.need("normalize")


def test_the_same_outputs_made_again_leave_later_stages_current(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write(run)
    write(run, "normalize", stages={"tag": run.digest("tag")})
    write(run)
    assert run.state("normalize") == "current"


def cut_short(run: Run) -> None:
    def write_half(out: Output) -> None:
        out.table("queries", pl.DataFrame({"id": [1]}))
        with out.file("selected.jsonl") as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), run.write("tag", settings={}, inputs={}) as out:
        write_half(out)


def test_a_cut_stage_is_unfinished_and_leaves_no_partial_file(tmp_path: Path) -> None:
    run = Run(tmp_path)
    cut_short(run)
    assert run.state("tag") == "unfinished"
    assert not list((tmp_path / "tag").iterdir())
    with pytest.raises(ArtifactError, match="did not finish"):
        run.need("tag")
    write(run)
    assert run.state("tag") == "current"


def test_what_stood_before_stands_when_making_it_again_fails(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write(run)
    digest = run.digest("tag")
    cut_short(run)
    assert run.state("tag") == "current"
    assert run.digest("tag") == digest
    assert sorted(p.name for p in (tmp_path / "tag").iterdir()) == ["manifest.json", "queries.parquet"]


def test_tables_of_an_earlier_result_go(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with run.write("tag", settings={}, inputs={}) as out:
        out.table("rows", pl.DataFrame({"id": [1]}))
    write(run)
    assert not (tmp_path / "tag" / "rows.parquet").exists()
    assert run.has("tag", "queries")
    assert not run.has("tag", "rows")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a manifest"),
        ("[1]", "has format None"),
        ('{"format": 99}', "has format 99, this version of instag"),
    ],
)
def test_foreign_manifests_are_refused_with_a_hint(tmp_path: Path, text: str, message: str) -> None:
    write(Run(tmp_path))
    (tmp_path / "tag" / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=message) as error:
        Run(tmp_path).need("tag")
    assert "hint:" in str(error.value)


def test_a_manifest_says_what_was_done(tmp_path: Path) -> None:
    write(Run(tmp_path))
    manifest = json.loads((tmp_path / "tag" / "manifest.json").read_text())
    assert manifest["settings"] == {"rows": 3}
    assert [output["name"] for output in manifest["outputs"]] == ["queries.parquet"]
    assert set(manifest["versions"]) == {"instag", "python", "polars", "numpy"}


def test_equal_tables_are_equal_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"tags": pl.Series([["a", "b"], [], ["b"]], dtype=pl.List(pl.Categorical))})
    digests = set()
    for name in ("a", "b"):
        run = Run(tmp_path / name)
        with run.write("tag", settings={}, inputs={}) as out:
            out.table("queries", frame)
        digests.add(run.digest("tag"))
    assert len(digests) == 1


def test_a_second_process_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    code = (
        "import sys; from instag.run import Run\n"
        "with Run(sys.argv[1]).write('tag', settings={}, inputs={}):\n"
        "    print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with pytest.raises(ArtifactError, match="another process is writing"):
            write(Run(tmp_path))
        other.communicate("")
    write(Run(tmp_path))


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="could not be written"):
        write(Run(tmp_path / "file"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_one_clear_error_and_no_finished_stage(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(ArtifactError, match="No space left"), run.write("tag", settings={}, inputs={}) as out:  # noqa: PT012
        (tmp_path / "tag" / ".queries-00000.parquet.part").symlink_to("/dev/full")
        out.table("queries", pl.DataFrame({"id": [1]}))
    assert run.state("tag") == "unfinished"
