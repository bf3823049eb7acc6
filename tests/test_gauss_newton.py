"""The Jacobian's factors against JAX's Jacobian, and the solver that is built on them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import ACTIVATION_NAMES, LOSS_NAMES, draw_case, targets_for

import jaxbp
from jaxbp.jacobian import gram, seeded_errors, tangent, weighted_gradient
from jaxbp.losses import LOSSES
from jaxbp.network import forward

NETWORKS = [
    *(jaxbp.Mlp((3, 6, 5, 2), hidden=name) for name in ACTIVATION_NAMES),
    jaxbp.Mlp((2, 3)),
    jaxbp.Mlp((4, 4, 1), hidden="sine", output="sigmoid"),
    jaxbp.Mlp((2, 7, 1, 7, 3, 1), hidden="gelu"),
    jaxbp.Mlp((1, 5, 5, 5, 5, 4), hidden="tanh"),
]


@functools.cache
def factors_of(mlp):
    """Parameters, inputs, residuals and node errors for one seed an output, and the Jacobian's rows by jax.jacrev."""
    params = jaxbp.init(mlp, jax.random.key(0), "normal", scale=0.7)
    inputs = jax.random.normal(jax.random.key(1), (9, mlp.sizes[0]))
    outputs = mlp.sizes[-1]
    seeds = jnp.broadcast_to(jnp.eye(outputs)[:, None, :], (outputs, 9, outputs))

    @jax.jit
    def compute(params):
        _, residuals = forward(mlp, params, inputs)
        errors = seeded_errors(mlp, params, residuals, seeds)
        return residuals, errors, jax.jacrev(lambda p: jaxbp.reference_predict(mlp, p, inputs))(params)

    residuals, errors, jacobian = compute(params)
    rows = np.concatenate([leaf.reshape(9 * outputs, -1) for leaf in jax.tree.leaves(jacobian)], axis=1)
    return mlp, params, inputs, residuals, errors, rows


@pytest.fixture(params=NETWORKS, ids=lambda mlp: f"{mlp.activation_names[0]} {mlp.sizes}")
def factors(request, x64):
    return factors_of(request.param)


def random_like(tree, seed):
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(generator.standard_normal(leaf.shape)), tree)


def flat(tree):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def test_gram_is_the_jacobian_times_its_transpose(factors):
    *_, residuals, errors, rows = factors
    expected = rows @ rows.T
    np.testing.assert_allclose(gram(residuals, errors), expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_tangent_is_forward_mode(factors):
    mlp, params, inputs, residuals, errors, _ = factors
    direction = random_like(params, 2)
    expected = jax.jvp(lambda p: jaxbp.reference_predict(mlp, p, inputs), (params,), (direction,))[1]
    answer = tangent(residuals, errors, direction)
    assert answer.shape == expected.shape
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-13 * np.abs(flat(params)).max() * 100)


def test_adjoint_identity(factors):
    """<u, J v> = <J^T u, v>, and J^T u is that of the Jacobian."""
    _, params, _, residuals, errors, rows = factors
    v = random_like(params, 3)
    jv = tangent(residuals, errors, v)
    u = random_like(jv, 4)
    jtu = weighted_gradient(residuals, errors, u)
    np.testing.assert_allclose(flat(jtu), rows.T @ np.asarray(u).ravel(), rtol=0, atol=1e-12 * np.abs(rows).max())
    scale = np.linalg.norm(u) * np.linalg.norm(jv)
    assert abs(float(jnp.sum(u * jv)) - float(flat(jtu) @ flat(v))) <= 1e-14 * scale


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_forms_are_gradient_and_hessian_of_the_loss(loss, x64):
    generator = np.random.default_rng(0)
    outputs = jnp.asarray(generator.standard_normal((6, 3)))
    targets = jnp.asarray(targets_for(loss, (6, 3), generator))
    roots, errors = FORMS[loss](outputs, targets)
    hessian = jax.vmap(jax.hessian(lambda o, t: LOSSES[loss].values(o[None], t[None])[0]))(outputs, targets)
    np.testing.assert_allclose(np.einsum("nij,nkj->nik", roots, roots), hessian, atol=1e-14)
    gradient = LOSSES[loss].gradient(outputs, targets)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", roots, errors), gradient, atol=1e-14)


def test_a_linear_problem_is_solved_at_once(x64):
    """A linear network and little damping: least squares, as NumPy solves it."""
    generator = np.random.default_rng(0)
    inputs, targets = generator.standard_normal((40, 5)), generator.standard_normal((40, 2))
    mlp = jaxbp.Mlp((5, 2))
    solver = jaxbp.gauss_newton(momentum=0.0, damping=1e-6, tail=0.0)
    start = jaxbp.init(mlp, jax.random.key(0))
    params = jaxbp.fit(mlp, start, (inputs, targets), steps=3, solver=solver).params
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
        start = jaxbp.init(mlp, jax.random.key(0), dtype=dtype)
        result = jaxbp.fit(mlp, start, (inputs, targets), steps=60, solver=jaxbp.gauss_newton(), loss=loss)
    assert result.status == "finished"
    assert result.history.loss[-1] < 0.02 * result.history.loss[0]
    assert result.params[0].weight.dtype == dtype


