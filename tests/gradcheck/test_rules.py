"""Right rules pass and wrong ones are found, of the kinds that were reported publicly.

R1 to R14 are the kinds: overflow, a complex step that vanishes, edges of domains, tracebacks, mixed
precision, randomness, kinks and ties, small elements, equality of two calls, points searched.
"""

from functools import partial

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg as sparse
import numpy as np
import pytest
from jax.experimental.ode import odeint

import jaxbp
from jaxbp import check_rule
from jaxbp.gradcheck import METHODS

pytestmark = pytest.mark.usefixtures("compiled_quickly")
DTYPES = [
    pytest.param(np.float32, id="float32"),
    pytest.param(np.float64, id="float64", marks=pytest.mark.slow),
]


@pytest.fixture(params=DTYPES)
def dtype(request):
    with jax.enable_x64(request.param is np.float64):
        yield request.param


def draw(dtype, *shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def rule(f, backward):
    ruled = jax.custom_vjp(lambda *x: f(*x))
    ruled.defvjp(lambda *x: (f(*x), x), backward)
    return ruled


def unary(f, slope):
    return rule(f, lambda kept, u: (u * slope(kept[0]),))


def cosine_times(factor):
    return unary(jnp.sin, lambda x: factor * jnp.cos(x))


def sigmoid_of_difference(x):
    return jax.nn.sigmoid(x)


# Function, slope, arguments. The wrong rule has the first or, where that overflows, the last
# element wrong by a hundredth.
UNARY = {
    "R1 exp overflows in float32": (jnp.exp, jnp.exp, [95.0, 1.0]),
    "R1 log of a negative number": (jnp.log, lambda x: 1 / x, [-1.0, 2.0]),
    "R2 softplus": (jax.nn.softplus, jax.nn.sigmoid, [0.5, -3.0, 7.0]),
    "R2 log_sigmoid": (jax.nn.log_sigmoid, lambda x: jax.nn.sigmoid(-x), [0.5, -3.0, 7.0]),
    "R3 log near 0": (jnp.log, lambda x: 1 / x, [1.0, 1e-6]),
    "R3 sqrt near 0": (jnp.sqrt, lambda x: 0.5 / jnp.sqrt(x), [2.0, 1e-6]),
    "R3 x log x": (lambda x: x * jnp.log(x), lambda x: 1 + jnp.log(x), [0.5, 1e-6]),
    "R3 arcsin near 1": (
        jnp.arcsin,
        lambda x: 1 / jnp.sqrt((1 - x) * (1 + x)),
        [0.1, 0.9999],
    ),
    "R3 fast oscillation": (
        lambda x: jnp.sin(1e5 * x),
        lambda x: 1e5 * jnp.cos(1e5 * x),
        [0.3, 0.7],
    ),
}
UNARY_CASES = [
    pytest.param(name, marks=() if name.startswith("R1") else pytest.mark.slow) for name in UNARY
]


@pytest.mark.parametrize("name", UNARY_CASES)
def test_elementwise_rules(name, dtype):
    f, slope, x = UNARY[name]
    report = check_rule(unary(f, slope), f, jnp.asarray(x, dtype))
    assert report, report
    wrong = unary(f, lambda x: slope(x) * jnp.ones_like(x).at[-1].set(1.01))
    report = check_rule(wrong, f, jnp.asarray(x, dtype))
    assert not report
    assert {row.place[-1] for row in report.rows if not row.ok and row.place} == {len(x) - 1}


def test_an_intermediate_overflow_does_not_hide_a_sign():
    """R1: in float32 x y is infinite, so that its derivative there is 0."""
    x = jnp.asarray([1e20, 1e20], jnp.float32)
    f = lambda x, y: jnp.log(x * y)  # noqa: E731
    right = rule(f, lambda kept, u: (u / kept[0], u / kept[1]))
    report = check_rule(right, f, x, x)
    assert report, report
    assert any("inconclusive" in note for note in report.notes)
    wrong = check_rule(rule(f, lambda kept, u: (-u / kept[0], -u / kept[1])), f, x, x)
    assert {row.path for row in wrong.rows if not row.ok} >= {"arguments[0]", "arguments[1]"}


def loop(x):
    steps = jnp.linspace(0, 1, 5)
    return jax.lax.scan(lambda total, t: (total + jnp.sin(t * x), None), jnp.zeros(()), steps)[0]


def loop_slope(x):
    steps = jnp.linspace(0, 1, 5)
    return jnp.sum(steps * jnp.cos(steps * x))


def branch(x):
    return jax.lax.cond(x[0] > 0, lambda x: x**2, lambda x: jnp.zeros(3), x)


CONSTANT = np.array([1.1, 2.2, 3.3])


def of_dtype(function, slope, x):
    return unary(function, slope), function, x


def solved(a, b):
    return jnp.linalg.solve(a, b)


def solve_backward(kept, u):
    a, b = kept
    w = jnp.linalg.solve(a.T, u)
    return -jnp.outer(w, jnp.linalg.solve(a, b)), w


def iterative(solver):
    return lambda b: solver(lambda v: (jnp.arange(4.0) + 2) * v, b, tol=1e-12)[0]


TRACEBACKS = {
    "a NumPy constant": lambda dtype: of_dtype(
        lambda x: jnp.sin(x * CONSTANT) * np.float64(2),
        lambda x: 2 * CONSTANT.astype(x.dtype) * jnp.cos(x * CONSTANT.astype(x.dtype)),
        draw(dtype, 3),
    ),
    "a scan over linspace": lambda dtype: of_dtype(loop, loop_slope, jnp.asarray(0.7, dtype)),
    "cond with zeros": lambda dtype: of_dtype(
        branch, lambda x: jnp.where(x[0] > 0, 2 * x, 0), jnp.asarray([1.0, -2, 3], dtype)
    ),
    "cg": lambda dtype: (
        unary(lambda b: b / (jnp.arange(4.0) + 2), lambda b: 1 / (jnp.arange(4.0) + 2)),
        iterative(sparse.cg),
        draw(dtype, 4),
    ),
    "gmres": lambda dtype: (
        unary(lambda b: b / (jnp.arange(4.0) + 2), lambda b: 1 / (jnp.arange(4.0) + 2)),
        iterative(sparse.gmres),
        draw(dtype, 4),
    ),
    "odeint": lambda dtype: (
        unary(lambda y: y * jnp.exp(-0.5), lambda y: jnp.exp(-0.5)),
        lambda y: odeint(lambda y, t: -0.5 * y, y, jnp.linspace(0.0, 1.0, 3), rtol=1e-9)[-1],
        draw(dtype, 2),
    ),
    "complex arguments": lambda dtype: (
        rule(lambda z: jnp.sum(jnp.abs(z) ** 2), lambda kept, u: (2 * u * jnp.conj(kept[0]),)),
        lambda z: jnp.sum(jnp.real(z * jnp.conj(z))),
        draw(dtype, 3) + 1j * draw(dtype, 3, seed=1),
    ),
    "complex results": lambda dtype: of_dtype(
        jnp.exp, jnp.exp, draw(dtype, 3) + 1j * draw(dtype, 3, seed=1)
    ),
    "an empty array": lambda dtype: (
        rule(lambda x, e: x**2, lambda kept, u: (2 * kept[0] * u, kept[1])),
        lambda x, e: x**2,
        draw(dtype, 3),
        jnp.zeros((0, 2), dtype),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=() if name.startswith(("a NumPy", "complex")) else pytest.mark.slow
        )
        for name in TRACEBACKS
    ],
)
def test_arguments_and_references_of_every_kind(name, dtype):
    """R4: a verdict instead of a traceback."""
    function, reference, *arguments = TRACEBACKS[name](dtype)
    report = check_rule(function, reference, *arguments, rtol=1e-5 if "ode" in name else None)
    assert report, report


