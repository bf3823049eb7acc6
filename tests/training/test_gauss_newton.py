"""The Jacobian's factors against JAX's Jacobian, and the solver that is built on them."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import ACTIVATION_NAMES, LOSS_NAMES, QUICKLY, draw_params, targets_for

import data
import jaxbp
from jaxbp.jacobian import (
    _gram_by_products,
    _gram_by_strips,
    gram,
    seeded_errors,
    squared_columns,
    squared_norms,
    tangent,
    weighted_gradient,
)
from jaxbp.losses import LOSSES
from jaxbp.network import forward
from jaxbp.training import Batch, Problem, TrainState, advance
from jaxbp.training.gauss_newton import by_cholesky, by_conjugate_gradients

pytestmark = pytest.mark.usefixtures("compiled_quickly")


NETWORKS = [
    *(jaxbp.Mlp((3, 6, 5, 2), hidden=name) for name in ACTIVATION_NAMES),
    jaxbp.Mlp((2, 3)),
    jaxbp.Mlp((4, 4, 1), hidden="sine", output="sigmoid"),
    jaxbp.Mlp((2, 7, 1, 7, 3, 1), hidden="gelu"),
    jaxbp.Mlp((1, 5, 5, 5, 5, 4), hidden="tanh"),
]


class Products(NamedTuple):
    """J J^T, J v and J^T u from the factors, J v by forward mode, and J by jax.jacrev."""

    v: Any
    u: np.ndarray
    gram: np.ndarray
    squared_norms: np.ndarray
    tangent: np.ndarray
    weighted_gradient: Any
    expected_tangent: np.ndarray
    rows: np.ndarray


# One for all tests, so that equal shapes share a compiled program.
SOLVER = jaxbp.gauss_newton()
ADAM = jaxbp.first_order(optax.adam(optax.cosine_decay_schedule(5e-3, 600)))


@functools.cache
def products_of(mlp):
    """All products of one network in one compiled program, for one seed an output."""
    count, outputs = 70, mlp.sizes[-1]
    params, v, u = (
        draw_params(mlp),
        draw_params(mlp, 2),
        np.random.default_rng(4).standard_normal((count, outputs)),
    )
    inputs = np.random.default_rng(1).standard_normal((count, mlp.sizes[0]))
    seeds = np.broadcast_to(np.eye(outputs)[:, None, :], (outputs, count, outputs))

    @functools.partial(jax.jit, compiler_options=QUICKLY)
    def compute(params, v, u):
        _, residuals = forward(mlp, params, inputs)
        errors = seeded_errors(mlp, params, residuals, seeds)
        products = (
            gram(residuals, errors),
            tangent(residuals, errors, v),
            weighted_gradient(residuals, errors, u),
        )
        norms = squared_norms(residuals, errors)
        reference = functools.partial(jaxbp.reference_predict, mlp, inputs=inputs)
        return (
            products,
            norms,
            jax.jacrev(reference)(params),
            jax.jvp(reference, (params,), (v,))[1],
        )

    (kernel, jv, jtu), norms, jacobian, expected_jv = jax.device_get(compute(params, v, u))
    rows = np.concatenate(
        [leaf.reshape(count * outputs, -1) for leaf in jax.tree.leaves(jacobian)], axis=1
    )
    return Products(v, u, kernel, norms, jv, jtu, expected_jv, rows)


@pytest.fixture(params=NETWORKS, ids=lambda mlp: f"{mlp.activation_names[0]} {mlp.sizes}")
def products(request, x64):
    return products_of(request.param)


def flat(tree):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def test_gram_is_the_jacobian_times_its_transpose(products):
    expected = products.rows @ products.rows.T
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        np.tril(products.gram), np.tril(expected), rtol=0, atol=1e-12 * scale
    )
    np.testing.assert_allclose(
        products.squared_norms.ravel(), np.diag(expected), rtol=0, atol=1e-12 * scale
    )


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_on_a_gpu_it_is_the_same_matrix(num_seeds, x64):
    """What it is computed by there, on this device."""
    generator, num_samples = np.random.default_rng(0), 40
    factors = [
        (
            generator.standard_normal((num_samples, a)),
            generator.standard_normal((num_samples * num_seeds, b)),
        )
        for a, b in ((2, 5), (5, 3))
    ]
    found, right = (
        np.tril(way(factors, num_seeds, True)) for way in (_gram_by_products, _gram_by_strips)
    )
    np.testing.assert_allclose(found, right, rtol=1e-13, atol=1e-13)


def test_tangent_is_forward_mode(products):
    assert products.tangent.shape == products.expected_tangent.shape
    scale = np.abs(products.rows).max() * np.abs(flat(products.v)).max()
    np.testing.assert_allclose(
        products.tangent, products.expected_tangent, rtol=0, atol=1e-12 * scale
    )


def test_adjoint_identity(products):
    """<u, J v> = <J^T u, v>, and J^T u is that of the Jacobian."""
    jtu, rows = flat(products.weighted_gradient), products.rows
    np.testing.assert_allclose(
        jtu, rows.T @ products.u.ravel(), rtol=0, atol=1e-12 * np.abs(rows).max()
    )
    scale = np.linalg.norm(products.u) * np.linalg.norm(products.tangent)
    assert abs(np.sum(products.u * products.tangent) - jtu @ flat(products.v)) <= 1e-14 * scale


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_a_loss_s_factor_gives_its_gradient_and_hessian(loss, x64):
    generator = np.random.default_rng(0)
    outputs, targets = generator.standard_normal((6, 3)), targets_for(loss, (6, 3), generator)
    row = LOSSES[loss]

    @jax.jit
    def compute(outputs, targets):
        hessian = jax.vmap(jax.hessian(lambda o, t: row.values(o[None], t[None])[0]))(
            outputs, targets
        )
        return *row.hessian_factor(outputs, targets), hessian, row.gradient(outputs, targets)

    roots, scaled_error, hessian, gradient = compute(outputs, targets)
    np.testing.assert_allclose(np.einsum("nij,nkj->nik", roots, roots), hessian, atol=1e-14)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", roots, scaled_error), gradient, atol=1e-14)


def test_a_linear_problem_is_solved_at_once(x64):
    """A linear network and little damping: least squares, as NumPy solves it."""
    generator = np.random.default_rng(0)
    inputs, targets = generator.standard_normal((40, 5)), generator.standard_normal((40, 2))
    mlp = jaxbp.Mlp((5, 2))
    solver = jaxbp.gauss_newton(momentum=0.0, damping=1e-6)
    params = jaxbp.fit(mlp, draw_params(mlp), (inputs, targets), steps=3, solver=solver).params
    right = np.linalg.lstsq(np.column_stack([inputs, np.ones(40)]), targets, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([params[0].weight, params[0].bias]), right, atol=1e-8)


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_loss_is_learnt(loss, dtype):
    generator = np.random.default_rng(0)
    with jax.enable_x64(dtype == "float64"):
        inputs = generator.standard_normal((80, 2)).astype(dtype)
        if loss == "softmax_cross_entropy":
            targets = (inputs[:, 0] * inputs[:, 1] > 0).astype(int)
        elif loss == "binary_cross_entropy":
            targets = (np.stack([inputs[:, 0], inputs[:, 0] * inputs[:, 1]], 1) > 0).astype(dtype)
        else:
            targets = np.stack([inputs[:, 0], inputs[:, 0] * inputs[:, 1]], 1)
        mlp = jaxbp.Mlp((2, 10, 10, 2))
        start = draw_params(mlp, dtype=dtype)
        result = jaxbp.fit(mlp, start, (inputs, targets), steps=60, solver=SOLVER, loss=loss)
    assert result.status == "finished"
    assert result.history.loss[-1] < 0.02 * result.history.loss[0]
    assert result.params[0].weight.dtype == dtype


def same_twice(inputs, targets):
    return np.concatenate([inputs[:10], inputs[:10]]), np.concatenate([targets[:10], targets[:10]])


SINGULAR = {
    "duplicate samples": (same_twice, lambda params: params),
    "one sample": (lambda x, t: (x[:1], t[:1]), lambda params: params),
    "all targets equal": (lambda x, t: (x, 0 * t + 3), lambda params: params),
    "all samples equal": (lambda x, t: (0 * x + 1, 0 * t), lambda params: params),
    "a contradiction": (lambda x, t: (0 * x + 1, t), lambda params: params),
    "a dead network": (
        lambda x, t: (x, t),
        lambda params: (
            tuple(layer._replace(bias=0 * layer.bias - 1e3) for layer in params[:-1]) + params[-1:]
        ),
    ),
    "a network of zeros": (
        lambda x, t: (x, t),
        lambda params: jax.tree.map(jnp.zeros_like, params),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SINGULAR)
def test_a_singular_kernel_ends_in_a_clean_answer(name, dtype):
    samples, change = SINGULAR[name]
    generator = np.random.default_rng(0)
    with jax.enable_x64(dtype == "float64"):
        inputs = generator.standard_normal((20, 2)).astype(dtype)
        singular = samples(inputs, np.sin(inputs[:, :1]))
        mlp = jaxbp.Mlp((2, 8, 8, 1), hidden="relu")
        params = change(draw_params(mlp, dtype=dtype))
        result = jaxbp.fit(mlp, params, singular, steps=30, solver=SOLVER)
    assert result.status == "finished"
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    assert result.history.loss[-1] <= result.history.loss[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_it_beats_adam_on_a_surface(seed):
    """A smooth surface, the same samples, ten times the steps for Adam."""
    surface = data.surface("franke")
    points = data.uniform_points(np.random.RandomState(seed), surface.domain, 600)
    values = surface.function(*points.T)[:, None]
    samples = (2 * points - 1).astype(np.float32), (values / values.std()).astype(np.float32)
    mlp = jaxbp.Mlp((2, 24, 24, 1))
    params = draw_params(mlp, seed, np.float32)
    options = {"batch_size": 200, "key": jax.random.key(seed), "record_every": 600}
    newton = jaxbp.fit(mlp, params, samples, steps=60, solver=SOLVER, **options)
    first = jaxbp.fit(mlp, params, samples, steps=600, solver=ADAM, **options)
    assert newton.history.loss[-1] < 0.05 * first.history.loss[-1]


def test_memory_does_not_grow_with_the_parameters():
    """For 10^5 parameters the Jacobian of 256 samples would take 206 MB in float64."""
    mlp = jaxbp.Mlp((2, 220, 220, 220, 1))
    assert mlp.num_params > 97_000
    params = draw_params(mlp, dtype=np.float32)
    batch = Batch(np.ones((256, 2), np.float32), np.ones((256, 1), np.float32))
    problem = Problem(mlp, num_steps=10)
    step = jax.jit(lambda p, s, b: SOLVER.step(problem, p, s, b, jax.random.key(0)))
    compiled = step.lower(params, SOLVER.init(params), batch).compile(
        {"xla_backend_optimization_level": 0}
    )
    used = compiled.memory_analysis().temp_size_in_bytes
    matrices, layers, copies = 8 * 256**2, 8 * 256 * 220, 8 * mlp.num_params
    assert used < 4 * matrices + 8 * 3 * layers + 8 * copies < 8 * 256 * mlp.num_params / 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, "momentum must be"),
        ({"damping": 0.0}, "damping must be positive"),
        ({"momentum": np.array([0.5, -0.1])}, "momentum must be"),
    ],
)
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        jaxbp.gauss_newton(**options)


FACTORED = [
    jaxbp.Mlp((2, 5, 1)),
    pytest.param(jaxbp.Mlp((3, 6, 5, 2), hidden="gelu"), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("num_samples", [7, 60])
@pytest.mark.parametrize("mlp", FACTORED, ids=str)
def test_both_ways_solve_the_damped_least_squares(mlp, num_samples, x64):
    """As NumPy solves it, with fewer rows than parameters and with more."""
    params, generator = draw_params(mlp), np.random.default_rng(2)
    inputs, wanted = (
        generator.standard_normal((num_samples, size)) for size in (mlp.sizes[0], mlp.sizes[-1])
    )
    damping = 0.1
    seeds = np.broadcast_to(
        np.eye(mlp.sizes[-1])[:, None, :], (mlp.sizes[-1], num_samples, mlp.sizes[-1])
    )

    @jax.jit
    def solve(params, inputs, wanted):
        _, residuals = forward(mlp, params, inputs)
        factors = residuals, seeded_errors(mlp, params, residuals, seeds)
        # In exact arithmetic as many iterations as there are different eigenvalues are enough.
        return (
            by_cholesky(None, *factors, damping, wanted),
            by_conjugate_gradients(*factors, damping, wanted, iterations=300, tolerance=1e-12),
            by_conjugate_gradients(*factors, damping, wanted, iterations=3, tolerance=0.0),
            squared_columns(*factors),
        )

    *solutions, squares = solve(params, inputs, wanted)
    jacobian = jax.jacrev(functools.partial(jaxbp.reference_predict, mlp, inputs=inputs))(params)
    rows = np.concatenate(
        [leaf.reshape(wanted.size, -1) for leaf in jax.tree.leaves(jacobian)], axis=1
    )
    np.testing.assert_allclose(flat(squares), np.sum(rows**2, axis=0), rtol=1e-12)
    root = np.sqrt(damping) * np.eye(rows.shape[1])
    padded = np.concatenate([wanted.ravel(), np.zeros(rows.shape[1])])
    right = np.linalg.lstsq(np.vstack([rows, root]), padded, rcond=None)[0]

    def left(change):
        return np.sum((wanted.ravel() - rows @ change) ** 2) + damping * np.sum(change**2)

    for change, reached in solutions:
        np.testing.assert_allclose(
            np.asarray(reached).ravel(), rows @ flat(change), rtol=0, atol=1e-9
        )
    for change, _ in solutions[:2]:
        np.testing.assert_allclose(flat(change), right, rtol=0, atol=1e-9 * np.abs(right).max())
    assert left(right) < left(flat(solutions[2][0])) < left(0 * right)


@pytest.mark.slow
def test_more_rows_than_are_factorized_are_solved_without_the_kernel():
    """20,000 rows, whose K would take 3.2 GB in float64."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((20_000, 2)).astype(np.float32)
    samples = inputs, np.sin(inputs[:, :1]) * inputs[:, 1:]
    mlp = jaxbp.Mlp((2, 8, 1))
    params = draw_params(mlp, dtype=np.float32)
    result = jaxbp.fit(mlp, params, samples, steps=10, record_every=10, solver=SOLVER)
    assert result.history.loss[-1] < 0.1 * result.history.loss[0]
    state = TrainState.start(params, SOLVER)
    program = advance.lower(
        Problem(mlp, num_steps=1), SOLVER, state, Batch(*map(jnp.asarray, samples)), 1
    ).compile()
    assert program.memory_analysis().temp_size_in_bytes < 20_000 * 8 * 100


