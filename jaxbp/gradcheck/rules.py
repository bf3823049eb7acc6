"""Checks of a custom derivative rule, with or without a reference."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.gradcheck import calls
from jaxbp.gradcheck.calls import OWN, SINGLE, WIDE, Call, Leaves, Outcome, RuleCall, Setting
from jaxbp.gradcheck.differences import (
    CONCLUSIVE,
    Probe,
    Slopes,
    coordinates,
    num_coordinates,
    remainder_slope,
)
from jaxbp.gradcheck.report import Report, Row
from jaxbp.gradcheck.search import points_near
from jaxbp.gradcheck.transformed import check_transformed

METHODS = (
    "reference",
    "autodiff",
    "linearity",
    "second order",
    "adjoint identity",
    "central difference",
    "Taylor remainder",
    "plain call",
)
SLACK = 1e-7  # relative error of a central difference beside the measured one
SAFETY = 16  # times a measured rounding error
DRAWS = 4  # points at which rounding is measured
KINDS = ("value", "bars", "second")
NUDGE = 2.0**-18  # relative change of the arguments by which conditioning is measured
LOOKS = 6  # elements at which a disagreement is looked at again
SHARP = 100  # times the allowed error: what a wrong branch shows where it begins
BIG = 2**16  # elements of a leaf that is compared by its norm as well
LARGE = 2**26  # numbers in all evaluations together, about


def check_rule(
    function: Callable[..., Any],
    reference: Callable[..., Any] | None,
    *arguments: Any,
    points: Iterable[tuple[Any, ...]] = (),
    methods: Sequence[str] = METHODS,
    rtol: float | None = None,
    seed: int = 0,
    budget: int = 2000,
) -> Report:
    """Check a custom derivative rule by independent methods, element by element.

    Methods, in float64 wherever the functions allow it:

        reference            value, and value by the rule, against the reference's
        autodiff             cotangents of all arguments against the reference's
        linearity            the cotangent times -2
        second order         derivatives of the cotangents along a direction
        adjoint identity     <g, v> = <u, J v>, J v by forward mode of the reference
        central difference   of the reference, or of the function itself without one
        Taylor remainder     falls as h^2 for a right rule, as h for a wrong one
        plain call           the same numbers under jit, vmap over each argument, scan, checkpoint

    The rule is also checked at points that it searches: scaled, negated, zero, tied, large, small
    and near ones. At a kink every number between the one-sided derivatives passes. Elements whose
    reference is not finite are inconclusive and are counted in the notes.

    Args:
        function: a function with a custom_vjp or custom_jvp rule, of any arguments.
        reference: the same function without the rule; None if there is none. One that JAX cannot
            differentiate (a while loop, a callback) is checked by differences.
        *arguments: the point to check at. Real and complex arrays and floats have derivatives;
            integers, keys, functions and other constants are passed on as they are.
        points: more tuples of arguments.
        methods: the methods to use, or, each with a minus sign, those to leave out.
        rtol: the largest relative error of an element that passes; from the dtype unless given.
        seed: of the random cotangents, directions and points.
        budget: evaluations of the function for differences and for searched points; 0 for none.

    Returns:
        The report; it is true if the rule is right.

    Raises:
        ValueError: function and reference differ in the structure or the shapes of their results,
            or a method is not known.
        TypeError: no argument or no result is real or complex.

    Examples:
        >>> square = jax.custom_vjp(jnp.square)
        >>> square.defvjp(lambda x: (x * x, x), lambda x, bar: (2 * x * bar,))
        >>> check_rule(square, jnp.square, jnp.arange(3.0)).ok
        True
    """
    chosen = _chosen(methods)
    call, point, fixed = _split(function, arguments)
    checker = _Checker(
        call=call,
        reference=None if reference is None else replace(call, function=calls.hashable(reference)),
        fixed=fixed,
        methods=chosen,
        rtol=rtol,
        generator=np.random.default_rng(seed),
        budget=budget,
        paths=_paths(arguments, call),
    )
    with np.errstate(all="ignore"):
        return checker.run([point, *(_split(function, more)[1] for more in points)])


@dataclass
class _Place:
    """A point with the numbers of the reference there."""

    point: Leaves
    cotangent: Leaves
    direction: Leaves
    label: str = ""
    given: bool = True
    truth: Outcome | None = None
    measured: dict[Any, Any] = field(default_factory=dict)
    kinked: bool = False


@dataclass
class _Checker:
    """The state of one check."""

    call: Call
    reference: Call | None
    fixed: Leaves
    methods: tuple[str, ...]
    rtol: float | None
    generator: np.random.Generator
    budget: int
    paths: list[str]
    setting: Setting = WIDE
    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    units: dict[Setting, float] = field(default_factory=lambda: {OWN: 0.0})
    custom: bool = False
    loops: bool = False
    judged: set[str] = field(default_factory=set)
    skipped: dict[str, int] = field(default_factory=dict)

    def run(self, points: list[Leaves]) -> Report:
        """Check at the given points, under transformations, and at searched points."""
        value = self.call(OWN.cast(points[0]), self.fixed)
        if not value:
            raise TypeError("function must return a real or complex array")
        self._check_result(points[0])
        places = [_Place(point, self._draw(value), self._draw(point)) for point in points]
        if not self._repeats(places[0]):
            text = "not checked: two equal calls of the function differ (randomness inside?)"
            return Report(faults=(text,))
        self._look_inside(places[0])
        for place in places:
            self._at_given(place)
        if self.right and "plain call" in self.methods:
            self._transformed(places[0])
        if self.right and self.budget:
            self._search(places[0])
        missed = [
            path
            for path, leaf in zip(self.paths, points[0], strict=True)
            if leaf.size and path not in self.judged
        ]
        if missed and self.right and {"autodiff", "central difference"} & set(self.methods):
            self.faults.append(f"not checked: no finite derivative of {', '.join(missed)}")
        counts = [f"inconclusive, {why}: {count} elements" for why, count in self.skipped.items()]
        return Report(tuple(self.rows), tuple(self.faults), (*dict.fromkeys(self.notes), *counts))

    @property
    def right(self) -> bool:
        """Whether nothing wrong has been found."""
        return not self.faults and all(row.ok for row in self.rows)

    def _draw(self, leaves: Sequence[Any]) -> Leaves:
        """Draw normal numbers of the shapes and dtypes of leaves."""
        drawn = []
        for leaf in leaves:
            numbers = self.generator.standard_normal((2, *np.shape(leaf)))
            complex_ = jnp.iscomplexobj(leaf)
            drawn.append(
                (numbers[0] + 1j * numbers[1] if complex_ else numbers[0]).astype(leaf.dtype)
            )
        return drawn

    def _check_result(self, point: Leaves) -> None:
        if self.reference is None:
            return
        got, expected = (
            calls.shapes(call, point, self.fixed) for call in (self.call, self.reference)
        )
        if jax.tree.structure(got) != jax.tree.structure(expected):  # type: ignore[operator]
            raise ValueError("function and reference must return the same structure")
        shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (got, expected)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "function and reference must return the same shapes, "
                f"got {shapes[0]} and {shapes[1]}"
            )

    def _repeats(self, place: _Place) -> bool:
        """Whether two equal calls agree, run operation by operation; also keeps their numbers."""
        plain = replace(self.call, jitted=False)
        self.eager = self._outcome(plain, OWN, place, 1)
        again = self._outcome(plain, OWN, place, 1)
        for bar, leaf, path in zip(self.eager.bars, place.point, self.paths, strict=True):
            if bar.dtype != leaf.dtype:
                self.faults.append(
                    f"the cotangent of {path} has dtype {bar.dtype}, its argument {leaf.dtype}"
                )
        pairs = zip(self.eager.value + self.eager.bars, again.value + again.bars, strict=True)
        for one, other in pairs:
            unit = calls.unit_of(one.dtype)
            sizes = np.abs(_wide(one))
            largest = np.max(sizes, initial=0, where=np.isfinite(sizes))
            if not _close(one, other, 8 * unit**0.75 * sizes + 16 * unit * largest):
                return False
        return True

    def _outcome(self, call: Call, setting: Setting, place: _Place, orders: int) -> Outcome:
        return calls.differentiate(
            call, setting, place.point, self.fixed, place.cotangent, place.direction, orders
        )

    def _look_inside(self, place: _Place) -> None:
        """Choose the precision, and find what can be compiled and differentiated."""
        operations: list[Any] = []
        for name in ("call", "reference"):
            call = getattr(self, name)
            if call is None:
                continue
            try:
                found = calls.operations(call, OWN, place.point, self.fixed)
                operations += found
                if name == "reference":
                    names = {operation.primitive.name for operation in found}
                    self.custom = bool(names & {"custom_jvp_call", "custom_vjp_call"})
                else:
                    self.units[OWN] = calls.coarsest(found)
            except Exception as error:
                self.notes.append(f"not compiled: {name} {_said(error)}")
                setattr(self, name, replace(call, jitted=False))
        names = {operation.primitive.name for operation in operations}
        self.loops = any(map(calls.iterates, operations))
        if any("random" in name or "threefry" in name for name in names):
            self.notes.append("random numbers inside: checked in the dtype of the arguments")
            self.setting = OWN
        self.call = self._usable("function", self.call, place)
        if self.reference is not None:
            self.reference = self._usable("reference", self.reference, place)

    def _usable(self, name: str, call: Call, place: _Place) -> Call:
        """The call with the orders of derivatives that it has; also leaves float64 if it fails."""
        refused = ""
        for setting in dict.fromkeys((self.setting, OWN)):
            for orders in (2, 1, 0) if name == "reference" else (2, 1):
                try:
                    self._outcome(replace(call, orders=orders), setting, place, orders)
                except Exception as error:
                    refused = refused or _said(error)
                    continue
                if setting != self.setting:
                    self.notes.append(f"no float64: {name} {refused}")
                    self.setting = setting
                elif orders < 2:
                    what = ("derivative", "second order")[orders]
                    self.notes.append(f"no {what}: {name} {refused}")
                return replace(call, orders=orders)
        if call.jitted:
            self.faults.append(f"fails under jit: {name} {refused}")
            return self._usable(name, replace(call, jitted=False), place)
        raise ValueError(f"{name} cannot be differentiated: it {refused}")

    # ------------------------------------------------------------------ at one point

    def _at_given(self, place: _Place) -> None:
        """Check at a point that the caller gave, in every precision."""
        self._set_truth(place)
        settings = [self.setting]
        if self.setting is WIDE:
            double = all(leaf.dtype in (np.float64, np.complex128) for leaf in place.point)
            settings.append(SINGLE if double else OWN)
        for setting in settings:
            self._in_setting(place, setting)
        hand = self._outcome(self.call, self.setting, place, self.call.orders)
        if "adjoint identity" in self.methods:
            self._adjoint(place, hand)
        self._differences(place, hand, self.budget // 2)

    def _set_truth(self, place: _Place) -> None:
        """Run the reference; results that are not finite get no cotangent."""
        reference = self.reference
        if reference is None:
            return
        place.truth = self._outcome(reference, self.setting, place, reference.orders)
        if not all(np.isfinite(leaf).all() for leaf in place.truth.value):
            masks = [np.isfinite(leaf) for leaf in place.truth.value]
            place.cotangent = [
                np.where(mask, bar, 0).astype(bar.dtype)
                for mask, bar in zip(masks, place.cotangent, strict=True)
            ]
            place.truth = self._outcome(reference, self.setting, place, reference.orders)

    def _in_setting(self, place: _Place, setting: Setting) -> None:
        """Compare value, cotangents, linearity and second order in one precision."""
        where = "" if setting is self.setting and self.setting is OWN else setting.name
        try:
            hand = self._outcome(self.call, setting, place, self.call.orders)
        except Exception as error:
            self.notes.append(f"no {setting.name or 'own dtype'}: function {_said(error)}")
            return
        truth = place.truth
        if truth is not None and "reference" in self.methods:
            for path, got in (("value", hand.value), ("value by the rule", hand.ruled)):
                of_same = path == "value" or self.call.orders
                if of_same:
                    self._compare(
                        place, setting, where, "value", path, "reference", got, truth.value
                    )
        if truth is not None and truth.bars and "autodiff" in self.methods:
            self._compare(place, setting, where, "bars", "", "autodiff", hand.bars, truth.bars)
        if "linearity" in self.methods:
            scaled = [-2 * leaf for leaf in hand.bars]
            self._compare(place, setting, where, "bars", "", "linearity", hand.doubled, scaled)
        two = hand.second and truth is not None and truth.second
        if truth is not None and two and "second order" in self.methods and setting is self.setting:
            self._compare(
                place, setting, where, "second", "", "second order", hand.second, truth.second
            )

    def _compare(
        self,
        place: _Place,
        setting: Setting,
        where: str,
        kind: str,
        root: str,
        method: str,
        hand: Leaves,
        expected: Leaves,
    ) -> None:
        """Add a row for each leaf, of its worst element."""
        wrong = self._wrong(place, setting, kind, hand, expected)
        excused = wrong
        if any(mask.any() for mask in wrong) and method in ("autodiff", "second order"):
            excused = self._look_again(place, setting, kind, hand, expected, wrong)
        limits = self._allowed(place, setting, kind, expected)
        for k, (got, want, allowed) in enumerate(zip(hand, expected, limits, strict=True)):
            path = root if root and len(hand) == 1 else f"{root}[{k}]" if root else self.paths[k]
            known = np.isfinite(want) & np.isfinite(allowed)
            if (count := int((~known).sum())) and method in ("reference", "autodiff"):
                self._skip("reference not finite, or no digit left by rounding", count)
            known &= ~wrong[k] | excused[k]
            if not known.any():
                continue
            if kind == "bars":
                self.judged.add(path)
            error = np.abs(_wide(got) - want)
            share = np.where(known, error / np.maximum(allowed, 1e-300), -1)
            share = np.where(known & ~np.isfinite(error), np.inf, share)
            self.rows.append(_row(path, method, where, share, got, want, error, allowed))

    def _wrong(
        self, place: _Place, setting: Setting, kind: str, hand: Leaves, expected: Leaves
    ) -> list[np.ndarray]:
        """Mask the elements that are further off than rounding explains."""
        for measure in (False, True):
            if measure:
                self._measure(place, setting)
            allowed = self._allowed(place, setting, kind, expected)
            masks = []
            for got, want, limit in zip(hand, expected, allowed, strict=True):
                close = np.abs(got.astype(_widest(got)) - want) <= limit
                masks.append(~close & np.isfinite(want) & np.isfinite(limit))
            if not any(mask.any() for mask in masks):
                break
        return masks

    def _allowed(
        self, place: _Place, setting: Setting, kind: str, expected: Leaves
    ) -> list[np.ndarray]:
        """For each element the largest error: 8 u^(3/4) of it, and the measured rounding."""
        unit = self._unit(setting, place)
        measured = place.measured.get((setting, kind))
        limits = []
        for k, leaf in enumerate(expected):
            sizes = np.abs(leaf.astype(_widest(leaf)))
            relative = 8 * unit**0.75 if self.rtol is None else self.rtol
            limit = relative * sizes
            if self.setting is OWN or leaf.size > BIG:  # rounding is not measured, or costs much
                limit = limit + 8 * unit * float(np.linalg.norm(sizes[np.isfinite(sizes)]))
            if measured is not None:
                limit = limit + measured[k]
            limits.append(np.where(np.isnan(limit), np.inf, limit))
        return limits

    def _unit(self, setting: Setting, place: _Place) -> float:
        """The unit of the coarsest dtype that a result passes through."""
        dtypes = [leaf.dtype for leaf in (*self.eager.value, *self.eager.bars)]
        own = max(*map(calls.unit_of, dtypes), self.units[OWN])
        if setting is OWN:
            return own
        single = calls.unit_of(np.float32)
        narrow = self.units[OWN] if self.units[OWN] > single else 0.0
        if setting is SINGLE:
            return max(single, narrow)
        return max(calls.unit_of(np.float64), narrow, self.units.get(WIDE, 0.0))

    def _measure(self, place: _Place, setting: Setting) -> None:
        """Measure rounding in each element: float32 beside float64, and changes of arguments."""
        if (setting, "bars") in place.measured:
            return
        call = self.reference if place.truth is not None and place.truth.bars else self.call
        assert call is not None
        base = self._outcome(call, self.setting, place, call.orders)
        if setting is WIDE and WIDE not in self.units:
            found = calls.operations_of_rule(
                self.call, WIDE, place.point, self.fixed, place.cotangent
            )
            self.units[WIDE] = min(calls.coarsest(found), self._unit(OWN, place))
        unit = self._unit(setting, place)
        scale = unit / calls.unit_of(np.float32)
        drawn: list[dict[str, list[Leaves]]] = []
        for draw in range(DRAWS):
            moved = self._moved(place, NUDGE * (draw > 0))
            trees = [self._outcome(call, self.setting, moved, call.orders)]
            try:
                trees.append(self._outcome(call, SINGLE, moved, call.orders))
                trees += [
                    self._outcome(self.call, some, moved, self.call.orders)
                    for some in (self.setting, SINGLE)
                ]
            except Exception:
                trees = [trees[0]] * 4
            kinds = {kind: [getattr(tree, kind) for tree in trees] for kind in KINDS}
            drawn.append(kinds)
        for kind in KINDS:
            limits = []
            for k, here in enumerate(getattr(base, kind)):
                columns = [
                    [_wide((some[kind][i] or some[kind][0])[k]) for some in drawn] for i in range(4)
                ]
                exact, narrow, hand, rough = (np.stack(column) for column in columns)
                # The rule's own rounding changes from draw to draw, and a wrong rule does not.
                noise = rough - hand
                noise = np.abs(noise - noise.mean(axis=0))
                noise = np.where(np.isfinite(noise), noise, 0)  # a NaN of the rule is no rounding
                spread = scale * (np.abs(narrow - exact) + noise) + unit / NUDGE * np.abs(
                    exact - here
                )
                limit = SAFETY * spread.max(axis=0)
                limits.append(np.where(np.isfinite(here) & ~np.isfinite(limit), np.inf, limit))
            place.measured[setting, kind] = limits

    def _moved(self, place: _Place, relative: float) -> _Place:
        """The point with each number changed by about that share, in float64 if it is used."""
        changed = []
        for leaf in place.point:
            wide = leaf if self.setting is OWN else leaf.astype(_widest(leaf))
            signs = self.generator.choice([-1.0, 1.0], leaf.shape)
            changed.append((wide * (1 + relative * signs)).astype(wide.dtype))
        return replace(place, point=changed, measured={})

    def _look_again(
        self,
        place: _Place,
        setting: Setting,
        kind: str,
        hand: Leaves,
        expected: Leaves,
        wrong: list[np.ndarray],
    ) -> list[np.ndarray]:
        """Take out elements that another look explains.

        It is a kink, or a second order that is the derivative of the rule's own first one.
        """
        if kind == "bars":
            return self._without_kinks(place, setting, hand, expected, wrong)
        probe = self._probe_of_rule(place)
        flat = np.flatnonzero(self._as_coordinates(wrong, place) > 0)
        chosen = flat[np.unique(np.linspace(0, len(flat) - 1, LOOKS).astype(int))]
        slopes, _ = probe.slopes(chosen, self.generator)
        got = coordinates(hand, cotangents=True)[chosen]
        low, high, error = (column[: len(chosen)] for column in slopes[1:4])
        slack = error + 1e-6 * np.abs(got)
        if not ((low - slack <= got) & (got <= high + slack)).all():
            return wrong
        self._skip("second order at a kink, or that of the reference is another", len(flat))
        return [np.zeros_like(mask) for mask in wrong]

    def _without_kinks(
        self,
        place: _Place,
        setting: Setting,
        hand: Leaves,
        expected: Leaves,
        wrong: list[np.ndarray],
    ) -> list[np.ndarray]:
        """Take out elements between the derivatives on the sides of a kink or a tie.

        At a given point the derivative that the reference states by a rule of its own is binding,
        as the slope 0 of `jax.nn.relu` at 0 is.
        """
        if self.reference is None or (place.given and self.custom):
            return wrong
        masks = [mask.astype(float) for mask in wrong]
        moves = [masks, [-mask for mask in masks]]
        for _ in range(8):
            moves.append([m * v for m, v in zip(masks, self._draw(place.point), strict=True)])
        for k, mask in enumerate(masks):
            for element in np.flatnonzero(mask)[:LOOKS]:
                single = [np.zeros_like(other) for other in masks]
                single[k].flat[element] = 1.0
                moves += [single, [-leaf for leaf in single]]
        samples = []
        for move in moves:
            point = [
                leaf + (64 * self._unit(setting, place) * _scale(leaf) * change)
                for leaf, change in zip(map(_wide, place.point), move, strict=True)
            ]
            if self.setting is OWN:
                point = [p.astype(x.dtype) for p, x in zip(point, place.point, strict=True)]
            moved = replace(place, point=point)
            assert self.reference is not None
            outcome = self._outcome(self.reference, self.setting, moved, self.reference.orders)
            samples.append(outcome.bars)
        limits = self._allowed(place, setting, "bars", expected)
        left, sums = [], np.zeros(3)
        for k, (got, mask, limit) in enumerate(zip(hand, wrong, limits, strict=True)):
            sides = np.stack([_wide(sample[k]) for sample in samples])
            inside = _between(_wide(got), sides, limit)
            left.append(mask & ~inside)
            some = mask & inside
            sums += [
                np.real(_wide(got)[some]).sum(),
                np.real(sides[0][some]).sum(),
                np.real(sides[1][some]).sum(),
            ]
        # All moved together: max(a, b) at a tie grows by 1, so (1, 1) is no derivative of it.
        slack = sum(float(limit[np.isfinite(limit)].sum()) for limit in limits)
        if not min(sums[1:]) - slack <= sums[0] <= max(sums[1:]) + slack:
            return wrong
        count = sum(int(mask.sum()) for mask in wrong) - sum(int(mask.sum()) for mask in left)
        if count:
            place.kinked = True
            self._skip("at a kink or tie, between the one-sided derivatives", count)
        return left

    def _adjoint(self, place: _Place, hand: Outcome) -> None:
        """Add the row <g, v> = <u, J v>."""
        if place.kinked:
            return
        call = self.reference or self.call
        try:
            expected = calls.forward_slope(
                call, self.setting, place.point, self.fixed, place.cotangent, place.direction
            )
        except Exception:
            return
        limits = self._allowed(place, self.setting, "bars", hand.bars)
        trio = list(zip(hand.bars, place.direction, limits, strict=True))
        got = sum(float(np.real(_wide(bar) * v).sum()) for bar, v, _ in trio)
        allowed = sum(float((limit * np.abs(v)).sum()) for _, v, limit in trio)
        if np.isfinite([expected, allowed]).all() and allowed < abs(expected):
            allowed += 16 * self._unit(self.setting, place) * abs(expected)
            scale = max(abs(expected), 1e-30)
            row = Row(
                "arguments",
                "adjoint identity",
                abs(got - expected) / scale,
                allowed / scale,
                (),
                got,
                expected,
                self.setting.name,
            )
            self.rows.append(row)

    # ------------------------------------------------------------------ differences

    def _differences(self, place: _Place, hand: Outcome, budget: int) -> None:
        """Compare with central differences, and read the slope of the Taylor remainder."""
        call = self.reference or self.call
        probe = Probe(call, self.setting, place.point, self.fixed, place.cotangent)
        self._along(place, probe, "bars", hand.bars, budget)
        two = hand.second and place.given and "second order" in self.methods
        if self.reference is None and two:
            self._along(place, self._probe_of_rule(place), "second", hand.second, budget // 4)

    def _probe_of_rule(self, place: _Place) -> Probe:
        """The cotangents along the direction, whose derivative is the second order."""
        rule = RuleCall(**{name: getattr(self.call, name) for name in calls.FIELDS})
        fixed = [*self.fixed, *place.cotangent]
        return Probe(rule, self.setting, place.point, fixed, place.direction)

    def _along(self, place: _Place, probe: Probe, kind: str, hand: Leaves, budget: int) -> None:
        sizes = [num_coordinates(leaf) for leaf in place.point]
        total = sum(sizes)
        most = max(1, min(budget, LARGE // max(total, 1)) // 18 - len(sizes))
        if not total or not budget:
            return
        if place.truth is not None and place.truth.bars:
            most = min(most, 16 * len(sizes))
        elements = np.arange(total)
        if total > most:
            shares = [
                start + self.generator.choice(size, min(size, max(1, most // len(sizes))), False)
                for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True)
            ]
            elements = np.sort(np.concatenate(shares)[:most]).astype(int)
        slopes, direction = probe.slopes(elements, self.generator)
        got, limit = self._coordinates(place, kind, hand)
        edges = np.cumsum([0, *sizes])
        method = "central difference" if kind == "bars" else "second order"
        for k, (low, high) in enumerate(pairwise(edges)):
            own = np.flatnonzero((elements >= low) & (elements < high))
            along = len(elements) + k
            part = slice(low, high)
            slope = float(np.sum(got[part] * direction[part]))
            slack = float(np.sum(limit[part] * np.abs(direction[part])))
            hands = np.append(got[elements[own]], slope)
            limits = np.append(limit[elements[own]], slack)
            size = np.append(
                np.full(len(own), np.linalg.norm(np.nan_to_num(got[part]))),
                np.linalg.norm(np.nan_to_num(got[part] * direction[part])),
            )
            probes = np.append(own, along)
            names = [*elements[own] - low, -1]
            if method in self.methods:
                columns = np.stack([hands, limits, size])
                found = self._row_of_slopes(place, k, method, slopes, probes, names, columns)
                kinked = bool((slopes.low[probes] != slopes.high[probes]).any())
                if found is not None and (place.given or not (found.ok or kinked)):
                    self.rows.append(found)
            if kind != "bars" or not place.given or "Taylor remainder" not in self.methods:
                continue
            remainder = remainder_slope(slopes, int(along), slope, slack) if high > low else None
            if remainder is not None:
                numbers = abs(remainder - 2) / 2, 0.05, (), remainder, 2.0, self.setting.name
                self.rows.append(Row(self.paths[k], "Taylor remainder", *numbers))

    def _coordinates(self, place: _Place, kind: str, hand: Leaves) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of cotangents, and the errors that are allowed for them."""
        truth = getattr(place.truth, kind) if place.truth is not None else []
        limits = self._allowed(place, self.setting, kind, truth or hand)
        return coordinates(hand, cotangents=True), self._as_coordinates(limits, place)

    def _as_coordinates(self, leaves: Sequence[Any], place: _Place) -> np.ndarray:
        """Real numbers for each element, as one for each coordinate."""
        pairs = zip(leaves, place.point, strict=True)
        return coordinates([leaf + (1j * leaf if jnp.iscomplexobj(x) else 0) for leaf, x in pairs])

    def _row_of_slopes(
        self,
        place: _Place,
        k: int,
        method: str,
        slopes: Slopes,
        probes: np.ndarray,
        names: list[int],
        columns: np.ndarray,
    ) -> Row | None:
        """The row of a leaf's worst probe; None where no difference is conclusive."""
        hand, limit, size = columns
        slope, low, high, error = (column[probes] for column in slopes[:4])
        known = error <= CONCLUSIVE * np.maximum(np.abs(slope), 0.01 * size)
        known |= (error < 1e-6) & (np.abs(slope) < 1e-6)
        known &= np.isfinite(limit)
        off = np.maximum(0, np.maximum(low - hand, hand - high))
        allowed = error + limit + SLACK * np.abs(slope)
        share = np.where(known, off / np.maximum(allowed, 1e-300), -1.0)
        share = np.where(known & ~np.isfinite(off), np.inf, share)
        self._skip("central differences do not settle", int((~known).sum()) * place.given)
        if not known.any():
            return None
        if method == "central difference":
            self.judged.add(self.paths[k])
        worst = int(np.argmax(share))
        leaf = place.point[k]
        index: tuple[int, ...] = ()
        if names[worst] >= 0:
            index = tuple(int(i) for i in np.unravel_index(names[worst] % leaf.size, leaf.shape))
        expected = float(np.clip(hand[worst], low[worst], high[worst]))
        expected = expected if np.isfinite(expected) else float(slope[worst])
        scale = max(abs(expected), 1e-30)
        where = " ".join(filter(None, (self.setting.name, place.label)))
        return Row(
            self.paths[k], method, float(off[worst]) / scale, float(allowed[worst]) / scale, index,
            float(hand[worst]), expected, where,
        )  # fmt: skip

    # ------------------------------------------------------------------ other conditions

    def _transformed(self, place: _Place) -> None:
        """Compare with the plain call under jit, vmap, scan and checkpoint."""
        plain = replace(self.call, jitted=False)
        groups, other = calls.groups(self.call), self._near(place)
        pairs, failures = check_transformed(plain, groups, place, other, self.fixed)
        self.faults += failures.faults
        self.notes += failures.notes
        rows: list[Row] = []
        for measure in (False, True):
            if measure:
                self._measure(place, OWN)
            rows = [row for pair in pairs for row in self._rows_of_pair(place, *pair)]
            if not rows:
                break
        self.rows += rows

    def _rows_of_pair(
        self, place: _Place, where: str, kind: str, hand: Leaves, expected: Leaves
    ) -> Iterator[Row]:
        """Rows of the leaves that differ under a transformation."""
        limits = self._allowed(place, OWN, kind, expected)
        for k, (got, want, limit) in enumerate(zip(hand, expected, limits, strict=True)):
            # Normwise as well: the other point of a batch is not measured.
            norm = float(np.linalg.norm(np.nan_to_num(_wide(want))))
            limit = 4 * limit + 8 * self._unit(OWN, place) * norm
            if want.size and not _close(got, want, limit):
                path = self.paths[k] if kind == "bars" else f"value[{k}]"
                error = np.abs(_wide(got) - _wide(want))
                share = np.where(np.isfinite(error), error / np.maximum(limit, 1e-300), np.inf)
                share = np.where(np.isfinite(want), share, -1)
                yield _row(path, "plain call", where, share, got, want, error, limit)

    def _near(self, place: _Place) -> _Place:
        """Another point near, with another cotangent."""
        point = [
            (leaf + 0.1 * _scale(leaf) * v).astype(leaf.dtype)
            for leaf, v in zip(place.point, self._draw(place.point), strict=True)
        ]
        return replace(place, point=point, cotangent=self._draw(place.cotangent), measured={})

    def _search(self, place: _Place) -> None:
        """Check at points that the caller did not give.

        A disagreement counts where differences of the reference confirm it and it begins at a sharp
        edge on the way from the given point.
        """
        total = sum(int(leaf.size) for leaf in place.point) + 1
        most = min(self.budget // 50, LARGE // (64 * total), 40)
        count = 0
        gentle = self.loops and self._by_values()
        for label, point in points_near(place.point, self.generator, gentle):
            if count >= most or not self.right:
                break
            there = replace(
                place, point=point, label=label, given=False, measured={}, kinked=False,
                cotangent=self._draw(place.cotangent),
            )  # fmt: skip
            self._at_searched(there, place)
            count += 1
        self.notes.append(f"checked at {count} more points")

    def _at_searched(self, place: _Place, base: _Place) -> None:
        hand = self._outcome(self.call, self.setting, place, self.call.orders)
        if self._by_values():
            self._differences(place, hand, self.budget // 40)
            return
        self._set_truth(place)
        assert place.truth is not None
        if any(
            mask.any()
            for mask in self._wrong(place, self.setting, "value", hand.value, place.truth.value)
        ):
            self.notes.append(f"function and reference differ in value at {place.label}")
            return
        hand = self._outcome(self.call, self.setting, place, self.call.orders)
        kinds = ["bars", "second"] if hand.second and "second order" in self.methods else ["bars"]
        for kind in kinds:
            got, want = getattr(hand, kind), getattr(place.truth, kind)
            if not want:
                return
            wrong = self._wrong(place, self.setting, kind, got, want)
            if any(mask.any() for mask in wrong):
                wrong = self._look_again(place, self.setting, kind, got, want, wrong)
            if any(mask.any() for mask in wrong):
                self._accuse(place, base, kind, got, want, wrong)
                return

    def _by_values(self) -> bool:
        """Whether other points are checked by differences alone."""
        reference = self.reference
        return reference is None or not reference.orders or "autodiff" not in self.methods

    def _accuse(
        self,
        place: _Place,
        base: _Place,
        kind: str,
        hand: Leaves,
        expected: Leaves,
        wrong: list[np.ndarray],
    ) -> None:
        """Add a row for a wrong element at a searched point, if it is confirmed."""
        limits = self._allowed(place, self.setting, kind, expected)
        where = " ".join(filter(None, (self.setting.name, f"at {place.label}")))
        for k, mask in enumerate(wrong):
            if not mask.any():
                continue
            error = np.abs(_wide(hand[k]) - _wide(expected[k]))
            share = np.where(mask, error / np.maximum(limits[k], 1e-300), -1)
            share = np.where(mask & ~np.isfinite(error), np.inf, share)
            if kind == "bars" and not self._confirmed(place, k, share, hand, expected):
                continue
            element = int(np.argmax(share))
            if not self._begins_sharply(place, base, kind, k, element):
                self.notes.append(f"inconclusive at {place.label}: the error grows gradually")
                continue
            method = "autodiff" if kind == "bars" else "second order"
            self.rows.append(
                _row(self.paths[k], method, where, share, hand[k], expected[k], error, limits[k])
            )
            return

    def _confirmed(
        self, place: _Place, k: int, share: np.ndarray, hand: Leaves, expected: Leaves
    ) -> bool:
        """Whether central differences agree with the reference and not with the rule."""
        assert self.reference is not None
        start = sum(num_coordinates(leaf) for leaf in place.point[:k])
        elements = start + np.argsort(-share, axis=None)[:LOOKS]
        probe = Probe(self.reference, self.setting, place.point, self.fixed, place.cotangent)
        slopes, _ = probe.slopes(elements, self.generator)
        got, want = (coordinates(some, cotangents=True)[elements] for some in (hand, expected))
        n = len(elements)
        error, slope = slopes.error[:n], slopes.slope[:n]
        smooth = slopes.low[:n] == slopes.high[:n]
        near = np.abs(want - slope) <= error + 1e-6 * np.abs(want)
        apart = ~(np.abs(got - slope) <= 4 * error + 1e-6 * np.abs(want))
        if jnp.iscomplexobj(place.point[k]):
            apart[:] = True
        return bool((smooth & near & apart).any())

    def _begins_sharply(self, place: _Place, base: _Place, kind: str, k: int, element: int) -> bool:
        """Whether the error is large at once where it begins, between the given and this point.

        An iteration that no longer converges drifts off gradually; a wrong branch does not.
        """
        low, high, large = 0.0, 1.0, np.inf
        for _ in range(12):
            middle = (low + high) / 2
            point = [
                (_wide(a) + middle * (_wide(b) - _wide(a))).astype(a.dtype)
                for a, b in zip(base.point, place.point, strict=True)
            ]
            there = replace(place, point=point, measured={})
            self._set_truth(there)
            hand = self._outcome(self.call, self.setting, there, self.call.orders)
            got, want = getattr(hand, kind), getattr(there.truth, kind)
            limit = self._allowed(there, self.setting, kind, want)[k].flat[element]
            error = np.abs(_wide(got[k]).flat[element] - _wide(want[k]).flat[element])
            if np.isfinite(want[k].flat[element]) and not error <= limit:
                high, large = middle, error / max(limit, 1e-300)
            else:
                low = middle
        return not large < SHARP

    def _skip(self, why: str, count: int) -> None:
        if count:
            self.skipped[why] = self.skipped.get(why, 0) + count


def _split(function: Any, arguments: tuple[Any, ...]) -> tuple[Call, Leaves, Leaves]:
    """Split the arguments; floats are constants if the function refuses them as arrays."""
    call, point, fixed = calls.split(function, arguments, floats_are_constants=False)
    leaves = jax.tree.leaves(arguments)
    if any(isinstance(leaf, (float, complex)) for leaf in leaves):
        try:
            jax.eval_shape(lambda *moving: jax.vjp(lambda *m: call(m, fixed), *moving)[0], *point)
        except Exception:
            call, point, fixed = calls.split(function, arguments, floats_are_constants=True)
    if not point:
        raise TypeError("arguments must hold a real or complex array or float to differentiate")
    return call, [np.asarray(leaf) for leaf in point], fixed


def _paths(arguments: Any, call: Call) -> list[str]:
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(arguments)]
    return [f"arguments{jax.tree_util.keystr(paths[i])}" for i in call.moving]


def _chosen(methods: Sequence[str]) -> tuple[str, ...]:
    """The methods to use; a minus sign leaves one out."""
    names = [methods] if isinstance(methods, str) else list(methods)
    for name in names:
        if name.removeprefix("-") not in METHODS:
            raise ValueError(f"methods must be of {', '.join(METHODS)}; got {name!r}")
    out = {name.removeprefix("-") for name in names if name.startswith("-")}
    kept = [name for name in names if not name.startswith("-")] or METHODS
    return tuple(name for name in kept if name not in out)


def _row(
    path: str,
    method: str,
    where: str,
    share: np.ndarray,
    hand: Any,
    expected: Any,
    error: np.ndarray,
    allowed: np.ndarray,
) -> Row:
    """The row of the element with the largest share of its allowed error."""
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(share)), share.shape))
    want = _wide(expected)[index].item()
    scale = abs(want) if abs(want) > 1e-30 else 1.0
    off, limit = float(error[index]) / scale, float(allowed[index]) / scale
    return Row(path, method, off, limit, index, _wide(hand)[index].item(), want, where)


def _wide(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    return array.astype(_widest(array))


def _widest(leaf: Any) -> Any:
    return np.complex128 if jnp.iscomplexobj(leaf) else np.float64


def _scale(leaf: Any) -> np.ndarray:
    """The size of each element, that of the leaf where it is 0."""
    sizes = np.abs(_wide(leaf))
    rms = float(np.sqrt(np.mean(sizes**2))) if sizes.size else 1.0
    return np.where(sizes > 0, sizes, rms if 0 < rms < np.inf else 1.0)


def _between(got: np.ndarray, sides: np.ndarray, slack: np.ndarray) -> np.ndarray:
    inside = np.ones(got.shape, bool)
    for part in (np.real, np.imag):
        low, high = part(sides).min(axis=0), part(sides).max(axis=0)
        inside &= (low - slack <= part(got)) & (part(got) <= high + slack)
    return inside


def _close(got: np.ndarray, want: np.ndarray, limit: np.ndarray) -> bool:
    near = np.abs(_wide(got) - _wide(want)) <= limit
    return bool((near | ~np.isfinite(want) | ~np.isfinite(limit)).all())


def _said(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:120]
    return f"raises {type(error).__name__}: {text}"
