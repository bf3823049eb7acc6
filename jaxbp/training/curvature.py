"""The Gauss-Newton form of each loss: its Hessian in the outputs of a sample as S S^T, and its gradient as S e.

Legend: n samples, k outputs, o (n, k) the outputs, t the targets, S (n, k, k), e (n, k).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp.losses import loss_named

SMALLEST_PROBABILITY = 1e-8  # under a square root in the scaled error of the cross-entropies


def _squares(factor: Callable[[int], float]) -> Callable[[Array, Array], tuple[Array, Array]]:
    def form(outputs: Array, targets: Array) -> tuple[Array, Array]:
        num_samples, num_outputs = outputs.shape
        root = factor(num_outputs) ** 0.5
        roots = jnp.broadcast_to(
            root * jnp.eye(num_outputs, dtype=outputs.dtype), (num_samples, num_outputs, num_outputs)
        )
        return roots, root * (outputs - targets)

    return form


def _softmax_form(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """H = diag(p) - p p^T = S S^T with S = diag(q) - p q^T, q = sqrt(p); S e = p - t for e = (p - t) / q."""
    p = jax.nn.softmax(outputs, axis=1)
    q = jnp.sqrt(jnp.maximum(p, SMALLEST_PROBABILITY))
    error = loss_named("softmax_cross_entropy").gradient(outputs, targets)
    return q[:, :, None] * jnp.eye(p.shape[1], dtype=p.dtype)[None] - p[:, :, None] * q[:, None, :], error / q


def _binary_form(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """H = diag(p (1 - p)) / k = S S^T, S diagonal."""
    p = jax.nn.sigmoid(outputs)
    q = jnp.sqrt(jnp.maximum(p * (1 - p), SMALLEST_PROBABILITY) / outputs.shape[1])
    error = loss_named("binary_cross_entropy").gradient(outputs, targets)
    return q[:, :, None] * jnp.eye(p.shape[1], dtype=p.dtype)[None], error / q


# For each loss: (outputs (n, k), targets) -> S (n, k, k) and e (n, k), with Hessian S S^T and gradient S e.
FORMS: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "mean_squared_error": _squares(lambda num_outputs: 2 / num_outputs),
    "half_squared_error": _squares(lambda num_outputs: 1.0),
    "softmax_cross_entropy": _softmax_form,
    "binary_cross_entropy": _binary_form,
}
