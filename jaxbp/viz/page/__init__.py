"""The live page: one HTML file that computes both passes of a network by itself.

The modules beside this file are a second implementation of the two passes. The page carries the
numbers that `jaxbp.backprop` has for its network and says whether its own are equal to them.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxbp._checks import check_name
from jaxbp._files import as_path, atomic_write
from jaxbp.losses import Loss, as_loss
from jaxbp.params import Mlp
from jaxbp.viz.page._assembly import assemble
from jaxbp.viz.page._contents import (
    OPENING_PARAMS,
    OPENING_SAMPLE,
    check_size,
    data_of,
    network_of,
    recorded,
)
from jaxbp.viz.page._contents import (
    example_of as example_of,
)

VIEWS = ("walk", "check", "plane", "training", "depth", "reveal")
LANGUAGES = ("en", "zh")
MAX_BYTES, MAX_BYTES_RECORDED = 250_000, 1_000_000

Recording = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Page:
    """A page in memory: shown by a notebook, written by `save`.

    Attributes:
        html: the whole document.
        height: of the frame in a notebook, in pixels.
    """

    html: str
    height: int = 620

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all, and return its path."""
        path = as_path(path)
        if path.suffix != ".html":
            raise ValueError(f"path must end in .html, got {path.name}")
        with atomic_write(path) as partial:
            partial.write_text(self.html, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        """Return a frame with the page, without its header and settings."""
        content = html.escape(self.html.replace('"embed":false', '"embed":true', 1))
        style = f"width:100%;height:{self.height}px;border:1px solid #ccc"
        return f'<iframe srcdoc="{content}" style="{style}"></iframe>'


def make_page(
    model: Any = None,
    inputs: Any = None,
    targets: Any = None,
    *,
    views: Sequence[str] = VIEWS,
    recording: Recording | None = None,
    loss: str | Loss = "mean_squared_error",
    lang: str = "en",
    title: str = "",
) -> Page:
    """Make the live page of a network, or without arguments the playground.

    Args:
        model: the pair (mlp, params), the parameters as pairs of weight and bias, or a `Model` of
            one network; None for the playground, which opens with a question.
        inputs: (n, n_0) samples, at most 512; for a `Model` in the units of the data, which the
            page standardizes.
        targets: (n, n_L), or what else the loss takes; for a `Model` (n,) or (n, k) in the units of
            the data.
        views: which of walk, check, plane, training, depth and reveal, in this order of tabs; the
            plane is hidden for a network without two inputs.
        recording: runs to replay side by side: name -> (mlp, [(step, params), ...]) or
            (mlp, [(step, params), ...], losses) with a loss for each step.
        loss: the name of a loss, or the `Loss` that it names.
        lang: "en" or "zh", the language in which the page opens; its header switches it.
        title: the heading in both languages; the sizes of the network unless given.

    Returns:
        The page: `page.save(path)`, and a notebook shows it as a result.

    Raises:
        ValueError: a name is not known, an array does not fit the network or is not finite, a
            `Model` has several networks, an activation or loss is not a named one, or the page
            would be larger than 250 kB, with recordings 1 MB.

    Examples:
        >>> from jaxbp import viz
        >>> viz.make_page().save("page.html").name
        'page.html'
    """
    check_name("lang", lang, LANGUAGES)
    for name in views:
        check_name("views", name, VIEWS)
    chosen = list(dict.fromkeys(views))
    if not chosen or (model is not None and chosen == ["plane"] and _num_inputs(model) != 2):
        raise ValueError(f"views must name one that the network has, got {tuple(views)}")
    if model is None:
        chosen = ["opening", *chosen]
        model = (Mlp((1, 1, 1), "tanh", bias=False), OPENING_PARAMS)
        (inputs, targets), loss = OPENING_SAMPLE, "half_squared_error"
    elif inputs is None or targets is None:
        raise ValueError("inputs and targets must be given with a model")
    loss = as_loss(loss)
    mlp, params, inputs, targets, units = network_of(model, inputs, targets)
    runs = recording or {}
    for some in (mlp, *(run[0] for run in runs.values())):
        check_size(some, len(inputs), loss)
    data = data_of(mlp, params, inputs, targets, loss) | {
        "title": title,
        "views": chosen,
        "units": units,
        "embed": False,
        "recording": {name: recorded(name, mlp, *run) for name, run in runs.items()},
    }
    page = assemble(data, lang)
    limit = MAX_BYTES_RECORDED if runs else MAX_BYTES
    if len(page.encode()) > limit:
        raise ValueError(
            f"page must stay below {limit:,} bytes, got {len(page.encode()):,}: "
            "pass fewer samples or recorded steps"
        )
    return Page(page)


def _num_inputs(model: Any) -> int:
    return model[0].sizes[0] if isinstance(model, tuple) else model.num_inputs


def save_page(
    model: Any = None,
    inputs: Any = None,
    targets: Any = None,
    path: str | Path = "playground.html",
    **settings: Any,
) -> Path:
    """Write the live page of a network, or without arguments the playground, to `path`.

    Arguments, errors and `settings` are those of `make_page`.

    Returns:
        The path written.

    Examples:
        >>> from jaxbp import viz
        >>> viz.save_page().name
        'playground.html'
    """
    return make_page(model, inputs, targets, **settings).save(path)
