"""Tags in many scripts and languages: what the rule step and `lexical` make of them, and the stemmers by language."""

from __future__ import annotations

import polars as pl
import pytest

from instag import ConfigError, NormalizeSettings, TagTable, _core, normalize

LANGUAGES = [name for name in _core.stemmers() if name not in ("inflection", "porter", "none")]

# Words of one stem, by language.
STEMS = {
    "arabic": ["كتاب", "الكتاب"],
    "danish": ["virksomhed", "virksomheder", "virksomheden"],
    "dutch": ["boek", "boeken"],
    "english": ["translation", "translations", "translated"],
    "finnish": ["kirja", "kirjat", "kirjoja"],
    "french": ["recette", "recettes"],
    "german": ["Übersetzung", "Übersetzungen"],
    "greek": ["μετάφραση", "μεταφράσεις"],
    "hungarian": ["könyv", "könyvek", "könyvet"],
    "italian": ["traduzione", "traduzioni"],
    "norwegian": ["oversettelse", "oversettelser"],
    "portuguese": ["receita", "receitas"],
    "romanian": ["rețetă", "rețete"],
    "russian": ["перевод", "переводы", "переводов"],
    "spanish": ["traducción", "traducciones"],
    "swedish": ["översättning", "översättningar"],
    "tamil": ["புத்தகம்", "புத்தகங்கள்"],
    "turkish": ["kitap", "kitaplar"],
}


def forms(raw: list[str], stemmer: str) -> list[str]:
    table, _ = _core.rule_forms(pl.Series(raw, dtype=pl.String), stemmer, False)
    return list(pl.DataFrame(table)["form"])


def ledger(*tags: str, **settings: str) -> dict[str, tuple[str, str, str | None]]:
    """(step, into, reason) of each tag; those before are the more frequent."""
    rows = [[tag] for place, tag in enumerate(tags) for _ in range(len(tags) - place)]
    made = normalize(TagTable.from_series(pl.Series(rows)), min_count=1, skip=["association"], **settings)  # type: ignore[arg-type]
    return {
        raw: (step, into, reason) for raw, step, into, reason in made.ledger["raw", "step", "into", "reason"].rows()
    }


def test_every_language_has_words_here() -> None:
    assert sorted(STEMS) == LANGUAGES
    assert len(LANGUAGES) >= 15


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_one_stem_meet(language: str) -> None:
    assert len(set(forms(STEMS[language], language))) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_stems_are_those_of_the_reference(language: str) -> None:
    import Stemmer

    assert forms(STEMS[language], language) == Stemmer.Stemmer(language).stemWords([w.lower() for w in STEMS[language]])


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_another_script_are_left_alone(language: str) -> None:
    own = {"arabic": "كتاب", "greek": "μετάφραση", "russian": "переводы", "tamil": "புத்தகங்கள்"}
    foreign = ["数学s", "서버s", "เครือข่าย", "クラス", "מתכונים", "հայերեն", "ერთი", "हिन्दी"]
    foreign += [word for name, word in own.items() if name != language]
    foreign += ["translations"] if language in own else ["мирing"]
    assert forms(foreign, language) == foreign


def test_a_language_goes_by_its_code_too() -> None:
    assert NormalizeSettings(stemmer="de") == NormalizeSettings(stemmer="german")
    assert set(_core.stemmer_codes().values()) == set(LANGUAGES)
    for code, language in _core.stemmer_codes().items():
        assert forms(STEMS[language], code) == forms(STEMS[language], language)
    with pytest.raises(
        ConfigError, match="`stemmer` does not know 'zh'\nhint: one of inflection, porter, none, arabic"
    ):
        NormalizeSettings(stemmer="zh")


def test_the_stemmer_of_a_language_stands_in_the_ledger() -> None:
    rows = pl.Series([["Recetas"], ["Recetas"], ["receta"]])
    made = normalize(TagTable.from_series(rows), min_count=1, stemmer="es", skip=["semantic", "association"])
    assert made.ledger["into"].to_list() == ["Recetas", "Recetas"]
    assert made.ledger["by"].to_list() == [None, "spanish"]


@pytest.mark.parametrize(
    ("kept", "merged", "step", "reason"),
    [
        ("机器学习", "機器學習", "semantic", "script"),
        ("软件开发", "軟體開發", "kept", None),  # two words for software: no writing, a synonym
        ("ｗｅｂ開発", "web開発", "rule", "case"),
        ("ウェブ開発", "ｳｪﾌﾞ開発", "rule", "case"),
        ("コンピューター", "コンピュータ", "semantic", "script"),
        ("データ-分析", "データ分析", "semantic", "compound"),
        ("数据-分析", "數據分析", "semantic", "compound+script"),
        ("데이터 분석", "데이터-분석", "rule", "separators"),
        ("데이터 분석", "데이터분석", "semantic", "compound"),
        ("คณิตศาสตร์", "คณิต-ศาสตร์", "semantic", "compound"),
        ("مترجم", "\u200fمترجم\u200e", "rule", "case"),
        ("مـتـرجـم", "مترجم", "rule", "case"),
        ("کتابخانه", "كتابخانه", "semantic", "script"),
        ("می‌خواهم", "میخواهم", "rule", "case"),
        ("פייתון-3", "פייתון 3", "rule", "separators"),
        ("تعلم Python", "تعلم python", "rule", "case"),
        ("python ३", "python 3", "semantic", "script"),
        ("ПЕРЕВОД", "перевод", "rule", "case"),
        ("café", "cafe\u0301", "rule", "case"),
        ("STRASSE", "Straße", "rule", "case"),
        ("İstanbul", "i̇stanbul", "rule", "case"),
    ],
)
def test_two_writings_of_one_tag(kept: str, merged: str, step: str, reason: str | None) -> None:
    assert ledger(kept, merged)[merged] == (step, merged if step == "kept" else kept, reason)


@pytest.mark.parametrize(
    "tags",
    [
        ("日本語", "日本"),
        ("動画", "動畫"),
        ("后", "後"),
        ("ハ", "バ"),
        ("ひらがな", "ヒラガナ"),
        ("学习英语", "英语学习"),
        ("شعر", "سعر"),
        ("دروس عربية", "عربية دروس"),
        ("από αγγλικά", "προς αγγλικά"),
        ("año", "ano"),
        ("résumé", "resume"),
        ("мир", "міr"),
        ("한국어", "한국"),
    ],
)
def test_other_words_of_a_script_stay_apart(tags: tuple[str, str]) -> None:
    assert {step for step, *_ in ledger(*tags).values()} == {"kept"}


def test_a_separator_is_no_reason_of_script() -> None:
    """The words of 運用google and 運用-google are written alike, whatever their other writing would be."""
    assert ledger("運用google", "運用-google")["運用-google"] == ("semantic", "運用google", "compound")
