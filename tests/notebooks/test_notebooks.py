"Every library notebook runs from top to bottom: its assertions are tests too."
from pathlib import Path

import nbformat
import pytest
from kernels import execute

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
OWN_INTERPRETER = ("05_evaluation/90_threshold.ipynb", "01_framing/57_access.ipynb")  # two more, with widgets and without torch, also run where no library is in memory yet


def is_about_imports(notebook):
    "Whether it looks at what is loaded: then it needs an interpreter of its own."
    return any("sys.modules" in cell.source for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT / "nbs")))
def test_notebook_runs(path):
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent, forked=not is_about_imports(notebook))


@pytest.mark.parametrize("name", OWN_INTERPRETER)
def test_notebook_runs_in_an_interpreter_of_its_own(name):
    path = ROOT / "nbs" / name
    execute(nbformat.read(path, as_version=4), path.parent, forked=False)
