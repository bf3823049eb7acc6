"""The formulas of the documents that change a number, as printed and as corrected, each measured."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxbp.numerical import numerical_gradient
from support.contest import samples_of

import jaxbp
from jaxbp import data
from jaxbp.training import named_optimizer
from support.fitting import tutorial_params
from support.tasks import Task
from systems import one_layer, xor
from systems.judges import GUARD, MLP, enlarged, guarded_loss_of, start
from systems.vectors import difference


class Erratum(NamedTuple):
    """A mistake and what it does.

    Attributes:
        mistake: the document and what is printed wrong in it.
        quantity: what was measured.
        printed: the quantity as printed.
        corrected: the quantity as corrected.
        note: why.
    """

    mistake: str
    quantity: str
    printed: float
    corrected: float
    note: str


def upstream_gradient(seed: int) -> list[Erratum]:
    """000: no rule multiplies by what comes from above."""
    found = one_layer.study(seed, 2000, 0.1)
    mistake, note = "000 upstream gradient", "the rule differentiates the sum of the outputs, whatever the targets"
    printed, corrected = (float(found.losses[rule][-1]) for rule in ("as printed", "chain rule"))
    return [
        Erratum(mistake, "angle to the gradient, degrees", found.difference.angle, 0.0, note),
        Erratum(mistake, "length / gradient's", found.difference.ratio, 1.0, note),
        Erratum(mistake, "loss, 2,000 steps", printed, corrected, note),
    ]


def double_division(seed: int, seeds: int) -> list[Erratum]:
    """002: the batch size divides twice."""
    printed, corrected, _ = xor.VARIANTS
    mistake, note = "002 double division", "the loss is a mean already; four samples make the gradient a quarter"
    params = jax.tree.map(lambda leaf: leaf[0], xor.starts(printed, range(seed, seed + 1)))
    _, gradient = jaxbp.loss_and_gradient(xor.MLP, params, xor.INPUTS, xor.TARGETS)
    divided = jax.tree.map(lambda leaf: leaf / printed.divisor, gradient)
    every = range(seed, seed + seeds)
    shares = [float(xor.train(one, every, 10_000, 0.1, 1000).solved.mean()) for one in (printed, corrected)]
    return [
        Erratum(mistake, "length / gradient's", difference(divided, gradient).ratio, 1.0, note),
        Erratum(mistake, f"share of {seeds} starts that learn", shares[0], shares[1], note),
    ]


def half_or_whole(seed: int) -> list[Erratum]:
    """003: the printed loss is not the one whose gradient is followed."""
    mlp = jaxbp.Mlp((2, 8, 8, 1), hidden="relu")
    params = jaxbp.init(mlp, jax.random.key(seed), "uniform", dtype=jnp.float64)
    generator = np.random.RandomState(seed)
    inputs, targets = generator.randn(20, 2), generator.randn(20, 1)

    def printed_loss(params: jaxbp.Params) -> Array:
        return jnp.mean((jaxbp.reference_predict(mlp, params, inputs) - targets) ** 2)

    _, followed = jaxbp.loss_and_gradient(mlp, params, inputs, targets, "half_squared_error")
    ratio = difference(followed, numerical_gradient(printed_loss, params)).ratio
    note = "the backward pass is that of half the mean squared error, and the whole is printed"
    return [Erratum("003 half or whole", "length / printed loss's gradient", ratio, 1.0, note)]


def grid_or_samples(seed: int, epochs: int) -> list[Erratum]:
    """003: what is called the error is that on the grid which was trained on."""
    surface = data.surface("target")
    points = {
        "grid": data.grid_points(surface.domain, 100),
        "samples": data.uniform_points(np.random.RandomState(seed), surface.domain, 1000),
    }
    others = data.uniform_points(np.random.RandomState(seed + 1), surface.domain, 10_000)
    mlp = jaxbp.Mlp((2, 64, 64, 64, 1), hidden="relu")
    losses = {}
    for name, train in points.items():
        rows, test = (np.column_stack([some, surface.function(*some.T)]) for some in (train, others))
        samples = samples_of(Task(name, name, name, ("x", "y", "z"), rows, test, test, np.ones(len(test), bool), None))
        arrays = [
            np.asarray(a, np.float32)
            for a in (samples.inputs, samples.targets, samples.test_inputs, samples.test_targets)
        ]
        result = jaxbp.fit(
            mlp,
            tutorial_params(mlp, np.float32),
            (arrays[0], arrays[1]),
            validation=(arrays[2], arrays[3][:, np.newaxis]),
            solver=jaxbp.first_order(named_optimizer("sgd", 1e-3)),
            loss="half_squared_error",
            steps=epochs,
            record_every=epochs,
        )
        losses[name] = 2 * result.history.loss[-1], 2 * result.history.validation_loss[-1]
    mistake = "003 grid, not samples"
    note = "the text trains on 1,000 random points, the code on the grid, and both are judged where they were trained"
    return [
        Erratum(
            mistake,
            f"squared error, {epochs} epochs",
            float(losses["grid"][0]),
            float(losses["samples"][1]),
            note,
        )
    ]


def start_and_guard(seed: int) -> list[Erratum]:
    """004: weights that are a hundred times too large, and a guard under the logarithm that the gradient lacks."""
    images = data.digit_images(seed=seed)
    three, labels = jnp.asarray(enlarged(images.train_images[:3], 8)), jnp.asarray(images.train_labels[:3])
    first = []
    for scale in (1.0, 0.01):
        params = start(scale, seed)
        first.append(float(guarded_loss_of(params, three, labels)))
    small, mistake = start(0.01, seed), "004 missing 0.01"
    note = "normal weights without the factor 0.01: every output is certain, and the guard caps the loss at 16.118"
    found = [Erratum(mistake, "first loss", first[0], first[1], note)]
    # The guard matters to every parameter; the ten biases of the last layer show it without moving 40,000 elements.
    hand = jaxbp.loss_and_gradient(MLP, small, three, labels, "softmax_cross_entropy")[1]

    def gap(loss: Callable[[jaxbp.Params, Array, Array], Array]) -> float:
        bias = numerical_gradient(lambda b: loss((small[0], small[1]._replace(bias=b)), three, labels), small[1].bias)
        return float(jnp.abs(hand[1].bias - bias).mean())

    def plain_loss_of(params: jaxbp.Params, images: Array, labels: Array) -> Array:
        outputs = jaxbp.reference_predict(MLP, params, images)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs, axis=1), labels[:, jnp.newaxis], axis=1))

    note = f"log(p + {GUARD:.0e}) has another gradient than p - t; the criterion is 1e-7"
    found.append(
        Erratum(
            "004 log(p + 1e-7)",
            "gradient check on b2, mean difference",
            gap(guarded_loss_of),
            gap(plain_loss_of),
            note,
        )
    )
    return found


def all_errata(seed: int, seeds: int, epochs: int) -> list[Erratum]:
    """Measures every one of them."""
    return [
        *upstream_gradient(seed),
        *double_division(seed, seeds),
        *half_or_whole(seed),
        *grid_or_samples(seed, epochs),
        *start_and_guard(seed),
    ]
