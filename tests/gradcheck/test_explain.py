"""The reason for a wrong gradient, in words."""

import jax
import numpy as np
import pytest

import jaxbp
from jaxbp.gradcheck.catalogue import MISTAKES, Pass, backward_by
from jaxbp.losses import as_loss

NEURON = jaxbp.Mlp((2, 1), output="identity")
WEIGHTS = [([[0.34], [0.56]], [0.54])]
MLP = jaxbp.Mlp((2, 3, 2, 1), hidden="tanh")
LOSS = "mean_squared_error"


def explained(gradient):
    return jaxbp.explain_gradient(
        gradient, NEURON, WEIGHTS, [[1.0, 0.0]], [[0.0]], "half_squared_error"
    )


def case():
    generator = np.random.default_rng(3)
    params = [
        (generator.standard_normal((i, o)), generator.standard_normal(o))
        for i, o in zip(MLP.sizes[:-1], MLP.sizes[1:], strict=True)
    ]
    return params, generator.standard_normal((4, 2)), generator.standard_normal((4, 1))


def gradient_with(name=None, layer=None):
    params, inputs, targets = case()
    mistake = next((one for one in MISTAKES if one.name == name), None)
    with jax.enable_x64(True):
        p = Pass.of(np, MLP, params, inputs, targets, as_loss(LOSS))
        return backward_by(p, mistake, layer)[0]


def causes(gradient):
    report = jaxbp.explain_gradient(gradient, MLP, *case())
    assert not report
    return report.causes


def test_a_factor_of_the_output_is_named():
    """A question of a forum: 0.7744 where 0.88 is right, because the error is taken twice."""
    report = explained([([[0.7744], [0.0]], [0.7744])])
    assert not report
    assert report.causes[0].startswith(
        "every element is 0.88 times the right one: 0.88 is the output itself"
    )
    assert any("loss: error squared" in cause for cause in report.causes)
    assert str(report).split("\n")[1].startswith("cause every element is 0.88")


def test_the_output_differentiated_instead_of_the_loss_is_named():
    causes = explained([([[1.0], [0.0]], [1.0])]).causes
    assert any("the output differentiated instead of the loss" in cause for cause in causes)


def test_four_digits_pass_with_a_tolerance():
    params, inputs, targets = case()
    rounded = [
        [np.float64([f"{x:.4g}" for x in np.ravel(leaf)]).reshape(np.shape(leaf)) for leaf in layer]
        for layer in gradient_with()
    ]
    assert not jaxbp.check_gradients(MLP, params, inputs, targets, gradient=rounded)
    assert jaxbp.check_gradients(MLP, params, inputs, targets, gradient=rounded, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("1/batch dropped", None),
        ("factor 2 dropped", None),
        ("loss: sign", None),
        ("slope skipped everywhere (e for delta)", None),
        ("slope at a for z", None),
        ("upstream error left out in one layer", 2),
        ("bias: mean for sum", None),
        ("weights of one step before", 3),
    ],
)
def test_a_mistake_of_the_catalogue_is_named(name, layer):
    assert any(name in cause for cause in causes(gradient_with(name, layer)))


def test_factors_have_their_reasons():
    right = gradient_with()
    for factor, reason in ((4.0, "the batch size 4"), (0.25, "1/4"), (2.0, "taken twice")):
        scaled = [[factor * leaf for leaf in layer] for layer in right]
        assert reason in causes(scaled)[0]


def test_single_leaves_are_described():
    right = [[np.array(leaf) for leaf in layer] for layer in gradient_with()]
    square = jaxbp.Mlp((2, 2, 1), hidden="tanh")
    params = [(np.eye(2) + 0.1, np.ones(2)), (np.ones((2, 1)), np.ones(1))]
    inputs, targets = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0], [0.0]])
    with jax.enable_x64(True):
        p = Pass.of(np, square, params, inputs, targets, as_loss(LOSS))
        own = [[np.array(leaf) for leaf in layer] for layer in backward_by(p)[0]]
    own[0][0] = own[0][0].T
    report = jaxbp.explain_gradient(own, square, params, inputs, targets)
    assert "params[0].weight is transposed" in report.causes
    right[1][0] = 3 * right[1][0]
    found = causes(right)
    assert "params[1].weight is 3 times the right one" in found
    assert "layers above layer 2 are right: the mistake enters there" in found


