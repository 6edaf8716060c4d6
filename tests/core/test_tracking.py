"Runs reach MLflow whole, cheaply and from several processes at once; by hand and headless."
import json
import multiprocessing
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dlmine.core import mlruns
from dlmine.core.chain import Evidence
from dlmine.core.errors import DataError, StorageError
from dlmine.core.evidence import find_evidence, publish_run, verify
from dlmine.core.files import canonical_json, write_atomic
from dlmine.core.registry import Registry
from dlmine.core.settings import Settings
from dlmine.core.tracking import code_version, log_run, start_run

CARD = SimpleNamespace(name="flights", hash="c0ffee")


def prepared(settings, run_id, **more):
    "A private folder as the runner prepares and the notebook fills it."
    folder = settings.path("private", run_id)
    run = {"run_id": run_id, "template": "retrain", "started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:05:05+00:00", "actor": "ada", "parameters": {"epochs": 3}, **more}
    write_atomic(folder / "run.json", canonical_json(run))
    write_atomic(folder / "metrics.json", json.dumps({"roc_auc": 0.7, "gap": float("nan"), "big": float("-inf"), "größe von x": 2}))
    write_atomic(folder / "artifacts" / "figures" / "loss curve.svg", "<svg/>")
    return folder


def test_written_directly_and_by_the_client_runs_are_alike(own_workspace, monkeypatch):
    settings = Settings(workspace=own_workspace / "with space é")
    first = log_run(settings, prepared(settings, "direct"), "passed")
    monkeypatch.setattr(mlruns, "is_direct", lambda settings: False)
    second = log_run(settings, prepared(settings, "client"), "passed")
    client = mlruns.mlflow_client(settings)
    runs = [client.get_run(number) for number in (first, second)]
    assert runs[0].data.params == runs[1].data.params == {"epochs": "3"}
    assert str(runs[0].data.metrics) == str(runs[1].data.metrics) and len(runs[0].data.metrics) == 4
    tags = [{k: v for k, v in run.data.tags.items() if k != "dlmine.run_id"} for run in runs]
    assert tags[0] == tags[1]
    for name in set(dict(runs[0].info)) - {"run_id", "run_uuid", "artifact_uri", "user_id"}:
        assert getattr(runs[0].info, name) == getattr(runs[1].info, name), name
    assert runs[0].info.artifact_uri.rsplit("/", 2)[0] == runs[1].info.artifact_uri.rsplit("/", 2)[0]
    assert [[f.path for f in client.list_artifacts(number, "figures")] for number in (first, second)] == [["figures/loss curve.svg"]] * 2
    assert [str(m.value) for m in client.get_metric_history(first, "gap")] == ["nan"] and client.get_metric_history(first, "big")[0].value < -1e300
    assert {r.info.run_id for r in client.search_runs([runs[0].info.experiment_id], "metrics.roc_auc > 0.6 and params.epochs = '3'")} == {first, second}


def test_the_installed_mlflow_has_the_schema_that_is_written_directly(own_workspace):
    "When this fails after an update of MLflow, runs are still entered, through the client, at seconds each."
    settings = Settings(workspace=own_workspace)
    mlruns.ensure_ledger(settings)
    assert mlruns.is_direct(settings)


@pytest.mark.parametrize("change", ["alter table params add column owner varchar(9) not null default 'x'", "alter table tags rename column value to content",
                                    "drop table latest_metrics", "alter table runs drop column user_id"])
def test_another_schema_is_left_to_the_client(own_workspace, change):
    settings = Settings(workspace=own_workspace)
    mlruns.ensure_ledger(settings)
    with sqlite3.connect(mlruns.sqlite_file(settings)) as connection:
        connection.execute("pragma legacy_alter_table = on")
        connection.execute(change)
    assert mlruns.is_direct(settings) == ("default 'x'" in change)


def test_entering_a_run_twice_changes_nothing(own_workspace):
    settings = Settings(workspace=own_workspace)
    folder = prepared(settings, "r")
    assert log_run(settings, folder, "passed") == log_run(settings, folder, "passed")
    with sqlite3.connect(mlruns.sqlite_file(settings)) as connection:
        assert [connection.execute(f"select count(*) from {t}").fetchone()[0] for t in ("runs", "params", "latest_metrics", "metrics")] == [1, 1, 4, 4]


