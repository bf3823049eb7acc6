"""The catalogue of wrong backward passes as gradients and rules of one network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from jaxbp.gradcheck.catalogue import MISTAKES, Mistake, Pass, backward_by, first
from jaxbp.losses import as_loss
from jaxbp.network import forward
from jaxbp.params import Layer

# A square weight in each layer but the last: a forgotten transpose then has the right shape.
MLP = jaxbp.Mlp((4, 4, 4, 4, 2), hidden=("relu", "tanh", "silu"), output="sigmoid")
NUM_SAMPLES = 7
LOSS = as_loss("mean_squared_error")


def one(change: Callable[[Pass, Any], Any]) -> Callable[..., Any]:
    """Change dL/dW_2 of a gradient."""
    return lambda p, g: (g[0], Layer(change(p, g[1][0]), g[1][1]), *g[2:])


def largest(p: Pass, w: Any, factor: float) -> Any:
    """Multiply the largest element."""
    return p.xp.where(abs(w) == abs(w).max(), factor * w, w)


def each(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Change every leaf of a gradient."""
    return lambda p, g: tuple(Layer(*map(change, layer)) for layer in g)


# fmt: off
# Changes of a whole gradient that is right otherwise.
CHANGED = tuple(Mistake(*row) for row in (
    ("one element off by 1e-3 of it", "whole", 0, one(lambda p, w: largest(p, w, 1.001))),
    ("one element zero", "whole", 0, one(lambda p, w: largest(p, w, 0.0))),
    ("one element NaN", "whole", 0, one(lambda p, w: largest(p, w, np.nan))),
    ("one row zero", "whole", 0, one(lambda p, w: w - first(p, w, 2) + first(p, w, 1))),
    ("accumulated twice", "whole", 0, each(lambda leaf: 2 * leaf)),
    ("scaled by 0.999", "whole", 0, each(lambda leaf: 0.999 * leaf)),
    ("layers 2 and 3 exchanged", "whole", 0, lambda p, g: (g[0], g[2], g[1], *g[3:])),
    ("bias of another layer", "whole", 0, lambda p, g: (Layer(g[0][0], g[1][1]), *g[1:])),
    ("rounded to float16", "whole", 0,
     each(lambda leaf: leaf.astype(jnp.float16).astype(leaf.dtype))),
))
# One gradient of a loss cannot show these: only a rule has a cotangent, one for its inputs, and a
# second order.
OF_RULES = tuple(Mistake(*row) for row in (
    ("cotangent of the loss ignored", "bar", 0, lambda p, b: jnp.ones_like(b)),
    ("cotangent of the loss squared", "bar", 0, lambda p, b: b**2),
    ("sign of the loss's cotangent lost", "bar", 0, lambda p, b: abs(b)),
    ("inputs' cotangent forgotten", "inputs", 0, lambda p, e: 0 * e),
    ("inputs' cotangent: sign", "inputs", 0, lambda p, e: -e),
    ("inputs' cotangent of the next sample", "inputs", 0, lambda p, e: p.xp.roll(e, 1, 0)),
    ("inputs' cotangent summed", "inputs", 0, lambda p, e: e.sum(0, keepdims=True) + 0 * e),
    ("inputs' cotangent in float16", "inputs", 0, lambda p, e: e.astype(jnp.float16)),
    ("gradient held constant at second order", "whole", 0, each(jax.lax.stop_gradient)),
))
# fmt: on
Parts = Mistake | None
RIGHT: Parts = None
WRONG: dict[str, Parts] = {mistake.name: mistake for mistake in (*MISTAKES, *CHANGED)}
WRONG_RULES: dict[str, Parts] = {mistake.name: mistake for mistake in OF_RULES}
# Visible at the kink of relu only, where central differences decide nothing.
AT_KINK = ("relu: mask >= for >", "relu: 1/2 at the kink")


def gradient_by(
    parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array, bar: Any = 1.0
) -> tuple[Any, ...]:
    """Run a backward pass; return its gradients of parameters, inputs and targets."""
    p = Pass.of(jnp, MLP, params, inputs, targets, LOSS)
    gradient, of_inputs = backward_by(p, parts, bar=bar)
    return gradient, of_inputs, -bar * p.error(p.a[-1], targets)


def reference(params: jaxbp.Params, inputs: Array, targets: Array) -> Array:
    """Return the mean squared error."""
    return jnp.mean((forward(MLP, params, inputs)[0] - targets) ** 2)


def rule_by(parts: Parts) -> Callable[..., Array]:
    """Return the mean squared error with a backward pass of these parts as its rule."""
    loss = jax.custom_vjp(lambda *arguments: reference(*arguments))
    loss.defvjp(
        lambda *a: (reference(*a), a), lambda a, bar: gradient_by(parts, a[0], a[1], a[2], bar)
    )
    return loss


def draw(
    seed: int, dtype: Any, distance: float = 1.0, kink: bool = False
) -> tuple[jaxbp.Params, Array, Array]:
    """Draw parameters, inputs, and targets at a distance from the outputs.

    With `kink` a unit of layer 1 lies at its kink.
    """
    generator = np.random.default_rng(seed)
    params = tuple(
        jaxbp.Layer(
            *(jnp.asarray(generator.uniform(-1, 1, shape), dtype) for shape in ((i, o), (o,)))
        )
        for i, o in zip(MLP.sizes[:-1], MLP.sizes[1:], strict=True)
    )
    inputs = jnp.asarray(generator.standard_normal((NUM_SAMPLES, 4)), dtype)
    if kink:
        params = (params[0]._replace(bias=params[0].bias.at[0].set(0)), *params[1:])
        inputs = inputs.at[0].set(0)
    outputs = forward(MLP, params, inputs)[0]
    return (
        params,
        inputs,
        outputs + jnp.asarray(distance * generator.standard_normal(outputs.shape), dtype),
    )
