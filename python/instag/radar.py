"""A radar picture: one corner a category, one line a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

_LOW, _HIGH = 0.0, 10.0  # grades


def radar_picture(
    path: str | Path, categories: Sequence[str], series: Mapping[str, Sequence[float]], title: str
) -> bool:
    """Draws scores from 0 to 10 by category into a PNG; False, and nothing drawn, without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    angles = [2 * math.pi * at / len(categories) for at in range(len(categories))]
    for name, values in series.items():
        axes.plot([*angles, angles[0]], [*values, values[0]], label=name, linewidth=1.2)
        axes.fill([*angles, angles[0]], [*values, values[0]], alpha=0.1)
    axes.set_xticks(angles, categories)
    axes.set_ylim(_LOW, _HIGH)
    axes.set_title(title, fontsize=10, parse_math=False)
    if len(series) > 1:
        axes.legend(frameon=False, loc="lower right")
    # A file's bytes shall not tell which version made it.
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})
    return True
