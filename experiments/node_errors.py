"""Walk through both passes of a 3-4-2 sigmoid network: every value, node error, weight and bias by its number.

e is the error of a node's activation, dL/da, and d that of its preactivation, dL/dz; w84 goes from node 4 to node 8.
"""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of node_errors."""

    steps: int = 20
    """Steps of gradient descent after the walk."""
    learning_rate: float = 0.5
    """Of these steps."""


def main(config: Config) -> None:
    """Prints the ledger, the matrices and the descent; draws the walk."""
    import numpy as np

    from jaxbp import viz
    from support.outputs import begin, finish
    from systems.three_layers_of_nodes import descend, matrices, trace_of_the_walk

    folder = begin(config)
    trace = trace_of_the_walk()
    ledger = trace.ledger()
    losses = descend(config.steps, config.learning_rate)
    print(f"half squared error {float(trace.loss):.10g}\n\n{ledger.to_text()}")
    if not config.quiet:
        print("\nthe same as matrices")
        for name, matrix in matrices(trace).items():
            print(f"{name}\n{np.array2string(matrix, precision=6, suppress_small=True)}")
    print(f"\nlargest difference from jax.grad: {ledger.largest_difference:.1e}")
    shown = range(0, config.steps + 1, max(1, config.steps // 5))
    print("gradient descent: " + ", ".join(f"step {step}: {losses[step]:.6f}" for step in shown))
    walk = viz.draw_walk(trace, title="3-4-2 sigmoid network, half squared error")
    numbers = {
        "loss": trace.loss,
        "values": {entry.name: entry.value for entry in ledger.entries},
        "largest_difference": ledger.largest_difference,
        "descent": losses,
    }
    finish(config, "node_errors", {"node_errors.svg": walk.figure}, numbers, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
