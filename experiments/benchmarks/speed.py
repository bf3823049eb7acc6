"""Time both passes, the Gauss-Newton step, many fits at once, two devices, and samples on disk.

All programs that are compared run in turn within one run; compilation is excluded. Flax and
PyTorch join where they are installed (the extra `peers`). A step is full-batch gradient descent
in float32; autodiff is jax.value_and_grad of the same network. Nine minutes on two cores.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Literal, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared.experiment import Common, begin, finish, print_table, run

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxbp
from jaxbp import viz

Part = Literal["passes", "baselines", "gauss_newton", "many", "devices", "disk"]


@dataclass(frozen=True)
class Config(Common):
    """Flags of speed."""

    parts: tuple[Part, ...] = ("passes", "baselines", "gauss_newton", "many", "devices", "disk")
    """Parts to time."""


ROUNDS = 7
TUTORIAL = (2, 64, 64, 64, 1)
# Shapes of earlier measurements, and a grid of widths, depths and batches.
KNOWN = [
    (TUTORIAL, "relu", 10_000),
    (TUTORIAL, "tanh", 10_000),
    (TUTORIAL, "tanh", 1000),
    ((4, 32, 16, 4), "tanh", 10_000),
]
WIDTHS, DEPTHS, BATCHES = (8, 32, 64, 256, 1024), (1, 3, 8), (64, 1000, 10_000, 100_000, 1_000_000)
MOST_OPERATIONS = 1e10  # of a step in the grid
MOST_BYTES = 2e9  # of the activations that autodiff keeps
NARROW = 32  # width up to which samples are stored as columns
BATCH, ROWS = 1000, {"1,000,000": 1_000_000, "10,000,000": 10_000_000}  # of samples on disk

Run = Callable[[], Any]
Gradient = Callable[..., Any]  # of parameters, inputs and targets


class Shape(NamedTuple):
    """A network and the number of samples of a step."""

    sizes: tuple[int, ...]
    hidden: str
    samples: int

    @property
    def operations(self) -> int:
        """Of a step: 6 for a weight and sample, without those for the cotangent of the inputs."""
        weights = [fan_in * fan_out for fan_in, fan_out in pairwise(self.sizes)]
        return self.samples * (6 * sum(weights) - 2 * weights[0])


def main(config: Config) -> None:
    """Time, print, draw."""
    folder = begin(config)
    jax.config.update("jax_enable_x64", False)  # as in a plain program
    parts: dict[Part, Callable[[], Any]] = {
        "passes": partial(time_passes, config.quiet),
        "baselines": time_baselines,
        "gauss_newton": time_gauss_newton,
        "many": time_many,
        "devices": time_devices,
        "disk": time_disk,
    }
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "optax": optax.__version__}
    numbers = {"machine": machine} | {part: parts[part]() for part in config.parts}
    files = {"speed.png": draw(numbers["passes"])} if "passes" in numbers else {}
    finish(config, folder, "speed", numbers, files)


def interleaved(runs: Mapping[str, Run], rounds: int = ROUNDS, pause: float = 0.0) -> Any:
    """Call each once to warm it up, then all in turn for some rounds; return the seconds of each.

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
    return taken


def descent(gradient: Gradient, params: Any, samples: Any, steps: int) -> Run:
    """Return a compiled run of steps of gradient descent in one scan."""
    optimizer = optax.sgd(1e-3)

    @jax.jit
    def run(params: Any, *samples: Any) -> Any:
        def step(carry: Any, _: None) -> tuple[Any, None]:
            params, state = carry
            updates, state = optimizer.update(gradient(params, *samples), state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)[0]

    return partial(run, params, *samples)