def same_twice(inputs, targets):
    return np.concatenate([inputs, inputs]), np.concatenate([targets, targets])


SINGULAR = {
    "duplicate samples": (same_twice, lambda params: params),
    "one sample": (lambda x, t: (x[:1], t[:1]), lambda params: params),
    "all targets equal": (lambda x, t: (x, 0 * t + 3), lambda params: params),
    "all samples equal": (lambda x, t: (0 * x + 1, 0 * t), lambda params: params),
    "a contradiction": (lambda x, t: (0 * x + 1, t), lambda params: params),
    "a dead network": (
        lambda x, t: (x, t),
        lambda params: tuple(layer._replace(bias=0 * layer.bias - 1e3) for layer in params[:-1]) + params[-1:],
    ),
    "a network of zeros": (lambda x, t: (x, t), lambda params: jax.tree.map(jnp.zeros_like, params)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SINGULAR)
def test_a_singular_kernel_ends_in_a_clean_answer(name, dtype):
    samples, change = SINGULAR[name]
    generator = np.random.default_rng(0)
    with jax.enable_x64(dtype == "float64"):
        inputs = generator.standard_normal((20, 2)).astype(dtype)
        data = samples(inputs, np.sin(inputs[:, :1]))
        mlp = jaxbp.Mlp((2, 8, 8, 1), hidden="relu")
        params = change(jaxbp.init(mlp, jax.random.key(0), "he", dtype=dtype))
        result = jaxbp.fit(mlp, params, data, steps=30, solver=jaxbp.gauss_newton())
    assert result.status == "finished"
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    assert result.history.loss[-1] <= result.history.loss[0]


@pytest.mark.parametrize("seed", range(3))
def test_it_beats_adam_on_a_surface(seed):
    """A smooth surface, the same samples, ten times the steps for Adam."""
    import optax

    from jaxbp import data

    surface = data.surface("franke")
    points = data.uniform_points(np.random.RandomState(seed), surface.domain, 600)
    values = surface.function(*points.T)[:, None]
    samples = (2 * points - 1).astype(np.float32), (values / values.std()).astype(np.float32)
    mlp = jaxbp.Mlp((2, 24, 24, 1))
    params = jaxbp.init(mlp, jax.random.key(seed), dtype=jnp.float32)
    options = {"batch_size": 200, "key": jax.random.key(seed)}
    newton = jaxbp.fit(mlp, params, samples, steps=60, solver=jaxbp.gauss_newton(), **options)
    adam = optax.adam(optax.cosine_decay_schedule(5e-3, 600))
    first = jaxbp.fit(mlp, params, samples, steps=600, solver=jaxbp.first_order(adam), **options)
    assert newton.history.loss[-1] < 0.05 * first.history.loss[-1]


def test_memory_does_not_grow_with_the_parameters():
    """For 10^5 parameters the Jacobian of 256 samples would take 206 MB in float64."""
    from jaxbp.training.solver import Batch, Problem

    mlp = jaxbp.Mlp((2, 220, 220, 220, 1))
    assert mlp.num_params > 97_000
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    solver = jaxbp.gauss_newton()
    batch = Batch(jnp.ones((256, 2), jnp.float32), jnp.ones((256, 1), jnp.float32))
    problem = Problem(mlp, "mean_squared_error", num_steps=10)
    step = jax.jit(lambda p, s, b: solver.step(problem, p, s, b, jax.random.key(0)))
    used = step.lower(params, solver.init(params), batch).compile().memory_analysis().temp_size_in_bytes
    matrices, layers, copies = 8 * 256**2, 8 * 256 * 220, 8 * mlp.num_params
    assert used < 4 * matrices + 8 * 3 * layers + 8 * copies < 8 * 256 * mlp.num_params / 8


@pytest.mark.parametrize(
    ("options", "fit_options", "message"),
    [
        ({"momentum": 1.0}, {}, "momentum must be"),
        ({"damping": 0.0}, {}, "damping must be positive"),
        ({"tail": 1.5}, {}, "tail must be"),
        ({"solve_dtype": "float16"}, {}, "solve_dtype must be"),
        ({}, {"dropout": 0.1}, "dropout must be 0"),
    ],
)
def test_options(options, fit_options, message):
    case = draw_case(1, 8)
    with pytest.raises(ValueError, match=message):
        jaxbp.fit(
            case.mlp, case.params, (case.inputs, case.targets), steps=1, loss=case.loss, key=jax.random.key(0),
            solver=jaxbp.gauss_newton(**options), **fit_options,
        )  # fmt: skip


def test_a_batch_too_large_for_the_kernel_is_refused():
    samples = np.zeros((20_000, 1), np.float32), np.zeros((20_000, 1), np.float32)
    mlp = jaxbp.Mlp((1, 1))
    params = jaxbp.init(mlp, jax.random.key(0), dtype=jnp.float32)
    with pytest.raises(ValueError, match="at most 16384 with gauss_newton, got 20000"):
        jaxbp.fit(mlp, params, samples, steps=1, solver=jaxbp.gauss_newton())
