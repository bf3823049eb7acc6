"""Check navigation, requests to other hosts and search, which the site generator does not.

python .ci/check_site.py DOCS SITE
"""

import json
import re
import sys
from pathlib import Path

import yaml

DOCS, SITE = map(Path, sys.argv[1:])
REQUEST = re.compile(
    r"""<(?:script|img|iframe|link rel="stylesheet")[^>]*?(?:src|href)=["']?(https?:)?//"""
)
WANTED = {"search.json": ("node error", "fit_model"), "zh/search.json": ("节点误差", "fit_model")}


class Loader(yaml.SafeLoader):
    """A loader that ignores the tags of the site generator."""


Loader.add_multi_constructor("tag:", lambda loader, suffix, node: None)


def pages(entry):
    """Yield the files of a navigation entry."""
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from pages(part)


failures = []
for name in ("mkdocs.yml", "mkdocs.zh.yml"):
    config = yaml.load((DOCS / name).read_text(encoding="utf-8"), Loader)
    for page in pages(config["nav"]):
        if not (DOCS / config["docs_dir"] / page).is_file():
            failures.append(f"{name} lists {page}, which does not exist")
for path in SITE.rglob("*.html"):
    if "pages" not in path.parts and REQUEST.search(path.read_text(encoding="utf-8")):
        failures.append(f"{path} requests a file of another host")
for name, phrases in WANTED.items():
    text = json.dumps(json.loads((SITE / name).read_text(encoding="utf-8")), ensure_ascii=False)
    failures += [
        f"{name} does not contain {phrase}"
        for phrase in phrases
        if phrase.lower() not in text.lower()
    ]
sys.exit("\n".join(failures) or 0)
