"""The live page: one HTML file that computes both passes of a network by itself, to drag, break,
train and question.

The scripts beside this file are a second implementation of the two passes. The page carries the
numbers that `jaxbp.backprop` has for the same network and says whether its own are equal to them.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jaxbp._checks import check_name
from jaxbp._files import atomic_write
from jaxbp._samples import check_named
from jaxbp.losses import Loss, as_loss
from jaxbp.viz.page._contents import data_of, network_of, recorded

VIEWS = ("walk", "check", "plane", "training", "depth", "reveal")
LANGUAGES = ("en", "zh")
# The scripts that every page has, before those of its views; each uses what stands before it.
SHARED = ("engine", "formulas", "rounding", "mistakes", "maps", "page", "tour", "frame")
MAX_UNITS, MAX_SAMPLES = 100, 512
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
    loss: str | Loss = "mean_squared_error",
    lang: str = "en",
    title: str = "",
) -> Path:
    """Writes the live page of a network, whole or not at all.

    Args:
        model: the pair (mlp, params), or a `Model` of one network.
        inputs: (n, n_0) samples, at most 512; for a `Model` in the units of the data, which the
            page standardizes.
        targets: (n, n_L), or what else the loss takes; for a `Model` (n,) or (n, k) in the units of
            the data.
        path: the file, .html.
        views: which of walk, check, plane, training, depth and reveal, in this order of tabs; the
            plane is left out for a network without two inputs.
        recording: runs to replay side by side: name -> (mlp, [(step, params), ...]) or
            (mlp, [(step, params), ...], losses) with a loss for each step.
        loss: the name of a loss, or the `Loss` that it names.
        lang: "en" or "zh".
        title: the heading; the sizes of the network unless given.

    Returns:
        The path written.

    Raises:
        ValueError: a name is not known, an array does not fit the network or is not finite, a
            `Model` has several networks, or the page would be larger than 150 kB, with recordings 1
            MB.
        OSError: the file cannot be written.
    """
    path = Path(path).expanduser()
    if path.suffix != ".html":
        raise ValueError(f"path must end in .html, got {path.name}")
    check_name("lang", lang, LANGUAGES)
    for name in views:
        check_name("views", name, VIEWS)
    loss = as_loss(loss)
    mlp, params, inputs, targets = network_of(model, inputs, targets)
    for some in (mlp, *(run[0] for run in (recording or {}).values())):
        check_named("a page", some, loss)
    if sum(mlp.sizes) > MAX_UNITS:
        raise ValueError(
            f"model must have at most {MAX_UNITS} units for a page, got {sum(mlp.sizes)}"
        )
    if len(inputs) > MAX_SAMPLES:
        raise ValueError(
            f"inputs must hold at most {MAX_SAMPLES} samples for a page, got {len(inputs)}: pass some of them"
        )
    chosen = [name for name in dict.fromkeys(views) if name != "plane" or mlp.sizes[0] == 2]
    if not chosen:
        raise ValueError(
            f"views must name one that a network with {mlp.sizes[0]} inputs has, got {tuple(views)}"
        )
    heading = title or f"{'-'.join(map(str, mlp.sizes))}"
    data = data_of(mlp, params, inputs, targets, loss) | {
        "title": heading,
        "lang": lang,
        "views": chosen,
        "recording": {name: recorded(name, mlp, *run) for name, run in (recording or {}).items()},
    }
    page = _assemble(data, chosen, heading, lang)
    limit = MAX_BYTES_RECORDED if recording else MAX_BYTES
    size = len(page.encode())
    if size > limit:
        raise ValueError(
            f"page must stay below {limit:,} bytes, got {size:,}: pass fewer samples or recorded steps"
        )
    with atomic_write(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _assemble(data: dict[str, Any], views: Sequence[str], title: str, lang: str) -> str:
    folder = resources.files(__name__)

    def read(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    def short(name: str) -> str:
        """Without indentation, and lines of comment alone: a sixth of the page. To be read, there are the files."""
        return re.sub(r"(?m)^(//.*)?\n", "", re.sub(r"(?m)^ +", "", read(name)))

    words = {key: text[lang] for key, text in json.loads(read("words.json")).items()}
    scripts = [f"<script>\n{short(f'{name}.js')}</script>" for name in (*SHARED, *views)]
    panels = [
        f'<section id="panel-{name}" role="tabpanel" aria-labelledby="tab-{name}"></section>'
        for name in views
    ]
    parts = {
        "lang": "zh-Hans" if lang == "zh" else "en",
        "title": html.escape(title),
        "css": short("page.css"),
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
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )
