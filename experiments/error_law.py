"""Measure how rounding grows: float32 gradients, by hand and by autodiff, against float64, over
generated networks.

Depth to 32, width and batch to 1,024, every activation and loss. The error of a leaf is ||g32 -
g64|| / ||g64||, in units of the bound 8 sqrt(L) max(1, (max(width, batch) / 64)^(1/4)) u. The terms
of a leaf cancel where rounding every product and every activation to u changes it by more than an
eighth of the bound: where nothing is magnified, that
change is sqrt(L) u. It is measured in float64 by changing them all at random, SHAKES times. Cases
in which a unit lies on another side of a kink in float32 than in float64 are left out, and counted.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from common import Common, begin, finish, print_columns, run
from jaxbp import viz
from jaxbp.activations import ACTIVATIONS
from jaxbp.gradcheck import rounding_bound
from jaxbp.gradcheck.gradients import CHANGE
from jaxbp.losses import LOSSES
from jaxbp.network import forward
from jaxbp.params import Layer


@dataclass(frozen=True)
class Config(Common):
    """Flags of error_law."""

    networks: int = 50
    """Number of networks."""
    draws: int = 40
    """Number of parameters and samples drawn for each."""
    work: float = 1e7
    """Largest number of multiplications of a forward pass; wider networks are shallower, or see fewer samples."""


class Shape(NamedTuple):
    """What a network's program is compiled for."""

    mlp: jaxbp.Mlp
    loss: str
    batch: int

    @property
    def width(self) -> int:
        """The largest size of a layer."""
        return max(self.mlp.sizes)


SHAKES = 4
WHO = ((0, "hand"), (1, "autodiff"))
# The largest depth or width of each row of the tables.
DEPTHS = {1: "1 layer", 2: "2 layers"} | {
    2 * n: f"{n + 1} to {2 * n} layers" for n in (2, 4, 8, 16)
}
WIDTHS = {
    16: "width 2 to 16",
    64: "width 17 to 64",
    256: "width 65 to 256",
    1024: "width 257 to 1024",
}


def main(config: Config) -> None:
    """Measures, prints, draws."""
    folder = begin(config, networks=1, draws=1, work=1)
    generator = np.random.default_rng(config.seed)
    shapes = [draw_shape(generator, i, config.work) for i in range(config.networks)]
    found: list[tuple[Shape, np.ndarray]] = []
    left_out = 0
    for i, shape in enumerate(shapes):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), i), config.draws)
        *relative, flips = jax.device_get(measure(shape, keys))
        errors = np.stack(relative, axis=-1)[
            flips == 0
        ]  # (cases, leaves, hand and autodiff and change)
        left_out += int((flips > 0).sum())
        found.append((shape, errors / rounding_bound(shape.mlp, shape.batch, np.float32)))
        jax.clear_caches()  # the programs of fifty networks take more mappings of memory than Linux allows a process
        if not config.quiet:
            name = f"{shape.mlp.num_layers:>2} layers of {shape.width:>4}, batch {shape.batch:>4}, {shape.loss}"
            print(
                f"{i + 1:>3} of {len(shapes)}  {name}: {found[-1][1].max(axis=(0, 1), initial=0)[:2]}",
                flush=True,
            )
    by_depth = table(DEPTHS, [(shape.mlp.num_layers, errors) for shape, errors in found])
    by_width = table(WIDTHS, [(shape.width, errors) for shape, errors in found])
    cases = config.networks * config.draws - left_out
    title = f"error / bound over {cases} cases, {left_out} more left out for units on two sides of a kink"
    cells = [
        (name, *(f"{number:.2g}" for number in row.values()))
        for name, row in (by_depth | by_width).items()
    ]
    print_columns(["", *next(iter(by_depth.values()))], cells, title)
    every = np.concatenate([errors.reshape(-1, 3) for _, errors in found])
    cancels = 8 * every[:, 2] > 1
    parts = {
        "where no terms cancel": verdict(every[~cancels]),
        "where terms cancel": verdict(every[cancels]),
        "there, in units of eight changes": verdict(every[cancels] / (8 * every[cancels][:, 2:])),
    }
    cells = [(name, *(f"{number:.3g}" for number in row.values())) for name, row in parts.items()]
    print_columns(["", *parts["where terms cancel"]], cells, "errors over the bound")
    medians = np.concatenate(
        [np.median(errors, axis=0) for _, errors in found if len(errors)] or [np.zeros((0, 3))]
    )
    medians = medians[8 * medians[:, 2] > 1]
    ratios = medians[:, 0] / medians[:, 1]
    least, most = ratios.min(initial=1), ratios.max(initial=0)
    print(
        f"\nmedian of a leaf's draws, where terms cancel, by hand / autodiff: {least:.2g} to {most:.2g}"
    )
    panels = dict.fromkeys(by_depth, "error / bound, by depth") | dict.fromkeys(
        by_width, "error / bound, by width"
    )
    dots = viz.draw_dots(
        by_depth | by_width, xlabel=panels, title="float32 gradients against float64"
    )
    numbers = {"by depth": by_depth, "by width": by_width, "cases": cases, "left out": left_out}
    numbers |= {
        "parts": parts,
        "medians": {"leaves": len(ratios), "largest": most, "smallest": least},
    }
    finish(config, folder, "error_law", numbers, {"error_law.svg": dots.figure})


