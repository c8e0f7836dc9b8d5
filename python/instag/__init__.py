"""#InsTag, complete and open: tag -> normalize -> analyze -> select -> train -> evaluate.

Everything below is imported at first use, so that `import instag` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instag.agreement import Agreement, AgreeSettings, agree
    from instag.analysis import Analysis, analyze
    from instag.errors import ArtifactError, ConfigError, DataError, InstagError, OutOfMemoryError, ProviderError
    from instag.importing import scan_tags
    from instag.itemsets import association_rules, frequent_itemsets
    from instag.keyphrase import KeyphraseTagger
    from instag.normalization import Normalization, normalize
    from instag.normalize_settings import NormalizeSettings
    from instag.overrides import Overrides
    from instag.reading import Pool, read, read_parts
    from instag.selection import Selection, SelectSettings, select
    from instag.shards import TagShards
    from instag.table import TagTable
    from instag.tagger import Tagger
    from instag.tagging import Tagging, tag, tag_parts
    from instag.vocabulary_mapping import Vocabulary, VocabularyMapping, map_to_vocabulary

# name -> the module that holds it. A stage's module is named by the noun, so that no module hides a function.
_HOME = {
    "AgreeSettings": "agreement",
    "Agreement": "agreement",
    "agree": "agreement",
    "Analysis": "analysis",
    "ArtifactError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "InstagError": "errors",
    "OutOfMemoryError": "errors",
    "ProviderError": "errors",
    "KeyphraseTagger": "keyphrase",
    "Normalization": "normalization",
    "NormalizeSettings": "normalize_settings",
    "normalize": "normalization",
    "Overrides": "overrides",
    "Pool": "reading",
    "read": "reading",
    "read_parts": "reading",
    "SelectSettings": "selection",
    "Selection": "selection",
    "TagShards": "shards",
    "TagTable": "table",
    "Tagger": "tagger",
    "Tagging": "tagging",
    "tag": "tagging",
    "tag_parts": "tagging",
    "Vocabulary": "vocabulary_mapping",
    "VocabularyMapping": "vocabulary_mapping",
    "map_to_vocabulary": "vocabulary_mapping",
    "analyze": "analysis",
    "association_rules": "itemsets",
    "frequent_itemsets": "itemsets",
    "scan_tags": "importing",
    "select": "selection",
}

__all__ = [
    "AgreeSettings",
    "Agreement",
    "Analysis",
    "ArtifactError",
    "ConfigError",
    "DataError",
    "InstagError",
    "KeyphraseTagger",
    "Normalization",
    "NormalizeSettings",
    "OutOfMemoryError",
    "Overrides",
    "Pool",
    "ProviderError",
    "SelectSettings",
    "Selection",
    "TagShards",
    "TagTable",
    "Tagger",
    "Tagging",
    "Vocabulary",
    "VocabularyMapping",
    "agree",
    "analyze",
    "association_rules",
    "frequent_itemsets",
    "map_to_vocabulary",
    "normalize",
    "read",
    "read_parts",
    "scan_tags",
    "select",
    "tag",
    "tag_parts",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("instag._core").__version__
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'instag' has no attribute {name!r}")
    value = getattr(import_module(f"instag.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
