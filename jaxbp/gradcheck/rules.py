"""Checks of a custom derivative rule, with or without a reference."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from jaxbp.gradcheck import calls
from jaxbp.gradcheck.calls import OWN, SINGLE, WIDE, Call, Leaves, Outcome, Setting
from jaxbp.gradcheck.report import Report, Row, worst_rows
from jaxbp.gradcheck.search import points_near, size_of
from jaxbp.gradcheck.slopes import LARGE, look_again, rows_of_slopes
from jaxbp.gradcheck.subject import Place, Subject, wide
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
KINKS = {
    "bars": "at a kink or tie, between the one-sided derivatives",
    "second": "second order at a kink, or that of the reference is another",
}


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
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxbp
        >>> def square(x):
        ...     return x * x
        >>> rule = jax.custom_vjp(square)
        >>> rule.defvjp(lambda x: (x * x, x), lambda x, bar: (2 * x * bar,))
        >>> bool(jaxbp.check_rule(rule, square, jnp.arange(3.0)))
        True
    """
    chosen = _chosen(methods)
    call, point, fixed = calls.split(function, arguments)
    subject = Subject(
        call=call,
        reference=None if reference is None else replace(call, function=calls.hashable(reference)),
        fixed=fixed,
        paths=_paths(arguments, call),
        rtol=rtol,
        generator=np.random.default_rng(seed),
    )
    with np.errstate(all="ignore"):
        points_given = [point, *(calls.split(function, more)[1] for more in points)]
        return _Checker(subject, chosen, budget).run(points_given)


