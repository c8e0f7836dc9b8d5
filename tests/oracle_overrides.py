"""Normalization with a person's overrides again, slow and obvious: names and sets, every pair compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count as count_from

import oracle

Key = Callable[[str], object]
Fate = tuple[str, str | None, str | None]  # step, final tag, reason


class Twin:
    """The tags of now: name -> the raw tags in it."""

    def __init__(
        self,
        rows: list[list[str]],
        *,
        merge: Sequence[Sequence[str]] = (),
        apart: Sequence[Sequence[str]] = (),
        drop: Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
    ) -> None:
        self.rows = [set(row) for row in rows]
        self.counts = Counter(tag for row in self.rows for tag in row)
        self.merge, self.apart, self.dropped, self.rename = merge, apart, drop, rename or {}
        self.fates: dict[str, Fate] = {raw: ("kept", raw, None) for raw in self.counts}
        self.tags = {raw: {raw} for raw in self.counts}

    # ---- what the file says ----

    def united(self, name: str) -> set[str]:
        """All names that become one tag with this one."""
        names = {name}
        while more := {other for group in self.merge if names & set(group) for other in group} - names:
            names |= more
        return names

    def into(self, name: str) -> str:
        """The name that a merged one ends in."""
        for group in self.merge:
            if name in group[:-1]:
                return self.into(group[-1])
        return name

    def far(self, name: str) -> int:
        return next((1 + self.far(group[-1]) for group in self.merge if name in group[:-1]), 0)

    def are_apart(self, a: Iterable[str], b: Iterable[str]) -> bool:
        """Whether one of these raw tags must not meet one of those."""
        return any(
            p != q and p in self.united(x) and q in self.united(y) and self.united(x) != self.united(y)
            for x in a
            for y in b
            for group in self.apart
            for p in group
            for q in group
        )

    def is_named(self, raws: Iterable[str]) -> bool:
        return any(name in self.united(raw) for raw in raws for group in self.apart for name in group)

    # ---- steps ----

    def place(self, name: str) -> tuple[int, int, bytes]:
        return -self.counts[name], len(name), name.encode()

    def frequency(self, min_count: int) -> None:
        for raw in self.counts:
            together = self.united(raw) & set(self.counts)
            if raw in self.dropped:
                self.fates[raw] = ("override", None, "drop")
            elif self.counts[raw] < min_count and sum(bool(row & together) for row in self.rows) < min_count:
                self.fates[raw] = ("rare", None, None)
            else:
                continue
            del self.tags[raw]

    def parts(self, items: list[list[str]]) -> list[list[list[str]]]:
        """Lists of tags that would be one group, as the parts that they fall into; each by its own names first."""
        raws = [{raw for tag in item for raw in self.tags[tag]} for item in items]
        order = sorted(range(len(items)), key=lambda at: min(map(self.place, items[at])))
        found: list[list[int]] = [[]]
        for at in order:
            if self.is_named(raws[at]):
                part = next((p for p in found if not any(self.are_apart(raws[at], raws[b]) for b in p)), None)
                if part is None:
                    found.append(part := [])
                part.append(at)
        found[0] += [at for at in order if not self.is_named(raws[at])]
        return [[items[at] for at in part] for part in found]

    def step(self, step: str, groups: Iterable[list[list[str]]], names: Mapping[str, str], reason: str | None) -> None:
        """Makes tags of groups of items (lists of tags); `names` are those that a tag makes its group be called by."""
        tags: dict[str, set[str]] = {}
        left: list[str] = []
        for group in groups:
            for number, part in enumerate(self.parts(group)):
                members = [tag for item in part for tag in item]
                called = [names[tag] for tag in members if tag in names and names[tag] in self.raws(members)]
                name = min(called or members, key=self.place)
                tags[name] = self.raws(members)
                left += [name] * (number > 0)
                for raw in tags[name]:
                    if self.fates[raw][1] != name:
                        self.fates[raw] = (step, name, reason)
        for name in left:
            self.fates[name] = ("override", name, "apart")
        self.tags = tags

    def raws(self, tags: Iterable[str]) -> set[str]:
        return {raw for tag in tags for raw in self.tags[tag]}

    def by_key(self, step: str, key: Key, variant: Key) -> None:
        groups: dict[object, dict[object, list[str]]] = {}
        for tag in self.tags:
            groups.setdefault(key(tag), {}).setdefault((key(tag), variant(tag)), []).append(tag)
        # Tags of one variant that must be apart are items of their own; the others of it stay with the first of them.
        items = [[item for variants in group.values() for item in self.alone(variants)] for group in groups.values()]
        self.step(step, items, {}, None)

    def alone(self, variants: list[str]) -> list[list[str]]:
        return [[tag for item in part for tag in item] for part in self.parts([[tag] for tag in variants]) if part]

    def unite(self) -> None:
        tag_of = {raw: tag for tag, raws in self.tags.items() for raw in raws}
        groups = {tag: {tag} for tag in self.tags}
        classes = []
        for name in {self.into(name) for group in self.merge for name in group}:
            order = [name for group in self.merge for name in dict.fromkeys((*group[:-1], group[-1]))]
            alive = [raw for raw in dict.fromkeys(order) if self.into(raw) == name and raw in tag_of]
            if len(alive) > 1:
                classes.append(sorted(alive, key=lambda raw: -self.far(raw)))
        for names in classes:
            whole = set().union(*(groups[tag_of[raw]] for raw in names))
            for tag in whole:
                groups[tag] = whole
        called: dict[str, str] = {}
        distinct = {id(whole): whole for whole in groups.values()}
        for names in sorted(classes, key=lambda names: self.place(names[-1]), reverse=True):
            target = tag_of[names[-1]]
            parts = self.parts([[tag] for tag in groups[target]])
            (own,) = ([tag for item in part for tag in item] for part in parts if [target] in part)
            if sum(tag_of[raw] in own for raw in names) > 1:
                called[target] = names[-1]
        if classes:
            self.step("override", [[[tag] for tag in whole] for whole in distinct.values()], called, "merge")

    def associate(self, min_count: int, min_confidence: float) -> None:
        stayed: set[str] = set()
        for _ in count_from(1):
            tag_of = {raw: tag for tag, raws in self.tags.items() for raw in raws}
            rows = [sorted({tag_of[raw] for raw in row if raw in tag_of}) for row in self.rows]
            counts = Counter(tag for row in rows for tag in row)
            best: dict[str, tuple[float, int, bytes, str]] = {}
            for (a,), b, _, confidence in oracle.rules(rows, min_count, min_confidence):
                choice = (-confidence, counts[b], b.encode(), b)
                best[a] = min(best.get(a, choice), choice)
            while True:
                ends = {tag: self.end(tag, best, counts) for tag in self.tags}
                left = []
                for end in set(ends.values()):
                    parts = self.parts([[tag] for tag in self.tags if ends[tag] == end])
                    left += [tag for part in parts[1:] for (tag,) in part]
                if not left:
                    break
                moving = {tag for tag in left if ends[tag] != tag} or {
                    tag
                    for tag in self.tags
                    if ends[tag] in left and self.are_apart(self.tags[tag], self.tags[ends[tag]])
                }
                stayed |= moving
                best = {tag: choice for tag, choice in best.items() if tag not in moving}
            if all(tag == end for tag, end in ends.items()):
                break
            tags: dict[str, set[str]] = {}
            for tag, end in ends.items():
                tags.setdefault(end, set()).update(self.tags[tag])
                for raw in self.tags[tag] if tag != end else ():
                    self.fates[raw] = ("association", end, None)
            self.tags = tags
        for tag in stayed & set(self.tags):
            self.fates[tag] = ("override", tag, "apart")

    def end(self, tag: str, best: Mapping[str, tuple[float, int, bytes, str]], counts: Counter[str]) -> str:
        path = [tag]
        while path[-1] in best and path[-1] not in path[:-1]:
            path.append(best[path[-1]][3])
        cycle = path[path.index(path[-1]) : -1] or path[-1:]
        return min(cycle, key=lambda member: (-counts[member], member.encode()))

    def finish(self) -> tuple[list[set[str]], dict[str, Fate]]:
        for old, new in self.rename.items():
            if old in self.tags:
                for raw in self.tags[old]:
                    step, _, reason = self.fates[raw]
                    changed = raw in (old, new)
                    self.fates[raw] = ("override", new, "rename") if changed else (step, new, reason)
        rows = [{tag for raw in row if (tag := self.fates[raw][1]) is not None} for row in self.rows]
        return rows, self.fates