def test_all_wrong_elements_are_listed_by_both_names():
    wrong = [[np.array(leaf) for leaf in layer] for layer in gradient_with()]
    wrong[0][0][1, 1] *= 1.1
    wrong[0][0][0, 1] *= 1.1
    assert "wrong in params[0].weight: [0, 1] w41, [1, 1] w42" in causes(wrong)
    report = jaxbp.explain_gradient(wrong, MLP, *case())
    assert any(row.name in ("w41", "w42") and not row.ok for row in report.rows)


def test_gradients_come_in_every_form():
    params, inputs, targets = case()
    right = gradient_with()
    torch = pytest.importorskip("torch")
    forms = [
        right,
        [(weight.tolist(), bias.tolist()) for weight, bias in right],
        {
            f"{2 * k}.{name}": torch.tensor(leaf.T if name == "weight" else leaf)
            for k, layer in enumerate(right)
            for name, leaf in zip(("weight", "bias"), layer, strict=True)
        },
        [(weight, bias[np.newaxis]) for weight, bias in right],
    ]
    for form in forms:
        report = jaxbp.explain_gradient(form, MLP, params, inputs, targets)
        assert report, report
    with pytest.raises(ValueError, match="gradient must have 3 layers"):
        jaxbp.explain_gradient(right[:2], MLP, params, inputs, targets)
    with pytest.raises(ValueError, match=r"gradient\[0\].weight must have shape \(2, 3\)"):
        jaxbp.explain_gradient([right[1], right[0], right[2]], MLP, params, inputs, targets)


@pytest.mark.parametrize("argument", ["params", "gradient"])
def test_missing_biases_are_no_zero_biases(argument):
    params, inputs, targets = case()
    given = {"params": params, "gradient": gradient_with()}
    given[argument] = [weight for weight, _ in given[argument]]
    with pytest.raises(ValueError, match=rf"{argument}\[0\] must be a Layer\(weight, bias\)"):
        jaxbp.explain_gradient(given["gradient"], MLP, given["params"], inputs, targets)


def test_mistakes_of_a_network_without_biases_are_named():
    mlp = jaxbp.Mlp((2, 3, 1), hidden="tanh", bias=False)
    generator = np.random.default_rng(3)
    params = [generator.standard_normal(shape) for shape in ((2, 3), (3, 1))]
    inputs, targets = generator.standard_normal((4, 2)), generator.standard_normal((4, 1))
    with jax.enable_x64(True):
        layers = [jaxbp.Layer(weight) for weight in params]
        p = Pass.of(np, mlp, layers, inputs, targets, as_loss(LOSS))
        mistake = next(one for one in MISTAKES if one.name == "slope at a for z")
        right, wrong = backward_by(p)[0], backward_by(p, mistake)[0]
    assert jaxbp.explain_gradient(right, mlp, params, inputs, targets)
    report = jaxbp.explain_gradient(wrong, mlp, params, inputs, targets)
    assert any("slope at a for z" in cause for cause in report.causes)


@pytest.mark.parametrize(("factor", "error"), [(8.0, 7.0), (-1.0, 2.0)])
def test_errors_are_relative_to_the_right_value(factor, error):
    wrong = [[factor * leaf for leaf in layer] for layer in gradient_with()]
    report = jaxbp.explain_gradient(wrong, MLP, *case())
    for row in report.rows:
        assert row.error == pytest.approx(error, rel=1e-3)


def test_a_slope_that_underflows_is_allowed_what_the_checker_s_norm_allows():
    """At z = 18 the sigmoid's slope is 1.5e-8, which a (1 - a) loses in float32."""
    mlp = jaxbp.Mlp((1, 1, 1), hidden="sigmoid")
    params = [([[18.0]], [0.0]), ([[1.0]], [0.0])]
    report = jaxbp.explain_gradient(
        [([[0.0]], [0.0]), ([[2.0]], [2.0])], mlp, params, [[1.0]], [[0.0]]
    )
    assert not report
