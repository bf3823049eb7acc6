"""The house: which floor may import which, how large its rooms are, what importing costs, what the README says."""

import ast
import re
import subprocess
import sys
import types
from pathlib import Path

import jax
import pytest

import jaxbp
from jaxbp import _checks
from jaxbp.activations import ACTIVATIONS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jaxbp"

# Imports point strictly downwards. The ground holds what every floor needs to refuse bad input and to write.
FLOORS = {
    "_checks": 0,
    "_files": 0,
    "_html": 0,
    "_interrupts": 0,
    "_threads": 0,
    "_version": 0,
    "_archive": 1,
    "activations": 1,
    "losses": 1,
    "graph": 1,
    "data": 1,
    "score": 1,
    "params": 2,
    "_samples": 3,
    "interchange": 3,
    "_sharding": 3,
    "_layout": 3,
    "dense": 4,
    "network": 5,
    "backprop": 6,
    "jacobian": 6,
    "gradcheck": 7,
    "ledger": 8,
    "training": 8,
    "model_file": 9,
    "model": 10,
    "fitting": 11,
    "viz": 12,
    "__main__": 13,
    "sklearn": 13,
}
CORE = ("__init__", "activations", "losses", "params", "dense", "network", "backprop")


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


def num_lines(*paths):
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    room = room_of(path)
    for imported in imports_of(path):
        if imported == "jaxbp" or imported.startswith("jaxbp."):
            other = imported.split(".")[1]
            assert other == room or FLOORS[other] < FLOORS[room], f"{room} imports {imported}"
        if imported.split(".")[0] == "optax":
            assert room == "training"
        if imported.split(".")[0] == "matplotlib":  # data/surfaces.py reads the elevation model that ships with it
            assert room == "viz" or path == PACKAGE / "data" / "surfaces.py"
        if imported.split(".")[0] in ("sklearn", "torch"):  # data/images.py loads the digits that come with it
            assert room == "sklearn" or path == PACKAGE / "data" / "images.py"


def test_every_room_has_its_floor_and_the_table_no_other():
    assert set(map(room_of, MODULES)) == set(FLOORS)


@pytest.mark.parametrize("path", [*MODULES, *EXPERIMENTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_holds_one_idea(path):
    assert num_lines(path) <= 200


def test_the_core_is_read_in_a_sitting():
    assert num_lines(*(PACKAGE / f"{name}.py" for name in CORE)) < 900


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_no_picture_and_touches_no_device():
    code = (
        "import sys, jaxbp; from jax._src import xla_bridge;"
        "print('matplotlib' in sys.modules, xla_bridge.backends_are_initialized(), jaxbp.viz.__name__)"
    )
    assert run_python(code) == "False False jaxbp.viz"


def public_names():
    """The names that `jaxbp` gives out, and the module that each comes from."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "jaxbp":
            for alias in node.names:
                assert alias.name == alias.asname, "type checkers take `import X as X` for a public name"
                found[alias.name] = node.module
    return found


def test_every_public_name_is_there_and_none_is_plumbing():
    names = public_names()
    for name, module in names.items():
        assert getattr(jaxbp, name) is not None
        assert name == "__version__" or not any(part.startswith("_") for part in module.split("."))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jaxbp.nothing


@pytest.mark.parametrize("package", ["data", "gradcheck", "graph", "ledger", "training"])
def test_a_room_s_list_of_names_is_what_it_holds(package):
    module = getattr(jaxbp, package)
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
    functions = {name: value for name, value in functions.items() if isinstance(value, types.FunctionType)}
    assert len(functions) > 10
    for name, value in functions.items():
        for section in ("Args:", "Returns:", "Raises:"):
            # reference_predict's refers to that of predict.
            assert section in value.__doc__ or name == "reference_predict", f"{name} lacks {section}"


def test_nearest_names_come_first():
    assert _checks.nearest_first("tnah", ACTIVATIONS)[0] == "tanh"
    assert _checks.nearest_first("SINE", ACTIVATIONS)[0] == "sine"


README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_readmes_python_runs(capsys):
    fitting, judging = code_blocks("python")
    assert len([line for line in fitting.splitlines() if line.strip() and not line.startswith("import")]) <= 10
    assert "jaxbp._" not in fitting + judging
    names = {}
    with jax.enable_x64(False):
        exec(compile(fitting, "README.md", "exec"), names)
        assert "ok" in capsys.readouterr().out.split()
        exec(compile(judging, "README.md", "exec"), names)
    said, (shown,) = capsys.readouterr().out.splitlines(), code_blocks("text")
    assert {line.split(":")[0] for line in shown.splitlines() if line.startswith("WRONG ")} == {
        line.split(":")[0] for line in said if line.startswith("WRONG ")
    }


def test_the_readmes_commands_name_files_that_are_there():
    commands = "".join(code_blocks("sh")) + " ".join(re.findall(r"`(python[^`]*)`", README))
    scripts = set(re.findall(r"\b[\w/]+\.py\b", commands))
    assert "experiments/fit_surface.py" in scripts
    for script in scripts:
        assert (ROOT / script).is_file(), script
    assert re.search(r"python -m pytest$", commands, re.MULTILINE)


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
    assert [path.name for path in files if path.suffix not in (".json", ".dot") and path.name not in described] == []


def tracked_files():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_nothing_tells_of_a_machine():
    for path in tracked_files():
        if path.suffix not in (".png", ".gif"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"/(home|Users|work|root|tmp)/\w", text.replace("/(home|Users|work|root|tmp)/", "")), (
                path
            )
