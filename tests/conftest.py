"Every test works in a workspace of its own: nothing is read from or written to the checkout's."
import os
from pathlib import Path

import pytest

os.environ.update(OMP_WAIT_POLICY="PASSIVE", DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", MPLBACKEND="Agg")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # two workers with two threads each wait for one another: up to twelve times the CPU for the same result
    os.environ.setdefault(name, "1")
for name in [n for n in os.environ if n.startswith("DLMINE_")]:
    del os.environ[name]

ROOT = Path(__file__).resolve().parents[1]
FIRST = ("tests/templates/", "tests/faults/", "tests/browser/", "tests/runs/")  # whole files of minutes; what can be dealt out one by one comes last, so that all workers end together
NOTEBOOKS = "tests/notebooks/test_notebooks.py"


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: 0 if item.nodeid.startswith(FIRST) else 2 if item.nodeid.startswith(NOTEBOOKS) else 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    "A file's tests go to one worker, which keeps its module's fixtures; but every notebook is a piece of work of its own."
    from xdist.scheduler import LoadFileScheduling

    class FilesAndNotebooks(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return nodeid if nodeid.startswith(NOTEBOOKS) else super()._split_scope(nodeid)

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the order above, not by number of tests
    return FilesAndNotebooks(config, log)


@pytest.fixture(autouse=True)
def own_workspace(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("workspace")
    monkeypatch.setenv("DLMINE_WORKSPACE", str(folder))
    return folder
