"""The checker is checked: right gradients pass, wrong ones are caught and named."""

import dataclasses
import itertools
import json
import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import LOSS_AND_GRADIENT, LOSS_NAMES, cast, draw_case, draw_params, targets_for

import jaxbp
from jaxbp.gradcheck import Report, Row, check_trace, compare, rounding_bound
from jaxbp.gradcheck.reference import allowances

pytestmark = pytest.mark.usefixtures("compiled_quickly")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_right_gradients_pass(seed, dtype):
    case = draw_case(400 + seed)
    with jax.enable_x64(dtype is np.float64):
        arguments = cast(case, dtype)
        gradient = LOSS_AND_GRADIENT(case.mlp, *arguments, case.loss)[1]
        report = jaxbp.check_gradients(case.mlp, *arguments, case.loss, gradient=gradient)
    assert report.ok, str(report)
    assert report.worst.error <= report.worst.allowed
    assert (
        report.share
        == report.worst.error / report.worst.allowed
        == max(r.error / r.allowed for r in report.rows)
    )
    assert report.summary == f"largest error {report.share:.1g} of what rounding allows"


@pytest.mark.slow
def test_a_trained_network_passes(x64):
    """Near a minimum the terms of the gradient cancel, and every program's error grows."""
    mlp = jaxbp.Mlp((2, 8, 1))
    inputs = np.random.default_rng(1).standard_normal((50, 2))
    targets = np.sin(inputs[:, :1])
    solver = jaxbp.first_order(optax.lbfgs())
    params = jaxbp.fit(mlp, draw_params(mlp), (inputs, targets), steps=1000, solver=solver).params
    trace = jax.jit(jaxbp.backprop, static_argnums=0)(mlp, params, inputs, targets)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(trace.gradient)) < 1e-3
    assert jaxbp.check_gradients(mlp, params, inputs, targets, gradient=trace.gradient).ok
    assert check_trace(trace).ok


def add_at(array, index, change):
    changed = np.array(array)
    changed[index] += change
    return changed


# Those that a report must place; tests/test_judges.py has many more.
WRONG = {
    "scaled by 1.001": lambda g: jax.tree.map(lambda leaf: 1.001 * leaf, g),
    "square weight transposed": lambda g: (g[0], g[1]._replace(weight=g[1].weight.T), g[2]),
    "one element off": lambda g: (g[0]._replace(weight=add_at(g[0].weight, (1, 3), 1e-3)), *g[1:]),
    "one element NaN": lambda g: (
        g[0]._replace(weight=add_at(g[0].weight, (1, 3), np.nan)),
        *g[1:],
    ),
}
MLP = jaxbp.Mlp((2, 5, 5, 1), hidden=("tanh", "silu"))


@cache
def trace_of(dtype):
    """A trace of MLP with NumPy arrays, which no program is compiled to change."""
    with jax.enable_x64(dtype is np.float64):
        inputs = np.random.default_rng(1).standard_normal((7, 2)).astype(dtype)
        arguments = draw_params(MLP, dtype=dtype), inputs, np.ones((7, 1), dtype)
        return jax.tree.map(np.asarray, jax.jit(jaxbp.backprop, static_argnums=0)(MLP, *arguments))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fault", WRONG)
def test_wrong_gradients_are_caught(fault, dtype):
    with jax.enable_x64(dtype is np.float64), jax.debug_nans(False):
        trace = trace_of(dtype)
        wrong = jax.tree.map(lambda leaf: leaf.astype(dtype), WRONG[fault](trace.gradient))
        reports = [
            jaxbp.check_gradients(MLP, trace.params, trace.inputs, trace.targets, gradient=wrong),
            check_trace(dataclasses.replace(trace, gradient=wrong)),
        ]
    for report, root in zip(reports, ("params", "gradient"), strict=True):
        assert not report.ok
        assert "WRONG" in str(report)
        assert report.summary.startswith("WRONG")
        assert math.isnan(report.share) == (fault == "one element NaN")
        if fault == "one element off":
            assert report.worst.path == f"{root}[0].weight"
            assert report.worst.place == (1, 3)
            assert f"{root}[0].weight[1, 3]" in str(report.worst)


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("num_samples", [1, 7])
def test_every_number_of_a_trace_is_judged(loss, num_samples, x64):
    mlp = jaxbp.Mlp((2, 4, 3), hidden="sine")
    generator = np.random.default_rng(0)
    inputs, targets = (
        generator.standard_normal((num_samples, 2)),
        targets_for(loss, (num_samples, 3), generator),
    )
    trace = jaxbp.backprop(mlp, draw_params(mlp), inputs, targets, loss)
    report = check_trace(trace)
    assert report.ok, str(report)
    leaves = [f"gradient[{layer}].{name}" for layer in (0, 1) for name in ("weight", "bias")]
    errors = [
        f"{kind}[{layer}]" for kind in ("node_errors", "activation_errors") for layer in (0, 1)
    ]
    assert [row.path for row in report.rows] == [*leaves, *errors, "inputs_error"]
    assert {row.method for row in report.rows} == {"autodiff"}
    bound = rounding_bound(mlp, num_samples, np.float64)
    assert all(row.allowed >= bound for row in report.rows)


