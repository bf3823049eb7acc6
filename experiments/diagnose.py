"""Diagnose training: vanishing and exploding node errors, six optimizers, learning rates, decay and dropout."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

import data
import jaxbp
from common import Common, begin, finish, print_columns, run
from jaxbp import viz
from jaxbp.training import Batch, Solver, named_optimizer
from jaxbp.viz import Grid


@dataclass(frozen=True)
class Config(Common):
    """Flags of diagnose."""

    steps: int = 2000
    """Training steps of the optimizers; the sweep takes a fifth of them, regularization all."""
    seeds: int = 8
    """Number of starts in the sweep over learning rates."""


ACTIVATIONS = ("sigmoid", "tanh", "relu")
STARTS = {  # the book's four: scheme and scale
    **{"normal, 1": ("normal", 1.0), "normal, 0.01": ("normal", 0.01)},
    **{"Glorot": ("glorot", None), "He": ("he", None)},
}
DEPTHS = (2, 3, 5, 8, 12, 18, 24, 30)
RATES = {  # on x^2 / 20 + y^2, the book's where it has them, and on the surface
    **{"sgd": (0.95, 0.02), "momentum": (0.1, 5e-3), "nesterov": (0.1, 5e-3)},
    **{"adagrad": (1.5, 0.02), "rmsprop": (0.3, 1e-3), "adam": (0.3, 2e-3)},
}
REGULARIZED = {
    "none": (0.0, 0.0),
    "weight decay 0.003": (0.003, 0.0),
    "dropout 0.1": (0.0, 0.1),
}  # decay, dropout

Part = tuple[dict[str, Any], Any]  # figures by file name, numbers


def main(config: Config) -> None:
    """Measures and draws the four parts."""
    folder = begin(config, steps=5, seeds=5)
    parts = {
        "node_error_norms": node_error_flow(config),
        "optimizers": optimizers(config),
        "learning_rates": learning_rates(config),
        "regularization": regularization(config),
    }
    figures = {name: figure for drawn, _ in parts.values() for name, figure in drawn.items()}
    finish(
        config, folder, "diagnose", {name: numbers for name, (_, numbers) in parts.items()}, figures
    )


def node_error_flow(config: Config) -> Part:
    """Norms of the node errors by layer at the largest depth, and the first layer's at every depth."""
    by_depth = {depth: node_error_norms(depth, 64, config.seed) for depth in DEPTHS}
    deepest = by_depth[DEPTHS[-1]]
    pairs = [(name, start) for name in ACTIVATIONS for start in STARTS]
    rows = [
        (f"{a}, {start}", *(f"{found[a][start][0]:.0e}" for found in by_depth.values()))
        for a, start in pairs
    ]
    print_columns(
        ["first layer / last", *map(str, DEPTHS)], rows, "norm of the node errors at depth"
    )
    layers, title = np.arange(1, DEPTHS[-1] + 1), f"What reaches layer l of {DEPTHS[-1]}, width 64"
    panels = {
        name: {start: (layers, norms) for start, norms in starts.items()}
        for name, starts in deepest.items()
    }
    drawn = viz.draw_panels(
        panels, xlabel="layer", ylabel="norm of the node errors / last layer's", title=title
    )
    return {"node_error_flow.svg": drawn.figure}, by_depth


def node_error_norms(depth: int, width: int, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """The norms (depth,) of the node errors over the last layer's, by activation and start, for 64 normal samples."""
    generator = np.random.RandomState(seed)
    inputs, targets = generator.randn(64, width), generator.randn(64, 1)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in ACTIVATIONS:
        mlp = jaxbp.Mlp((width,) * depth + (1,), hidden=name)
        starts = [
            jaxbp.init(mlp, jax.random.key(seed), scheme, scale=scale)
            for scheme, scale in STARTS.values()
        ]

        def norms(params: jaxbp.Params, mlp: jaxbp.Mlp = mlp) -> Array:
            trace = jaxbp.backprop(mlp, params, inputs, targets)
            return jnp.stack([jnp.linalg.norm(error) for error in trace.node_errors])

        # All starts at once: compiling thirty layers takes longer than running them.
        together = np.asarray(
            jax.jit(jax.vmap(norms))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts))
        )
        found[name] = {label: row / row[-1] for label, row in zip(STARTS, together, strict=True)}
    return found


def optimizers(config: Config) -> Part:
    """Six optimizers on the valley x^2 / 20 + y^2 and on the surface."""
    paths = {
        f"{name}, rate {rate:g}": walk_down_the_valley(name, rate, 30)
        for name, (rate, _) in RATES.items()
    }
    grid = Grid(np.linspace(-8, 8, 49), np.linspace(-3, 3, 37))
    valley = viz.draw_paths(
        grid, height(grid.points.T), paths, title="30 steps on x²/20 + y² from (−7, 2)"
    )
    train, _ = plane(config.seed, 2000)
    solvers = {
        name: jaxbp.first_order(named_optimizer(name, rate)) for name, (_, rate) in RATES.items()
    }
    found = {
        name: learn(config, "sine", "sine", solver, train, batch_size=200)
        for name, solver in solvers.items()
    }
    losses = {name: history["loss"] for name, history in found.items()}
    title, ylabel = "Optimizers on the target surface", "mean squared error, standardized"
    curves = viz.draw_curves(found["sgd"]["step"], losses, ylabel=ylabel, title=title)
    ends = zip(losses.items(), paths.values(), strict=True)
    rows = [(name, f"{np.hypot(*path[-1]):.3f}", f"{loss[-1]:.1e}") for (name, loss), path in ends]
    print_columns(
        ["optimizer", "distance in the valley", "loss on the surface"],
        rows,
        f"30 and {config.steps} steps",
    )
    figures = {"optimizer_paths.svg": valley.figure, "optimizer_losses.svg": curves.figure}
    return figures, {"valley": paths, "surface": found}


