"The wheel works outside the checkout, in an empty folder: templates and example cards travel with it."
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)],
                   check=True, capture_output=True)
    wheel, = folder.glob("dlmine-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def dlmine(site, cwd, *arguments):
    "The wheel's dlmine in a folder of its own; `-P -c` keeps the checkout off the path, PYTHONPATH puts the wheel first."
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DLMINE_")} | {"PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, "-P", "-c", "import sys; from dlmine.runs.cli import main; sys.exit(main())", *arguments],
                          cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def test_templates_and_cards_are_in_the_wheel(site, tmp_path):
    shown = dlmine(site, tmp_path, "list")
    assert shown.returncode == 0, shown.stderr
    assert "retrain" in shown.stdout and "audit" in shown.stdout
    assert not list(tmp_path.iterdir()), "listing templates must not write"


def test_a_first_run_on_ones_own_csv(site, tmp_path):
    lines = ["age,city,income,bought"]
    for i in range(400):
        age, city, income = 20 + i * 7 % 50, "ABC"[i % 3], 1000 + i * 37 % 900
        lines.append(f"{age},{city},{income},{'yes' if age + (city == 'A') * 20 + i * 13 % 17 > 55 else 'no'}")
    (tmp_path / "customers.csv").write_text("\n".join(lines) + "\n")
    proposed = dlmine(site, tmp_path, "card", "init", "customers.csv", "--target", "bought", "--out", "usecase.yml")
    assert proposed.returncode == 0, proposed.stderr
    trained = dlmine(site, tmp_path, "run", "retrain", "--card", "usecase.yml", "-p", "epochs=3", "-p", "resamples=100")
    assert trained.returncode == 0, trained.stderr[-3000:]
    report, = (tmp_path / "dlmine_workspace" / "runs").glob("*/report.html")
    assert "customers" in report.read_text() or "bought" in report.read_text()
    verified = dlmine(site, tmp_path, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
