"""Labels in English, and in Chinese where a font for them is installed."""

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

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
    "e, δ, ∂L/∂w include the factor": "e、δ、∂L/∂w 均含因子",
    "then": "再求",
    "hand-written = jax.grad": "手写反向传播与 jax.grad 一致",
    "hand-written DIFFERS from jax.grad": "手写反向传播与 jax.grad 不一致",
}
# What else the drawing functions write by themselves: a pattern for each line, and its translation.
PATTERNS = {
    r"step": "步",
    r"step (\d+), RMSE (\S+)": r"第 \1 步,RMSE \2",
    r"predicted, step (\d+)": r"预测值,第 \1 步",
    r"\| predicted − true \|": "| 预测值 − 真实值 |",
    r"layer (\d+)": r"第 \1 层",
    r"points": "点数",
    r"largest (\S+)": r"最大 \1",
    r"largest (\S+) at (\(.*\))": r"最大 \1,位于 \2",
    r"at (\(.*\))": r"位于 \1",
    r"exact: 0": "完全一致:均为 0",
    r"at all (\d+) points": r"共 \1 个点",
    r"\(colours: 99 % of the points\)": "(颜色覆盖 99 % 的点)",
    r"exact: 0 at all (\d+) points": r"完全一致:\1 个点上均为 0",
    r"finite nowhere": "处处不是有限数",
    r"(\d+) of (\d+) not finite": r"\2 个中有 \1 个不是有限数",
    r"(\d+) of (\d+)": r"\2 个中有 \1 个",
    r"\| error \| \((.*)\)": r"| 误差 | (\1)",
    r"share of points with at most this": "误差不超过此值的点所占比例",
    r"error in (.*)": r"\1 的误差",
    r"error along (.*)": r"沿 \1 的误差",
    r"distribution over (\d+) points": r"\1 个点上的分布",
    r"activation a": "激活值 a",
    r"node error δ = ∂L/∂z": "结点误差 δ = ∂L/∂z",
    r"update ‖ΔW‖ / ‖W‖": "更新 ‖ΔW‖ / ‖W‖",
    r"gradient ‖∂L/∂W‖": "梯度 ‖∂L/∂W‖",
    r"dead units \(share\)": "失活结点(比例)",
    r"guide (\S+)": r"参考线 \1",
    r"kink lines, layer (.*)": r"折线,层 \1",
    r"(.*): largest error (\S+) of what rounding allows": r"\1:最大误差为舍入所允许的 \2 倍",
    r"(.*): bit for bit": r"\1:逐位一致",
    r"plane of the inputs": "输入平面",
    r"plane of the hidden activations": "隐藏层激活值的平面",
    r"output": "输出",
    r"hidden (\d+)": r"隐藏结点 \1",
    r"hidden unit: z = 0": "隐藏结点:z = 0",
    r"target (\d+)": r"目标 \1",
    r"(\d+) of (\d+) rows are not finite": r"\2 行中有 \1 行不是有限数",
    r"(.*): nothing to show": r"\1:没有可画的值",
    r"not finite": "不是有限数",
    r"(\d+) not finite": r"\1 个不是有限数",
    r"0 everywhere": "处处为 0",
    r"(\d+) of (\d+) hatched: not finite or not positive": r"斜线:\2 个中有 \1 个不是正的有限数",
    r"blue: value;  red: derivative of the output to it": "蓝:值;红:输出对它的导数",
    r"× passes the other factor times its derivative": "× 传回另一因子与上游导数之积",
    r"× passes the other factor times its derivative; \+ passes its derivative on": (
        "× 传回另一因子与上游导数之积;+ 原样传回上游导数"
    ),
    r"across: to unit; down: from unit; colours linear up to the median size, then logarithmic": (
        "横向:到达的结点;纵向:出发的结点;颜色在中位数以内为线性,以外为对数"
    ),
}
_warned: set[str] = set()


def language(lang: str) -> Callable[[str], str]:
    """Returns a function from an English label to the label to write.

    Args:
        lang: "en" or "zh". Without a Chinese font "zh" gives English, with one warning in the life
            of the program.

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
                "English labels are used: no font with Chinese characters is installed, such as "
                + CHINESE_FAMILIES[0],
                UserWarning,
                stacklevel=3,
            )
        return str
    return lambda label: CHINESE.get(label, label)


def translator(lang: str, phrases: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """Returns a function that puts the lines of a text into a language, those that are known; the
    others stay.

    Args:
        lang: "en" or "zh".
        phrases: further patterns of whole lines, with their translations as `re.Match.expand` takes
            them.

    Raises:
        ValueError: the language is not known.
    """
    check_name("lang", lang, ("en", "zh"))
    if lang == "en":
        return str
    patterns = {**(phrases or {}), **PATTERNS}

    def line_of(line: str) -> str:
        found = ((re.fullmatch(pattern, line), other) for pattern, other in patterns.items())
        return next(
            (match.expand(other) for match, other in found if match), CHINESE.get(line, line)
        )

    return lambda text: "\n".join(map(line_of, text.split("\n")))


def translate(figure: Any, lang: str, phrases: Mapping[str, str] | None = None) -> None:
    """Puts the texts of a figure into a language, where a font for it is installed; arguments as for `translator`."""
    say = translator(lang, phrases)
    if language(lang) is str:
        return
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        old = text.get_text()
        if (new := say(old)) != old:
            text.set_text(_plain(new))


def _plain(text: str) -> str:
    """The text without mathtext, whose fonts have no Chinese."""
    return re.sub(r"[$\\]", "", re.sub(r"\{(.*?)\}", r"(\1)", text))
