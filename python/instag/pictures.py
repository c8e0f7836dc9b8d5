"""Pictures of tables, where matplotlib is installed (the extra `pictures`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MISSING = 'no picture: matplotlib is not installed (pip install "instag[pictures]")'
# A file's bytes shall not tell when it was made, nor by which version.
_QUIET = {"Software": None}


def line_picture(
    path: str | Path, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str, x: str, y: str
) -> bool:
    """Draws lines, each a name and its x and y values, into a PNG; False, and nothing drawn, without matplotlib."""
    figure = empty_figure(7, 4)
    if figure is None:
        return False
    axes = figure.subplots()
    for name, (across, up) in series.items():
        axes.plot(across, up, label=name, linewidth=1.2)
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(frameon=False)
    saved(figure, path)
    return True


def empty_figure(width: float, height: float) -> Any:
    """A figure of so many inches that no window belongs to; None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    return Figure(figsize=(width, height), layout="constrained")


def saved(figure: Any, path: str | Path) -> None:
    """Writes a figure as PNG."""
    figure.savefig(path, format="png", dpi=120, metadata=_QUIET)
