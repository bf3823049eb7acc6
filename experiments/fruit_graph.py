"""Draw the bill for apples and oranges as a computational graph, with the effect of each price."""

from dataclasses import dataclass
from typing import Any

import jaxbp
from jaxbp import viz
from shared.experiment import Common, begin, finish, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of fruit_graph."""

    apple: float = 100.0
    """Price of an apple in yen."""
    apple_count: float = 2.0
    """Number of apples."""
    orange: float = 150.0
    """Price of an orange in yen."""
    orange_count: float = 3.0
    """Number of oranges."""
    tax: float = 1.1
    """Factor by which the tax raises the sum."""


def apples(apple: float, apple_count: float, tax: float) -> float:
    """Return the bill for apples."""
    return apple * apple_count * tax


def fruit(
    apple: float, apple_count: float, orange: float, orange_count: float, tax: float
) -> float:
    """Return the bill for apples and oranges."""
    return (apple * apple_count + orange * orange_count) * tax


def main(config: Config) -> None:
    """Trace both bills, print their graphs, draw them."""
    folder = begin(config)
    both = (config.apple, config.apple_count, config.orange, config.orange_count, config.tax)
    bills = {
        "apples": jaxbp.trace_graph(apples, config.apple, config.apple_count, config.tax),
        "apples_oranges": jaxbp.trace_graph(fruit, *both),
    }
    files: dict[str, Any] = {}
    for name, graph in bills.items():
        bill = float(graph.nodes[graph.output].value)
        title = f"{name.replace('_', ' and ')}: {bill:g} yen"
        print(f"\n{title}\n{graph}")
        if not config.quiet:
            print(f"\n{viz.graph_mermaid(graph)}")
        files[f"{name}.svg"] = viz.draw_graph(graph, title=title)
        files[f"{name}.dot"] = viz.graph_dot(graph)
    numbers = {name: [vars(node) for node in graph.nodes] for name, graph in bills.items()}
    finish(config, folder, "fruit_graph", numbers, files)


if __name__ == "__main__":
    run(main, Config)
