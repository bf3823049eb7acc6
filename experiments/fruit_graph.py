"""Buy apples and oranges with tax, as a computational graph: what each price does to the bill."""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of fruit_graph."""

    apple: float = 100.0
    """The price of an apple."""
    apple_count: float = 2.0
    """How many apples."""
    orange: float = 150.0
    """The price of an orange."""
    orange_count: float = 3.0
    """How many oranges."""
    tax: float = 1.1
    """What the sum is multiplied by."""


def apples(apple: float, apple_count: float, tax: float) -> float:
    """The bill for apples."""
    return apple * apple_count * tax


def fruit(apple: float, apple_count: float, orange: float, orange_count: float, tax: float) -> float:
    """The bill for apples and oranges."""
    return (apple * apple_count + orange * orange_count) * tax


def main(config: Config) -> None:
    """Traces both bills, prints their graphs, draws them."""
    import jaxbp
    from jaxbp import viz
    from support.outputs import begin, finish

    folder = begin(config)
    bills = {
        "apples": jaxbp.trace_graph(apples, config.apple, config.apple_count, config.tax),
        "apples_oranges": jaxbp.trace_graph(
            fruit, config.apple, config.apple_count, config.orange, config.orange_count, config.tax
        ),
    }
    figures, numbers = {}, {}
    for name, graph in bills.items():
        print(f"\n{name.replace('_', ' and ')}: {float(graph.nodes[graph.output].value):g}\n{graph}")
        if not config.quiet:
            print(f"\n{viz.graph_mermaid(graph)}")
        figures[f"{name}.svg"] = viz.draw_graph(graph).ax.figure
        numbers[name] = [vars(node) for node in graph.nodes]
    finish(config, "fruit_graph", figures, numbers, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
