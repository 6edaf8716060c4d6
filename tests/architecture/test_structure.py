"The house rules that a program can check: import order, names not stars, nothing stale, one promotion door."
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ["core", "measures", "framing", "preparation", "models", "training", "evaluation", "deployment",
         "monitoring", "governance", "scaling", "runs"]
MODULES = sorted(p for p in (ROOT / "dlmine").rglob("*.py") if p.name not in ("__init__.py", "_modidx.py"))
NOTEBOOKS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
TEMPLATES = sorted((ROOT / "templates").rglob("*.ipynb"))
HEAVY = {"torch", "fastai", "mlflow", "captum", "sklearn", "pandas", "matplotlib", "evidently", "nbconvert", "papermill", "onnxruntime"}


def cells(path):
    for cell in json.loads(path.read_text())["cells"]:
        yield cell, "".join(cell["source"])


def module_of(notebook):
    for cell, source in cells(notebook):
        if found := re.search(r"^#\|\s*default_exp\s+([\w.]+)", source, re.M):
            return found.group(1)


def order_of_notebooks():
    return {module_of(nb): nb.name for nb in NOTEBOOKS if module_of(nb)}


def imported_modules(path):
    package = ["dlmine", *path.relative_to(ROOT / "dlmine").with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((a.name, node) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:-node.level] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name, node
            yield from ((f"{name}.{a.name}", node) for a in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms_import_earlier_rooms_only(path):
    room, *rest = path.relative_to(ROOT / "dlmine").with_suffix("").parts
    order, own = order_of_notebooks(), ".".join([room, *rest])
    for name, node in imported_modules(path):
        parts = name.split(".")
        if parts[0] != "dlmine" or len(parts) < 2 or parts[1] not in ROOMS:
            continue
        assert ROOMS.index(parts[1]) <= ROOMS.index(room), f"{own} imports {name}: a later room (line {node.lineno})"
        other = ".".join(parts[1:3])
        if parts[1] == room and other in order and other != own:
            assert order[other] < order[own], f"{own} ({order[own]}) imports {other} ({order[other]}): a later notebook (line {node.lineno})"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_star_imports_and_heavy_imports_where_used(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert all(a.name != "*" for a in node.names), f"star import in line {node.lineno}"
    room = path.relative_to(ROOT / "dlmine").parts[0]
    for node in tree.body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in names:
            top = name.split(".")[0]
            if top in ("torch", "fastai", "sklearn") and room in ("models", "training"):
                continue   # networks, callbacks and estimators are classes of torch, fastai and scikit-learn: these modules are themselves loaded where used
            assert top not in HEAVY, f"{path.name} imports {name} at the top (line {node.lineno}): import it in the function that uses it"


def test_rooms_are_packages_with_empty_init():
    for room in {p.relative_to(ROOT / "dlmine").parts[0] for p in MODULES}:
        init = ROOT / "dlmine" / room / "__init__.py"
        assert init.exists() and not init.read_text().strip(), f"{init} must exist and stay empty"


def test_every_module_comes_from_the_notebook_named_alike():
    made = order_of_notebooks()
    for path in MODULES:
        name = ".".join(path.relative_to(ROOT / "dlmine").with_suffix("").parts)
        assert name in made, f"{path} is exported by no notebook"
    for name, notebook in made.items():
        assert (ROOT / "dlmine" / (name.replace(".", "/") + ".py")).exists(), f"{notebook}: run make export"
        assert re.sub(r"^\d+_", "", notebook) == name.split(".")[-1] + ".ipynb", f"{notebook} exports {name}: name them alike"


def test_modules_are_what_the_notebooks_export(tmp_path):
    "A module that was edited by hand, or not exported after its notebook changed, shows here."
    code = ("import sys\nfrom pathlib import Path\nfrom nbdev.export import nb_export\n"
            "for nb in sorted(Path('nbs').rglob('*.ipynb')): nb_export(str(nb), lib_path=sys.argv[1])")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "dlmine")], cwd=ROOT, check=True, capture_output=True)
    strip = lambda text: "\n".join(l for l in text.splitlines() if not l.startswith(("# %%", "# AUTOGENERATED")))
    for path in MODULES:
        fresh = tmp_path / "dlmine" / path.relative_to(ROOT / "dlmine")
        assert strip(fresh.read_text()) == strip(path.read_text()), f"{path.relative_to(ROOT)} is stale: run make export"


def test_one_door_moves_aliases():
    for path in MODULES:
        if path.name == "promotion.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                allowed = path.name in ("tracking.py", "registry.py") and node.func.attr == "set_registered_model_alias"
                assert allowed or node.func.attr not in ("set_registered_model_alias", "_set_alias", "delete_registered_model_alias"), \
                    f"{path.name} line {node.lineno} moves an alias: only core.promotion may"


def test_nothing_loads_a_pickle():
    bad = re.compile(r"pickle\.loads?\(|joblib\.load|load_learner\(|cloudpickle\.load|torch\.load\(")
    for path in MODULES:
        text = path.read_text()
        if "SHA256:" in text: text = text.replace("weights_only=True)   # only the file whose hash is known", "").replace("torch.load(path, map_location='cpu', ", "")
        assert not bad.search(text), f"{path.name} loads a pickle"


@pytest.mark.parametrize("path", NOTEBOOKS + TEMPLATES, ids=lambda p: str(p.relative_to(ROOT)))
def test_notebooks_are_clean_and_of_a_readable_size(path):
    notebook = json.loads(path.read_text())
    sources = "".join(s for _, s in cells(path))
    assert len(sources) < 60_000 and path.stat().st_size < 1_000_000
    assert len({c["id"] for c in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"tags"}, f"{path.name}: cell metadata {sorted(cell['metadata'])}"
        assert cell.get("execution_count") is None, f"{path.name}: execution counts: run make export"
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error" or "raises" in str(cell), f"{path.name}: an error is saved in an output"
    assert not re.search(r"/work/|/root/|/home/\w+/", json.dumps(notebook)), f"{path.name} holds a path of one machine"
    assert "import *" not in sources
