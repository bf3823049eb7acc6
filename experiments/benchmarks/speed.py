"""Time both passes, the Gauss-Newton step, many fits at once, two devices, and samples on disk.

All programs that are compared run in turn within one run; compilation is excluded. Equinox, Flax
and PyTorch join where they are installed (the extra `peers`). A step is full-batch gradient descent
in float32; autodiff is jax.value_and_grad of the same network. Nine minutes on two cores.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from speed_baselines import STEPS, one_step_of_each

import jaxbp
from jaxbp import viz
from shared.experiment import Common, begin, finish, print_table, run

Part = Literal["passes", "baselines", "gauss_newton", "many", "devices", "disk"]


@dataclass(frozen=True)
class Config(Common):
    """Flags of speed."""

    parts: tuple[Part, ...] = ("passes", "baselines", "gauss_newton", "many", "devices", "disk")
    """Parts to time."""
    work: float = 1e10
    """Largest number of operations of a step in the grid of shapes."""


ROUNDS = 7
# Shapes of earlier measurements, and a grid of widths, depths and batches.
KNOWN = [
    ((2, 64, 64, 64, 1), "relu", 10_000),
    ((2, 64, 64, 64, 1), "tanh", 10_000),
    ((2, 64, 64, 64, 1), "tanh", 1000),
    ((4, 32, 16, 4), "tanh", 10_000),
]
WIDTHS, DEPTHS, BATCHES = (8, 32, 64, 256, 1024), (1, 3, 8), (64, 1000, 10_000, 100_000, 1_000_000)
NARROW = 32  # width up to which samples are stored as columns
MOST_BYTES = 2e9  # of the activations that autodiff keeps
KERNEL_ROWS = (512, 1024)
BATCH, ROWS = 1000, {"1,000,000": 1_000_000, "10,000,000": 10_000_000}  # of samples on disk


class Times(NamedTuple):
    """Seconds of a call, compilation excluded."""

    median: float
    minimum: float


class Shape(NamedTuple):
    """A network and the number of samples of a step."""

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
    hand: float
    autodiff: float
    hand_bytes: int
    autodiff_bytes: int


def main(config: Config) -> None:
    """Time, print, draw."""
    folder = begin(config)
    jax.config.update("jax_enable_x64", False)  # as in a plain program
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "optax": optax.__version__}
    numbers: dict[str, Any] = {"machine": machine, "peak_float32": matmul_peak(np.float32)}
    files: dict[str, Any] = {}
    if "passes" in config.parts:
        numbers["passes"] = time_passes(config)
        files["speed.png"] = draw(numbers["passes"]).figure
    measured: dict[Part, Callable[[], Any]] = {
        "baselines": time_baselines,
        "gauss_newton": time_gauss_newton,
        "many": time_many,
        "devices": time_devices,
        "disk": time_disk,
    }
    numbers |= {part: time() for part, time in measured.items() if part in config.parts}
    finish(config, folder, "speed", numbers, files)


def interleaved(
    runs: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS, pause: float = 0.0
) -> dict[str, Times]:
    """Call each once to warm it up, then all of them in turn for some rounds.

    `pause` is waited before each: threads of OpenBLAS and OpenMP stay in busy loops for a while.
    """
    for call in runs.values():
        jax.block_until_ready(call())
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, call in runs.items():
            time.sleep(pause)
            start = time.perf_counter()
            jax.block_until_ready(call())
            taken[name].append(time.perf_counter() - start)
    return {name: Times(statistics.median(some), min(some)) for name, some in taken.items()}


def matmul_peak(dtype: Any, size: int = 2048) -> float:
    """Return the operations a second of a large matrix product."""
    with jax.enable_x64(dtype == np.float64):
        matrix = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), dtype)
        product = jax.jit(lambda a: a @ a)
        return 2 * size**3 / interleaved({"product": lambda: product(matrix)})["product"].minimum


def geometric_mean(ratios: list[float]) -> float:
    """Return the geometric mean, NaN of none."""
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")


def shapes(most_operations: float) -> Iterator[Shape]:
    """Yield the known shapes and those of the grid, without the longest and the largest."""
    grid = [
        ((2, *[width] * depth, 1), "tanh", batch)
        for width in WIDTHS
        for depth in DEPTHS
        for batch in BATCHES
    ]
    for shape in dict.fromkeys(Shape(*some) for some in (*KNOWN, *grid)):
        small = 8 * shape.samples * sum(shape.sizes) <= MOST_BYTES
        if small and shape.operations <= most_operations:
            yield shape


def measure(shape: Shape, rounds: int = 3 * ROUNDS) -> Found:
    """Time a step by hand and by autodiff side by side; ask XLA for the memory of temporaries."""
    mlp, generator = jaxbp.Mlp(shape.sizes, shape.hidden), np.random.default_rng(0)
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    samples = [
        jnp.asarray(generator.standard_normal((shape.samples, size)), jnp.float32)
        for size in (shape.sizes[0], shape.sizes[-1])
    ]

    def by_autodiff(params: jaxbp.Params, inputs: Array, targets: Array) -> Any:
        def loss(params: jaxbp.Params) -> Array:
            outputs = inputs
            for (weight, bias), activation in zip(params, mlp.activations, strict=True):
                outputs = activation.value(outputs @ weight + bias)
            return jnp.mean((outputs - targets) ** 2)

        return jax.value_and_grad(loss)(params)

    def by_hand(params: jaxbp.Params, inputs: Array, targets: Array) -> Any:
        return jaxbp.loss_and_gradient(mlp, params, inputs, targets)

    functions = {"hand": by_hand, "autodiff": by_autodiff}
    count = max(1, min(1000, int(0.02 / (shape.operations / 1e11 + 1e-6))))
    runs, memory = {}, {}
    for name, function in functions.items():
        program = descent(function, count).lower(params, *samples).compile()
        runs[name] = partial(program, params, *samples)
        alone: Any = jax.jit(function).lower(params, *samples).compile().memory_analysis()
        memory[name] = alone.temp_size_in_bytes
    seconds = {name: t.minimum / count for name, t in interleaved(runs, rounds).items()}
    return Found(shape, seconds["hand"], seconds["autodiff"], memory["hand"], memory["autodiff"])


def descent(function: Any, count: int) -> Any:
    """Return a program of so many steps of gradient descent."""

    def run(params: jaxbp.Params, *samples: Array) -> jaxbp.Params:
        def step(params: jaxbp.Params, _: None) -> tuple[jaxbp.Params, None]:
            gradient = function(params, *samples)[1]
            return jax.tree.map(lambda leaf, change: leaf - 1e-4 * change, params, gradient), None

        return jax.lax.scan(step, params, None, length=count)[0]

    return jax.jit(run)


def time_passes(config: Config) -> list[Found]:
    """Both passes by hand beside autodiff, over all shapes."""
    found, rows = [], []
    for shape in shapes(config.work):
        one = measure(shape)
        found.append(one)
        times, memory = one.hand / one.autodiff, one.hand_bytes / one.autodiff_bytes
        values = (one.hand * 1e3, one.autodiff * 1e3, times, memory)
        rows.append((shape.name, *(f"{value:.3g}" for value in values)))
        if not config.quiet:
            print("  ".join(rows[-1]), flush=True)
    header = ("", "by hand, ms", "autodiff, ms", "ratio", "memory")
    print_table("a step of gradient descent", header, rows)
    ratios = [one.hand / one.autodiff for one in found]
    narrow = [one.hand / one.autodiff for one in found if max(one.shape.sizes) <= NARROW]
    print(
        f"\nby hand / autodiff over {len(ratios)} shapes: geometric mean "
        f"{geometric_mean(ratios):.2f}, largest {max(ratios):.2f}; widths up to {NARROW}: "
        f"{geometric_mean(narrow):.2f}; memory at most "
        f"{max(one.hand_bytes / one.autodiff_bytes for one in found):.2f}"
    )
    return found


def draw(found: list[Found]) -> viz.Drawing:
    """Draw the time by hand over that of autodiff against the samples, a panel for each depth."""
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for depth in DEPTHS:
        panel = panels.setdefault(f"{depth} hidden layer{'s' * (depth > 1)}", {})
        for width in WIDTHS:
            some = [one for one in found if one.shape.sizes == (2, *[width] * depth, 1)]
            some = sorted(
                (one for one in some if one.shape.hidden == "tanh"),
                key=lambda one: one.shape.samples,
            )
            if some:
                samples = np.array([one.shape.samples for one in some])
                ratios = np.array([one.hand / one.autodiff for one in some])
                panel[f"width {width}"] = samples, ratios
    return viz.draw_panels(
        {name: panel for name, panel in panels.items() if panel},
        xlabel="samples",
        ylabel="time by hand / time of autodiff",
        xscale="log",
        title=f"A step of gradient descent, float32, jax {jax.__version__}",
    )


def time_baselines() -> dict[str, float]:
    """Return the seconds of a step of the tutorial's job by several libraries."""
    times = interleaved(one_step_of_each(), pause=0.3)
    rows = [
        (name, *(f"{seconds / STEPS * 1e3:.2f}" for seconds in taken))
        for name, taken in times.items()
    ]
    title = "2-64-64-64-1 ReLU, 10,000 samples, a step of descent"
    print_table(title, ("", "median, ms", "least, ms"), rows)
    return {name: taken.median / STEPS for name, taken in times.items()}


