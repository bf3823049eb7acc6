"""One concept, one row: an activation, a loss and a surface added in a few lines work everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from architectures import draw_params

import data
import jaxbp
from common import parse
from data import SURFACES, Surface
from jaxbp.activations import ACTIVATIONS, Activation
from jaxbp.gradcheck import check_trace
from jaxbp.losses import LOSSES, Loss
from surface_flags import Config

pytestmark = pytest.mark.usefixtures("compiled_quickly")

# a = z / sqrt(1 + z^2), and a relu that jumps from slope 1/2 to 2: one that keeps z, one with a
# kink.
BENT = Activation(
    lambda z: z * (1 + z * z) ** -0.5, lambda z, a: (1 + z * z) ** -1.5, "(1 + {z}^2)^(-3/2)", True
)
STEEP = Activation(
    lambda z: jnp.where(z > 0, 2 * z, z / 2),
    lambda z, a: jnp.where(a > 0, 2.0, 0.5).astype(a.dtype),
    "[{a}]",
    kink=True,
)


def log_cosh_factor(outputs, targets):
    """l = sum_j log cosh(o_j - t_j), so the Hessian is diagonal, sech^2, and the gradient tanh."""
    error = outputs - targets
    root = 1 / jnp.cosh(error)
    return jnp.eye(outputs.shape[1])[jnp.newaxis] * root[:, :, jnp.newaxis], jnp.tanh(error) / root


LOG_COSH = Loss(
    lambda outputs, targets: jnp.sum(jnp.log(jnp.cosh(outputs - targets)), axis=1),
    lambda outputs, targets: jnp.tanh(outputs - targets),
    log_cosh_factor,
    "tanh({a} - {y})",
)
SADDLE = Surface(lambda x, y: x * x - y * y, ((-1.0, 1.0), (-1.0, 1.0)), "x^2 - y^2")


@pytest.fixture(autouse=True)
def rows(monkeypatch, x64):
    monkeypatch.setitem(ACTIVATIONS, "bent", BENT)
    monkeypatch.setitem(ACTIVATIONS, "steep", STEEP)
    monkeypatch.setitem(LOSSES, "log_cosh", LOG_COSH)
    monkeypatch.setitem(SURFACES, "saddle", SADDLE)


def problem(hidden="bent"):
    task = data.sample_surface(data.surface("saddle"), 64, np.random.RandomState(0))
    mlp = jaxbp.Mlp((2, 12, 1), hidden=hidden)
    return mlp, draw_params(mlp), (task.train.points, task.train.values[:, np.newaxis])


@pytest.mark.parametrize("hidden", ["bent", "steep"])
def test_the_checks_judge_them(hidden):
    mlp, params, samples = problem(hidden)
    trace = jax.jit(jaxbp.backprop, static_argnums=(0, 4))(mlp, params, *samples, "log_cosh")
    for report in (
        jaxbp.check_gradients(mlp, params, *samples, "log_cosh", gradient=trace.gradient),
        check_trace(trace),
    ):
        assert report.ok, str(report)
    wrong = jax.tree.map(lambda leaf: 1.001 * leaf, trace.gradient)
    assert not jaxbp.check_gradients(mlp, params, *samples, "log_cosh", gradient=wrong).ok


def test_a_kink_is_known_by_its_row():
    mlp = jaxbp.Mlp((1, 2, 1), hidden="steep")
    params = (
        jaxbp.Layer(np.ones((1, 2)), np.array([0.0, -1.0])),
        jaxbp.Layer(np.ones((2, 1)), np.zeros(1)),
    )
    report = jaxbp.check_gradients(mlp, params, np.ones((1, 1)), np.zeros((1, 1)))
    assert any("change sides of a kink" in note for note in report.notes)


@pytest.mark.parametrize(
    ("solver", "steps"),
    [(jaxbp.first_order(optax.adam(3e-2)), 200), (jaxbp.gauss_newton(), 40)],
    ids=["adam", "newton"],
)
def test_solvers_learn_with_them(solver, steps):
    mlp, params, samples = problem()
    result = jaxbp.fit(mlp, params, samples, steps=steps, solver=solver, loss="log_cosh")
    assert result.status == "finished"
    assert result.history.loss[-1] < 0.02 * result.history.loss[0]


def test_the_ledger_writes_their_formulas():
    mlp, params, samples = problem()
    ledger = jaxbp.backprop(mlp, params, samples[0][:1], samples[1][:1], "log_cosh").ledger()
    assert ledger["e15"].formula == "tanh(a15 - y1)"
    assert ledger["d3"].formula == "e3 (1 + z3^2)^(-3/2)"
    assert ledger["a3"].formula == "bent(z3)"
    assert ledger.largest_difference < 1e-14


def test_errors_and_help_list_them(capsys):
    with pytest.raises(ValueError, match="hidden must be one of bent, "):
        jaxbp.Mlp((2, 3, 1), hidden="bend")
    with pytest.raises(ValueError, match="loss must be one of log_cosh, "):
        jaxbp.loss_and_gradient(*problem()[:2], np.ones((1, 2)), np.ones((1, 1)), "log_cos")
    with pytest.raises(ValueError, match="surface must be one of saddle, "):
        data.surface("sadle")
    with pytest.raises(SystemExit) as left:
        parse(Config, ["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("bent", "steep", "saddle"))
    config = parse(Config, ["--surface", "saddle", "--activation", "bent"])
    assert (config.surface, config.activation) == ("saddle", "bent")
