"""How far a judge agrees with people who compared the same answers (MT-Bench, arXiv 2306.05685, section 4.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.bootstrap import RESAMPLES, interval, resampled_sums
from instag.errors import DataError

if TYPE_CHECKING:
    import polars as pl

SETUPS = ("ties", "no ties")  # S1 and S2 of the paper
_WINNERS = ("model_a", "model_b", "tie", "tie (inconsistent)", "tie (bothbad)", "bothbad")
_HINT = "MT-Bench's form: question_id, model_a, model_b, winner (model_a, model_b, tie), judge, turn"


def read_people(path: str | Path, models: tuple[str, str]) -> pl.DataFrame:
    """What people chose between two models: `question_id, turn, judge, winner`, from JSON lines, JSON or Parquet.

    `winner` is `model_1` (the first of `models`), `model_2` or `tie`. Lines about other models are passed over. Raises
    `DataError` with file and line for what is not of MT-Bench's form, and where none is about these two.
    """
    import polars as pl

    path = Path(path)
    rows, others = [], set()
    for number, told in _lines(path):
        try:
            pair = (str(told["model_a"]), str(told["model_b"]))
            winner, turn = str(told["winner"]).lower(), int(told.get("turn", 1))
            row = (int(told["question_id"]), turn, str(_judge(told.get("judge"))))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}:{number}: not a vote: {type(error).__name__} {error}", hint=_HINT) from None
        if winner not in _WINNERS:
            raise DataError(f"{path}:{number}: `winner` is {winner!r}", hint=f"one of {', '.join(_WINNERS[:3])}")
        if set(pair) != set(models) or pair[0] == pair[1]:
            others.add(pair)
            continue
        side = {"model_a": pair[0], "model_b": pair[1]}.get(winner)
        rows.append((*row, "tie" if side is None else "model_1" if side == models[0] else "model_2"))
    if not rows:
        known = ", ".join(sorted({name for pair in others for name in pair})) or "none"
        raise DataError(f"`{path}` has no vote about `{models[0]}` and `{models[1]}`", hint=f"its models: {known}")
    schema = {"question_id": pl.Int64, "turn": pl.Int8, "judge": pl.String, "winner": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _judge(told: Any) -> Any:
    return told[0] if isinstance(told, list) and told else told


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    import polars as pl

    try:
        if path.suffix == ".parquet":
            yield from enumerate(pl.read_parquet(path).to_dicts(), 1)
            return
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise DataError(f"`{path}` cannot be read: {error}", hint=_HINT) from None
    if text.lstrip().startswith("["):
        try:
            yield from enumerate(json.loads(text), 1)
        except ValueError as error:
            raise DataError(f"`{path}` is no JSON: {error}", hint=_HINT) from None
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number}: no JSON: {error}", hint=_HINT) from None


def human_agreement(
    ours: pl.DataFrame, people: pl.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0
) -> pl.DataFrame:
    """How often two verdicts about one turn of one question are the same: the judge and a person, and two people.

    `ours` has `question_id, turn, winner` (`model_1`, `model_2`, `tie`, also where the orders disagree; null is passed
    over), `people` is `read_people`. Rows: `between` (`judge and people`, `people`) and `setup`: with `ties` a tie is a
    verdict as any (S1; chance gives 1/3), with `no ties` only verdicts for one side count (S2; 1/2). `compared` pairs
    of verdicts, each of the judge's repeats with each person; `same` of them; `share`; `low` and `high`, the middle
    95 % of the bootstrap over questions, null for a single one. FastChat's compute_agreement.py counts in this way.

    >>> import polars as pl
    >>> votes = {"question_id": [1, 2, 2], "turn": 1, "judge": ["ann", "ann", "bob"]}
    >>> people = pl.DataFrame(votes | {"winner": ["model_1", "tie", "model_2"]})
    >>> ours = pl.DataFrame({"question_id": [1, 2], "turn": 1, "winner": ["model_1", "model_2"]})
    >>> human_agreement(ours, people).select("between", "setup", "compared", "same").rows()[:2]
    [('judge and people', 'ties', 3, 2), ('judge and people', 'no ties', 2, 2)]
    """
    import polars as pl

    by = ["question_id", "turn"]
    said = people.select(*by, "judge", pl.col("winner").alias("theirs"))
    with_judge = ours.select(*by, "winner").drop_nulls().with_columns(pl.col("turn").cast(pl.Int8)).join(said, on=by)
    numbered = people.select(*by, "winner").with_row_index("at").with_columns(pl.col("turn").cast(pl.Int8))
    other = numbered.select(*by, pl.col("winner").alias("theirs"), pl.col("at").alias("other"))
    among = numbered.join(other, on=by).filter(pl.col("at") < pl.col("other"))
    schema: dict[str, Any] = {"between": pl.String, "setup": pl.String, "compared": pl.Int64, "same": pl.Int64}
    rows = []
    for name, pairs in (("judge and people", with_judge), ("people", among)):
        for setup in SETUPS:
            kept = pairs if setup == "ties" else pairs.filter(pl.col("winner") != "tie", pl.col("theirs") != "tie")
            rows.append((name, setup, *_row(kept, resamples, seed)))
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(("share", "low", "high"), pl.Float64), orient="row")


def _row(pairs: pl.DataFrame, resamples: int, seed: int) -> tuple[Any, ...]:
    import polars as pl

    same = (pl.col("winner") == pl.col("theirs")).cast(pl.Float64).sum().alias("same")
    questions = pairs.group_by("question_id").agg(same, pl.len().cast(pl.Float64).alias("compared")).sort("question_id")
    units = np.ascontiguousarray(questions.select("same", "compared").to_numpy())
    if not len(units):
        return (0, 0, None, None, None)
    agreed, compared = (int(total) for total in units.sum(axis=0))
    share = agreed / compared
    if len(units) < 2:
        return (compared, agreed, share, None, None)
    drawn = resampled_sums(units, resamples=resamples, seed=seed)
    return (compared, agreed, share, *interval(drawn[:, 0] / drawn[:, 1]))
