"""Wrong backward passes, a line each, to judge the judges with: what is wrong, in which part, and
the wrong part.

The right parts, for layers k = 1..L, n samples, m outputs and the mean squared error:

    loss      E_L = 2 (A_L - targets) / (n m)          slope     phi_k'(Z_k)
    node      D_k = E_k * slope                        carry     E_{k-1} = D_k W_k^T
    weight    dL/dW_k = A_{k-1}^T D_k                  bias      dL/db_k = the sum of D_k over the batch
    whole     what becomes of the gradient, `inputs` of dL/dA_0 = E_0, `bar` of the cotangent of the loss
"""
# ruff: noqa: E501

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from jaxbp.network import forward

# A square weight in each layer but the last: a forgotten transpose then has the right shape.
MLP = jaxbp.Mlp((4, 4, 4, 4, 2), hidden=("relu", "tanh", "silu"), output="sigmoid")
NUM_SAMPLES = 7


class Parts(NamedTuple):
    """The parts of a backward pass; the defaults are right."""

    loss: Callable[..., Any] = lambda o, t: 2 * (o - t) / o.size
    slope: Callable[..., Any] = lambda k, z, a: MLP.activations[k - 1].slope(z, a)
    node: Callable[..., Any] = lambda k, e, s: e * s
    carry: Callable[..., Any] = lambda k, d, w: d @ w[k].T
    weight: Callable[..., Any] = lambda k, a, d, w: a[k - 1].T @ d
    bias: Callable[..., Any] = lambda k, d: d.sum(0)
    whole: Callable[..., Any] = lambda g: g
    inputs: Callable[..., Any] = lambda e: e
    bar: Callable[..., Any] = lambda b: b


RIGHT = Parts()


def at(layer: int, part: str, wrong: Callable[..., Any]) -> Callable[..., Any]:
    """A part that is wrong in one layer only."""
    return lambda k, *rest: wrong(k, *rest) if k == layer else getattr(RIGHT, part)(k, *rest)


def changed(change: Callable[[Array], Array]) -> Callable[..., Any]:
    """A gradient whose dL/dW_2 is changed."""
    return lambda g: (g[0], g[1]._replace(weight=change(g[1].weight)), *g[2:])


