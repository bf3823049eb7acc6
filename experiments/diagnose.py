"""Diagnose training: node errors by layer, six optimizers, learning rates, regularization."""

from shared.experiment import Common, begin, finish, print_table, run

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import data
import jaxbp
from jaxbp import viz
from jaxbp.viz import Grid


@dataclass(frozen=True)
class Config(Common):
    """Flags of diagnose."""

    steps: int = 2000
    """Training steps of the optimizers; the sweep over learning rates takes a fifth of them."""
    seeds: int = 8
    """Number of starts in the sweep over learning rates."""


ACTIVATIONS = ("sigmoid", "tanh", "relu")
STARTS = {  # the book's four: scheme and scale
    "normal, 1": ("normal", 1.0),
    "normal, 0.01": ("normal", 0.01),
    "Glorot": ("glorot", None),
    "He": ("he", None),
}
DEPTHS = (2, 3, 5, 8, 12, 18, 24, 30)
# Optimizer and its rates on x^2 / 20 + y^2 (the book's where it has one) and on the surface.
OPTIMIZERS: dict[str, tuple[Any, float, float]] = {
    "sgd": (optax.sgd, 0.95, 0.02),
    "momentum": (partial(optax.sgd, momentum=0.9), 0.1, 5e-3),
    "nesterov": (partial(optax.sgd, momentum=0.9, nesterov=True), 0.1, 5e-3),
    "adagrad": (optax.adagrad, 1.5, 0.02),
    "rmsprop": (optax.rmsprop, 0.3, 1e-3),
    "adam": (optax.adam, 0.3, 2e-3),
}
REGULARIZED = {  # weight decay, dropout
    "none": (0.0, 0.0),
    "weight decay 0.003": (0.003, 0.0),
    "dropout 0.1": (0.0, 0.1),
}

Part = tuple[dict[str, Any], Any]  # drawings by file name, numbers


def main(config: Config) -> None:
    """Measure and draw the four parts."""
    folder = begin(config)
    if config.steps < 5 or config.seeds < 1:
        raise ValueError(
            f"steps must be at least 5 and seeds at least 1, got {config.steps} and {config.seeds}"
        )
    parts = {
        "node_error_norms": node_error_flow(config),
        "optimizers": optimizers(config),
        "learning_rates": learning_rates(config),
        "regularization": regularization(config),
    }
    files = {name: one for drawn, _ in parts.values() for name, one in drawn.items()}
    numbers = {name: found for name, (_, found) in parts.items()}
    finish(config, folder, "diagnose", numbers, files)


def node_error_flow(config: Config) -> Part:
    """Norms of the node errors by layer at the largest depth, and the first layer's at each."""
    by_depth = {depth: node_error_norms(depth, 64, config.seed) for depth in DEPTHS}
    rows = {
        f"{name}, {start}": {str(depth): found[name][start][0] for depth, found in by_depth.items()}
        for name in ACTIVATIONS
        for start in STARTS
    }
    print_table("norm of the node errors, first layer / last, by depth", rows, ".0e")
    deepest, layers = by_depth[DEPTHS[-1]], np.arange(1, DEPTHS[-1] + 1)
    drawn = viz.draw_panels(
        {
            name: {start: (layers, norms) for start, norms in starts.items()}
            for name, starts in deepest.items()
        },
        xlabel="layer",
        ylabel="norm of the node errors / last layer's",
        title=f"Node errors in a network of {DEPTHS[-1]} layers, width 64",
    )
    return {"node_error_flow.svg": drawn}, by_depth