def gradients(mlp: jaxbp.Mlp) -> dict[str, Gradient]:
    """Return the gradient by hand, and by autodiff of the network as one would write it."""

    def loss(params: jaxbp.Params, inputs: Any, targets: Any) -> Any:
        outputs = inputs
        for (weight, bias), activation in zip(params, mlp.activations, strict=True):
            outputs = activation.value(outputs @ weight + bias)
        return jnp.mean((outputs - targets) ** 2)

    return {
        "hand": lambda *arguments: jaxbp.loss_and_gradient(mlp, *arguments)[1],
        "autodiff": lambda *arguments: jax.value_and_grad(loss)(*arguments)[1],
    }


def shapes() -> list[Shape]:
    """Return the known shapes and those of the grid, without the longest and the largest."""
    grid = [((2, *[w] * d, 1), "tanh", batch) for w, d, batch in product(WIDTHS, DEPTHS, BATCHES)]
    every = dict.fromkeys(Shape(*some) for some in (*KNOWN, *grid))
    return [
        shape
        for shape in every
        if 8 * shape.samples * sum(shape.sizes) <= MOST_BYTES
        and shape.operations <= MOST_OPERATIONS
    ]


def measure(shape: Shape) -> dict[str, float]:
    """Time a step by hand and by autodiff side by side; ask XLA for the memory of temporaries."""
    mlp, generator = jaxbp.Mlp(shape.sizes, shape.hidden), np.random.default_rng(0)
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    samples = [
        jnp.asarray(generator.standard_normal((shape.samples, size)), jnp.float32)
        for size in (shape.sizes[0], shape.sizes[-1])
    ]
    steps = max(1, min(1000, int(0.02 / (shape.operations / 1e11 + 1e-6))))
    runs, memory = {}, {}
    for name, gradient in gradients(mlp).items():
        runs[name] = descent(gradient, params, samples, steps)
        alone: Any = jax.jit(gradient).lower(params, *samples).compile().memory_analysis()
        memory[name] = alone.temp_size_in_bytes
    least = {name: min(some) / steps for name, some in interleaved(runs, 3 * ROUNDS).items()}
    return {
        "by hand, ms": least["hand"] * 1e3,
        "autodiff, ms": least["autodiff"] * 1e3,
        "ratio": least["hand"] / least["autodiff"],
        "memory": memory["hand"] / memory["autodiff"],
    }


def time_passes(quiet: bool) -> list[tuple[Shape, dict[str, float]]]:
    """Both passes by hand beside autodiff, over all shapes."""
    found, rows = [], {}
    for shape in shapes():
        row = measure(shape)
        found.append((shape, row))
        name = f"{'-'.join(map(str, shape.sizes))} {shape.hidden}, {shape.samples:,} samples"
        rows[name] = row
        if not quiet:
            print(name, *(f"{value:.3g}" for value in row.values()), sep="  ", flush=True)
    print_table("a step of gradient descent", rows)
    ratios = np.array([row["ratio"] for row in rows.values()])
    narrow = np.array([max(shape.sizes) <= NARROW for shape, _ in found])
    print(
        f"\nby hand / autodiff over {len(ratios)} shapes: geometric mean "
        f"{np.exp(np.log(ratios).mean()):.2f}, largest {ratios.max():.2f}; widths up to {NARROW}: "
        f"{np.exp(np.log(ratios[narrow]).mean()):.2f}; memory at most "
        f"{max(row['memory'] for row in rows.values()):.2f}"
    )
    return found


def draw(found: list[tuple[Shape, dict[str, float]]]) -> viz.Drawing:
    """Draw the time by hand over that of autodiff against the samples, a panel for each depth."""
    panels: dict[str, dict[str, Any]] = {}
    for depth, width in product(DEPTHS, WIDTHS):
        some = [
            (shape.samples, row["ratio"])
            for shape, row in sorted(found, key=lambda one: one[0].samples)
            if shape[:2] == ((2, *[width] * depth, 1), "tanh")
        ]
        if some:
            panel = panels.setdefault(f"{depth} hidden layer{'s' * (depth > 1)}", {})
            panel[f"width {width}"] = np.array(some).T
    return viz.draw_panels(
        panels,
        xlabel="samples",
        ylabel="time by hand / time of autodiff",
        xscale="log",
        title=f"A step of gradient descent, float32, jax {jax.__version__}",
    )