@pytest.mark.parametrize("status, shown", [("passed", "FINISHED"), ("failed", "FINISHED"), ("crashed", "FAILED"), ("interrupted", "KILLED"), ("FAILED", "FAILED")])
def test_status(own_workspace, status, shown):
    settings = Settings(workspace=own_workspace)
    number = log_run(settings, prepared(settings, "r"), status)
    with sqlite3.connect(mlruns.sqlite_file(settings)) as connection:
        assert connection.execute("select status, end_time - start_time from runs where run_uuid = ?", (number,)).fetchone() == (shown, 60_000)


def test_a_locked_or_damaged_ledger_gives_a_clear_error(own_workspace):
    settings = Settings(workspace=own_workspace)
    with pytest.raises(DataError, match="Did you mean 'passed'"):
        log_run(settings, prepared(settings, "r"), "pased")
    path = mlruns.ensure_ledger(settings)
    path.chmod(0o444)
    if os.geteuid() != 0:
        with pytest.raises(StorageError, match="cannot be written"):
            log_run(settings, prepared(settings, "r"))
    path.chmod(0o644)
    path.write_bytes(b"no database" * 200)
    assert verify(settings).first_problem.startswith("MLflow: the ledger cannot be read")


ENTER = """
import sys
from pathlib import Path
from dlmine.core.settings import Settings
from dlmine.core.tracking import log_run
log_run(Settings(workspace=Path(sys.argv[1])), sys.argv[2], "passed")
print("mlflow" in sys.modules, "pandas" in sys.modules, "sqlalchemy" in sys.modules)
"""


def test_entering_a_run_is_cheap_and_quiet(own_workspace):
    "The budget of an empty headless run leaves 2.4 CPU-seconds for this; it takes about 0.3."
    settings = Settings(workspace=own_workspace)
    mlruns.ensure_ledger(settings)
    folder, before = prepared(settings, "r"), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", ENTER, str(own_workspace), str(folder)], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.stdout, done.stderr) == ("False False False\n", "")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "first ever"])
