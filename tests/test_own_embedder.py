"""Embedders of one's own, through the command line: what they may be, and what each kind of bad one is told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Instag, Said
from instag import ConfigError
from instag.answers import AnswerStore
from instag.embedders import resolve

TAGS = ["optimize code", "code optimization", "history", "json to csv"]
GOOD = "[[1, 0, 0], [1, 0.01, 0], [0, 1, 0], [0, 0, 1]]"
BY_TEXT = """
import numpy as np
rng = {}
def vector(text):
    return np.random.default_rng(sum(map(ord, text))).normal(size=8)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a run of four tags; modules made in it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    path, known = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def imported(instag: Instag, folder: Path, tags: list[str] = TAGS) -> Path:
    (folder / "tagged.jsonl").write_text("\n".join(json.dumps({"tags": [tag]}) for tag in tags), encoding="utf-8")
    assert instag("import", folder / "tagged.jsonl", "--run", folder / "run", "--quiet").code == 0
    return folder / "run"


def normalize(instag: Instag, run: Path, embedder: str, *flags: str) -> Said:
    skip = ["--skip", "rule", "--skip", "association"]
    return instag("normalize", run, "--embedder", embedder, "--merge", "paper", "--min-count", "1", *skip, *flags)


def files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_it_may_be_a_function_a_class_an_object_or_what_makes_one(instag: Instag, here: Path) -> None:
    (here / "mine.py").write_text(
        f"""
import numpy as np
LOOK = dict(zip({sorted(TAGS)!r}, np.array({GOOD})[[1, 2, 3, 0]]))

def vectors(texts):
    return [LOOK[text] for text in texts]

class Model:
    identity = "my model/3"
    max_cosine_distance = 0.02
    def embed(self, texts):
        return np.array(vectors(texts), dtype=np.float16)

class Bare:
    embed = staticmethod(vectors)

class Callable:
    def __call__(self, texts):
        return vectors(texts)

def make():
    return Model()

model, called, anonymous = Model(), Callable(), lambda texts: vectors(texts)

class Many:
    small = Model()
"""
    )
    run = imported(instag, here)
    for name in ("vectors", "Model", "Bare", "Callable", "make", "model", "called", "anonymous", "Many.small"):
        said = normalize(instag, run, f"mine:{name}")
        assert said.code == 0, said.err
        assert "4 tags -> 3" in said.err, name
        own = name in ("Model", "make", "model", "Many.small")
        assert f"mine:{name}/my model/3" in said.err if own else f"mine:{name}@" in said.err
        assert ("max_cosine_distance 0.02" in said.err) == own


def test_a_module_may_lie_in_a_package(instag: Instag, here: Path) -> None:
    (here / "pack").mkdir()
    (here / "pack" / "__init__.py").write_text("")
    (here / "pack" / "lexical.py").write_text(f"def embed(texts): return {GOOD}")
    assert normalize(instag, imported(instag, here), "pack.lexical:embed").code == 0


def test_another_file_is_another_identity_and_the_same_one_is_not_made_again(instag: Instag, here: Path) -> None:
    (here / "own.py").write_text("def embed(texts): return [[len(text), 1] for text in texts]")
    run = imported(instag, here)
    assert json.loads(normalize(instag, run, "own:embed", "--json").out)["fresh"]
    assert not json.loads(normalize(instag, run, "own:embed", "--json").out)["fresh"]
    (here / "own.py").write_text("def embed(texts): return [[len(text), 2.5] for text in texts]")
    os.utime(here / "own.py", (1, 1))
    del sys.modules["own"]
    assert json.loads(normalize(instag, run, "own:embed", "--json").out)["fresh"]


def test_vectors_are_kept_where_it_says_what_they_depend_on(instag: Instag, here: Path) -> None:
    (here / "kept.py").write_text(
        f"""{BY_TEXT}
class Named:
    identity = "1"
    def embed(self, texts):
        open("asked", "a").write("".join(text + "\\n" for text in texts))
        return [vector(text) for text in texts]
class Unnamed:
    embed = Named.embed
"""
    )
    run = imported(instag, here)
    for distance in ("0.1", "0.2"):
        assert normalize(instag, run, "kept:Named", "--max-cosine-distance", distance).code == 0
    assert sorted((here / "asked").read_text().splitlines()) == sorted(TAGS)
    with AnswerStore(run / "answers.sqlite") as store:
        assert store.rows("SELECT count(*), min(model) FROM embeddings") == [(4, "kept:Named/1")]
    for distance in ("0.1", "0.2"):
        assert normalize(instag, run, "kept:Unnamed", "--max-cosine-distance", distance).code == 0
    assert len((here / "asked").read_text().splitlines()) == 12


