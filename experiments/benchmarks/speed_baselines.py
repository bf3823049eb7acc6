"""Gradient descent on the tutorial's job by several libraries: 2-64-64-64-1, 10,000 samples."""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxbp

SIZES, SAMPLES, RATE, STEPS = (2, 64, 64, 64, 1), 10_000, 1e-3, 20

Run = Callable[[], Any]


def one_step_of_each() -> dict[str, Run]:
    """Return runs of STEPS steps; Flax, Equinox and PyTorch join where they are installed."""
    inputs = np.random.default_rng(0).standard_normal((SAMPLES, 2)).astype(np.float32)
    targets = np.sin(inputs[:, :1]) + inputs[:, 1:]
    found = {
        "jaxbp": by_jaxbp(inputs, targets),
        "jax.value_and_grad, optax": by_optax(inputs, targets),
    }
    if find_spec("equinox"):
        found["Equinox, optax"] = by_equinox(inputs, targets)
    if find_spec("flax"):
        found["Flax NNX, optax"] = by_flax(inputs, targets)
    if find_spec("torch"):
        found["PyTorch"] = by_torch(inputs, targets)
        found["PyTorch, compiled"] = by_torch(inputs, targets, compiled=True)
    return found | {"NumPy, float64": by_numpy(inputs, targets)}


def by_jaxbp(inputs: np.ndarray, targets: np.ndarray) -> Run:
    """Return a run by `loss_and_gradient`."""
    mlp = jaxbp.Mlp(SIZES, "relu")
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    return scanned(lambda *some: jaxbp.loss_and_gradient(mlp, *some)[1], params, inputs, targets)


def by_optax(inputs: np.ndarray, targets: np.ndarray) -> Run:
    """Return a run by `jax.grad` of a plain function."""

    def loss(params: Any, inputs: Any, targets: Any) -> Any:
        outputs = inputs
        for i, (weight, bias) in enumerate(params):
            outputs = outputs @ weight + bias
            outputs = jax.nn.relu(outputs) if i < len(params) - 1 else outputs
        return jnp.mean((outputs - targets) ** 2)

    params = jaxbp.init(jaxbp.Mlp(SIZES), jax.random.key(0), dtype=jnp.float32)
    return scanned(jax.grad(loss), params, inputs, targets)


def by_equinox(inputs: np.ndarray, targets: np.ndarray) -> Run:
    """Return a run by `eqx.nn.MLP` under vmap."""
    import equinox as eqx

    model = eqx.nn.MLP(SIZES[0], SIZES[-1], SIZES[1], len(SIZES) - 2, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_array)

    def loss(params: Any, inputs: Any, targets: Any) -> Any:
        return jnp.mean((jax.vmap(eqx.combine(params, static))(inputs) - targets) ** 2)

    return scanned(jax.grad(loss), params, inputs, targets)


def by_flax(inputs: np.ndarray, targets: np.ndarray) -> Run:
    """Return a run by NNX modules, split into graph and state."""
    from flax import nnx

    layers: list[Any] = []
    rngs = nnx.Rngs(0)
    for fan_in, fan_out in pairwise(SIZES):
        layers += [nnx.Linear(fan_in, fan_out, rngs=rngs), nnx.relu]
    graph, params = nnx.split(nnx.Sequential(*layers[:-1]))

    def loss(params: Any, inputs: Any, targets: Any) -> Any:
        return jnp.mean((nnx.merge(graph, params)(inputs) - targets) ** 2)

    return scanned(jax.grad(loss), params, inputs, targets)


def scanned(gradient: Callable[..., Any], params: Any, *samples: np.ndarray) -> Run:
    """Return a run of the steps in one compiled scan."""
    optimizer, placed = optax.sgd(RATE), [jnp.asarray(array) for array in samples]

    @jax.jit
    def run(params: Any, *samples: Any) -> Any:
        def step(carry: Any, _: None) -> tuple[Any, None]:
            params, state = carry
            updates, state = optimizer.update(gradient(params, *samples), state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, length=STEPS)[0]

    return lambda: run(params, *placed)


def by_torch(inputs: np.ndarray, targets: np.ndarray, compiled: bool = False) -> Run:
    """Return a run by `torch.nn` and SGD."""
    import torch

    layers: list[Any] = []
    for fan_in, fan_out in pairwise(SIZES):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    forward: Any = torch.compile(model) if compiled else model
    points, wanted = torch.from_numpy(inputs), torch.from_numpy(targets)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(forward(points), wanted).backward()
            optimizer.step()

    return run


def by_numpy(inputs: np.ndarray, targets: np.ndarray) -> Run:
    """Return a run by the same passes in NumPy, as in the tutorial's program."""
    points, wanted = inputs.astype(float), targets.astype(float)
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=pair) / pair[0] ** 0.5 for pair in pairwise(SIZES)]
    biases = [np.zeros(size) for size in SIZES[1:]]

    def run() -> None:
        for _ in range(STEPS):
            active = [points]
            for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                outputs = active[-1] @ weight + bias
                active.append(np.maximum(outputs, 0) if i < len(weights) - 1 else outputs)
            error = 2 * (active[-1] - wanted) / len(points)
            for i in reversed(range(len(weights))):
                change, shift = active[i].T @ error, error.sum(axis=0)
                error = (error @ weights[i].T) * (active[i] > 0) if i else error
                weights[i] -= RATE * change
                biases[i] -= RATE * shift

    return run