def test_what_a_trace_is_allowed_grows_with_its_samples(x64):
    generator, mlp = np.random.default_rng(0), jaxbp.Mlp((2, 3, 1))
    inputs, targets = generator.standard_normal((1024, 2)), generator.standard_normal((1024, 1))
    report = check_trace(jaxbp.backprop(mlp, draw_params(mlp), inputs, targets))
    assert report.ok, str(report)
    # In float64 the judge rounds as well.
    assert all(row.allowed >= 2 * rounding_bound(mlp, 1024, np.float64) for row in report.rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["node_errors", "activation_errors"])
@pytest.mark.parametrize("layer", range(3))
def test_a_wrong_error_of_a_trace_is_caught(name, layer, dtype):
    """Relative to the leaf: a thousandth of a small number counts as that of a large one."""
    with jax.enable_x64(dtype is np.float64):
        trace = trace_of(dtype)
        arrays = list(getattr(trace, name))
        arrays[layer] = (arrays[layer] * 1.001).astype(dtype)
        report = check_trace(dataclasses.replace(trace, **{name: tuple(arrays)}))
    assert [row.path for row in report.rows if not row.ok] == [f"{name}[{layer}]"]
    assert report.worst.error == pytest.approx(1e-3, rel=1e-2)


def test_a_tiny_gradient_is_judged_relative_to_itself(x64):
    """Targets met to 1e-8 leave a gradient of that size; a doubled one must not pass."""
    trace = trace_of(np.float64)
    near = trace.activations[-1] + 1e-8
    tiny = jax.tree.map(np.asarray, jaxbp.backprop(MLP, trace.params, trace.inputs, near))
    assert check_trace(tiny).ok
    doubled = jax.tree.map(lambda leaf: 2 * leaf, tiny.gradient)
    assert np.abs(doubled[2].bias).max() < 1e-7
    assert not check_trace(dataclasses.replace(tiny, gradient=doubled)).ok


def test_a_trace_must_hold_the_numbers_of_one_batch(x64):
    mlp = jaxbp.Mlp((2, 1))
    params, inputs, targets = draw_params(mlp), np.ones((5, 1, 2)), np.ones((5, 1, 1))
    many = jax.vmap(lambda x, y: jaxbp.backprop(mlp, params, x, y))(inputs, targets)
    for call in (check_trace, jaxbp.Trace.ledger):
        with pytest.raises(
            ValueError, match=r"trace must be that of one batch, got inputs \(5, 1, 2\)"
        ):
            call(many)
        with pytest.raises(
            ValueError, match="trace must hold concrete numbers, got traced ones, as inside jit"
        ):
            jax.eval_shape(
                lambda x, call=call: call(jaxbp.backprop(mlp, params, x, targets[0])), inputs[0]
            )


def test_reports_say_what_is_worst():
    rows = [Row("a", "method", error, 1e-3, (), 0.0, 0.0) for error in (1e-4, 5e-4, 2e-4)]
    report = Report(tuple(rows))
    assert report.ok
    assert report.worst is rows[1]
    assert report.share == pytest.approx(0.5)
    strict = rows[0]._replace(
        allowed=1.1e-4
    )  # the smallest error, and the largest of what is allowed
    assert Report((*rows, strict)).worst is strict
    assert Report((rows[0]._replace(error=0.0),)).summary == "equal bit for bit"
    assert report.summary == "largest error 0.5 of what rounding allows"
    assert Report((*rows, rows[0]._replace(error=math.nan))).worst.error != report.worst.error
    assert not Report((rows[0]._replace(error=math.nan),)).ok
    assert not Report(tuple(rows), faults=("no method",)).ok
    assert Report(tuple(rows), faults=("no method",)).summary == "no method"
    assert Report(()).worst is None
    assert math.isnan(Report(()).share)


