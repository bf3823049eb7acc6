"""What a check says: a row for each leaf and judge, and the verdict over all of them."""

import json
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxbp._html import card, note, table


class Row(NamedTuple):
    """What one judge says of one leaf.

    Attributes:
        path: the leaf, as `params[1].weight`.
        judge: who judged it.
        error: || hand - judge || / || judge ||, or the plain difference where || judge || is below
            1e-30.
        allowed: the largest error that passes.
        place: where the two differ most, () for a directional judge.
        hand: the hand-written value there.
        expected: the judge's value there.
    """

    path: str
    judge: str
    error: float
    allowed: float
    place: tuple[int, ...]
    hand: float
    expected: float

    @property
    def ok(self) -> bool:
        """Whether the error is allowed; a NaN is not."""
        return self.error <= self.allowed

    def __str__(self) -> str:
        place = f"[{', '.join(map(str, self.place))}]" if self.place else ""
        return (
            f"{'ok   ' if self.ok else 'WRONG'} {self.path}{place}: hand {self.hand:.8g}, {self.judge} "
            f"{self.expected:.8g}, relative error {self.error:.1e}, allowed {self.allowed:.1e}"
        )


class Report(NamedTuple):
    """The verdict on a gradient or a rule.

    Attributes:
        rows: one for each leaf and judge.
        faults: what is wrong, or kept the judges from judging, beside the numbers.
        notes: what was left out, and why.
    """

    rows: tuple[Row, ...]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every row passes and nothing else is wrong."""
        return not self.faults and all(row.ok for row in self.rows)

    @property
    def worst(self) -> Row | None:
        """The row with the largest error in units of what is allowed, a NaN above all."""
        return max(
            self.rows,
            key=lambda row: math.inf if math.isnan(row.error) else row.error / row.allowed,
            default=None,
        )

    @property
    def share(self) -> float:
        """The largest error in units of what is allowed, NaN if one is NaN or there is no row."""
        return math.nan if self.worst is None else self.worst.error / self.worst.allowed

    @property
    def summary(self) -> str:
        """The verdict in a few words: how large the largest error is, or what is wrong first."""
        if self.ok and self.share == 0:
            return "equal bit for bit"
        if self.ok:
            return f"largest error {self.share:.1g} of what rounding allows"
        return self.faults[0] if self.faults else str(next(row for row in self.rows if not row.ok))

    def to_json(self) -> str:
        """The report as JSON text: verdict, faults, notes, and every row; null for a number that is not finite."""
        rows = [row._asdict() | {"ok": row.ok} for row in self.rows]
        finite = [{name: _null_unless_finite(value) for name, value in row.items()} for row in rows]
        content = {
            "ok": self.ok,
            "summary": self.summary,
            "rows": finite,
            "faults": self.faults,
            "notes": self.notes,
        }
        return json.dumps(content, allow_nan=False)

    def __str__(self) -> str:
        rows, faults, notes = (
            map(str, self.rows),
            (f"WRONG {x}" for x in self.faults),
            (f"note  {x}" for x in self.notes),
        )
        return "\n".join(["ok" if self.ok else "WRONG", *rows, *faults, *notes])

    def _repr_html_(self) -> str:
        """The same as a table, what is wrong first."""
        header = ("leaf", "judge", "relative error", "allowed", "hand", "judge has", "")
        rows = [
            (
                *(f"{row.path}{list(row.place) if row.place else ''}", row.judge),
                *(
                    f"{row.error:.1e}",
                    f"{row.allowed:.1e}",
                    f"{row.hand:.8g}",
                    f"{row.expected:.8g}",
                ),
                "✓ ok" if row.ok else "✗ WRONG",
            )
            for row in sorted(self.rows, key=lambda row: row.ok)
        ]
        title = f"{'✓' if self.ok else '✗'} {self.summary}"
        return card(title, table(header, rows), *map(note, (*self.faults, *self.notes)))


def _null_unless_finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def compare(root: str, hand: Any, expected: Any, judge: str, allowed: list[float]) -> list[Row]:
    """Compares two pytrees of one structure leaf by leaf, normwise.

    Args:
        root: what the paths of the leaves start with.
        hand: the tree under judgement.
        expected: the judge's tree, in float64.
        judge: who judges.
        allowed: for each leaf the largest relative error that passes.

    Returns:
        One row for each leaf.
    """
    rows = []
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(hand), allowed, strict=True
    )
    for (path, right), leaf, limit in pairs:
        if (
            right.dtype == jax.dtypes.float0
        ):  # the cotangent of an integer: there is nothing to compare
            continue
        got, want = np.asarray(leaf, np.float64), np.asarray(right, np.float64)
        difference = np.abs(got - want)
        norm = float(np.linalg.norm(want))
        error = float(np.linalg.norm(difference)) / (norm if norm > 1e-30 else 1.0)
        index = (
            tuple(int(i) for i in np.unravel_index(np.argmax(difference), difference.shape))
            if want.size
            else ()
        )
        row = Row(
            root + jax.tree_util.keystr(path),
            judge,
            error,
            limit,
            index,
            float(got[index]),
            float(want[index]),
        )
        rows.append(row)
    return rows
