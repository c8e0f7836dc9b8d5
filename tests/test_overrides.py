"""Overrides: the twin's answer, the ledger, what contradicts itself, runs, real tags."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oracle
import oracle_overrides
from conftest import Instag
from instag import ConfigError, DataError, Overrides, normalize
from test_normalization import FirstLetter, check_promises, table_of, winget
from test_shards import Split, shards_of, splits

pytestmark = pytest.mark.filterwarnings("ignore::instag.memory.MemoryWarning")  # rows go to disk on purpose
WORDS = ["car", "Car", "cars", "CARS", "cab", "code", "coding", "b", "B", "bus", "d"]
NAMES = [*WORDS, "nowhere", "x y"]
rows_of_tags = st.lists(st.lists(st.sampled_from(WORDS), max_size=5), max_size=25)
groups = st.lists(st.lists(st.sampled_from(NAMES), min_size=2, max_size=3, unique=True), max_size=3)


@st.composite
def overrides(draw: st.DrawFn) -> Overrides:
    said: dict[str, Any] = {"merge": draw(groups), "apart": draw(groups)}
    said["drop"] = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    said["rename"] = draw(
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["new", "Newer", "CARS"]), max_size=2)
    )
    for key in ("rename", "drop", "merge", "apart"):
        try:
            return Overrides(**said)
        except ConfigError:
            del said[key]
    return Overrides()


@given(rows_of_tags, overrides(), st.integers(1, 4))
def test_overrides_equal_the_twin(rows: list[list[str]], said: Overrides, min_count: int) -> None:
    def known(group: Iterable[str]) -> tuple[str, ...]:
        return tuple(map(said.known_as, group))

    twin = oracle_overrides.Twin(
        rows,
        merge=list(map(known, said.merge)),
        apart=list(map(known, said.apart)),
        drop=known(said.drop),
        rename=said.rename,
    )
    twin.frequency(min_count)
    twin.by_key("rule", oracle.rule_form, lambda tag: oracle.rule_form(tag, str))
    twin.by_key("semantic", lambda name: name[:1].lower(), str)
    twin.unite()
    twin.associate(2, 0.75)
    settings: dict[str, Any] = {"min_count": min_count, "min_rule_count": 2, "min_rule_confidence": 0.75}
    settings |= {"stemmer": "porter", "merge": "paper"}
    new = {new: old for old, new in said.rename.items() if old in twin.tags}
    if any(new[name] != tag for tag, raws in twin.tags.items() for name in raws & set(new)):
        with pytest.raises(ConfigError, match="can't be called"):
            normalize(table_of(rows), embedder=FirstLetter(), **settings, overrides=said)
        return
    made = normalize(table_of(rows), embedder=FirstLetter(), **settings, overrides=said)
    expected, fates = twin.finish()
    assert [set(row) for row in made.table.to_series().to_list()] == expected
    told = pl.when(pl.col("step") != "rule").then("reason")  # what the rules tell is tested by itself
    found = {raw: fate for raw, *fate in made.ledger.select("raw", "step", "into", told).iter_rows()}
    assert found == {raw: list(fate) for raw, fate in fates.items()}


@given(rows_of_tags, overrides(), splits)
def test_shards_and_the_order_of_rows_change_nothing(rows: list[list[str]], said: Overrides, split: Split) -> None:
    settings: dict[str, Any] = {"min_count": 2, "min_rule_count": 2, "min_rule_confidence": 0.75, "stemmer": "porter"}
    settings["overrides"] = said
    try:
        made = normalize(table_of(rows), **settings)
    except ConfigError:
        assume(False)
    sharded, turned = normalize(shards_of(rows, split), **settings), normalize(table_of(rows[::-1]), **settings)
    for other in (sharded, turned):
        assert other.ledger.equals(made.ledger)
        assert other.table.vocabulary.to_list() == made.table.vocabulary.to_list()
    assert sharded.table.whole().to_series().to_list() == made.table.to_series().to_list()


def test_no_overrides_change_nothing() -> None:
    table = table_of([["car", "Cars"], ["cab"]] * 3)
    made = normalize(table, min_count=2, overrides=Overrides())
    check_promises(made, table)
    assert made.ledger.equals(normalize(table, min_count=2).ledger)


def test_each_override_shows_in_the_ledger_with_its_reason() -> None:
    rows = [["cubes", "window", "java"], ["kubernetes", "windows", "Windows"], ["kubernetes", "windows", "misc"]] * 2
    said = Overrides(
        merge=[["cubes", "kubernetes"]], apart=[["window", "windows"]], drop=["misc"], rename={"java": "Java"}
    )
    made = normalize(table_of(rows), min_count=2, stemmer="porter", overrides=said)
    assert made.ledger.select("raw", "step", "into", "reason").rows() == [
        ("kubernetes", "kept", "kubernetes", None),
        ("windows", "kept", "windows", None),
        ("Windows", "rule", "windows", "case"),
        ("cubes", "override", "kubernetes", "merge"),
        ("java", "override", "Java", "rename"),
        ("misc", "override", None, "drop"),
        ("window", "override", "window", "apart"),
    ]
    assert made.steps["step"].to_list() == ["raw", "drop", "frequency", "rule", "semantic", "merge", "association"]


def test_what_is_merged_is_counted_as_one_by_the_filter() -> None:
    rows = [["k8s"], ["kube"], ["k8s", "kube"], ["rare"], ["rare"]]
    made = normalize(table_of(rows), min_count=3, overrides=Overrides(merge=[["kube", "k8s"]]))
    assert made.table.vocabulary.to_list() == ["k8s"]
    assert made.table.counts.tolist() == [3]
    assert len(normalize(table_of(rows), min_count=4, overrides=Overrides(merge=[["kube", "k8s"]])).table.ids) == 0


def test_a_name_that_no_raw_tag_has_is_told_with_what_is_near() -> None:
    said = Overrides(merge=[["javascript", "java script"]], drop=["Misc"])
    notes = normalize(table_of([["JavaScript", "misc", "MISC"]]), min_count=1, overrides=said).notes
    assert "overrides: merge: no raw tag is `javascript`; near: `JavaScript`" in notes
    assert any(note.startswith("overrides: drop: no raw tag is `Misc`; near: `") for note in notes)
    notes = normalize(table_of([["misc", "MISC"]]), min_count=1, overrides=Overrides(drop=["misc"])).notes
    assert "overrides: drop: other spellings stay: `MISC`" in notes


def test_a_rename_to_a_tag_that_is_there_is_refused() -> None:
    table = table_of([["jay", "JavaScript", "Web", "web"], ["web"]])
    with pytest.raises(
        ConfigError, match=r"`jay` can't be called `JavaScript`, which is a tag already\nhint: .*merge = "
    ):
        normalize(table, min_count=1, overrides=Overrides(rename={"jay": "JavaScript"}))
    with pytest.raises(ConfigError, match="`jay` can't be called `Web`, which is part of the tag `web`"):
        normalize(table, min_count=1, overrides=Overrides(rename={"jay": "Web"}))
    made = normalize(table, min_count=1, overrides=Overrides(rename={"web": "Web"}))
    assert made.ledger.filter(pl.col("into") == "Web")["reason"].to_list() == ["rename", "rename"]


def test_the_new_name_stands_for_the_tag_renamed() -> None:
    said = Overrides(merge=[["js", "JavaScript"]], rename={"javascript": "JavaScript"})
    made = normalize(table_of([["js", "javascript"]]), min_count=1, overrides=said)
    assert made.table.to_series().to_list() == [["JavaScript"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('merge = [["a", "b"]]\napart = [\n  ["c", "d"],\n  ["a", "b"],\n]', "line 4: `apart`: `a` and `b` are merged"),
        ('merge = [["a", "b"], ["b", "c"]]\napart = [["a", "x", "c"]]', "line 2: `apart`: `a` and `c` are merged"),
        ('merge = [["a", "b"]]\n\ndrop = ["x",\n "a"]', "line 4: `drop`: `a` is dropped, and named by `merge`"),
        ('drop = ["a"]\n[rename]\na = "b"', "line 1: `drop`: `a` is dropped, and named by `rename`"),
        ('drop = ["a"]\napart = [["a", "b"]]', "line 1: `drop`: `a` is dropped, and named by `apart`"),
        ('merge = [["a", "b"],\n["a", "c"]]', "line 1: `merge`: `a` is merged twice, into `b` and `c`"),
        ('merge = [["a", "b"], ["b", "c"], ["c", "a"]]', "line 1: `merge`: goes in a circle: `c` -> `a` -> `b` -> `c`"),
        ('[rename]\n"a" = "b"\nb = "a"', "line 2: `rename`: `a` is called `b`, which is itself called `a`"),
        ('[rename]\na = "x"\nb = "x"', "line 3: `rename`: `a` and `b` are both called `x`\nhint: to make two tags one"),
        ('[rename]\na = "a"', "line 2: `rename`: `a` is called so already"),
        ('merge = [["a", "b"]]\n[rename]\na = "c"', "line 3: `rename`: `a` is merged into `b`"),
        ('merge = [["a", "A"]]\n[rename]\na = "A"', "line 1: `merge`: `a` and `A` are one tag by `rename`"),
        ("\nmerge = [3]", "line 2: `merge`: holds 3, must hold lists of names"),
        ("merge = 3", "line 1: `merge`: is 3, must be a list of lists"),
        ('merge = ["a", "b"]', "`merge`: holds 'a', must hold lists of names\nhint: merge = [["),
        ('merge = [["a"]]', "`merge`: ['a'] names fewer than two tags"),
        ('apart = [["a", "a"]]', "`apart`: `a` is named twice"),
        ('drop = ["a", "a"]', "`drop`: `a` is named twice"),
        ('drop = "a"', "`drop`: is 'a', must be a list of names"),
        ("drop = [1]", "`drop`: names 1, must be strings"),
        ('drop = [""]', "`drop`: names a tag without a name"),
        ("[rename]\na = 1", "line 1: `rename`: names 1, must be strings"),
        ("rename = 1", "line 1: `rename`: is 1, must be a table"),
        ('drop = []\nmegre = [["a", "b"]]', "line 2: unknown key `megre`\nhint: did you mean `merge`?"),
        ("drop = [", "is not TOML"),
    ],
)
def test_what_contradicts_itself_is_refused_by_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "overrides.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        Overrides.read(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


def test_overrides_of_another_kind_are_refused() -> None:
    with pytest.raises(DataError, match="`overrides` is a dict, must be an `Overrides`"):
        normalize(table_of([]), overrides={"drop": ["a"]})  # type: ignore[arg-type]


TAGGED = [["git", "Git", "vcs"], ["git", "svn"], ["git", "vcs"], ["svn"]]


@pytest.fixture
def run(instag: Instag, tmp_path: Path) -> Path:
    lines = [f'{{"tags": {str(tags).replace(chr(39), chr(34))}}}' for tags in TAGGED]
    (tmp_path / "tagged.jsonl").write_text("\n".join(lines))
    assert instag("import", tmp_path / "tagged.jsonl", "--run", tmp_path / "run").code == 0
    return tmp_path / "run"


def into(run: Path) -> dict[str, str | None]:
    return dict(pl.read_parquet(run / "normalize" / "ledger.parquet").select("raw", "into").iter_rows())


def test_a_run_takes_the_file_beside_it_and_is_stale_once_it_changes(instag: Instag, run: Path) -> None:
    settings = ("--min-count", 1, "--min-rule-count", 40, "--json")

    def state() -> str:
        return str(instag("show", run, "--json").json["stages"]["normalize"]["state"])

    assert instag("normalize", run, *settings).json["fresh"]
    assert into(run) == {"git": "git", "Git": "git", "svn": "svn", "vcs": "vcs"}
    (run / "overrides.toml").write_text('merge = [["svn", "vcs"]]\napart = [["git", "Git"]]')
    assert state() == "stale"
    assert "is stale" in instag("merges", run).err
    made = instag("normalize", run, *settings)
    assert "override: 2 raw tags decided by a person: svn -> vcs (merge); Git (apart)" in made.err
    assert into(run) == {"git": "git", "Git": "Git", "svn": "vcs", "vcs": "vcs"}
    assert (state(), instag("normalize", run, *settings).json["fresh"]) == ("current", False)
    (run / "overrides.toml").write_text("merge = [[]]")
    refused = instag("normalize", run, *settings)
    assert (refused.code, state()) == (1, "stale")
    assert "overrides.toml, line 1: `merge`: [] names fewer than two tags" in refused.err
    (run / "overrides.toml").unlink()
    assert instag("normalize", run, *settings).json["fresh"]


def test_a_file_named_takes_the_place_of_the_one_beside_it(instag: Instag, run: Path, tmp_path: Path) -> None:
    (run / "overrides.toml").write_text('drop = ["git"]')
    (tmp_path / "mine.toml").write_text('drop = ["svn"]')
    assert instag("normalize", run, "--min-count", 1, "--overrides", tmp_path / "mine.toml").code == 0
    assert into(run) == {"git": "git", "Git": "git", "svn": None, "vcs": "vcs"}
    (tmp_path / "mine.toml").write_text('drop = ["vcs"]')
    assert instag("show", run, "--json").json["stages"]["normalize"]["state"] == "stale"
    assert "can't be read" in instag("normalize", run, "--overrides", tmp_path / "nowhere.toml").err


def test_a_config_names_the_file_from_where_it_lies(instag: Instag, tmp_path: Path, chats: Path) -> None:
    (tmp_path / "mine.toml").write_text('drop = ["french language"]\nnot = 1')
    config = tmp_path / "job.toml"
    told = '[tag]\ntagger = "keyphrase"\n[normalize]\nmin_count = 2\noverrides = "mine.toml"\n[select]\nk = 3'
    config.write_text(f'files = ["{chats.name}"]\nrun = "r"\n{told}')
    refused = instag("run", config)
    assert f"{tmp_path / 'mine.toml'}, line 2: unknown key `not`" in refused.err
    assert not (tmp_path / "r" / "tag").exists()
    (tmp_path / "mine.toml").write_text('drop = ["french language"]')
    assert instag("run", config).code == 0


def test_real_merges_are_taken_back_and_others_made(data: Path) -> None:
    table = winget(data)
    said = Overrides(
        merge=[["oss", "open-source"], ["foss", "open-source"], ["会议", "meeting"]],
        apart=[["anime", "animation"], ["spidermonkey", "gecko", "web-browser"], ["mozilla", "web-browser"]],
        drop=["softsea", "windows"],
        rename={"prc": "China"},
    )
    made = normalize(table, stemmer="porter", overrides=said)
    plain = dict(normalize(table, stemmer="porter").ledger.select("raw", "into").iter_rows())
    assert plain["anime"] == "animation"
    assert plain["spidermonkey"] == plain["gecko"] == plain["mozilla"] == "web-browser"
    assert plain["oss"] is None  # 6 packages
    fates = {raw: (into, reason) for raw, into, reason in made.ledger.select("raw", "into", "reason").iter_rows()}
    assert fates["oss"] == fates["foss"] == ("open-source", "merge")
    assert fates["会议"] == ("meeting", "merge")
    assert fates["开会"][0] == "meeting"  # by association, as before: counts agree
    assert fates["anime"] == ("anime", "apart")
    assert fates["spidermonkey"][0] != fates["gecko"][0] != fates["web-browser"][0] != fates["mozilla"][0]
    assert fates["windows"] == (None, "drop")
    assert fates["prc"] == ("China", "rename")
    assert "China" in made.table.vocabulary
