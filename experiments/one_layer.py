"""Train one sigmoid layer with the mean squared error, beside the document's rule without the upstream gradient."""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, print_columns, print_table, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of one_layer."""

    steps: int = 5000
    """Steps of gradient descent."""
    learning_rate: float = 0.1
    """The document's."""


def main(config: Config) -> None:
    """Compares the two gradients, trains by both, draws both losses."""
    import numpy as np

    from jaxbp import viz
    from support.outputs import begin, finish
    from systems.one_layer import INPUTS, TARGETS, study

    folder = begin(config)
    found = study(config.seed, config.steps, config.learning_rate)
    names = ["dL/dw1", "dL/dw2", "dL/db"]
    hand, printed = ([*gradient[0].weight[:, 0], gradient[0].bias[0]] for gradient in (found.hand, found.printed))
    rows = [(name, f"{a:.6f}", f"{b:.6f}") for name, a, b in zip(names, hand, printed, strict=True)]
    print_columns(["at the start", "chain rule", "as printed"], rows, "gradient of the mean squared error")
    print_table(
        {
            "hand-written − jax.grad": f"at most {found.autodiff:.1e}",
            "printed rule, angle": f"{found.difference.angle:.1f} degrees from the gradient",
            "printed rule, length": f"{found.difference.ratio:.2f} times the gradient's",
        },
        "checks",
    )
    points = zip(INPUTS, TARGETS[:, 0], *found.outputs.values(), strict=True)
    answers = [(f"{x[0]:g} or {x[1]:g}", f"{y:g}", f"{a:.3f}", f"{b:.3f}") for x, y, a, b in points]
    print_columns(["inputs", "target", *found.outputs], answers, f"after {config.steps} steps")
    curves = viz.draw_curves(
        np.arange(config.steps + 1),
        found.losses,
        ylabel="mean squared error",
        title="One sigmoid layer learns a disjunction",
    )
    losses = {name: values[:: max(1, config.steps // 100)] for name, values in found.losses.items()}
    numbers = found._asdict() | {"difference": found.difference._asdict(), "losses": losses}
    finish(config, "one_layer", {"one_layer.svg": curves.ax.figure}, numbers, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