# fmt: off
WRONG: dict[str, Parts] = {name: Parts(**{part: wrong}) for name, part, wrong in (
    ("1/batch dropped", "loss", lambda o, t: 2 * (o - t) / o.shape[1]),
    ("1/batch twice", "loss", lambda o, t: 2 * (o - t) / o.size / o.shape[0]),
    ("1/outputs dropped", "loss", lambda o, t: 2 * (o - t) / o.shape[0]),
    ("batch minus 1", "loss", lambda o, t: 2 * (o - t) / (o.size - o.shape[1])),
    ("factor 2 dropped", "loss", lambda o, t: (o - t) / o.size),
    ("loss: sign", "loss", lambda o, t: 2 * (t - o) / o.size),
    ("loss: error squared", "loss", lambda o, t: 2 * (o - t) ** 2 / o.size),
    ("loss: sign of the error only", "loss", lambda o, t: jnp.sign(o - t) / o.size),
    ("targets ignored", "loss", lambda o, t: 2 * o / o.size),
    ("first sample only", "loss", lambda o, t: 2 * (o - t).at[1:].set(0) / o.size),
    ("last sample left out", "loss", lambda o, t: 2 * (o - t).at[-1].set(0) / o.size),
    ("targets of the next sample", "loss", lambda o, t: 2 * (o - jnp.roll(t, 1, 0)) / o.size),
    ("loss off by 1e-3", "loss", lambda o, t: 2.002 * (o - t) / o.size),
    ("sum over outputs broadcast", "loss", lambda o, t: jnp.broadcast_to((o - t).sum(1, keepdims=True), o.shape) / o.size),
    ("slope skipped everywhere", "slope", lambda k, z, a: jnp.ones_like(z)),
    ("slope of the output skipped", "slope", at(4, "slope", lambda k, z, a: jnp.ones_like(z))),
    ("slope of layer 2 skipped", "slope", at(2, "slope", lambda k, z, a: jnp.ones_like(z))),
    ("tanh: 1 - z^2", "slope", at(2, "slope", lambda k, z, a: 1 - z**2)),
    ("tanh: 1 - a", "slope", at(2, "slope", lambda k, z, a: 1 - a)),
    ("tanh: 1 + a^2", "slope", at(2, "slope", lambda k, z, a: 1 + a**2)),
    ("tanh: slope at a for z", "slope", at(2, "slope", lambda k, z, a: 1 - jnp.tanh(a) ** 2)),
    ("relu: mask >= for >", "slope", at(1, "slope", lambda k, z, a: (z >= 0).astype(z.dtype))),
    ("relu: 1/2 at the kink", "slope", at(1, "slope", lambda k, z, a: 0.5 * (jnp.sign(z) + 1))),
    ("relu: mask inverted", "slope", at(1, "slope", lambda k, z, a: (z < 0).astype(z.dtype))),
    ("relu: leaks 0.01", "slope", at(1, "slope", lambda k, z, a: jnp.where(z > 0, 1, 0.01).astype(z.dtype))),
    ("relu: slope a for 1", "slope", at(1, "slope", lambda k, z, a: a)),
    ("silu: slope at a for z", "slope", at(3, "slope", lambda k, z, a: MLP.activations[2].slope(a, a))),
    ("silu: sigmoid(z) only", "slope", at(3, "slope", lambda k, z, a: jax.nn.sigmoid(z))),
    ("silu: second term's sign", "slope", at(3, "slope", lambda k, z, a: jax.nn.sigmoid(z) * (1 - z * (1 - jax.nn.sigmoid(z))))),
    ("sigmoid: a (1 + a)", "slope", at(4, "slope", lambda k, z, a: a * (1 + a))),
    ("sigmoid: z (1 - z)", "slope", at(4, "slope", lambda k, z, a: z * (1 - z))),
    ("sigmoid: 1 - a forgotten", "slope", at(4, "slope", lambda k, z, a: a)),
    ("sigmoid of the sigmoid", "slope", at(4, "slope", lambda k, z, a: jax.nn.sigmoid(a) * (1 - jax.nn.sigmoid(a)))),
    ("slope of the layer below", "slope", at(3, "slope", lambda k, z, a: 1 - jnp.tanh(z) ** 2)),
    ("slope of the first sample", "slope", at(2, "slope", lambda k, z, a: jnp.broadcast_to(1 - a[:1] ** 2, a.shape))),
    ("slope averaged over the batch", "slope", at(2, "slope", lambda k, z, a: jnp.broadcast_to((1 - a**2).mean(0, keepdims=True), a.shape))),
    ("slope twice", "slope", at(3, "slope", lambda k, z, a: MLP.activations[2].slope(z, a) ** 2)),
    ("slope off by 1e-3", "slope", at(1, "slope", lambda k, z, a: 1.001 * (z > 0).astype(z.dtype))),
    ("node error: sum for product", "node", at(2, "node", lambda k, e, s: e + s)),
    ("cotangent ignored in layer 2", "node", at(2, "node", lambda k, e, s: s)),
    ("sign of the cotangent lost", "node", at(3, "node", lambda k, e, s: jnp.abs(e) * s)),
    ("1/batch again in layer 1", "node", at(1, "node", lambda k, e, s: e * s / NUM_SAMPLES)),
    ("node error: small ones cut", "node", at(3, "node", lambda k, e, s: jnp.where(jnp.abs(e * s) < 1e-3, 0, e * s))),
    ("node error rounded to bfloat16", "node", at(2, "node", lambda k, e, s: (e * s).astype(jnp.bfloat16).astype(e.dtype))),
    ("node error clipped", "node", at(4, "node", lambda k, e, s: jnp.clip(e * s, -jnp.abs(e).max() / 20, 1))),
    ("layer 3 not transposed", "carry", at(3, "carry", lambda k, d, w: d @ w[k])),
    ("layer 2 not transposed", "carry", at(2, "carry", lambda k, d, w: d @ w[k])),
    ("carry: sign", "carry", at(4, "carry", lambda k, d, w: -d @ w[k].T)),
    ("carry: sign of the weights lost", "carry", at(3, "carry", lambda k, d, w: d @ jnp.abs(w[k]).T)),
    ("weights of the layer below", "carry", at(3, "carry", lambda k, d, w: d @ w[k - 1].T)),
    ("weights of one step before", "carry", at(3, "carry", lambda k, d, w: d @ (w[k] - 0.01).T)),
    ("not carried through the weights", "carry", at(2, "carry", lambda k, d, w: d)),
    ("mean over units", "carry", at(3, "carry", lambda k, d, w: d @ w[k].T / w[k].shape[1])),
    ("stopped below layer 3", "carry", at(3, "carry", lambda k, d, w: 0 * d @ w[k].T)),
    ("one unit left out", "carry", at(2, "carry", lambda k, d, w: d[:, 1:] @ w[k][:, 1:].T)),
    ("error normalized on the way", "carry", at(2, "carry", lambda k, d, w: d @ w[k].T / jnp.linalg.norm(d))),
    ("square gradient transposed", "weight", at(2, "weight", lambda k, a, d, w: d.T @ a[k - 1])),
    ("first gradient transposed", "weight", at(1, "weight", lambda k, a, d, w: d.T @ a[k - 1])),
    ("activations one layer up", "weight", at(2, "weight", lambda k, a, d, w: a[k].T @ d)),
    ("activations one layer down", "weight", at(3, "weight", lambda k, a, d, w: a[k - 2].T @ d)),
    ("inputs for activations", "weight", at(2, "weight", lambda k, a, d, w: a[0].T @ d)),
    ("batch mean of the weights", "weight", lambda k, a, d, w: a[k - 1].T @ d / NUM_SAMPLES),
    ("last sample dropped", "weight", lambda k, a, d, w: a[k - 1][:-1].T @ d[:-1]),
    ("product of means", "weight", at(4, "weight", lambda k, a, d, w: jnp.outer(a[k - 1].mean(0), d.sum(0)))),
    ("stale residual of another batch", "weight", at(3, "weight", lambda k, a, d, w: jnp.roll(a[k - 1], 1, 0).T @ d)),
    ("samples reversed", "weight", at(2, "weight", lambda k, a, d, w: a[k - 1][::-1].T @ d)),
    ("weight: sign", "weight", at(2, "weight", lambda k, a, d, w: -a[k - 1].T @ d)),
    ("no activations", "weight", at(3, "weight", lambda k, a, d, w: jnp.ones_like(a[k - 1]).T @ d)),
    ("diagonal only", "weight", at(2, "weight", lambda k, a, d, w: jnp.eye(4, dtype=d.dtype) * (a[k - 1].T @ d))),
    ("weight decay 1e-3 added", "weight", lambda k, a, d, w: a[k - 1].T @ d + 1e-3 * w[k]),
    ("bias: sum missing", "bias", lambda k, d: d[0]),
    ("bias: mean for sum", "bias", lambda k, d: d.mean(0)),
    ("bias of layer 1 forgotten", "bias", at(1, "bias", lambda k, d: 0 * d[0])),
    ("bias: largest for sum", "bias", at(4, "bias", lambda k, d: d.max(0))),
    ("bias: summed over units too", "bias", at(2, "bias", lambda k, d: jnp.full_like(d[0], d.sum()))),
    ("bias: sign", "bias", at(3, "bias", lambda k, d: -d.sum(0))),
    ("bias: one unit further", "bias", at(2, "bias", lambda k, d: jnp.roll(d.sum(0), 1))),
    ("one element off by 1e-3 of it", "whole", changed(lambda w: jnp.where(jnp.abs(w) == jnp.abs(w).max(), 1.001 * w, w))),
    ("one element zero", "whole", changed(lambda w: jnp.where(jnp.abs(w) == jnp.abs(w).max(), 0.0 * w, w))),
    ("one element NaN", "whole", changed(lambda w: jnp.where(jnp.abs(w) == jnp.abs(w).max(), np.nan * w, w))),
    ("one row zero", "whole", changed(lambda w: w.at[1].set(0))),
    ("accumulated twice", "whole", lambda g: jax.tree.map(lambda leaf: 2 * leaf, g)),
    ("scaled by 0.999", "whole", lambda g: jax.tree.map(lambda leaf: leaf * 0.999, g)),
    ("layers 2 and 3 exchanged", "whole", lambda g: (g[0], g[2], g[1], g[3])),
    ("bias of another layer", "whole", lambda g: (g[0]._replace(bias=g[1].bias), *g[1:])),
    ("rounded to float16", "whole", lambda g: jax.tree.map(lambda leaf: leaf.astype(jnp.float16).astype(leaf.dtype), g)),
)}
# What one gradient of a loss cannot show: only a rule has a cotangent, one for its inputs, and a
# second order.
WRONG_RULES: dict[str, Parts] = {name: Parts(**{part: wrong}) for name, part, wrong in (
    ("cotangent of the loss ignored", "bar", jnp.ones_like),
    ("cotangent of the loss squared", "bar", lambda b: b**2),
    ("sign of the loss's cotangent lost", "bar", jnp.abs),
    ("inputs' cotangent forgotten", "inputs", lambda e: 0 * e),
    ("inputs' cotangent: sign", "inputs", lambda e: -e),
    ("inputs' cotangent of the next sample", "inputs", lambda e: jnp.roll(e, 1, 0)),
    ("inputs' cotangent summed", "inputs", lambda e: jnp.broadcast_to(e.sum(0, keepdims=True), e.shape)),
    ("inputs' cotangent in float16", "inputs", lambda e: e.astype(jnp.float16)),
    ("gradient held constant at second order", "whole", lambda g: jax.tree.map(jax.lax.stop_gradient, g)),
)}
# fmt: on


