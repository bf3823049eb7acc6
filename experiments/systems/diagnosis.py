"""What the documents announce: vanishing and exploding errors, optimizers, regularization, learning rates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

import jaxbp
from jaxbp import data
from jaxbp.data import standardizer
from jaxbp.training import History, named_optimizer

ACTIVATIONS = ("sigmoid", "tanh", "relu")
STARTS: dict[str, dict[str, Any]] = {  # the book's four
    "normal, 1": {"scheme": "normal", "scale": 1.0},
    "normal, 0.01": {"scheme": "normal", "scale": 0.01},
    "Glorot": {"scheme": "glorot"},
    "He": {"scheme": "he"},
}
DEPTHS = (2, 3, 5, 8, 12, 18, 24, 30)
VALLEY = {  # learning rates of the book where it has them, on x^2 / 20 + y^2
    "sgd": 0.95,
    "momentum": 0.1,
    "nesterov": 0.1,
    "adagrad": 1.5,
    "rmsprop": 0.3,
    "adam": 0.3,
}
SURFACE = {"sgd": 0.02, "momentum": 5e-3, "nesterov": 5e-3, "adagrad": 0.02, "rmsprop": 1e-3, "adam": 2e-3}


def node_error_norms(depth: int, width: int, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """The norm of each layer's node errors over that of the last, by activation and start.

    Returns:
        (depth,) from the first layer to the last, for one batch of 64 normal samples and the mean squared error.
    """
    generator = np.random.RandomState(seed)
    inputs, targets = generator.randn(64, width), generator.randn(64, 1)
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in ACTIVATIONS:
        mlp = jaxbp.Mlp((width,) * depth + (1,), hidden=name)
        starts = [jaxbp.init(mlp, jax.random.key(seed), dtype=jnp.float64, **start) for start in STARTS.values()]

        def norms(params: jaxbp.Params, mlp: jaxbp.Mlp = mlp) -> Array:
            trace = jaxbp.backprop(mlp, params, inputs, targets)
            return jnp.stack([jnp.linalg.norm(error) for error in trace.node_errors])

        # All starts at once: compiling thirty layers takes longer than running them.
        together = np.asarray(jax.jit(jax.vmap(norms))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)))
        found[name] = {label: row / row[-1] for label, row in zip(STARTS, together, strict=True)}
    return found


def walk_down_the_valley(name: Any, steps: int) -> np.ndarray:
    """The path of an optimizer on x^2 / 20 + y^2 from (-7, 2), (steps + 1, 2)."""
    optimizer = named_optimizer(name, VALLEY[name])
    start = jnp.array([-7.0, 2.0])

    def height(point: Array) -> Array:
        return point[0] ** 2 / 20 + point[1] ** 2

    def step(carry: Any, _: Any) -> tuple[Any, Array]:
        point, state = carry
        updates, state = optimizer.update(jax.grad(height)(point), state, point)
        return (optax.apply_updates(point, updates), state), point

    (last, _), path = jax.lax.scan(step, (start, optimizer.init(start)), length=steps)
    return np.vstack([path, last])


class Plane(NamedTuple):
    """Samples of the target surface in standard units, float32: inputs and targets to train on, and held out."""

    train: tuple[np.ndarray, np.ndarray]
    held_out: tuple[np.ndarray, np.ndarray]


def plane(seed: int, num_samples: int, noise: float = 0.0) -> Plane:
    """Draws samples, with normal noise on the training targets if asked for."""
    surface, generator = data.surface("target"), np.random.RandomState(seed)
    train, held_out = (data.uniform_points(generator, surface.domain, n) for n in (num_samples, 2000))
    points = standardizer(train, ("x", "y"))
    values = standardizer(surface.function(*train.T)[:, np.newaxis], ("z",))

    def pair(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        targets = values.standardize(surface.function(*rows.T)[:, np.newaxis])
        return points.standardize(rows).astype(np.float32), targets.astype(np.float32)

    inputs, targets = pair(train)
    noisy = targets + noise * generator.randn(*targets.shape).astype(np.float32)
    return Plane((inputs, noisy), pair(held_out))


def train_with(name: Any, samples: Plane, steps: int, seed: int) -> History:
    """Fits a sine network 2-64-64-1 with an optimizer, batches of 200."""
    mlp = jaxbp.Mlp((2, 64, 64, 1), hidden="sine")
    params = jaxbp.init(mlp, jax.random.key(seed), "sine", dtype=jnp.float32)
    return jaxbp.fit(
        mlp,
        params,
        samples.train,
        steps=steps,
        solver=jaxbp.first_order(named_optimizer(name, SURFACE[name])),
        batch_size=min(200, len(samples.train[0])),
        key=jax.random.key(seed + 1),
        record_every=max(1, steps // 40),
    ).history


def sweep(samples: Plane, rates: np.ndarray, seeds: int, steps: int, seed: int) -> np.ndarray:
    """The loss after full-batch descent for every learning rate and seed at once, under vmap: (seeds, rates)."""
    mlp = jaxbp.Mlp((2, 32, 32, 1), hidden="tanh")

    def one(rate: Array, key: Array) -> Array:
        def step(params: jaxbp.Params, _: Any) -> tuple[jaxbp.Params, None]:
            _, gradient = jaxbp.loss_and_gradient(mlp, params, *samples.train)
            return jax.tree.map(lambda leaf, bar: leaf - rate * bar, params, gradient), None

        params = jaxbp.init(mlp, key, dtype=jnp.float32)
        last = jax.lax.scan(step, params, length=steps)[0]
        return jaxbp.loss_and_gradient(mlp, last, *samples.train)[0]

    over_rates = jax.vmap(one, (0, None))
    keys = jax.random.split(jax.random.key(seed), seeds)
    return np.asarray(jax.jit(jax.vmap(over_rates, (None, 0)))(jnp.asarray(rates, jnp.float32), keys))


REGULARIZED: dict[str, dict[str, float]] = {
    "none": {},
    "weight decay 0.003": {"weight_decay": 0.003},
    "dropout 0.1": {"dropout": 0.1},
}


def regularize(samples: Plane, steps: int, seed: int) -> dict[str, History]:
    """Fits few noisy samples with 2-64-64-1 and Adam, without and with each of the two."""
    mlp = jaxbp.Mlp((2, 64, 64, 1), hidden="relu")
    found = {}
    for name, options in REGULARIZED.items():
        found[name] = jaxbp.fit(
            mlp,
            jaxbp.init(mlp, jax.random.key(seed), "he", dtype=jnp.float32),
            samples.train,
            steps=steps,
            solver=jaxbp.first_order(named_optimizer("adam", 3e-3), weight_decay=options.get("weight_decay", 0.0)),
            dropout=options.get("dropout", 0.0),
            validation=samples.held_out,
            key=jax.random.key(seed + 1),
            record_every=max(1, steps // 50),
        ).history
    return found
