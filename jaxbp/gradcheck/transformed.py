"""A rule under jit, vmap, scan and checkpoint, to be compared with the plain call."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxbp.gradcheck import calls
from jaxbp.gradcheck.calls import BIG, OWN, Call, Leaves, compiled

MOST_GROUPS = 4


class Case(NamedTuple):
    """A transformation: its name, its kind, and the leaves that it is about.

    Kinds are "alone" (differentiate with respect to the leaves), "vmap" over them, "gradient" for
    vmap of the gradient, and "scan" with checkpoint.
    """

    name: str
    kind: str
    members: tuple[int, ...]


def check_transformed(
    call: Call, place: Any, other: Any, fixed: Leaves, faults: list[str], notes: list[str]
) -> Iterator[tuple[str, str, Leaves, Leaves]]:
    """Yield, for each transformation, its numbers at two points beside those of plain calls.

    They are tuples of the transformation, "value" or "bars", its leaves and the expected ones. The
    exceptions of the rule alone are added to the faults, those of the function itself to the notes.
    """
    cases = _cases(call, place.point, fixed)
    both = [place.point, other.point], [place.cotangent, other.cotangent]
    points, cotangents = ([np.stack(pair) for pair in zip(*some, strict=True)] for some in both)
    once = replace(call, orders=1)
    here = calls.differentiate(once, OWN, place.point, fixed, place.cotangent, [])
    known: dict[tuple[int, ...], Any] = {}
    for case, (value, bars) in _run(call, cases, (points, fixed, cotangents), faults, notes):
        values, expected = here.value, here.bars
        if case.kind == "alone":
            mine = dict(zip(case.members, bars, strict=True))
            bars = [mine.get(k, bar) for k, bar in enumerate(expected)]
        else:
            if case.members not in known:
                mixed = [
                    [a, b][k in case.members] for k, (a, b) in enumerate(zip(*both[0], strict=True))
                ]
                known[case.members] = calls.differentiate(
                    once, OWN, mixed, fixed, other.cotangent, []
                )
            there = known[case.members]
            values = [np.stack(pair) for pair in zip(values, there.value, strict=True)]
            expected = [
                np.stack(pair) if k in case.members else pair[0] + pair[1]
                for k, pair in enumerate(zip(expected, there.bars, strict=True))
            ]
        yield case.name, "value", [np.asarray(leaf) for leaf in value], values
        yield case.name, "bars", [np.asarray(leaf) for leaf in bars], expected


def _cases(call: Call, point: Leaves, fixed: Leaves) -> list[Case]:
    groups, everything = calls.groups(call), tuple(range(len(point)))
    cases = [
        Case("under jit", "alone", everything),
        Case("under vmap", "vmap", everything),
        Case("under vmap of its gradient", "gradient", everything),
        Case("in scan and checkpoint", "scan", everything),
    ]
    if len(groups) > 1:
        cases += [
            Case(f"under vmap over {name}", "vmap", some) for name, some in groups[:MOST_GROUPS]
        ]
        # Single arguments and all but one, where a rule is told what is differentiated.
        inside = calls.operations(call, OWN, point, fixed)
        if any(operation.params.get("symbolic_zeros") for operation in inside):
            names = {members: name for name, members in groups}
            for _, mine in groups:
                rest = tuple(sorted({*everything} - {*mine}))
                names[rest] = " and ".join(name for name, some in groups if some != mine)
            cases += [
                Case(f"with respect to {name} alone", "alone", some) for some, name in names.items()
            ]
    return cases


def _run(
    call: Call,
    cases: list[Case],
    arguments: tuple[Any, ...],
    faults: list[str],
    notes: list[str],
) -> Iterator[tuple[Case, Any]]:
    """Run all transformations in one program; each alone if one raises, or for large arguments."""
    if sum(leaf.size for leaf in arguments[0]) <= BIG:
        try:
            yield from zip(cases, _in_all(call, tuple(cases), *arguments), strict=True)
            return
        except Exception:
            pass
    for one in cases:
        try:
            (result,) = _in_all(call, (one,), *arguments)
        except Exception as error:
            text = f"{one.name}: raises {type(error).__name__}: {str(error).splitlines()[0][:100]}"
            try:
                _in_all(call, (one,), *arguments, derivatives=False)
                faults.append(f"fails {text}")
            except Exception:
                notes.append(f"the function itself fails {text}")
            continue
        yield one, result


@partial(compiled, static_argnums=(0, 1), static_argnames="derivatives")
def _in_all(
    call: Call,
    cases: tuple[Case, ...],
    points: Leaves,
    fixed: Leaves,
    cotangents: Leaves,
    derivatives: bool = True,
) -> list[tuple[Leaves, Leaves]]:
    """Value and cotangents under each transformation of a batch of two points."""

    def one(*moving: Any) -> Leaves:
        return call(moving, fixed)

    def pull(function: Callable[..., Leaves], moving: Sequence[Any], bars: Leaves) -> Any:
        if not derivatives:
            return function(*moving), []
        value, back = jax.vjp(function, *moving)
        return value, list(back(calls.likes(bars, value)))

    def scanned(*moving: Any) -> Leaves:
        body = jax.checkpoint(lambda _, some: (None, one(*some)))
        return jax.lax.scan(body, None, moving)[1]

    first, bar = ([leaf[0] for leaf in leaves] for leaves in (points, cotangents))

    def run(case: Case) -> Any:
        if case.kind == "alone":

            def of_some(*moving: Any) -> Leaves:
                known = dict(zip(case.members, moving, strict=True))
                return one(*(known.get(k, leaf) for k, leaf in enumerate(first)))

            return pull(of_some, [first[k] for k in case.members], bar)
        if case.kind == "gradient":
            return jax.vmap(lambda some, bars: pull(one, some, bars))(points, cotangents)
        if case.kind == "scan":
            return pull(scanned, points, cotangents)
        axes = tuple(0 if k in case.members else None for k in range(len(points)))
        moving = [leaf if k in case.members else leaf[0] for k, leaf in enumerate(points)]
        return pull(jax.vmap(one, in_axes=axes), moving, cotangents)

    return [run(case) for case in cases]
