"""Exercises of courses against NumPy in float64."""

import re
import subprocess
import sys

import jax
import numpy as np
import optax
import oracle
import pytest
from exercises import EXERCISES, exercise
from scipy.special import expit, softmax

import jaxbp

pytestmark = pytest.mark.usefixtures("compiled_quickly")


@pytest.mark.parametrize("name", EXERCISES)
def test_both_passes_as_the_exercise_gives_them(name, x64):
    mlp, params, shaped, samples, loss = exercise(name)
    trace = jaxbp.backprop(mlp, params, *samples, loss)
    value, gradient, inputs_bar = oracle.backprop(mlp.activation_names, shaped, *samples, loss)
    assert trace.loss == pytest.approx(value, rel=1e-14)
    for layer, (weight, bias) in zip(trace.gradient, gradient, strict=True):
        np.testing.assert_allclose(layer.weight, weight, rtol=1e-13, atol=1e-16)
        if mlp.bias:
            np.testing.assert_allclose(layer.bias, bias, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(trace.inputs_error, inputs_bar, rtol=1e-13, atol=1e-16)
    assert trace.ledger().largest_difference < 1e-14
    report = jaxbp.check_gradients(mlp, params, *samples, loss)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", EXERCISES)
def test_two_steps_of_gradient_descent(name, x64):
    mlp, params, shaped, samples, loss = exercise(name)
    solver = jaxbp.first_order(optax.sgd, learning_rate=0.5)
    result = jaxbp.fit(mlp, params, samples, steps=2, solver=solver, loss=loss)
    for _ in range(2):
        _, gradient, _ = oracle.backprop(mlp.activation_names, shaped, *samples, loss)
        shaped = [
            (w - 0.5 * dw, None if b is None else b - 0.5 * db)
            for (w, b), (dw, db) in zip(shaped, gradient, strict=True)
        ]
    for layer, (weight, bias) in zip(result.params, shaped, strict=True):
        np.testing.assert_allclose(layer.weight, weight, rtol=1e-12, atol=1e-15)
        assert (layer.bias is None) == (bias is None)


def test_the_unit_of_the_question_has_the_gradient_088():
    _, gradient = jaxbp.loss_and_gradient(*arguments("one linear unit"))
    np.testing.assert_allclose(gradient[0].weight, [[0.88], [0.0]], rtol=1e-6)
    assert float(gradient[0].bias[0]) == pytest.approx(0.88)


def arguments(name):
    mlp, params, _, samples, loss = exercise(name)
    return mlp, params, *samples, loss


def test_the_chain_over_the_probability_can_be_followed(x64):
    """dL/dp p (1 - p) = p - y, with p the sigmoid of the output."""
    mlp, params, shaped, samples, loss = exercise("logistic regression")
    trace = jaxbp.backprop(mlp, params, *samples, loss)
    inputs, y = (np.float64(array) for array in samples)
    p = expit(inputs @ shaped[0][0] + shaped[0][1])
    np.testing.assert_allclose(trace.probabilities, p, rtol=1e-15)
    to_p = (p - y) / (p * (1 - p)) / len(p)
    np.testing.assert_allclose(trace.node_errors[0], to_p * p * (1 - p), rtol=1e-14)
    ledger = trace.ledger()
    assert ledger["p4[1]"].value == pytest.approx(p[1, 0])
    assert ledger["p4[1]"].formula == "sigmoid(a4[1])"
    assert ledger["e4[0]"].formula == "(1 / 1 × (p4[0] - y1[0])) / 2"
    assert float(trace.loss) == pytest.approx(-np.mean(np.log(np.where(y == 1, p, 1 - p))))


def test_probabilities_of_classes(x64):
    mlp, _, shaped, samples, loss = exercise("three classes")
    trace = jax.jit(jaxbp.backprop, static_argnums=(0, 4))(
        mlp, jaxbp_layers(shaped), *samples, loss
    )
    expected = softmax(np.float64(samples[0]) @ shaped[0][0] + shaped[0][1], axis=1)
    np.testing.assert_allclose(trace.probabilities, expected, rtol=1e-14)
    assert jaxbp.backprop(*arguments("exclusive or")).probabilities is None


def jaxbp_layers(shaped):
    return tuple(jaxbp.Layer(*layer) for layer in shaped)


def test_a_dead_unit_passes_nothing_and_the_ledger_says_so():
    trace = jaxbp.backprop(*arguments("a dead unit"))
    assert not trace.gradient[0].weight[:, 1].any()
    notes = {entry.name for entry in trace.ledger().entries if "dead for this sample" in entry.note}
    assert notes == {"d4"}
    assert not re.search(r"(?<![\d.e])-0(?![\d.])", trace.ledger().to_text())


@pytest.mark.slow
def test_types_of_a_user_s_file_are_known(tmp_path):
    """mypy accepts a file that writes a ledger out, and knows the types."""
    file = tmp_path / "exercise.py"
    file.write_text(
        "import jaxbp\n"
        "trace = jaxbp.backprop(jaxbp.Mlp((1, 1)), [([[0.5]], [0.1])], [[1.0]], [[0.0]])\n"
        "text: str = trace.ledger(source_first=True).to_text()\n"
        "value: float = trace.ledger().entries[0].value\n"
        'own = jaxbp.Mlp((1, 1), jaxbp.Activation("cube", lambda z: z**3, lambda z, a: 3 * z**2))\n'
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--cache-dir",
        str(tmp_path),
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
