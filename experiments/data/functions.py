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
        ranges: (low, high) of each input, by its name and unit.
    """

    function: Callable[[np.ndarray], np.ndarray]
    ranges: dict[str, tuple[float, float]]

    def sample(self, generator: np.random.RandomState, num_points: int) -> np.ndarray:
        """Draw points (num_points, d) that are independent and uniform over the box."""
        low, high = np.array(list(self.ranges.values())).T
        return generator.uniform(low, high, (num_points, len(low)))


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
    bias = (12 * base_2 / (base_1 + base_2) + 0.74) * amplified
    collected = 0.74 * feedback * amplified / collector_1
    return (bias + 11.35 * feedback + collected) / (amplified + feedback)


def wing_weight(points: np.ndarray) -> np.ndarray:
    """Return the weight of a light aircraft's wing in pounds (Forrester et al. 2008)."""
    area, fuel, aspect, sweep, pressure, taper, thickness, load, gross, paint = points.T
    cosine = np.cos(np.deg2rad(sweep))
    wing = 0.036 * area**0.758 * fuel**0.0035 * (aspect / cosine**2) ** 0.6 * taper**0.04
    flight = pressure**0.006 * (100 * thickness / cosine) ** -0.3 * (load * gross) ** 0.49
    return wing * flight + area * paint


def friedman(points: np.ndarray) -> np.ndarray:
    """Return 10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5 (Friedman 1991)."""
    x1, x2, x3, x4, x5 = points.T
    return 10 * np.sin(np.pi * x1 * x2) + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5


BOREHOLE = {  # ranges of Morris et al. 1993, Technometrics 35
    "r_w (m)": (0.05, 0.15),
    "r (m)": (100, 50_000),
    "T_u (m2/yr)": (63_070, 115_600),
    "H_u (m)": (990, 1110),
    "T_l (m2/yr)": (63.1, 116),
    "H_l (m)": (700, 820),
    "L (m)": (1120, 1680),
    "K_w (m/yr)": (9855, 12_045),
}
CIRCUIT = {
    "R_b1 (kOhm)": (50, 150),
    "R_b2 (kOhm)": (25, 70),
    "R_f (kOhm)": (0.5, 3),
    "R_c1 (kOhm)": (1.2, 2.5),
    "R_c2 (kOhm)": (0.25, 1.2),
    "beta": (50, 300),
}
WING = {
    "S_w (ft2)": (150, 200),
    "W_fw (lb)": (220, 300),
    "A": (6, 10),
    "sweep (degrees)": (-10, 10),
    "q (lb/ft2)": (16, 45),
    "taper": (0.5, 1),
    "t_c": (0.08, 0.18),
    "N_z": (2.5, 6),
    "W_dg (lb)": (1700, 2500),
    "W_p (lb/ft2)": (0.025, 0.08),
}
FUNCTIONS = {
    "borehole": Function(borehole, BOREHOLE),
    "otl_circuit": Function(otl_circuit, CIRCUIT),
    "wing_weight": Function(wing_weight, WING),
    "friedman": Function(friedman, {f"x{i}": (0, 1) for i in range(1, 6)}),
}
