"""`Model` against NumPy, and as a pytree that JAX transforms."""

import copy
import pickle
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from architectures import draw_params

import jaxbp
from jaxbp.fitting.model import TILE, Score, Term, _predict

MLPS = (
    jaxbp.Mlp((2, 6, 5, 1), hidden=("tanh", "sine")),
    jaxbp.Mlp((2, 4, 3), hidden="gelu", output="softplus"),
)
POINTS = np.random.default_rng(0).uniform([-100, 3], [300, 4], (7, 2))


@cache
def model_of(num_outputs=0, dtype=np.float64):
    """A model with random parameters; 0 outputs stands for (n,) rather than (n, 1)."""
    generator = np.random.default_rng(1)
    mlp = MLPS[num_outputs == 3]
    points = generator.uniform([-100, 3], [300, 4], (50, 2))
    outputs = generator.normal([1e3, -2.0, 5e-4], [50, 0.1, 1e-5], (50, 3))[
        :, : max(1, num_outputs)
    ]
    with jax.enable_x64(dtype == np.float64):
        params = draw_params(mlp, dtype=dtype)
        return jaxbp.Model.for_data(mlp, params, points, outputs if num_outputs else outputs[:, 0])


def by_numpy(model, points):
    """Standardizes, runs the network in NumPy float64, restores."""
    a = (points - model.input_scaler.mean) / model.input_scaler.scale
    for (weight, bias), name in zip(model.params, model.mlp.activation_names, strict=True):
        a = oracle.ACTIVATIONS[name][0](
            a @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
        )
    a = a * model.output_scaler.scale + model.output_scaler.mean
    return a[:, 0] if model.flat else a


def central(function, array, step=1e-6):
    """Central differences of a function of an array to a scalar, an element at a time."""
    slopes = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        moved = np.zeros_like(array)
        moved[index] = step * max(1.0, abs(array[index]))
        slopes[index] = (function(array + moved) - function(array - moved)) / (2 * moved[index])
    return slopes


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("num_outputs", [0, 1, 3])
def test_numpy_in_numpy_out_whatever_the_settings(num_outputs, x64):
    with jax.enable_x64(x64):
        model = model_of(num_outputs)
        predicted = model(POINTS)
        also = model(POINTS.tolist())
    assert type(predicted) is np.ndarray
    assert predicted.dtype == np.float64
    assert predicted.shape == ((7,) if num_outputs == 0 else (7, num_outputs))
    np.testing.assert_allclose(predicted, by_numpy(model, POINTS), rtol=1e-13)
    np.testing.assert_array_equal(predicted, also)


def test_parameters_in_float32_are_used_as_they_are():
    model = model_of(0, np.float32)
    predicted = model(POINTS)
    assert model.params[0].weight.dtype == np.float32
    assert predicted.dtype == np.float64
    np.testing.assert_allclose(predicted, by_numpy(model, POINTS), rtol=1e-5)
    inputs, targets = model.standardize(POINTS, predicted)
    assert inputs.dtype == targets.dtype == np.float32


@pytest.mark.parametrize("x64", [False, True])
def test_jax_in_jax_out(x64):
    with jax.enable_x64(x64):
        points = jnp.asarray(POINTS)
        for call in (model_of(), jax.jit(model_of())):
            predicted = call(points)
            assert isinstance(predicted, jax.Array)
            assert predicted.dtype == points.dtype
            np.testing.assert_allclose(
                predicted, by_numpy(model_of(), POINTS), rtol=1e-13 if x64 else 1e-4
            )


