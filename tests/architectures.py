"""Networks, parameters and samples drawn from a seed, over all that the correctness statement
covers."""

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp.activations import ACTIVATIONS
from jaxbp.losses import LOSSES
from jaxbp.params import Layer, Mlp, Params

ACTIVATION_NAMES, LOSS_NAMES = tuple(ACTIVATIONS), tuple(LOSSES)

# Options of jit where the claim is not what an optimizer makes of a program: it then compiles in a
# third of the time.
QUICKLY = {"xla_backend_optimization_level": 0}
if jax.__version_info__ < (0, 11):  # later versions know no such option
    QUICKLY["xla_cpu_use_fusion_emitters"] = False


class Case(NamedTuple):
    mlp: Mlp
    params: Params
    inputs: np.ndarray
    targets: np.ndarray
    loss: Any


def targets_for(loss, shape, generator):
    if loss == "softmax_cross_entropy":
        if generator.random() < 0.5:
            return generator.integers(0, shape[1], shape[0])
        weights = generator.random(shape) + 0.1
        return weights / weights.sum(axis=1, keepdims=True)
    return (
        generator.random(shape)
        if loss == "binary_cross_entropy"
        else generator.standard_normal(shape)
    )


def draw_params(mlp, seed=0, dtype=np.float64, scale=1.0):
    """Parameters drawn on the host: JAX's own draws compile a program for each shape."""
    generator = np.random.default_rng(seed)
    return tuple(
        Layer(
            jnp.asarray(scale * generator.standard_normal((i, o)) / np.sqrt(i), dtype),
            jnp.asarray(0.3 * scale * generator.standard_normal(o), dtype) if mlp.bias else None,
        )
        for i, o in pairwise(mlp.sizes)
    )


def draw_case(seed, num_samples=None):
    """Depth 1 to 6, widths 1 to 65 (every third network square), batch 1 to 64, each activation and
    each loss.

    All numbers are rounded to float32, so that they are the same in both precisions.
    """
    generator = np.random.default_rng(seed)
    depth = int(generator.integers(1, 7))
    square = generator.integers(1, 66)
    sizes = [int(square if seed % 3 == 0 else generator.integers(1, 66)) for _ in range(depth + 1)]
    loss = LOSS_NAMES[seed % len(LOSS_NAMES)]
    if loss == "softmax_cross_entropy":
        sizes[-1] = max(2, sizes[-1])
    hidden = tuple(str(generator.choice(ACTIVATION_NAMES)) for _ in range(depth - 1))
    output = ACTIVATION_NAMES[seed % len(ACTIVATION_NAMES)]
    if loss in ("softmax_cross_entropy", "binary_cross_entropy"):
        output = "identity"
    mlp = Mlp(tuple(sizes), hidden, output)
    n = int(generator.integers(1, 65)) if num_samples is None else num_samples
    params = tuple(
        Layer(
            (generator.standard_normal((i, o)) / np.sqrt(i)).astype(np.float32),
            generator.standard_normal(o).astype(np.float32) * np.float32(0.3),
        )
        for i, o in pairwise(sizes)
    )
    inputs = generator.standard_normal((n, sizes[0])).astype(np.float32)
    targets = targets_for(loss, (n, sizes[-1]), generator)
    return Case(
        mlp, params, inputs, targets if targets.ndim == 1 else targets.astype(np.float32), loss
    )


def cast(case, dtype):
    """On the host: a cast by JAX would compile a program for each shape."""
    params, inputs = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), (case.params, case.inputs))
    targets = np.asarray(case.targets, np.int32 if case.targets.ndim == 1 else dtype)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), (params, inputs, targets))


# Jitted: eagerly each operation of each shape would be a program of its own.
LOSS_AND_GRADIENT = jax.jit(jaxbp.loss_and_gradient, static_argnums=(0, 4), static_argnames="tile")
