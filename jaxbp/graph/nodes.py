"""What a traced function is: nodes with forward values and derivatives, and their text form."""

from dataclasses import dataclass
from typing import NamedTuple

from jax import Array

from jaxbp._html import card, table
from jaxbp._text import summary

MAX_DRAWN = 60  # nodes; more of them cannot be read in a picture
SIGNS = {
    **{"mul": "×", "add": "+", "sub": "−", "div": "÷", "neg": "−"},
    **{"integer_pow": "power", "dot_general": "matmul"},
}


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the computation.

    Attributes:
        index: its place in `Graph.nodes`.
        operation: "input", "constant", or what made it: the primitive's name, or that of a function
            with a rule.
        name: of an input, the argument and the path in it, such as `params[0].weight`; empty
            otherwise.
        parents: the indices of what it was made of, in the order of the operation's arguments.
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
        """What pictures call it: an argument's name, the sign or the name of an operation, `constant`."""
        return self.name or SIGNS.get(self.operation, self.operation)


class Graph(NamedTuple):
    """What `trace_graph` returns.

    Attributes:
        nodes: in an order in which parents come before children; inputs first, as many as the
            arguments have leaves.
        output: the index of the output's node.
    """

    nodes: tuple[Node, ...]
    output: int

    @property
    def edges(self) -> list[tuple[int, int]]:
        """The indices of parent and child of each edge; twice where an operation takes a value twice."""
        return [(parent, node.index) for node in self.nodes for parent in node.parents]

    def named(self, name: str) -> Node:
        """Returns the input of that name.

        Raises:
            ValueError: no input has this name; those that there are are listed.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes if node.name)
        raise ValueError(f"name must be one of the inputs {known}; got {name!r}")

    def __str__(self) -> str:
        """One line a node: what made it of what, its value, the output's derivative to it."""
        lines = []
        for node in self.nodes:
            made = (
                f"{node.operation}({', '.join(f'%{parent}' for parent in node.parents)})"
                if node.parents
                else ""
            )
            label = node.name or made or node.operation
            derivative = (
                ""
                if node.derivative is None
                else f"   d output / d this = {summary(node.derivative, 6, 6)}"
            )
            lines.append(f"%{node.index} {label} = {summary(node.value, 6, 6)}{derivative}")
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
