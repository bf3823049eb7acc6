"""Draw the bill for apples and oranges as a computational graph, with the effect of each price."""

from shared.experiment import Common, begin, finish, run

from typing import Any

import jaxbp
from jaxbp import viz


def apples(apple: float, apple_count: float, tax: float) -> float:
    """Return the bill for apples."""
    return apple * apple_count * tax


def fruit(
    apple: float, apple_count: float, orange: float, orange_count: float, tax: float
) -> float:
    """Return the bill for apples and oranges."""
    return (apple * apple_count + orange * orange_count) * tax


def main(config: Common) -> None:
    """Trace both bills, print their graphs, draw them."""
    folder = begin(config)
    bills = {
        "apples": jaxbp.trace_graph(apples, 100.0, 2.0, 1.1),
        "apples_oranges": jaxbp.trace_graph(fruit, 100.0, 2.0, 150.0, 3.0, 1.1),
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
    run(main, Common)