@pytest.mark.parametrize("reference", [True, False])
def test_a_wrong_conjugate_is_found(reference):
    z = draw(np.float32, 3) + 1j * draw(np.float32, 3, seed=1)
    wrong = rule(jnp.exp, lambda kept, u: (u * jnp.conj(jnp.exp(kept[0])),))
    assert not check_rule(wrong, jnp.exp if reference else None, z)


def dropout(key, x):
    return jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)


def dropout_rule(keep):
    ruled = jax.custom_vjp(dropout)
    ruled.defvjp(
        lambda key, x: (dropout(key, x), key),
        lambda key, u: (None, jnp.where(jax.random.bernoulli(key, 0.7, u.shape), u / keep, 0)),
    )
    return ruled


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_the_same_key_serves_every_evaluation(make):
    """R4, R6: under x64 JAX draws other numbers, so the check stays in the arguments' dtype."""
    x = draw(np.float32, 40)
    report = check_rule(dropout_rule(0.7), dropout, make(0), x)
    assert report, report
    assert not check_rule(dropout_rule(1.0), dropout, make(0), x)


def test_functions_that_change_between_two_calls_get_a_sentence():
    calls = iter(range(100))
    report = check_rule(lambda x: x + next(calls), lambda x: x, jnp.ones(3))
    assert report.faults[0].startswith("not checked: two equal calls")
    noisy = rule(jnp.sin, lambda kept, u: (u * jnp.cos(kept[0]) + next(calls),))
    assert check_rule(noisy, jnp.sin, jnp.ones(3)).faults == report.faults
    # R11: a difference within rounding is none.
    near = rule(jnp.sin, lambda kept, u: (u * jnp.cos(kept[0]) * (1 + 1e-7 * (next(calls) % 2)),))
    report = check_rule(near, jnp.sin, jnp.ones(3, jnp.float32), rtol=1e-5)
    assert report, report