@dataclass
class _Checker:
    """One check: what it has found so far."""

    subject: Subject
    methods: tuple[str, ...]
    budget: int
    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    custom: bool = False  # whether the reference has a rule of its own
    loops: bool = False

    def run(self, points: list[Leaves]) -> Report:
        """Check at the given points, under transformations, and at searched points."""
        subject = self.subject
        value = subject.call(OWN.cast(points[0]), subject.fixed)
        if not value:
            raise TypeError("function must return a real or complex array")
        self._check_result(points[0])
        places = [Place(point, subject.draw(value), subject.draw(point)) for point in points]
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
        judging = {"autodiff", "central difference"} & set(self.methods)
        judged = {row.path for row in self.rows if row.method in (*judging, "linearity")}
        pairs = zip(subject.paths, points[0], strict=True)
        missed = [path for path, leaf in pairs if leaf.size and path not in judged]
        if missed and self.right and judging:
            self.faults.append(f"not checked: no finite derivative of {', '.join(missed)}")
        counts = [f"inconclusive, {why}: {n} elements" for why, n in subject.skipped.items()]
        return Report(tuple(self.rows), tuple(self.faults), (*dict.fromkeys(self.notes), *counts))

    @property
    def right(self) -> bool:
        """Whether nothing wrong has been found."""
        return not self.faults and all(row.ok for row in self.rows)

    def _check_result(self, point: Leaves) -> None:
        subject = self.subject
        if subject.reference is None:
            return
        got, expected = (
            calls.shapes(call, point, subject.fixed) for call in (subject.call, subject.reference)
        )
        if jax.tree.structure(got) != jax.tree.structure(expected):  # type: ignore[operator]
            raise ValueError("function and reference must return the same structure")
        shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (got, expected)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "function and reference must return the same shapes, "
                f"got {shapes[0]} and {shapes[1]}"
            )

    def _repeats(self, place: Place) -> bool:
        """Whether two equal calls agree, run operation by operation; also keeps their numbers."""
        subject = self.subject
        plain = replace(subject.call, jitted=False, orders=1)
        one, other = (subject.outcome(plain, OWN, place) for _ in range(2))
        subject.coarse = max(calls.unit_of(leaf.dtype) for leaf in one.value + one.bars)
        for bar, leaf, path in zip(one.bars, place.point, subject.paths, strict=True):
            if bar.dtype != leaf.dtype:
                self.faults.append(
                    f"the cotangent of {path} has dtype {bar.dtype}, its argument {leaf.dtype}"
                )
        for got, again in zip(one.value + one.bars, other.value + other.bars, strict=True):
            if np.array_equal(got, again):
                continue
            unit, sizes = calls.unit_of(got.dtype), np.abs(wide(got))
            largest = np.max(sizes, initial=0, where=np.isfinite(sizes))
            close = {"rtol": 8 * unit**0.75, "atol": 16 * unit * largest, "equal_nan": True}
            if not np.allclose(wide(again), wide(got), **close):
                return False
        return True

    def _look_inside(self, place: Place) -> None:
        """Choose the precision, and find what can be compiled and differentiated."""
        subject, operations = self.subject, []
        for name in ("call", "reference"):
            call = getattr(subject, name)
            if call is None:
                continue
            try:
                found = calls.operations(call, OWN, place.point, subject.fixed)
                operations += found
                if name == "reference":
                    names = {operation.primitive.name for operation in found}
                    self.custom = bool(names & {"custom_jvp_call", "custom_vjp_call"})
                else:
                    subject.units[OWN] = calls.coarsest(found)
            except Exception as error:
                self.notes.append(f"not compiled: {name} {_said(error)}")
                setattr(subject, name, replace(call, jitted=False))
        names = {operation.primitive.name for operation in operations}
        self.loops = any(map(calls.iterates, operations))
        if any("random" in name or "threefry" in name for name in names):
            self.notes.append("random numbers inside: checked in the dtype of the arguments")
            subject.setting = OWN
        subject.call = self._usable("function", subject.call, place)
        if subject.reference is not None:
            subject.reference = self._usable("reference", subject.reference, place)

    def _usable(self, name: str, call: Call, place: Place) -> Call:
        """The call with the orders of derivatives that it has; also leaves float64 if it fails."""
        subject, refused = self.subject, ""
        for setting in dict.fromkeys((subject.setting, OWN)):
            for orders in (2, 1, 0) if name == "reference" else (2, 1):
                usable = replace(call, orders=orders)
                try:
                    subject.outcome(usable, setting, place)
                except Exception as error:
                    refused = refused or _said(error)
                    continue
                if setting != subject.setting:
                    self.notes.append(f"no float64: {name} {refused}")
                    subject.setting = setting
                elif orders < 2:
                    what = ("derivative", "second order")[orders]
                    self.notes.append(f"no {what}: {name} {refused}")
                return usable
        if call.jitted:
            self.faults.append(f"fails under jit: {name} {refused}")
            return self._usable(name, replace(call, jitted=False), place)
        raise ValueError(f"{name} cannot be differentiated: it {refused}")

    def _at_given(self, place: Place) -> None:
        """Check at a point that the caller gave, in every precision."""
        subject = self.subject
        subject.set_truth(place)
        settings = [subject.setting]
        if subject.setting is WIDE:
            double = all(leaf.dtype in (np.float64, np.complex128) for leaf in place.point)
            settings.append(SINGLE if double else OWN)
        for setting in reversed(settings):
            hand = self._in_setting(place, setting)
        if "adjoint identity" in self.methods and not place.kinked:
            self._adjoint(place, hand)
        self._differences(place, hand, self.budget // 2)

    def _in_setting(self, place: Place, setting: Setting) -> Any:
        """Compare value, cotangents, linearity and second order in one precision; return them."""
        subject, truth = self.subject, place.truth
        call = subject.call if setting is subject.setting else replace(subject.call, orders=1)
        try:
            hand = subject.outcome(call, setting, place)
        except Exception as error:
            self.notes.append(f"no {setting.name or 'own dtype'}: function {_said(error)}")
            return None
        if truth is not None:
            self._compare(place, setting, "reference", "value", hand.value, truth.value)
            self._compare(place, setting, "reference", "value by the rule", hand.ruled, truth.value)
            self._compare(place, setting, "autodiff", "bars", hand.bars, truth.bars)
            if setting is subject.setting:
                self._compare(place, setting, "second order", "second", hand.second, truth.second)
        twice = place.moved(place.point, cotangent=[-2 * bar for bar in place.cotangent])
        doubled = subject.outcome(call, setting, twice).bars
        scaled = [-2 * leaf for leaf in hand.bars]
        self._compare(place, setting, "linearity", "bars", doubled, scaled)
        return hand

    def _compare(
        self, place: Place, setting: Setting, method: str, what: str, hand: Leaves, expected: Leaves
    ) -> None:
        """Add a row for each leaf, of its worst element."""
        if method not in self.methods or not hand or not expected:
            return
        subject, kind = self.subject, what.split()[0]
        wrong = subject.wrong(place, setting, kind, hand, expected)
        excused = False
        # At a given point the derivative that the reference states by a rule of its own is binding,
        # as the slope 0 of `jax.nn.relu` at 0 is.
        if any(mask.any() for mask in wrong) and (
            method == "second order"
            or (method == "autodiff" and subject.reference and not self.custom)
        ):
            excused = look_again(subject, place, kind, hand, expected, wrong) == "excused"
            if excused:
                place.kinked |= kind == "bars"
                subject.skip(KINKS[kind], sum(int(mask.sum()) for mask in wrong))
        limits = subject.allowed(place, setting, kind, expected)
        known = [np.isfinite(want) & np.isfinite(limit)
                 for want, limit in zip(expected, limits, strict=True)]  # fmt: skip
        if method in ("reference", "autodiff"):
            why = "reference not finite, or no digit left by rounding"
            subject.skip(why, sum(int((~mask).sum()) for mask in known))
        if excused:
            known = [mask & ~off for mask, off in zip(known, wrong, strict=True)]
        names = [f"{what}[{k}]" if k else what for k in range(len(hand))]
        paths = names if kind == "value" else subject.paths
        of = method, place.where(setting)
        self.rows += worst_rows(of, paths, hand, expected, limits, known)

    def _adjoint(self, place: Place, hand: Outcome) -> None:
        """Add the row <g, v> = <u, J v>."""
        subject = self.subject
        call, at = subject.reference or subject.call, (place.point, subject.fixed)
        try:
            expected = calls.forward_slope(
                call, subject.setting, *at, place.cotangent, place.direction
            )
        except Exception:
            return
        limits = subject.allowed(place, subject.setting, "bars", hand.bars)
        trio = list(zip(hand.bars, place.direction, limits, strict=True))
        got = sum(float(np.real(wide(bar) * v).sum()) for bar, v, _ in trio)
        allowed = sum(float((limit * np.abs(v)).sum()) for _, v, limit in trio)
        if np.isfinite([expected, allowed]).all() and allowed < abs(expected):
            allowed += 16 * subject.unit(subject.setting) * abs(expected)
            scale, name = max(abs(expected), 1e-30), subject.setting.name
            errors = abs(got - expected) / scale, allowed / scale
            self.rows.append(Row("arguments", "adjoint identity", *errors, (), got, expected, name))

    def _differences(self, place: Place, hand: Outcome, budget: int) -> None:
        """Compare with central differences, and read the slope of the Taylor remainder."""
        shared = self.subject, place
        self.rows += rows_of_slopes(*shared, "bars", hand.bars, budget, self.methods)
        if self.subject.reference is None and hand.second and place.given:
            self.rows += rows_of_slopes(*shared, "second", hand.second, budget // 4, self.methods)

    def _transformed(self, place: Place) -> None:
        """Compare with the plain call under jit, vmap, scan and checkpoint."""
        subject = self.subject
        plain = replace(subject.call, jitted=False)
        near = [
            (leaf + 0.1 * np.where(leaf == 0, size_of(leaf), np.abs(leaf)) * v).astype(leaf.dtype)
            for leaf, v in zip(place.point, subject.draw(place.point), strict=True)
        ]
        other = place.moved(near, cotangent=subject.draw(place.cotangent))
        given = plain, place, other, subject.fixed
        for where, kind, hand, expected in check_transformed(*given, self.faults, self.notes):
            subject.wrong(place, OWN, kind, hand, expected, batched=True)
            limits = subject.allowed(place, OWN, kind, expected, batched=True)
            known = [np.isfinite(want) & np.isfinite(limit)
                     for want, limit in zip(expected, limits, strict=True)]  # fmt: skip
            paths = subject.paths if kind == "bars" else map("value[{}]".format, range(len(hand)))
            rows = worst_rows(("plain call", where), paths, hand, expected, limits, known)
            self.rows += [row for row in rows if not row.ok]

    def _search(self, place: Place) -> None:
        """Check at points that the caller did not give.

        A disagreement counts where differences of the reference confirm it. Iterations, which may
        not converge elsewhere, are checked near the given point only.
        """
        subject, count = self.subject, 0
        reference = subject.reference
        by_values = reference is None or not reference.orders or "autodiff" not in self.methods
        total = sum(int(leaf.size) for leaf in place.point) + 1
        most = min(self.budget // 50, LARGE // (64 * total), 40)
        for label, point in points_near(place.point, subject.generator, self.loops):
            if count >= most or not self.right:
                break
            there = place.moved(
                point, label=label, given=False, cotangent=subject.draw(place.cotangent)
            )
            if by_values:
                hand = subject.outcome(subject.call, subject.setting, there)
                self._differences(there, hand, self.budget // 40)
            else:
                subject.set_truth(there)
                self._at_searched(there)
            count += 1
        self.notes.append(f"checked at {count} more points")

    def _at_searched(self, place: Place) -> None:
        subject, truth = self.subject, place.truth
        assert truth is not None
        hand, setting = subject.outcome(subject.call, subject.setting, place), subject.setting
        wrong = subject.wrong(place, setting, "value", hand.value, truth.value)
        if any(mask.any() for mask in wrong):
            self.notes.append(f"function and reference differ in value at {place.label}")
            return
        for kind, method in (("bars", "autodiff"), ("second", "second order")):
            got, want = getattr(hand, kind), getattr(truth, kind)
            if not got or not want or method not in self.methods:
                return
            wrong = subject.wrong(place, setting, kind, got, want)
            if not any(mask.any() for mask in wrong):
                continue
            if look_again(subject, place, kind, got, want, wrong) != "wrong":
                continue
            limits = subject.allowed(place, setting, kind, want)
            of = method, place.where(setting)
            found = worst_rows(of, subject.paths, got, want, limits, wrong)
            self.rows.append(max(found, key=lambda row: row.share))
            return


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


def _said(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:120]
    return f"raises {type(error).__name__}: {text}"
