"""Check the gradient of a 784-50-10 network on three images, as the book does, by three checkers.

Central differences, the complex step and jax.grad agree with the hand-written gradient. The
document's own loss, -log(p + 1e-7), cannot pass: the 1e-7 is in the loss but not in the gradient.
"""

from shared.experiment import Common, begin, finish, print_table, print_values, run

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import data
import jaxbp
from jaxbp import viz
from jaxbp.gradcheck import compare, numerical_gradient, rounding_bound
from jaxbp.network import forward


@dataclass(frozen=True)
class Config(Common):
    """Flags of check_gradients."""

    mnist: str = ""
    """Folder with MNIST's four IDX files; scikit-learn's digits, enlarged to 28 x 28, if empty."""


MLP = jaxbp.Mlp((784, 50, 10), hidden="relu")
LEAVES = ("W1", "b1", "W2", "b2")
LOSS = "softmax_cross_entropy"
GUARD = 1e-7  # added under the document's logarithm
CRITERION = 1e-7  # the document's, of the mean | hand - checker |
STEP = 6e-6  # of central differences in float64
GUARDED = "central differences of log(p + 1e-7)"


def main(config: Config) -> None:
    """Check every parameter, print and draw the relative differences."""
    folder = begin(config)
    images, labels = three_images(config.mnist, config.seed)
    params = start(0.01, config.seed)
    hand = jaxbp.loss_and_gradient(MLP, params, images, labels, LOSS)[1]
    gradients, allowed = check(params, images, labels)
    rows: dict[str, Any] = {}
    means: dict[str, dict[str, float]] = {}
    for name, some in gradients.items():
        compared = compare("", hand, some, name, allowed[name])
        rows[name] = dict(zip(LEAVES, compared, strict=True))
        gaps = jax.tree.map(lambda a, b: float(jnp.abs(a - b).mean()), hand, some)
        means[name] = dict(zip(LEAVES, jax.tree.leaves(gaps), strict=True))
    cells = {
        name: {leaf: f"{one.error:.1e} of {one.allowed:.1e}" for leaf, one in row.items()}
        for name, row in rows.items()
    }
    print_table("784-50-10, three images: relative difference of allowed", cells)
    probabilities = jax.nn.softmax(jaxbp.predict(MLP, params, images), axis=1).ravel()
    rules = {
        name: jaxbp.check_rule(rule, log_plus_guard, probabilities) for name, rule in RULES.items()
    }
    print(
        "\nlog(p + 1e-7) has the gradient (p - t) p / (p + 1e-7), p the probability of the true "
        f"class, and not p - t.\nIts mean difference on b2 is {means[GUARDED]['b2']:.1e}, the "
        f"document's criterion {CRITERION:.0e}. Log-softmax needs no guard."
    )
    reports = {"check_gradients": jaxbp.check_gradients(MLP, params, images, labels, LOSS)} | rules
    print_values("by the library", {name: one.summary for name, one in reports.items()})
    dots = viz.draw_dots(
        {leaf: {name: row[leaf].error for name, row in rows.items()} for leaf in LEAVES},
        xlabel="‖hand-written − checker‖ / ‖checker‖",
        title="Gradient check, 784-50-10, three images",
    )
    found = {name: rule.ok for name, rule in rules.items()}
    numbers = {"relative": rows, "mean": means, "rules": found}
    finish(config, folder, "gradient_check", numbers, {"gradient_check.svg": dots})


def three_images(mnist: str, seed: int) -> tuple[Array, Array]:
    """Return three images of 28 x 28 pixels, small ones enlarged in blocks, and their labels."""
    images = data.images_of(mnist, seed)
    side = images.side
    if side > 28:
        raise ValueError(f"images must be at most 28 x 28 pixels, got {side} x {side}")
    large = np.kron(images.train_images[:3].reshape(3, side, side), np.ones((28 // side,) * 2))
    before = (28 - large.shape[1]) // 2
    margin = (before, 28 - large.shape[1] - before)
    padded = np.pad(large, ((0, 0), margin, margin)).reshape(3, 784)
    return jnp.asarray(padded), jnp.asarray(images.train_labels[:3])


def start(scale: float, seed: int) -> jaxbp.Params:
    """Draw normal weights of that standard deviation, biases 0, in float64."""
    return jaxbp.init(MLP, jax.random.key(seed), "normal", scale=scale, dtype=jnp.float64)


def analytic_loss(params: jaxbp.Params, images: Array, labels: Array) -> Array:
    """Return softmax cross-entropy by log-softmax; the parameters may be complex."""
    outputs, _ = forward(MLP, params, images.astype(params[0].weight.dtype))
    # The shift changes nothing; by real parts alone it keeps the function analytic.
    shift = jax.lax.stop_gradient(outputs.real.max(axis=1, keepdims=True))
    log_total = jnp.log(jnp.exp(outputs - shift).sum(axis=1)) + shift[:, 0]
    return jnp.mean(log_total - jnp.take_along_axis(outputs, labels[:, jnp.newaxis], axis=1)[:, 0])


def guarded_loss(params: jaxbp.Params, images: Array, labels: Array) -> Array:
    """Return the document's loss, -log(p + 1e-7)."""
    p = jax.nn.softmax(forward(MLP, params, images)[0], axis=1)
    return -jnp.mean(log_plus_guard(jnp.take_along_axis(p, labels[:, jnp.newaxis], axis=1)))


def log_plus_guard(p: Array) -> Array:
    """Return the document's logarithm."""
    return jnp.log(p + GUARD)


def log_with_rule(slope: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Return the document's logarithm with a derivative rule."""
    rule = jax.custom_vjp(log_plus_guard)
    rule.defvjp(lambda p: (log_plus_guard(p), p), lambda p, bar: (bar * slope(p),))
    return rule


# The rule that p - t implies, and the right one.
RULES = {
    "d log(p + 1e-7) = 1 / p": log_with_rule(lambda p: 1 / p),
    "d log(p + 1e-7) = 1 / (p + 1e-7)": log_with_rule(lambda p: 1 / (p + GUARD)),
}


def check(
    params: jaxbp.Params, x: Array, t: Array
) -> tuple[dict[str, jaxbp.Params], dict[str, list[float]]]:
    """Return each checker's gradient, and the relative error of each leaf that its method explains.

    A difference rounds by some units of the loss over h in each element; its truncation, h^2 / 6
    times a third derivative, is far below that here. The others round as the hand-written gradient
    does.
    """
    exact = jax.jit(jax.grad(analytic_loss))(params, x, t)
    gradients = {
        "central differences": numerical_gradient(
            lambda p: analytic_loss(p, x, t), params, step=STEP
        ),
        "complex step": numerical_gradient(lambda p: analytic_loss(p, x, t), params, "complex"),
        "jax.grad": exact,
        GUARDED: numerical_gradient(lambda p: guarded_loss(p, x, t), params, step=STEP),
    }
    rounding = 4 * 2.0**-52 * (float(analytic_loss(params, x, t)) + 1) / STEP
    differences = [
        rounding * leaf.size**0.5 / float(jnp.linalg.norm(leaf)) for leaf in jax.tree.leaves(exact)
    ]
    others = [rounding_bound(MLP, len(t), np.float64)] * len(LEAVES)
    return gradients, {name: differences if "differences" in name else others for name in gradients}


if __name__ == "__main__":
    run(main, Config)
