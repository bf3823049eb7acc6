"""Diagnose training: vanishing and exploding node errors, six optimizers, learning rates, decay and dropout."""

import sys
from dataclasses import dataclass

from support.command_line import Common, parse, print_columns, run


@dataclass(frozen=True)
class Config(Common):
    """Flags of diagnose."""

    steps: int = 2000
    """Training steps of the optimizers; the sweep takes a fifth of them, regularization all."""
    seeds: int = 8
    """Of the sweep over learning rates."""


def main(config: Config) -> None:
    """Measures and draws the four parts."""
    from jaxbp import viz
    from support.outputs import begin, finish
    from systems import diagnosis

    for name in ("steps", "seeds"):
        if getattr(config, name) < 5:
            raise ValueError(f"{name} must be a whole number of at least 5, got {getattr(config, name)}")
    folder = begin(config)
    flow, flow_numbers = node_error_flow(diagnosis, viz, config)
    valley, curves, optimizer_numbers = optimizers(diagnosis, viz, config)
    rates, rate_numbers = learning_rates(diagnosis, viz, config)
    regular, regular_numbers = regularization(diagnosis, viz, config)
    figures = {
        "node_error_flow.svg": flow,
        "optimizer_paths.svg": valley,
        "optimizer_losses.svg": curves,
        "learning_rates.png": rates,
        "regularization.svg": regular,
    }
    numbers = {
        "node_error_norms": flow_numbers,
        "optimizers": optimizer_numbers,
        "learning_rates": rate_numbers,
        "regularization": regular_numbers,
    }
    finish(config, "diagnose", figures, numbers, folder)


def node_error_flow(diagnosis, viz, config):  # type: ignore[no-untyped-def]
    """Norms of the node errors by layer at the largest depth, and the first layer's at every depth."""
    import numpy as np

    by_depth = {depth: diagnosis.node_error_norms(depth, 64, config.seed) for depth in diagnosis.DEPTHS}
    deepest = by_depth[diagnosis.DEPTHS[-1]]
    rows = [
        (f"{name}, {start}", *(f"{by_depth[depth][name][start][0]:.0e}" for depth in diagnosis.DEPTHS))
        for name in diagnosis.ACTIVATIONS
        for start in diagnosis.STARTS
    ]
    print_columns(["first layer / last", *diagnosis.DEPTHS], rows, "norm of the node errors at depth")
    layers = np.arange(1, diagnosis.DEPTHS[-1] + 1)
    drawn = viz.draw_panels(
        {name: {start: (layers, norms) for start, norms in starts.items()} for name, starts in deepest.items()},
        xlabel="layer",
        ylabel="norm of the node errors / last layer's",
        title=f"What reaches layer l of {layers[-1]}, width 64",
    )
    return drawn.figure, {str(depth): found for depth, found in by_depth.items()}


def optimizers(diagnosis, viz, config):  # type: ignore[no-untyped-def]
    """Six optimizers on the valley x^2 / 20 + y^2 and on the surface."""
    import numpy as np

    paths = {
        f"{name}, rate {rate:g}": diagnosis.walk_down_the_valley(name, 30) for name, rate in diagnosis.VALLEY.items()
    }
    x, y = np.linspace(-8, 8, 49), np.linspace(-3, 3, 37)
    valley = viz.draw_paths(x, y, x**2 / 20 + y[:, np.newaxis] ** 2, paths, title="30 steps on x²/20 + y² from (−7, 2)")
    samples = diagnosis.plane(config.seed, 2000)
    histories = {name: diagnosis.train_with(name, samples, config.steps, config.seed) for name in diagnosis.SURFACE}
    curves = viz.draw_curves(
        next(iter(histories.values())).step,
        {name: history.loss for name, history in histories.items()},
        ylabel="mean squared error, standardized",
        title="Six optimizers on the target surface",
    )
    rows = [
        (name, f"{np.hypot(*path[-1]):.3f}", f"{histories[name].loss[-1]:.1e}")
        for name, path in zip(diagnosis.SURFACE, paths.values(), strict=True)
    ]
    print_columns(
        ["optimizer", "distance in the valley", "loss on the surface"], rows, "after 30 steps, after all steps"
    )
    numbers = {"valley": paths, "surface": {name: history._asdict() for name, history in histories.items()}}
    return valley.figure, curves.ax.figure, numbers


def learning_rates(diagnosis, viz, config):  # type: ignore[no-untyped-def]
    """The loss by learning rate and seed."""
    import numpy as np

    rates = 10 ** np.linspace(-3, 0.5, 22)
    losses = diagnosis.sweep(
        diagnosis.plane(config.seed, 500), rates, config.seeds, max(1, config.steps // 5), config.seed
    )
    best = int(np.argmin(np.median(np.where(np.isfinite(losses), losses, np.inf), axis=0)))
    print(f"\nlearning rate with the smallest median loss over {config.seeds} seeds: {rates[best]:.3g}")
    drawn = viz.draw_heatmap(
        losses,
        rates,
        np.arange(config.seeds),
        labels=("learning rate", "seed", "mean squared error"),
        title=f"Descent for {max(1, config.steps // 5)} steps (hatched: not finite)",
    )
    return drawn.ax.figure, {"rates": rates, "losses": losses}


def regularization(diagnosis, viz, config):  # type: ignore[no-untyped-def]
    """Training and held-out loss on few noisy samples."""
    found = diagnosis.regularize(diagnosis.plane(config.seed, 100, noise=0.2), config.steps, config.seed)
    rows = [(name, f"{history.loss[-1]:.3f}", f"{history.validation_loss[-1]:.3f}") for name, history in found.items()]
    print_columns(["regularization", "train", "held out"], rows, f"100 noisy samples, {config.steps} steps of Adam")
    panels = {
        name: {"train": (history.step, history.loss), "held out": (history.step, history.validation_loss)}
        for name, history in found.items()
    }
    drawn = viz.draw_panels(panels, xlabel="step", ylabel="mean squared error", title="100 samples with noise 0.2")
    return drawn.figure, {name: history._asdict() for name, history in found.items()}


if __name__ == "__main__":
    run(main, parse(Config, sys.argv[1:], default=Config()))
