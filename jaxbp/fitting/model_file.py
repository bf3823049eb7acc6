"""The file of a model: what `Model.save` writes and `load` reads.

The description holds the static fields of the model; the arrays are the leaves of its pytree, each
under its path, and their shapes follow from the description.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxbp._archive import Slot, read_archive, write_archive
from jaxbp._samples import check_named
from jaxbp._version import __version__
from jaxbp.fitting.bars import LEVELS, ErrorBars
from jaxbp.fitting.boxes import Boxes
from jaxbp.fitting.distance import Distance
from jaxbp.fitting.polynomials import Polynomial
from jaxbp.fitting.score import Candidate
from jaxbp.fitting.standardizing import Standardizer
from jaxbp.fitting.term import Term
from jaxbp.params import Layer, Mlp

SCHEMA = 2  # of the description; a reader refuses others
WHAT = "a model that jaxbp saved"
POSITIVE = ("input_scaler_scale", "output_scaler_scale")


def write_model(path: Path, **model: Any) -> None:
    """Write the fields of a model; errors are those of `Model.save`."""
    trees = {
        name: model[name] for name in ("terms", "input_scaler", "output_scaler", "bars", "ranges")
    }
    networks = []
    for term in model["terms"]:
        network = term.network
        dtypes = {"dtype": np.dtype(term.dtype).name, "scale_dtype": term.scale.dtype.name}
        own: dict[str, Any]
        if isinstance(network, Boxes):
            own = {"kernel": network.kernel, "grid": network.grid}
        elif isinstance(network, Distance):
            own = {"kernel": network.kernel, "degree": network.degree}
        elif isinstance(network, Polynomial):
            own = {"degrees": network.degrees}
        else:
            check_named("a model file", network)
            own = {"hidden": network.hidden, "output": network.output, "bias": network.bias}
        networks.append({"sizes": network.sizes, **own, **dtypes})
    bars = model["bars"]
    description = {
        "schema": SCHEMA,
        "jaxbp": __version__,
        "jax": jax.__version__,
        "networks": networks,
        "bars": None if bars is None else {"kernel": bars.kernel, "rows": len(bars.centres)},
        "ranges": model["ranges"] is not None,
        "flat": bool(model["flat"]),
        "names": model["names"],
        "history": [
            (one.name, float(one.held_out), float(one.seconds), bool(one.chosen))
            for one in model["history"]
        ],
    }
    arrays = {name: np.asarray(leaf) for name, leaf in _named(trees).items()}
    arrays |= {
        name: array.astype(np.float64)
        for name, array in arrays.items()
        if not name.startswith("terms")
    }
    write_archive(path, WHAT, description, arrays, _layout)


def read_description(path: Path) -> dict[str, Any]:
    """Read the description: networks, names, history, and the versions that wrote the file."""
    return read_archive(path, WHAT, _layout)[0]


def read_model(path: Path) -> dict[str, Any]:
    """Read the fields of a model; errors are those of `load`."""
    description, arrays = read_archive(path, WHAT, _layout)
    for name, array in arrays.items():
        if not np.isfinite(array).all() or (name in POSITIVE and not (array > 0).all()):
            demand = "positive" if name in POSITIVE else "finite"
            raise ValueError(f"{path} is not {WHAT}: its array {name} must be {demand}")
    skeleton = _skeleton(description)
    structure = jax.tree.structure(skeleton)
    return {
        **jax.tree.unflatten(structure, [arrays[name] for name in _named(skeleton)]),
        "flat": description["flat"],
        "names": tuple(description["names"]),
        "history": tuple(Candidate(*row) for row in description["history"]),
    }


def _named(trees: Any) -> dict[str, Any]:
    """The leaves by their paths, such as terms_0_params_0_weight."""
    leaves = jax.tree_util.tree_flatten_with_path(trees)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="_"): leaf for path, leaf in leaves}


def _network(one: dict[str, Any]) -> Any:
    sizes = tuple(_get(one, "sizes", list, tuple))
    if "degrees" in one:
        return Polynomial(tuple(_get(one, "degrees", list, tuple)), sizes[-1])
    if "kernel" in one:
        if len(sizes) != 3 or not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"its sizes must be three positive integers, got {sizes}")
        kernel = _get(one, "kernel", str)
        if "grid" in one:
            return Boxes(kernel, sizes, tuple(_get(one, "grid", list, tuple)))
        return Distance(kernel, sizes, _get(one, "degree", int))
    hidden = _get(one, "hidden", str, list, tuple)
    named = hidden if isinstance(hidden, str) else tuple(hidden)
    return Mlp(sizes, named, _get(one, "output", str), bias=_get(one, "bias", bool))


def _skeleton(description: dict[str, Any]) -> dict[str, Any]:
    """The pytrees of a model with the shapes of their leaves."""
    terms = []
    for one in description["networks"]:
        network = _network(one)
        shape = _shapes(one["dtype"])
        if not isinstance(network, Mlp):
            params: Any = type(network.shapes())(*map(shape, network.shapes()))
        else:
            params = tuple(
                Layer(shape((a, b)), shape((b,)) if network.bias else None)
                for a, b in zip(network.sizes[:-1], network.sizes[1:], strict=True)
            )
        scale = _shapes(one["scale_dtype"])((network.sizes[-1],))
        terms.append(Term(network, params, scale))
    wide = _shapes("float64")
    d, k = terms[0].network.sizes[0], terms[0].network.sizes[-1]
    scalers = [Standardizer(*[wide((size,))] * 3) for size in (d, k)]
    bars = description["bars"]
    if bars is not None:
        shapes = [(d, d), (bars["rows"], d), (d + 1,), (d,), (k,), (len(LEVELS),), (k,)]
        bars = ErrorBars(bars["kernel"], scalers[0], *map(wide, shapes))
    return {
        "terms": tuple(terms),
        "input_scaler": scalers[0],
        "output_scaler": scalers[1],
        "bars": bars,
        "ranges": wide((2, d)) if description["ranges"] else None,
    }


def _shapes(dtype: str) -> Any:
    return lambda shape: jax.ShapeDtypeStruct(shape, dtype)


def _layout(description: dict[str, Any]) -> dict[str, Slot]:
    """Check a description; return what the arrays of its file must be."""
    schema = _get(description, "schema", int)
    if schema != SCHEMA:
        writer = f"jaxbp {description.get('jaxbp')}"
        raise ValueError(
            f"it has schema {schema}, written by {writer}: this version reads schema {SCHEMA}"
        )
    for name in ("jaxbp", "jax"):
        _get(description, name, str)
    networks = _get(description, "networks", list)
    for network in networks:
        for name in ("dtype", "scale_dtype"):
            if _get(network, name, str) not in ("float32", "float64"):
                raise ValueError(f"its {name} must be float32 or float64, got {network[name]}")
    ends = {(one.sizes[0], one.sizes[-1]) for one in map(_network, networks)}
    if len(ends) != 1:
        raise ValueError(f"its networks must have the same inputs and outputs, got {sorted(ends)}")
    num_inputs, num_outputs = ends.pop()
    _get(description, "ranges", bool)
    flat, names = _get(description, "flat", bool), _get(description, "names", list, tuple)
    if flat and num_outputs != 1:
        raise ValueError(f"it must have one output to be flat, got {num_outputs}")
    known = all(isinstance(name, str) for name in names)
    if not known or len(names) not in (0, num_inputs + num_outputs):
        raise ValueError(
            f"it must name {num_inputs} inputs and {num_outputs} outputs, got names {names}"
        )
    _check_history_and_bars(description)
    skeleton = _named(_skeleton(description))
    return {name: Slot(leaf.shape, leaf.dtype.name) for name, leaf in skeleton.items()}


def _check_history_and_bars(description: dict[str, Any]) -> None:
    for row in _get(description, "history", list, tuple):
        if [type(some) for some in row] != [str, float, float, bool]:
            raise ValueError(f"its history must list name, error, seconds and choice, got {row}")
    if _get(description, "bars", dict, type(None)) is not None:
        Distance(_get(description["bars"], "kernel", str), (1, 1, 1))
        if _get(description["bars"], "rows", int) < 1:
            raise ValueError(f"its bars must have rows, got {description['bars']['rows']}")


def _get(table: Any, name: str, *types: type) -> Any:
    """The value of that name, which must be there and of one of these types."""
    if not isinstance(table, dict) or name not in table or type(table[name]) not in types:
        came = ascii(table.get(name) if isinstance(table, dict) else table)[:100]
        raise ValueError(f"its {name} must be a {types[0].__name__}, got {came}")
    return table[name]
