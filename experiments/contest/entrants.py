"""jaxbp's own entrants: the tutorial's descent, Adam, L-BFGS, Gauss-Newton, and the model that it chooses by itself."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from contest.problems import Problem
from contest.rules import Entrant, Fitted, best_of, paced
from jaxbp.training import Solver, named_optimizer

OWN = ("gradient descent (tutorial)", "Adam", "L-BFGS", "Gauss-Newton", "jaxbp")
SCHEMES = {"relu": "he", "tanh": "glorot", "sine": "sine"}


def surface_entrants() -> list[Entrant]:
    """For surfaces. Only Gauss-Newton needs float64; the others are faster, and no worse, in float32."""
    return [
        Entrant(OWN[0], best_of({"relu": paced(_descend, 50)})),
        Entrant(
            OWN[1], best_of({name: paced(partial(_adam, name), 500) for name in ("relu", "tanh")})
        ),
        Entrant(OWN[2], best_of({"sine": paced(_lbfgs, 20)})),
        Entrant(OWN[3], best_of({"sine": paced(_gauss_newton, 20)})),
        *function_entrants(),
    ]


def function_entrants() -> list[Entrant]:
    """For functions of several inputs: `fit_model`, which chooses on samples that it holds out itself."""
    return [Entrant(OWN[4], best_of({"fit_model": _fit_model}))]


def _fit_model(problem: Problem, seconds: float) -> Fitted:
    """Its seconds are all that pass, compiling and choosing among them."""
    start = time.perf_counter()
    model = jaxbp.fit_model(*problem.train, seconds=seconds, seed=problem.seed)
    return Fitted(model, time.perf_counter() - start)


def _descend(problem: Problem, steps: int) -> Fitted:
    """The tutorial's start, NumPy's generator at seed 99, and its loss and learning rate."""
    generator = np.random.RandomState(99)
    weights = [
        generator.uniform(-1, 1, shape)
        for shape in ((problem.num_inputs, 64), (64, 64), (64, 64), (64, 1))
    ]
    params = tuple(
        jaxbp.Layer(jnp.float32(weight), jnp.zeros(weight.shape[1], jnp.float32))
        for weight in weights
    )
    solver = jaxbp.first_order(named_optimizer("sgd", 1e-3))
    return _fit(
        problem, steps, (64, 64, 64), "relu", solver, params=params, loss="half_squared_error"
    )


def _adam(activation: str, problem: Problem, steps: int) -> Fitted:
    solver = jaxbp.first_order(named_optimizer("adam", 5e-3, "cosine", steps))
    return _fit(problem, steps, (64, 64, 64), activation, solver, batch_size=500)


def _lbfgs(problem: Problem, steps: int) -> Fitted:
    return _fit(problem, steps, (128, 128), "sine", jaxbp.first_order(named_optimizer("lbfgs")))


def _gauss_newton(problem: Problem, steps: int) -> Fitted:
    return _fit(
        problem, steps, (128, 128), "sine", jaxbp.gauss_newton(), batch_size=512, dtype=jnp.float64
    )


def _fit(
    problem: Problem,
    steps: int,
    hidden: tuple[int, ...],
    activation: str,
    solver: Solver,
    *,
    params: jaxbp.Params | None = None,
    dtype: Any = jnp.float32,
    batch_size: int | None = None,
    loss: str = "mean_squared_error",
) -> Fitted:
    mlp = jaxbp.Mlp((problem.num_inputs, *hidden, 1), hidden=activation)
    if params is None:
        params = jaxbp.init(mlp, jax.random.key(problem.seed), SCHEMES[activation], dtype=dtype)
    result = jaxbp.fit(
        mlp,
        params,
        (problem.train.points.astype(dtype), problem.train.values[:, np.newaxis].astype(dtype)),
        steps=steps,
        solver=solver,
        batch_size=None if batch_size is None else min(batch_size, len(problem.train.values)),
        key=jax.random.key(problem.seed + 1),
        loss=loss,
        record_every=steps,
    )
    predict = jax.jit(partial(jaxbp.predict, mlp, result.params))
    steps = result.outcome.step
    return Fitted(
        lambda points: predict(points.astype(dtype)),
        result.run_seconds,
        result.compile_seconds,
        steps,
    )
