"""The file of a model: what `Model.save` writes and `load` reads.

Legend: d inputs, k outputs, t terms.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxbp._archive import Slot, read_archive, write_archive
from jaxbp._samples import check_named
from jaxbp._version import __version__
from jaxbp.fitting.score import Candidate
from jaxbp.fitting.standardizing import Standardizer
from jaxbp.fitting.term import Term
from jaxbp.params import Layer, Mlp

SCHEMA = 1  # of the description; a reader refuses later ones
WHAT = "a model that jaxbp saved"


def write_model(
    path: Path,
    *,
    terms: tuple[Term, ...],
    input_scaler: Standardizer,
    output_scaler: Standardizer,
    flat: bool,
    history: tuple[Candidate, ...],
    names: tuple[str, ...],
) -> None:
    """Writes the fields of a model; arguments are those of `Model`, errors those of `Model.save`."""
    arrays: dict[str, Any] = {
        f"{side}_{name}": np.asarray(array, np.float64)
        for side, scaler in (("input", input_scaler), ("output", output_scaler))
        for name, array in scaler._asdict().items()
    }
    networks = []
    for i, term in enumerate(terms):
        mlp, scale, layers = (
            term.network,
            np.asarray(term.scale),
            jax.tree.map(np.asarray, term.params),
        )
        check_named("a model file", mlp)
        networks.append(
            {
                **{"sizes": mlp.sizes, "hidden": mlp.hidden, "output": mlp.output},
                **{"dtype": layers[0].weight.dtype.name, "scale_dtype": scale.dtype.name},
            }
        )
        arrays[f"{i}_scale"] = scale
        for j, layer in enumerate(layers):
            arrays |= {f"{i}_{j}_{name}": array for name, array in layer._asdict().items()}
    description = {
        **{"schema": SCHEMA, "jaxbp": __version__, "jax": jax.__version__, "networks": networks},
        **{"flat": bool(flat), "names": names},
        "history": [
            (some.name, float(some.held_out), float(some.seconds), bool(some.chosen))
            for some in history
        ],
    }
    write_archive(path, WHAT, description, arrays, _layout)


def read_description(path: Path) -> dict[str, Any]:
    """Reads what a file says of its model: networks, names, history, and the versions that wrote it."""
    return read_archive(path, WHAT, _layout)[0]


def read_model(path: Path) -> dict[str, Any]:
    """Reads the fields of a model; errors are those of `load`."""
    description, read = read_archive(path, WHAT, _layout)
    arrays: dict[str, Any] = dict(read)
    mlps = _networks(description)
    terms = [
        Term(
            mlp,
            tuple(
                Layer(arrays[f"{i}_{j}_weight"], arrays[f"{i}_{j}_bias"])
                for j in range(mlp.num_layers)
            ),
            arrays[f"{i}_scale"],
        )
        for i, mlp in enumerate(mlps)
    ]
    return {
        "terms": tuple(terms),
        "input_scaler": Standardizer(arrays["input_mean"], arrays["input_scale"]),
        "output_scaler": Standardizer(arrays["output_mean"], arrays["output_scale"]),
        "flat": description["flat"],
        "names": tuple(description["names"]),
        "history": tuple(Candidate(*row) for row in description["history"]),
    }


def _networks(description: dict[str, Any]) -> tuple[Mlp, ...]:
    return tuple(
        Mlp(tuple(one["sizes"]), one["hidden"], one["output"]) for one in description["networks"]
    )


def _layout(description: dict[str, Any]) -> dict[str, Slot]:
    """Checks a description; returns what the arrays of its file must be."""
    schema = _get(description, "schema", int)
    if schema > SCHEMA:
        writer = f"jaxbp {description.get('jaxbp')}"
        raise ValueError(
            f"it has schema {schema}, written by {writer}: this version reads schema {SCHEMA} and older"
        )
    for name in ("jaxbp", "jax"):
        _get(description, name, str)
    networks = _get(description, "networks", list)
    for network in networks:
        _get(network, "sizes", list, tuple)
        for name in ("dtype", "scale_dtype"):
            if _get(network, name, str) not in ("float32", "float64"):
                raise ValueError(f"its {name} must be float32 or float64, got {network[name]}")
    mlps = _networks(description)
    ends = {(mlp.sizes[0], mlp.sizes[-1]) for mlp in mlps}
    if len(ends) != 1:
        raise ValueError(f"its networks must have the same inputs and outputs, got {sorted(ends)}")
    num_inputs, num_outputs = ends.pop()
    flat, names = _get(description, "flat", bool), _get(description, "names", list, tuple)
    if flat and num_outputs != 1:
        raise ValueError(f"it must have one output to be flat, got {num_outputs}")
    if not all(isinstance(name, str) for name in names) or len(names) not in (
        0,
        num_inputs + num_outputs,
    ):
        raise ValueError(
            f"it must name {num_inputs} inputs and {num_outputs} outputs, got names {names}"
        )
    for row in _get(description, "history", list, tuple):
        if [type(some) for some in row] != [str, float, float, bool]:
            raise ValueError(f"its history must list name, error, seconds and choice, got {row}")
    slots = {
        f"{side}_{name}": Slot((size,), "float64")
        for side, size in (("input", num_inputs), ("output", num_outputs))
        for name in Standardizer._fields
    }
    for i, (network, mlp) in enumerate(zip(networks, mlps, strict=True)):
        slots[f"{i}_scale"] = Slot((num_outputs,), network["scale_dtype"])
        for j, (fan_in, fan_out) in enumerate(zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True)):
            slots[f"{i}_{j}_weight"] = Slot((fan_in, fan_out), network["dtype"])
            slots[f"{i}_{j}_bias"] = Slot((fan_out,), network["dtype"])
    return slots


def _get(table: Any, name: str, *types: type) -> Any:
    """The value of that name, which must be there and of one of these types."""
    if not isinstance(table, dict) or type(table.get(name)) not in types:
        came = ascii(table.get(name) if isinstance(table, dict) else table)[:100]
        raise ValueError(f"its {name} must be a {types[0].__name__}, got {came}")
    return table[name]
