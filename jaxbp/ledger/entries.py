"""The rows of a ledger, and the forms in which it is written: text and Markdown."""

from typing import Any, NamedTuple

import numpy as np


class Entry(NamedTuple):
    """One number.

    Attributes:
        step: "forward", "step 1" (node errors) or "step 2" (gradients).
        name: of the number, such as d8 or dL/dw84; with several samples those of a node end in
            [sample].
        formula: in the names of other rows.
        factors: the numbers that the formula puts together.
        terms: the formula with the numbers filled in.
        value: what the hand-written passes have.
        autodiff: what `jax.grad` has; None in the forward pass.
    """

    step: str
    name: str
    formula: str
    factors: tuple[float, ...]
    terms: str
    value: float
    autodiff: float | None

    @property
    def difference(self) -> float | None:
        """value - autodiff."""
        return None if self.autodiff is None else self.value - self.autodiff


class Ledger(NamedTuple):
    """What `Trace.ledger` returns: the entries in the order in which the passes run."""

    entries: tuple[Entry, ...]

    def __getitem__(self, name: Any) -> Any:
        """The entry of that name; with a number or a slice, that of a tuple."""
        if not isinstance(name, str):
            return self.entries[name]
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(name)

    @property
    def largest_difference(self) -> float:
        """The largest | value - autodiff |, NaN if there is one."""
        return float(
            np.max(
                [abs(entry.difference) for entry in self.entries if entry.difference is not None]
            )
        )

    def rows(self) -> list[tuple[str, ...]]:
        """The entries as text: step, name, formula, terms, value, autodiff, difference."""
        return [
            (
                entry.step,
                entry.name,
                entry.formula,
                entry.terms,
                f"{entry.value:.10g}",
                "" if entry.autodiff is None else f"{entry.autodiff:.10g}",
                "" if entry.difference is None else f"{entry.difference:.1e}",
            )
            for entry in self.entries
        ]

    def to_text(self) -> str:
        """A table in columns."""
        rows = [HEADER, *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def to_markdown(self) -> str:
        """A table in Markdown."""
        lines = ["| " + " | ".join(row) + " |" for row in [HEADER, *self.rows()]]
        return "\n".join([lines[0], "|" + "---|" * len(HEADER), *lines[1:]])


HEADER = ("pass", "number", "formula", "with numbers", "value", "autodiff", "difference")