def test_an_interruption_loses_one_batch_at_most(instag: Instag, here: Path) -> None:
    (here / "slow.py").write_text(
        f"""{BY_TEXT}
class Slow:
    identity = "1"
    batches = 0
    def embed(self, texts):
        self.batches += 1
        if self.batches == 3 and not __import__("os").path.exists("again"):
            raise KeyboardInterrupt
        open("asked", "a").write("".join(text + "\\n" for text in texts))
        return [vector(text) for text in texts]
"""
    )
    run = imported(instag, here, [f"tag number {number}" for number in range(3000)])
    assert normalize(instag, run, "slow:Slow").code == 130
    assert not (run / "normalize" / "manifest.json").exists()
    (here / "again").touch()
    assert normalize(instag, run, "slow:Slow").code == 0
    asked = (here / "asked").read_text().splitlines()
    assert set(asked) == {f"tag number {number}" for number in range(3000)}
    assert len(asked) == 3000 + 1  # the first text comes again with the second batch, to see that its vector stays


BAD = {
    "nan": ("[[1.0, 0], [0, 1], [float('nan'), 1], [1, 1]]", "row 2 is not finite: `json to csv` (1 of 4 rows)"),
    "infinite": ("[[1e300, 0]] * 4", "row 0 is not finite: `code optimization` (4 of 4 rows)"),
    "zeros": ("[[1, 0], [0, 0], [0, 1], [1, 1]]", "row 1 is all zeros, which has no direction: `history`"),
    "fewer": ("[[1, 0]] * 3", "expected 4 rows of numbers, found an array of shape (3, 2): `optimize code` has none"),
    "more": ("[[1, 0]] * 5", "expected 4 rows of numbers, found an array of shape (5, 2)"),
    "ragged": ("[[1, 0], [1], [0, 1], [1, 1]]", "not rows of numbers of one length"),
    "none": ("None", "not rows of numbers of one length, but a NoneType"),
    "text": ("[['1', '2']] * 4", "not rows of numbers of one length, but a list of"),
    "complex": ("[[1j, 2]] * 4", "not rows of numbers of one length, but a list of complex128"),
    "flags": ("[[True, False]] * 4", "not rows of numbers of one length, but a list of bool"),
    "flat": ("[1.0, 2.0, 3.0, 4.0]", "found an array of shape (4,)"),
    "deep": ("[[[1.0]]] * 4", "found an array of shape (4, 1, 1)"),
    "empty": ("[[]] * 4", "found an array of shape (4, 0)"),
    "lazy": ("(row for row in [[1, 0]] * 4)", "but a generator"),
    "mapping": ("{text: [1, 0] for text in texts}", "but a dict"),
    "fails": ("1 / 0", "failed on rows 0 to 3 (`code optimization` and on): ZeroDivisionError: division by zero (bad"),
    "exits": ("__import__('sys').exit(0)", "failed on rows 0 to 3 (`code optimization` and on): SystemExit: 0"),
    "secret": ("open('https://me:hunter2@host/hf_abcdefghijkl')", "No such file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_one_is_told_with_row_and_text_and_nothing_is_merged(instag: Instag, here: Path, kind: str) -> None:
    answer, message = BAD[kind]
    (here / f"bad_{kind}.py").write_text(f"def embed(texts):\n    return {answer}\n")
    run = imported(instag, here)
    assert instag("normalize", run, "--min-count", "1", "--quiet").code == 0
    before = files(run)
    said = normalize(instag, run, f"bad_{kind}:embed")
    assert said.code in (1, 3)
    assert message in said.err
    assert f"embedder `bad_{kind}:embed@" in said.err
    assert "Traceback" not in said.err + said.out
    assert "hunter2" not in said.err
    assert "hf_abc" not in said.err
    assert files(run) == before
    assert instag("show", run).code == 0


@pytest.mark.parametrize(
    ("embed", "message"),
    [
        ("[[1] * (2 + (len(texts) != 1024)) for _ in texts]", "row 1024 (`tag 192`) has 3 numbers, the rows before 2"),
        ("[[1, float(texts[0] == 'tag 0')] for _ in texts]", "row 0 (`tag 0`) got another vector when it was asked"),
        ("[[1, 1]] * 1024 if texts[0] == 'tag 0' else 1 / 0", "failed on rows 1024 to 2048 (`tag 192` and on)"),
        ("[[1, float(text != 'tag 2000')][::-1] for text in texts]", "None"),
        (
            "[[float(text != 'tag 2000')] * 2 for text in texts]",
            "row 1115 is all zeros, which has no direction: `tag 2000`",
        ),
    ],
)
def test_what_goes_wrong_in_a_later_batch_is_told(instag: Instag, here: Path, embed: str, message: str) -> None:
    (here / "later.py").write_text(f"def embed(texts):\n    return {embed}\n")
    run = imported(instag, here, [f"tag {number}" for number in range(2500)])
    before = files(run)
    said = normalize(instag, run, "later:embed", "--max-cosine-distance", "0")
    if message == "None":
        assert said.code == 0, said.err
    else:
        assert said.code in (1, 3)
        assert message in said.err
        assert files(run) == before


def test_one_that_must_see_all_texts_says_so(instag: Instag, here: Path) -> None:
    (here / "fitted.py").write_text(
        """
class Fitted:
    whole, identity = True, "counts"
    def embed(self, texts):
        assert len(texts) == 2500
        return [[at + 1, len(texts)] for at, _ in enumerate(texts)]
"""
    )
    run = imported(instag, here, [f"tag {number}" for number in range(2500)])
    assert normalize(instag, run, "fitted:Fitted", "--max-cosine-distance", "0").code == 0
    assert not (run / "answers.sqlite").exists()


@pytest.mark.parametrize("kind", ["float64", "float16", "int8", "longdouble"])
def test_numbers_of_any_width_are_taken(instag: Instag, here: Path, kind: str) -> None:
    (here / f"of_{kind}.py").write_text(
        f"import numpy as np\ndef embed(texts): return np.array({GOOD}).astype('{kind}')"
    )
    assert normalize(instag, imported(instag, here), f"of_{kind}:embed").code == 0


def test_tensors_are_taken_where_they_lie(instag: Instag, here: Path) -> None:
    torch = pytest.importorskip("torch", reason="tensors need torch")
    assert torch.tensor([1.0], requires_grad=True).requires_grad
    (here / "tensors.py").write_text(
        f"""
import torch
def graph(texts): return torch.tensor({GOOD}, requires_grad=True)
def narrow(texts): return torch.tensor({GOOD}, dtype=torch.bfloat16)
"""
    )
    run = imported(instag, here)
    for name in ("graph", "narrow"):
        assert normalize(instag, run, f"tensors:{name}").code == 0


@pytest.mark.parametrize(
    ("spec", "source", "message"),
    [
        ("nowhere:embed", None, "there is no module `nowhere`"),
        (
            "asks:embed",
            "import nowhere_else",
            "the module `asks` can't be imported: ModuleNotFoundError: No module named",
        ),
        ("broken:embed", "def embed(texts:", "can't be imported: SyntaxError: "),
        ("dies:embed", "raise SystemExit(0)", "can't be imported: SystemExit: 0 (dies.py, line 1)"),
        ("lacks:embed", "x = 1", "lacks.py) has no `embed`"),
        ("json:embed", None, "json/__init__.py) has no `embed`"),
        ("number:embed", "embed = 3", "is a int, which has no `embed` and can't be called"),
        ("unmade:Model", "class Model:\n    def __init__(self, size): ...", "can't be made: TypeError: "),
        (
            "unready:make",
            "def make(): raise OSError('no weights')",
            "can't be made: OSError: no weights (unready.py, li",
        ),
        ("waits:embed", "async def embed(texts): ...", "is an async function"),
        ("os:path", None, "is a module"),
        ("wide:M", "class M:\n    max_cosine_distance = 2\n    embed = print", "`max_cosine_distance` is 2"),
        ("odd:M", "class M:\n    identity = 5\n    embed = print", "`identity` is 5, must be a line of text"),
        ("lexical:embed", None, "`lexical` takes no name"),
        ("sentence_transformers:all-MiniLM-L6-v2", None, "did you mean `sentence-transformers`?"),
        ("model2vec:", None, "`embedder` is `model2vec:`, which is none"),
        ("a b:c", None, "one of `lexical`"),
        ("mine", None, "one of `lexical`"),
        (":embed", None, "one of `lexical`"),
    ],
)
def test_what_is_no_embedder_is_told_without_a_trace(
    instag: Instag, here: Path, spec: str, source: str | None, message: str
) -> None:
    if source is not None:
        (here / f"{spec.partition(':')[0]}.py").write_text(source)
    said = normalize(instag, imported(instag, here), spec)
    assert said.code == 1
    assert message in said.err
    assert "Traceback" not in said.err
    assert "hint: " in said.err


def test_python_callers_get_the_same_embedders(here: Path) -> None:
    (here / "plain.py").write_text("def embed(texts): return [[1, 2]] * len(texts)")
    found: Any = resolve("plain:embed")
    assert found.embed(["a", "b", "a"]).tolist() == [[1, 2]] * 3
    assert found.embed([]).shape == (0, 0)
    with pytest.raises(ConfigError, match="which is no embedder"):
        resolve(3)  # type: ignore[arg-type]
