"""Reasons for a wrong gradient of a network, in words."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxbp.gradcheck.catalogue import MISTAKES, Pass, backward_by
from jaxbp.losses import Loss
from jaxbp.params import Layer, Mlp, Params

MATCH = 1e-5  # relative to the leaf's norm: errors that small make two gradients the same
MOST = 12  # elements that are listed


def name_of(mlp: Mlp, layer: int, place: Sequence[int]) -> str:
    """Return w42 for the weight from node 2 to node 4, b4 for the bias of node 4."""
    start = [1 + sum(mlp.sizes[:k]) for k in range(len(mlp.sizes))]
    comma = "," if sum(mlp.sizes) > 9 else ""
    target = start[layer + 1] + place[-1]
    return f"w{target}{comma}{start[layer] + place[0]}" if len(place) == 2 else f"b{target}"


def causes_of(
    mlp: Mlp, hand: Params, right: Params, params: Params, data: tuple[Any, Any, Loss], rtol: float
) -> list[str]:
    """Explain a wrong gradient, the likeliest cause first.

    Data are inputs, targets and loss; all numbers are in NumPy and float64.
    """
    tolerance = max(rtol, MATCH)
    with np.errstate(all="ignore"):
        p = Pass.of(np, mlp, params, *data)
        found = [*_of_all(p, hand, right, tolerance)]
        found += _of_catalogue(mlp, p, hand, right, tolerance)
    if not any("every element" in text for text in found):
        found += _of_leaves(mlp, hand, right, tolerance)
    return [*dict.fromkeys(found), *_wrong_elements(mlp, hand, right, tolerance)]


def _of_all(p: Pass, hand: Params, right: Params, tolerance: float) -> Iterator[str]:
    """One factor for all elements."""
    flat = [
        np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)]) for tree in (hand, right)
    ]
    factor = _factor(flat[0], flat[1], tolerance)
    if factor is None:
        return
    names = [name for name, value in _known_factors(p) if _equal(value, factor, tolerance)]
    what = f": {factor:.4g} is {' or '.join(names[:3])}" if names else ""
    yield f"every element is {factor:.4g} times the right one{what}"


def _known_factors(p: Pass) -> Iterator[tuple[str, float]]:
    """Numbers that get into a gradient by mistake."""
    outputs = p.a[-1].shape[1]
    yield "2: the error taken twice, or the factor of a squared error", 2.0
    yield "1/2: the factor 2 of a squared error left out", 0.5
    yield "-1: the sign", -1.0
    if p.n > 1:
        yield f"the batch size {p.n}: 1/batch left out", float(p.n)
        yield f"1/{p.n}: divided by the batch size twice", 1 / p.n
        yield f"{p.n}/{p.n - 1}: the batch size less 1", p.n / (p.n - 1)
    if outputs > 1:
        yield f"the number of outputs {outputs}", float(outputs)
        yield f"1/{outputs}: divided by the number of outputs once more", 1 / outputs
        yield f"{p.n * outputs}: divided by nothing", float(p.n * outputs)
    if p.a[-1].size == 1:
        output, slope = p.a[-1].item(), p.slope(len(p.a) - 1).item()
        yield "the output itself, multiplied in once more", output
        if p.t.size == 1:
            yield "output - target, the error multiplied in once more", output - p.t.item()
            yield "the target", float(p.t.item())
        yield "the slope of the output, multiplied in once more", slope
        if slope:
            yield "1 / the slope of the output, which was left out", 1 / slope
        if output:
            yield "1 / the output", 1 / output


def _of_catalogue(
    mlp: Mlp, p: Pass, hand: Params, right: Params, tolerance: float
) -> Iterator[str]:
    """Mistakes of the catalogue that give these numbers."""
    for mistake in MISTAKES:
        kind = mistake.name.split(":")[0]
        special = kind in ("tanh", "relu", "silu", "sigmoid", "sigmoid of the sigmoid")
        layers = range(1, mlp.num_layers + 1) if mistake.layer else (0,)
        for layer in layers:
            if special and mlp.activation_names[layer - 1] != kind.split()[0]:
                continue
            try:
                wrong = backward_by(p, mistake, layer)[0]
            except (AttributeError, IndexError, TypeError, ValueError):
                continue  # shapes that do not fit: nobody could have computed it
            if _same(wrong, hand, tolerance) and not _same(wrong, right, tolerance):
                where = f" (layer {layer})" if layer and mlp.num_layers > 1 else ""
                yield f"this mistake gives exactly these numbers: {mistake.name}{where}"


def _of_leaves(mlp: Mlp, hand: Params, right: Params, tolerance: float) -> Iterator[str]:
    """Factors, transposes and exchanges of single leaves."""
    wrong = [
        k for k, (mine, own) in enumerate(zip(hand, right, strict=True))
        if not _same(mine, own, tolerance)
    ]  # fmt: skip
    if wrong and wrong[-1] < mlp.num_layers - 1:
        yield f"layers above layer {wrong[-1] + 1} are right: the mistake enters there"
    for k, part, got, want in _leaves(hand, right):
        if _close(got, want, tolerance):
            continue
        path = f"params[{k}].{part}"
        factor = _factor(got.ravel(), want.ravel(), tolerance)
        if not got.any():
            yield f"{path} is zero"
        elif factor is not None and got.size > 1:
            yield f"{path} is {factor:.4g} times the right one"
        elif got.ndim == 2 and _close(got, want.T, tolerance):
            yield f"{path} is transposed"
        for j, other in enumerate(right):
            if j != k and _close(got, getattr(other, part), tolerance):
                yield f"{path} is that of layer {j + 1}"


def _wrong_elements(mlp: Mlp, hand: Params, right: Params, tolerance: float) -> Iterator[str]:
    """All wrong elements of each leaf, with their names."""
    for k, part, got, want in _leaves(hand, right):
        off = ~(np.abs(got - want) <= tolerance * np.maximum(np.linalg.norm(want), 1e-300))
        places = [tuple(map(int, place)) for place in np.argwhere(off)]
        if places:
            named = ", ".join(f"{list(at)} {name_of(mlp, k, at)}" for at in places[:MOST])
            more = f" and {len(places) - MOST} more" if len(places) > MOST else ""
            yield f"wrong in params[{k}].{part}: {named}{more}"


def _leaves(hand: Params, right: Params) -> Iterator[tuple[int, str, np.ndarray, np.ndarray]]:
    """Layer, name and both arrays of each leaf."""
    for k, (mine, own) in enumerate(zip(hand, right, strict=True)):
        for part in Layer._fields[: 1 + (own.bias is not None)]:
            yield k, part, getattr(mine, part), getattr(own, part)


def _factor(hand: np.ndarray, right: np.ndarray, tolerance: float) -> float | None:
    """The number f with hand = f right, None without one."""
    size = float(right @ right)
    if not size or not np.isfinite(hand).all():
        return None
    factor = float(hand @ right) / size
    if not factor or _equal(factor, 1.0, tolerance):
        return None
    return factor if _close(hand, factor * right, tolerance) else None


def _close(got: np.ndarray, want: np.ndarray, tolerance: float) -> bool:
    if got.shape != want.shape:
        return False
    scale = max(float(np.linalg.norm(want)), 1e-300)
    return bool(np.linalg.norm(got - want) <= tolerance * scale)


def _same(one: Any, other: Any, tolerance: float) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(_close(np.asarray(a), np.asarray(b), tolerance) for a, b in pairs)


def _equal(one: float, other: float, tolerance: float) -> bool:
    return abs(one - other) <= 10 * tolerance * max(abs(one), abs(other))
