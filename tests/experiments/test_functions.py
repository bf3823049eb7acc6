"""Functions of several inputs: their published values, in their published ranges."""

import math

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

from data import FUNCTIONS

# Ben-Ari and Steinberg 2007, Forrester and others 2008, Friedman 1991; those of the borehole are
# below.
RANGES = {
    "otl_circuit": [(50, 150), (25, 70), (0.5, 3), (1.2, 2.5), (0.25, 1.2), (50, 300)],
    "wing_weight": [
        *[(150, 200), (220, 300), (6, 10), (-10, 10), (16, 45)],
        *[(0.5, 1), (0.08, 0.18), (2.5, 6), (1700, 2500), (0.025, 0.08)],
    ],
    "friedman": [(0, 1)] * 5,
}


@pytest.mark.parametrize("name", RANGES)
def test_ranges_are_the_published_ones(name):
    assert list(FUNCTIONS[name].ranges.values()) == RANGES[name]


def at(name, *points):
    return FUNCTIONS[name].function(np.array(points, float))


def test_functions_have_their_published_values():
    # The extremes of the borehole's flow lie in corners of its box: 7.8 and 309.6 m^3 a year.
    highest = (0.15, 100, 115_600, 1110, 116, 700, 1120, 12_045)
    lowest = (0.05, 50_000, 63_070, 990, 63.1, 820, 1680, 9855)
    np.testing.assert_allclose(at("borehole", highest, lowest), [309.57559, 7.8196763], rtol=1e-7)
    assert tuple(tuple(sorted(pair)) for pair in zip(highest, lowest, strict=True)) == tuple(
        FUNCTIONS["borehole"].ranges.values()
    )
    # The wing that its authors start from, a Cessna C172's, term by term.
    wing = (174, 252, 7.52, 0, 34, 0.672, 0.12, 3.8, 2000, 0.064)
    terms = (
        0.036
        * 174**0.758
        * 252**0.0035
        * 7.52**0.6
        * 34**0.006
        * 0.672**0.04
        * 12**-0.3
        * 7600**0.49
    )
    np.testing.assert_allclose(at("wing_weight", wing), terms + 174 * 0.064, rtol=1e-14)
    swept = (*wing[:3], 10, *wing[4:])  # a sweep in degrees
    cosine = math.cos(math.pi / 18)
    np.testing.assert_allclose(
        at("wing_weight", swept), terms * cosine ** (0.3 - 1.2) + 174 * 0.064, rtol=1e-14
    )
    # With R_b1 = R_b2 the bias is 6 V; beta (R_c2 + 9) = 1000 and R_f = 2 make three terms over
    # 1002.
    np.testing.assert_allclose(
        at("otl_circuit", (50, 50, 2, 2, 1, 100)), (6740 + 22.7 + 740) / 1002, rtol=1e-14
    )
    points, values = make_friedman1(100, 5, noise=0.0, random_state=0)
    np.testing.assert_allclose(FUNCTIONS["friedman"].function(points), values, rtol=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_sampled_in_their_boxes(name):
    row = FUNCTIONS[name]
    points = row.sample(np.random.RandomState(0), 1000)
    low, high = np.array(list(row.ranges.values())).T
    assert points.shape == (1000, len(row.ranges))
    assert ((low <= points) & (points <= high)).all()
    assert np.ptp(points, axis=0) == pytest.approx(high - low, rel=0.05)
    assert row.function(points).shape == (1000,)