def test_several_processes_make_the_ledger_at_once(own_workspace, tmp_path, cached):
    settings = Settings(workspace=own_workspace)
    environment = {**os.environ, "PYTHONPATH": "", **({} if cached else {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)})}
    folders = [prepared(settings, f"r{n}") for n in range(2 if not cached else 4)]
    started = [subprocess.Popen([sys.executable, "-c", ENTER, str(own_workspace), str(f)], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for f in folders]
    for process in started:
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        assert error == "", error
    assert sum(1 for f in folders if mlruns.find_run(settings, f.name)) == len(folders)
    assert not (tmp_path / "mlruns").exists() and not (tmp_path / "mlflow.db").exists()
    if not cached:
        assert mlruns.is_direct(settings) and (tmp_path / "dlmine").exists()


def test_by_hand(own_workspace, monkeypatch):
    settings = Settings(workspace=own_workspace, actor="ada")
    run = start_run("retrain", CARD, {"epochs": 3}, settings)
    first = run.record(Evidence("evaluation.quality", "net", "passed", {"roc_auc": 0.69}))[0]
    second = run.record([Evidence("evaluation.quality", "net", "passed", {"roc_auc": 0.70}), SimpleNamespace(evidence=lambda: [Evidence("evaluation.gates", "net", "passed")])])[0]
    assert second.payload["supersedes"] == first.hash and first.payload["supersedes"] == ""
    assert (first.payload["actor"], first.payload["card_hash"], first.payload["code_version"]) == ("ada", "c0ffee", code_version())
    run.artifact("tables/worst.csv").write_text("a,b\n")
    run.stop("failed", ["roc_auc is below 0.72"])
    number = run.mlflow_run_id()
    folder = run.finish()
    assert run.finish() is None and not run.folder.exists()
    assert {"evidence.json", "manifest.json", "run.json", "artifacts"} == {p.name for p in folder.iterdir()}
    assert json.loads((folder / "run.json").read_text())["verdict"]["headline"] == "roc_auc is below 0.72"
    found = mlruns.mlflow_client(settings).get_run(number)
    assert found.info.status == "FINISHED" and found.data.tags["dlmine.verdict"] == "failed" and found.data.params == {"epochs": "3"}
    assert found.data.tags["dlmine.head"] == find_evidence(settings)[-1].record.hash
    assert verify(settings).ok and verify(settings).checked["records"] == 3


def test_headless_the_runner_publishes(own_workspace, monkeypatch):
    settings = Settings(workspace=own_workspace)
    folder = prepared(settings, "retrain-1")
    monkeypatch.setenv("DLMINE_RUN", str(folder))
    run = start_run("retrain", CARD, settings=settings)
    assert run.run_id == "retrain-1" and run.folder == folder
    start_run("retrain", settings=settings)                    # joined once more, without the card: it stays known
    assert json.loads((folder / "context.json").read_text())["card_hash"] == "c0ffee"
    run.record(Evidence("evaluation.gates", "net", "failed"))
    assert run.stop("failed", "a gate said no")["reasons"] == ["a gate said no"]
    assert run.finish() is None and not list(own_workspace.glob("runs/*"))
    assert json.loads((folder / "verdict.json").read_text())["verdict"] == "failed"
    staging = folder / "publish"
    write_atomic(staging / "report.html", "<h1/>")
    publish_run(settings, "retrain-1", staging, folder / "evidence")
    log_run(settings, folder, "failed")
    assert verify(settings).ok and mlruns.sealed_runs(settings).keys() == {"retrain-1"}
    monkeypatch.setenv("DLMINE_RUN", str(own_workspace / "nowhere"))
    with pytest.raises(DataError, match="holds no run.json"):
        start_run("retrain", CARD, settings=settings)


def test_a_run_without_sealed_evidence_is_not_expected_in_the_log(own_workspace):
    "A retrain killed after it had registered a version has an MLflow run and no evidence: an accident, not a touched log."
    settings = Settings(workspace=own_workspace)
    start_run("retrain", CARD, settings=settings).mlflow_run_id()
    assert verify(settings).ok


def test_secrets_do_not_enter_evidence_run_or_ledger(own_workspace, monkeypatch):
    monkeypatch.setenv("EXAMPLE_PASSWORD", "correct-horse-battery")
    settings = Settings(workspace=own_workspace)
    run = start_run("retrain", CARD, {"address": "postgresql://u:correct-horse-battery@h/d"}, settings)
    run.record(Evidence("a", "b", "noted", {"text": "correct-horse-battery"}, notes="Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"))
    run.finish()
    for path in own_workspace.rglob("*"):
        if path.is_file():
            assert b"correct-horse" not in path.read_bytes(), path


def test_registry(own_workspace):
    settings = Settings(workspace=own_workspace)
    folder = settings.path("releases", "flights", "0a1b")
    (folder / "checksums.json").write_text("{}")
    run = start_run("retrain", CARD, settings=settings)
    registry = Registry(settings)
    assert [registry.register(folder, "flights", run, {"algorithm": "net"}) for _ in range(2)] == [1, 2]
    record = registry.version("flights", 2)
    assert record.run_id == run.mlflow_run_id() and record.tags["dlmine.run_id"] == run.run_id and record.folder == folder
    assert registry.version("flights", "champion") is None and registry.version("none", 1) is None and registry.history("none") == []
    with pytest.raises(DataError, match="Did you mean 'shadow'"):
        registry.version("flights", "shadwo")
    with pytest.raises(DataError, match="no release|not a release"):
        registry.register(own_workspace, "flights")


def _register(workspace, folder):
    for _ in range(3):
        Registry(Settings(workspace=workspace)).register(folder, "flights")


def test_two_processes_register_versions(own_workspace):
    settings = Settings(workspace=own_workspace)
    folder = settings.path("releases", "flights", "0a1b")
    (folder / "checksums.json").write_text("{}")
    start = multiprocessing.get_context("spawn")
    workers = [start.Process(target=_register, args=(own_workspace, folder)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert [r.version for r in Registry(settings).history("flights")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_server_keeps_the_same_ledger(own_workspace, tmp_path):
    "One line of settings: the same runs, versions and cross-check through an MLflow server."
    import socket
    import time
    import urllib.request
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--default-artifact-root", str(tmp_path / "server"),
                               "--port", str(port), "--workers", "1"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=1)
                break
            except OSError:
                time.sleep(0.5)
        settings = Settings(workspace=own_workspace, tracking_uri=address)
        run = start_run("retrain", CARD, {"epochs": 3}, settings)
        run.record(Evidence("evaluation.gates", "net", "passed"))
        run.log_metrics({"roc_auc": 0.7})
        folder = settings.path("releases", "flights", "0a1b")
        (folder / "checksums.json").write_text("{}")
        assert Registry(settings).register(folder, "flights", run) == 1
        assert Registry(settings).version("flights", 1).folder == folder
        run.finish()
        assert mlruns.sealed_runs(settings) == {run.run_id: find_evidence(settings)[-1].record.hash}
        assert not (own_workspace / "mlflow.db").exists()
        (folder / "checksums.json").unlink()
        folder.rmdir()
        assert verify(settings).ok, str(verify(settings))
    finally:
        os.killpg(server.pid, 15)
        server.wait()