def test_leaves_are_compared_normwise_and_by_name():
    expected = {
        "a": np.array([3.0, 4.0]),
        "b": np.zeros((2, 2)),
    }
    hand = {
        "a": np.array([3.0, 4.5]),
        "b": np.array([[0.0, 0.0], [1e-9, 0.0]]),
    }
    first, second = compare("root", hand, expected, "method", [0.2, 1e-10])
    assert first == Row("root['a']", "method", 0.1, 0.2, (1,), 4.5, 4.0)
    assert (second.path, second.error, second.place, second.ok) == (
        "root['b']",
        1e-9,
        (1, 0),
        False,
    )


def test_a_step_across_a_kink_is_left_out_and_said():
    mlp = jaxbp.Mlp((1, 2, 1), hidden="relu")
    params = (
        jaxbp.Layer(jnp.ones((1, 2), jnp.float32), jnp.array([0.0, -1.0], jnp.float32)),
        jaxbp.Layer(jnp.ones((2, 1), jnp.float32), jnp.zeros(1, jnp.float32)),
    )
    report = jaxbp.check_gradients(
        mlp, params, np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    )
    assert report.ok
    assert any("change sides of a kink" in note for note in report.notes)


def rule(bwd):
    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), bwd)
    return cube


@pytest.mark.parametrize(
    ("bwd", "ok"),
    [
        (lambda x, bar: (3 * x**2 * bar,), True),
        (lambda x, bar: (3 * x**2,), False),
        (lambda x, bar: (2 * x**2 * bar,), False),
        (lambda x, bar: (3.003 * x**2 * bar,), False),
        (lambda x, bar: ((3 * x**2 * bar).T,), False),
    ],
)
def test_rules(bwd, ok):
    x = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    report = jaxbp.check_rule(rule(bwd), lambda x: x**3, x)
    assert report.ok == ok, str(report)
    assert ("autodiff" in methods_against(report)) != ok


def test_a_cotangent_of_another_dtype_is_a_fault(x64):
    x = np.random.default_rng(0).standard_normal((4, 4))
    report = jaxbp.check_rule(
        rule(lambda x, bar: ((3 * x**2 * bar).astype(jnp.float32),)), lambda x: x**3, x
    )
    assert report.faults == (
        "the cotangent of arguments[0] has dtype float32, its argument float64",
    )
    assert not report.ok
    assert "WRONG" in str(report)


@pytest.mark.slow
def test_the_library_s_own_rule_passes():
    mlp = jaxbp.Mlp((2, 3, 1), hidden="silu")
    inputs = np.random.default_rng(0).standard_normal((4, 2)).astype(np.float32)
    functions = (
        jax.jit(lambda p, x, f=f: f(mlp, p, x)) for f in (jaxbp.predict, jaxbp.reference_predict)
    )
    report = jaxbp.check_rule(*functions, draw_params(mlp, dtype=np.float32), inputs)
    assert report.ok, str(report)


def test_where_terms_cancel_four_roundings_of_each_parameter_are_allowed(x64):
    """p - 0.99 p is a hundredth of p: a relative change of p by u is one by 100 u of it."""
    params = jax.tree.map(lambda leaf: np.float64(np.float32(leaf)), draw_params(MLP))

    def judge(moved):
        return jax.tree.map(
            lambda leaf, before: jnp.asarray(leaf, float) - 0.99 * before, moved, params
        )

    for dtype, judges in ((np.float64, 2), (np.float32, 1)):  # in float64 the judge rounds as well
        unit = np.finfo(dtype).eps / 2
        np.testing.assert_allclose(
            allowances(judge, params, MLP, 7, dtype), judges * 4 * 100 * unit, rtol=0.01
        )


def test_digits_that_cancel_are_no_fault():
    """Of 1 - cos x float32 knows three digits here: the rule is right."""
    x = jnp.asarray([0.0101, 0.0123, 0.0077], jnp.float32)
    report = jaxbp.check_rule(*[lambda x: (1 - jnp.cos(x)) ** 2] * 2, x)
    assert report.ok, str(report)
    assert max(row.error for row in report.rows if row.method == "autodiff") > 1e-4


