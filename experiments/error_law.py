"""Measure rounding of float32 gradients, by hand and by autodiff, against float64.

The networks are generated: depth to 32, width and batch to 1,024, every activation and loss.

The error of a leaf is ||g32 - g64|| / ||g64||, in units of the bound that check_gradients uses. The
terms of a leaf cancel where rounding every product and activation to u changes it by more than an
eighth of the bound; that change is measured in float64, by random changes. Cases with a unit on
different sides of a kink in float32 and float64 are left out, and counted.
"""

from shared.experiment import Common, begin, finish, print_table, run

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from jaxbp import viz
from jaxbp.activations import ACTIVATIONS
from jaxbp.gradcheck import rounding_bound
from jaxbp.losses import LOSSES
from jaxbp.network import forward


@dataclass(frozen=True)
class Config(Common):
    """Flags of error_law."""

    networks: int = 50
    """Number of networks."""
    draws: int = 40
    """Number of parameters and samples drawn for each."""


class Shape(NamedTuple):
    """A network, a loss and a batch size: what a program is compiled for."""

    mlp: jaxbp.Mlp
    loss: str
    batch: int


MOST_WORK = 1e7  # multiplications of a forward pass
SHAKES = 4  # random changes of a case
CHANGE = 2.0**-36  # relative: far above the unit of float64, too small to bend a gradient
# The largest depth or width of each row.
DEPTHS = {1: "1 layer", 2: "2 layers"} | {
    2 * n: f"{n + 1} to {2 * n} layers" for n in (2, 4, 8, 16)
}
WIDTHS = {16: "width 2 to 16", 64: "width 17 to 64", 256: "width 65 to 256"}
WIDTHS |= {1024: "width 257 to 1024"}


def main(config: Config) -> None:
    """Measure, print, draw."""
    folder = begin(config)
    if min(config.networks, config.draws) < 1:
        raise ValueError("networks and draws must be at least 1")
    generator = np.random.default_rng(config.seed)
    found: list[tuple[Shape, np.ndarray]] = []  # (errors, hand and autodiff and change)
    left_out = 0
    for i in range(config.networks):
        shape = draw_shape(generator, i)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), i), config.draws)
        *relative, flips = jax.device_get(measure(shape, keys))
        errors = np.stack(relative, axis=-1)[flips == 0].reshape(-1, 3)
        left_out += int((flips > 0).sum())
        found.append((shape, errors / rounding_bound(shape.mlp, shape.batch, np.float32)))
        jax.clear_caches()  # fifty programs take more memory mappings than Linux allows a process
        if not config.quiet:
            sizes = f"{shape.mlp.num_layers} layers of {shape.mlp.sizes[0]}, batch {shape.batch}"
            largest = found[-1][1].max(axis=0, initial=0)[:2]
            print(f"{i + 1} of {config.networks}: {sizes}, {shape.loss}: {largest}", flush=True)
    by_depth = quantiles(DEPTHS, [(shape.mlp.num_layers, errors) for shape, errors in found])
    by_width = quantiles(WIDTHS, [(max(shape.mlp.sizes), errors) for shape, errors in found])
    cases = config.networks * config.draws - left_out
    title = f"{cases} cases; {left_out} with units on two sides of a kink left out"
    print_table(f"error / bound over {title}", by_depth | by_width, ".2g")
    every = np.concatenate([errors for _, errors in found])
    cancels = 8 * every[:, 2] > 1
    parts = {
        "no terms cancel": counts(every[~cancels]),
        "terms cancel": counts(every[cancels]),
        "there, in units of eight changes": counts(every[cancels] / (8 * every[cancels][:, 2:])),
    }
    print_table("errors over the bound", parts)
    labels = dict.fromkeys(by_depth, "error / bound, by depth")
    labels |= dict.fromkeys(by_width, "error / bound, by width")
    title = "float32 gradients against float64"
    dots = viz.draw_dots(by_depth | by_width, xlabel=labels, title=title)
    numbers = {"by depth": by_depth, "by width": by_width, "cases": cases, "left out": left_out}
    numbers["parts"] = parts
    finish(config, folder, "error_law", numbers, {"error_law.svg": dots})


def quantiles(
    rows: dict[int, str], found: list[tuple[int, np.ndarray]]
) -> dict[str, dict[str, float]]:
    """Return median and largest error by both methods, for the sizes and errors of each row."""
    groups: dict[str, list[np.ndarray]] = {name: [] for name in rows.values()}
    for size, errors in found:
        groups[rows[next(most for most in rows if size <= most)]].append(errors)
    together = {name: np.concatenate(some) for name, some in groups.items() if some}
    return {
        name: {
            "median by hand": float(np.median(errors[:, 0])),
            "median by autodiff": float(np.median(errors[:, 1])),
            "largest by hand": float(errors[:, 0].max()),
            "largest by autodiff": float(errors[:, 1].max()),
        }
        for name, errors in together.items()
        if len(errors)
    }