def test_a_step_is_that_of_the_module_s_formulas(x64):
    """By a dense Jacobian in NumPy, from states with good, poor and rejected steps."""
    mlp, count, momentum, solver = (
        jaxbp.Mlp((1, 4, 2), hidden="sine"),
        5,
        0.9,
        jaxbp.gauss_newton(momentum=0.9, damping=1e-9),
    )
    generator, problem = np.random.default_rng(0), Problem(mlp, num_steps=10)
    inputs, targets = generator.standard_normal((count, 1)), generator.standard_normal((count, 2))
    step = jax.jit(solver.step)
    outputs = functools.partial(jaxbp.reference_predict, mlp, inputs=inputs)
    jacobian, forwards = jax.jit(jax.jacrev(outputs)), jax.jit(outputs)
    corrections = []
    for seed in range(40):
        params, sigma = draw_params(mlp, seed), 10.0 ** generator.uniform(-3, 0)
        velocity = jax.tree.map(
            lambda leaf, seed=seed: generator.standard_normal(leaf.shape) * (seed % 3), params
        )
        state = solver.init(params)._replace(
            step=jnp.int32(seed % 10),
            velocity=velocity,
            damping=jnp.float64(sigma),
        )
        moved, kept, loss = step(problem, params, state, Batch(inputs, targets), jax.random.key(0))
        error = (
            np.asarray(forwards(params)) - targets
        ).ravel()  # the mean square of 2 outputs is half of |error|^2
        rows = np.concatenate(
            [leaf.reshape(error.size, -1) for leaf in jax.tree.leaves(jacobian(params))], axis=1
        )
        kernel, carried, before = rows @ rows.T, momentum * rows @ flat(velocity), np.mean(error**2)
        damping = sigma * before * np.trace(kernel) / error.size
        alpha = np.linalg.solve(kernel + damping * np.eye(error.size), error - carried)
        change, eta = momentum * flat(velocity) + rows.T @ alpha, min(1.0, (10 - seed % 10) / 6)
        leaves, structure = jax.tree.flatten(params)
        ends = np.cumsum([leaf.size for leaf in leaves])
        pieces = np.split(flat(params) - eta * change, ends[:-1])
        there = jax.tree.unflatten(
            structure, [p.reshape(leaf.shape) for p, leaf in zip(pieces, leaves, strict=True)]
        )
        after = np.mean((np.asarray(forwards(there)) - targets) ** 2)
        promised = before - np.mean((error - eta * rows @ change) ** 2)
        accepted = after <= 2 * before
        correction = (
            4.0 if not accepted else 0.8 if (before - after) / max(promised, 1e-300) > -0.5 else 2.0
        )
        corrections.append(correction)
        assert float(kept.damping) == pytest.approx(correction * sigma, rel=1e-12)
        np.testing.assert_allclose(loss, before, rtol=1e-12)
        np.testing.assert_allclose(
            flat(moved), flat(there if accepted else params), rtol=0, atol=1e-8
        )
        np.testing.assert_allclose(
            flat(kept.velocity), change if accepted else 0, rtol=0, atol=1e-8
        )
        assert int(kept.step) == seed % 10 + 1
    assert min(map(corrections.count, (0.8, 2.0, 4.0))) >= 3
