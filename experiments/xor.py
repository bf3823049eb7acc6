"""Learn exclusive or from 500 starts at once: as printed, corrected, and with the start of the PyTorch twin.

The printed program divides the gradient by the batch size twice, and so it hardly ever learns the task.
"""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, print_columns, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of xor."""

    seeds: int = 500
    """Starts of each variant, from the flag seed on."""
    epochs: int = 10_000
    """Full-batch epochs; a multiple of 1,000."""
    learning_rate: float = 0.1
    """The document's."""


EVERY = 1000  # epochs from one printed line to the next


def main(config: Config) -> None:
    """Trains the three variants, prints their success rates, draws what a network that solved it has learned."""
    import numpy as np

    import jaxbp
    from jaxbp import viz
    from support.outputs import begin, finish
    from systems.xor import INPUTS, TARGETS, VARIANTS, over_the_plane, printed_lines, train

    if config.epochs % EVERY or config.epochs == 0 or config.seeds == 0:
        raise ValueError(
            f"epochs must be a multiple of {EVERY} and seeds at least 1, got {config.epochs}, {config.seeds}"
        )
    folder = begin(config)
    seeds = range(config.seed, config.seed + config.seeds)
    found = {variant: train(variant, seeds, config.epochs, config.learning_rate, EVERY) for variant in VARIANTS}
    rows, numbers = [], {}
    for variant, runs in found.items():
        final = runs.losses[:, -1]
        below = float(np.mean(final < 0.05))
        rows.append((variant.name, f"{runs.solved.mean():.1%}", f"{np.median(final):.4f}", f"{below:.1%}"))
        numbers[variant.name] = {
            "solved": runs.solved.mean(),
            "median_loss": np.median(final),
            "loss_below_0.05": below,
        }
        if not config.quiet:
            print(f"\n{variant.name}, seed {config.seed}")
            print("\n".join(printed_lines(variant, runs.losses[0], EVERY)))
    title = f"{config.seeds} seeds, {config.epochs} epochs"
    print_columns(["", "solved", "median loss", "loss below 0.05"], rows, title)
    corrected = found[VARIANTS[1]]
    best = int(np.argmin(corrected.losses[:, -1]))
    layers = tuple(jaxbp.Layer(weight[best], bias[best]) for weight, bias in corrected.params)
    axis, outputs = over_the_plane(layers, 121)
    drawn = viz.draw_decision_map(
        axis,
        axis,
        outputs,
        points=INPUTS,
        labels=TARGETS[:, 0],
        lines=np.vstack([layers[0].weight, layers[0].bias]).T,
        title=f"2-2-1 sigmoid network, seed {seeds[best]}",
    )
    epochs = EVERY * np.arange(corrected.losses.shape[1])
    panels = {
        variant.name: {
            f"{share} % of the seeds below": (epochs, np.percentile(runs.losses, share, axis=0))
            for share in (10, 50, 90)
        }
        for variant, runs in found.items()
    }
    curves = viz.draw_panels(panels, xlabel="epoch", ylabel="mean squared error", title=title)
    figures = {"xor_boundary.png": drawn.ax.figure, "xor_losses.svg": curves.figure}
    finish(config, "xor", figures, numbers, folder)


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
