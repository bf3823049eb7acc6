"""Other platforms without having them: every program is lowered for them, and on the CPU computes
what it should.

`jax.export` refuses custom calls that it does not promise to keep. Predictions, gradients and a
first-order step need none of them, and take any number of samples in one program for all platforms.
A Gauss-Newton step and the loop of `fit` have a batch of a fixed size, and a program for each
platform: an NVIDIA GPU has symmetric products of its own.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import draw_params
from jax import export

import jaxbp
from jaxbp.export import PLATFORMS
from jaxbp.training import Batch, Problem, TrainState, advance

pytestmark = pytest.mark.usefixtures("compiled_quickly")
MLP = jaxbp.Mlp((2, 4, 3, 1), hidden=("tanh", "gelu"))
PARAMS = draw_params(MLP, dtype=np.float32)
KEY = jax.random.key(0)
SOLVERS = {
    "first order": jaxbp.first_order(optax.adam(1e-2)),
    "Gauss-Newton": jaxbp.gauss_newton(),
}


def samples(num_samples):
    inputs = np.random.default_rng(num_samples).standard_normal((num_samples, 2)).astype(np.float32)
    return jnp.asarray(inputs), jnp.asarray(np.sin(inputs[:, :1]))


def shapes(num_samples):
    return tuple(jax.ShapeDtypeStruct((num_samples, columns), jnp.float32) for columns in (2, 1))


def lowered(function, *arguments, platforms=PLATFORMS):
    checks = (
        [export.DisabledSafetyCheck.custom_call("cusolver_syrk_ffi")]
        if platforms == ("cuda",)
        else []
    )
    program = export.export(jax.jit(function), platforms=platforms, disabled_checks=checks)(
        *arguments
    )
    assert program.platforms == platforms
    assert len(program.mlir_module_serialized) > 0
    return program


def lowered_one_by_one(function, *arguments):
    """A program for each platform; the one for the CPU is returned."""
    return {name: lowered(function, *arguments, platforms=(name,)) for name in PLATFORMS}["cpu"]


def assert_computes(program, function, *arguments):
    """The program for all platforms on this one: equal up to the rounding of sums of some ten
    float32 terms."""
    found, right = program.call(*arguments), jax.jit(function)(*arguments)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


def step_of(solver):
    problem = Problem(MLP, num_steps=10)

    def step(params, inner, inputs, targets):
        return solver.step(problem, params, inner, Batch(inputs, targets), KEY)

    return step


PROGRAMS = {
    "predict": lambda params, inputs, targets: jaxbp.predict(MLP, params, inputs),
    "its gradient": jax.grad(
        lambda params, inputs, targets: jnp.sum(targets * jaxbp.predict(MLP, params, inputs)),
        argnums=(0, 1),
    ),
    "the sweep": partial(jaxbp.loss_and_gradient, MLP),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_for_all_platforms_takes_any_number_of_samples(name):
    (batch,) = export.symbolic_shape("n", constraints=["n >= 1"])
    program = lowered(PROGRAMS[name], PARAMS, *shapes(batch))
    for num_samples in (1, 7):
        assert_computes(program, PROGRAMS[name], PARAMS, *samples(num_samples))


def test_so_does_a_first_order_step():
    solver, (batch,) = SOLVERS["first order"], export.symbolic_shape("n", constraints=["n >= 1"])
    program = lowered(step_of(solver), PARAMS, solver.init(PARAMS), *shapes(batch))
    assert_computes(program, step_of(solver), PARAMS, solver.init(PARAMS), *samples(7))


def test_a_gauss_newton_step_is_lowered_for_its_batch():
    solver = SOLVERS["Gauss-Newton"]
    arguments = PARAMS, solver.init(PARAMS)
    program = lowered_one_by_one(step_of(solver), *arguments, *shapes(7))
    assert_computes(program, step_of(solver), *arguments, *samples(7))


def test_many_gauss_newton_steps_are_batched_products_and_factors_on_a_gpu():
    solver, count, rows = SOLVERS["Gauss-Newton"], 5, 7
    starts = jax.tree.map(lambda leaf: jnp.stack([leaf] * count), (PARAMS, solver.init(PARAMS)))
    step = jax.vmap(step_of(solver), (0, 0, None, None))
    program = lowered(step, *starts, *shapes(rows), platforms=("cuda",))
    calls = [line for line in program.mlir_module().splitlines() if "custom_call @cusolver" in line]
    products = [line for line in calls if "cusolver_syrk_ffi" in line]
    factors = [line for line in calls if "cusolver_potrf_ffi" in line]
    # Of the inputs and of the seeds, which all of them share, there is one product; of what differs
    # a batch.
    assert len(products) == 2 * MLP.num_layers
    assert (
        sum(f"tensor<{count}x{rows}x{rows}xf64>" in line for line in products) == len(products) - 2
    )
    assert len(factors) == 1
    assert f"tensor<{count}x{rows}x{rows}xf64>" in factors[0]


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("name", SOLVERS)
def test_the_loop_of_fit_is_lowered(name, batch_size):
    solver, problem = SOLVERS[name], Problem(MLP, batch_size=batch_size, num_steps=3)
    state = TrainState.start(PARAMS, solver, KEY)

    def loop(state, *train):
        return advance(problem, solver, state, Batch(*train), 3)

    lowered_one_by_one(loop, state, *shapes(7))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_is_lowered(dtype, x64):
    points = np.random.default_rng(0).standard_normal((9, 2))
    model = jaxbp.Model.for_data(MLP, PARAMS, points, np.sin(points[:, 0]), ("x", "y", "z"))
    (batch,) = export.symbolic_shape("n", constraints=["n >= 1"])
    program = lowered(lambda points: model(points), jax.ShapeDtypeStruct((batch, 2), dtype))
    assert_computes(program, lambda points: model(points), jnp.asarray(points, dtype))
