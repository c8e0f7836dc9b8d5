"""Memory or disk that runs out, a process that is killed: a clear error, nothing half-written, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import instag
from conftest import Instag
from instag import OutOfMemoryError, TagTable, memory
from instag.memory import MemoryWarning, available_bytes
from instag.run import Run
from instag.shards import Gathering, TagShards
from instag.temporary import TemporaryFolder, remove_abandoned

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which tells and limits memory")
posix = pytest.mark.skipif(os.name == "nt", reason="needs limits of POSIX")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A `TMPDIR` of this test, for its children too; empty at the end."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    assert not list(path.glob("instag-*"))


@pytest.fixture
def run(instag: Instag, tmp_path: Path) -> Path:
    """A run whose tags are imported."""
    for at in range(3):
        tags = pl.Series([["a", f"b{at}"], ["a"]] * 5)
        (tmp_path / "pool").mkdir(exist_ok=True)
        pl.DataFrame({"tags": tags}).write_parquet(tmp_path / "pool" / f"{at}.parquet")
    assert instag("import", tmp_path / "pool", "--run", tmp_path / "run").code == 0
    return tmp_path / "run"


def child(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code as a process of its own, whose limits can be lowered; its threads reserve no addresses."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_ARENA_MAX": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@linux
def test_what_is_left_is_the_least_that_anything_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = available_bytes()
    assert left is not None
    assert 0 < left < 2**50
    # Both versions of cgroups; of the second a group in a group, one of them without a limit.
    groups = {
        "memory/g/memory.limit_in_bytes": "900",
        "memory/g/memory.usage_in_bytes": "500",
        "memory/g/memory.stat": "cache 400\ntotal_inactive_file 300\n",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.usage_in_bytes": "700",
        "a/memory.max": "600",
        "a/memory.current": "200",
        "a/b/memory.max": "max",
        "a/b/memory.current": "100",
    }
    for name, text in groups.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    assert next(memory._of_cgroup("4", "memory", "/g")) == 900 - 500 + 300
    assert list(memory._of_cgroup("0", "", "/a/b")) == [600 - 200]
    assert list(memory._of_cgroup("3", "cpuset", "/g")) == []
    assert list(memory._of_cgroup("4", "memory", "/elsewhere")) == [9223372036854771712 - 700]


@linux
def test_a_limit_on_addresses_is_what_is_left() -> None:
    said = child("""
        import resource
        from instag.memory import available_bytes
        before = available_bytes()
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 50_000_000, resource.RLIM_INFINITY))
        print(before > 60_000_000 > available_bytes() > 30_000_000)
    """)
    assert said.stdout == "True\n", said.stderr


@linux
def test_a_kernel_that_finds_no_memory_raises(tmp_path: Path) -> None:
    said = child("""
        import resource
        import numpy as np, polars as pl
        from instag import _core
        offsets, ids = np.array([0, 20_000_000]), np.zeros(20_000_000, np.uint32)
        into, words, bits = np.zeros(1, np.uint32), pl.Series(["a"]), np.zeros(2_000_000, np.uint64)
        _core.remap(np.array([0, 1]), into, into, 1)  # its threads are there before the limit
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 40_000_000, resource.RLIM_INFINITY))
        kernels = {
            "remap": lambda: _core.remap(offsets, ids, into, 1),
            "union_rows": lambda: _core.union_rows(offsets, ids, np.array([0, 1]), 1),
            "to_lists": lambda: _core.to_lists(words, offsets, ids),
            "tag_counts": lambda: _core.tag_counts(np.array([0, 1]), into, 1, np.zeros(1, np.uint32)) is None
            or _core.tag_counts(np.array([0, 1]), into, 30_000_000),
            "first_seen": lambda: _core.first_seen(np.array([0, 1]), into, 30_000_000, np.zeros(1, np.int64)),
            "draw": lambda: _core.draw(30_000_000, bits),
        }
        for name, kernel in kernels.items():
            try:
                kernel()
            except MemoryError as error:
                print(name, error)
    """)
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "remap",
        "union_rows",
        "to_lists",
        "tag_counts",
        "first_seen",
        "draw",
    ]
    assert [line for line in lines if "memory ran out: an array of" not in line] == [], said.stderr


# Kernels over `offsets, ids, size`: rows of up to eight tags, the first ones often, 10 n always with 10 n + 1.
KERNELS = {
    "pair rules": "candidates(*rows, counts, marked, 2, 0.9)",
    "pairs": "_core.count_pairs(*rows, *pairs)",
    "itemsets": "_core.frequent_itemsets(*rows, 2, 9, 10_000_000)",
    "itemset rules": "_core.itemset_rules(*rows, 4, 0.5, 9, 10_000_000)",
    "complexity first": "_core.complexity_first(*rows, 50_000)",
    "complexity first, ranked": "_core.complexity_first(*rows, 50_000, -ranks)",
    "coverage": "_core.max_coverage(*rows, 20_000)",
    "coverage, weighted": "_core.max_coverage(*rows, 20_000, ranks[:size])",
    "coverage of few tags": "_core.max_coverage(offsets[:100_001], ids[: offsets[100_000]] % 12, 12, 100_000)",
    "ranking": "_core.most_complex(*rows, 100_000, ranks)",
    "Parquet": "written()",
}
SWEEP = """
    import hashlib, resource, sys
    import numpy as np, polars as pl
    from instag import _core
    candidates = _core.rule_candidates
    random, size = np.random.default_rng(0), 200_000
    table = ((size - 1) * random.random((200_000, 8)) ** 6).astype(np.uint32)
    table += table % 10 == 0
    table[:, 0] -= table[:, 0] % 10
    table[:, 1] = table[:, 0] + 1
    kept = np.ones(table.shape, bool)
    for at in range(2, 8):
        kept[:, at] = (table[:, at, None] != table[:, :at]).all(axis=1) & (random.random(200_000) < 0.6)
    ids, offsets = table[kept], np.append(0, np.cumsum(kept.sum(axis=1)))
    rows, counts, marked = (offsets, ids, size), np.bincount(ids, minlength=size), np.ones(size, np.uint8)
    ranks, few = random.random(200_000), np.linspace(0, len(ids), 1_001).astype(np.int64)
    words, column = pl.Series([f"a tag {n}" for n in range(size)]), pl.DataFrame({"n": np.zeros(1_000, np.int8)})
    pairs = candidates(*rows, counts, marked, 2, 0.9)

    def written():
        _core.write_tagged(sys.argv[2], column, "tags", words, few, ids)
        return [np.fromfile(sys.argv[2], np.uint8)]

    def digest():
        found = eval(sys.argv[1])
        return [hashlib.md5(array).hexdigest() for array in (found if isinstance(found, (tuple, list)) else [found])]

    page, extra, said = resource.getpagesize(), 100_000, []
    while said[-1:] != ["done"]:
        size_now = int(open("/proc/self/statm").read().split()[0]) * page
        resource.setrlimit(resource.RLIMIT_AS, (size_now + extra, resource.RLIM_INFINITY))
        print(extra, file=sys.stderr, flush=True)
        try:
            answer = digest()
            said.append("done")
        except MemoryError as error:
            said.append("refused")
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        extra = extra * 3 // 2
    print(answer == digest())
