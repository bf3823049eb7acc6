"""Autodiff of the forward pass in float64, and the error that rounding may cause beside it.

The correctness statement, for every parameter leaf:

    || hand - g ||_2  <=  8 sqrt(L) max(1, (max(width, batch) / 64)^(1/4)) u || g ||_2

with L affine layers, u half a unit in the last place of the dtype (2^-24 or 2^-53), and g the
float64 gradient at the same stored parameters. It is normwise for each leaf: where terms cancel, a
single element may be off by far more than the norm. Where the terms of a whole leaf cancel, as they
do in a trained network, every program is off by more; how much more is measured.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxbp.dense import affine
from jaxbp.gradcheck.calls import compiled
from jaxbp.gradcheck.report import Row, compare
from jaxbp.losses import Loss, binary_cross_entropy
from jaxbp.network import forward
from jaxbp.params import Mlp, Params

# Of the parameters, relative: far above the unit of float64, far below what bends a gradient.
CHANGE = 2.0**-36
NUDGE = 2.0**-18  # the same for float32
DRAWS = 4  # such changes at most: the effects of one may cancel


class Derivatives(NamedTuple):
    """What autodiff has for the backward pass, named as in `Trace`; index l - 1 belongs to layer l.

    Attributes:
        gradient: of the structure of the parameters.
        node_errors: dL/dZ_l (n, n_l).
        activation_errors: dL/dA_l (n, n_l).
        inputs_error: dL/dA_0 (n, n_0).
    """

    gradient: Params
    node_errors: tuple[Array, ...]
    activation_errors: tuple[Array, ...]
    inputs_error: Array


def _sigmoid(z: Array) -> Array:
    return jnp.where(z < 1, jax.nn.sigmoid(z), jnp.exp(-jax.nn.softplus(-z)))


def _tanh(z: Array) -> Array:
    return jnp.where(jnp.abs(z) < 1, jnp.tanh(z), 2 * _sigmoid(2 * z) - 1)


def _binary_cross_entropy(outputs: Array, targets: Array) -> Array:
    terms = targets * jax.nn.softplus(-outputs) + (1 - targets) * jax.nn.softplus(outputs)
    return jnp.mean(terms, axis=1)


# JAX's derivatives a (1 - a), (1 + a) (1 - a) and p - t lose every digit where a unit saturates;
# those of these forms of the same functions keep them.
UNCANCELLED: dict[Any, Any] = {
    jax.nn.sigmoid: _sigmoid,
    jnp.tanh: _tanh,
    binary_cross_entropy: _binary_cross_entropy,
}


def reference_loss(
    mlp: Mlp,
    loss: Loss,
    cancelling: bool,
    params: Params,
    inputs: Array,
    targets: Array,
    shifts: Any = None,
) -> Array:
    """Compute the loss without a hand-written rule, in the dtype of the parameters.

    `shifts` is added to each Z_l and A_l, so that autodiff answers for node errors too. With
    `cancelling`, no function is replaced by its form in `UNCANCELLED`.
    """
    other = {} if cancelling else UNCANCELLED
    dtype = params[0].weight.dtype
    outputs = inputs.astype(dtype)
    for k, (layer, activation) in enumerate(zip(params, mlp.activations, strict=True)):
        value = other.get(activation.value, activation.value)
        outputs = affine(layer, outputs)
        before, after = (0, 0) if shifts is None else (shifts[0][k], shifts[1][k])
        outputs = value(outputs + before) + after
    same = targets if jnp.issubdtype(targets.dtype, jnp.integer) else targets.astype(dtype)
    return other.get(loss.values, loss.values)(outputs, same).mean()


reference_gradient = compiled(jax.grad(reference_loss, 3), static_argnums=(0, 1, 2))


@partial(compiled, static_argnums=(0, 1, 2))
def reference_derivatives(
    mlp: Mlp, loss: Loss, cancelling: bool, params: Params, inputs: Array, targets: Array
) -> Derivatives:
    """Differentiate the loss with respect to every number of the backward pass."""
    zeros = [jnp.zeros((len(inputs), size), params[0].weight.dtype) for size in mlp.sizes[1:]]
    objective = jax.grad(partial(reference_loss, mlp, loss, cancelling), (0, 1, 3))
    shifts = (tuple(zeros), tuple(zeros))
    gradient, inputs_error, (node_errors, errors) = objective(params, inputs, targets, shifts)
    return Derivatives(gradient, node_errors, errors, inputs_error)


def rounding_bound(mlp: Mlp, num_samples: int, dtype: DTypeLike) -> float:
    """Return the relative error of a leaf, by norms, that rounding in `dtype` may cause."""
    unit = float(jnp.finfo(dtype).eps) / 2
    growth = max(1.0, (max(*mlp.sizes, num_samples) / 64) ** 0.25)
    return 8 * math.sqrt(mlp.num_layers) * growth * unit


def allowances(
    checker: Callable[[Params], Any],
    params: Params,
    mlp: Mlp,
    num_samples: int,
    dtype: DTypeLike,
    rounded: Callable[[Params], Any] | None = None,
    exact: Any = None,
    hand: Any = None,
) -> list[float]:
    """Return for each leaf of the checker the relative error that rounding in `dtype` may cause.

    Where the terms of a leaf cancel, the bound grows: by what autodiff's own error in float32
    shows, by what relative changes of the parameters by u do to it, and by the error of
    `rounded` in the dtype, each four times for safety. Near a minimum the second is the larger
    one: there a gradient is a small difference of large terms. `exact` is what the checker returns
    for the parameters, if it is known. One draw is enough where the errors of `hand` are below a
    quarter of the bounds.
    """
    bound, single = (rounding_bound(mlp, num_samples, kind) for kind in (dtype, np.float32))
    unit, generator = float(jnp.finfo(dtype).eps) / 2, np.random.default_rng(0)
    here = checker(params) if exact is None else exact

    def errors(tree: Any, right: Any) -> np.ndarray:
        unknown = [0.0] * len(jax.tree.leaves(right))
        return np.array([row.error for row in compare("", tree, right, "", unknown)])

    def cast(tree: Any, kind: Any) -> Any:
        return jax.tree.map(lambda leaf: np.asarray(leaf).astype(kind), tree)

    params = cast(params, np.float64)  # in NumPy nothing is compiled
    limits = np.full(len(jax.tree.leaves(here)), bound)
    found = np.inf if hand is None else errors(hand, here)
    for _ in range(DRAWS):
        signs = jax.tree.map(lambda leaf: generator.choice([-1.0, 1.0], leaf.shape), params)
        moved, near = (
            jax.tree.map(lambda leaf, sign, by=by: leaf * (1 + by * sign), params, signs)
            for by in (CHANGE, NUDGE)
        )
        narrow = cast(near, np.float32)
        lost = errors(checker(narrow), checker(widen(narrow))) * bound / single
        changed = errors(checker(moved), here) * unit / CHANGE
        limits = np.fmax(limits, 4 * np.fmax(lost, changed))
        if np.all(4 * found <= limits):
            break
    if rounded is not None:
        limits = np.fmax(limits, 4 * errors(rounded(cast(params, dtype)), here))
    # In float64 the checker rounds as well: two errors, each within the bound, are that much apart
    # at most.
    return [float(limit) * (2 if dtype == np.float64 else 1) for limit in limits]


def against_autodiff(
    root: str, hand: Any, program: Any, case: tuple[Any, ...], dtype: DTypeLike, cancels: bool,
    rtol: float | None = None,
) -> tuple[list[Row], Any, list[float]]:  # fmt: skip
    """Compare leaves with those of a program of autodiff; also return these, and what is allowed.

    The case is the network, the loss, parameters, inputs and targets, in float64. Cancels says that
    the program by hand uses derivatives that do.
    """
    mlp, loss, params, inputs, targets = case
    checker, rounded = (
        partial(program, mlp, loss, cancelling, inputs=inputs, targets=targets)
        for cancelling in (False, True)
    )
    exact = checker(params)
    known = mlp, len(inputs), dtype, rounded if cancels or loss.probabilities else None, exact, hand
    allowed = [max(limit, rtol or 0.0) for limit in allowances(checker, params, *known)]
    return compare(root, hand, exact, "autodiff", allowed), exact, allowed


def widen(tree: Any) -> Any:
    """Cast the floating leaves of a pytree to float64, without losing what they store."""

    def cast(leaf: Any) -> Array:
        array = np.asarray(leaf)
        return jnp.asarray(
            array, jnp.float64 if jnp.issubdtype(array.dtype, jnp.floating) else None
        )

    return jax.tree.map(cast, tree)


@partial(jax.jit, static_argnums=0)
def _kink_sides(mlp: Mlp, params: Params, inputs: Array) -> list[Array]:
    """For each layer whose activation has a kink, which of its units are above it."""
    if not any(activation.kink for activation in mlp.activations):
        return []
    _, residuals = forward(mlp, params, inputs)
    pairs = zip(mlp.activations, residuals, strict=True)
    return [kept.activation > 0 for activation, kept in pairs if activation.kink]


def notes_on(mlp: Mlp, params: Params, inputs: Array, rows: list[Row]) -> list[str]:
    """Count the units on another side of a kink than in float64, and name leaves that cancel."""
    sides = _kink_sides(mlp, params, inputs), _kink_sides(mlp, *widen((params, inputs)))
    flips = sum(int((a != b).sum()) for a, b in zip(*sides, strict=True))
    text = f"{flips} units are on the other side of a kink in {inputs.dtype} than in float64"
    return [text] * bool(flips) + [
        f"{row.path}: its terms cancel, rounding allows {row.allowed:.1g}"
        for row in rows
        if row.allowed > 0.01
    ]
