"""jaxbp's own contestants: the tutorial's descent, Adam, L-BFGS, Gauss-Newton."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp.training import Solver, named_optimizer
from support.contest import Contestant, Run, Samples
from support.fitting import tutorial_params

DEEP, WIDE = (64, 64, 64), (128, 128)


def own_contestants() -> list[Contestant]:
    """Makes them. Only Gauss-Newton needs float64; the others are faster, and no worse, in float32."""
    return [
        Contestant("gradient descent (tutorial)", "relu", 50, partial(_descend, DEEP)),
        *(Contestant("Adam", name, 500, partial(_adam, DEEP, name)) for name in ("relu", "tanh")),
        Contestant("L-BFGS", "sine", 20, partial(_lbfgs, WIDE)),
        Contestant("Gauss-Newton", "sine", 20, partial(_gauss_newton, WIDE)),
    ]


def _descend(hidden: tuple[int, ...], samples: Samples, seed: int, steps: int) -> Run:
    mlp = jaxbp.Mlp((2, *hidden, 1), hidden="relu")
    solver = jaxbp.first_order(named_optimizer("sgd", 1e-3))
    return _fit(mlp, tutorial_params(mlp, np.float32), samples, seed, steps, solver, loss="half_squared_error")


def _adam(hidden: tuple[int, ...], activation: str, samples: Samples, seed: int, steps: int) -> Run:
    mlp = jaxbp.Mlp((2, *hidden, 1), hidden=activation)
    params = jaxbp.init(mlp, jax.random.key(seed), "he" if activation == "relu" else "glorot", dtype=jnp.float32)
    solver = jaxbp.first_order(named_optimizer("adam", 5e-3, "cosine", steps))
    return _fit(mlp, params, samples, seed, steps, solver, batch_size=500)


def _lbfgs(hidden: tuple[int, ...], samples: Samples, seed: int, steps: int) -> Run:
    mlp = jaxbp.Mlp((2, *hidden, 1), hidden="sine")
    params = jaxbp.init(mlp, jax.random.key(seed), "sine", dtype=jnp.float32)
    return _fit(mlp, params, samples, seed, steps, jaxbp.first_order(named_optimizer("lbfgs")))


def _gauss_newton(hidden: tuple[int, ...], samples: Samples, seed: int, steps: int) -> Run:
    mlp = jaxbp.Mlp((2, *hidden, 1), hidden="sine")
    params = jaxbp.init(mlp, jax.random.key(seed), "sine", dtype=jnp.float64)
    return _fit(mlp, params, samples, seed, steps, jaxbp.gauss_newton(), batch_size=512)


def _fit(
    mlp: jaxbp.Mlp,
    params: jaxbp.Params,
    samples: Samples,
    seed: int,
    steps: int,
    solver: Solver,
    batch_size: int | None = None,
    loss: str = "mean_squared_error",
) -> Run:
    dtype = params[0].weight.dtype
    result = jaxbp.fit(
        mlp,
        params,
        (samples.inputs.astype(dtype), samples.targets.astype(dtype)),
        steps=steps,
        solver=solver,
        batch_size=None if batch_size is None else min(batch_size, len(samples.inputs)),
        loss=loss,  # type: ignore[arg-type]
        key=jax.random.key(seed + 1),
        record_every=steps,
    )
    outputs = jax.jit(jaxbp.predict, static_argnums=0)(mlp, result.params, samples.test_inputs.astype(dtype))
    return Run(int(result.state.step), result.run_seconds, result.compile_seconds, samples.nrmse(np.asarray(outputs)))
