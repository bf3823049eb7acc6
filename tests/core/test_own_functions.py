"""An own activation or loss works wherever a name does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import draw_params

import jaxbp
from jaxbp.activations import ACTIVATIONS
from jaxbp.gradcheck import check_trace
from jaxbp.losses import LOSSES, as_loss

pytestmark = pytest.mark.usefixtures("compiled_quickly", "x64")

# a = z / sqrt(1 + z^2), and a function that jumps from slope 1/2 to 2: one that keeps z, one with
# a kink.
BENT = jaxbp.Activation(
    "bent",
    lambda z: z * (1 + z * z) ** -0.5,
    lambda z, a: (1 + z * z) ** -1.5,
    "(1 + {z}^2)^(-3/2)",
)
STEEP = jaxbp.Activation(
    "steep",
    lambda z: jnp.where(z > 0, 2 * z, z / 2),
    lambda z, a: jnp.where(a > 0, 2.0, 0.5).astype(a.dtype),
    keeps_preactivation=False,
    kink=True,
)
MISH = jaxbp.Activation.by_autodiff("mish", jax.nn.mish)


def log_cosh_factor(outputs, targets):
    """l = sum_j log cosh(o_j - t_j), so the Hessian is diagonal, sech^2, and the gradient tanh."""
    error = outputs - targets
    root = 1 / jnp.cosh(error)
    return jnp.eye(outputs.shape[1])[jnp.newaxis] * root[:, :, jnp.newaxis], jnp.tanh(error) / root


LOG_COSH = jaxbp.Loss(
    "log_cosh",
    lambda outputs, targets: jnp.sum(jnp.log(jnp.cosh(outputs - targets)), axis=1),
    lambda outputs, targets: jnp.tanh(outputs - targets),
    log_cosh_factor,
    "tanh({a} - {y})",
)
SHORT = jaxbp.Loss("short", LOG_COSH.values, LOG_COSH.gradient)  # its factor is derived


def problem(hidden=BENT):
    generator = np.random.RandomState(0)
    inputs = generator.uniform(-1, 1, (64, 2))
    mlp = jaxbp.Mlp((2, 12, 1), hidden=hidden)
    return mlp, draw_params(mlp), (inputs, inputs[:, :1] ** 2 - inputs[:, 1:] ** 2)


@pytest.mark.parametrize("hidden", [BENT, STEEP, MISH], ids=lambda phi: phi.name)
def test_checks_accept_the_right_gradient_and_refuse_a_wrong_one(hidden):
    mlp, params, samples = problem(hidden)
    trace = jax.jit(jaxbp.backprop, static_argnums=(0, 4))(mlp, params, *samples, LOG_COSH)
    for report in (
        jaxbp.check_gradients(mlp, params, *samples, LOG_COSH, gradient=trace.gradient),
        check_trace(trace),
    ):
        assert report.ok, str(report)
    wrong = jax.tree.map(lambda leaf: 1.001 * leaf, trace.gradient)
    assert not jaxbp.check_gradients(mlp, params, *samples, LOG_COSH, gradient=wrong).ok


def test_a_kink_is_known():
    mlp = jaxbp.Mlp((1, 2, 1), hidden=STEEP)
    params = (
        jaxbp.Layer(np.ones((1, 2)), np.array([0.0, -1.0])),
        jaxbp.Layer(np.ones((2, 1)), np.zeros(1)),
    )
    report = jaxbp.check_gradients(mlp, params, np.ones((1, 1)), np.zeros((1, 1)))
    assert any("change sides of a kink" in note for note in report.notes)


@pytest.mark.parametrize("loss", [LOG_COSH, SHORT], ids=lambda loss: loss.name)
@pytest.mark.parametrize(
    ("solver", "steps"),
    [(jaxbp.first_order(optax.adam(3e-2)), 200), (jaxbp.gauss_newton(), 40)],
    ids=["adam", "newton"],
)
def test_solvers_learn_with_them(solver, steps, loss):
    mlp, params, samples = problem()
    result = jaxbp.fit(mlp, params, samples, steps=steps, solver=solver, loss=loss)
    assert result.status == "finished"
    assert result.history.loss[-1] < 0.02 * result.history.loss[0]


@pytest.mark.parametrize("loss", [SHORT, *LOSSES.values()], ids=lambda loss: loss.name)
def test_the_derived_factor_has_the_hessian_and_the_gradient(loss):
    derived = jaxbp.Loss("derived", loss.values, loss.gradient).hessian_factor
    generator = np.random.default_rng(0)
    outputs, targets = generator.standard_normal((5, 3)), generator.dirichlet(np.ones(3), 5)
    factor, error = derived(outputs, targets)
    hessian = jax.vmap(jax.hessian(lambda o, t: loss.values(o[None], t[None])[0]))(outputs, targets)
    np.testing.assert_allclose(factor @ factor.mT, hessian, atol=1e-7)
    np.testing.assert_allclose(
        jnp.einsum("nij,nj->ni", factor, error), loss.gradient(outputs, targets), atol=1e-12
    )


def test_the_ledger_writes_their_formulas():
    mlp, params, samples = problem()
    one = samples[0][:1], samples[1][:1]
    ledger = jaxbp.backprop(mlp, params, *one, LOG_COSH).ledger()
    assert ledger["e15"].formula == "tanh(a15 - y1)"
    assert ledger["d3"].formula == "e3 (1 + z3^2)^(-3/2)"
    assert ledger["a3"].formula == "bent(z3)"
    assert ledger.largest_difference < 1e-14
    ledger = jaxbp.backprop(problem(MISH)[0], params, *one, SHORT).ledger()
    assert (ledger["e15"].formula, ledger["d3"].formula) == ("short'(a15, y1)", "e3 mish'(z3)")


def test_names_and_values_are_the_same():
    named = jaxbp.Mlp((2, 3, 3, 1), hidden="tanh", output="sigmoid")
    assert named == jaxbp.Mlp((2, 3, 3, 1), ACTIVATIONS["tanh"], ACTIVATIONS["sigmoid"])
    assert named == jaxbp.Mlp((2, 3, 3, 1), "tanh", "logistic")
    assert jaxbp.Mlp((2, 3, 1)) == jaxbp.Mlp((2, 3, 1), output="linear")
    assert jaxbp.Mlp((2, 3, 4, 1), ("relu", BENT)).activation_names == ("relu", "bent", "identity")
    assert as_loss("mean_squared_error") is as_loss(LOSSES["mean_squared_error"])
    assert jaxbp.Activation.by_autodiff("mish", jax.nn.mish) == MISH


def test_plain_functions_are_refused_and_told_how_to_be_wrapped():
    with pytest.raises(ValueError, match=r"hidden must .* tanh: pass .*, or wrap it as jaxbp\.Act"):
        jaxbp.Mlp((2, 3, 1), hidden=jax.nn.tanh)
    with pytest.raises(ValueError, match=r"hidden\[0\] must be a name or an Activation"):
        jaxbp.Mlp((2, 3, 1), hidden=[jnp.tanh])
    with pytest.raises(ValueError, match=r"loss must .* or wrap it as jaxbp\.Loss\("):
        jaxbp.backprop(*problem()[:2], *problem()[2], lambda o, t: (o - t) ** 2)
    with pytest.raises(ValueError, match="slope of Activation 'mine' must be a function"):
        jaxbp.Activation("mine", jnp.tanh, None)
    with pytest.raises(ValueError, match="name must be a text"):
        jaxbp.Activation(jnp.tanh, jnp.tanh, jnp.tanh)
    with pytest.raises(ValueError, match="value of Activation 'mine' must be hashable"):
        jaxbp.Activation("mine", type("Odd", (dict,), {"__call__": 0})(), jnp.tanh)


def softmax_output():
    return jaxbp.Mlp((2, 3, 2), output="softmax")


@pytest.mark.parametrize("loss", ["binary_cross_entropy", LOSSES["softmax_cross_entropy"]])
@pytest.mark.parametrize("output", ["sigmoid", "logistic", ACTIVATIONS["sigmoid"]])
def test_a_sigmoid_before_a_loss_on_logits_is_refused(loss, output):
    mlp = jaxbp.Mlp((2, 3, 2), output=output)
    params, samples = draw_params(mlp), (np.ones((4, 2)), np.full((4, 2), 0.5))
    starts = jax.tree.map(lambda leaf: leaf[None], params)
    for call in (
        lambda: jaxbp.loss_and_gradient(mlp, params, *samples, loss),
        lambda: jaxbp.backprop(mlp, params, *samples, loss),
        lambda: jaxbp.check_gradients(mlp, params, *samples, loss),
        lambda: jaxbp.check_gradients(mlp, params, *samples, loss, gradient=params),
        lambda: jaxbp.fit(mlp, params, samples, steps=1, loss=loss),
        lambda: jaxbp.fit_many(mlp, starts, samples, steps=1, loss=loss),
    ):
        with pytest.raises(ValueError, match='output must be "identity" with loss="'):
            call()
    with pytest.raises(ValueError, match='with loss="softmax_cross_entropy"'):
        softmax_output()


def test_a_page_asks_for_named_ones(tmp_path):
    mlp, params, samples = problem()
    path = tmp_path / "page.html"
    with pytest.raises(ValueError, match=r"for a page, .* got an own one, 'bent'"):
        jaxbp.viz.save_page((mlp, params), *samples, path)
    with pytest.raises(ValueError, match=r"for a page, .* got an own one, 'log_cosh'"):
        jaxbp.viz.save_page((jaxbp.Mlp((2, 12, 1)), params), *samples, path, loss=LOG_COSH)
    assert not path.exists()