def counts(errors: np.ndarray) -> dict[str, float]:
    """Of leaves (n, 3): how many errors are above 1, the largest, and the ratios of the methods."""
    hand, autodiff = np.concatenate([errors[:, :2], np.zeros((1, 2))]).T
    return {
        "leaves": len(errors),
        "above": int((hand > 1).sum()),
        "by autodiff": int((autodiff > 1).sum()),
        "largest": hand.max(),
        "of autodiff": autodiff.max(),
        "hand / autodiff": (hand / np.maximum(autodiff, 0.1)).max(),
        "autodiff / hand": (autodiff / np.maximum(hand, 0.1)).max(),
    }


def draw_shape(generator: np.random.Generator, number: int) -> Shape:
    """Draw depth, width and batch uniformly in their logarithms; activations and losses in turn."""
    depth, width, batch = (int(2 ** generator.uniform(0, most)) for most in (5.01, 10.01, 10.01))
    while depth * width**2 * batch > MOST_WORK:
        depth, batch = max(1, depth * 3 // 4), max(1, batch * 3 // 4)
    loss, names = list(LOSSES)[number % len(LOSSES)], list(ACTIVATIONS)
    hidden = tuple(names[(number + i) % len(names)] for i in range(depth - 1))
    output = "identity" if "entropy" in loss else names[number % len(names)]
    return Shape(jaxbp.Mlp((width,) * depth + (max(2, width // 4),), hidden, output), loss, batch)


@partial(jax.jit, static_argnums=0)
def measure(shape: Shape, keys: Array) -> tuple[Array, Array, Array, Array]:
    """Return relative errors (draws, leaves) by hand and autodiff, the change, flips (draws,)."""
    mlp, loss, _ = shape

    def loss_of(params: jaxbp.Params, inputs: Array, targets: Array) -> Array:
        return LOSSES[loss].values(jaxbp.reference_predict(mlp, params, inputs), targets).mean()

    def shaken_loss(params: jaxbp.Params, inputs: Array, targets: Array, key: Array) -> Array:
        keys = iter(jax.random.split(key, 4 * mlp.num_layers))

        def shaken(array: Array) -> Array:
            signs = jax.random.rademacher(next(keys), array.shape, array.dtype)
            return array * (1 + CHANGE * signs)

        outputs = inputs
        for (weight, bias), activation in zip(params, mlp.activations, strict=True):
            z = shaken(outputs @ shaken(weight) + shaken(bias)[jnp.newaxis, :])
            outputs = shaken(activation.value(z))
        return LOSSES[loss].values(outputs, targets).mean()

    def sides(params: jaxbp.Params, inputs: Array) -> list[Array]:
        pairs = zip(mlp.activations, forward(mlp, params, inputs)[1], strict=True)
        return [kept.activation > 0 for activation, kept in pairs if activation.kink]

    def one(key: Array) -> tuple[Array, Array, Array, Array]:
        case_key, shake_key = jax.random.split(key)
        params, inputs, targets = draw_case(shape, case_key)
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (params, inputs, targets))
        exact = jax.grad(loss_of)(*wide)
        shaken = partial(jax.grad(shaken_loss), *wide)
        squares = jax.lax.map(
            lambda key: distances(shaken(key), exact) ** 2, jax.random.split(shake_key, SHAKES)
        )
        hand = jaxbp.loss_and_gradient(mlp, params, inputs, targets, loss)[1]
        autodiff = jax.grad(loss_of)(params, inputs, targets)
        pairs = zip(sides(params, inputs), sides(*wide[:2]), strict=True)
        flips = sum(((a != b).sum() for a, b in pairs), jnp.zeros((), jnp.int32))
        change = jnp.sqrt(squares.mean(axis=0)) * 2.0**-24 / CHANGE
        return distances(hand, exact), distances(autodiff, exact), change, flips

    return jax.lax.map(one, keys)


def draw_case(shape: Shape, key: Array) -> tuple[jaxbp.Params, Array, Array]:
    """Draw parameters, inputs and targets in float32."""
    mlp, loss, batch = shape
    params_key, bias_key, inputs_key, targets_key = jax.random.split(key, 4)
    params = jaxbp.init(mlp, params_key, "lecun", dtype=jnp.float32)
    keys = jax.random.split(bias_key, mlp.num_layers)
    params = tuple(
        layer._replace(bias=0.3 * jax.random.normal(some, layer.bias.shape, jnp.float32))
        for layer, some in zip(params, keys, strict=True)
    )
    inputs = jax.random.normal(inputs_key, (batch, mlp.sizes[0]), jnp.float32)
    targets = jax.random.normal(targets_key, (batch, mlp.sizes[-1]), jnp.float32)
    if "entropy" in loss:
        targets = jax.nn.softmax(targets) if "softmax" in loss else jax.nn.sigmoid(targets)
    return params, inputs, targets


def distances(gradient: Any, exact: Any) -> Array:
    """Return ||g - exact|| / ||exact|| of each leaf, 0 where both vanish."""
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(exact), strict=True)
    norms = [(jnp.linalg.norm((a - b).ravel()), jnp.linalg.norm(b.ravel())) for a, b in pairs]
    return jnp.stack(
        [jnp.where(size > 1e-30, error / jnp.maximum(size, 1e-30), 0) for error, size in norms]
    )


if __name__ == "__main__":
    run(main, Config)
