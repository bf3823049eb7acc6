"""Tables of results for notebooks, without scripts, on light and dark pages."""

import html
from collections.abc import Sequence
from typing import Any

from jaxbp._text import clean
from jaxbp._text import number as number

MAX_ROWS = 60


def card(title: str, *parts: str) -> str:
    """Put markup under a title."""
    return f'<div style="overflow-x:auto"><p><b>{_escaped(title)}</b></p>{"".join(parts)}</div>'


def note(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{_escaped(text)}</p>" if text else ""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table of plain texts, the first column to the left; rows beyond 60 are counted."""

    def line(cells: Sequence[Any], tag: str) -> str:
        style = "padding:1px 10px;font-variant-numeric:tabular-nums"
        sides = ("left", *["right"] * (len(cells) - 1))
        shown = (
            f'<{tag} style="text-align:{side};{style}">{_escaped(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(shown)}</tr>"

    body = "".join(line(row, "td") for row in rows[:MAX_ROWS])
    head = f"<thead>{line(header, 'th')}</thead>" if header else ""
    found = f'<table style="border-collapse:collapse">{head}<tbody>{body}</tbody></table>'
    more = len(rows) - MAX_ROWS
    return found + note(f"and {more} more" if more > 0 else "")


def _escaped(text: object) -> str:
    return html.escape(clean(text))
