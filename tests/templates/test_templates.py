"The templates, headless, through the command line: exit codes, evidence, reports, and what is left behind."
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["-p", "resamples=100"]
BRIEF = [*SHORT, "-p", "epochs=2", "-p", "trees=40"]
TRAIN = [*BRIEF, "-p", "rows=3000"]


def dlmine(folder, *arguments, **environment):
    return subprocess.run([sys.executable, "-m", "dlmine.runs.cli", *arguments], cwd=folder, capture_output=True, text=True, timeout=400,
                          env=os.environ | {"OMP_NUM_THREADS": "1"} | environment)


def ungated(name, folder, **changes):
    "One of the example cards without gates, so that a small sample is not judged by them."
    from dlmine.framing.card import load_card

    card = load_card(ROOT / "usecases" / f"{name}.yml").replace(gates=[], **changes)
    (folder / f"{name}.yml").write_text(card.to_yaml())
    return f"{name}.yml"


def published(workspace, template):
    return sorted((workspace / "runs").glob(f"*{template}*"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    "A retrain and an audit of a sample of the flights, in a workspace of their own."
    folder = tmp_path_factory.mktemp("flights")
    place = {"DLMINE_WORKSPACE": str(folder / "workspace")}
    card = ungated("flights", folder)
    retrain = dlmine(folder, "run", "retrain", "--card", card, *BRIEF, "-p", "rows=6000", **place)
    audit = dlmine(folder, "run", "audit", "--card", card, *SHORT, "-p", "rows=6000", "-p", "explained=20", "-p", "evidently_rows=300", **place)
    return folder, place, retrain, audit


def test_both_pass_and_leave_report_and_evidence(trained):
    folder, place, retrain, audit = trained
    assert retrain.returncode == 0, retrain.stdout + retrain.stderr
    assert audit.returncode == 0, audit.stdout + audit.stderr
    for template, wanted in (("retrain", {"training", "evaluation.quality", "evaluation.gates", "core.release", "deployment.parity", "core.promotion", "evaluation.slices"}),
                             ("audit", {"governance.lineage", "governance.dossier", "evaluation.quality", "monitoring.drift", "evaluation.slices", "evaluation.gates"})):
        run, = published(folder / "workspace", template)
        assert (run / "report.html").stat().st_size < 3_000_000
        said = json.loads((run / "evidence.json").read_text())
        text = json.dumps(said)
        assert all(name in text for name in wanted), [name for name in wanted if name not in text]
    assert "may stay in use" in audit.stdout


def test_the_release_serves_raw_rows_without_torch(trained):
    "In a fresh process that cannot import torch, pandas or scikit-learn."
    folder, place, *_ = trained
    code = ("import sys\n\nclass Absent:\n    def find_spec(self, name, path=None, target=None):\n        if name.split('.')[0] in ('torch', 'fastai', 'sklearn', 'pandas', 'mlflow'): raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n\n"
            "sys.meta_path.insert(0, Absent())\n"
            "from pathlib import Path\nfrom dlmine.core.settings import load_settings\nfrom dlmine.core.release import read_release\nfrom dlmine.core.datasets import load_dataset\n"
            "folder, = [p for p in (Path(sys.argv[1]) / 'releases' / 'flights').iterdir() if p.is_dir()]\n"
            "release = read_release(folder, load_settings())\nscores = release.predict(load_dataset('flights', rows=50))\n"
            "assert scores.shape == (50,) and ((scores >= 0) & (scores <= 1)).all()\nprint(len(set(scores)))")
    done = subprocess.run([sys.executable, "-c", code, str(folder / "workspace")], env=os.environ | place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    release, = [p for p in (folder / "workspace" / "releases" / "flights").iterdir() if p.is_dir()]
    assert {"model.onnx", "preprocess.json", "signature.json", "profile.json", "decision.json", "features.json", "model_card.json", "checksums.json", "format_version"} <= {p.name for p in release.iterdir()}
    assert not [p for p in release.iterdir() if p.suffix in (".pkl", ".pt", ".pth", ".joblib", ".npy")]


def test_the_registry_has_one_champion_and_the_record_is_whole(trained):
    from dlmine.core.registry import Registry
    from dlmine.core.settings import load_settings

    folder, place, *_ = trained
    settings = load_settings(environment={**os.environ, **place})
    champion = Registry(settings).version("flights", "champion")
    assert champion.version == 1 and set(champion.aliases) == {"champion", "challenger"}
    assert dlmine(folder, "verify", **place).returncode == 0
    run = published(folder / "workspace", "retrain")[0]
    report = run / "report.html"
    report.write_text(report.read_text().replace("champion", "champ1on", 1))
    touched = dlmine(folder, "verify", **place)
    assert touched.returncode == 1 and "report.html" in touched.stdout
    report.write_text(report.read_text().replace("champ1on", "champion", 1))
    assert dlmine(folder, "verify", **place).returncode == 0


def test_a_failed_gate_ends_with_three_and_no_champion(tmp_path, own_workspace):
    from dlmine.core.registry import Registry
    from dlmine.core.settings import load_settings

    done = dlmine(tmp_path, "run", "retrain", "--card", str(ROOT / "usecases" / "flights_strict.yml"), *TRAIN)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "gate" in done.stdout.lower() and len(published(own_workspace, "retrain")) == 1
    registry, name = Registry(load_settings()), "flights_strict"
    assert registry.version(name, "champion") is None and registry.version(name, "challenger") is not None


def test_a_second_version_is_compared_with_the_first(tmp_path, own_workspace):
    card = ungated("adult", tmp_path)
    first = dlmine(tmp_path, "run", "retrain", "--card", card, *TRAIN)
    second = dlmine(tmp_path, "run", "retrain", "--card", card, *SHORT, "-p", "epochs=2", "-p", "rows=3000", "-p", "seed=1", "-p", "trees=60")
    assert first.returncode == second.returncode == 0, first.stderr + second.stdout + second.stderr
    text = (published(own_workspace, "retrain")[-1] / "evidence.json").read_text()
    assert "non-inferior" in text and "that neither was trained on" in text


def test_two_runs_at_once_in_one_workspace(tmp_path, own_workspace):
    card = ungated("adult", tmp_path)
    command = [sys.executable, "-m", "dlmine.runs.cli", "run", "retrain", "--card", card, *TRAIN]
    both = [subprocess.Popen([*command, "-p", f"seed={seed}"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}) for seed in (0, 1)]
    said = [process.communicate(timeout=400)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(said)
    assert len(published(own_workspace, "retrain")) == 2
    assert dlmine(tmp_path, "verify").returncode == 0
