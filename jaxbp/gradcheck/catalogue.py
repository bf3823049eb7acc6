"""Wrong backward passes of a network, to explain a wrong gradient.

The right parts, for layers k = 1..L and n samples:

    loss      E_L = dl/dA_L / n             slope     phi_k'(Z_k)
    node      D_k = E_k * slope             carry     E_{k-1} = D_k W_k^T
    weight    dL/dW_k = A_{k-1}^T D_k       bias      dL/db_k = the sum of D_k over the batch
    whole     the gradient, `inputs` dL/dA_0 = E_0, `bar` the cotangent of the loss

A wrong part is a function of the pass `p`, of the layer where there is one, and of the right value
or of what it is made of.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.losses import Loss
from jaxbp.params import Layer, Mlp


class Mistake(NamedTuple):
    """A wrong part: its name in words, the part, its layer (0 for all) and what it computes."""

    name: str
    part: str
    layer: int
    wrong: Callable[..., Any]


class Pass(NamedTuple):
    """The numbers of a forward pass by layer: z and activations a, the inputs first.

    xp is NumPy, or jax.numpy where it is traced; w and phi are weights and activation functions,
    t the targets. Entry 0 of z, w and phi is None.
    """

    xp: Any
    n: int
    z: Sequence[Any]
    a: Sequence[Any]
    w: Sequence[Any]
    phi: Sequence[Any]
    t: Any
    loss: Loss
    biased: bool

    @classmethod
    def of(cls, xp: Any, mlp: Mlp, params: Any, inputs: Any, targets: Any, loss: Loss) -> "Pass":
        """Run a forward pass."""
        z: list[Any] = [None]
        a = [inputs]
        for (weight, bias), activation in zip(params, mlp.activations, strict=True):
            product = xp.matmul(a[-1], weight, **({} if xp is np else {"precision": "highest"}))
            z.append(product if bias is None else product + bias[np.newaxis])
            a.append(xp.asarray(activation.value(z[-1])))
        weights = [None, *(layer[0] for layer in params)]
        phi = [None, *mlp.activations]
        return cls(xp, len(inputs), z, a, weights, phi, targets, loss, mlp.bias)

    def slope(self, k: int, z: Any = None) -> Any:
        """phi_k' at Z_k, or at z."""
        z = self.z[k] if z is None else z
        return self.xp.asarray(self.phi[k].slope(z, self.phi[k].value(z)))

    def error(self, outputs: Any, targets: Any) -> Any:
        """E_L."""
        return self.xp.asarray(self.loss.gradient(outputs, targets)) / self.n


RIGHT: dict[str, Callable[..., Any]] = {
    "loss": lambda p, e: e,
    "slope": lambda p, k, s: s,
    "node": lambda p, k, e, s: e * s,
    "carry": lambda p, k, d: d @ p.w[k].T,
    "weight": lambda p, k, d: p.a[k - 1].T @ d,
    "bias": lambda p, k, d: d.sum(0),
    "whole": lambda p, g: g,
    "inputs": lambda p, e: e,
    "bar": lambda p, b: b,
}


def first(p: Pass, d: Any, count: int = 1) -> Any:
    """Keep the first samples; all but the last ones for a negative count."""
    keep = np.zeros((len(d), 1), d.dtype)
    keep[:count] = 1
    return d * keep