def test_what_was_compiled_without_x64_leaves_the_numbers_alone():
    """A jitted function that closes over a model keeps float32 copies of its own."""
    with jax.enable_x64(True):
        model = jaxbp.Model.for_data(
            MLPS[0], draw_params(MLPS[0], 3), POINTS, by_numpy(model_of(), POINTS)
        )
    compiled = [
        jax.jit(model),
        jax.jit(lambda points: model(points)),
        jax.jit(jax.grad(lambda p: model(p[None])[0])),
    ]
    with jax.enable_x64(False):
        points = jnp.asarray(POINTS)
        for function, some in zip(compiled, (points, points, points[0]), strict=True):
            function(some)
    np.testing.assert_allclose(model(POINTS), by_numpy(model, POINTS), rtol=1e-13)
    with jax.enable_x64(True):
        points = jnp.asarray(POINTS)
        for call in (
            model,
            jax.jit(model),
            lambda points: jax.jit(lambda model: model(points))(model),
        ):
            np.testing.assert_allclose(call(points), by_numpy(model, POINTS), rtol=1e-13)


def test_tables_of_any_length_share_a_few_compiled_programs():
    model = model_of()
    points = np.random.default_rng(3).uniform([-100, 3], [300, 4], (32, 2))
    before = _predict._cache_size()
    for count in range(17, 33):
        np.testing.assert_allclose(
            model(points[:count]), by_numpy(model, points[:count]), rtol=1e-13
        )
    assert _predict._cache_size() == before + 1


def test_many_points_and_none():
    model = model_of()
    points = np.random.default_rng(2).uniform([-100, 3], [300, 4], (TILE + 3, 2))
    np.testing.assert_allclose(model(points), by_numpy(model, points), rtol=1e-13)
    assert model(np.zeros((0, 2))).shape == (0,)


def test_it_passes_through_transformations_as_a_pytree(x64):
    model = model_of(3)
    leaves, structure = jax.tree.flatten(model)
    assert len(leaves) == 4 + 1 + 6 + 1
    again = jax.tree.unflatten(structure, leaves)
    np.testing.assert_array_equal(again(POINTS), model(POINTS))
    points = jnp.asarray(POINTS)
    np.testing.assert_allclose(
        jax.jit(lambda model, points: model(points))(model, points), model(POINTS), rtol=1e-13
    )
    one_by_one = jax.vmap(lambda point: model(point[None])[0])(points)
    np.testing.assert_allclose(one_by_one, model(POINTS), rtol=1e-13)
    doubled = jax.tree.map(
        lambda *pair: jnp.stack(pair), model, model.with_params(draw_params(MLPS[1], 5))
    )
    both = jax.vmap(lambda model: model(points))(doubled)
    np.testing.assert_allclose(
        both[1], model.with_params(draw_params(MLPS[1], 5))(POINTS), rtol=1e-13
    )


@pytest.mark.parametrize("num_outputs", [0, 3])
def test_its_gradient_at_points_is_that_of_numpy(num_outputs, x64):
    """Slopes by central differences of the NumPy program, and a symmetric Hessian."""
    model, weights = (
        model_of(num_outputs),
        np.random.default_rng(3).standard_normal(max(1, num_outputs)),
    )

    def value(point):
        return jnp.sum(jnp.atleast_1d(model(point[None])[0]) * weights)

    found = jax.jit(jax.vmap(jax.grad(value)))(jnp.asarray(POINTS))
    for point, slope in zip(POINTS, found, strict=True):
        expected = central(
            lambda p: float(np.sum(np.atleast_1d(by_numpy(model, p[None])[0]) * weights)), point
        )
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())
    hessian = jax.jit(jax.hessian(value))(jnp.asarray(POINTS[0]))
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-12 * np.abs(hessian).max())


def test_its_gradient_in_the_parameters_is_that_of_numpy(x64):
    model, wanted = model_of(), np.linspace(900, 1100, 7)

    def loss(model):
        return jnp.mean((model(jnp.asarray(POINTS)) - wanted) ** 2)

    found = jax.jit(jax.grad(loss))(model)
    assert jax.tree.structure(found) == jax.tree.structure(model)
    for layer in range(3):
        for name in ("weight", "bias"):
            leaf = np.asarray(getattr(model.params[layer], name))

            def moved(leaf, layer=layer, name=name):
                params = list(model.params)
                params[layer] = params[layer]._replace(**{name: leaf})
                return float(
                    np.mean((by_numpy(model.with_params(tuple(params)), POINTS) - wanted) ** 2)
                )

            expected = central(moved, leaf)
            answer = getattr(found.params[layer], name)
            np.testing.assert_allclose(
                answer, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max()
            )


