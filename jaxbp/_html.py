"""What notebooks show of a result: tables and small pictures as HTML, without a script, on light and dark pages."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLOURS = (
    "#2e7ebc",
    "#c05f12",
    "#2b8a5f",
    "#a2609f",
)  # at least 3:1 against white and against nearly black
MAX_ROWS = 60
WIDTH, HEIGHT = 260, 70


def card(title: str, *parts: str) -> str:
    """Puts markup under a title."""
    return f'<div style="overflow-x:auto"><p><b>{html.escape(title)}</b></p>{"".join(parts)}</div>'


def note(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>" if text else ""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of plain texts, the first column to the left; what is beyond 60 rows is counted."""
    more = len(rows) - MAX_ROWS

    def line(cells: Sequence[Any], tag: str) -> str:
        sides = ("left", *["right"] * (len(cells) - 1))
        style = "padding:1px 10px;font-variant-numeric:tabular-nums"
        shown = (
            f'<{tag} style="text-align:{side};{style}">{html.escape(str(cell))}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(shown)}</tr>"

    body = "".join(line(row, "td") for row in rows[:MAX_ROWS])
    head = f"<thead>{line(header, 'th')}</thead>" if header else ""
    found = f'<table style="border-collapse:collapse">{head}<tbody>{body}</tbody></table>'
    return found + note(f"and {more} more" if more > 0 else "")


def number(value: Any) -> str:
    """A number in four figures."""
    return f"{float(value) + 0.0:.4g}"  # + 0.0 makes 0 of -0


def numbers(array: Any) -> str:
    """The numbers of an array where they are few, else its shape and norm; its dtype where it has no numbers."""
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        return f"{array.dtype}{list(array.shape)}"
    values = np.asarray(array)
    if values.size <= 4:
        return ", ".join(map(number, values.ravel()))
    with np.errstate(over="ignore", invalid="ignore"):
        return f"{list(values.shape)}, norm {number(np.linalg.norm(values.astype(np.float64)))}"


def curves(lines: Mapping[str, tuple[Any, Any]], label: str) -> str:
    """Small curves over a linear axis, their values on a logarithmic one, with their names and last
    values below.

    What cannot stand on a logarithmic axis is left out. `lines` holds x and y of each by name.
    """
    kept = {}
    for name, (x, y) in lines.items():
        pair = np.column_stack([x, y]).astype(np.float64)
        pair = pair[np.isfinite(pair).all(axis=1) & (pair[:, 1] > 0)]
        if len(pair) > 1:
            kept[name] = np.column_stack([pair[:, 0], np.log10(pair[:, 1])])
    if not kept:
        return ""
    low, high = (edge(np.concatenate(list(kept.values())), axis=0) for edge in (np.min, np.max))
    size = np.where(high > low, high - low, 1.0)
    shapes, names = [], []
    for colour, (name, points) in zip(COLOURS, kept.items(), strict=False):
        places = (points - low) / size * (1, -1) * (WIDTH - 8, HEIGHT - 8) + (4, HEIGHT - 4)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last = number(10 ** points[-1, 1])
        names.append(f'<span style="color:{colour}">▬</span> {html.escape(name)}, last {last}')
    return _framed(label, shapes) + f"<p>{' &#160; '.join(names)}</p>"


def bars(values: Sequence[float], label: str) -> str:
    """A bar for each positive number, its height logarithmic; a gap for what is not one."""
    logs = [math.log10(value) if 0 < value < math.inf else None for value in values]
    known = [value for value in logs if value is not None]
    if len(values) < 2 or not known:
        return ""
    low, high = min(known), max(known)
    wide, shapes = min(30.0, (WIDTH - 8) / len(logs)), []
    for place, value in enumerate(logs):
        if value is not None:
            tall = 8 + (HEIGHT - 16) * ((value - low) / (high - low) if high > low else 1)
            shapes.append(
                f'<rect x="{4 + place * wide:.1f}" y="{HEIGHT - 4 - tall:.1f}" width="{0.8 * wide:.1f}" '
                f'height="{tall:.1f}" fill="{COLOURS[1]}"/>'
            )
    return _framed(label, shapes)


def picture(width: float, height: float, label: str, shapes: Sequence[str]) -> str:
    """An SVG of that size in pixels, smaller where the page is narrower, with its label below it."""
    return (
        f'<svg width="{width:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:100%" role="img" '
        f'aria-label="{html.escape(label)}"><title>{html.escape(label)}</title>{"".join(shapes)}</svg>{note(label)}'
    )


def _framed(label: str, shapes: Sequence[str]) -> str:
    frame = (
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="currentColor" opacity="0.3"/>'
    )
    return picture(WIDTH, HEIGHT, label, [frame, *shapes])
