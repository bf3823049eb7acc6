"""Slopes against mpmath, in units of the last place, over the whole range of each dtype."""

import jax
import mpmath
import numpy as np
import pytest

import jaxbp
from jaxbp.activations import ACTIVATIONS

mpmath.mp.dps = 40
ALLOWED = 4  # units in the last place


def logistic(z):
    return 1 / (1 + mpmath.exp(-z))


# Each slope, and the size of its terms: where they cancel, it is their rounding that counts.
EXACT = {
    "identity": lambda z: (1, 1),
    "relu": lambda z: (z > 0, 1),
    "leaky_relu": lambda z: (1 if z >= 0 else mpmath.mpf("0.01"), 1),
    "sigmoid": lambda z: (logistic(z) * logistic(-z),) * 2,
    "tanh": lambda z: (mpmath.sech(z) ** 2,) * 2,
    "softplus": lambda z: (logistic(z),) * 2,
    "silu": lambda z: (logistic(z) * (1 + z * logistic(-z)), logistic(z)),
    "gelu": lambda z: (
        mpmath.ncdf(z) + z * mpmath.npdf(z),
        mpmath.ncdf(z) + abs(z * mpmath.npdf(z)),
    ),
    "sine": lambda z: (mpmath.cos(z),) * 2,
}


def points(dtype):
    """Evenly over the range in which exp(-z) is no underflow, densely near 0, and of all sizes."""
    generator, end = np.random.default_rng(0), -np.log(np.finfo(dtype).tiny) - 1
    sizes = 10.0 ** generator.uniform(-30, np.log10(end), 200)
    return np.concatenate(
        [
            generator.uniform(-end, end, 300),
            generator.uniform(-3, 3, 200),
            sizes * generator.choice([-1, 1], 200),
        ]
    ).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_right_to_four_units_in_the_last_place(name, dtype, x64):
    phi, z = ACTIVATIONS[name], points(dtype)
    found = np.asarray(jax.jit(lambda z: phi.slope(z, phi.value(z)))(z))
    assert found.dtype == dtype
    limits = np.finfo(dtype)
    for point, slope in zip(z, found, strict=True):
        exact, term = EXACT[name](mpmath.mpf(float(point)))
        size = max(abs(exact), abs(term))
        if size < 1000 * limits.tiny:  # subnormal numbers count as 0, also inside of a slope
            continue
        unit = mpmath.mpf(2) ** (int(mpmath.frexp(size)[1]) - 1 - limits.nmant)
        assert abs(mpmath.mpf(float(slope)) - exact) <= ALLOWED * unit, point


@pytest.mark.parametrize(
    ("name", "z"), [("sigmoid", 17.0), ("sigmoid", 22.5), ("tanh", 8.0), ("tanh", 12.0)]
)
def test_a_saturated_unit_has_the_right_gradient(name, z):
    """One weight, x = 1, t = 0, half squared error: dL/dw = a phi'(z), in float32."""
    mlp = jaxbp.Mlp((1, 1), output=name)
    params = [(np.float32([[z]]), np.float32([0.0]))]
    a = logistic(mpmath.mpf(z)) if name == "sigmoid" else mpmath.tanh(mpmath.mpf(z))
    expected = float(a * EXACT[name](mpmath.mpf(z))[0])
    _, gradient = jaxbp.loss_and_gradient(mlp, params, [[1]], [[0]], "half_squared_error")
    assert float(gradient[0].weight[0, 0]) == pytest.approx(expected, rel=5e-7)
    report = jaxbp.check_gradients(mlp, params, [[1]], [[0]], "half_squared_error")
    assert report.ok, str(report)