def test_its_backward_pass_is_the_hand_written_one():
    program = str(jax.make_jaxpr(lambda points: model_of()(points))(jnp.ones((3, 2))))
    assert "custom_vjp" in program
    with pytest.raises(TypeError, match="reference_predict"):
        jax.jvp(lambda points: model_of()(points), (jnp.ones((3, 2)),), (jnp.ones((3, 2)),))


def test_standardizing_is_that_of_the_samples():
    model = model_of(3)
    predicted = model(POINTS)
    inputs, targets = model.standardize(POINTS, predicted)
    np.testing.assert_allclose(model.input_scaler.restore(inputs), POINTS, rtol=1e-13)
    np.testing.assert_allclose(model.output_scaler.restore(targets), predicted, rtol=1e-13)
    assert model.num_params == (2 + 1) * 4 + (4 + 1) * 3
    assert model.num_inputs == 2
    mlp = jaxbp.Mlp((2, 1))
    linear = jaxbp.Model.for_data(mlp, draw_params(mlp, dtype=np.float32), POINTS, POINTS[:, 0])
    assert {array.dtype for array in linear.standardize(POINTS, POINTS[:, 0])} == {
        np.dtype(np.float32)
    }


def test_terms_are_added_up():
    model = model_of()
    halves = model.with_terms([Term(model.mlp, model.params, np.full(1, 0.5))] * 2)
    assert halves.num_params == 2 * model.num_params == 2 * model.mlp.num_params
    np.testing.assert_allclose(halves(POINTS), model(POINTS), rtol=1e-13)
    with pytest.raises(ValueError, match="terms must hold at least one network, got none"):
        model.with_terms([])


def test_a_score_is_copied_and_does_not_broadcast():
    outputs = model_of()(POINTS)
    score = model_of().score(POINTS, outputs + 1)
    for other in (copy.deepcopy(score), pickle.loads(pickle.dumps(score))):
        assert float(other) == float(score)
        assert vars(other) == vars(score)
    with pytest.raises(ValueError, match=r"outputs must have shape \(7,\) .* got \(7, 1\)"):
        model_of().score(POINTS, outputs[:, None])


@pytest.mark.parametrize("num_outputs", [0, 3])
def test_scores_are_those_of_scikit_learn(num_outputs):
    metrics = pytest.importorskip("sklearn.metrics")
    model = model_of(num_outputs)
    outputs = model(POINTS) * np.random.default_rng(0).normal(1, 1e-2, model(POINTS).shape)
    score = model.score(POINTS, outputs)
    predicted = model(POINTS)
    assert isinstance(score, Score)
    assert float(score) == pytest.approx(metrics.r2_score(outputs, predicted), rel=1e-12)
    assert score.rmse == pytest.approx(
        metrics.mean_squared_error(outputs, predicted) ** 0.5, rel=1e-12
    )
    assert score.nrmse**2 == pytest.approx(1 - float(score), rel=1e-9)
    error = np.abs(outputs - predicted).reshape(7, -1).max(axis=1)
    assert score.max_error == error.max()
    assert score.max_error_row == error.argmax()
    if num_outputs == 0:
        assert score.max_error == pytest.approx(metrics.max_error(outputs, predicted), rel=1e-12)
    exact = model.score(POINTS, predicted)
    assert (float(exact), exact.rmse, exact.max_error) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        (np.ones((4, 3), np.float32), ValueError, r"points must have shape \(n, 2\), got \(4, 3\)"),
        (np.ones(2, np.float32), ValueError, r"got \(2,\); add a batch axis: points\[None\]"),
        (np.float32(1), ValueError, r"points must have shape \(n, 2\), got \(\)"),
        (
            np.ones((4, 2), np.complex64),
            TypeError,
            "points must be an array of real numbers, got dtype complex64",
        ),
    ],
)
def test_bad_points_are_named(points, error, message, kind):
    with pytest.raises(error, match=message):
        model_of()(kind(points))


