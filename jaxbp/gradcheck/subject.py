"""A rule under check at a point: its numbers, and the error of each that rounding explains.

An element may be off by 8 u^(3/4) of it, u the unit of the coarsest dtype that a result passes
through. One that is further off is allowed 16 times the measured rounding as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxbp.gradcheck import calls
from jaxbp.gradcheck.calls import BIG, OWN, SINGLE, WIDE, Call, Leaves, Outcome, Setting

SAFETY = 16  # times a measured rounding error
DRAWS = 4  # points at which rounding is measured
NUDGE = 2.0**-18  # relative change of the arguments by which conditioning is measured


@dataclass
class Place:
    """A point, given or searched, with the numbers of the reference and their rounding there."""

    point: Leaves
    cotangent: Leaves
    direction: Leaves
    label: str = ""
    given: bool = True
    truth: Outcome | None = None
    measured: dict[Any, Any] = field(default_factory=dict)
    kinked: bool = False

    def where(self, setting: Setting) -> str:
        """The conditions of a row."""
        return " ".join(filter(None, (setting.name, self.label and f"at {self.label}")))

    def moved(self, point: Leaves, **changes: Any) -> "Place":
        """Another point with the same cotangent and direction."""
        return replace(self, point=point, measured={}, **changes)


@dataclass
class Subject:
    """A rule, its reference, and what is known of both."""

    call: Call
    reference: Call | None
    fixed: Leaves  # the arguments without a derivative
    paths: list[str]  # the names of those with one
    rtol: float | None
    generator: np.random.Generator
    setting: Setting = WIDE  # of the reference
    units: dict[Setting, float] = field(default_factory=lambda: {OWN: 0.0})  # of the coarsest dtype
    coarse: float = 0.0  # the unit of the coarsest dtype of value and cotangents
    skipped: dict[str, int] = field(default_factory=dict)  # inconclusive elements by reason

    def draw(self, leaves: Sequence[Any]) -> Leaves:
        """Draw normal numbers of the shapes and dtypes of leaves."""
        drawn = []
        for leaf in leaves:
            real, imaginary = self.generator.standard_normal((2, *np.shape(leaf)))
            numbers = real + 1j * imaginary if jnp.iscomplexobj(leaf) else real
            drawn.append(numbers.astype(leaf.dtype))
        return drawn

    def outcome(self, call: Call, setting: Setting, place: Place) -> Outcome:
        """Run a call and its rule, to the order that it has."""
        at = place.point, self.fixed, place.cotangent, place.direction
        return calls.differentiate(call, setting, *at)

    def set_truth(self, place: Place) -> None:
        """Run the reference; results that are not finite get no cotangent."""
        if self.reference is None:
            return
        place.truth = self.outcome(self.reference, self.setting, place)
        masks = [np.isfinite(leaf) for leaf in place.truth.value]
        if not all(mask.all() for mask in masks):
            place.cotangent = [
                np.where(mask, bar, 0).astype(bar.dtype)
                for mask, bar in zip(masks, place.cotangent, strict=True)
            ]
            place.truth = self.outcome(self.reference, self.setting, place)

    def skip(self, why: str, count: int) -> None:
        """Count inconclusive elements."""
        if count:
            self.skipped[why] = self.skipped.get(why, 0) + count

    def wrong(
        self, place: Place, setting: Setting, kind: str, hand: Leaves, expected: Leaves,
        batched: bool = False,
    ) -> list[np.ndarray]:  # fmt: skip
        """Mask the elements that are further off than rounding explains; measure it if need be."""

        def off() -> list[np.ndarray]:
            limits = self.allowed(place, setting, kind, expected, batched)
            return [
                ~(np.abs(wide(got) - want) <= limit) & np.isfinite(want) & np.isfinite(limit)
                for got, want, limit in zip(hand, expected, limits, strict=True)
            ]

        masks = off()
        if any(mask.any() for mask in masks):
            for _ in self._measure(place, setting, kind, masks):
                masks = off()
                if not any(mask.any() for mask in masks):
                    break
        return masks

    def allowed(
        self, place: Place, setting: Setting, kind: str, expected: Leaves, batched: bool = False
    ) -> list[np.ndarray]:
        """Return the largest error that passes, for each element.

        In a batch, normwise as well: its other point is not measured.
        """
        unit = self.unit(setting)
        relative = 8 * unit**0.75 if self.rtol is None else self.rtol
        measured = place.measured.get((setting, kind), [0.0] * len(expected))
        limits = []
        for leaf, rounding in zip(expected, measured, strict=True):
            limit = np.asarray(np.abs(wide(leaf)))
            norm = 8 * unit * float(np.linalg.norm(limit[np.isfinite(limit)]))
            limit *= relative
            limit += rounding
            if self.setting is OWN or leaf.size > BIG:  # rounding is not measured, or costs much
                limit += norm
            if batched:
                limit *= 4
                limit += norm
            limit[np.isnan(limit)] = np.inf
            limits.append(limit)
        return limits

    def unit(self, setting: Setting) -> float:
        """The unit of the coarsest dtype that a result passes through."""
        single, double = map(calls.unit_of, (np.float32, np.float64))
        if setting is OWN:
            return max(self.coarse, self.units[OWN])
        narrow = self.units[OWN] if self.units[OWN] > single else 0.0
        if setting is SINGLE:
            return max(single, narrow)
        return max(double, narrow, self.units.get(WIDE, 0.0))

    def _measure(
        self, place: Place, setting: Setting, kind: str, masks: list[np.ndarray]
    ) -> Iterator[None]:
        """Measure rounding in some elements: float32 beside float64, and changes of arguments.

        Each of the draws may raise the limits; the caller stops when they explain the error.
        """
        known = place.truth is not None and place.truth.bars
        call = self.reference if known and self.reference is not None else self.call
        if setting is WIDE and WIDE not in self.units:
            rule, fixed = replace(self.call, pulled=True), [*self.fixed, *place.cotangent]
            coarsest = calls.coarsest(calls.operations(rule, WIDE, place.point, fixed))
            self.units[WIDE] = min(coarsest, self.unit(OWN))
        unit = self.unit(setting)
        scale = unit / calls.unit_of(np.float32)
        # The second order is compared in one precision only.
        orders = 2 if kind == "second" or setting is self.setting else 1
        like = place.cotangent if kind == "value" else place.point
        at = [
            np.flatnonzero(mask.reshape(-1, *leaf.shape).any(axis=0))
            for mask, leaf in zip(masks, like, strict=True)
        ]
        limits = place.measured.setdefault((setting, kind), [0.0] * len(like))
        for k, some in enumerate(at):
            if some.size and not np.ndim(limits[k]):
                limits[k] = np.zeros(like[k].shape)
        drawn: list[list[Leaves]] = []
        for draw in range(DRAWS):
            moved = self._nudged(place, NUDGE * (draw > 0))

            def numbers(call: Call, setting: Setting, moved: Place = moved) -> Leaves:
                if setting is not self.setting:
                    call = replace(call, orders=min(call.orders, orders))
                leaves = getattr(self.outcome(call, setting, moved), kind)
                return [wide(leaf.ravel()[some]) for leaf, some in zip(leaves, at, strict=False)]

            exact = numbers(call, self.setting)
            try:
                narrow = numbers(call, SINGLE) or exact
                hand, rough = (numbers(self.call, some) for some in (self.setting, SINGLE))
            except Exception:
                narrow = hand = rough = exact
            drawn.append([exact, narrow, [a - b for a, b in zip(rough, hand, strict=True)]])
            for k, some in enumerate(at):
                if not some.size:
                    continue
                exact_k, narrow_k, noise = (
                    np.stack([row[i][k] for row in drawn]) for i in range(3)
                )
                here = exact_k[0]
                # The rule's own rounding changes from draw to draw, and a wrong rule does not.
                noise = np.abs(noise - noise.mean(axis=0))
                noise = np.where(np.isfinite(noise), noise, 0)  # a NaN of the rule is no rounding
                spread = scale * (np.abs(narrow_k - exact_k) + noise)
                spread += unit / NUDGE * np.abs(exact_k - here)
                limit = SAFETY * spread.max(axis=0)
                limit = np.where(np.isfinite(here) & ~np.isfinite(limit), np.inf, limit)
                limits[k].ravel()[some] = np.fmax(limits[k].ravel()[some], limit)
            yield

    def _nudged(self, place: Place, relative: float) -> Place:
        """The point with each number changed by about that share, in float64 if it is used."""
        changed = []
        for leaf in place.point:
            finer = leaf if self.setting is OWN else wide(leaf)
            signs = self.generator.choice([-1.0, 1.0], leaf.shape)
            changed.append((finer * (1 + relative * signs)).astype(finer.dtype))
        return place.moved(changed)


def wide(leaf: Any) -> np.ndarray:
    """Return a leaf in float64 or complex128."""
    return np.asarray(leaf).astype(np.complex128 if jnp.iscomplexobj(leaf) else np.float64)