def samples_of(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples of sin(x) + y in float32."""
    inputs = np.random.default_rng(0).standard_normal((rows, 2)).astype(np.float32)
    return inputs, np.sin(inputs[:, :1]) + inputs[:, 1:]


def time_baselines(steps: int = 20) -> dict[str, float]:
    """Return the seconds of a step of the tutorial's job by several libraries."""
    samples = samples_of(10_000)
    mlp = jaxbp.Mlp(TUTORIAL, "relu")
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    labels = {"hand": "jaxbp", "autodiff": "jax.value_and_grad, optax"}
    runs = {
        labels[name]: descent(gradient, params, samples, steps)
        for name, gradient in gradients(mlp).items()
    }
    if find_spec("flax"):
        runs["Flax NNX, optax"] = descent(*by_flax(), samples, steps)
    if find_spec("torch"):
        runs["PyTorch"] = by_torch(samples, steps, compiled=False)
        runs["PyTorch, compiled"] = by_torch(samples, steps, compiled=True)
    taken = {
        name: np.array(some) / steps * 1e3 for name, some in interleaved(runs, pause=0.3).items()
    }
    rows = {
        name: {"median, ms": np.median(some), "least, ms": some.min()}
        for name, some in taken.items()
    }
    print_table("2-64-64-64-1 ReLU, 10,000 samples, a step of descent", rows)
    return {name: row["median, ms"] / 1e3 for name, row in rows.items()}


def by_flax() -> tuple[Gradient, Any]:
    """Return gradient and parameters of NNX modules, split into graph and state."""
    from flax import nnx

    layers: list[Any] = []
    rngs = nnx.Rngs(0)
    for fan_in, fan_out in pairwise(TUTORIAL):
        layers += [nnx.Linear(fan_in, fan_out, rngs=rngs), nnx.relu]
    graph, params = nnx.split(nnx.Sequential(*layers[:-1]))

    def loss(params: Any, inputs: Any, targets: Any) -> Any:
        return jnp.mean((nnx.merge(graph, params)(inputs) - targets) ** 2)

    return jax.grad(loss), params


def by_torch(samples: tuple[np.ndarray, ...], steps: int, compiled: bool) -> Run:
    """Return a run by `torch.nn` and SGD."""
    import torch

    layers: list[Any] = []
    for fan_in, fan_out in pairwise(TUTORIAL):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    forward: Any = torch.compile(model) if compiled else model
    points, wanted = map(torch.from_numpy, samples)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(forward(points), wanted).backward()
            optimizer.step()

    return run


def seconds_a_step(fit: Any, steps: int, rounds: int) -> float:
    """Return those of `fit(steps=)`, without what a run does at its start and end."""
    short, long = (min(fit(steps=n).run_seconds for _ in range(rounds)) for n in (steps, 3 * steps))
    return (long - short) / (2 * steps)


def matmul_peak(size: int = 2048) -> float:
    """Return the operations a second of a large matrix product in float64."""
    with jax.enable_x64(True):
        matrix = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)))
        product = jax.jit(lambda a: a @ a)
        return 2 * size**3 / min(interleaved({"": lambda: product(matrix)})[""])


def operations(mlp: jaxbp.Mlp, rows: int) -> float:
    """Count those of a Gauss-Newton step for one output: passes, kernel, factor, solve."""
    pairs = list(pairwise(mlp.sizes))
    passes = 2 * rows * sum(fan_in * fan_out for fan_in, fan_out in pairs) * (2 + 1 + 2)
    kernel = sum(2 * rows**2 * (fan_in + fan_out) for fan_in, fan_out in pairs)
    return passes + kernel + rows**3 / 3 + 4 * rows**2


