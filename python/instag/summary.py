"""What a person is told about a stage: always from its manifest, so that old and new results read the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from instag.evaluate_summary import tell_evaluate
from instag.progress import Talk, shown

_SHOWN = 40  # files or sources, before a line says how many more there are
_NAMES = 12
_WIDEST = 5


def tell(manifest: Mapping[str, Any], folder: Path, talk: Talk, *, fresh: bool) -> None:
    """Says what a finished stage holds: its tables' counts, its notes, and where its files are."""
    stage = manifest["stage"]
    how = f"made in {manifest['seconds']:.1f} s" if fresh else f"stands since {manifest['finished']}, not made again"
    talk.line(f"{stage}: {how}")
    _TELL[stage](manifest["counts"], talk)
    for note in manifest["notes"]:
        talk.line(f"  note: {note}".replace("\n", "\n  "))
    names = Counter(output["name"].split("/")[0] for output in manifest["outputs"])
    tables = {output["name"].split("/")[0] for output in manifest["outputs"] if "/part-" in output["name"]}
    told = [
        name if "." in name else f"{name} ({count:,} {'parts' if name in tables else 'files'})"
        for name, count in names.items()
    ]
    talk.line(f"  in {folder}: {', '.join(told)}")


def _tag(counts: Mapping[str, Any], talk: Talk) -> None:
    header = ["source", "schema", "rows", "samples", "queries", "rejected"]
    files = counts["files"]
    talk.table(header, [[file[name] for name in header] for file in files[:_SHOWN] if not file["refused"]])
    if len(files) > _SHOWN:
        talk.line(f"  ... and {len(files) - _SHOWN:,} more files")
    for file in files:
        if file["refused"]:
            talk.line(f"  refused: {file['path']}: {file['refused']}".replace("\n", "\n  "))
    talk.line(
        f"  {counts['records']:,} records, {counts['samples']:,} samples ({counts['duplicates']:,} exact duplicates), "
        f"{counts['rejected']:,} rejected"
    )
    distinct = "" if counts["distinct_queries"] is None else f" ({counts['distinct_queries']:,} distinct)"
    talk.line(
        f"  {counts['queries']:,} queries{distinct}: {counts['failed']:,} failed, "
        f"{counts['untagged']:,} without tags, {counts['mean_tags']:.2f} tags a query, "
        f"{counts['tags']:,} distinct raw tags"
    )
    if counts.get("asked") or counts.get("reused"):
        tokens = counts["prompt_tokens"] + counts["completion_tokens"]
        usd = "" if counts.get("cost_usd") is None else f", ${counts['cost_usd']:,.4f}"
        talk.line(
            f"  {counts['asked']:,} requests ({tokens:,} tokens{usd}); {counts['reused']:,} answers stood already"
        )
    for told in sent_told(counts.get("cut_queries", 0), counts.get("redacted_queries", 0), counts.get("redacted")):
        talk.line(f"  {told}")
    for reason, count in counts["failed_by_reason"].items():
        talk.line(f"  failed: {reason}: {count:,}")
    if counts.get("asked") and counts["failed"]:
        talk.line("  `--retry-failed` asks for those again, `--retry-failed=REASON` for some; see failures.parquet")


def sent_told(cut: int, redacted: int, kinds: Mapping[str, int] | None = None) -> list[str]:
    """What was done to queries before they were sent, a line each.

    >>> sent_told(1, 2, {"EMAIL": 3})
    ['long queries cut from the middle: 1', 'queries redacted: 2 (EMAIL 3)']
    """
    lines = [f"long queries cut from the middle: {cut:,}"] if cut else []
    if redacted:
        told = ", ".join(f"{kind} {count:,}" for kind, count in (kinds or {}).items())
        lines.append(f"queries redacted: {redacted:,}" + (f" ({told})" if told else ""))
    return lines


def _normalize(counts: Mapping[str, Any], talk: Talk) -> None:
    steps = counts["steps"]
    if known := counts.get("vocabulary"):
        _drift(known, talk)
    talk.table(["tags left after", "tags", "occurrences"], [list(step.values()) for step in steps])
    for step in ("rule", "semantic", "association", "override"):
        merges = [_fate(e) for e in counts["examples"] if e["step"] == step]
        merges += ["..."] * (counts["ledger"].get(step, 0) > len(merges))
        if merges:
            renamed = counts["ledger"][step]
            what = "decided by a person" if step == "override" else "renamed"
            talk.line(f"  {step}: {renamed:,} raw tag{'' if renamed == 1 else 's'} {what}: {'; '.join(merges)}")


def _drift(known: Mapping[str, Any], talk: Talk) -> None:
    def named(listed: list[dict[str, Any]], count: int) -> str:
        names = ", ".join(f"{shown(tag['raw'])} ({tag['count'] + tag.get('old', 0):,})" for tag in listed[:_NAMES])
        return f": {names}{', ...' if count > len(listed[:_NAMES]) else ''}" if listed else ""

    anew = known["anew"]
    talk.line(
        f"  the vocabulary of {known['run']}: {known['tags']:,} tags, {known['tags_not_met']:,} of them not met here"
    )
    talk.line(
        f"  unseen: {known['unseen_tags']:,} raw tags, {known['unseen_occurrences']:.2%} of the occurrences, in "
        f"{known['queries_with_unseen']:.2%} of the queries"
    )
    talk.line(
        f"  dropped, as the vocabulary did: {known['dropped_occurrences']:.2%} of the occurrences; "
        f"{known['queries_left_without_tags']:.2%} of the queries are left with no tag"
    )
    new, back = known["new_frequent"], anew["rare_before"]
    listed = named(known["new_frequent_listed"], new)
    talk.line(f"  unseen in {anew['min_count']:,} queries and more: {new:,}{listed}")
    talk.line(
        f"  normalized anew there would be {anew['new_tags']:,} more tags of those, and {back:,} that were too rare "
        f"before and now are not{named(anew['rare_before_listed'], back)}"
    )


