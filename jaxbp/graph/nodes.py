"""A traced function: nodes with forward values and derivatives, and their text form."""

from dataclasses import dataclass
from typing import NamedTuple

from jax import Array

from jaxbp._html import card, table
from jaxbp._text import summary

MAX_DRAWN = 60  # nodes; more of them cannot be read in a picture
SIGNS = {
    "mul": "×",
    "add": "+",
    "sub": "−",
    "div": "÷",
    "neg": "−",
    "integer_pow": "power",
    "dot_general": "matmul",
}


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the computation.

    Attributes:
        index: its place in `Graph.nodes`.
        operation: "input", "constant", the primitive's name, or that of a function with a rule.
        name: of an input, the argument and the path in it, such as `params[0].weight`; empty
            otherwise.
        parents: the indices of the operation's arguments, in their order.
        value: the forward value.
        derivative: d output / d value, of the value's shape; None where the value is not of a
            floating dtype.
    """

    index: int
    operation: str
    name: str
    parents: tuple[int, ...]
    value: Array
    derivative: Array | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.value.shape

    @property
    def label(self) -> str:
        """Its name in pictures: that of an argument or an operation, or `constant`."""
        return self.name or SIGNS.get(self.operation, self.operation)


class Graph(NamedTuple):
    """A computational graph, as returned by `trace_graph`.

    Attributes:
        nodes: in an order in which parents come before children; inputs first, as many as the
            arguments have leaves.
        output: the index of the output's node.
    """

    nodes: tuple[Node, ...]
    output: int

    @property
    def edges(self) -> list[tuple[int, int]]:
        """Indices of parent and child of each edge; a value taken twice has two edges."""
        return [(parent, node.index) for node in self.nodes for parent in node.parents]

    def named(self, name: str) -> Node:
        """Return the input of that name.

        Raises:
            ValueError: no input has this name; those that there are are listed.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes if node.name)
        raise ValueError(f"name must be one of the inputs {known}; got {name!r}")

    def __str__(self) -> str:
        """One line a node: operation and arguments, value, the output's derivative to it."""
        lines = []
        for node in self.nodes:
            of = ", ".join(f"%{parent}" for parent in node.parents)
            label = node.name or (f"{node.operation}({of})" if of else node.operation)
            line = f"%{node.index} {label} = {summary(node.value, 6, 6)}"
            if node.derivative is not None:
                line += f"   d output / d this = {summary(node.derivative, 6, 6)}"
            lines.append(line)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The same as a table."""
        header = ("node", "operation", "of", "value", "d output / d this")
        rows = []
        for node in self.nodes:
            of = ", ".join(f"%{parent}" for parent in node.parents)
            derivative = "" if node.derivative is None else summary(node.derivative)
            name = f"%{node.index} {node.name}".rstrip()
            rows.append((name, node.operation, of, summary(node.value), derivative))
        title = f"computational graph of {len(rows)} nodes, output %{self.output}"
        return card(title, table(header, rows))