def time_gauss_newton() -> dict[str, Any]:
    """Return milliseconds of a step and of its arithmetic at the peak, by rows of the kernel."""
    mlp, peak, found = jaxbp.Mlp((2, 128, 128, 1)), matmul_peak(), {}
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    for rows in (512, 1024):
        options: dict[str, Any] = {"solver": jaxbp.gauss_newton(), "record_every": 60}
        fit = partial(jaxbp.fit, mlp, params, samples_of(rows), **options)
        step, arithmetic = seconds_a_step(fit, 20, ROUNDS), operations(mlp, rows) / peak
        found[f"{rows} rows"] = {
            "step, ms": step * 1e3,
            "arithmetic, ms": arithmetic * 1e3,
            "ratio": step / arithmetic,
        }
    print_table("Gauss-Newton, 2-128-128-1, at the peak of float64", found)
    return found


# Hidden sizes, rows, batch size, steps, solver.
JOBS: dict[str, tuple[tuple[int, ...], int, int | None, int, Any]] = {
    "Gauss-Newton, 2-32-32-1, 400 rows": ((32, 32), 400, None, 100, jaxbp.gauss_newton()),
    "Adam, 2-16-16-1, 100 rows": ((16, 16), 100, None, 1000, None),
    "Adam, 2-64-64-64-1, batches of 64": ((64, 64, 64), 1000, 64, 300, None),
    "Adam, 2-64-64-64-1, 1,000 rows": ((64, 64, 64), 1000, None, 200, None),
}


def time_many(count: int = 8) -> dict[str, dict[str, float]]:
    """Return the median seconds of so many fits at once, and of one after the other."""
    found, keys = {}, jax.random.split(jax.random.key(0), count)
    for name, (hidden, rows, batch_size, steps, solver) in JOBS.items():
        mlp = jaxbp.Mlp((2, *hidden, 1))
        starts = jax.vmap(partial(jaxbp.init, mlp, dtype=jnp.float32))(keys)
        apart = [jax.tree.map(lambda leaf, i=i: leaf[i], starts) for i in range(count)]
        options: dict[str, Any] = {"batch_size": batch_size, "record_every": steps, "key": keys[0]}
        options |= {"data": samples_of(rows), "steps": steps, "solver": solver}
        ways: dict[str, Run] = {
            "at once, s": partial(jaxbp.fit_many, mlp, starts, **options),
            "in turn, s": lambda mlp=mlp, apart=apart, options=options: [  # type: ignore[misc]
                jaxbp.fit(mlp, one, **options).params for one in apart
            ],
        }
        medians = {way: float(np.median(s)) for way, s in interleaved(ways, rounds=5).items()}
        found[name] = medians | {"ratio": medians["at once, s"] / medians["in turn, s"]}
    print_table(f"{count} fits", found, ".2f")
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
    mlp = jaxbp.Mlp(TUTORIAL)
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("inputs.npy", "targets.npy")]
        for path, million in zip(paths, samples_of(BATCH**2), strict=True):
            shape = max(ROWS.values()), million.shape[1]
            mapped = np.lib.format.open_memmap(path, "w+", np.float32, shape)
            mapped.reshape(-1, *million.shape)[:] = million
        every = [np.load(path, mmap_mode="r") for path in paths]
        places = {f"{name} on disk": tuple(some[:n] for some in every) for name, n in ROWS.items()}
        name, few = next(iter(ROWS.items()))
        places[f"{name} in memory"] = tuple(np.array(some[:few]) for some in every)
        options: dict[str, Any] = {"batch_size": BATCH, "key": jax.random.key(1)}
        options |= {"record_every": 3 * steps}
        found = {
            place: seconds_a_step(partial(jaxbp.fit, mlp, params, samples, **options), steps, 3)
            for place, samples in places.items()
        }
    rows = {place: {"ms": seconds * 1e3} for place, seconds in found.items()}
    print_table(f"Adam, 2-64-64-64-1, a step on {BATCH:,} samples", rows)
    return found


if __name__ == "__main__":
    run(main, Config)
