"""Child runs: stages of a parent read as if they were one's own, staleness told through it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from conftest import Instag
from instag.errors import ArtifactError
from instag.parents import PARENT
from instag.progress import Talk
from instag.run import Run
from instag.stages import normalize_stage, select_stage


@pytest.fixture
def parent(instag: Instag, chats: Path, tmp_path: Path) -> Run:
    """A whole run over the fixture `chats`, offline."""
    path = tmp_path / "pool"
    flags = ("--min-count", 2, "--min-rule-count", 3, "--k", 8)
    assert instag("run", chats, "--run", path, "--tagger", "keyphrase", *flags).code == 0
    return Run(path)


def test_a_child_reads_what_its_parent_holds_and_selects_for_itself(parent: Run, tmp_path: Path) -> None:
    child = Run.child(tmp_path / "exp" / "cells" / "a", parent)
    assert child.folder("normalize") == parent.path / "normalize"
    assert child.digest("normalize") == parent.digest("normalize")
    assert child.table("normalize", "tags").equals(parent.table("normalize", "tags"))
    assert child.state("normalize") == "current"
    assert child.state("select") == "absent"
    before = parent.digest("select")
    select_stage(child.path, {"k": 5, "method": "random"}, Talk(quiet=True))
    assert len(child.table("select", "picks")) == 5
    assert parent.digest("select") == before
    assert child.state("select") == "current"


def test_a_child_is_stale_once_its_parent_was_made_anew(instag: Instag, parent: Run, tmp_path: Path) -> None:
    child = Run.child(tmp_path / "child", parent)
    select_stage(child.path, {"k": 5}, Talk(quiet=True))
    normalize_stage(parent.path, {"min_count": 6, "min_rule_count": 3}, Talk(quiet=True))
    assert child.state("select") == "stale"
    said = instag("show", child.path)
    assert f"a child run of `{parent.path}`" in said.err
    assert "`select` is stale: `instag select` makes it again" in said.err
    assert f"`analyze` is stale: `instag show {parent.path}` tells why" in said.err


def test_a_child_may_normalize_for_itself_and_have_children(parent: Run, tmp_path: Path) -> None:
    child = Run.child(tmp_path / "child", parent)
    stood = parent.digest("normalize")
    same = {"min_count": 2, "min_rule_count": 3}
    assert not normalize_stage(child.path, same, Talk(quiet=True))["fresh"]
    assert not (child.path / "normalize").exists()
    assert normalize_stage(child.path, {**same, "skip": ["rule"]}, Talk(quiet=True))["fresh"]
    assert child.folder("normalize") == child.path / "normalize"
    assert parent.digest("normalize") == stood
    grandchild = Run.child(tmp_path / "child" / "cells" / "a", child)
    assert grandchild.folder("normalize") == child.path / "normalize"
    assert grandchild.folder("tag") == parent.path / "tag"


def test_a_run_and_its_children_move_together(parent: Run, tmp_path: Path) -> None:
    child = Run.child(parent.path / "cells" / "a", parent)
    written = os.stat(child.path / PARENT).st_mtime_ns
    Run.child(child.path, parent)
    assert os.stat(child.path / PARENT).st_mtime_ns == written
    shutil.move(parent.path, tmp_path / "elsewhere")
    moved = Run(tmp_path / "elsewhere" / "cells" / "a")
    assert isinstance(moved.table("normalize", "tags"), pl.DataFrame)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not name a parent run"),
        ("[]", "does not name a parent run"),
        ('{"parent": 3}', "does not name a parent run"),
        ('{"parent": "../gone"}', "which is not there"),
        ('{"parent": "."}', "which is itself"),
    ],
)
def test_a_broken_parent_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / PARENT).write_text(text)
    with pytest.raises(ArtifactError, match=message) as error:
        Run(tmp_path / "a").need("normalize")
    assert "hint:" in str(error.value)
