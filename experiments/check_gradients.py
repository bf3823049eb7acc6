"""Check the gradient of a 784-50-10 network on three images, as the book does, by three judges.

Central differences, the complex step and jax.grad agree with the hand-written gradient. The
document's own loss, -log(p + 1e-7), cannot pass: the 1e-7 is in the loss but not in the gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import data
import jaxbp
from common import Common, begin, finish, print_columns, print_table, run
from jaxbp import viz
from jaxbp.gradcheck import compare, numerical_gradient, rounding_bound
from jaxbp.network import forward


@dataclass(frozen=True)
class Config(Common):
    """Flags of check_gradients."""

    mnist: str | None = None
    """Folder with MNIST's four IDX files; scikit-learn's digits, enlarged to 28 x 28, unless given."""
    scale: float = 0.01
    """Standard deviation of the weights."""


MLP = jaxbp.Mlp((784, 50, 10), hidden="relu")
LEAVES = ("W1", "b1", "W2", "b2")
LOSS = "softmax_cross_entropy"
GUARD = 1e-7  # what the document adds under the logarithm
CRITERION = 1e-7  # the document's, of the mean | hand - judge |
STEP = 6e-6  # of central differences in float64

Loss = Callable[[jaxbp.Params, Array, Array], Array]


def main(config: Config) -> None:
    """Judges every parameter, prints and draws the relative differences."""
    folder = begin(config)
    images = (
        data.digit_images(seed=config.seed)
        if config.mnist is None
        else data.mnist_images(config.mnist)
    )
    three, labels = (
        jnp.asarray(enlarged(images.train_images[:3], images.side)),
        jnp.asarray(images.train_labels[:3]),
    )
    params = start(config.scale, config.seed)
    hand = jaxbp.loss_and_gradient(MLP, params, three, labels, LOSS)[1]
    gradients, allowed = judge(params, three, labels)
    rows = {name: compare("", hand, some, name, allowed[name]) for name, some in gradients.items()}
    cells = [
        (name, *(f"{row.error:.1e} of {row.allowed:.1e}" for row in some))
        for name, some in rows.items()
    ]
    print_columns(
        ["relative difference of allowed", *LEAVES], cells, "784-50-10, three images, by leaf"
    )
    gaps = {
        name: jax.tree.map(lambda a, b: float(jnp.abs(a - b).mean()), hand, g)
        for name, g in gradients.items()
    }
    means = {
        name: dict(zip(LEAVES, jax.tree.leaves(of_judge), strict=True))
        for name, of_judge in gaps.items()
    }
    probabilities = jax.nn.softmax(jaxbp.predict(MLP, params, three), axis=1).ravel()
    rules = {
        name: jaxbp.check_rule(rule, log_plus_guard, probabilities) for name, rule in RULES.items()
    }
    guarded = f"{means[GUARDED]['b2']:.1e} on b2, the document's criterion is {CRITERION:.0e}"
    print(
        "\nlog(p + 1e-7) has the gradient (p − t) p / (p + 1e-7), p the true class's probability, and not p − t."
    )
    print(f"Its mean difference is {guarded}. Log-softmax needs no guard.")
    whole = jaxbp.check_gradients(MLP, params, three, labels, LOSS).summary
    print_table(
        {"check_gradients": whole} | {name: rule.summary for name, rule in rules.items()},
        "by the library",
    )
    dots = viz.draw_dots(
        {
            leaf: {name: of_judge[i].error for name, of_judge in rows.items()}
            for i, leaf in enumerate(LEAVES)
        },
        xlabel="‖hand-written − judge‖ / ‖judge‖",
        title="Gradient check, 784-50-10, three images",
    )
    relative = {name: dict(zip(LEAVES, of_judge, strict=True)) for name, of_judge in rows.items()}
    numbers = {
        "relative": relative,
        "mean": means,
        "rules": {name: rule.ok for name, rule in rules.items()},
    }
    finish(config, folder, "gradient_check", numbers, {"gradient_check.svg": dots.figure})


def enlarged(images: np.ndarray, side: int) -> np.ndarray:
    """Makes images of 28 x 28 pixels of square ones: each pixel a block, a margin of zeros around."""
    if side > 28:
        raise ValueError(f"images must be at most 28 x 28 pixels to be judged, got {side} x {side}")
    block = 28 // side
    large, margin = (
        np.kron(images.reshape(-1, side, side), np.ones((block, block))),
        28 - side * block,
    )
    before = margin // 2
    return np.pad(large, ((0, 0), (before, margin - before), (before, margin - before))).reshape(
        len(images), 784
    )


def start(scale: float, seed: int) -> jaxbp.Params:
    """Normal weights of that standard deviation, biases 0, in float64."""
    return jaxbp.init(MLP, jax.random.key(seed), "normal", scale=scale, dtype=jnp.float64)


def analytic_loss(params: jaxbp.Params, images: Array, labels: Array) -> Array:
    """Softmax cross-entropy by log-softmax; the parameters may be complex."""
    outputs, _ = forward(MLP, params, images.astype(params[0].weight.dtype))
    # The most likely class is shifted to 0 by the real parts alone: shifting changes nothing, but
    # must stay analytic.
    shift = jax.lax.stop_gradient(outputs.real.max(axis=1, keepdims=True))
    log_total = jnp.log(jnp.exp(outputs - shift).sum(axis=1)) + shift[:, 0]
    return jnp.mean(log_total - jnp.take_along_axis(outputs, labels[:, jnp.newaxis], axis=1)[:, 0])


def guarded_loss(params: jaxbp.Params, images: Array, labels: Array) -> Array:
    """The document's loss: -log(p + 1e-7)."""
    p = jax.nn.softmax(forward(MLP, params, images)[0], axis=1)
    return -jnp.mean(log_plus_guard(jnp.take_along_axis(p, labels[:, jnp.newaxis], axis=1)))