# fmt: off
MISTAKES = tuple(Mistake(*row) for row in (
    ("1/batch dropped", "loss", 0, lambda p, e: e * p.n),
    ("1/batch twice", "loss", 0, lambda p, e: e / p.n),
    ("1/outputs dropped", "loss", 0, lambda p, e: e * e.shape[1]),
    ("batch minus 1", "loss", 0, lambda p, e: e * p.n / max(p.n - 1, 1)),
    ("factor 2 dropped", "loss", 0, lambda p, e: e / 2),
    ("loss: sign", "loss", 0, lambda p, e: -e),
    ("loss: error squared", "loss", 0, lambda p, e: e * (p.a[-1] - p.t)),
    ("loss: sign of the error only", "loss", 0, lambda p, e: p.xp.sign(e) / e.size),
    ("targets ignored", "loss", 0, lambda p, e: p.error(p.a[-1], 0 * p.t)),
    ("the output differentiated instead of the loss", "loss", 0, lambda p, e: 0 * e + 1),
    ("first sample only", "loss", 0, lambda p, e: first(p, e)),
    ("last sample left out", "loss", 0, lambda p, e: first(p, e, -1)),
    ("targets of the next sample", "loss", 0, lambda p, e: p.error(p.a[-1], p.xp.roll(p.t, 1, 0))),
    ("loss off by 1e-3", "loss", 0, lambda p, e: 1.001 * e),
    ("sum over outputs broadcast", "loss", 0, lambda p, e: e.sum(1, keepdims=True) + 0 * e),
    ("slope skipped everywhere (e for delta)", "slope", 0, lambda p, k, s: 0 * s + 1),
    ("slope skipped in one layer", "slope", 2, lambda p, k, s: 0 * s + 1),
    ("slope of the output skipped", "slope", 4, lambda p, k, s: 0 * s + 1),
    ("slope at a for z", "slope", 0, lambda p, k, s: p.slope(k, p.a[k])),
    ("slope at a for z in one layer", "slope", 3, lambda p, k, s: p.slope(k, p.a[k])),
    ("tanh: 1 - z^2", "slope", 2, lambda p, k, s: 1 - p.z[k] ** 2),
    ("tanh: 1 - a", "slope", 2, lambda p, k, s: 1 - p.a[k]),
    ("tanh: 1 + a^2", "slope", 2, lambda p, k, s: 1 + p.a[k] ** 2),
    ("tanh: slope at a for z", "slope", 2, lambda p, k, s: 1 - p.xp.tanh(p.a[k]) ** 2),
    ("relu: mask >= for >", "slope", 1, lambda p, k, s: (p.z[k] >= 0).astype(s.dtype)),
    ("relu: 1/2 at the kink", "slope", 1, lambda p, k, s: 0.5 * (p.xp.sign(p.z[k]) + 1)),
    ("relu: mask inverted", "slope", 1, lambda p, k, s: (p.z[k] < 0).astype(s.dtype)),
    ("relu: leaks 0.01", "slope", 1, lambda p, k, s: p.xp.maximum(s, 0.01)),
    ("relu: slope a for 1", "slope", 1, lambda p, k, s: p.a[k]),
    ("silu: sigmoid(z) only", "slope", 3, lambda p, k, s: jax.nn.sigmoid(p.z[k])),
    ("silu: second term's sign", "slope", 3, lambda p, k, s: 2 * jax.nn.sigmoid(p.z[k]) - s),
    ("sigmoid: a (1 + a)", "slope", 4, lambda p, k, s: p.a[k] * (1 + p.a[k])),
    ("sigmoid: z (1 - z)", "slope", 4, lambda p, k, s: p.z[k] * (1 - p.z[k])),
    ("sigmoid: 1 - a forgotten", "slope", 4, lambda p, k, s: p.a[k]),
    ("sigmoid of the sigmoid", "slope", 4, lambda p, k, s: p.slope(k, p.a[k])),
    ("slope of the layer below", "slope", 3, lambda p, k, s: 1 - p.xp.tanh(p.z[k]) ** 2),
    ("slope of the first sample", "slope", 2, lambda p, k, s: s[:1] + 0 * s),
    ("slope averaged over the batch", "slope", 2, lambda p, k, s: s.mean(0, keepdims=True) + 0 * s),
    ("slope twice", "slope", 3, lambda p, k, s: s**2),
    ("slope off by 1e-3", "slope", 1, lambda p, k, s: 1.001 * s),
    ("upstream error left out everywhere", "node", 0, lambda p, k, e, s: s),
    ("upstream error left out in one layer", "node", 2, lambda p, k, e, s: s),
    ("node error: sum for product", "node", 2, lambda p, k, e, s: e + s),
    ("sign of the upstream error lost", "node", 3, lambda p, k, e, s: abs(e) * s),
    ("1/batch again in one layer", "node", 1, lambda p, k, e, s: e * s / p.n),
    ("node error: small ones cut", "node", 3, lambda p, k, e, s: e * s * (abs(e * s) >= 1e-3)),
    ("node error rounded to bfloat16", "node", 2,
     lambda p, k, e, s: (e * s).astype(jnp.bfloat16).astype(e.dtype)),
    ("node error clipped", "node", 4, lambda p, k, e, s: p.xp.clip(e * s, -abs(e).max() / 20, 1)),
    ("weights not transposed on the way back", "carry", 3, lambda p, k, d: d @ p.w[k]),
    ("weights not transposed anywhere", "carry", 0,
     lambda p, k, d: d @ p.w[k].reshape(p.w[k].T.shape)),
    ("carry: sign", "carry", 4, lambda p, k, d: -d @ p.w[k].T),
    ("carry: sign of the weights lost", "carry", 3, lambda p, k, d: d @ abs(p.w[k]).T),
    ("weights of the layer below", "carry", 3, lambda p, k, d: d @ p.w[k - 1].T),
    ("weights of one step before", "carry", 3, lambda p, k, d: d @ (p.w[k] - 0.01).T),
    ("not carried through the weights", "carry", 2, lambda p, k, d: d),
    ("mean over units", "carry", 3, lambda p, k, d: d @ p.w[k].T / p.w[k].shape[1]),
    ("stopped in one layer", "carry", 3, lambda p, k, d: 0 * d @ p.w[k].T),
    ("one unit left out", "carry", 2, lambda p, k, d: d[:, 1:] @ p.w[k][:, 1:].T),
    ("error normalized on the way", "carry", 2,
     lambda p, k, d: d @ p.w[k].T / p.xp.linalg.norm(d)),
    ("gradient of a weight transposed", "weight", 2, lambda p, k, d: d.T @ p.a[k - 1]),
    ("first gradient transposed", "weight", 1, lambda p, k, d: d.T @ p.a[k - 1]),
    ("activations one layer up", "weight", 2, lambda p, k, d: p.a[k].T @ d),
    ("activations one layer down", "weight", 3, lambda p, k, d: p.a[k - 2].T @ d),
    ("inputs for activations", "weight", 2, lambda p, k, d: p.a[0].T @ d),
    ("preactivations for activations", "weight", 3, lambda p, k, d: p.z[k - 1].T @ d),
    ("batch mean of the weights", "weight", 0, lambda p, k, d: p.a[k - 1].T @ d / p.n),
    ("last sample dropped", "weight", 0, lambda p, k, d: p.a[k - 1][:-1].T @ d[:-1]),
    ("product of means", "weight", 4, lambda p, k, d: p.xp.outer(p.a[k - 1].mean(0), d.sum(0))),
    ("stale activations of another batch", "weight", 3,
     lambda p, k, d: p.xp.roll(p.a[k - 1], 1, 0).T @ d),
    ("samples reversed", "weight", 2, lambda p, k, d: p.a[k - 1][::-1].T @ d),
    ("weight: sign", "weight", 2, lambda p, k, d: -p.a[k - 1].T @ d),
    ("no activations", "weight", 3, lambda p, k, d: (0 * p.a[k - 1] + 1).T @ d),
    ("diagonal only", "weight", 2,
     lambda p, k, d: p.xp.eye(*p.w[k].shape, dtype=d.dtype) * (p.a[k - 1].T @ d)),
    ("weight decay 1e-3 added", "weight", 0, lambda p, k, d: p.a[k - 1].T @ d + 1e-3 * p.w[k]),
    ("bias: sum over the batch missing", "bias", 0, lambda p, k, d: d[0]),
    ("bias: mean for sum", "bias", 0, lambda p, k, d: d.mean(0)),
    ("bias of a layer forgotten", "bias", 1, lambda p, k, d: 0 * d[0]),
    ("bias: largest for sum", "bias", 4, lambda p, k, d: d.max(0)),
    ("bias: summed over units too", "bias", 2, lambda p, k, d: 0 * d[0] + d.sum()),
    ("bias: sign", "bias", 3, lambda p, k, d: -d.sum(0)),
    ("bias: one unit further", "bias", 2, lambda p, k, d: p.xp.roll(d.sum(0), 1)),
))
# fmt: on


def backward_by(
    p: Pass, mistake: Mistake | None = None, layer: int | None = None, bar: Any = 1.0
) -> tuple[Any, ...]:
    """Run a backward pass with one wrong part; return the gradients of parameters and inputs.

    The mistake stands in its own layer unless another is given; bar is the cotangent of the loss.
    """
    place = layer if layer is not None or mistake is None else mistake.layer

    def part(name: str, k: int = 0) -> Callable[..., Any]:
        wrong = mistake is not None and mistake.part == name and (not k or place in (0, k))
        return mistake.wrong if wrong and mistake is not None else RIGHT[name]

    error = part("bar")(p, bar) * part("loss")(p, p.error(p.a[-1], p.t))
    layers = []
    for k in range(len(p.w) - 1, 0, -1):
        node_error = part("node", k)(p, k, error, part("slope", k)(p, k, p.slope(k)))
        bias = part("bias", k)(p, k, node_error) if p.biased else None
        layers.append(Layer(part("weight", k)(p, k, node_error), bias))
        error = part("carry", k)(p, k, node_error)
    return part("whole")(p, tuple(reversed(layers))), part("inputs")(p, error)
