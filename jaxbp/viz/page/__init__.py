"""The live page: one HTML file that computes both passes of a network by itself, to drag, break, train and question.

The scripts beside this file are a second implementation of the two passes. The page carries the numbers that
`jaxbp.backprop` has for the same network and says whether its own are equal to them.
"""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._checks import check_name
from jaxbp._files import atomic_write
from jaxbp.backprop import Trace, backprop
from jaxbp.params import Mlp, Params

VIEWS = ("walk", "check", "plane", "training", "depth", "reveal")
LANGUAGES = ("en", "zh")
# The scripts that every page has, before those of its views; each uses what stands before it.
SHARED = ("engine", "formulas", "mistakes", "maps", "page", "tour", "frame")
MAX_UNITS, MAX_SAMPLES, MAX_TRACES = 100, 512, 8
MAX_BYTES, MAX_BYTES_RECORDED = 150_000, 1_000_000

Recording = Mapping[str, tuple[Any, ...]]


def save_page(
    model: Any,
    inputs: Any,
    targets: Any,
    path: str | Path,
    *,
    views: Sequence[str] = VIEWS,
    recording: Recording | None = None,
    loss: str = "mean_squared_error",
    lang: str = "en",
    title: str = "",
) -> Path:
    """Writes the live page of a network, whole or not at all.

    Args:
        model: the pair (mlp, params).
        inputs: (n, n_0) samples, at most 512.
        targets: (n, n_L), or what else the loss takes.
        path: the file, .html.
        views: which of walk, check, plane, training, depth and reveal, in this order of tabs; the plane is left out
            for a network without two inputs.
        recording: runs to replay side by side: name -> (mlp, [(step, params), ...]) or
            (mlp, [(step, params), ...], losses) with a loss for each step.
        loss: the name of a loss.
        lang: "en" or "zh".
        title: the heading; the sizes of the network unless given.

    Returns:
        The path written.

    Raises:
        ValueError: a name is not known, an array does not fit the network or is not finite, or the page would be
            larger than 150 kB, with recordings 1 MB.
        OSError: the file cannot be written.
    """
    path = Path(path).expanduser()
    if path.suffix != ".html":
        raise ValueError(f"path must end in .html, got {path.name}")
    check_name("lang", lang, LANGUAGES)
    for name in views:
        check_name("views", name, VIEWS)
    mlp, params = model
    if sum(mlp.sizes) > MAX_UNITS:
        raise ValueError(f"model must have at most {MAX_UNITS} units for a page, got {sum(mlp.sizes)}")
    if len(inputs) > MAX_SAMPLES:
        raise ValueError(
            f"inputs must hold at most {MAX_SAMPLES} samples for a page, got {len(inputs)}: pass some of them"
        )
    chosen = [name for name in dict.fromkeys(views) if name != "plane" or mlp.sizes[0] == 2]
    if not chosen:
        raise ValueError(f"views must name one that a network with {mlp.sizes[0]} inputs has, got {tuple(views)}")
    heading = title or f"{'-'.join(map(str, mlp.sizes))}"
    data = _data(mlp, params, inputs, targets, loss) | {
        "title": heading,
        "lang": lang,
        "views": chosen,
        "recording": {name: _recorded(name, mlp, *run) for name, run in (recording or {}).items()},
    }
    page = _assemble(data, chosen, heading, lang)
    limit = MAX_BYTES_RECORDED if recording else MAX_BYTES
    size = len(page.encode())
    if size > limit:
        raise ValueError(f"page must stay below {limit:,} bytes, got {size:,}: pass fewer samples or recorded steps")
    with atomic_write(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _data(mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: str) -> dict[str, Any]:
    """The network, its samples, and jaxbp's own numbers in float64: of some samples by themselves, and of all."""
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        inputs = np.asarray(inputs, np.float64)
        targets = np.asarray(targets) if loss == "softmax_cross_entropy" else np.asarray(targets, np.float64)
        traced = jax.jit(backprop, static_argnums=(0, 4))
        whole = traced(mlp, params, inputs, targets, loss)
        number = min(len(inputs), MAX_TRACES, max(1, 600 // mlp.num_params))
        alone = [traced(mlp, params, inputs[s : s + 1], targets[s : s + 1], loss) for s in range(number)]
    if not all(np.isfinite(leaf).all() for leaf in (*jax.tree.leaves(params), inputs, targets, whole.loss)):
        raise ValueError("params, inputs, targets and the loss must be finite, got NaN or infinity in one of them")
    if targets.ndim == 1:
        targets = np.eye(mlp.sizes[-1])[targets]
    return {
        "mlp": {"sizes": mlp.sizes, "activations": mlp.activation_names},
        "numSamples": len(inputs),
        "params": _packed(jax.tree.leaves(params)),
        "inputs": _packed([inputs]),
        "targets": _packed([targets]),
        "loss": loss,
        "traces": [_numbers(trace, 1) for trace in alone],
        "batch": _numbers(whole, number),
    }


def _numbers(trace: Trace, number: int) -> str:
    """A trace for its first samples: its arrays layer by layer, one after the other, then gradient and loss."""
    kept = (trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors)
    rows = [array[:number] for arrays in kept for array in arrays]
    return _packed([*rows, *jax.tree.leaves(trace.gradient), trace.loss])


def _packed(arrays: Sequence[Any], dtype: str = "<f8") -> str:
    """The bytes of all arrays after each other, as text: exact, and half as long as digits."""
    flat = np.concatenate([np.asarray(array).ravel() for array in arrays])
    return base64.b64encode(flat.astype(dtype).tobytes()).decode()


def _recorded(
    name: str, shown: Mlp, mlp: Mlp, steps: Sequence[tuple[int, Params]], losses: Any = None
) -> dict[str, Any]:
    """A run to replay: the parameters of each step as they are in memory, so that they come back to the last bit."""
    if (mlp.sizes[0], mlp.sizes[-1]) != (shown.sizes[0], shown.sizes[-1]):
        raise ValueError(
            f"recording[{name!r}] must have the {shown.sizes[0]} inputs and {shown.sizes[-1]} outputs of the page, "
            f"got sizes {mlp.sizes}"
        )
    if not steps:
        raise ValueError(f"recording[{name!r}] must hold at least one step, got none")
    if losses is not None and len(losses) != len(steps):
        raise ValueError(f"recording[{name!r}] must hold a loss for each of its {len(steps)} steps, got {len(losses)}")
    leaves = [np.asarray(leaf) for _, params in steps for leaf in jax.tree.leaves(params)]
    narrow = all(leaf.dtype == np.float32 for leaf in leaves)
    return {
        "mlp": {"sizes": mlp.sizes, "activations": mlp.activation_names},
        "steps": [int(step) for step, _ in steps],
        "losses": None if losses is None else [float(value) if np.isfinite(value) else None for value in losses],
        "bits": 32 if narrow else 64,
        "params": _packed(leaves, "<f4" if narrow else "<f8"),
    }


def _assemble(data: dict[str, Any], views: Sequence[str], title: str, lang: str) -> str:
    folder = resources.files(__name__)

    def read(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    def unindented(name: str) -> str:
        return re.sub(r"(?m)^ +", "", read(name))  # a tenth of the page; whoever wants to read it finds the files here

    words = {key: text[lang] for key, text in json.loads(read("words.json")).items()}
    scripts = [f"<script>\n{unindented(f'{name}.js')}</script>" for name in (*SHARED, *views)]
    panels = [f'<section id="panel-{name}" role="tabpanel" aria-labelledby="tab-{name}"></section>' for name in views]
    parts = {
        "lang": "zh-Hans" if lang == "zh" else "en",
        "title": html.escape(title),
        "css": unindented("page.css"),
        "views": html.escape(words["views"]),
        "noscript": html.escape(words["noscript"]),
        "panels": "\n".join(panels),
        "words": _embedded(words),
        "data": _embedded(data),
        "scripts": "\n".join(scripts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found.group(1)], read("page.html"))


def _embedded(value: Any) -> str:
    """JSON that no HTML parser takes for the end of its script."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
