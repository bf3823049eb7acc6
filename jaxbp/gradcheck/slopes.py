"""A rule beside central differences: rows of a report, and a second look at what seems wrong."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxbp.gradcheck.calls import Leaves
from jaxbp.gradcheck.differences import (
    CONCLUSIVE,
    Probe,
    coordinates,
    num_coordinates,
    remainder_slope,
)
from jaxbp.gradcheck.report import Row, worst_row
from jaxbp.gradcheck.subject import Place, Subject

SLACK = 1e-7  # relative error of a central difference beside the measured one
LOOKS = 6  # elements at which a disagreement is looked at again
LARGE = 2**26  # numbers in all evaluations together, about


def rows_of_slopes(
    subject: Subject, place: Place, kind: str, hand: Leaves, budget: int, methods: tuple[str, ...]
) -> list[Row]:
    """Compare single elements and a direction in each leaf, and read the Taylor remainder.

    At a searched point only wrong rows are returned, and none at a kink.
    """
    sizes = [num_coordinates(leaf) for leaf in place.point]
    total = sum(sizes)
    if not total or not budget:
        return []
    most = max(1, min(budget, LARGE // total) // 18 - len(sizes))
    if place.truth is not None and place.truth.bars:
        most = min(most, 16 * len(sizes))
    elements = np.sort(subject.generator.choice(total, min(most, total), replace=False))
    probe = _probe(subject, place, kind)
    direction = probe.draw(subject.generator)
    slopes = probe.slopes(elements, direction)
    truth = getattr(place.truth, kind) if place.truth is not None else []
    limits = subject.allowed(place, subject.setting, kind, truth or hand)
    got, limit = coordinates(hand, cotangents=True), _as_coordinates(limits, place)
    method = "central difference" if kind == "bars" else "second order"
    rows = []
    for k, (low, high) in enumerate(pairwise(np.cumsum([0, *sizes]))):
        own = np.flatnonzero((elements >= low) & (elements < high))
        part, along = slice(low, high), len(elements) + k
        share = got[part] * direction[part]
        slack = float(np.sum(limit[part] * np.abs(direction[part])))
        probes = np.append(own, along)
        size = np.append(
            np.full(len(own), np.linalg.norm(np.nan_to_num(got[part]))),
            np.linalg.norm(np.nan_to_num(share)),
        )
        if method in methods:
            hands = np.append(got[elements[own]], share.sum())
            allowed = np.append(limit[elements[own]], slack)
            names = [*elements[own] - low, -1]
            columns = np.stack([hands, allowed, size])
            row = _row(
                subject,
                place,
                (k, method),
                [column[probes] for column in slopes[:4]],
                columns,
                names,
            )
            kinked = bool((slopes.low[probes] != slopes.high[probes]).any())
            if row is not None and (place.given or not (row.ok or kinked)):
                rows.append(row)
        if kind == "bars" and place.given and "Taylor remainder" in methods and high > low:
            found = remainder_slope(slopes, along, float(share.sum()), slack)
            if found is not None:
                numbers = abs(found - 2) / 2, 0.05, (), found, 2.0, subject.setting.name
                rows.append(Row(subject.paths[k], "Taylor remainder", *numbers))
    return rows


def _row(
    subject: Subject,
    place: Place,
    of: tuple[int, str],
    slopes: list[np.ndarray],
    columns: np.ndarray,
    names: list[int],
) -> Row | None:
    """The row of a leaf's worst probe; None where no difference is conclusive."""
    hand, limit, size = columns
    slope, low, high, error = slopes
    known = error <= CONCLUSIVE * np.maximum(np.abs(slope), 0.01 * size)
    known |= (error < 1e-6) & (np.abs(slope) < 1e-6)
    known &= np.isfinite(limit)
    subject.skip("central differences do not settle", int((~known).sum()) * place.given)
    off = np.maximum(0, np.maximum(low - hand, hand - high))
    nearest = np.clip(hand, low, high)
    row = worst_row(
        (subject.paths[of[0]], of[1], place.where(subject.setting)),
        hand,
        np.where(np.isfinite(nearest), nearest, slope),
        off,
        error + limit + SLACK * np.abs(slope),
        known,
    )
    if row is None:
        return None
    leaf, (worst,) = place.point[of[0]], row.place
    if names[worst] < 0:
        return row._replace(place=())
    at = np.unravel_index(names[worst] % leaf.size, leaf.shape)
    return row._replace(place=tuple(map(int, at)))


def look_again(
    subject: Subject, place: Place, kind: str, hand: Leaves, expected: Leaves, wrong: list[Any]
) -> str:
    """Return what differences at some wrong elements, and along all of them, say of the rule.

    "excused" if its numbers lie between the one-sided derivatives at a kink or tie, or are the
    derivatives of its own first order; "wrong" if the reference's numbers are confirmed; else "".
    """
    mask = _as_coordinates(wrong, place) > 0
    flat = np.flatnonzero(mask)
    chosen = flat[np.unique(np.linspace(0, len(flat) - 1, LOOKS).astype(int))]
    probe = _probe(subject, place, kind)
    sizes = np.maximum(np.abs(probe.flat), probe.typical())
    slopes = probe.slopes(chosen, np.where(mask, sizes, 0))
    slope, low, high, error = slopes[:4]
    edges = np.cumsum([0, *map(num_coordinates, place.point)])
    got, want = (
        np.append(all_[chosen], [np.sum((all_ * np.where(mask, sizes, 0))[a:b])
                                 for a, b in pairwise(edges)])
        for all_ in (coordinates(some, cotangents=True) for some in (hand, expected))
    )  # fmt: skip
    slack = np.where(np.isfinite(error), error, 0) + 1e-6 * np.abs(got)
    inside = (low - slack <= got) & (got <= high + slack)
    own, first = np.arange(len(inside)) < len(chosen), kind == "bars"
    # All together: max(a, b) at a tie grows by 1, so (1, 1) is no derivative of it.
    inside = np.where(own, inside & ((low < high) | (not first)), inside | (not first))
    if inside.all():
        return "excused"
    near = np.abs(want - slope) <= error + 1e-6 * np.abs(want)
    apart = ~(np.abs(got - slope) <= 4 * error + 1e-6 * np.abs(want))
    confirmed = (low == high) & near & apart & np.isfinite(error)
    return "wrong" if confirmed[: len(chosen)].any() else ""


def _probe(subject: Subject, place: Place, kind: str) -> Probe:
    """The reference; for the second order the cotangents along the direction."""
    if kind == "bars":
        call = subject.reference or subject.call
        return Probe(call, subject.setting, place.point, subject.fixed, place.cotangent)
    fixed = [*subject.fixed, *place.cotangent]
    rule = replace(subject.call, pulled=True)
    return Probe(rule, subject.setting, place.point, fixed, place.direction)


def _as_coordinates(leaves: list[Any], place: Place) -> np.ndarray:
    """Real numbers for each element, as one for each coordinate."""
    pairs = zip(leaves, place.point, strict=True)
    return coordinates([leaf + (1j * leaf if jnp.iscomplexobj(x) else 0) for leaf, x in pairs])
