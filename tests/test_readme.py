"""What importing costs, which names are public, what the README says."""

import ast
import importlib
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import jaxbp
from jaxbp import _checks
from jaxbp.activations import ACTIVATIONS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jaxbp"


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_loads_no_picture_and_touches_no_device():
    code = (
        "import sys, jaxbp; from jax._src import xla_bridge;"
        "print('matplotlib' in sys.modules, xla_bridge.backends_are_initialized(),"
        "jaxbp.viz.__name__)"
    )
    assert run_python(code) == "False False jaxbp.viz"


def public_names():
    """The names that `jaxbp` gives out, and the module that each comes from."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "jaxbp":
            for alias in node.names:
                assert alias.name == alias.asname, (
                    "type checkers take `import X as X` for a public name"
                )
                found[alias.name] = node.module
    return found


def test_every_public_name_is_there_and_none_is_plumbing():
    names = public_names()
    for name, module in names.items():
        assert getattr(jaxbp, name) is not None
        assert name == "__version__" or not any(part.startswith("_") for part in module.split("."))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxbp.nothing


@pytest.mark.parametrize("package", ["gradcheck", "graph", "ledger", "training"])
def test_a_packages_list_of_names_is_what_it_holds(package):
    module = importlib.import_module(f"jaxbp.{package}")
    if not hasattr(module, "__all__"):  # then every import says `as`, which hands the name on
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        assert all(alias.asname == alias.name for node in imports for alias in node.names)
        return
    assert sorted(module.__all__) == sorted(set(module.__all__))
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert not name.startswith("_")


def test_public_functions_are_documented():
    functions = {name: getattr(jaxbp, name) for name in public_names() if name != "viz"}
    functions = {
        name: value for name, value in functions.items() if isinstance(value, types.FunctionType)
    }
    assert len(functions) > 10
    for name, value in functions.items():
        for section in ("Args:", "Returns:", "Raises:"):
            # Some refer to a function with the same arguments.
            refers = name == "reference_predict" or "arguments as for `" in value.__doc__
            assert section in value.__doc__ or refers, f"{name} lacks {section}"


def test_nearest_names_come_first():
    assert _checks.nearest_first("tnah", ACTIVATIONS)[0] == "tanh"
    assert _checks.nearest_first("SINE", ACTIVATIONS)[0] == "sine"


README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_readmes_commands_name_files_that_are_there():
    commands = "".join(code_blocks("sh")) + " ".join(re.findall(r"`(python[^`]*)`", README))
    scripts = set(re.findall(r"\b[\w/]+\.py\b", commands))
    assert "experiments/fit_surface.py" in scripts
    for script in scripts:
        assert (ROOT / script).is_file(), script
    assert re.search(r"python -m pytest -n 2$", commands, re.MULTILINE)


def test_the_readmes_pictures_and_files_are_there():
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert any(target.startswith("figures/") for target in targets)
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_figures_stay_small_and_are_all_described():
    files = [path for path in (ROOT / "figures").iterdir() if path.name != "README.md"]
    assert sum(path.stat().st_size for path in files) <= 6_000_000
    assert all(path.stat().st_size <= 1_500_000 for path in files)
    described = (ROOT / "figures" / "README.md").read_text(encoding="utf-8")
    assert [
        path.name
        for path in files
        if path.suffix not in (".json", ".dot") and path.name not in described
    ] == []


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_nothing_tells_of_a_machine():
    for path in tracked_files():
        if path.suffix not in (".png", ".gif"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(
                r"/(home|Users|work|root|tmp)/\w", text.replace("/(home|Users|work|root|tmp)/", "")
            ), path


def test_the_citation_has_the_version_of_the_package():
    assert f"\nversion: {jaxbp.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