def methods_against(report):
    return {row.method for row in report.rows if not row.ok}


def test_a_report_is_json(x64):
    report = jaxbp.check_rule(rule(lambda x, bar: (3 * x**2 * bar,)), lambda x: x**3, np.ones(3))
    content = json.loads(report.to_json())
    assert content["ok"] is True
    assert [(row["path"], row["error"], row["ok"]) for row in content["rows"]] == [
        (row.path, row.error, True) for row in report.rows
    ]
    undefined = json.loads(
        Report((report.rows[0]._replace(error=math.nan),), ("no method",)).to_json()
    )
    assert (undefined["ok"], undefined["rows"][0]["error"], undefined["faults"]) == (
        False,
        None,
        ["no method"],
    )


def test_function_and_reference_must_return_the_same_structure():
    with pytest.raises(ValueError, match="same structure"):
        jaxbp.check_rule(lambda x: (x, x), lambda x: x, jnp.ones(3))
    with pytest.raises(ValueError, match="same shapes"):
        jaxbp.check_rule(lambda x: x[:2], lambda x: x, jnp.ones(3))


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_units_hide_nothing(dtype, hidden):
    """Right gradients pass at every scale of the weights; a slope or factor off by 1 % does not.

    Where all units saturate, JAX's own derivatives a (1 - a) have lost every digit.
    """
    for output, scale, seed in itertools.product(("identity", hidden), (1, 5, 20, 50), range(2)):
        mlp = jaxbp.Mlp((3, 5, 4, 2), hidden, output)
        generator = np.random.default_rng(seed)
        inputs = generator.standard_normal((6, 3)).astype(dtype)
        targets = generator.random((6, 2)).astype(dtype)
        with jax.enable_x64(dtype is np.float64):
            params = draw_params(mlp, seed, dtype, scale=float(scale))
            case = mlp, params, inputs, targets
            gradient = LOSS_AND_GRADIENT(*case, "mean_squared_error")[1]
            report = jaxbp.check_gradients(*case, gradient=gradient)
            assert report, report
            assert max(row.allowed for row in report.rows if row.method == "autodiff") < 3e-3
            assert check_trace(jaxbp.backprop(*case))
            for k, layer in enumerate(gradient):
                if np.linalg.norm(layer.weight) < 1e-30:  # compared with 0
                    continue
                wrong = layer._replace(weight=1.01 * layer.weight)
                report = jaxbp.check_gradients(
                    *case, gradient=(*gradient[:k], wrong, *gradient[k + 1 :])
                )
                paths = {row.path for row in report.rows if not row.ok}
                assert paths == {f"params[{k}].weight"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("act", "z"), [("sigmoid", 18.0), ("sigmoid", 40.0), ("tanh", 15.0)])
def test_a_batch_whose_slopes_cancel_is_allowed_what_they_lose(dtype, act, z):
    """Of many samples no preactivation is kept: the slope is read off a, and a note says so."""
    mlp = jaxbp.Mlp((1, 1, 1), hidden=act)
    with jax.enable_x64(dtype is np.float64):
        params = [([[dtype(z)]], np.zeros(1, dtype)), (np.ones((1, 1), dtype), np.zeros(1, dtype))]
        for count in (1, 3000):
            case = mlp, params, np.ones((count, 1), dtype), np.zeros((count, 1), dtype)
            report = jaxbp.check_gradients(*case)
            assert report, report
            lost = dtype is np.float32 or z == 40
            assert any("its terms cancel" in note for note in report.notes) == (count > 1 and lost)


@pytest.mark.parametrize("z", [5.0, 18.0, 30.0])
def test_the_error_of_a_sure_logit_cancels(z, x64):
    """p - t of a logit of 30 and the target 1 has two digits left in float64."""
    mlp = jaxbp.Mlp((1, 1))
    case = mlp, [([[z]], [0.0])], np.ones((1, 1)), np.ones((1, 1)), "binary_cross_entropy"
    report = jaxbp.check_gradients(*case)
    assert report, report
    trace = jaxbp.backprop(*case)
    assert check_trace(trace)
    twice = jax.tree.map(lambda leaf: 2 * leaf, trace.gradient)
    assert not jaxbp.check_gradients(*case, gradient=twice)