def host_sine(x, vmap_method="expand_dims"):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(lambda x: np.sin(np.asarray(x)), shape, x, vmap_method=vmap_method)


def newton_root(a):
    def unsettled(s):
        return jnp.abs(s * s - a).max() > 4 * jnp.finfo(a.dtype).eps * jnp.abs(a).max()

    return jax.lax.while_loop(unsettled, lambda s: (s + a / s) / 2, a + 1)


OPAQUE = {
    "callback": (host_sine, jnp.cos, [0.3, -1.0, 2.0]),
    "callback without vmap": (partial(host_sine, vmap_method=None), jnp.cos, [0.3, -1.0]),
    "while loop": (newton_root, lambda a: 0.5 / jnp.sqrt(a), [2.0, 3.0]),
}


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", OPAQUE)
def test_functions_that_jax_cannot_differentiate(name, given):
    f, slope, x = OPAQUE[name]
    x = jnp.asarray(x, jnp.float32)
    report = check_rule(unary(f, slope), f if given else None, x)
    assert report, report
    if given:
        assert any(note.startswith("no derivative: reference raises") for note in report.notes)
    assert not check_rule(unary(f, lambda x: 1.001 * slope(x)), f if given else None, x)


def test_second_order_without_a_reference():
    stale = unary(jnp.sin, lambda x: jnp.cos(jax.lax.stop_gradient(x)))
    report = check_rule(stale, None, draw(np.float32, 3))
    assert {row.method for row in report.rows if not row.ok} == {"second order"}
    assert {
        row.method for row in check_rule(stale, jnp.sin, draw(np.float32, 3)).rows if not row.ok
    } == {"second order"}


def test_functions_of_numpy_are_checked_without_jit():
    function = unary(lambda x: jnp.asarray(np.sin(np.asarray(x))), jnp.cos)
    report = check_rule(function, None, draw(np.float32, 3))
    assert report, report


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_mixed_precision_is_allowed_its_own_rounding(factor):
    """R5: a product in bfloat16 inside a function of float32."""

    def product(x, w):
        return (x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)).astype(x.dtype)

    def backward(kept, u):
        return factor * product(u, kept[1].T), product(kept[0].T, u)

    x, w = draw(np.float32, 4, 5), draw(np.float32, 5, 3, seed=1)
    assert bool(check_rule(rule(product, backward), lambda x, w: x @ w, x, w)) == (factor == 1)


@pytest.mark.parametrize("narrow", [jnp.bfloat16, jnp.float16])
def test_narrow_dtypes(narrow):
    x = draw(np.float32, 6).astype(narrow)
    report = check_rule(cosine_times(1), jnp.sin, x)
    assert report, report
    assert not check_rule(cosine_times(-1), jnp.sin, x)


def huber(x):
    return jnp.sum(jnp.where(jnp.abs(x) <= 1, x * x / 2, jnp.abs(x) - 0.5))


def one_hot_of_largest(x):
    return jax.nn.one_hot(jnp.argmax(x), x.size, dtype=x.dtype)