def test_bad_samples_are_named():
    with pytest.raises(TypeError, match="points must be an array of real numbers"):
        model_of()([["a", "b"]])
    points = np.column_stack([np.arange(5.0), np.full(5, 2.0)])
    with pytest.raises(
        ValueError, match=r"column y must vary to be standardized, got 2\.0 in every row"
    ):
        jaxbp.Model.for_data(
            MLPS[0], draw_params(MLPS[0], dtype=np.float32), points, np.arange(5.0), ("x", "y", "z")
        )
    with pytest.raises(ValueError, match="column 2 must vary"):
        jaxbp.Model.for_data(MLPS[0], draw_params(MLPS[0], dtype=np.float32), POINTS, np.ones(7))


def test_points_outside_the_data_are_counted():
    model = model_of(3)
    low, high = model.ranges
    inside, width = np.stack([low, high, (low + high) / 2]), high - low
    points = np.concatenate([inside, [high + 0.2 * width, high + np.array([0, 0.6]) * width]])
    assert model.outside(points).tolist() == [[False, False]] * 3 + [[True, True], [False, True]]
    assert model.outside(points, margin=0.5).sum() == 1
    with pytest.warns(
        UserWarning, match="1 of 5 points lie far outside the data, most in "
    ) as told:
        model(points)
    assert told[0].filename == __file__
    model(points[:4])


def test_data_frames_keep_their_names_whatever_the_order_of_columns():
    for name in ("pandas", "polars"):
        frames = pytest.importorskip(name)
        frame = frames.DataFrame({"u": POINTS[:, 0], "v": POINTS[:, 1]})
        key, total = "data" if name == "pandas" else "values", POINTS @ [1.0, 2.0]
        model = jaxbp.fit_model(frame, frames.Series(name="w", **{key: total}), effort="low")
        assert model.names == ("u", "v", "w")
        assert "w as a function of u, v" in repr(model)
        np.testing.assert_array_equal(model(frame[["v", "u"]]), model(POINTS))
        with pytest.raises(ValueError, match="points must have a column 'v', got u"):
            model(frame[["u"]])
        text = frames.DataFrame({"u": ["a"] * len(POINTS), "v": POINTS[:, 1]})
        with pytest.raises(TypeError, match="column u of inputs must hold numbers"):
            jaxbp.fit_model(text, POINTS[:, 0])
        gap = frames.DataFrame({"u": POINTS[:, 0], "v": [np.nan, *POINTS[1:, 1]]})
        with pytest.raises(ValueError, match="column v of inputs must be finite, got nan in row 0"):
            jaxbp.fit_model(gap, POINTS[:, 0])


def test_scores_of_each_output_are_in_its_own_units():
    outputs = np.column_stack([POINTS @ [1.0, 2.0], 1e3 * POINTS[:, 0]])
    predicted = outputs + np.array([0.5, 20.0])
    both = Score(predicted, outputs)
    assert [one.rmse for one in both.each] == pytest.approx([0.5, 20.0])
    assert both.each[1] == Score(predicted[:, 1], outputs[:, 1])
    assert both.each[0].each == ()


@pytest.mark.slow
def test_max_units_bounds_a_network_whose_error_is_known():
    generator = np.random.default_rng(0)
    points, others = generator.uniform(-1, 1, (2, 200, 3))
    model = jaxbp.fit_model(points, np.sin(points.sum(axis=1)), max_units=9, effort="low")
    assert model.mlp.sizes == (3, 4, 5, 1)
    assert len(model.terms) == 1
    found = model.score(others, np.sin(others.sum(axis=1)))
    assert found.nrmse < 0.02
    assert model.error < 3 * found.rmse < 27 * model.error
    with pytest.raises(ValueError, match="inputs must have at least 100 rows with max_units"):
        jaxbp.fit_model(points[:50], points[:50, 0] ** 2, max_units=9)