def node_error_norms(depth: int, width: int, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Return norms (depth,) of the node errors over the last layer's, by activation and start."""
    generator = np.random.RandomState(seed)
    inputs, targets = generator.randn(64, width), generator.randn(64, 1)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in ACTIVATIONS:
        mlp = jaxbp.Mlp((width,) * depth + (1,), hidden=name)

        def norms(params: jaxbp.Params, mlp: jaxbp.Mlp = mlp) -> jax.Array:
            trace = jaxbp.backprop(mlp, params, inputs, targets)
            return jnp.stack([jnp.linalg.norm(error) for error in trace.node_errors])

        compiled, found[name] = jax.jit(norms), {}
        for start, (scheme, scale) in STARTS.items():
            params = jaxbp.init(mlp, jax.random.key(seed), scheme, scale=scale)
            row = np.asarray(compiled(params))
            found[name][start] = row / row[-1]
    return found


def optimizers(config: Config) -> Part:
    """Six optimizers on the valley x^2 / 20 + y^2 and on the surface."""
    paths = {
        f"{name}, rate {rate:g}": walk_down_the_valley(make(rate), 30)
        for name, (make, rate, _) in OPTIMIZERS.items()
    }
    grid = Grid(np.linspace(-8, 8, 49), np.linspace(-3, 3, 37))
    valley = viz.draw_paths(
        grid, height(grid.points.T), paths, title="30 steps on x²/20 + y² from (−7, 2)"
    )
    train = samples(config.seed, 2000)
    found = {
        f"{name}, rate {rate:g}": learn(
            config, "sine", "sine", train, jaxbp.first_order(make(rate)), batch_size=200
        )
        for name, (make, _, rate) in OPTIMIZERS.items()
    }
    losses = {name: history["loss"] for name, history in found.items()}
    steps = next(iter(found.values()))["step"]
    title, ylabel = "Optimizers on the target surface", "mean squared error, standardized"
    curves = viz.draw_curves(steps, losses, ylabel=ylabel, title=title)
    rows = {
        name: {
            "distance in the valley": float(np.hypot(*path[-1])),
            "loss on the surface": loss[-1],
        }
        for name, path, loss in zip(OPTIMIZERS, paths.values(), losses.values(), strict=True)
    }
    print_table(f"30 and {config.steps} steps", rows, ".1e")
    drawings = {"optimizer_paths.svg": valley, "optimizer_losses.svg": curves}
    return drawings, {"valley": paths, "surface": found}


def height(point: Any) -> Any:
    """Return the height of the valley x^2 / 20 + y^2."""
    return point[0] ** 2 / 20 + point[1] ** 2


def walk_down_the_valley(optimizer: Any, steps: int) -> np.ndarray:
    """Return the path of an optimizer from (-7, 2), (steps + 1, 2)."""

    def step(carry: Any, _: Any) -> tuple[Any, jax.Array]:
        point, state = carry
        updates, state = optimizer.update(jax.grad(height)(point), state, point)
        return (optax.apply_updates(point, updates), state), point

    start = jnp.array([-7.0, 2.0])
    return np.asarray(jax.lax.scan(step, (start, optimizer.init(start)), length=steps + 1)[1])


def samples(seed: int, num_samples: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets of the target surface in standard units, in float32."""
    task = data.sample_surface(data.surface("target"), num_samples, np.random.RandomState(seed))
    low, high = np.array(task.surface.domain).T
    inputs = (task.train.points - (low + high) / 2) / (high - low) * 12**0.5
    mean, scale = task.test.values.mean(), task.test.values.std()
    targets = (task.train.values[:, np.newaxis] - mean) / scale
    targets = targets + noise * np.random.RandomState(seed + 1).randn(*targets.shape)
    return inputs.astype(np.float32), targets.astype(np.float32)


def learning_rates(config: Config) -> Part:
    """The loss by learning rate and seed, all of them trained at once."""
    rates, steps = 10 ** np.linspace(-3, 0.5, 22), max(1, config.steps // 5)
    mlp = jaxbp.Mlp((2, 32, 32, 1), hidden="tanh")
    keys = jnp.repeat(jax.random.split(jax.random.key(config.seed), config.seeds), len(rates))
    fits = jaxbp.fit_many(
        mlp,
        jax.vmap(partial(jaxbp.init, mlp, dtype=jnp.float32))(keys),
        samples(config.seed, 500),
        steps=steps,
        solver=jaxbp.first_order(
            optax.sgd, learning_rate=jnp.tile(jnp.asarray(rates, jnp.float32), config.seeds)
        ),
        record_every=steps,
    )
    losses = np.where(fits.diverged, np.nan, fits.loss[-1]).reshape(config.seeds, len(rates))
    medians = np.median(np.where(np.isfinite(losses), losses, np.inf), axis=0)
    best = rates[int(np.argmin(medians))]
    print(f"\nlearning rate with the smallest median loss over {config.seeds} seeds: {best:.3g}")
    drawn = viz.draw_heatmap(
        Grid(rates, np.arange(config.seeds)),
        losses.ravel(),
        labels=("learning rate", "seed", "mean squared error"),
        title=f"Gradient descent, {steps} steps",
    )
    return {"learning_rates.png": drawn}, {"rates": rates, "losses": losses}


def regularization(config: Config) -> Part:
    """Training and validation loss on few noisy samples, without and with each of the two."""
    train, validation = samples(config.seed, 100, noise=0.2), samples(config.seed + 2, 2000)
    found = {}
    for name, (decay, dropout) in REGULARIZED.items():
        solver = jaxbp.first_order(optax.adam(3e-3), weight_decay=decay, dropout=dropout)
        found[name] = learn(config, "relu", "he", train, solver, validation=validation)
    keys = {"train": "loss", "validation": "validation_loss"}
    rows = {
        name: {label: history[key][-1] for label, key in keys.items()}
        for name, history in found.items()
    }
    print_table(f"100 noisy samples, {config.steps} steps of Adam", rows)
    drawn = viz.draw_panels(
        {
            name: {label: (history["step"], history[key]) for label, key in keys.items()}
            for name, history in found.items()
        },
        xlabel="step",
        ylabel="mean squared error",
        title="100 samples with noise 0.2",
    )
    return {"regularization.svg": drawn}, found


def learn(
    config: Config, hidden: str, scheme: str, train: Any, solver: Any, **options: Any
) -> dict[str, np.ndarray]:
    """Fit a 2-64-64-1 network to samples; return steps and losses."""
    mlp = jaxbp.Mlp((2, 64, 64, 1), hidden=hidden)
    params = jaxbp.init(mlp, jax.random.key(config.seed), scheme, dtype=jnp.float32)
    options |= {"key": jax.random.key(config.seed + 1), "record_every": max(1, config.steps // 40)}
    result = jaxbp.fit(mlp, params, train, steps=config.steps, solver=solver, **options)
    names = ("step", "loss", "validation_loss")
    return {name: getattr(result.history, name) for name in names}


if __name__ == "__main__":
    run(main, Config)