def safe_root_slope(x):
    return jnp.where(x > 0, 0.5 / jnp.sqrt(jnp.where(x > 0, x, 1)), 0)


SEAMS = {
    "Huber": (
        huber,
        lambda x: jnp.where(jnp.abs(x) < 1, x, jnp.sign(x)),
        lambda x: jnp.where(jnp.abs(x) < 1, x, 1),
        [1.0, -1.0, 0.3, 2.0],
    ),
    "max with ties": (
        jnp.max,
        one_hot_of_largest,
        lambda x: (x == x.max()).astype(x.dtype),
        [1.0, 3.0, 3.0, -2.0],
    ),
    "abs": (
        jnp.abs,
        lambda x: jnp.where(x >= 0, 1.0, -1.0).astype(x.dtype),
        lambda x: jnp.where(x == 0, 2.0, jnp.sign(x)).astype(x.dtype),
        [0.0, 1.0, -2.0],
    ),
    "sqrt with a safe gradient": (
        jnp.sqrt,
        safe_root_slope,
        lambda x: 2 * safe_root_slope(x),
        [0.0, 1.0, 2.0],
    ),
    "maximum": (
        lambda x: jnp.maximum(x, 0),
        lambda x: (x >= 0).astype(x.dtype),
        lambda x: jnp.where(x == 0, 3, x > 0).astype(x.dtype),
        [0.5, 0.0, -2.0],
    ),
}


@pytest.mark.parametrize("name", SEAMS)
def test_kinks_and_ties(name, dtype):
    """R8: every number between the one-sided derivatives passes, and no other one."""
    f, slope, wrong, x = SEAMS[name]
    report = check_rule(unary(f, slope), f, jnp.asarray(x, dtype))
    assert report, report
    assert not check_rule(unary(f, wrong), f, jnp.asarray(x, dtype))


def test_sorting_with_ties():
    backward = lambda kept, u: (jnp.zeros_like(u).at[jnp.argsort(kept[0])].set(u),)  # noqa: E731
    report = check_rule(rule(jnp.sort, backward), jnp.sort, jnp.asarray([2.0, 1.0, 2.0, 0.0]))
    assert report, report


def test_a_small_wrong_element_is_found_in_float32():
    """R9: element 2 of a gradient [1, 1, 1e-4] is off by half."""
    c, w = jnp.array([1, 1, 1e-4], jnp.float32), jnp.array([1, 1, 1.5], jnp.float32)
    f = lambda x: jnp.sum(c * x)  # noqa: E731
    x = jnp.asarray([0.1, 0.2, 0.3], jnp.float32)
    report = check_rule(unary(f, lambda x: c * w), f, x)
    assert {row.place for row in report.rows if not row.ok and row.place} == {(2,)}
    assert check_rule(unary(f, lambda x: c), f, x)


SEARCHED = {
    "elu": (jax.nn.elu, jnp.ones_like),
    "clip": (lambda x: jnp.clip(x, -2, 2), jnp.ones_like),
    "beyond 3": (jnp.sin, lambda x: jnp.where(jnp.abs(x) > 3, 1.0, jnp.cos(x)).astype(x.dtype)),
    "half of the line": (lambda x: x**3, lambda x: jnp.where(x > 0, 3 * x * x, -3 * x * x)),
    "at zero": (jnp.cos, lambda x: jnp.where(x == 0, 1, -jnp.sin(x)).astype(x.dtype)),
}


@pytest.mark.parametrize("with_reference", [True, False])
@pytest.mark.parametrize("name", SEARCHED)
def test_a_rule_that_is_right_at_the_given_point_only(name, with_reference):
    """R14: points are searched."""
    f, slope = SEARCHED[name]
    x = jnp.asarray([0.5, 1.2], jnp.float32)
    report = check_rule(unary(f, slope), f if with_reference else None, x)
    assert not report
    assert all(row.where for row in report.rows if not row.ok)
    unsearched = check_rule(unary(f, slope), f, x, budget=0)
    assert unsearched, unsearched


def doubled_in_a_batch(x):
    @jax.custom_batching.custom_vmap
    def slope(x):
        return jnp.cos(x)

    slope.def_vmap(lambda size, batched, x: (2 * jnp.cos(x), True))
    return slope(x)


