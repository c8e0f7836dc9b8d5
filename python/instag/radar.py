"""A radar picture: a score for each of some categories, as a shape a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from instag.pictures import empty_figure, saved

_HIGHEST = 10


def radar_picture(
    path: str | Path, categories: Sequence[str], series: Mapping[str, Sequence[float]], *, title: str
) -> bool:
    """Draws scores from 0 to 10 around a circle into a PNG; False, and nothing drawn, without matplotlib."""
    figure = empty_figure(6, 6)
    if figure is None:
        return False
    angles = np.linspace(0, 2 * np.pi, len(categories), endpoint=False)
    axes = figure.subplots(subplot_kw={"projection": "polar"})
    for name, values in series.items():
        axes.plot([*angles, angles[0]], [*values, values[0]], label=name, linewidth=1.4)
        axes.fill([*angles, angles[0]], [*values, values[0]], alpha=0.12)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_xticks(angles, labels=list(categories), parse_math=False)
    axes.set_ylim(0, _HIGHEST)
    axes.set_title(title, fontsize=10, parse_math=False)
    if len(series) > 1:
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.1, -0.1))
    saved(figure, path)
    return True
