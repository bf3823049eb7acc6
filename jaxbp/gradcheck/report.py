"""The result of a check: one row for each leaf and method, and the verdict over all of them."""

import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxbp._html import card, note, table


class Row(NamedTuple):
    """The result of one method for one leaf.

    Attributes:
        path: the leaf, as `params[1].weight`.
        method: the method that gave the expected value.
        error: the error, relative to the expected value (its norm where leaves are compared by
            norms), or the plain difference where that is below 1e-30.
        allowed: the largest error that passes.
        place: the element where the two differ most, () for a derivative along a direction.
        hand: the hand-written value there.
        expected: the expected value there.
        where: the conditions, as "float64", "under vmap" or "arguments times -1"; empty for the
            function as it was given.
        name: the name of the element in exercises, as w42; empty where there is none.
    """

    path: str
    method: str
    error: float
    allowed: float
    place: tuple[int, ...]
    hand: complex
    expected: complex
    where: str = ""
    name: str = ""

    @property
    def ok(self) -> bool:
        """Whether the error is allowed; a NaN is not."""
        return self.error <= self.allowed

    @property
    def share(self) -> float:
        """The error in units of the allowed one, NaN if it is NaN."""
        return self.error / max(self.allowed, 1e-300)

    @property
    def element(self) -> str:
        """The leaf and the element in it, with the element's other name."""
        place = f"[{', '.join(map(str, self.place))}]" if self.place else ""
        return f"{self.path}{place}{f' ({self.name})' if self.name else ''}"

    def __str__(self) -> str:
        where = f" {self.where}:" if self.where else ""
        return (
            f"{'ok   ' if self.ok else 'WRONG'}{where} {self.element}: hand {self.hand:.8g}, "
            f"{self.method} {self.expected:.8g}, relative error {self.error:.1e}, "
            f"allowed {self.allowed:.1e}"
        )


def worst_row(
    of: tuple[str, str, str],
    hand: Any,
    expected: Any,
    off: np.ndarray,
    allowed: np.ndarray,
    known: np.ndarray,
) -> Row | None:
    """Return the row of the element with the largest share of its allowed error.

    `of` are path, method and conditions. Without an element that is known there is no row.
    """
    if not known.any():
        return None
    share = np.where(np.isfinite(off), off / np.maximum(allowed, 1e-300), np.inf)
    share = np.where(known, share, -1.0)
    at = tuple(map(int, np.unravel_index(int(np.argmax(share)), share.shape)))
    mine, want = np.asarray(hand)[at].item(), np.asarray(expected)[at].item()
    scale = abs(want) if abs(want) > 1e-30 else 1.0
    path, method, where = of
    return Row(
        path, method, float(off[at]) / scale, float(allowed[at]) / scale, at, mine, want, where
    )


def worst_rows(
    of: tuple[str, str], paths: Any, hand: Any, expected: Any, limits: Any, known: Any
) -> list[Row]:
    """Return the worst row of each leaf, of the elements that are known."""
    found = [
        worst_row((path, *of), got, want, np.abs(np.asarray(got, want.dtype) - want), limit, mask)
        for path, got, want, limit, mask in zip(paths, hand, expected, limits, known, strict=True)
    ]
    return [row for row in found if row is not None]


@dataclass(frozen=True, repr=False)
class Report:
    """The verdict on a gradient or a rule; its truth value is `ok`, its `repr` the text.

    Attributes:
        rows: one for each leaf and method.
        faults: everything that is wrong, or prevented the check, beside the numbers.
        notes: the parts that were left out, and why.
        causes: explanations of a wrong gradient, the likeliest first.
    """

    rows: tuple[Row, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every row passes and nothing else is wrong."""
        return not self.faults and all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def worst(self) -> Row | None:
        """The row with the largest error in units of the allowed one, a NaN above all."""
        return max(self.rows, key=_badness, default=None)

    @property
    def share(self) -> float:
        """The largest error in units of the allowed one, NaN if it is NaN or there is no row."""
        return math.nan if self.worst is None else self.worst.share

    @property
    def summary(self) -> str:
        """The verdict in a few words: the largest error, or the first thing that is wrong."""
        if self.ok and self.share == 0:
            return "equal bit for bit"
        if self.ok:
            return f"largest error {self.share:.1g} of what rounding allows"
        return self.faults[0] if self.faults else str(next(row for row in self.rows if not row.ok))

    def raise_if_wrong(self) -> "Report":
        """Return the report, for use in a test.

        Raises:
            AssertionError: the check failed; the message is the text of the report.
        """
        if not self.ok:
            raise AssertionError(str(self))
        return self

    def to_json(self) -> str:
        """Return the report as JSON text, with null for a number that is not finite."""
        rows = [row._asdict() | {"ok": row.ok} for row in self.rows]
        content = {
            "ok": self.ok,
            "summary": self.summary,
            "rows": [{name: _plain(value) for name, value in row.items()} for row in rows],
            "faults": self.faults,
            "notes": self.notes,
            "causes": self.causes,
        }
        return json.dumps(content, allow_nan=False)

    def __str__(self) -> str:
        """Verdict, causes, wrong rows, faults, notes and right rows, in this order."""
        wrong = sorted((row for row in self.rows if not row.ok), key=_badness, reverse=True)
        lines = [
            "ok" if self.ok else "WRONG",
            *(f"cause {text}" for text in self.causes),
            *map(str, wrong),
            *(f"WRONG {text}" for text in self.faults),
            *(f"note  {text}" for text in self.notes),
            *(str(row) for row in self.rows if row.ok),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same as a table, wrong rows first."""
        header = ("leaf", "method", "relative error", "allowed", "hand", "expected", "")
        rows = [
            (
                row.element,
                f"{row.method} {row.where}".strip(),
                f"{row.error:.1e}",
                f"{row.allowed:.1e}",
                f"{row.hand:.8g}",
                f"{row.expected:.8g}",
                "✓ ok" if row.ok else "✗ WRONG",
            )
            for row in sorted(self.rows, key=lambda row: row.ok)
        ]
        title = f"{'✓' if self.ok else '✗'} {self.summary}"
        texts = (*self.causes, *self.faults, *self.notes)
        return card(title, table(header, rows), *map(note, texts))


def _badness(row: Row) -> float:
    return math.inf if math.isnan(row.error) else row.share


def _plain(value: Any) -> Any:
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def compare(root: str, hand: Any, expected: Any, method: str, allowed: list[float]) -> list[Row]:
    """Compare two pytrees of one structure leaf by leaf, by norms; return a row for each leaf.

    The expected one is in float64. Allowed is for each leaf the largest relative error that passes,
    root the beginning of the paths.
    """
    rows = []
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(hand), allowed, strict=True
    )
    for (path, right), leaf, limit in pairs:
        got, want = np.asarray(leaf, np.float64), np.asarray(right, np.float64)
        difference = np.abs(got - want)
        norm = float(np.linalg.norm(want))
        error = float(np.linalg.norm(difference)) / (norm if norm > 1e-30 else 1.0)
        index: tuple[int, ...] = ()
        if want.size:
            largest = np.unravel_index(np.argmax(difference), difference.shape)
            index = tuple(int(i) for i in largest)
        at = (float(got[index]), float(want[index])) if want.size else (0.0, 0.0)
        rows.append(Row(root + jax.tree_util.keystr(path), method, error, limit, index, *at))
    return rows
