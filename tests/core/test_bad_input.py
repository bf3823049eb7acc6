"""Bad input: one clear error that names the argument, what it must be and what came."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxbp
from data import parse_expression, surface
from jaxbp.activations import ACTIVATIONS
from jaxbp.fitting import read_table, standardizer
from jaxbp.training import named_optimizer

pytestmark = pytest.mark.modes
MLP = jaxbp.Mlp((3, 4, 1))
PARAMS = jaxbp.init(MLP, jax.random.key(0), dtype=jnp.float32)
INPUTS, TARGETS = np.ones((6, 3), np.float32), np.zeros((6, 1), np.float32)
CLASSIFIER = jaxbp.Mlp((3, 4, 3))
CLASSIFIER_PARAMS = jaxbp.init(CLASSIFIER, jax.random.key(0), dtype=jnp.float32)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((2,), r"sizes must list at least an input and an output size, got \(2,\)"),
        ((), "sizes must list"),
        (3, "sizes must list"),
        ((2, -3, 1), r"sizes\[1\] .* got -3"),
        ((2, 2.5, 1), r"sizes\[1\] .* got 2.5"),
        ((2, True, 1), r"sizes\[1\] .* got True"),
        ((2, 0), r"sizes\[1\] .* got 0"),
    ],
)
def test_sizes(sizes, message):
    with pytest.raises(ValueError, match=message):
        jaxbp.Mlp(sizes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jaxbp.Mlp((2, 3, 1), hidden="tnah"), r"hidden must be one of tanh, .* got 'tnah'"),
        (lambda: jaxbp.Mlp((2, 3, 1), output="Relu"), r"output must be one of relu, "),
        (
            lambda: jaxbp.Mlp((2, 3, 3, 1), hidden=("tanh", "sin")),
            r"hidden\[1\] must be one of sine, ",
        ),
        (lambda: jaxbp.Mlp((2, 3, 3, 1), hidden=("tanh",)), r"2 hidden layers, got 1"),
        (lambda: jaxbp.init(MLP, jax.random.key(0), "xavier"), "scheme must be one of"),
        (
            lambda: jaxbp.init(MLP, jax.random.key(0), "he", scale=2.0),
            "scale must be left out for scheme 'he'",
        ),
        (
            lambda: jaxbp.init(MLP, jax.random.key(0), "normal", scale=-1.0),
            "scale must be .* got -1.0",
        ),
        (
            lambda: jaxbp.init(MLP, jax.random.key(0), "normal", scale=0.0),
            "scale must be positive, got 0.0",
        ),
        (
            lambda: jaxbp.loss_and_gradient(MLP, PARAMS, INPUTS, TARGETS, "mse"),
            "loss must be one of mean_squared_error",
        ),
        (lambda: named_optimizer("adm"), "optimizer must be one of adam"),
        (lambda: named_optimizer("adam", 1e-3, "cosin"), "schedule must be one of cosine"),
        (lambda: surface("frank"), "surface must be one of franke"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_activation_is_listed():
    with pytest.raises(ValueError, match="hidden") as error:
        jaxbp.Mlp((2, 3, 1), hidden="")
    assert all(name in str(error.value) for name in ACTIVATIONS)


@pytest.mark.parametrize("function", [jaxbp.predict, jaxbp.reference_predict])
@pytest.mark.parametrize("under_jit", [False, True])
@pytest.mark.parametrize(
    ("inputs", "kind", "message"),
    [
        (np.ones((6, 4), np.float32), ValueError, "3 columns .* got 4"),
        (np.ones(3, np.float32), ValueError, r"got \(3,\); add a batch axis"),
        (np.float32(1), ValueError, r"inputs must have shape \(n, 3\), got \(\)"),
        (np.ones((6, 3), np.complex64), TypeError, "complex64"),
    ],
)
def test_inputs(function, under_jit, inputs, kind, message):
    call = jax.jit(function, static_argnums=0) if under_jit else function
    with pytest.raises(kind, match=message):
        call(MLP, PARAMS, inputs)


@pytest.mark.parametrize(
    "inputs", [np.array([["a", "b", "c"]]), np.array([[None, 1, 2]]), [[1.0, 2.0], [3.0]]]
)
def test_inputs_that_are_no_numbers(inputs):
    with pytest.raises(TypeError, match="inputs must be an array of real numbers"):
        jaxbp.predict(MLP, PARAMS, inputs)


@pytest.mark.parametrize(
    "function", [jaxbp.loss_and_gradient, jaxbp.backprop, jaxbp.check_gradients]
)
@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (
            INPUTS,
            np.zeros(6, np.float32),
            r"targets must have shape \(6, 1\) like the outputs, got \(6,\)",
        ),
        (INPUTS, np.zeros((1, 6), np.float32), r"targets must have shape \(6, 1\)"),
        (INPUTS, np.zeros((6, 2), np.float32), r"targets must have shape \(6, 1\)"),
        (np.ones((0, 3), np.float32), np.ones((0, 1), np.float32), "empty batch"),
    ],
)
def test_targets(function, inputs, targets, message):
    with pytest.raises(ValueError, match=message):
        function(MLP, PARAMS, inputs, targets)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array([0, 1, 2, 0, -1, 1]), r"targets\[4\] must be a label from 0 to 2, got -1"),
        (np.array([0, 1, 2, 3, 0, 1]), r"targets\[3\] must be a label from 0 to 2, got 3"),
        (np.full((6, 3), 2 / 3, np.float32), r"targets\[0\] must sum to 1 .* got 2"),
        (
            np.tile(np.float32([2.0, -1.0, 0.0]), (6, 1)),
            r"targets\[0, 0\] must be in \[0, 1\], got 2",
        ),
        (np.zeros(5, np.int32), r"targets must have shape \(6,\) as labels"),
        (np.zeros(6, np.float32), r"or \(6,\) as integer labels, got \(6,\)"),
    ],
)
def test_labels(targets, message):
    with pytest.raises(ValueError, match=message):
        jaxbp.loss_and_gradient(
            CLASSIFIER, CLASSIFIER_PARAMS, INPUTS, targets, "softmax_cross_entropy"
        )


def test_a_label_out_of_range_inside_jit_gives_nan_and_no_number():
    def loss(labels):
        return jaxbp.loss_and_gradient(
            CLASSIFIER, CLASSIFIER_PARAMS, INPUTS, labels, "softmax_cross_entropy"
        )[0]

    with jax.debug_nans(False), jax.disable_jit(False):
        assert jnp.isnan(jax.jit(loss)(jnp.array([0, 1, 2, 3, 0, 1])))
        assert jnp.isnan(jax.jit(loss)(jnp.array([0, 1, 2, -1, 0, 1])))


def test_binary_targets():
    with pytest.raises(ValueError, match=r"targets\[0, 0\] must be in \[0, 1\], got 2"):
        jaxbp.loss_and_gradient(MLP, PARAMS, INPUTS, TARGETS + 2, "binary_cross_entropy")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (dict(enumerate(PARAMS)), "params must be a tuple of 2 Layers, got dict"),
        (PARAMS[0], "params must be a tuple of 2 Layers, got Layer"),
        ((*PARAMS, PARAMS[1]), "2 layers .* got 3"),
        (
            (PARAMS[0], jaxbp.Layer(PARAMS[1].weight, None)),
            r"params\[1\]\.bias must be given, or .*bias=False",
        ),
        (
            (PARAMS[0], PARAMS[1]._replace(bias=SimpleNamespace(shape=(1,)))),
            r"params\[1\]\.bias must be an array of real numbers",
        ),
        ((PARAMS[0], PARAMS[1].weight), r"params\[1\] must be a Layer"),
        ((PARAMS[0], (PARAMS[1].weight, [0.1, 0.2])), r"params\[1\]\.bias must have shape \(1,\)"),
        ((PARAMS[0], ([[0.1], [0.2, 0.3]], [0.0])), r"params\[1\]\.weight .* ragged"),
        (
            (PARAMS[0], PARAMS[1]._replace(weight=1j * PARAMS[1].weight)),
            r"params\[1\]\.weight .*complex",
        ),
        (
            (PARAMS[0], PARAMS[1]._replace(weight=PARAMS[1].weight.T)),
            r"params\[1\]\.weight must have shape \(4, 1\) .*got \(1, 4\), its transpose: pass weight\.T",  # noqa: E501
        ),
    ],
)
@pytest.mark.parametrize("function", [
    lambda params: jaxbp.predict(MLP, params, INPUTS),
    lambda params: jaxbp.loss_and_gradient(MLP, params, INPUTS, TARGETS),
    lambda params: jaxbp.fit(MLP, params, (INPUTS, TARGETS), steps=1),
])  # fmt: skip
def test_parameters_are_named_by_their_path(function, params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        function(params)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps must be a whole number of at least 0, got -1"),
        ({"steps": 1.5}, "steps must be"),
        ({"batch_size": 7}, "batch_size must be at most the number of samples, 6, got 7"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"batch_size": 2, "key": None}, "key must be given with batch_size or dropout"),
        ({"record_every": 0}, "record_every must be"),
        ({"solver": "adam"}, "solver must be a Solver"),
    ],
)
def test_fit_options(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        jaxbp.fit(
            MLP, PARAMS, (INPUTS, TARGETS), **{"steps": 1, "key": jax.random.key(0)} | options
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_fit_names_the_first_sample_that_is_not_finite(value):
    inputs, targets = INPUTS.copy(), TARGETS.copy()
    inputs[4, 1] = value
    with pytest.raises(ValueError, match=r"inputs\[4, 1\]"):
        jaxbp.fit(MLP, PARAMS, (inputs, TARGETS), steps=1)
    targets[5, 0] = value
    with pytest.raises(ValueError, match=r"targets\[5, 0\]"):
        jaxbp.fit(MLP, PARAMS, (INPUTS, targets), steps=1)
    with pytest.raises(ValueError, match=r"validation inputs\[4, 1\]"):
        jaxbp.fit(MLP, PARAMS, (INPUTS, TARGETS), steps=1, validation=(inputs, TARGETS))


@pytest.mark.parametrize("rate", [-1e-3, float("nan"), float("inf"), "fast"])
def test_learning_rates(rate):
    with pytest.raises(ValueError, match="learning_rate must be a finite number of at least 0"):
        named_optimizer("sgd", rate)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"weight_decay": -1}, ValueError),
        ({"clip_norm": 0}, ValueError),
        ({"optimizer": 1}, TypeError),
    ],
)
def test_first_order_options(options, kind):
    with pytest.raises(kind):
        jaxbp.first_order(**{"optimizer": optax.sgd(0.1)} | options)


@pytest.mark.skipif(jax.config.jax_enable_x64, reason="nothing is narrowed with x64")
def test_float64_without_x64_warns_once_and_names_both():
    with pytest.warns(
        UserWarning, match="inputs and targets came as float64 and float32 is used"
    ) as caught:
        jaxbp.loss_and_gradient(MLP, PARAMS, INPUTS.astype(float), TARGETS.astype(float))
    assert len(caught) == 1
    assert caught[0].filename == __file__


TABLES = {
    "none.csv": (None, "there is none"),
    "table.doc": ("x,y,z\n1,2,3\n", "must end in .csv, .tsv, .txt, .dat, .xlsx or .npz"),
    "empty.csv": ("", "no column 'x'"),
    "header.csv": ("x,y,z\n", "at least one row"),
    "names.csv": ("x,y,w\n1,2,3\n", "has no column 'z'; it has"),
    "text.csv": ("x,y,z\n1,2,3\n1,two,3\n", r"row 3, column y: 'two' is not a number"),
    "short.csv": ("x,y,z\n1,2,3\n1,2\n", "row 3: 2 fields under 3 names"),
    "infinite.csv": ("x,y,z\n1,2,inf\n", r"row 2, column z: 'inf' is not finite"),
    "blank.csv": (
        "x,y,z\n\n\n1,2,nan\n",
        "row 4, column z: the value is missing",
    ),
    "double.csv": ("x,y,z,z\n1,2,3,4\n", "2 columns named 'z'"),
    "bytes.csv": (b"\xff\xfe\x00", "could not be read"),
    "archive.npz": (b"PK\x03\x04 cut short", "could not be read"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name, tmp_path):
    content, message = TABLES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as error:
        read_table(tmp_path / name, ("x", "y", "z"))
    assert name in str(error.value)


def test_tables_of_arrays(tmp_path):
    path = tmp_path / "samples.npz"
    np.savez(
        path,
        x=np.arange(3),
        y=np.ones(3),
        z=np.ones((3, 1)),
        w=np.ones(2),
        t=np.array(["a", "b", "c"]),
    )
    table, names = read_table(path, ("x", "y", "z"))
    assert names == ("x", "y", "z")
    np.testing.assert_array_equal(table, np.column_stack([np.arange(3), np.ones(3), np.ones(3)]))
    for columns, message in (
        (("x", "y", "w"), "one size"),
        (("x", "y", "t"), "real numbers"),
        (("x", "y", "q"), "no column"),
    ):
        with pytest.raises(ValueError, match=message):
            read_table(path, columns)
    cut = path.read_bytes()[:-40]
    path.write_bytes(cut)
    with pytest.raises(ValueError, match="could not be read"):
        read_table(path)
    with pytest.raises(ValueError, match="it is a directory"):
        read_table(tmp_path)


def test_a_constant_column_cannot_be_standardized():
    values = np.column_stack([np.arange(5.0), np.full(5, 0.1)])
    with pytest.raises(ValueError, match="column b must vary"):
        standardizer(values, ("a", "b"))


@pytest.mark.parametrize(
    "text",
    ["", "sin(x", "z", "x.real", "x.__class__", "__import__('os')", "lambda: 0", "[x for x in y]", "x if y else 1",  # noqa: E501
     "x < y", "'a'", "True", "1j", "sin()", "sin(x, y)", "sin(x=1)", "open(x)", "x; y", "x = 1", "f'{x}'", "x[0]", "*x",  # noqa: E501
     "(" * 500, "x" * 2000],
)  # fmt: skip
def test_formulas_that_are_none(text):
    with pytest.raises(ValueError, match="expression must"):
        parse_expression(text)


def test_a_formula_s_unknown_name_is_answered_with_the_four_nearest():
    with pytest.raises(ValueError, match=r"'sinn' is not known \(nearest: sin, sinh(, \w+){2}\)"):
        parse_expression("x + sinn")