def verdict(errors: np.ndarray) -> dict[str, float]:
    """Of leaves (n, 3): how many are above 1, the largest, and how far each is above the other or 1/10 of the unit."""
    hand, autodiff = np.concatenate([errors[:, :2], np.zeros((1, 2))]).T
    counts = {
        "leaves": len(errors),
        "above": int((hand > 1).sum()),
        "by autodiff": int((autodiff > 1).sum()),
    }
    pairs = {"hand / autodiff": (hand, autodiff), "autodiff / hand": (autodiff, hand)}
    ratios = {name: (one / np.maximum(other, 0.1)).max() for name, (one, other) in pairs.items()}
    return counts | {"largest": hand.max(), "of autodiff": autodiff.max()} | ratios


def draw_shape(generator: np.random.Generator, number: int, work: float) -> Shape:
    """Depth, width and batch uniform in their logarithms; activations and losses in turn."""
    depth, width, batch = (int(2 ** generator.uniform(0, most)) for most in (5.01, 10.01, 10.01))
    while depth * width**2 * batch > work:
        depth, batch = max(1, depth * 3 // 4), max(1, batch * 3 // 4)
    loss, names = list(LOSSES)[number % len(LOSSES)], list(ACTIVATIONS)
    hidden = tuple(names[(number + i) % len(names)] for i in range(depth - 1))
    output = "identity" if "entropy" in loss else names[number % len(names)]
    return Shape(jaxbp.Mlp((width,) * depth + (max(2, width // 4),), hidden, output), loss, batch)


@partial(jax.jit, static_argnums=0)
def measure(shape: Shape, keys: Array) -> tuple[Array, Array, Array, Array]:
    """Case by case the relative errors (draws, leaves) by hand and by autodiff, the change by u, and flips (draws,)."""
    mlp, loss, batch = shape

    def shaken_loss(params: jaxbp.Params, inputs: Array, targets: Array, key: Array) -> Array:
        keys = iter(jax.random.split(key, 4 * mlp.num_layers))

        def shaken(array: Array) -> Array:
            return array * (
                1 + CHANGE * jax.random.rademacher(next(keys), array.shape, array.dtype)
            )

        outputs = inputs
        for (weight, bias), phi in zip(params, mlp.activations, strict=True):
            outputs = shaken(
                phi.value(shaken(outputs @ shaken(weight) + shaken(bias)[jnp.newaxis, :]))
            )
        return LOSSES[loss].values(outputs, targets).mean()

    def loss_of(params: jaxbp.Params, inputs: Array, targets: Array) -> Array:
        return LOSSES[loss].values(jaxbp.reference_predict(mlp, params, inputs), targets).mean()

    def sides(params: jaxbp.Params, inputs: Array) -> list[Array]:
        pairs = zip(mlp.activations, forward(mlp, params, inputs)[1], strict=True)
        return [kept.activation > 0 for phi, kept in pairs if phi.kink]

    def one(key: Array) -> tuple[Array, Array, Array, Array]:
        *others, shake_key = jax.random.split(key, 2 * mlp.num_layers + 3)
        keys = iter(others)
        params = tuple(
            Layer(
                jax.random.normal(next(keys), (i, o), jnp.float32) / np.float32(np.sqrt(i)),
                0.3 * jax.random.normal(next(keys), (o,), jnp.float32),
            )
            for i, o in zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True)
        )
        inputs = jax.random.normal(next(keys), (batch, mlp.sizes[0]), jnp.float32)
        targets = jax.random.normal(next(keys), (batch, mlp.sizes[-1]), jnp.float32)
        if "entropy" in loss:
            targets = jax.nn.softmax(targets) if "softmax" in loss else jax.nn.sigmoid(targets)
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (params, inputs, targets))
        exact = jax.grad(loss_of)(*wide)
        shaken = partial(jax.grad(shaken_loss), *wide)
        squares = jax.lax.map(
            lambda key: distances(shaken(key), exact) ** 2, jax.random.split(shake_key, SHAKES)
        )
        hand = jaxbp.loss_and_gradient(mlp, params, inputs, targets, loss)[1]
        autodiff = jax.grad(loss_of)(params, inputs, targets)
        flips = [
            (a != b).sum() for a, b in zip(sides(params, inputs), sides(*wide[:2]), strict=True)
        ]
        by_unit = jnp.sqrt(squares.mean(axis=0)) * 2.0**-24 / CHANGE
        errors = distances(hand, exact), distances(autodiff, exact), by_unit
        return *errors, sum(flips, jnp.zeros((), jnp.int32))

    return jax.lax.map(one, keys)


def distances(gradient: Any, exact: Any) -> Array:
    """|| g - exact || / || exact || of each leaf, 0 where both vanish."""
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(exact), strict=True)
    norms = [(jnp.linalg.norm((a - b).ravel()), jnp.linalg.norm(b.ravel())) for a, b in pairs]
    return jnp.stack(
        [jnp.where(size > 1e-30, error / jnp.maximum(size, 1e-30), 0) for error, size in norms]
    )


def table(rows: dict[int, str], found: list[tuple[int, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Median and largest error, by hand and by autodiff, of the sizes and errors (cases, leaves, 3) of each row."""
    columns = {
        f"{name} by {who}": (share, i)
        for name, share in (("median", 0.5), ("largest", 1.0))
        for i, who in WHO
    }
    groups: dict[str, list[np.ndarray]] = {name: [] for name in rows.values()}
    for size, errors in (pair for pair in found if len(pair[1])):
        groups[rows[next(most for most in rows if size <= most)]].append(errors.reshape(-1, 3))
    return {
        name: {
            column: float(np.quantile(np.concatenate(some)[:, i], share))
            for column, (share, i) in columns.items()
        }
        for name, some in groups.items()
        if some
    }


if __name__ == "__main__":
    run(main, Config)
