"""Rows of a ledger, and the ledger as text and Markdown."""

from typing import Any, NamedTuple

import numpy as np

from jaxbp._text import number

HEADER = ("pass", "number", "formula", "with numbers", "value", "autodiff", "difference")


class Entry(NamedTuple):
    """One number of a pass.

    Attributes:
        step: "forward", "step 1" (node errors) or "step 2" (gradients).
        name: such as d8 or dL/dw84; with several samples, numbers of a node end in [sample].
        formula: in the names of other rows.
        factors: the numbers that the formula combines.
        terms: the formula with the numbers filled in.
        value: result of the hand-written passes.
        autodiff: result of `jax.grad` in float64; None in the forward pass.
        note: remark on the number, such as on a slope of 0.
    """

    step: str
    name: str
    formula: str
    factors: tuple[float, ...]
    terms: str
    value: float
    autodiff: float | None
    note: str = ""

    @property
    def difference(self) -> float | None:
        """value - autodiff."""
        return None if self.autodiff is None else self.value - self.autodiff


class Ledger(NamedTuple):
    """Every number of both passes, in the order in which the passes run.

    Attributes:
        entries: the rows.
        digits: significant digits of the dtype of the trace, which the texts show.
    """

    entries: tuple[Entry, ...]
    digits: int

    def __getitem__(self, name: Any) -> Any:
        """Return the entry of that name; for a number or a slice, that of the tuple."""
        if not isinstance(name, str):
            return self.entries[name]
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(name)

    @property
    def largest_difference(self) -> float:
        """The largest | value - autodiff |; NaN if one of them is."""
        differences = [entry.difference for entry in self.entries]
        return float(np.max([abs(some) for some in differences if some is not None]))

    def rows(self) -> list[tuple[str, ...]]:
        """The entries as text: step, name, formula, terms, value, autodiff, difference."""
        return [
            (
                entry.step,
                entry.name,
                entry.formula,
                f"{entry.terms}; {entry.note}" if entry.note else entry.terms,
                number(entry.value, self.digits),
                "" if entry.autodiff is None else number(entry.autodiff, self.digits),
                "" if entry.difference is None else f"{entry.difference + 0.0:.1e}",
            )
            for entry in self.entries
        ]

    def to_text(self) -> str:
        """Return a table in columns."""
        rows = [HEADER, *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def to_markdown(self) -> str:
        """Return a table in Markdown."""
        lines = ["| " + " | ".join(row) + " |" for row in [HEADER, *self.rows()]]
        return "\n".join([lines[0], "|" + "---|" * len(HEADER), *lines[1:]])