"""


@linux
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_ends_in_an_error_or_the_answer_however_little_is_left(kernel: str, tmp_path: Path) -> None:
    """Reading Parquet is not among them: the arrays are a library's, which ends the process.

    How many limits are too low hangs on what allocators keep; `tests/memory.rs` refuses every large array for certain.
    """
    kept = {"MALLOC_MMAP_THRESHOLD_": "4096", "MALLOC_TRIM_THRESHOLD_": "4096"}  # what was freed before is given back
    threads = "1" if kernel == "Parquet" else "2"  # else the library may be the one that finds nothing
    said = child(SWEEP, KERNELS[kernel], str(tmp_path / "out.parquet"), RAYON_NUM_THREADS=threads, **kept)
    assert said.returncode == 0, said.stderr
    assert said.stdout == "True\n"


@linux
def test_one_table_of_too_many_rows_is_refused_before_it_is_made() -> None:
    said = child("""
        import resource
        import polars as pl
        import instag
        from instag.shards import Gathering, TagShards
        gathering = Gathering()
        gathering.add(instag.TagTable.from_series(pl.Series([["a", "b"]] * 100_000)))
        one = gathering.finish()
        many = TagShards(one.vocabulary, one._stored * 1_000, one._maps * 1_000)
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 400_000_000, resource.RLIM_INFINITY))
        try:
            instag.select(many, 3, "coverage")
        except instag.OutOfMemoryError as error:
            print(error)
    """)
    first, hint = said.stdout.splitlines()
    assert first.startswith("one table of 100,000,000 rows needs 3.20 GB of memory, 0."), said.stderr
    assert hint.startswith("hint: take a method that goes from shard to shard")


def test_a_vocabulary_or_a_shard_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    table = TagTable.from_series(pl.Series([["a", "b"], ["a"]]))
    gathering = Gathering()
    gathering.add(table)
    monkeypatch.setattr(memory, "available_bytes", lambda: 10)
    with pytest.raises(OutOfMemoryError, match=r"a vocabulary of up to 2 tags needs 0\.00 GB of memory"):
        gathering.finish()
    with pytest.raises(OutOfMemoryError, match="a ledger of 2 raw tags"):
        instag.normalize(table)
    with pytest.raises(OutOfMemoryError, match="the curve of 2 rows"):
        instag.analyze(table)
    with pytest.raises(MemoryError):  # so that code which knows nothing of instag hears of it
        TagShards(table.vocabulary, gathering._stored, [np.arange(2, dtype=np.uint32)]).shard(0)


def test_a_stage_without_memory_leaves_what_stood(
    instag: Instag, run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert instag("normalize", run, "--min-count", 1).code == 0
    before = {stage: Run(run).digest(stage) for stage in ("tag", "normalize")}
    monkeypatch.setattr(memory, "available_bytes", lambda: 10)
    said = instag("normalize", run, "--min-count", 2)
    assert said.code == 1
    assert "error: a ledger of 4 raw tags needs 0.00 GB of memory, 0.00 GB are left\nhint: drop" in said.err
    assert {stage: Run(run).digest(stage) for stage in before} == before
    assert not list(run.rglob("*.part"))


def test_memory_that_runs_out_on_the_way_is_told(
    instag: Instag, run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Run(run).digest("tag")

    def none_left(*_: object) -> None:
        raise MemoryError("memory ran out: an array of 8 bytes could not be had")

    monkeypatch.setattr("instag.rows.renamed_parts", none_left)
    monkeypatch.setattr("instag.stages.renamed_parts", none_left)
    said = instag("normalize", run, "--min-count", 1)
    assert said.code == 1
    assert "error: memory ran out: an array of 8 bytes could not be had\nhint: work on shards" in said.err
    assert Run(run).digest("tag") == before
    assert not list(run.rglob("*.part"))


def test_rows_that_do_not_fit_go_to_disk_with_a_word(
    instag: Instag, run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instag.shards.available_bytes", lambda: 400)
    monkeypatch.setattr("instag.tagged.SHARD_ROWS", 10)
    table = TagTable.from_series(pl.Series([["a", "b"]] * 10))
    gathering = Gathering()
    with pytest.warns(MemoryWarning, match=r"rows above 0\.00 GB go to the temporary folder"):
        gathering.add(table)
    assert [path.name for path in folder.glob("instag-*/*.rows")] == ["00000.rows"]
    assert gathering.finish().shard(0).to_series().to_list() == [["a", "b"]] * 10
    del gathering
    # The command line says it as it says all else, or not at all.
    assert instag("import", run.parent / "pool", "--id-column", "none", "--run", run).code == 1
    other = run.parent / "other"
    assert instag("import", run.parent / "pool", "--run", other).code == 0
    said = instag("normalize", other, "--min-count", 1)
    assert "warning: rows above 0.00 GB go to" in said.err
    assert "instag/shards.py" not in said.err
    assert instag("normalize", other, "--min-count", 2, "--quiet").err == ""


@posix
def test_what_a_killed_process_leaves_is_removed_by_the_next(folder: Path, tmp_path: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        import polars as pl
        from instag import TagTable
        from instag.run import Run
        from instag.shards import Gathering
        gathering = Gathering(spill_above=0)
        gathering.add(TagTable.from_series(pl.Series([["a"]])))
        with Run(sys.argv[1]).write("tag", settings={}, inputs={}) as out:
            out.table("queries", pl.DataFrame({"id": ["a"]}))
            print("ready", flush=True)
            time.sleep(600)
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), str(tmp_path / "run")]
    killed = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "ready\n"
    mine = TemporaryFolder()
    assert len(list(folder.glob("instag-*/*.rows"))) == 1  # it lives: its folder stands
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert list((tmp_path / "run").rglob("*.part"))
    remove_abandoned()
    assert list(folder.glob("instag-*")) == [mine.path]
    assert Run(tmp_path / "run").state("tag") == "unfinished"
    with Run(tmp_path / "run").write("tag", settings={}, inputs={}):
        pass
    assert not list((tmp_path / "run").rglob("*.part"))


def test_what_others_keep_in_the_temporary_folder_stays(folder: Path, tmp_path: Path) -> None:
    (folder / "instag-notes").mkdir()  # no lock: none of ours
    (folder / "instag-file").write_text("mine")
    held = TemporaryFolder()
    TemporaryFolder()
    kept = {"instag-notes", "instag-file", held.path.name}
    assert {path.name for path in folder.iterdir()} == kept
    (folder / "instag-file").unlink()
    (folder / "instag-notes").rmdir()


FULL = """
    import resource, signal, sys
    from pathlib import Path
    import numpy as np, polars as pl
    import instag
    from instag import cli
    from instag.shards import Gathering
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
"""


@posix
def test_a_disk_that_fills_up_while_rows_are_spilled(folder: Path) -> None:
    said = child(
        textwrap.dedent(FULL)
        + textwrap.dedent("""
        gathering = Gathering(spill_above=0)
        table = instag.TagTable.from_series(pl.Series([["a"]] * 10_000))
        gathering.add(table)
        try:
            gathering.add(instag.TagTable.from_series(pl.Series([["a"]] * 100_000)))
        except instag.ArtifactError as error:
            print(error)
        print(gathering.finish().shard(0).counts)
        """)
    )
    first, hint, counts = said.stdout.splitlines()
    assert first.startswith(f"`{folder}/instag-"), said.stderr
    assert first.endswith(".rows` could not be written: File too large")
    assert hint.startswith("hint: set TMPDIR")
    assert counts == "[10000]"


@posix
def test_a_disk_that_fills_up_while_tables_are_written(instag: Instag, folder: Path, tmp_path: Path) -> None:
    pool, run = tmp_path / "pool", tmp_path / "run"
    pool.mkdir()
    random = np.random.default_rng(0)
    for at in range(3):
        tags = pl.Series([[f"tag {n}" for n in random.integers(0, 10**9, 3)] for _ in range(10_000 * at + 1)])
        pl.DataFrame({"tags": tags}).write_parquet(pool / f"{at}.parquet")
    assert instag("import", pool / "0.parquet", "--run", run).code == 0
    before = Run(run).digest("tag")
    code = textwrap.dedent(FULL) + textwrap.dedent(f"""
        from instag import tagged
        tagged.SHARD_ROWS = 10_000
        cli.main(["import", {str(pool)!r}, "--run", {str(run)!r}])
    """)
    said = child(code)
    assert said.returncode == 1
    assert f"error: `{run}/tag/queries" in said.stderr, said.stderr
    assert "could not be written" in said.stderr
    assert Run(run).digest("tag") == before
    assert not list(run.rglob("*.part"))
