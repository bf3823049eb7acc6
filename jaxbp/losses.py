"""Losses: values, gradient and Hessian in the outputs, written by hand.

A loss is defined per sample; the loss of a batch is the mean over its samples, so that a batch can
be summed in tiles.

Legend: n samples, k outputs, o the outputs (n, k), t the targets, l_i the loss of sample i. The
Hessian of l_i in its outputs is factored, H_i = S_i S_i^T, and its gradient written as S_i e_i: e
is the scaled error of Gauss-Newton.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._checks import check_functions, check_name

SMALLEST_PROBABILITY = 1e-8  # under a square root in the scaled error of the cross-entropies
SMALLEST_CURVATURE = 1e-8  # the same in a factor derived from the gradient


@dataclass(frozen=True)
class Loss:
    """A loss and its derivatives.

    Attributes:
        name: for messages, ledgers and pictures.
        values: (outputs (n, k), targets) -> (n,), the loss l_i of each sample.
        gradient: (outputs (n, k), targets) -> (n, k), with dl_i/do_i in row i.
        hessian_factor: (outputs (n, k), targets) -> S (n, k, k) and the scaled error e (n, k);
            derived from the gradient unless given.
        formula: dl_i/do_ij as text for a ledger: {a} is the output, {p} its probability, {y} its
            target, {k} the number of outputs.
        probabilities: outputs (n, k) -> probabilities (n, k) if the outputs are logits, else None.
        quadratic: whether l_i is a squared error, so that the errors of networks add up.
        probability_targets: whether the targets are probabilities.
        labels: whether the targets may be integer class labels (n,).
        weighted: whether the last column of the targets (n, k + 1) weighs the samples; see
            `weighted`.

    Raises:
        ValueError: the name is not a text, or values or gradient is not a hashable function.

    Examples:
        >>> import jax.numpy as jnp
        >>> import jaxbp
        >>> quartic = jaxbp.Loss(
        ...     "quartic",
        ...     values=lambda o, t: jnp.sum((o - t) ** 4, axis=1),
        ...     gradient=lambda o, t: 4 * (o - t) ** 3,
        ... )
        >>> jaxbp.loss_and_gradient(mlp, params, inputs, targets, quartic)  # doctest: +SKIP
    """

    name: str
    values: Callable[[Array, Array], Array] = field(repr=False)
    gradient: Callable[[Array, Array], Array] = field(repr=False)
    hessian_factor: Any = field(default=None, repr=False)
    formula: str = ""
    probabilities: Callable[[Array], Array] | None = field(default=None, repr=False)
    quadratic: bool = False
    probability_targets: bool = False
    labels: bool = False
    weighted: bool = False

    def __post_init__(self) -> None:
        check_functions("Loss", self.name, values=self.values, gradient=self.gradient)
        if self.hessian_factor is None:
            object.__setattr__(self, "hessian_factor", _DerivedFactor(self.gradient))
        if not self.formula:
            object.__setattr__(self, "formula", f"{self.name}'({{a}}, {{y}})")

    def total_weight(self, targets: Array) -> Any:
        """Return the sum of the weights of the samples, their number if they have none."""
        return targets[:, -1].sum() if self.weighted else targets.shape[0]


@dataclass(frozen=True)
class _DerivedFactor:
    """S and e from the eigenvalues of H_i = d gradient_i / do_i, with a positive lower bound."""

    gradient: Callable[[Array, Array], Array]

    def __call__(self, outputs: Array, targets: Array) -> tuple[Array, Array]:
        def of_one(output: Array, target: Array) -> tuple[Array, Array]:
            def slope(output: Array) -> Array:
                return self.gradient(output[jnp.newaxis], target[jnp.newaxis])[0]

            curvatures, vectors = jnp.linalg.eigh(jax.jacfwd(slope)(output))
            roots = jnp.sqrt(jnp.maximum(curvatures, SMALLEST_CURVATURE))
            return vectors * roots[jnp.newaxis, :], vectors.T @ slope(output) / roots

        return jax.vmap(of_one)(outputs, targets)


def mean_squared_error(outputs: Array, targets: Array) -> Array:
    """l_i = 1/k sum_j (o_ij - t_ij)^2, so that the batch's loss is the mean over every element."""
    error = outputs - targets
    return jnp.mean(error * error, axis=1)


def mean_squared_error_gradient(outputs: Array, targets: Array) -> Array:
    """dl_i/do_ij = 2/k (o_ij - t_ij)."""
    return 2 / outputs.shape[1] * (outputs - targets)


