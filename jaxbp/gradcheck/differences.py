"""Derivatives from values alone: phi(x) = Re <u, f(x)>, moved along elements and directions.

Each central difference (phi(x + h v) - phi(x - h v)) / 2h is taken for nine steps, h falling by ten
from a hundredth of the scale of the argument; the step is chosen where two steps agree best, and
their difference is the error. Where forward and backward difference stay apart as h falls there is
a kink, and every number between the two passes.

A complex element is two coordinates, its real and its imaginary part.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.gradcheck.calls import Call, Leaves, Setting, compiled, paired

STEPS = 10.0 ** -np.arange(2, 11)  # of the scale of the argument
KINK = 0.03  # ratio of second differences over a factor of ten in h: 0.01 if smooth, 0.1 at a kink
CONCLUSIVE = 0.05  # error of a difference, relative to its size or to that of the gradient
PADDED = 64  # rows: their number is a multiple of it, so that fewer programs are compiled
REMAINDER_RATIO = 100  # of rounding: the least Taylor remainder whose slope is read


class Slopes(NamedTuple):
    """Derivatives along some probes.

    Attributes:
        slope: the central differences.
        low: the least one-sided derivative at a kink, elsewhere `slope`.
        high: the largest one.
        error: of `slope`, infinite where no two steps agree.
        steps: those taken.
        here: the value at the point.
        ahead: the values at the steps.
        noise: the rounding of values.
    """

    slope: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    steps: np.ndarray
    here: float
    ahead: np.ndarray
    noise: float


class Probe(NamedTuple):
    """A function whose values, paired with a cotangent, are taken near a point."""

    call: Call
    setting: Setting
    point: Leaves
    fixed: Leaves
    cotangent: Leaves

    @property
    def flat(self) -> np.ndarray:
        """The coordinates of the point."""
        return coordinates(self.point)

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        """Draw a direction, of the size of the point."""
        sizes = np.where(self.flat != 0, np.abs(self.flat), self.typical())
        return generator.standard_normal(len(sizes)) * sizes

    def slopes(
        self, elements: np.ndarray, direction: np.ndarray, relative: np.ndarray = STEPS
    ) -> Slopes:
        """Differentiate along coordinates, then along the part of a direction in each leaf."""
        edges = np.cumsum([0, *map(num_coordinates, self.point)])
        few, many = np.zeros(len(elements), int), len(edges) - 1
        lows, highs = (np.concatenate([few, some]) for some in (edges[:-1], edges[1:]))
        places = np.concatenate([elements, np.full(many, -1)])
        scales = np.maximum(np.abs(self.flat[elements]), self.typical()[elements])
        steps = relative * np.concatenate([scales, np.ones(many)])[:, np.newaxis]
        moves = np.concatenate([steps, -steps], axis=1).ravel()
        lows, highs, places = (np.repeat(some, 2 * len(relative)) for some in (lows, highs, places))
        columns = (
            lows,
            highs,
            np.where(highs > lows, moves, 0),
            places,
            np.where(highs > lows, 0, moves),
        )
        values = self._values(direction, *(np.append(column, 0) for column in columns))
        here, values = values[-1], values[:-1].reshape(len(steps), 2, len(relative))
        return _slopes_of(here, values[:, 0], values[:, 1], steps, self._unit())

    def typical(self) -> np.ndarray:
        """The root mean square of the leaf of each coordinate, 1 where it is 0."""
        sizes = []
        for leaf in self.point:
            count = num_coordinates(leaf)
            rms = float(np.linalg.norm(np.asarray(leaf))) / max(count, 1) ** 0.5
            sizes.append(np.full(count, rms if 0 < rms < np.inf else 1.0))
        return np.concatenate(sizes)

    def _unit(self) -> float:
        dtypes = [leaf.dtype for leaf in self.point]
        return float(jnp.finfo(self.setting.dtype or jnp.result_type(*dtypes)).eps)

    def _values(self, direction: np.ndarray, *columns: np.ndarray) -> np.ndarray:
        """phi at some points: the direction added between two coordinates, a number to one."""
        count = len(columns[0])
        with self.setting.mode():
            point, cotangent = self.setting.cast(self.point), self.setting.cast(self.cotangent)
            arguments = (point, self.fixed, cotangent, jnp.asarray(direction))
            if self.call.jitted:
                rows = [np.pad(column, (0, -count % PADDED)) for column in columns]
                return np.asarray(_values(self.call, *arguments, count, rows), np.float64)[:count]
            return np.array(
                [float(_value(self.call, *arguments, row)) for row in zip(*columns, strict=True)]
            )


def _slopes_of(
    here: float, ahead: np.ndarray, behind: np.ndarray, steps: np.ndarray, eps: float
) -> Slopes:
    """Choose a step for each probe (see the module)."""
    central = (ahead - behind) / (2 * steps)
    bend = np.abs(ahead - 2 * here + behind)
    size = np.nanmax(np.where(np.isfinite(ahead), np.abs(ahead), 0)[:, -3:], initial=abs(here))
    noise = max(eps * size, float(np.nanmedian(bend[:, -1])) if np.isfinite(bend).any() else 0.0)
    change = np.abs(np.diff(central, axis=1))
    error = np.maximum(change[:, 1:], change[:, :-1] / 100) + 2 * noise / steps[:, 1:-1]
    error = np.where(np.isfinite(error), error, np.inf)
    chosen = np.argmin(error, axis=1)
    rows = np.arange(len(central))
    error, slope = error[rows, chosen], central[rows, chosen + 1]
    bends = [bend[rows, chosen + k] for k in (0, 1)]
    h = steps[rows, chosen + 1]
    kink = (bends[1] > KINK * bends[0]) & (bends[1] > 8 * noise + 0.1 * error * h)
    sides = np.stack([ahead[rows, chosen + 1] - here, here - behind[rows, chosen + 1]]) / h
    low = np.where(kink, sides.min(axis=0), slope)
    high = np.where(kink, sides.max(axis=0), slope)
    return Slopes(slope, low, high, 4 * error, steps, here, ahead, noise)


def remainder_slope(slopes: Slopes, probe: int, hand: float, floor: float) -> float | None:
    """Return the slope of |phi(x + h v) - phi(x) - h s| over h: 2 for a right s, 1 for a wrong one.

    None where the remainder vanishes in rounding, and where higher terms or a kink dominate. Beyond
    a kink at a distance the remainder of a right s falls as h too, but at the next step, before the
    kink, it is gone.
    """
    steps, ahead = slopes.steps[probe], slopes.ahead[probe]
    remainder = np.abs(ahead - slopes.here - steps * hand)
    clear = remainder > REMAINDER_RATIO * (slopes.noise + steps * floor)
    clear &= np.isfinite(remainder)
    last = int(np.flatnonzero(clear)[-1]) if clear.any() else 0
    if last < 1 or not clear[last - 1] or slopes.low[probe] != slopes.high[probe]:
        return None
    found = float(np.log10(remainder[last - 1] / remainder[last]))
    if found < 1.2 and last + 1 < len(remainder) and 20 * remainder[last + 1] < remainder[last]:
        return None
    return found if 0.9 < found < 1.2 or 1.9 < found < 2.1 else None


def coordinates(leaves: Sequence[Any], cotangents: bool = False) -> np.ndarray:
    """Return all elements as real numbers; those of cotangents so that they pair with a change."""
    parts = [np.zeros(0)]
    for leaf in leaves:
        array = np.asarray(leaf)
        if jnp.iscomplexobj(array):
            sign = -1 if cotangents else 1
            parts += [array.real.ravel().astype(np.float64), sign * array.imag.ravel()]
        else:
            parts.append(array.ravel().astype(np.float64))
    return np.concatenate(parts).astype(np.float64)


def num_coordinates(leaf: Any) -> int:
    """Return the number of coordinates of a leaf."""
    return int(np.size(leaf)) * (1 + bool(jnp.iscomplexobj(leaf)))


def _value(
    call: Call, moving: Leaves, fixed: Leaves, cotangent: Leaves, direction: Any, row: Any
) -> Any:
    """phi at one point, see `Probe._values`."""
    low, high, step, element, bump = row
    moved, start = [], 0
    for leaf in moving:
        parts = [jnp.real(leaf), jnp.imag(leaf)] if jnp.iscomplexobj(leaf) else [leaf]
        changed = []
        for part in parts:
            places = start + jnp.arange(part.size).reshape(part.shape)
            inside = (places >= low) & (places < high)
            along = jnp.reshape(direction[start : start + part.size], part.shape)
            change = jnp.where(inside, step * along, 0) + jnp.where(places == element, bump, 0)
            changed.append(part + change.astype(part.dtype))
            start += part.size
        moved.append(changed[0] if len(changed) == 1 else jax.lax.complex(*changed))
    return paired(cotangent, call(moved, fixed))


@partial(compiled, static_argnums=0)
def _values(
    call: Call, moving: Leaves, fixed: Leaves, cotangent: Leaves, direction: Any, count: Any,
    rows: Any,
) -> Any:  # fmt: skip
    def one(k: Any, values: Any) -> Any:
        row = [column[k] for column in rows]
        return values.at[k].set(_value(call, moving, fixed, cotangent, direction, row))

    return jax.lax.fori_loop(0, count, one, jnp.zeros(len(rows[0])))
