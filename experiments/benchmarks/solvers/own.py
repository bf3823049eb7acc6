"""jaxbp's solvers: the tutorial's descent, Adam, L-BFGS, Gauss-Newton, and fit_model."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxbp
from fit_surface import tutorial_params
from solvers.problems import Problem
from solvers.rules import Fitted, Solver, best_of, paced

SCHEMES = {"relu": "he", "tanh": "glorot", "sine": "sine"}


def surface_solvers() -> dict[str, Solver]:
    """For surfaces; Gauss-Newton computes in float64, the others in float32, which is as good."""
    adam = {name: paced(partial(_adam, name), 500) for name in ("relu", "tanh")}
    return {
        "gradient descent (tutorial)": best_of({"relu": paced(_descend, 50)}),
        "Adam": best_of(adam),
        "L-BFGS": best_of({"sine": paced(_lbfgs, 20)}),
        "Gauss-Newton": best_of({"sine": paced(_gauss_newton, 20)}),
        **function_solvers(),
    }


def function_solvers() -> dict[str, Solver]:
    """For functions of several inputs."""
    return {"jaxbp": best_of({"fit_model": _fit_model})}


def _fit_model(problem: Problem, seconds: float) -> Fitted:
    """Its seconds are wall time, compilation and choice included."""
    start = time.perf_counter()
    model = jaxbp.fit_model(*problem.train, seconds=seconds, seed=problem.seed)
    return Fitted(model, time.perf_counter() - start)


def _descend(problem: Problem, steps: int) -> Fitted:
    """The tutorial's start, loss and learning rate."""
    mlp = jaxbp.Mlp((problem.num_inputs, 64, 64, 64, 1), hidden="relu")
    params = tutorial_params(mlp, jnp.float32)
    options: Any = {"params": params, "loss": "half_squared_error"}
    return _fit(problem, steps, mlp, jaxbp.first_order(optax.sgd(1e-3)), **options)


def _adam(activation: str, problem: Problem, steps: int) -> Fitted:
    mlp = jaxbp.Mlp((problem.num_inputs, 64, 64, 64, 1), hidden=activation)
    solver = jaxbp.first_order(optax.adam(optax.cosine_decay_schedule(5e-3, steps)))
    return _fit(problem, steps, mlp, solver, batch_size=500)


def _lbfgs(problem: Problem, steps: int) -> Fitted:
    mlp = jaxbp.Mlp((problem.num_inputs, 128, 128, 1), hidden="sine")
    return _fit(problem, steps, mlp, jaxbp.first_order(optax.lbfgs()))


def _gauss_newton(problem: Problem, steps: int) -> Fitted:
    mlp = jaxbp.Mlp((problem.num_inputs, 128, 128, 1), hidden="sine")
    solver = jaxbp.gauss_newton()
    return _fit(problem, steps, mlp, solver, batch_size=512, dtype=jnp.float64)


def _fit(
    problem: Problem,
    steps: int,
    mlp: jaxbp.Mlp,
    solver: Any,
    *,
    params: Any = None,
    dtype: Any = jnp.float32,
    batch_size: int | None = None,
    **options: Any,
) -> Fitted:
    if params is None:
        scheme = SCHEMES[str(mlp.hidden)]
        params = jaxbp.init(mlp, jax.random.key(problem.seed), scheme, dtype=dtype)
    result = jaxbp.fit(
        mlp,
        params,
        (problem.train.points.astype(dtype), problem.train.values[:, np.newaxis].astype(dtype)),
        steps=steps,
        solver=solver,
        batch_size=None if batch_size is None else min(batch_size, len(problem.train.values)),
        key=jax.random.key(problem.seed + 1),
        record_every=steps,
        **options,
    )
    predict = jax.jit(partial(jaxbp.predict, mlp, result.params))
    times = result.run_seconds, result.compile_seconds, result.outcome.step
    return Fitted(lambda points: predict(points.astype(dtype)), *times)