def samples_of(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples of sin(x) + y in float32."""
    inputs = np.random.default_rng(0).standard_normal((rows, 2)).astype(np.float32)
    return inputs, np.sin(inputs[:, :1]) + inputs[:, 1:]


def operations(mlp: jaxbp.Mlp, rows: int) -> float:
    """Count those of a Gauss-Newton step for one output: passes, kernel, factor, solve."""
    pairs = list(pairwise(mlp.sizes))
    passes = 2 * rows * sum(fan_in * fan_out for fan_in, fan_out in pairs) * (2 + 1 + 2)
    kernel = sum(2 * rows**2 * (fan_in + fan_out) for fan_in, fan_out in pairs)
    return passes + kernel + rows**3 / 3 + 4 * rows**2


def time_gauss_newton() -> list[tuple[int, float, float]]:
    """Return rows of the kernel, seconds a step, and seconds of its arithmetic at the peak."""
    mlp, peak, found = jaxbp.Mlp((2, 128, 128, 1)), matmul_peak(np.float64), []
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    for rows in KERNEL_ROWS:
        options: dict[str, Any] = {"solver": jaxbp.gauss_newton(), "record_every": 60}
        fit = partial(jaxbp.fit, mlp, params, samples_of(rows), **options)
        seconds = [min(fit(steps=n).run_seconds for _ in range(ROUNDS)) for n in (20, 60)]
        found.append((rows, (seconds[1] - seconds[0]) / 40, operations(mlp, rows) / peak))
    cells = [(n, f"{a * 1e3:.1f}", f"{b * 1e3:.1f}", f"{a / b:.2f}") for n, a, b in found]
    title = "Gauss-Newton, 2-128-128-1, at the peak of float64"
    print_table(title, ("rows", "step, ms", "arithmetic, ms", "ratio"), cells)
    return found


# Hidden sizes, rows, batch size, steps, solver.
JOBS: dict[str, tuple[tuple[int, ...], int, int | None, int, Any]] = {
    "Gauss-Newton, 2-32-32-1, 400 rows": ((32, 32), 400, None, 100, jaxbp.gauss_newton()),
    "Adam, 2-16-16-1, 100 rows": ((16, 16), 100, None, 1000, None),
    "Adam, 2-64-64-64-1, batches of 64": ((64, 64, 64), 1000, 64, 300, None),
    "Adam, 2-64-64-64-1, 1,000 rows": ((64, 64, 64), 1000, None, 200, None),
}


def time_many(count: int = 8) -> dict[str, dict[str, Times]]:
    """Return the seconds of so many fits at once, and of one after the other."""
    found, keys, adam = {}, jax.random.split(jax.random.key(0), count), optax.adam(1e-3)
    for name, (hidden, rows, batch_size, steps, solver) in JOBS.items():
        mlp = jaxbp.Mlp((2, *hidden, 1))
        starts = jax.vmap(partial(jaxbp.init, mlp, dtype=jnp.float32))(keys)
        apart = [jax.tree.map(lambda leaf, i=i: leaf[i], starts) for i in range(count)]
        samples = samples_of(rows)
        options: dict[str, Any] = {"batch_size": batch_size, "record_every": steps}
        options |= {"steps": steps, "solver": solver or jaxbp.first_order(adam), "key": keys[0]}
        fit, fit_many = (
            partial(fit, data=samples, **options) for fit in (jaxbp.fit, jaxbp.fit_many)
        )
        ways = {
            "at once": lambda fit_many=fit_many, mlp=mlp, all=starts: fit_many(mlp, all).loss,
            "in turn": lambda fit=fit, mlp=mlp, all=apart: [fit(mlp, one).params for one in all],
        }
        found[name] = interleaved(ways, rounds=5)
    medians = {name: [some.median for some in times.values()] for name, times in found.items()}
    cells = [(name, f"{a:.2f}", f"{b:.2f}", f"{a / b:.2f}") for name, (a, b) in medians.items()]
    print_table(f"{count} fits", ("", "at once, s", "in turn, s", "ratio"), cells)
    return found


PROGRAM = """
import sys, jax, jax.numpy as jnp, numpy as np, optax
devices = int(sys.argv[1])
jax.config.update("jax_num_cpu_devices", devices)
import jaxbp
inputs = np.random.default_rng(0).uniform(-4, 4, (10_000, 2)).astype(np.float32)
samples = inputs, np.sin(inputs[:, :1]) + inputs[:, 1:]
mlp = jaxbp.Mlp((2, 64, 64, 64, 1), "relu")
params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
options = {"steps": 300, "record_every": 100, "solver": jaxbp.first_order(optax.sgd(1e-3))}
options |= {"mesh": jax.make_mesh((devices,), ("samples",))} if devices > 1 else {}
print(min(jaxbp.fit(mlp, params, samples, **options).run_seconds for _ in range(4)))
"""


def time_devices(rounds: int = 3) -> dict[str, float]:
    """Return the seconds of 300 steps on one and on two CPU devices, in processes of their own."""
    taken: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(rounds):
        for name, devices in (("one", "1"), ("two", "2")):
            command = [sys.executable, "-c", PROGRAM, devices]
            ended = subprocess.run(command, capture_output=True, text=True, check=True)
            taken[name].append(float(ended.stdout))
    found = {name: min(some) for name, some in taken.items()}
    ratio = found["two"] / found["one"]
    print(f"\n2-64-64-64-1 ReLU, 10,000 samples: two CPU devices / one: {ratio:.2f}")
    return found


def time_disk(steps: int = 1000) -> dict[str, float]:
    """Return the seconds of a step of Adam on samples on disk, and in memory."""
    mlp = jaxbp.Mlp((2, 64, 64, 64, 1))
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    with tempfile.TemporaryDirectory() as folder:
        inputs, targets = (
            np.lib.format.open_memmap(
                Path(folder) / f"{name}.npy", "w+", np.float32, (max(ROWS.values()), columns)
            )
            for name, columns in (("inputs", 2), ("targets", 1))
        )
        for first in range(0, len(inputs), BATCH**2):
            rows = slice(first, first + BATCH**2)
            inputs[rows], targets[rows] = samples_of(BATCH**2)
        mapped = [
            np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in ("inputs", "targets")
        ]
        places = {f"{name} on disk": tuple(some[:n] for some in mapped) for name, n in ROWS.items()}
        name, few = next(iter(ROWS.items()))
        places[f"{name} in memory"] = tuple(np.array(some[:few]) for some in mapped)
        found = {}
        for name, samples in places.items():
            options: dict[str, Any] = {"batch_size": BATCH, "key": jax.random.key(1)}
            fit = partial(jaxbp.fit, mlp, params, samples, record_every=3 * steps, **options)
            # Both runs evaluate all samples twice, for the records at their ends.
            short, long = (
                min(fit(steps=n).run_seconds for _ in range(3)) for n in (steps, 3 * steps)
            )
            found[name] = (long - short) / (2 * steps)
    cells = [(name, f"{seconds * 1e3:.2f}") for name, seconds in found.items()]
    print_table(f"Adam, 2-64-64-64-1, a step on {BATCH:,} samples", ("", "ms"), cells)
    return found


if __name__ == "__main__":
    run(main, Config)
