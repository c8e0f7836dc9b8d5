"""The project itself: one version number, examples as their README says, a map of the tree, light imports."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

import instag

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"

# What only some stages need, and what is slow to import.
HEAVY = ["polars", "openai", "torch", "transformers", "trl", "datasets", "sentence_transformers", "hnswlib"]


def tracked() -> list[str]:
    """The files under version control; where there is no git (an sdist), the test skips and says so."""
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout: {error}")
    return [path for path in listed.splitlines() if (ROOT / path).exists()]


def conversations() -> dict[str, list[tuple[str, ...]]]:
    """Every example as its texts in order, by file, read with nothing of ours."""
    return {
        "writing_and_code.jsonl": [
            ("\n".join(filter(None, (record["instruction"], record["input"]))), record["output"])
            for record in map(json.loads, (EXAMPLES / "writing_and_code.jsonl").read_text("utf-8").splitlines())
        ],
        "chats.json": [
            tuple(turn["value"] for turn in record["conversations"])
            for record in json.loads((EXAMPLES / "chats.json").read_text("utf-8"))
        ],
        "questions.csv": [
            (record["question"], record["answer"])
            for record in csv.DictReader((EXAMPLES / "questions.csv").open(encoding="utf-8", newline=""))
        ],
        "multilingual.jsonl": [
            tuple(message["content"] for message in record["messages"])
            for record in map(json.loads, (EXAMPLES / "multilingual.jsonl").read_text("utf-8").splitlines())
        ],
    }


def test_the_extension_has_the_version_of_cargo_toml() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text("utf-8"), re.M)
    assert instag.__version__ == version
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_examples_are_as_many_as_their_readme_says() -> None:
    counts = {name: len(records) for name, records in conversations().items()}
    table = (EXAMPLES / "README.md").read_text("utf-8")
    told = {name: int(n) for name, n in re.findall(r"^\| `(\S+)` \|[^|]*\| (\d+) \|", table, re.M)}
    counts["tagged.jsonl"] = len((EXAMPLES / "tagged.jsonl").read_text("utf-8").splitlines())
    assert told == counts
    assert sum(counts.values()) - counts["tagged.jsonl"] == 273


def test_the_examples_hold_duplicates_in_a_file_and_across_schemas() -> None:
    files: dict[tuple[str, ...], list[str]] = {}
    for name, records in conversations().items():
        for texts in records:
            files.setdefault(texts, []).append(name)
    repeated = [names for names in files.values() if len(names) > 1]
    assert len(files) == 261
    assert sum(len(set(names)) > 1 for names in repeated) == 9
    assert Counter(len(set(names)) > 1 for names in repeated)[False] == 2


def test_every_text_of_the_examples_says_something() -> None:
    for name, records in conversations().items():
        for texts in records:
            assert all(text.strip() == text and text for text in texts), (name, texts)


def test_contributing_names_every_file_and_no_other() -> None:
    told = re.search(r"## The tree\n+```\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.S)
    assert told is not None
    named, folder = set(), ""
    for line in told[1].splitlines():
        if entry := re.match(r"(    )?(\S+)", line):
            inside, name = entry.groups()
            if name.endswith("/"):
                folder = name
            else:
                named.add(folder + name if inside else name)
    files = tracked()
    missing = [path for path in files if not any(fnmatch(path, name) for name in named)]
    gone = sorted(named - set(files) - {name for name in named if "*" in name})
    assert (missing, gone) == ([], [])


@pytest.mark.parametrize("folder", ["rust", "python", "tests", "benches"])
def test_files_stay_readable(folder: str) -> None:
    """A file beyond 500 lines holds more than one idea; the two that grow by a kernel at a time are let off."""
    shared = {"rust/py.rs", "tests/oracle.py"}
    sources = [path for path in tracked() if path.startswith(folder + "/") and path.endswith((".rs", ".py"))]
    lines = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path in sources if path not in shared}
    assert {path: n for path, n in lines.items() if n > 500} == {}


@pytest.mark.parametrize("module", ["instag", "instag.errors", "instag.cli"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & set(HEAVY) == set()


def test_help_is_light() -> None:
    code = (
        "import sys\nfrom instag.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "instag run" in done.stdout
    assert set(done.stdout.partition("MODULES")[2].split()) & set(HEAVY) == set()
