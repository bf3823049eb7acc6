"""The trace's ledger: every number with its formula, and autodiff beside it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import ACTIVATION_NAMES, LOSS_NAMES, draw_params, targets_for

import jaxbp
from jaxbp.gradcheck import check_trace

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def trace_of(mlp, loss="half_squared_error", num_samples=1):
    generator = np.random.default_rng(0)
    params = draw_params(mlp)
    inputs = generator.standard_normal((num_samples, mlp.sizes[0]))
    targets = targets_for(loss, (num_samples, mlp.sizes[-1]), generator)
    return jax.jit(jaxbp.backprop, static_argnums=(0, 4))(mlp, params, inputs, targets, loss)


def test_every_number_of_the_3_4_2_network_by_its_name(x64):
    trace = trace_of(jaxbp.Mlp((3, 4, 2), hidden="sigmoid", output="sigmoid"))
    ledger = trace.ledger()
    weights = [f"dL/dw{i}{j}" for i in (4, 5, 6, 7) for j in (1, 2, 3)] + [
        f"dL/dw{i}{j}" for i in (8, 9) for j in (4, 5, 6, 7)
    ]
    names = weights + [
        f"{letter}{i}" for letter in ("z", "a", "e", "d", "dL/db") for i in range(4, 10)
    ]
    names += ["e1", "e2", "e3"]
    assert sorted(entry.name for entry in ledger.entries) == sorted(names)
    assert len(weights) == 20
    # By hand: the product of what the formula names.
    assert ledger["dL/dw84"].value == pytest.approx(
        ledger["a4"].value * ledger["d8"].value, rel=1e-15
    )
    assert ledger["d4"].value == pytest.approx(
        ledger["e4"].value * ledger["a4"].value * (1 - ledger["a4"].value), rel=1e-15
    )
    w84, w94 = (float(trace.params[1].weight[0, j]) for j in (0, 1))
    assert ledger["e4"].value == pytest.approx(
        ledger["d8"].value * w84 + ledger["d9"].value * w94, rel=1e-14
    )
    assert ledger["e4"].formula == "d8 w84 + d9 w94"
    steps = [entry.step for entry in ledger.entries]
    assert steps == sorted(steps, key=["forward", "step 1", "step 2"].index)
    assert ledger.largest_difference <= 1e-15


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_it_agrees_with_autodiff_for_every_activation(activation, x64):
    trace = trace_of(jaxbp.Mlp((2, 3, 3, 1), hidden=activation), num_samples=3)
    assert trace.ledger().largest_difference < 1e-14
    assert check_trace(trace).ok


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("num_samples", [1, 4])
def test_products_of_the_factors_are_the_values(loss, num_samples, x64):
    """Judged without the library: d = e phi' and the gradients as sums of products of their
    factors."""
    ledger = trace_of(jaxbp.Mlp((2, 3, 2), hidden="tanh"), loss, num_samples).ledger()
    assert ledger.largest_difference < 1e-14
    for entry in ledger.entries:
        if (
            entry.name.startswith(("d", "e"))
            and entry.step == "step 1"
            and not entry.name.startswith("e")
        ):
            assert entry.value == pytest.approx(np.prod(entry.factors), rel=1e-13)
        if entry.name.startswith("dL/dw"):
            a, d = np.split(np.array(entry.factors), 2)
            assert entry.value == pytest.approx(float(a @ d), rel=1e-12, abs=1e-16)
        if entry.name.startswith("dL/db"):
            assert entry.value == pytest.approx(sum(entry.factors), rel=1e-12, abs=1e-16)
        if entry.name.startswith("z"):
            *factors, bias = entry.factors
            w, a = np.split(np.array(factors), 2)
            assert entry.value == pytest.approx(float(w @ a) + bias, rel=1e-12)


def test_labels_are_targets_too(x64):
    mlp = jaxbp.Mlp((2, 3, 3))
    trace = jaxbp.backprop(
        mlp, draw_params(mlp), np.ones((2, 2)), np.array([0, 2]), "softmax_cross_entropy"
    )
    assert trace.ledger()["e6[0]"].factors[-1] == 1.0
    assert trace.ledger().largest_difference < 1e-15


def test_a_wrong_number_shows(x64):
    trace = trace_of(jaxbp.Mlp((2, 3, 1)))
    wrong = dataclasses.replace(
        trace, node_errors=(trace.node_errors[0] * (1 + 1e-9), trace.node_errors[1])
    )
    entry = wrong.ledger()["d3"]
    assert entry.difference / entry.value == pytest.approx(1e-9, rel=1e-3)
    assert wrong.ledger().largest_difference >= abs(entry.difference) > 0


def test_a_nan_does_not_hide(x64):
    trace = trace_of(jaxbp.Mlp((2, 3, 1)))
    last = trace.gradient[1]._replace(weight=np.full_like(trace.gradient[1].weight, np.nan))
    wrong = dataclasses.replace(trace, gradient=(trace.gradient[0], last))
    with jax.debug_nans(False):
        assert np.isnan(wrong.ledger().largest_difference)


def test_softmax_rows_can_be_recomputed(x64):
    ledger = trace_of(jaxbp.Mlp((2, 3, 3)), "softmax_cross_entropy").ledger()
    powers = np.exp(ledger["p7"].factors)
    assert ledger["p7"].value == pytest.approx(powers[1] / powers.sum(), rel=1e-12)
    probability, target = ledger["e7"].factors
    assert ledger["e7"].value == pytest.approx(probability - target, rel=1e-12)
    assert ledger["p7"].formula == "exp(a7) / (exp(a6) + exp(a7) + exp(a8))"
    assert ledger["e7"].formula == "p7 - y2"


def test_text_and_markdown_hold_the_same(x64):
    ledger = trace_of(jaxbp.Mlp((2, 3, 1))).ledger()
    text, markdown = ledger.to_text().splitlines(), ledger.to_markdown().splitlines()
    assert len(text) == len(markdown) - 1 == len(ledger.entries) + 1
    for entry, *lines in zip(ledger.entries, text[1:], markdown[2:], strict=True):
        for line in lines:
            for part in (entry.step, entry.name, entry.formula, entry.terms, f"{entry.value:.10g}"):
                assert part in line
        assert ledger[entry.name].value == entry.value
    with pytest.raises(KeyError):
        ledger["w99"]


def test_a_trace_passes_through_jit_and_vmap(x64):
    mlp = jaxbp.Mlp((2, 3, 1))
    params = draw_params(mlp)
    inputs, targets = np.ones((5, 1, 2)) * np.arange(5.0)[:, None, None], np.ones((5, 1, 1))
    many = jax.jit(jax.vmap(lambda x, y: jaxbp.backprop(mlp, params, x, y)))(inputs, targets)
    one = jaxbp.backprop(mlp, params, inputs[3], targets[3])
    np.testing.assert_allclose(many.node_errors[0][3], one.node_errors[0], rtol=0, atol=1e-15)
    assert many.mlp == mlp
    assert many.loss_name == "mean_squared_error"


def test_networks_of_more_than_nine_nodes_have_a_comma_in_their_weights(x64):
    assert "dL/dw12,3" in [entry.name for entry in trace_of(jaxbp.Mlp((2, 9, 2))).ledger().entries]


def test_a_dead_unit_is_named_and_no_minus_zero_is_printed():
    params = [([[1.0, -1.0], [0.5, 2.0]], [0, 0]), ([[1.0], [-1.0]], [0])]
    trace = jaxbp.backprop(jaxbp.Mlp((2, 2, 1), "relu"), params, [[16, -6]], [[1]])
    ledger = trace.ledger()
    assert ledger["d4"].note.startswith("dead for this sample: slope 0")
    assert not ledger["d3"].note
    rows = {row[1]: row for row in ledger.rows()}
    assert rows["d4"][3].endswith("; dead for this sample: slope 0, nothing passes")
    assert float(ledger["dL/dw42"].value) == 0
    assert not any(cell in ("-0", "-0.0") for row in rows.values() for cell in row)
    assert "(-0)" not in ledger.to_text()


def test_texts_show_the_digits_of_the_dtype():
    mlp, samples = jaxbp.Mlp((1, 1)), ([[1.0]], [[0.0]])
    params = [(np.array([[1 / 3]]), np.zeros(1))]
    for dtype, value in ((jnp.float32, "0.333333"), (jnp.bfloat16, "0.33")):
        cast = jax.tree.map(lambda leaf, dtype=dtype: jnp.asarray(leaf, dtype), params)
        rows = jaxbp.backprop(mlp, cast, *samples).ledger().rows()
        assert {row[1]: row[4] for row in rows}["z2"] == value
    with jax.enable_x64(True):
        rows = jaxbp.backprop(mlp, params, *samples).ledger().rows()
    assert {row[1]: row[4] for row in rows}["z2"] == "0.3333333333"


def test_weights_may_be_named_from_their_source():
    trace = jaxbp.backprop(
        jaxbp.Mlp((2, 2, 1), "sigmoid", bias=False), [[[1, 2], [3, 4]], [5, 6]], [[1, 1]], [[0]]
    )
    ledger = trace.ledger(source_first=True)
    assert ledger["z3"].formula == "w13 a1 + w23 a2"
    assert ledger["dL/dw23"].value == trace.ledger()["dL/dw32"].value
    assert not any(entry.name.startswith("dL/db") for entry in ledger.entries)
    assert "None" not in ledger.to_markdown()


def test_notebooks_show_the_trace(x64):
    mlp = jaxbp.Mlp((2, 3, 1), bias=False)
    trace = jaxbp.backprop(mlp, draw_params(mlp), np.ones((1, 2)), np.ones((1, 1)))
    many = jaxbp.backprop(mlp, draw_params(mlp), np.ones((9, 2)), np.ones((9, 1)))
    assert "layer 1, unit 3" in trace._repr_html_()
    assert "mean over 9 samples" in many._repr_html_()


def test_twins_and_units_that_are_dead_for_all_samples_are_named():
    params = [
        ([[1.0, 1.0, -1.0], [2.0, 2.0, -2.0]], [0.5, 0.5, 0.0]),
        ([[3.0], [3.0], [1.0]], [0.0]),
    ]
    inputs, targets = [[1.0, 1.0], [2.0, 1.0]], [[0.0], [1.0]]
    mlp = jaxbp.Mlp((2, 3, 1), hidden="relu")
    ledger = jaxbp.backprop(mlp, params, inputs, targets).ledger()
    assert ledger["a3[0]"].note == "same weights as node 4: the two stay alike"
    assert ledger["a4[1]"].note == "same weights as node 3: the two stay alike"
    assert not ledger["a5[0]"].note
    assert not ledger["a6[0]"].note
    assert {entry.name for entry in ledger.entries if "for all samples" in entry.note} == {
        "d5[0]",
        "d5[1]",
    }
    params[1][0][1] = [2.0]  # another way out: the gradients differ, and so will the units
    ledger = jaxbp.backprop(mlp, params, inputs, targets).ledger()
    assert not any("alike" in entry.note for entry in ledger.entries)


def test_units_of_equal_weights_have_equal_gradients(x64):
    """What the remark on twins says: training keeps them alike."""
    mlp = jaxbp.Mlp((3, 4, 2), bias=False)
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    first[:, 2], second[2] = first[:, 0], second[0]
    trace = jaxbp.backprop(mlp, [first, second], rng.normal(size=(5, 3)), rng.normal(size=(5, 2)))
    assert trace.ledger()["a6[0]"].note.startswith("same weights as node 4")
    np.testing.assert_array_equal(trace.gradient[0].weight[:, 2], trace.gradient[0].weight[:, 0])
    np.testing.assert_array_equal(trace.gradient[1].weight[2], trace.gradient[1].weight[0])


def test_classes_are_compared_with_the_last_layer():
    mlp = jaxbp.Mlp((2, 4, 3))
    trace = jaxbp.backprop(
        mlp, jaxbp.init(mlp, jax.random.key(1)), [[0.5, -1.0]], [2], loss="softmax_cross_entropy"
    )
    factors = [trace.ledger()[f"e{node}"].factors for node in (7, 8, 9)]
    np.testing.assert_allclose([target for _, target in factors], [0, 0, 1])
    np.testing.assert_allclose([p for p, _ in factors], trace.probabilities[0])


def test_the_table_shows_the_difference_from_autodiff(x64):
    ledger = trace_of(jaxbp.Mlp((2, 3, 1))).ledger()
    wrong = ledger.entries[-1]._replace(autodiff=ledger.entries[-1].value - 0.25)
    assert ledger._replace(entries=(wrong,)).rows()[0][-1] == "2.5e-01"
