"""One HTML file from the modules of this folder, without a bundler.

All modules share one scope, each after those that it imports. A word that other modules use, too,
has a $ behind it there.
"""

import html
import json
import re
from collections import Counter
from functools import cache
from importlib import resources
from typing import Any

IMPORT = re.compile(r"^import (?:\* as (\w+)|\{([^}]*)\}) from \"\./(\w+)\.js\";\n", re.MULTILINE)
DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function (\w+)|(?:const|let) ([\w\s,[\]]+?)(?= =|;))", re.MULTILINE
)

# Strings, templates with expressions in them, and regular expressions.
TEXT = re.compile(
    r"""("(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
    | `(?:[^`$] | \$(?!\{) | \$\{(?:[^`{}] | `[^`]*` | \{[^{}]*\})*\})*`
    | (?:(?<=[(,=:?&|!]) | (?<=[(,=:?&|!]\ ))/(?:[^/\\\[\n] | \\. | \[(?:[^\]\\]|\\.)*\])+/\w*)""",
    re.VERBOSE,
)
EXPRESSION = re.compile(r"\$\{((?:[^`{}]|`[^`]*`|\{[^{}]*\})*)\}")  # in a template
# A text, a word that is no property with the first property of it, or a bracket.
TOKEN = re.compile(
    TEXT.pattern
    + r"""| (?<![\w$])(?:(?<!\.)|(?<=\.\.\.))([A-Za-z_$][\w$]*)(\.\w+)? | ([\[\](){}])""",
    re.VERBOSE,
)


def assemble(data: dict[str, Any], lang: str) -> str:
    """Return the page with its data, its texts in both languages and its script."""
    texts = json.loads(_read("words.json"))
    sizes = "-".join(map(str, data["mlp"]["sizes"]))
    heading = texts["title"][lang] if data["views"][0] == "opening" else sizes
    words: dict[str, dict[str, str]] = {}
    for key, text in texts.items():
        group, _, rest = key.partition(".")
        words.setdefault(group, {})[rest] = "|".join(dict.fromkeys((text["en"], text["zh"])))
    parts = {
        "lang": "zh-Hans" if lang == "zh" else "en",
        "title": html.escape(data["title"] or heading),
        "noscript": html.escape(words.pop("noscript")[""]),
        "css": _styles(_short(_read("page.css"))),
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


def _styles(text: str) -> str:
    return re.sub(r";?\s*([{};,])\s*", r"\1", re.sub(r":\s+", ":", text)).replace(";}", "}")


def _tight(text: str) -> str:
    """Drop comments behind code, and spaces and line ends beside punctuation, outside of texts."""
    parts = TEXT.split(re.sub(r"(?m) // [^\"'`\n]*$", "", text))
    for k in range(0, len(parts), 2):
        code = re.sub(r"(?<![+-]) ([+-]) (?![+-])", r"\1", parts[k])
        code = re.sub(r" ?([=<>,;:?{}()\[\]&|*!/]+) ?", r"\1", code)
        code = re.sub(r"(?<![\w$])\((\w+)\)=>", r"\1=>", re.sub(r"\bconst\b", "let", code))
        parts[k] = re.sub(r"(?<=[{}()\[,;>=&|?:+*-])\n|\n(?=[)\]}?:.&|=])", "", code)
    return "".join(parts)


@cache
def _script(without: str | None) -> str:
    """Return all modules in one scope, each after its imports; `without` is left empty."""
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        text = "export const runs = [];\n" if name == without else _read(f"{name}.js")
        for _, _, other in IMPORT.findall(text):
            if other not in texts:
                add(other)
        texts[name] = text

    add("main")
    bodies = {
        name: _tight(re.sub("(?m)^export ", "", _short(IMPORT.sub("", text))))
        for name, text in texts.items()
    }
    used = {name: set(re.findall(r"(?<![\w$.])\w+", body)) for name, body in bodies.items()}
    scopes = {name: _imports(text) for name, text in texts.items()}
    taken: Counter[str] = Counter()
    names: dict[str, str] = {}  # "module.word" -> the word in the page
    for name, text in texts.items():
        for word in re.findall(r"\w+", " ".join(map("".join, DECLARED.findall(text)))):
            whole = scopes[name][word] = f"{name}.{word}"
            shared = any(word in used[o] and scopes[o].get(word) != whole for o in texts)
            names[whole] = word + f"${taken[word] or ''}" * shared
            taken[word] += 1
    parts = [_renamed(body, scopes[name], names) for name, body in bodies.items()]
    return '"use strict";{\n' + "\n".join(parts) + "\n}"


def _imports(text: str) -> dict[str, str]:
    """Return "module.word" for each word that a module imports, "module" for an alias of one."""
    found: dict[str, str] = {}
    for alias, words, module in IMPORT.findall(text):
        pairs = re.findall(r"(\w+)(?: as (\w+))?", words)
        found |= {local or word: f"{module}.{word}" for word, local in pairs}
        found |= {alias: module} if alias else {}
    return found


def _renamed(code: str, scope: dict[str, str], names: dict[str, str]) -> str:
    """Return code with the page's words for those of the module."""
    opened = [""]

    def one(found: re.Match[str]) -> str:
        text, word, member, bracket = (group or "" for group in found.groups())
        if text.startswith("`"):
            return EXPRESSION.sub(lambda inner: f"${{{_renamed(inner[1], scope, names)}}}", text)
        if bracket in ("(", "[", "{"):
            opened.append(bracket)
        elif bracket:
            opened.pop()
        whole = scope.get(word, "")
        new = names.get(whole, word) + member if "." in whole else names.get(whole + member)
        if new in (None, word + member) or word not in scope:
            return found[0]
        before, after = code[found.start() - 1], code[found.end() : found.end() + 1]
        if opened[-1] != "{" or before not in "{," or member:
            return new
        return {":": word, ",": f"{word}:{new}", "}": f"{word}:{new}"}.get(after, new)

    return TOKEN.sub(one, code)


def _embedded(value: Any) -> str:
    """JSON that no HTML parser takes for the end of its script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