# What shows at the kink of relu only, where central differences, and so other judges, have nothing
# to say.
AT_KINK = ("relu: mask >= for >", "relu: 1/2 at the kink")


def gradient_by(
    parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array, bar: Any = 1.0
) -> tuple[Any, ...]:
    """Runs a backward pass of these parts; returns its gradients of parameters, inputs and targets."""
    outputs, kept = forward(MLP, params, inputs, keep_preactivations=True)
    activations, weights = (
        [inputs, *(one.activation for one in kept)],
        [None, *(layer.weight for layer in params)],
    )
    error, layers = parts.bar(bar) * parts.loss(outputs, targets), []
    for k in range(MLP.num_layers, 0, -1):
        node_error = parts.node(
            k, error, parts.slope(k, kept[k - 1].preactivation, kept[k - 1].activation)
        )
        layers.append(
            jaxbp.Layer(
                parts.weight(k, activations, node_error, weights), parts.bias(k, node_error)
            )
        )
        error = parts.carry(k, node_error, weights)
    return (
        parts.whole(tuple(reversed(layers))),
        parts.inputs(error),
        -bar * RIGHT.loss(outputs, targets),
    )


def reference(params: jaxbp.Params, inputs: Array, targets: Array) -> Array:
    """The mean squared error."""
    return jnp.mean((forward(MLP, params, inputs)[0] - targets) ** 2)


def rule_by(parts: Parts) -> Callable[..., Array]:
    """The mean squared error with a backward pass of these parts as its rule."""
    loss = jax.custom_vjp(lambda *arguments: reference(*arguments))
    loss.defvjp(
        lambda *a: (reference(*a), a), lambda a, bar: gradient_by(parts, a[0], a[1], a[2], bar)
    )
    return loss


def draw(
    seed: int, dtype: Any, distance: float = 1.0, kink: bool = False
) -> tuple[jaxbp.Params, Array, Array]:
    """Parameters, inputs and targets that lie so far from the outputs; with a unit of layer 1 at its kink if asked."""
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