def log_plus_guard(p: Array) -> Array:
    """The document's logarithm."""
    return jnp.log(p + GUARD)


def log_with_rule(slope: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The document's logarithm with a derivative rule of its own."""
    rule = jax.custom_vjp(log_plus_guard)
    rule.defvjp(lambda p: (log_plus_guard(p), p), lambda p, bar: (bar * slope(p),))
    return rule


# The document's logarithm with the rule that p - t implies, and with its own.
RULES = {
    "d log(p + 1e-7) = 1 / p": log_with_rule(lambda p: 1 / p),
    "d log(p + 1e-7) = 1 / (p + 1e-7)": log_with_rule(lambda p: 1 / (p + GUARD)),
}
CENTRAL, COMPLEX, AUTODIFF = "central differences", "complex step", "jax.grad"
GUARDED = "central differences of log(p + 1e-7)"


def judge(
    params: jaxbp.Params, x: Array, t: Array
) -> tuple[dict[str, jaxbp.Params], dict[str, list[float]]]:
    """Each judge's gradient, and the largest relative error of each leaf that its method explains.

    A difference rounds by some units of the loss over h in each element; its truncation, h^2 / 6
    times a third derivative, is far below that here. The others round as the hand-written gradient
    does.
    """
    exact = jax.jit(jax.grad(analytic_loss))(params, x, t)
    gradients = {
        CENTRAL: numerical_gradient(lambda p: analytic_loss(p, x, t), params, step=STEP),
        COMPLEX: numerical_gradient(lambda p: analytic_loss(p, x, t), params, "complex"),
        AUTODIFF: exact,
        GUARDED: numerical_gradient(lambda p: guarded_loss(p, x, t), params, step=STEP),
    }
    rounding = 4 * 2.0**-52 * (float(analytic_loss(params, x, t)) + 1) / STEP
    of_differences = [
        rounding * leaf.size**0.5 / float(jnp.linalg.norm(leaf)) for leaf in jax.tree.leaves(exact)
    ]
    of_others = [rounding_bound(MLP, len(t), np.float64)] * len(LEAVES)
    return gradients, {
        CENTRAL: of_differences,
        COMPLEX: of_others,
        AUTODIFF: of_others,
        GUARDED: of_differences,
    }


if __name__ == "__main__":
    run(main, Config)
