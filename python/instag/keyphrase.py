"""The offline tagger: open-set tags from the text alone, a baseline and a dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from instag import _core
from instag.errors import DataError
from instag.tagger import Progress, tagged_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from instag.tagger import ProgressHook


class KeyphraseTagger:
    """Tags queries by rules and counts over the pool: no model, no download, no network.

    A query gets at most 8 tags, the most telling first: canonical intentions ("creative writing"), verb and object
    ("write story"), facts on the surface ("python", "multiple choice"), turns of a conversation ("confirmation"), noun
    phrases that the pool repeats, and the language where it is not English. English, Chinese, Spanish, French, German
    and Japanese have tables of their own, Portuguese and Italian small ones. What a query gets depends on the pool it
    is tagged with (its phrases are weighed by how many queries hold them), not on the order of queries or on threads.
    A query of symbols or numbers may get no tag. Linear; some 50,000 queries a second on 2 cores.

    >>> import polars as pl
    >>> tagger = KeyphraseTagger()
    >>> frame = tagger.tag(pl.Series(["Write a short story about a dragon.", "Translate this sentence into French."]))
    >>> frame["tags"].to_list()
    [['creative writing', 'write story', 'dragon'], ['translation', 'translate sentence', 'translation to french']]
    >>> frame["explanations"][1][2]
    "form or subject named: 'into French'"
    """

    label = "keyphrase: an offline baseline, no model; a dry run, not the paper's tagger"

    @property
    def identity(self) -> Mapping[str, Any]:
        """What enters the key of the stage; the version rises whenever a table or a rule changes."""
        return {"tagger": "keyphrase", "version": 3}

    def tag(self, queries: pl.Series, *, progress: ProgressHook | None = None) -> pl.DataFrame:
        """One row a query, in order, in the columns of `tagged_schema`; every `status` is `ok`, a null has no tags."""
        import polars as pl

        try:
            made = pl.DataFrame(_core.keyphrase_tags(queries))
        except (TypeError, ValueError) as error:
            name = getattr(queries, "name", "queries")
            raise DataError(f"column `{name}`: {error}", hint="give a column of strings") from None
        if progress is not None:
            progress(Progress(done=len(made), total=len(made)))
        columns = {
            "status": pl.lit("ok"),
            "tags": pl.col("tags"),
            "explanations": pl.col("explanations"),
            "reason": pl.lit(None),
            "answer": pl.lit(None),
        }
        schema = tagged_schema()
        return made.select(value.cast(schema[name]).alias(name) for name, value in columns.items())
