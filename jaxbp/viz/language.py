"""Labels in English, and in Chinese where a font for them is installed."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from jaxbp.names import check_name
from jaxbp.viz.style import style

LANGUAGES = ("en", "zh")
FAMILIES = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Heiti SC"),
)
CHINESE = {
    "true": "真实值",
    "predicted": "预测值",
    "error: predicted − true": "误差:预测值 − 真实值",
    "forward": "前向传播",
    "backward": "反向传播",
    "half squared error": "平方误差之半",
    "mean squared error": "均方误差",
    "softmax cross entropy": "softmax 交叉熵",
    "binary cross entropy": "二元交叉熵",
    "the inputs": "输入",
    "layer": "层",
    "step 1": "第一步",
    "step 2": "第二步",
    "of": "/",
    "more": "个未画出",
    "hand-written backward pass equal to jax.grad": "手写反向传播与 jax.grad 一致",
    "hand-written backward pass DIFFERS from jax.grad": "手写反向传播与 jax.grad 不一致",
    "largest relative difference": "最大相对差",
    "allowed": "允许",
}
_warned: set[str] = set()


def chinese_family() -> str | None:
    """The first installed font family that has Chinese characters, None without one."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return next((family for family in FAMILIES if family in installed), None)


def language(lang: str) -> tuple[Callable[[str], str], AbstractContextManager[Any]]:
    """Makes what a figure in a language needs.

    Args:
        lang: "en" or "zh". Without a Chinese font "zh" gives English, with one warning in the life of the program.

    Returns:
        A function from an English label to the label to write, and the context to draw in: the shared look, with the
        Chinese font behind the usual one, which keeps minus signs and Greek letters.

    Raises:
        ValueError: the language is not known.
    """
    check_name("lang", lang, LANGUAGES)
    if lang == "en":
        return str, style()
    family = chinese_family()
    if family is None:
        if lang not in _warned:
            _warned.add(lang)
            warnings.warn(
                "English labels are used: no font with Chinese characters is installed, such as " + FAMILIES[0],
                UserWarning,
                stacklevel=3,
            )
        return str, style()
    return lambda label: CHINESE.get(label, label), style(family)