def host_direction(x):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    unit = lambda x: np.asarray(x / np.sqrt((x * x).sum()))  # noqa: E731
    return jax.pure_callback(unit, shape, x, vmap_method="broadcast_all")


def direction_backward(kept, u):
    n = jnp.sqrt(jnp.sum(kept[0] ** 2))
    y = kept[0] / n
    return ((u - y * jnp.sum(u * y)) / n,)


def only_traced(x):
    return jnp.cos(x) * (2 if isinstance(x, jax.core.Tracer) else 1)


def concrete_only(kept, u):
    if float(u.sum()) > 0:
        return (u * jnp.cos(kept[0]),)
    return (jnp.cos(kept[0]) * u,)


def test_rules_that_are_wrong_only_as_they_will_be_used():
    x = draw(np.float32, 3)
    report = check_rule(unary(jnp.sin, doubled_in_a_batch), jnp.sin, x)
    assert {row.where for row in report.rows if not row.ok} == {
        "under vmap",
        "under vmap of its gradient",
    }
    report = check_rule(rule(host_direction, direction_backward), None, x)
    assert any("vmap" in row.where for row in report.rows if not row.ok)
    assert not check_rule(unary(jnp.sin, only_traced), jnp.sin, x)
    report = check_rule(rule(jnp.sin, concrete_only), jnp.sin, x)
    assert any(fault.startswith("fails under jit") for fault in report.faults)


@pytest.mark.parametrize("factor", [1, 2])
def test_rules_that_are_told_what_is_differentiated(factor):
    ruled = jax.custom_vjp(lambda x, y: jnp.sin(x) * y)

    def forward(x, y):
        return jnp.sin(x.value) * y.value, (x.value, y.value, y.perturbed)

    def backward(kept, u):
        x, y, both = kept
        return u * jnp.cos(x) * y * (1 if both else factor), u * jnp.sin(x) if both else None

    ruled.defvjp(forward, backward, symbolic_zeros=True)
    x, y = draw(np.float32, 3), draw(np.float32, 3, seed=1)
    report = check_rule(ruled, lambda x, y: jnp.sin(x) * y, x, y)
    assert bool(report) == (factor == 1)
    if factor == 2:
        assert {row.where for row in report.rows if not row.ok} == {
            "with respect to arguments[0] alone"
        }


def test_static_arguments_partials_and_functions_in_pytrees():
    f = lambda n, x: jnp.sin(n * x)  # noqa: E731
    static = jax.custom_vjp(f, nondiff_argnums=(0,))
    static.defvjp(lambda n, x: (f(n, x), x), lambda n, x, u: (n * u * jnp.cos(n * x),))
    x = draw(np.float32, 3)
    for report in (
        check_rule(static, f, 2.5, x),
        check_rule(partial(static, 2.5), partial(f, 2.5), x),
        check_rule(cosine_times(1), jnp.sin, 0.3),
    ):
        assert report, report
    layer = {"act": jnp.tanh, "w": x, "n": 3, "name": "abc", "none": None}
    of_layer = lambda p, x: p["act"](p["w"] * x)  # noqa: E731
    assert check_rule(of_layer, of_layer, layer, x)


def straight_through(x):
    return x + jax.lax.stop_gradient(jnp.round(x) - x)


def test_methods_are_left_out_by_name():
    rounded, x = rule(jnp.round, lambda kept, u: (u,)), draw(np.float32, 4)
    report = check_rule(rounded, straight_through, x)
    values = {"central difference", "Taylor remainder"}
    assert {row.method for row in report.rows if not row.ok} == values
    assert check_rule(rounded, straight_through, x, methods=[f"-{name}" for name in values])
    kept = [name for name in METHODS if name not in values]
    assert check_rule(rounded, straight_through, x, methods=kept)
    with pytest.raises(ValueError, match="methods must be of reference, autodiff"):
        check_rule(rounded, straight_through, x, methods=["judge"])


def test_a_tolerance_and_more_points_are_taken():
    x = draw(np.float32, 3)
    near = cosine_times(1.0001)
    assert not check_rule(near, jnp.sin, x)
    assert check_rule(near, jnp.sin, x, rtol=1e-3, methods=["-Taylor remainder"])
    beyond = unary(jnp.sin, lambda x: jnp.where(x > 1e5, 0, jnp.cos(x)).astype(x.dtype))
    assert check_rule(beyond, jnp.sin, x, budget=0)
    assert not check_rule(beyond, jnp.sin, x, points=[(1e6 + x,)], budget=0)


