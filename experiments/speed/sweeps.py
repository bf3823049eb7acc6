"""A step of gradient descent by the hand-written sweep and by autodiff, over a grid of shapes."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxbp
from jaxbp.params import Params
from speed.timing import interleaved

# What performance is usually measured on, and a grid: inputs, widths, depths and batches.
KNOWN = [
    ((2, 64, 64, 64, 1), "relu", 10_000), ((2, 64, 64, 64, 1), "tanh", 10_000), ((2, 64, 64, 64, 1), "tanh", 1000),
    ((4, 32, 16, 4), "tanh", 10_000),
]  # fmt: skip
WIDTHS, DEPTHS, BATCHES = (8, 32, 64, 256, 1024), (1, 3, 8), (64, 1000, 10_000, 100_000, 1_000_000)
MOST_BYTES = 2e9  # that autodiff keeps
STEPS_SECONDS = 0.02  # at least for a run, so that a short step is taken often
ROUNDS = 21  # many short ones, of which some meet a quiet machine


class Shape(NamedTuple):
    """A network and how many samples a step of it takes."""

    sizes: tuple[int, ...]
    hidden: str
    samples: int

    @property
    def name(self) -> str:
        """For tables."""
        return f"{'-'.join(map(str, self.sizes))} {self.hidden}, {self.samples:,} samples"

    @property
    def operations(self) -> int:
        """Of a step: 6 for a weight and sample, without those for the cotangent of the inputs."""
        weights = [fan_in * fan_out for fan_in, fan_out in pairwise(self.sizes)]
        return self.samples * (6 * sum(weights) - 2 * weights[0])


class Found(NamedTuple):
    """Seconds and bytes of a step."""

    shape: Shape
    sweep: float
    autodiff: float
    sweep_bytes: int
    autodiff_bytes: int


def shapes(most_operations: float) -> Iterator[Shape]:
    """The known shapes, and those of the grid that are not too long or too large."""
    grid = (
        ((2, *[width] * depth, 1), "tanh", batch)
        for width in WIDTHS
        for depth in DEPTHS
        for batch in BATCHES
    )
    for shape in dict.fromkeys(Shape(*some) for some in (*KNOWN, *grid)):
        if (
            shape.operations <= most_operations
            and 8 * shape.samples * sum(shape.sizes) <= MOST_BYTES
        ):
            yield shape


def measure(shape: Shape) -> Found:
    """Times both side by side, and asks XLA for the memory beside arguments and results."""
    mlp, generator = jaxbp.Mlp(shape.sizes, shape.hidden), np.random.default_rng(0)
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    samples = [
        jnp.asarray(generator.standard_normal((shape.samples, size)), jnp.float32)
        for size in (shape.sizes[0], shape.sizes[-1])
    ]

    def by_autodiff(params: Params, inputs: Array, targets: Array) -> tuple[Array, Params]:
        def loss(params: Params) -> Array:
            outputs = inputs
            for (weight, bias), activation in zip(params, mlp.activations, strict=True):
                outputs = activation.value(outputs @ weight + bias)
            return jnp.mean((outputs - targets) ** 2)

        return jax.value_and_grad(loss)(params)

    def by_hand(params: Params, inputs: Array, targets: Array) -> tuple[Array, Params]:
        return jaxbp.loss_and_gradient(mlp, params, inputs, targets)

    functions = {"sweep": by_hand, "autodiff": by_autodiff}
    count = max(1, min(1000, int(STEPS_SECONDS / (shape.operations / 1e11 + 1e-6))))
    runs = {
        name: descent(function, count).lower(params, *samples).compile()
        for name, function in functions.items()
    }
    alone = {
        name: jax.jit(function).lower(params, *samples).compile()
        for name, function in functions.items()
    }
    memory: dict[str, Any] = {name: program.memory_analysis() for name, program in alone.items()}
    times = interleaved(
        {name: partial(run, params, *samples) for name, run in runs.items()}, ROUNDS
    )
    seconds = {name: taken.minimum / count for name, taken in times.items()}
    return Found(
        shape,
        seconds["sweep"],
        seconds["autodiff"],
        *(memory[name].temp_size_in_bytes for name in functions),
    )


def descent(function: Any, count: int) -> Any:
    """So many steps of gradient descent in one program."""

    def run(params: Params, *samples: Array) -> Params:
        def step(params: Params, _: None) -> tuple[Params, None]:
            gradient = function(params, *samples)[1]
            return jax.tree.map(lambda leaf, change: leaf - 1e-4 * change, params, gradient), None

        return jax.lax.scan(step, params, None, length=count)[0]

    return jax.jit(run)
