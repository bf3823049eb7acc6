"""Functions of 5 to 10 inputs that surrogate models are compared on, with their usual ranges.

Formulas, ranges and units are those of Surjanovic and Bingham, Virtual Library of Simulation
Experiments: Test Functions and Datasets, https://www.sfu.ca/~ssurjano.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Function(NamedTuple):
    """A function of several inputs over a box.

    Attributes:
        function: points (n, d) -> values (n,).
        bounds: (low, high) of each input.
        names: of the inputs.
        source: the publication.
    """

    function: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[tuple[float, float], ...]
    names: tuple[str, ...]
    source: str

    def sample(
        self, generator: np.random.Generator | np.random.RandomState, num_points: int
    ) -> np.ndarray:
        """Draws points (num_points, d) that are independent and uniform over the box."""
        low, high = np.array(self.bounds).T
        return generator.uniform(low, high, (num_points, len(self.bounds)))


def borehole(points: np.ndarray) -> np.ndarray:
    """Return the flow of water through a borehole, in m^3 a year (Harper and Gupta 1983)."""
    radius, influence, upper, upper_head, lower, lower_head, length, conductivity = points.T
    logarithm = np.log(influence / radius)
    resistance = 1 + 2 * length * upper / (logarithm * radius**2 * conductivity) + upper / lower
    return 2 * np.pi * upper * (upper_head - lower_head) / (logarithm * resistance)


def otl_circuit(points: np.ndarray) -> np.ndarray:
    """Return the midpoint voltage of a push-pull circuit (Ben-Ari and Steinberg 2007)."""
    base_1, base_2, feedback, collector_1, collector_2, gain = points.T
    amplified = gain * (collector_2 + 9)
    bias = 12 * base_2 / (base_1 + base_2)
    weighted = (
        (bias + 0.74) * amplified + 11.35 * feedback + 0.74 * feedback * amplified / collector_1
    )
    return weighted / (amplified + feedback)


def wing_weight(points: np.ndarray) -> np.ndarray:
    """The weight of a light aircraft's wing, in pounds (Forrester, Sobester and Keane 2008)."""
    area, fuel, aspect, sweep, pressure, taper, thickness, load, gross, paint = points.T
    cosine = np.cos(np.deg2rad(sweep))
    return (
        0.036
        * area**0.758
        * fuel**0.0035
        * (aspect / cosine**2) ** 0.6
        * pressure**0.006
        * taper**0.04
    ) * (100 * thickness / cosine) ** -0.3 * (load * gross) ** 0.49 + area * paint


def friedman(points: np.ndarray) -> np.ndarray:
    """Return 10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5 (Friedman 1991)."""
    x1, x2, x3, x4, x5 = points.T
    return 10 * np.sin(np.pi * x1 * x2) + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5


FUNCTIONS: dict[str, Function] = {
    "borehole": Function(
        borehole,
        (
            (0.05, 0.15),
            (100, 50_000),
            (63_070, 115_600),
            (990, 1110),
            (63.1, 116),
            (700, 820),
            (1120, 1680),
            (9855, 12_045),
        ),
        (
            "r_w (m)",
            "r (m)",
            "T_u (m2/yr)",
            "H_u (m)",
            "T_l (m2/yr)",
            "H_l (m)",
            "L (m)",
            "K_w (m/yr)",
        ),
        "Harper and Gupta 1983, BMI/ONWI-516; ranges of Morris et al. 1993, Technometrics 35",
    ),
    "otl_circuit": Function(
        otl_circuit,
        ((50, 150), (25, 70), (0.5, 3), (1.2, 2.5), (0.25, 1.2), (50, 300)),
        ("R_b1 (kOhm)", "R_b2 (kOhm)", "R_f (kOhm)", "R_c1 (kOhm)", "R_c2 (kOhm)", "beta"),
        "Ben-Ari and Steinberg 2007, Quality Engineering 19",
    ),
    "wing_weight": Function(
        wing_weight,
        (
            *((150, 200), (220, 300), (6, 10), (-10, 10), (16, 45)),
            *((0.5, 1), (0.08, 0.18), (2.5, 6), (1700, 2500), (0.025, 0.08)),
        ),
        (
            *("S_w (ft2)", "W_fw (lb)", "A", "sweep (degrees)", "q (lb/ft2)"),
            *("taper", "t_c", "N_z", "W_dg (lb)", "W_p (lb/ft2)"),
        ),
        "Forrester, Sobester and Keane 2008, Engineering Design via Surrogate Modelling",
    ),
    "friedman": Function(
        friedman,
        ((0, 1),) * 5,
        ("x1", "x2", "x3", "x4", "x5"),
        "Friedman 1991, Annals of Statistics 19; called Friedman 1",
    ),
}