def test_every_method_sees_a_wrong_element(x64):
    x = np.linspace(-1, 2, 9)
    wrong = rule(lambda x: x**3, lambda kept, u: ((3 * kept[0] ** 2 * u).at[7].multiply(1.001),))
    report = check_rule(wrong, lambda x: x**3, x)
    against = {row.method for row in report.rows if not row.ok}
    assert against >= {"autodiff", "adjoint identity", "central difference", "Taylor remainder"}
    assert {row.place for row in report.rows if row.method == "autodiff"} == {(7,)}
    right = check_rule(unary(lambda x: x**3, lambda x: 3 * x**2), lambda x: x**3, x)
    assert {row.method for row in right.rows} == {*METHODS} - {"plain call"}
    slope = next(row for row in right.rows if row.method == "Taylor remainder")
    assert slope.hand == pytest.approx(2, abs=0.05)


def test_a_rule_must_be_linear_in_the_cotangent():
    wrong = rule(jnp.sin, lambda kept, u: (jnp.cos(kept[0]) * u * jnp.where(u > 0, 1, 0.999),))
    report = check_rule(wrong, jnp.sin, draw(np.float32, 9))
    assert "linearity" in {row.method for row in report.rows if not row.ok}


def test_a_report_is_its_own_verdict():
    right, wrong = (check_rule(cosine_times(k), jnp.sin, jnp.ones(2)) for k in (1, 2))
    assert right
    assert not wrong
    assert repr(wrong) == str(wrong)
    assert str(wrong).split("\n")[1].startswith("WRONG ")
    assert right.raise_if_wrong() is right
    with pytest.raises(AssertionError, match=r"WRONG .* hand"):
        wrong.raise_if_wrong()


def test_memory_stays_near_that_of_the_arguments():
    """R13: many weights are moved one direction at a time."""
    sizes = (300, 300)
    f = lambda w: jnp.sum(jnp.tanh(w), axis=1)  # noqa: E731
    function = rule(f, lambda kept, u: (u[:, None] * (1 - jnp.tanh(kept[0]) ** 2),))
    report = check_rule(function, f, draw(np.float32, *sizes))
    assert report, report


def test_a_result_without_a_derivative_is_refused():
    with pytest.raises(TypeError, match="function must return a real or complex array"):
        check_rule(lambda x: x > 0, lambda x: x > 0, jnp.ones(3))
    with pytest.raises(TypeError, match="arguments must hold a real or complex array"):
        check_rule(lambda x: x, lambda x: x, jnp.arange(3))


def test_integers_are_passed_on():
    f = lambda x, i: (jnp.sin(x) * i, i)  # noqa: E731
    report = jaxbp.check_rule(f, f, jnp.ones(3), jnp.arange(3))
    assert report, report
    assert {row.path for row in report.rows if row.method == "autodiff"} == {"arguments[0]"}


def test_a_nan_of_the_rule_alone_is_wrong():
    x = draw(np.float32, 3)
    wrong = unary(jnp.sin, lambda x: jnp.cos(x).at[1].set(jnp.nan))
    report = check_rule(wrong, jnp.sin, x)
    assert {row.place for row in report.rows if not row.ok and row.place} == {(1,)}


def test_an_overflow_of_the_second_order_at_a_large_point_is_no_mistake():
    @jax.custom_vjp
    def tanh(x):
        return jnp.tanh(x)

    tanh.defvjp(lambda x: (jnp.tanh(x), x), lambda x, bar: (bar / jnp.cosh(x) ** 2,))
    x = jnp.array([[1.0, 2.0], [3.0, -4.0]])
    assert np.isnan(jax.grad(jax.grad(tanh))(1000.0))
    assert jaxbp.check_rule(tanh, jnp.tanh, x)


def test_a_second_order_that_is_nan_at_zero_is_a_mistake():
    @jax.custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, bar: (2 * bar * jnp.sign(x) * jnp.sqrt(x * x),))
    report = jaxbp.check_rule(square, lambda x: x * x, jnp.array([0.5, -1.5]))
    assert [row.method for row in report.rows if not row.ok] == ["second order"]
