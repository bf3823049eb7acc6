"""One HTML file from the modules of this folder, without a bundler.

Each module becomes a function of its own scope that returns what it exports; imports read from the
results of the modules before it.
"""

import html
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

IMPORT = re.compile(r"^import (?:\* as (\w+)|\{([^}]*)\}) from \"\./(\w+)\.js\";\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:const|async function|function) (\w+))", re.MULTILINE)

# Strings, templates with expressions in them, and regular expressions.
TEXT = re.compile(
    r"""("(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
    | `(?:[^`$] | \$(?!\{) | \$\{(?:[^`{}] | `[^`]*` | \{[^{}]*\})*\})*`
    | (?:(?<=[(,=:?&|!]) | (?<=[(,=:?&|!]\ ))/(?:[^/\\\[\n] | \\. | \[(?:[^\]\\]|\\.)*\])+/\w*)""",
    re.VERBOSE,
)


def assemble(data: dict[str, Any], views: Sequence[str], title: str, lang: str) -> str:
    """Return the page with its data, texts and script."""
    words = {key: text[lang] for key, text in json.loads(_read("words.json")).items()}
    panels = [
        f'<div id="panel-{name}" role="tabpanel" aria-labelledby="tab-{name}" hidden></div>'
        for name in views
    ]
    labels = ("settings", "network", "side", "timeline", "sheets", "noscript")
    parts = {
        **{name: html.escape(words[name]) for name in labels},
        "lang": "zh-Hans" if lang == "zh" else "en",
        "title": html.escape(title),
        "css": re.sub(r"\s*([{};,])\s*", r"\1", _short(_read("page.css"))),
        "panels": "\n".join(panels),
        "words": _embedded(words),
        "data": _embedded(data),
        "script": _script("recorded" if not data["recording"] else None),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found.group(1)], _read("page.html"))


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _short(text: str) -> str:
    """Drop indentation and comments that fill lines."""
    text = re.sub(r"(?s)/\*\*.*?\*/", "", text)
    return re.sub(r"(?m)^(//.*)?\n", "", re.sub(r"(?m)^ +", "", text))


def _tight(text: str) -> str:
    """Drop comments behind code, and spaces and line ends beside punctuation, outside of texts."""
    parts = TEXT.split(re.sub(r"(?m) // [^\"'`\n]*$", "", text))
    for k in range(0, len(parts), 2):
        code = re.sub(r"(?<![+-]) ([+-]) (?![+-])", r"\1", parts[k])
        code = re.sub(r" ?([=<>,;:?{}()\[\]&|*!/]+) ?", r"\1", code)
        parts[k] = re.sub(r"(?<=[{}()\[,;>=&|?:+*-])\n|\n(?=[)\]}?:.&|=])", "", code)
    return "".join(parts)


@cache
def _script(without: str | None) -> str:
    """Return all modules, each after those that it imports; `without` is left empty."""
    done = {without: f"const ${without} = {{ runs: [] }};\n"} if without else {}

    def add(name: str) -> None:
        if name in done:
            return
        text = _read(f"{name}.js")
        for _, _, other in IMPORT.findall(text):
            add(other)
        done[name] = _scoped(name, text)

    add("main")
    return '"use strict";\n' + "".join(done.values())


def _scoped(name: str, text: str) -> str:
    """Return a module as a constant that holds its exports."""

    def imported(found: re.Match[str]) -> str:
        whole, names, module = found.groups()
        left = whole or "{" + re.sub(r"(\w+) as (\w+)", r"\1: \2", names) + "}"
        return f"const {left} = ${module};\n"

    exports = ",".join(EXPORT.findall(text))
    body = _tight(_short(EXPORT.sub("", IMPORT.sub(imported, text))))
    return f"const ${name}=(()=>{{\n{body}return {{{exports}}};\n}})();\n"


def _embedded(value: Any) -> str:
    """JSON that no HTML parser takes for the end of its script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
