"""The file of a checkpoint: an archive of jaxbp whose description says which run it is of and names
its arrays.

NumPy reads it without the network: start_0 and start_1 are weight and bias of the first layer at
the start, best_0 ...
those of the best record, state_0 ... the leaves of the `TrainState`, history_0 ... the columns of
the history.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._archive import Slot, read_archive, write_archive
from jaxbp._version import __version__
from jaxbp.training.progress import Best, Progress
from jaxbp.training.recorder import LayerRecord
from jaxbp.training.state import History, Record

SCHEMA = 1  # of the description; a reader refuses later ones
WHAT = "a checkpoint that jaxbp wrote"
_DTYPES = ("float32", "float64", "int32", "int64", "uint8", "uint32", "bool")


def write_checkpoint(path: Path, progress: Progress, about: Mapping[str, Any]) -> None:
    """Writes one checkpoint, whole or not at all."""
    arrays = {
        f"{part}_{i}": array
        for part, leaves in _parts(progress).items()
        for i, array in enumerate(leaves)
    }
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise ValueError(
                f"a checkpoint holds arrays of {', '.join(_DTYPES)}; {name} of this run is {array.dtype}"
            )
    listed = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    counts = {"best_loss": repr(progress.best.loss), "records_since": progress.best.records_since}
    description = {"schema": SCHEMA, "jaxbp": __version__, **about, **counts, "arrays": listed}
    write_archive(path, WHAT, description, arrays, _layout)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads description and arrays.

    Raises:
        ValueError: the file is damaged, of another kind, later, or made to harm.
    """
    return read_archive(path, WHAT, _layout)


def _parts(progress: Progress) -> dict[str, list[np.ndarray]]:
    """The arrays of a checkpoint, by what they belong to; parameters are weight and bias of each layer in turn."""
    layers = progress.layer_history
    trees = {"start": progress.start, "best": progress.best.params, "state": progress.state}
    parts = {
        name: [np.asarray(_plain(leaf)) for leaf in jax.tree.leaves(tree)]
        for name, tree in trees.items()
    }
    return parts | {
        "history": list(progress.history),
        "layers": [] if layers is None else list(layers[1:]),
    }


def as_progress(
    fresh: Progress, description: Mapping[str, Any], arrays: Mapping[str, Any], path: Path
) -> Progress:
    """Puts the arrays of a checkpoint into the places that a fresh start of the same run has."""
    parts: dict[str, list[Any]] = {
        "start": [],
        "best": [],
        "state": [],
        "history": [],
        "layers": [],
    }
    for name, array in arrays.items():
        parts[name.rsplit("_", 1)[0]].append(array)
    with jax.enable_x64(True):  # a solver may keep float64 where the parameters are float32
        start, best = (_like(fresh.start, parts[name], path) for name in ("start", "best"))
        state = _like(fresh.state, parts["state"], path)
    records = tuple(
        Record(int(a), float(b), float(c), float(d))
        for a, b, c, d in zip(*parts["history"], strict=True)
    )
    layers = tuple(LayerRecord(*rows) for rows in zip(*parts["layers"], strict=True))
    chosen = Best(best, float(description["best_loss"]), int(description["records_since"]))
    return Progress(start, state, chosen, records, layers)


def _like(tree: Any, arrays: list[np.ndarray], path: Path) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    wanted = [(_plain(leaf).dtype.name, _plain(leaf).shape) for leaf in leaves]
    found = [(array.dtype.name, array.shape) for array in arrays]
    if found != wanted:
        raise ValueError(f"{path} must hold arrays {wanted} for this run, it has {found}")
    pairs = zip(leaves, arrays, strict=True)
    return jax.tree.unflatten(structure, [_restored(leaf, array) for leaf, array in pairs])


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _plain(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _restored(leaf: Any, array: np.ndarray) -> Any:
    return (
        jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
        if _is_key(leaf)
        else jnp.asarray(array)
    )


def _layout(description: dict[str, Any]) -> dict[str, Slot]:
    """What the arrays of a file must be, by its own list; each is held against the bytes that are there."""
    schema, listed = description.get("schema"), description.get("arrays")
    if not isinstance(schema, int) or schema > SCHEMA or not isinstance(listed, list):
        raise ValueError(
            f"it has schema {schema}, and this version of jaxbp reads {SCHEMA} and older"
        )
    slots: dict[str, Slot] = {}
    for name, dtype, shape in listed:
        right = isinstance(name, str) and re.fullmatch(
            "(start|best|state|history|layers)_[0-9]{1,4}", name
        )
        if (
            not right
            or name in slots
            or dtype not in _DTYPES
            or not all(type(size) is int for size in shape)
        ):
            raise ValueError(f"its list of arrays has an entry {ascii([name, dtype, shape])[:100]}")
        slots[name] = Slot(tuple(shape), dtype)
    if sum(name.startswith("history_") for name in slots) != len(History._fields):
        raise ValueError("it has no history")
    float(description["best_loss"]), int(description["records_since"])
    return slots