def _fate(example: Mapping[str, Any]) -> str:
    raw, into, reason = example["raw"], example["into"], example.get("reason")
    if example["step"] != "override":
        return shown(f"{raw} -> {into}")
    return shown(f"{raw} ({reason})" if into in (None, raw) else f"{raw} -> {into} ({reason})")


def _analyze(counts: Mapping[str, Any], talk: Talk) -> None:
    rows = [*counts["sources"][:_SHOWN], {**counts["pool"], "source": "the whole pool"}]
    talk.table(list(rows[0]), [list({**row, "diversity": f"{row['diversity']:.1%}"}.values()) for row in rows])
    if len(counts["sources"]) > _SHOWN:
        talk.line(f"  ... and {len(counts['sources']) - _SHOWN:,} more sources")
    if wide := [
        f"{shown(r['source'])} {r['recall']:.0%}" for r in counts["recall"][:_WIDEST] if r["recall"] is not None
    ]:
        talk.line(f"  share of the other sources' tags that a source holds, on average: {', '.join(wide)}")
    for title, chosen in (("most frequent", counts["top"][:_NAMES]), ("rarest", counts["rare"][-_NAMES:])):
        told = ", ".join(f"{shown(tag['tag'])} ({tag['count']:,})" for tag in chosen)
        talk.line(f"  {title} tags: {told}")
    zipf = counts["zipf"]
    if zipf["exponent"] is not None:
        talk.line(
            f"  counts fall as rank^-{zipf['exponent']:.2f}; {zipf['half']:,} tags make half of all occurrences, "
            f"{zipf['singletons']:,} are held by one sample alone"
        )
    if counts["incomplete"]:
        talk.line(f"  {counts['incomplete']:,} samples with a failed turn are left out of complexity")


def _select(counts: Mapping[str, Any], talk: Talk) -> None:
    how = "allowed" if counts["allow_partial"] else "left out"
    partial = f"; {counts['incomplete']:,} with a failed turn {how}" if counts["incomplete"] else ""
    talk.line(f"  {counts['selected']:,} of {counts['pool']:,} samples{partial}")
    random = counts["random"]

    def row(name: str, told: Mapping[str, Any], end: str = "") -> list[object]:
        return [name, f"{told['coverage' + end]:.1%}", told["mean_tags" + end], told["mean_turns" + end]]

    talk.table(
        ["subset", "coverage", "tags a sample", "turns a sample"],
        [
            row(counts["method"], counts),
            row(f"random, mean of {random['seeds']}", random),
            row("random, standard deviation", random, "_std"),
        ],
    )


def _split(counts: Mapping[str, Any], talk: Talk) -> None:
    apart = [f"{counts['heldout']:,} held out"]
    apart += [f"{counts['seen']:,} of seen tags set apart"] if counts["seen"] else []
    apart += [f"{counts['left_out']:,} with a failed turn left out"] if counts["left_out"] else []
    talk.line(f"  {counts['pool']:,} samples in the pool; {'; '.join(apart)}")
    held = counts["held_out"]
    told = ", ".join(f"{shown(tag['tag'])} ({tag['heldout']:,})" for tag in held[:_NAMES])
    talk.line(f"  {len(held):,} of {counts['tags']:,} tags held out: {told}{', ...' if len(held) > _NAMES else ''}")
    if counts["gone_with_them"]:
        talk.line(
            f"  {counts['gone_with_them']:,} more are in no sample of the pool, since they only stand beside these"
        )


def _tagger(counts: Mapping[str, Any], talk: Talk) -> None:
    talk.line(
        f"  {counts['train']:,} queries to train on, {counts['held_out']:,} held out; of {counts['queries']:,} "
        f"{counts['repeated']:,} are repeated, {counts['failed']:,} failed, {counts['untagged']:,} have no tags"
    )


def _train(counts: Mapping[str, Any], talk: Talk) -> None:
    cut = f", {counts['cut']:,} of them cut" if counts["cut"] else ""
    skipped = counts["conversations"] - counts["trained_on"]
    talk.line(f"  {shown(counts['model'])}: {counts['trained_on']:,} conversations{cut}; {skipped:,} skipped")
    for reason, count in counts["skipped"].items():
        talk.line(f"    {count:,}: {reason}")
    talk.line(
        f"  {counts['tokens_read']:,} tokens in {counts['epochs']:,.2f} epochs, {counts['steps']:,} steps on "
        f"{counts['devices']} x {counts['device']} in {counts['precision']}; "
        f"{counts['parameters_learned']:,} parameters learned"
    )
    talk.line(f"  loss, nats a token: {counts['first_loss']:.3f} at first, {counts['last_loss']:.3f} in the last tenth")


_TELL: dict[str, Callable[[Mapping[str, Any], Talk], None]] = {
    "tag": _tag,
    "normalize": _normalize,
    "analyze": _analyze,
    "select": _select,
    "split": _split,
    "tagger": _tagger,
    "train": _train,
    "train_tagger": _train,
    "evaluate": tell_evaluate,
}
