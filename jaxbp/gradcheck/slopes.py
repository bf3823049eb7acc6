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
OVERFLOWS = 100.0  # size of an argument from which exponentials and their powers may overflow
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
    slope, low, high, error = slopes[:4]
    truth = getattr(place.truth, kind) if place.truth is not None else []
    limits = subject.allowed(place, subject.setting, kind, truth or hand)
    got, limit = coordinates(hand, cotangents=True), _as_coordinates(limits, place)
    edges, many = np.cumsum([0, *sizes]), len(elements)
    parts = [np.nan_to_num(got[a:b]) for a, b in pairwise(edges)]
    owner = np.append(np.searchsorted(edges, elements, side="right") - 1, np.arange(len(sizes)))
    size = _along(np.abs(np.nan_to_num(got)), elements, np.abs(direction), edges)
    size[:many] = np.array([np.linalg.norm(part) for part in parts])[owner[:many]]
    got = _along(got, elements, direction, edges)
    limit = _along(limit, elements, np.abs(direction), edges)
    known = error <= CONCLUSIVE * np.maximum(np.abs(slope), 0.01 * size)
    known |= (error < 1e-6) & (np.abs(slope) < 1e-6)
    known &= np.isfinite(limit)
    subject.skip("central differences do not settle", int((~known).sum()) * place.given)
    off = np.maximum(0, np.maximum(low - got, got - high))
    nearest = np.clip(got, low, high)
    numbers = got, np.where(np.isfinite(nearest), nearest, slope), off
    allowed = error + limit + SLACK * np.abs(slope)
    method = "central difference" if kind == "bars" else "second order"
    rows = []
    for k, (path, leaf) in enumerate(zip(subject.paths, place.point, strict=True)):
        of, mine = (path, method, place.where(subject.setting)), owner == k
        row = worst_row(of, *numbers, allowed, known & mine) if method in methods else None
        kinked = bool((low != high)[mine].any())
        if row is not None and (place.given or not (row.ok or kinked)):
            at: Any = ()
            if row.place[0] < many:
                at = np.unravel_index((elements[row.place[0]] - edges[k]) % leaf.size, leaf.shape)
            rows.append(row._replace(place=tuple(map(int, at))))
        if kind == "bars" and place.given and "Taylor remainder" in methods and leaf.size:
            found = remainder_slope(slopes, many + k, float(got[many + k]), float(limit[many + k]))
            if found is not None:
                errors = abs(found - 2) / 2, 0.05, (), found, 2.0, subject.setting.name
                rows.append(Row(path, "Taylor remainder", *errors))
    return rows


def _along(
    values: np.ndarray, elements: np.ndarray, direction: np.ndarray, edges: np.ndarray
) -> np.ndarray:
    """Some elements, then the sums along the part of a direction in each leaf."""
    sums = [float(values[a:b] @ direction[a:b]) for a, b in pairwise(edges)]
    return np.append(values[elements], sums)


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
    direction = np.where(mask, np.maximum(np.abs(probe.flat), probe.typical()), 0)
    slope, low, high, error = probe.slopes(chosen, direction)[:4]
    edges = np.cumsum([0, *map(num_coordinates, place.point)])
    got, want = (
        _along(np.where(mask, coordinates(some, cotangents=True), 0), chosen, direction, edges)
        for some in (hand, expected)
    )
    slack = np.where(np.isfinite(error), error, 0) + 1e-6 * np.abs(got)
    inside = (low - slack <= got) & (got <= high + slack)
    own, first = np.arange(len(inside)) < len(chosen), kind == "bars"
    # All together: max(a, b) at a tie grows by 1, so (1, 1) is no derivative of it.
    inside = np.where(own, inside & ((low < high) | (not first)), inside | (not first))
    if inside.all():
        return "excused"
    near = np.abs(want - slope) <= error + 1e-6 * np.abs(want)
    apart = ~(np.abs(got - slope) <= 4 * error + 1e-6 * np.abs(want))
    conclusive = error <= CONCLUSIVE * np.fmax(np.abs(want), np.abs(got))
    confirmed = (low == high) & near & apart & conclusive
    # A rule without any number, as beside a singular matrix, is wrong where each is confirmed; not
    # at second order and a large point, where the derivative of 1 / cosh(x)^2 overflows.
    some = (confirmed & np.isfinite(got))[: len(chosen)].any()
    overflows = not first and np.abs(probe.flat).max() > OVERFLOWS
    return "wrong" if some or (confirmed[: len(chosen)].all() and not overflows) else ""


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