def height(point: Any) -> Any:
    """The valley x^2 / 20 + y^2."""
    return point[0] ** 2 / 20 + point[1] ** 2


def walk_down_the_valley(name: str, rate: float, steps: int) -> np.ndarray:
    """The path of an optimizer from (-7, 2), (steps + 1, 2)."""
    optimizer, start = named_optimizer(name, rate), jnp.array([-7.0, 2.0])

    def step(carry: Any, _: Any) -> tuple[Any, Array]:
        point, state = carry
        updates, state = optimizer.update(jax.grad(height)(point), state, point)
        return (optax.apply_updates(point, updates), state), point

    return np.asarray(jax.lax.scan(step, (start, optimizer.init(start)), length=steps + 1)[1])


def plane(seed: int, num_samples: int, noise: float = 0.0) -> tuple[Batch, Batch]:
    """Samples of the target surface to train on, with noise on the targets, and to hold out: standardized, float32."""
    surface, generator = data.surface("target"), np.random.RandomState(seed)
    train, held_out = (
        data.sample_surface(surface, size, generator).train for size in (num_samples, 2000)
    )
    mlp = jaxbp.Mlp((2, 1))
    model = jaxbp.Model.for_data(mlp, jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32), *train)
    (inputs, targets), others = model.standardize(*train), model.standardize(*held_out)
    noisy = targets + noise * generator.randn(*targets.shape).astype(np.float32)
    return Batch(jnp.asarray(inputs), jnp.asarray(noisy)), Batch(*map(jnp.asarray, others))


def learning_rates(config: Config) -> Part:
    """The loss by learning rate and seed."""
    rates, steps = 10 ** np.linspace(-3, 0.5, 22), max(1, config.steps // 5)
    found = sweep(plane(config.seed, 500)[0], rates, config.seeds, steps, config.seed)
    best = int(np.argmin(np.median(np.where(np.isfinite(found), found, np.inf), axis=0)))
    print(
        f"\nlearning rate with the smallest median loss over {config.seeds} seeds: {rates[best]:.3g}"
    )
    drawn = viz.draw_heatmap(
        Grid(rates, np.arange(config.seeds)),
        found.ravel(),
        labels=("learning rate", "seed", "mean squared error"),
        title=f"Descent for {steps} steps (hatched: diverged)",
    )
    return {"learning_rates.png": drawn.figure}, {"rates": rates, "losses": found}


def sweep(train: Batch, rates: np.ndarray, seeds: int, steps: int, seed: int) -> np.ndarray:
    """The loss after full-batch descent for every learning rate and seed at once (seeds, rates), NaN if it diverged."""
    mlp = jaxbp.Mlp((2, 32, 32, 1), hidden="tanh")
    keys = jnp.repeat(jax.random.split(jax.random.key(seed), seeds), len(rates))
    fits = jaxbp.fit_many(
        mlp,
        jax.vmap(partial(jaxbp.init, mlp, dtype=jnp.float32))(keys),
        train,
        steps=steps,
        solver=jaxbp.first_order(optax.sgd, learning_rate=np.tile(np.float32(rates), seeds)),
        record_every=steps,
    )
    return np.where(fits.diverged, np.nan, fits.loss[-1]).reshape(seeds, len(rates))


def regularization(config: Config) -> Part:
    """Training and held-out loss on few noisy samples, without and with each of the two."""
    train, held_out = plane(config.seed, 100, noise=0.2)
    found = {}
    for name, (decay, dropout) in REGULARIZED.items():
        optimizer = named_optimizer("adam", 3e-3)
        solver = jaxbp.first_order(optimizer, weight_decay=decay, dropout=dropout)
        found[name] = learn(config, "relu", "he", solver, train, validation=held_out)
    keys = {"train": "loss", "held out": "validation_loss"}
    rows = [
        (name, *(f"{history[key][-1]:.3f}" for key in keys.values()))
        for name, history in found.items()
    ]
    print_columns(
        ["regularization", "train", "held out"],
        rows,
        f"100 noisy samples, {config.steps} steps of Adam",
    )
    panels = {
        name: {label: (history["step"], history[key]) for label, key in keys.items()}
        for name, history in found.items()
    }
    drawn = viz.draw_panels(
        panels, xlabel="step", ylabel="mean squared error", title="100 samples with noise 0.2"
    )
    return {"regularization.svg": drawn.figure}, found


def learn(
    config: Config, hidden: str, scheme: str, solver: Solver, train: Batch, **options: Any
) -> dict[str, np.ndarray]:
    """Fits a 2-64-64-1 network to samples of the surface; returns the history but for the times."""
    mlp = jaxbp.Mlp((2, 64, 64, 1), hidden=hidden)
    params = jaxbp.init(mlp, jax.random.key(config.seed), scheme, dtype=jnp.float32)
    options |= {"key": jax.random.key(config.seed + 1), "record_every": max(1, config.steps // 40)}
    result = jaxbp.fit(
        mlp, params, (train.inputs, train.targets), steps=config.steps, solver=solver, **options
    )
    return {name: values for name, values in result.history._asdict().items() if name != "seconds"}


if __name__ == "__main__":
    run(main, Config)
