"""Buy apples and oranges with tax, as a computational graph: what each price does to the bill."""

from dataclasses import dataclass
from typing import Any

import jaxbp
from common import Common, begin, finish, run
from jaxbp import viz


@dataclass(frozen=True)
class Config(Common):
    """Flags of fruit_graph."""

    apple: float = 100.0
    """Price of an apple."""
    apple_count: float = 2.0
    """Number of apples."""
    orange: float = 150.0
    """Price of an orange."""
    orange_count: float = 3.0
    """Number of oranges."""
    tax: float = 1.1
    """Factor by which the tax raises the sum."""


def apples(apple: float, apple_count: float, tax: float) -> float:
    """The bill for apples."""
    return apple * apple_count * tax


def fruit(
    apple: float, apple_count: float, orange: float, orange_count: float, tax: float
) -> float:
    """The bill for apples and oranges."""
    return (apple * apple_count + orange * orange_count) * tax


def main(config: Config) -> None:
    """Traces both bills, prints their graphs, draws them."""
    folder = begin(config)
    both = (config.apple, config.apple_count, config.orange, config.orange_count, config.tax)
    bills = {
        "apples": jaxbp.trace_graph(apples, config.apple, config.apple_count, config.tax),
        "apples_oranges": jaxbp.trace_graph(fruit, *both),
    }
    files: dict[str, Any] = {}
    for name, graph in bills.items():
        title = f"{name.replace('_', ' and ')}: {float(graph.nodes[graph.output].value):g}"
        print(f"\n{title}\n{graph}")
        if not config.quiet:
            print(f"\n{viz.graph_mermaid(graph)}")
        files |= {
            f"{name}.svg": viz.draw_graph(graph, title=title).figure,
            f"{name}.dot": viz.graph_dot(graph),
        }
    numbers = {name: [vars(node) for node in graph.nodes] for name, graph in bills.items()}
    finish(config, folder, "fruit_graph", numbers, files)


if __name__ == "__main__":
    run(main, Config)
