"Every test works in a workspace of its own: nothing is read from or written to the checkout's."
import os
from pathlib import Path

import pytest

os.environ.update(OMP_WAIT_POLICY="PASSIVE", DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", MPLBACKEND="Agg")
for name in [n for n in os.environ if n.startswith("DLMINE_")]:
    del os.environ[name]

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_workspace(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("workspace")
    monkeypatch.setenv("DLMINE_WORKSPACE", str(folder))
    return folder
