"""`normalize --vocabulary RUN`: the stage that maps new tags through what another run decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.config import settings_from
from instag.embedders import EmbedderAccess, Lexical, resolve
from instag.errors import ArtifactError, ConfigError
from instag.network import redact
from instag.normalize_settings import NormalizeSettings
from instag.rows import renamed_parts, tag_rows, write_rows
from instag.run import Run
from instag.staging import label_of, ledger_counts, make_stage, stage_inputs
from instag.vocabulary_mapping import Vocabulary, made_by, map_to_vocabulary

if TYPE_CHECKING:
    from instag.output import Output
    from instag.progress import Talk


def vocabulary_stage(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`normalize/` as ever, and `unseen`. Reads `tag/`, and `ledger` and `tags` of the run that `vocabulary` names."""
    run = Run(path)
    access = settings_from(EmbedderAccess, said, {"answers": str(run.path / "answers.sqlite")})
    other, settings, digest = vocabulary_settings(run, said, access)
    limits = other.need("normalize")["counts"].get("limits", {})

    def make(out: Output) -> None:
        import polars as pl

        known = Vocabulary(other.table("normalize", "ledger"), other.table("normalize", "tags"), settings, limits)
        rows: Any = tag_rows(run, "tag", "queries")
        made = map_to_vocabulary(rows, known)
        write_rows(out, renamed_parts(run, "tag", made.table), single=not run.has("tag", "rows"))
        out.table("ledger", made.ledger)
        out.table("tags", pl.DataFrame({"tag": made.table.vocabulary, "count": made.table.counts}))
        out.table("unseen", made.unseen)
        out.counts |= ledger_counts(made.ledger, made.steps) | {
            "limits": limits,
            "vocabulary": {"run": str(other.path), "tags": len(known.tags), **made.drift},
        }
        out.notes += [label_of(run), *made.notes]
        if run.beside_digest("overrides.toml"):
            out.notes.append(f"overrides.toml is not applied: what `{other.path}` decided holds")

    whole = dataclasses.asdict(dataclasses.replace(settings, embedder="lexical"))
    embedder = resolve(settings.embedder)
    whole |= {"embedder": embedder.identity, "vocabulary": digest}
    if not isinstance(embedder, Lexical) and "semantic" not in settings.skip:
        by = made_by(settings, limits, embedder)
        whole["thresholds"] = [by.max_cosine_distance, by.min_differing_cosine]
    url = access.embedder_base_url
    speed = dataclasses.asdict(access) | {"embedder_base_url": redact(url) if url else None}
    inputs = stage_inputs(run, "tag") | {
        "runs": [{"path": str(other.path.absolute()), "stage": "normalize", "digest": digest}]
    }
    return make_stage(run, "normalize", whole, inputs, make, talk, speed)


def vocabulary_settings(
    run: Run, said: Mapping[str, Any], access: EmbedderAccess
) -> tuple[Run, NormalizeSettings, str]:
    """The run whose vocabulary is asked for, how it was normalized, and a digest of what that made."""
    name = said["vocabulary"]
    if not isinstance(name, str):
        raise ConfigError(f"`vocabulary` is {name!r}, must be the path of a run")
    other = Run(name)
    if other.path.resolve() == run.path.resolve():
        raise ConfigError(f"`vocabulary` is `{name}`, the run itself", hint="name another run")
    if said.get("overrides") is not None:
        hint = "put them into the vocabulary's run, and normalize that again"
        raise ConfigError("`overrides` and `vocabulary` exclude each other", hint=hint)
    manifest = other.need("normalize")
    if (state := other.state("normalize")) != "current":
        raise ArtifactError(f"`normalize` of `{name}` is {state}", hint=f"run `instag normalize {name}` first")
    if "vocabulary" in manifest["settings"]:
        hint = f"name that run: `--vocabulary {manifest['inputs']['runs'][0]['path']}`"
        raise ArtifactError(f"`normalize` of `{name}` has its vocabulary from another run", hint=hint)
    settings = _settings(name, manifest["settings"], said, access)
    return other, settings, other.digest("normalize")


def _settings(
    name: str, made_by: Mapping[str, Any], said: Mapping[str, Any], access: EmbedderAccess
) -> NormalizeSettings:
    """The settings of the vocabulary's run, none of which `said` may contradict; with an embedder that can be used."""
    known = {field.name for field in dataclasses.fields(NormalizeSettings)}
    asked = settings_from(NormalizeSettings, said)
    embedder = _embedder(name, str(made_by["embedder"]), said, access)
    for key in known - {"embedder"}:
        value = getattr(asked, key)
        value = list(value) if isinstance(value, tuple) else value
        if said.get(key) is not None and value != made_by.get(key):
            raise ConfigError(
                f"`{key}` is {value!r}, but the vocabulary of `{name}` was made with {made_by.get(key)!r}",
                hint="leave it out: new tags go through the settings of the vocabulary",
            )
    kept = {key: value for key, value in made_by.items() if key in known} | {"embedder": "lexical"}
    return dataclasses.replace(settings_from(NormalizeSettings, kept), embedder=embedder)


def _embedder(name: str, identity: str, said: Mapping[str, Any], access: EmbedderAccess) -> Any:
    """The embedder of that identity: the one said, `lexical`, or that of an endpoint."""
    asked = said.get("embedder")
    by_itself = identity if identity.startswith("openai:") and "@" not in identity else "lexical"
    embedder = resolve(
        by_itself if asked is None else asked,
        base_url=access.embedder_base_url,
        key_file=access.embedder_key_file,
        answers=access.answers,
    )
    if embedder.identity == identity:
        return embedder
    if asked is not None:
        raise ConfigError(
            f"`embedder` is `{embedder.identity}`, but the vocabulary of `{name}` was made with `{identity}`",
            hint="name the one that it was made with",
        )
    what = "normalize that run again" if identity.startswith("lexical/") else "name it with `--embedder`"
    raise ConfigError(f"the vocabulary of `{name}` was made with the embedder `{identity}`", hint=what)
