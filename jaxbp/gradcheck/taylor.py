"""The Taylor remainder of a cotangent: |phi(x + h v) - phi(x) - h <g, v>| falls as h^2, and as h where g is wrong."""

import math
from collections.abc import Sequence

import numpy as np

from jaxbp.gradcheck.directions import Leaf, Probe
from jaxbp.gradcheck.report import Row

STEPS = 2.0 ** -np.arange(6, 31)
CLEAR = 50  # times rounding: what a remainder must be, for its slope to be read


def judge_remainders(probe: Probe, leaves: Sequence[Leaf]) -> tuple[list[Row], list[str]]:
    """Reads the slope of the Taylor remainder in each leaf, for cotangents in float64: 2 where they
    are right.

    Where it is neither that nor about 1, higher terms or kinks have the say, and nothing is
    decided.
    """
    rows, linear, kinks, undecided = [], [], [], []
    for leaf in leaves:
        values = probe.values(
            leaf.position, np.multiply.outer([0, *STEPS, *-STEPS], leaf.direction)
        )
        here, ahead, behind = values[0], values[1 : len(STEPS) + 1], values[len(STEPS) + 1 :]
        remainder = np.abs(ahead - here - STEPS * float(np.sum(leaf.bar * leaf.direction)))
        floor = probe.noise(leaf) + STEPS * leaf.allowed * leaf.scale
        clear = np.flatnonzero(remainder > CLEAR * floor)
        if not clear.size or clear[-1] == 0:
            linear.append(leaf.path)
            continue
        last = clear[-1]
        bend = np.abs(ahead - 2 * here + behind)[
            [last - 1, last]
        ]  # falls as h^2, but across a kink
        if bend[1] > CLEAR * probe.noise(leaf) and not 3.5 < bend[0] / bend[1] < 4.5:
            kinks.append(leaf.path)
            continue
        slope = math.log2(max(remainder[last - 1], 1e-300) / remainder[last])
        if not (0.9 < slope < 1.5 or 1.95 < slope < 2.05):
            undecided.append(leaf.path)
            continue
        rows.append(
            Row(
                leaf.path,
                "slope of the Taylor remainder",
                abs(slope - 2) / 2,
                0.025,
                (),
                slope,
                2.0,
            )
        )
    notes = {
        "no Taylor remainder above rounding": linear,
        "a kink within the steps, no Taylor remainder": kinks,
        "the slope of the Taylor remainder decides nothing": undecided,
    }
    return rows, [f"{what}: {', '.join(paths)}" for what, paths in notes.items() if paths]
