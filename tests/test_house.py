"""The house: which floor may import which, what importing costs, which names there are, what the README says."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxbp
from jaxbp import names

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jaxbp"

# Imports point strictly downwards. The ground (names, checks, files) holds what every floor needs to refuse bad input
# and to write; it knows nothing of networks.
FLOORS = {
    "names": -1,
    "checks": -1,
    "files": -1,
    "activations": 0,
    "params": 0,
    "losses": 0,
    "report": 0,
    "graph": 0,
    "ledger": 0,
    "numerical": 0,
    "samples": 1,
    "dense": 1,
    "data": 1,
    "network": 2,
    "objective": 3,
    "jacobian": 3,
    "trace": 3,
    "gradcheck": 4,
    "training": 5,
    "viz": 6,
}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    """All that a module imports, also inside functions, but for what only a type checker reads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: absolute imports only"
            module = node.module or ""
            yield from ([f"jaxbp.{alias.name}" for alias in node.names] if module == "jaxbp" else [module])


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    room = room_of(path)
    for imported in imports_of(path):
        if imported == "jaxbp" or imported.startswith("jaxbp."):
            other = imported.split(".")[1]
            assert other == room or FLOORS[other] < FLOORS[room], f"{room} imports {imported}"
        if imported.split(".")[0] == "optax":
            assert room == "training"
        if imported.split(".")[0] == "matplotlib":
            assert room == "viz" or path.name == "surfaces.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_holds_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 240


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_little_and_touches_no_device():
    code = (
        "import sys, jaxbp; assert 'jax' not in sys.modules;"
        "jaxbp.fit, jaxbp.predict, jaxbp.check_gradients, jaxbp.data;"
        "from jax._src import xla_bridge;"
        "print('matplotlib' in sys.modules, xla_bridge.backends_are_initialized())"
    )
    assert run_python(code) == "False False"


def test_every_public_name_is_there():
    for name in jaxbp.__all__:
        assert getattr(jaxbp, name) is not None
        assert name in dir(jaxbp)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxbp.nothing


def test_type_checkers_see_the_names_that_python_does():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for alias in node.names
    }
    assert seen == {*jaxbp.__all__, "data", "viz", "training"}


def test_public_functions_are_documented():
    for name in jaxbp.__all__:
        value = getattr(jaxbp, name)
        if callable(value) and not isinstance(value, type) and name != "Params":
            for section in ("Args:", "Returns:", "Raises:"):
                assert (
                    section in value.__doc__
                    or (name == "dropout_masks" and section != "Returns:")
                    or (name == "reference_predict")
                ), f"{name} lacks {section}"


def test_nearest_names_come_first():
    assert names.nearest_first("tnah", names.ACTIVATION_NAMES)[0] == "tanh"
    assert names.nearest_first("SINE", names.ACTIVATION_NAMES)[0] == "sine"


def code_blocks(language):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_readmes_python_runs(capsys):
    (block,) = code_blocks("python")
    assert len([line for line in block.splitlines() if line.strip() and not line.startswith("import")]) <= 10
    with jax.enable_x64(False):
        exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("ok")


def test_the_readmes_pictures_and_files_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    assert any(target.startswith("figures/") for target in targets)
    for target in targets:
        assert (ROOT / target).exists(), target


def test_nothing_tells_of_a_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    for name in filter(None, tracked):
        if not name.endswith((".png", ".gif")):
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not re.search(r"/(home|Users|work|root)/", text.replace("/(home|Users|work|root)/", "")), name
