"""Labels in English, and in Chinese where a font for them is installed."""

import warnings
from collections.abc import Callable

from jaxbp._checks import check_name
from jaxbp.viz.style import CHINESE_FAMILIES, chinese_family

CHINESE = {
    "true": "真实值",
    "predicted": "预测值",
    "error: predicted − true": "误差:预测值 − 真实值",
    "rows": "行数",
    "cuts through the marked row": "经过标出数据点的截线",
    "largest": "最大",
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
    "sample": "样本",
    "numbers without room left out": "个数值因空间不足未标出",
    "wide arrows: large numbers; dotted: negative": "箭头越粗数值越大;点线为负值",
    "mean over the batch": "批内均值",
    "hand-written = jax.grad": "手写反向传播与 jax.grad 一致",
    "hand-written DIFFERS from jax.grad": "手写反向传播与 jax.grad 不一致",
}
_warned: set[str] = set()


def language(lang: str) -> Callable[[str], str]:
    """Returns a function from an English label to the label to write.

    Args:
        lang: "en" or "zh". Without a Chinese font "zh" gives English, with one warning in the life of the program.

    Raises:
        ValueError: the language is not known.
    """
    check_name("lang", lang, ("en", "zh"))
    if lang == "en":
        return str
    if chinese_family() is None:
        if lang not in _warned:
            _warned.add(lang)
            warnings.warn(
                "English labels are used: no font with Chinese characters is installed, such as " + CHINESE_FAMILIES[0],
                UserWarning,
                stacklevel=3,
            )
        return str
    return lambda label: CHINESE.get(label, label)
