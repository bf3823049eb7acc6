"""Figures in Chinese, by the catalogue `words.json` of English texts and their translations.

In a text of the catalogue {0}, {1}, ... stand for words without spaces and {*0}, {*1}, ... for any
text, which is translated too.
"""

import json
import re
import warnings
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from jaxbp._checks import check_name
from jaxbp.viz.films import Film
from jaxbp.viz.style import CHINESE_FAMILIES, Drawing, chinese_family

LANGUAGES = ("en", "zh")
SEPARATORS = re.compile(r"(\n|; | {3,})")


def translate(what: Any, lang: str) -> Any:
    """Put a text, a figure, a drawing or a film into a language; texts without translation stay.

    Args:
        what: a text, or a figure, `Drawing` or `Film`, whose figure is changed.
        lang: "en" or "zh". Figures stay in English, with a warning, where no font with Chinese
            characters is installed.

    Returns:
        The translated text or film; a figure or drawing as it was given.

    Raises:
        ValueError: the language is not known.

    Examples:
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> trace = jaxbp.backprop(jaxbp.Mlp((1, 1)), [([[2.0]], [0.5])], [[1.0]], [[0.0]])
        >>> drawing = viz.translate(viz.draw_walk(trace), "en")
    """
    check_name("lang", lang, LANGUAGES)
    if lang == "en":
        return what
    if isinstance(what, str):
        return _in_chinese(what)
    if chinese_family() is None:
        _warn_once()
        return what
    if isinstance(what, Film):

        def show(frame: int) -> None:
            what.show(frame)
            _translate_figure(what.figure)

        return replace(what, show=show)
    _translate_figure(what.figure if isinstance(what, Drawing) else what)
    return what


@cache
def _warn_once() -> None:
    warnings.warn(
        "English labels are used: no font with Chinese characters is installed, such as "
        + CHINESE_FAMILIES[0],
        UserWarning,
        stacklevel=3,
    )


def _translate_figure(figure: Any) -> None:
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter

    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if isinstance(formatter := axis.get_major_formatter(), FixedFormatter):
                axis.set_major_formatter(FixedFormatter([*map(_for_figure, formatter.seq)]))
    for text in figure.findobj(Text):
        text.set_text(_for_figure(text.get_text()))


def _for_figure(text: str) -> str:
    """The translation without mathtext, whose fonts have no Chinese."""
    new = _in_chinese(text)
    plain = re.sub(r"[$\\]", "", re.sub(r"\{(.*?)\}", r"(\1)", new))
    return text if new == text else plain


@cache
def _catalogue() -> list[tuple[re.Pattern[str], str]]:
    """The texts as patterns with their translations, those with most letters of their own first."""
    text = resources.files("jaxbp.viz").joinpath("words.json").read_text(encoding="utf-8")
    found = []
    for english, chinese in json.loads(text).items():
        *words, last = re.split(r"(\{\*?\d\})", english)
        kinds = [
            re.escape(word) if i % 2 == 0 else r"(.+)" if "*" in word else r"(\S+)"
            for i, word in enumerate(words)
        ]
        pattern = re.compile("".join([*kinds, re.escape(last)]))
        found.append((len(re.sub(r"\{\*?\d\}", "", english)), pattern, chinese))
    return [row[1:] for row in sorted(found, key=lambda row: -row[0])]


def _in_chinese(text: str) -> str:
    for pattern, chinese in _catalogue():
        if match := pattern.fullmatch(text):
            return chinese.format(*map(_in_chinese, match.groups()))
    parts = SEPARATORS.split(text)  # every second one is a separator
    if len(parts) > 1:
        parts[::2] = map(_in_chinese, parts[::2])
    return "".join(parts).replace("; ", ";")
