"""A Gauss-Newton step beside its arithmetic, many fits at once beside one after the other, two devices beside one."""

import os
import subprocess
import sys
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxbp
from jaxbp._threads import one_blas_thread
from jaxbp.params import Params
from jaxbp.training import Batch, Problem, Solver, TrainState, advance
from speed.timing import Times, interleaved, matmul_peak

KERNEL_ROWS, STEPS = (512, 1024), 10


def operations(mlp: jaxbp.Mlp, rows: int) -> float:
    """Of a Gauss-Newton step for one output: forward passes, node errors, the whole kernel, its factor, the solve."""
    pairs = list(pairwise(mlp.sizes))
    weights = sum(fan_in * fan_out for fan_in, fan_out in pairs)
    passes = (
        2 * rows * weights * (2 + 1 + 2)
    )  # forward before and after, node errors, J v and J^T u
    return (
        passes
        + sum(2 * rows**2 * (fan_in + fan_out) for fan_in, fan_out in pairs)
        + rows**3 / 3
        + 4 * rows**2
    )


def gauss_newton_steps() -> list[tuple[int, float, float]]:
    """Rows of the kernel, seconds a step, and seconds that its arithmetic takes at the peak of float64."""
    mlp, solver, peak, found = (
        jaxbp.Mlp((2, 128, 128, 1)),
        jaxbp.gauss_newton(),
        matmul_peak(np.float64),
        [],
    )
    for rows in KERNEL_ROWS:
        batch = Batch(*data(rows))
        problem = Problem(mlp, num_steps=100 * STEPS)

        params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
        with one_blas_thread():
            times = interleaved(
                {"step": partial(take_steps, problem, solver, params, solver.init(params), batch)}
            )
        found.append((rows, times["step"].minimum / STEPS, operations(mlp, rows) / peak))
    return found


@jax.jit
def take_steps(
    problem: Problem, solver: Solver, params: Params, state: Any, batch: Batch
) -> tuple[Params, Any]:
    """STEPS steps on the same batch."""

    def take(_: int, carry: tuple[Params, Any]) -> tuple[Params, Any]:
        return solver.step(problem, *carry, batch, jax.random.key(0))[:2]

    return jax.lax.fori_loop(0, STEPS, take, (params, state))


def data(rows: int) -> tuple[jax.Array, jax.Array]:
    """Samples of sin(x) + y."""
    inputs = np.random.default_rng(0).standard_normal((rows, 2))
    return jnp.asarray(inputs, jnp.float32), jnp.asarray(
        np.sin(inputs[:, :1]) + inputs[:, 1:], jnp.float32
    )


class Job(NamedTuple):
    """What is fitted many times."""

    sizes: tuple[int, ...]
    rows: int
    batch_size: int | None
    steps: int
    solver: Solver

    def at_once(self, starts: Params, keys: jax.Array) -> Any:
        """All of them by `fit_many`."""
        return jaxbp.fit_many(
            jaxbp.Mlp(self.sizes), starts, data(self.rows), key=keys[0], **self.options()
        ).loss

    def in_turn(self, starts: list[Params], keys: jax.Array) -> Any:
        """One after the other by `fit`."""
        mlp, samples = jaxbp.Mlp(self.sizes), data(self.rows)
        pairs = zip(starts, keys, strict=True)
        return [
            jaxbp.fit(mlp, start, samples, key=key, **self.options()).params for start, key in pairs
        ]

    def by_vmap(self, starts: Params, keys: jax.Array) -> Any:
        """All of them as `fit_many` runs them on an accelerator."""
        problem = Problem(jaxbp.Mlp(self.sizes), batch_size=self.batch_size, num_steps=self.steps)
        return advance_all(problem, self.solver, starts, keys, Batch(*data(self.rows)))

    def options(self) -> dict[str, Any]:
        """What both `fit` and `fit_many` are told."""
        return {
            "steps": self.steps,
            "solver": self.solver,
            "batch_size": self.batch_size,
            "record_every": self.steps,
        }


@jax.jit
def advance_all(
    problem: Problem, solver: Solver, starts: Params, keys: jax.Array, train: Batch
) -> Params:
    """Train every start until the last step of the problem."""

    def one(start: Params, key: jax.Array) -> Params:
        state = TrainState.start(start, solver, key)
        return advance(problem, solver, state, train, problem.num_steps).state.params

    return jax.vmap(one)(starts, keys)


WAYS = ("at once", "under vmap", "in turn")
ADAM = jaxbp.first_order(optax.adam(1e-3))
JOBS = {
    "Gauss-Newton, 2-32-32-1, 400 rows": Job((2, 32, 32, 1), 400, None, 100, jaxbp.gauss_newton()),
    "Adam, 2-16-16-1, 100 rows": Job((2, 16, 16, 1), 100, None, 1000, ADAM),
    "Adam, 2-64-64-64-1, batches of 64": Job((2, 64, 64, 64, 1), 1000, 64, 300, ADAM),
    "Adam, 2-64-64-64-1, 1,000 rows": Job((2, 64, 64, 64, 1), 1000, None, 200, ADAM),
}


def many_fits(count: int = 8) -> dict[str, dict[str, Times]]:
    """Seconds of so many fits at once, under vmap, and one after the other."""
    found, keys = {}, jax.random.split(jax.random.key(0), count)
    for name, job in JOBS.items():
        starts = jax.vmap(partial(jaxbp.init, jaxbp.Mlp(job.sizes), dtype=jnp.float32))(keys)
        apart = [jax.tree.map(lambda leaf, i=i: leaf[i], starts) for i in range(count)]
        ways = (
            partial(job.at_once, starts, keys),
            partial(job.by_vmap, starts, keys),
            partial(job.in_turn, apart, keys),
        )
        found[name] = interleaved(dict(zip(WAYS, ways, strict=True)), rounds=5)
    return found


PROGRAM = """
import sys, jax, jax.numpy as jnp, numpy as np, optax
devices = int(sys.argv[2])
jax.config.update("jax_num_cpu_devices", devices)
import jaxbp
inputs = np.random.default_rng(0).uniform(-4, 4, (10_000, 2)).astype(np.float32)
targets = np.sin(inputs[:, :1]) + inputs[:, 1:]
sizes, solver, options = {
    "descent": ((2, 64, 64, 64, 1), jaxbp.first_order(optax.sgd(1e-3)), {"steps": 300}),
    "gauss_newton": ((2, 128, 128, 1), jaxbp.gauss_newton(), {"steps": 100, "batch_size": 512}),
}[sys.argv[1]]
mlp = jaxbp.Mlp(sizes, "relu" if sys.argv[1] == "descent" else "tanh")
options |= {"mesh": jax.make_mesh((devices,), ("samples",))} if devices > 1 else {}
params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
options |= {"solver": solver, "key": jax.random.key(1), "record_every": 100}
seconds = [jaxbp.fit(mlp, params, (inputs, targets), **options).run_seconds for _ in range(4)]
print(min(seconds[1:]))
"""


def programs(runs: dict[str, tuple[str, int, dict[str, str]]], rounds: int = 3) -> dict[str, float]:
    """The smallest seconds in the loop of programs of their own, in turn: a job, its CPU devices, its environment."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (job, devices, environment) in runs.items():
            command = [sys.executable, "-c", PROGRAM, job, str(devices)]
            ended = subprocess.run(
                command, env=os.environ | environment, capture_output=True, text=True, check=True
            )
            taken[name].append(float(ended.stdout))
    return {name: min(some) for name, some in taken.items()}
