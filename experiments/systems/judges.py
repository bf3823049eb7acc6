"""The book's gradient check, 784-50-10 on three images: the hand-written gradient before three judges."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxbp.numerical import numerical_gradient

import jaxbp
from jaxbp.losses import loss_named
from jaxbp.network import forward

MLP = jaxbp.Mlp((784, 50, 10), hidden="relu")
NAMES = ("W1", "b1", "W2", "b2")
GUARD = 1e-7  # what the document adds under the logarithm
JUDGES = ("central differences", "complex step", "jax.grad", "central differences of log(p + 1e-7)")


def enlarged(images: np.ndarray, side: int) -> np.ndarray:
    """Makes images of 28 x 28 pixels of square ones: each pixel a block, a margin of zeros around."""
    if side > 28:
        raise ValueError(f"images must be at most 28 x 28 pixels to be judged, got {side} x {side}")
    if side == 28:
        return images
    block = 28 // side
    large = np.kron(images.reshape(-1, side, side), np.ones((block, block)))
    margin = 28 - side * block
    before = margin // 2
    return np.pad(large, ((0, 0), (before, margin - before), (before, margin - before))).reshape(len(images), 784)


def start(scale: float, seed: int) -> jaxbp.Params:
    """Normal weights of that standard deviation, biases 0, in float64."""
    return jaxbp.init(MLP, jax.random.key(seed), "normal", scale=scale, dtype=jnp.float64)


def loss_of(params: jaxbp.Params, images: Array, labels: Array) -> Array:
    """Softmax cross-entropy by log-softmax; the parameters may be complex."""
    outputs, _ = forward(MLP, params, images.astype(params[0].weight.dtype))
    # The most likely class is shifted to 0 by the real parts alone: shifting changes nothing, but must stay analytic.
    shift = jax.lax.stop_gradient(outputs.real.max(axis=1, keepdims=True))
    log_total = jnp.log(jnp.exp(outputs - shift).sum(axis=1)) + shift[:, 0]
    chosen = jnp.take_along_axis(outputs, labels[:, jnp.newaxis], axis=1)[:, 0]
    return jnp.mean(log_total - chosen)


def guarded_loss_of(params: jaxbp.Params, images: Array, labels: Array) -> Array:
    """The document's loss: -log(p + 1e-7)."""
    outputs, _ = forward(MLP, params, images)
    p = jnp.take_along_axis(jax.nn.softmax(outputs, axis=1), labels[:, jnp.newaxis], axis=1)
    return -jnp.mean(jnp.log(p + GUARD))


def judge(params: jaxbp.Params, images: np.ndarray, labels: np.ndarray) -> tuple[jaxbp.Params, dict[str, jaxbp.Params]]:
    """The hand-written gradient, and each judge's."""
    x, t = jnp.asarray(images), jnp.asarray(labels)
    hand = jaxbp.loss_and_gradient(MLP, params, x, t, "softmax_cross_entropy")[1]

    def reference_loss(params: jaxbp.Params) -> Array:
        return loss_named("softmax_cross_entropy").values(jaxbp.reference_predict(MLP, params, x), t).mean()

    found = (
        numerical_gradient(lambda p: loss_of(p, x, t), params),
        numerical_gradient(lambda p: loss_of(p, x, t), params, "complex"),
        jax.grad(reference_loss)(params),
        numerical_gradient(lambda p: guarded_loss_of(p, x, t), params),
    )
    return hand, dict(zip(JUDGES, found, strict=True))


def differences(hand: jaxbp.Params, judged: jaxbp.Params) -> dict[str, tuple[float, float]]:
    """For each parameter the mean of | hand - judge |, which is the document's criterion, and the largest."""
    pairs = zip(NAMES, jax.tree.leaves(hand), jax.tree.leaves(judged), strict=True)
    gaps = {name: np.abs(np.asarray(a) - np.asarray(b)) for name, a, b in pairs}
    return {name: (float(gap.mean()), float(gap.max())) for name, gap in gaps.items()}