def mean_squared_error_factor(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """H = 2/k I = S S^T with S = sqrt(2/k) I, and e = sqrt(2/k) (o - t)."""
    root = (2 / outputs.shape[1]) ** 0.5
    return root * _identities(outputs), root * (outputs - targets)


def half_squared_error(outputs: Array, targets: Array) -> Array:
    """l_i = 1/2 sum_j (o_ij - t_ij)^2: a sum over the outputs, a mean over the batch."""
    error = outputs - targets
    return jnp.sum(error * error, axis=1) / 2


def half_squared_error_gradient(outputs: Array, targets: Array) -> Array:
    """dl_i/do_ij = o_ij - t_ij."""
    return outputs - targets


def half_squared_error_factor(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """H = S = I, and e = o - t."""
    return _identities(outputs), outputs - targets


def softmax_cross_entropy(outputs: Array, targets: Array) -> Array:
    """l_i = -sum_j t_ij log p_ij, p = softmax(o): o logits, t labels (n,) or distributions."""
    return -jnp.sum(_distributions(outputs, targets) * jax.nn.log_softmax(outputs, axis=1), axis=1)


def softmax_cross_entropy_gradient(outputs: Array, targets: Array) -> Array:
    """dl_i/do_ij = p_ij sum_c t_ic - t_ij, which is p - t for a distribution."""
    distributions = _distributions(outputs, targets)
    return (
        jax.nn.softmax(outputs, axis=1) * distributions.sum(axis=1, keepdims=True) - distributions
    )


def softmax_cross_entropy_factor(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """H = diag(p) - p p^T = S S^T, S = diag(q) - p q^T, q = sqrt(p), and e = (p - t) / q."""
    p = jax.nn.softmax(outputs, axis=1)
    q = jnp.sqrt(jnp.maximum(p, SMALLEST_PROBABILITY))
    factor = (
        q[:, :, jnp.newaxis] * _identities(outputs) - p[:, :, jnp.newaxis] * q[:, jnp.newaxis, :]
    )
    return factor, softmax_cross_entropy_gradient(outputs, targets) / q


def binary_cross_entropy(outputs: Array, targets: Array) -> Array:
    """l_i = 1/k sum_j (log(1 + exp(o_ij)) - t_ij o_ij): o logits, t in [0, 1]."""
    return jnp.mean(jax.nn.softplus(outputs) - targets * outputs, axis=1)


def binary_cross_entropy_gradient(outputs: Array, targets: Array) -> Array:
    """dl_i/do_ij = 1/k (sigmoid(o_ij) - t_ij)."""
    return (jax.nn.sigmoid(outputs) - targets) / outputs.shape[1]


def binary_cross_entropy_factor(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """H = diag(p (1 - p)) / k = S S^T, S diagonal."""
    p = jax.nn.sigmoid(outputs)
    q = jnp.sqrt(jnp.maximum(p * (1 - p), SMALLEST_PROBABILITY) / outputs.shape[1])
    return q[:, :, jnp.newaxis] * _identities(outputs), binary_cross_entropy_gradient(
        outputs, targets
    ) / q


def softmax(outputs: Array) -> Array:
    """p_ij = exp(o_ij) / sum_c exp(o_ic)."""
    return jax.nn.softmax(outputs, axis=-1)


NAMED = (
    Loss(
        "mean_squared_error",
        mean_squared_error,
        mean_squared_error_gradient,
        mean_squared_error_factor,
        "2 / {k} × ({a} - {y})",
        quadratic=True,
    ),
    Loss(
        "half_squared_error",
        half_squared_error,
        half_squared_error_gradient,
        half_squared_error_factor,
        "{a} - {y}",
        quadratic=True,
    ),
    Loss(
        "softmax_cross_entropy",
        softmax_cross_entropy,
        softmax_cross_entropy_gradient,
        softmax_cross_entropy_factor,
        "{p} - {y}",
        softmax,
        probability_targets=True,
        labels=True,
    ),
    Loss(
        "binary_cross_entropy",
        binary_cross_entropy,
        binary_cross_entropy_gradient,
        binary_cross_entropy_factor,
        "1 / {k} × ({p} - {y})",
        jax.nn.sigmoid,
        probability_targets=True,
    ),
)
LOSSES: dict[str, Loss] = {loss.name: loss for loss in NAMED}


def weighted(loss: Loss) -> Loss:
    """Return w_i l_i, where the last column of the targets (n, k + 1) is w, at least 0.

    Its Hessian is factored by sqrt(w_i) S_i, its scaled error is sqrt(w_i) e_i.
    """

    def values(outputs: Array, targets: Array) -> Array:
        return targets[:, -1] * loss.values(outputs, targets[:, :-1])

    def gradient(outputs: Array, targets: Array) -> Array:
        return targets[:, -1:] * loss.gradient(outputs, targets[:, :-1])

    def factor(outputs: Array, targets: Array) -> tuple[Array, Array]:
        factor, error = loss.hessian_factor(outputs, targets[:, :-1])
        root = jnp.sqrt(targets[:, -1:])
        return root[:, :, jnp.newaxis] * factor, root * error

    name, quadratic = f"weighted {loss.name}", loss.quadratic
    return Loss(name, values, gradient, factor, quadratic=quadratic, weighted=True)


def as_loss(given: Any, argument: str = "loss") -> Loss:
    """Return a `Loss`, looked up if `given` is a name.

    Raises:
        ValueError: it is neither a `Loss` nor a key of `LOSSES`; the message of a plain function
            shows how to wrap it.
    """
    if isinstance(given, Loss):
        return given
    if not isinstance(given, str):
        raise ValueError(
            f"{argument} must be a name or a Loss, got {getattr(given, '__name__', repr(given))}: "
            f"pass one of {', '.join(LOSSES)}, or wrap it as "
            'jaxbp.Loss("mine", values, gradient), values(outputs, targets) being the loss of each '
            "sample (n,) and gradient(outputs, targets) its derivative (n, k)"
        )
    check_name(argument, given, LOSSES)
    return LOSSES[given]


def _identities(outputs: Array) -> Array:
    """An identity matrix for each sample, (n, k, k)."""
    identity = jnp.eye(outputs.shape[1], dtype=outputs.dtype)
    return jnp.broadcast_to(identity, (*outputs.shape, outputs.shape[1]))


def _distributions(outputs: Array, targets: Array) -> Array:
    """One-hot rows for labels; a label out of range, which cannot raise in jit, gives NaN."""
    if targets.ndim == 2:
        return targets
    known = (targets >= 0) & (targets < outputs.shape[1])
    one_hot = jax.nn.one_hot(targets, outputs.shape[1], dtype=outputs.dtype)
    return jnp.where(known[:, jnp.newaxis], one_hot, jnp.nan)
