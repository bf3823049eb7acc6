"""A rule under jit, vmap, scan and checkpoint, to be compared with the plain call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.gradcheck import calls
from jaxbp.gradcheck.calls import OWN, QUICKLY, Call, Leaves

MOST_GROUPS = 4


@dataclass
class Failures:
    """Exceptions under a transformation: of the rule alone, and of the function itself."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Pair = tuple[str, str, Leaves, Leaves]


def check_transformed(
    call: Call, groups: Sequence[tuple[str, tuple[int, ...]]], place: Any, other: Any, fixed: Leaves
) -> tuple[list[Pair], Failures]:
    """Return, for each transformation, its numbers beside those of plain calls.

    Args:
        call: the function, not jitted.
        groups: name and leaves of each argument.
        place: a point with a cotangent.
        other: another one.
        fixed: the other arrays.

    Returns:
        Tuples of the transformation, "value" or "bars", its leaves and the expected ones; and the
        exceptions.
    """

    def plain(point: Leaves, cotangent: Leaves) -> tuple[Leaves, Leaves]:
        outcome = calls.differentiate(call, OWN, point, fixed, cotangent, [])
        return outcome.value, outcome.bars

    both = [place.point, other.point], [place.cotangent, other.cotangent]
    ends = [plain(point, bar) for point, bar in zip(*both, strict=True)]
    points, cotangents = ([np.stack(pair) for pair in zip(*some, strict=True)] for some in both)
    stacked = [
        [np.stack(pair) for pair in zip(*some, strict=True)] for some in zip(*ends, strict=True)
    ]
    expected: dict[str, Any] = {"under jit": ends[0]}
    expected |= dict.fromkeys(
        ("under vmap", "under vmap of its gradient", "in scan and checkpoint"), tuple(stacked)
    )
    names: list[tuple[str, tuple[int, ...]]] = [(name, ()) for name in expected]
    if len(groups) > 1:
        for name, members in groups[:MOST_GROUPS]:
            mixed = [other.point[k] if k in members else leaf for k, leaf in enumerate(place.point)]
            values = [ends[0], plain(mixed, other.cotangent)]
            value = [np.stack(pair) for pair in zip(values[0][0], values[1][0], strict=True)]
            bars = [
                np.stack(pair) if k in members else pair[0] + pair[1]
                for k, pair in enumerate(zip(values[0][1], values[1][1], strict=True))
            ]
            names.append((f"under vmap over {name}", members))
            expected[names[-1][0]] = value, bars
    subsets = _subsets(call, groups, place.point, fixed)
    for name, members in subsets:
        names.append((f"with respect to {name} alone", members))
        expected[names[-1][0]] = ends[0][0], ends[0][1]
    results, failures = _run_each(call, names, (points, fixed, cotangents))
    pairs = []
    for name, members in names:
        if name not in results:
            continue
        value, bars = results[name]
        if len(bars) < len(expected[name][1]):  # of some arguments alone
            known = dict(zip(members, bars, strict=True))
            bars = [known.get(k, bar) for k, bar in enumerate(expected[name][1])]
        for kind, got, want in zip(("value", "bars"), (value, bars), expected[name], strict=True):
            pairs.append((name, kind, [np.asarray(leaf) for leaf in got], list(want)))
    return pairs, failures


def _run_each(
    call: Call, names: Sequence[tuple[str, tuple[int, ...]]], arguments: tuple[Any, ...]
) -> tuple[dict[str, Any], Failures]:
    """Run all transformations in one program, or each alone if one of them raises."""
    failures = Failures()
    try:
        return _in_all(call, tuple(names), *arguments), failures
    except Exception:
        results: dict[str, Any] = {}
    for one in names:
        try:
            results |= _in_all(call, (one,), *arguments)
        except Exception as error:
            text = f"{one[0]}: raises {type(error).__name__}: {str(error).splitlines()[0][:100]}"
            try:
                _in_all(call, (one,), *arguments, derivatives=False)
                failures.faults.append(f"fails {text}")
            except Exception:
                failures.notes.append(f"the function itself fails {text}")
    return results, failures


def _subsets(
    call: Call, groups: Sequence[tuple[str, tuple[int, ...]]], point: Leaves, fixed: Leaves
) -> list[tuple[str, tuple[int, ...]]]:
    """Single arguments and all but one, where a rule is told what is differentiated."""
    if len(groups) < 2 or not any(
        equation.params.get("symbolic_zeros")
        for equation in calls.operations(call, OWN, point, fixed)
    ):
        return []
    everything = {k for _, members in groups for k in members}
    subsets = {}
    for name, members in groups:
        subsets[members] = name
        rest = tuple(sorted(everything - set(members)))
        others = [other for other, some in groups if some != members]
        subsets[rest] = " and ".join(others)
    return [(name, members) for members, name in subsets.items()]


@partial(jax.jit, static_argnums=(0, 1), static_argnames="derivatives", compiler_options=QUICKLY)
def _in_all(
    call: Call,
    names: tuple[tuple[str, tuple[int, ...]], ...],
    points: Leaves,
    fixed: Leaves,
    cotangents: Leaves,
    derivatives: bool = True,
) -> dict[str, tuple[Leaves, Leaves]]:
    """Value and cotangents under each transformation of a batch of two points."""

    def one(*moving: Any) -> Leaves:
        return call(moving, fixed)

    def pull(function: Callable[..., Leaves], moving: Sequence[Any], bars: Leaves) -> Any:
        if not derivatives:
            return function(*moving), []
        value, back = jax.vjp(function, *moving)
        same = [jnp.asarray(bar).astype(leaf.dtype) for bar, leaf in zip(bars, value, strict=True)]
        return value, list(back(same))

    def scanned(*moving: Any) -> Leaves:
        body = jax.checkpoint(lambda _, some: (None, one(*some)))
        return jax.lax.scan(body, None, moving)[1]

    first, bar = [leaf[0] for leaf in points], [leaf[0] for leaf in cotangents]

    def over(members: tuple[int, ...]) -> Any:
        axes = tuple(0 if k in members else None for k in range(len(points)))
        moving = [leaf if k in members else leaf[0] for k, leaf in enumerate(points)]
        return pull(jax.vmap(one, in_axes=axes), moving, cotangents)

    def alone(members: tuple[int, ...]) -> Any:
        def of_some(*moving: Any) -> Leaves:
            known = dict(zip(members, moving, strict=True))
            return one(*(known.get(k, leaf) for k, leaf in enumerate(first)))

        return pull(of_some, [first[k] for k in members], bar)

    whole: dict[str, Callable[[], Any]] = {
        "under jit": lambda: pull(one, first, bar),
        "under vmap": lambda: pull(jax.vmap(one), points, cotangents),
        "under vmap of its gradient": lambda: jax.vmap(lambda some, bars: pull(one, some, bars))(
            points, cotangents
        ),
        "in scan and checkpoint": lambda: pull(scanned, points, cotangents),
    }
    results = {}
    for name, members in names:
        if name in whole:
            results[name] = whole[name]()
        else:
            results[name] = (over if name.startswith("under vmap over") else alone)(members)
    return results
