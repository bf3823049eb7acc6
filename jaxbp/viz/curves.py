"""Curves over steps or seconds, labelled where they end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import CYCLE, DASHES, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Curves:
    """What `draw_curves` drew: the axes, a line for each curve and one for each reference."""

    ax: "Axes"
    lines: dict[str, Any]
    references: dict[str, Any]


def draw_curves(
    x: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    xlabel: str = "step",
    ylabel: str = "loss",
    title: str = "",
    references: Mapping[str, float] | None = None,
    ax: "Axes | None" = None,
) -> Curves:
    """Draws positive curves over a common abscissa, on a logarithmic axis, each labelled at its end.

    Args:
        x: (n,).
        curves: by label, (n,) each; NaN, infinite and non-positive values leave gaps.
        xlabel: of the abscissa, with its unit.
        ylabel: of the ordinate, with its unit.
        title: above the panel.
        references: levels to compare with, by label, as dotted lines.
        ax: where to draw; a new figure unless given.

    Returns:
        The artists.

    Raises:
        ValueError: a curve has another length than x.
    """
    for label, values in curves.items():
        if np.shape(values) != np.shape(x):
            raise ValueError(f"curve {label!r} must have shape {np.shape(x)} like x, got {np.shape(values)}")
    with style():
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=(6.4, 4.0), layout="constrained").subplots()
        ax.set(yscale="log", xlabel=xlabel, ylabel=ylabel, title=title)
        ax.grid(alpha=0.25, linewidth=0.6)
        levels = {
            label: ax.axhline(level, color="0.35", linestyle=":", linewidth=1.2)
            for label, level in (references or {}).items()
        }
        lines, ends = {}, []
        for i, (label, values) in enumerate(curves.items()):
            shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
            marker = "o" if np.isfinite(shown).sum() == 1 else None
            colour, dashes = CYCLE[i % len(CYCLE)], DASHES[i % len(DASHES)]
            (lines[label],) = ax.plot(x, shown, color=colour, linestyle=dashes, linewidth=1.6, marker=marker)
            last = np.flatnonzero(np.isfinite(shown))
            if last.size:
                ends.append((float(shown[last[-1]]), label, colour))
        ends += [(level, label, "0.35") for label, level in (references or {}).items()]
        _label_ends(ax, ends)
    return Curves(ax, lines, levels)


def _label_ends(ax: "Axes", ends: list[tuple[float, str, str]]) -> None:
    """Writes each label to the right of the axes at its curve's last value, moved apart where they would overlap."""
    if not ends:
        return
    low, high = np.log10(ax.get_ylim())
    gap = 0.055  # of the height of the axes: a line of 9-point text in a panel of three inches
    place = -np.inf
    for value, label, colour in sorted(ends):
        place = max((np.log10(value) - low) / (high - low), place + gap)
        ax.annotate(
            label, (1.01, place), xycoords="axes fraction", color=colour, fontsize=9, va="center", annotation_clip=False
        )
