"Whatever is touched is named, whatever is only torn by a crash is not, and two processes at once lose nothing."
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies

from dlmine.core.chain import Chain, Evidence, payload_path, read_chain
from dlmine.core.errors import DataError, IntegrityError, StorageError
from dlmine.core.evidence import erase, find_evidence, publish_run, seal, verify
from dlmine.core.files import canonical_json, sha256_file, write_atomic
from dlmine.core.journal import read_journal
from dlmine.core.keys import PRIVATE, PUBLIC, sign
from dlmine.core.log import complete_publications, log_path, manifest_of
from dlmine.core.mlruns import open_run, write_run
from dlmine.core.settings import Settings


def publish(settings, run, records=2):
    chain = Chain(settings.path("private", run, "evidence"))
    for number in range(records):
        chain.append(Evidence("evaluation.quality", f"flights {number}", "passed", {"roc_auc": 0.7}), {"actor": "ada"})
    staging = settings.path("private", run, "publish")
    (staging / "artifacts").mkdir()
    (staging / "report.html").write_text("<h1>passed</h1>")
    (staging / "artifacts" / "figure.svg").write_text("<svg/>")
    return publish_run(settings, run, staging, chain.folder)


def release(settings):
    folder = settings.path("releases", "flights", "0a1b2c")
    write_atomic(folder / "model_card.json", '{"name":"flights"}')
    write_atomic(folder / "checksums.json", canonical_json(manifest_of(folder)))
    write_atomic(folder / "signature.sig", canonical_json(sign(settings, sha256_file(folder / "checksums.json").encode())))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    "A workspace with three published runs, one erased record and a release; tests put back what they change."
    settings = Settings(workspace=tmp_path_factory.mktemp("whole"))
    for number in (1, 2, 3):
        publish(settings, f"run-{number}")
    erase(settings, "run-2", 1, "asked for")
    release(settings)
    assert verify(settings).ok
    return settings


@pytest.fixture
def spoilt(whole, tmp_path):
    "A copy to spoil."
    shutil.copytree(whole.workspace, tmp_path / "workspace")
    return Settings(workspace=tmp_path / "workspace")


def published_files(settings):
    root = settings.workspace
    return sorted(p.relative_to(root).as_posix() for part in ("evidence", "runs", "releases", "keys") for p in (root / part).rglob("*")
                  if p.is_file() and p.suffix != ".lock")


def owner(name):
    "What the first problem must name when this file is touched."
    part, *rest = name.split("/")
    if name == "evidence/log.jsonl":
        return ("log", "key", "run-3", "MLflow")
    return {"evidence": (f"run {rest[0]}",), "runs": (f"run {rest[0]}",), "releases": ("release flights/0a1b2c",), "keys": ("key",)}[part]


def flip(settings, name, position, bit):
    path = settings.workspace / name
    data = path.read_bytes()
    mode = path.stat().st_mode
    position %= len(data)
    try:
        path.write_bytes(data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1:])
        return verify(settings)
    finally:
        path.write_bytes(data)
        path.chmod(mode)


@hypothesis_settings(max_examples=250, deadline=None)
@given(data=strategies.data())
def test_any_flipped_bit_is_named(whole, data):
    name = data.draw(strategies.sampled_from(published_files(whole)))
    result = flip(whole, name, data.draw(strategies.integers(0, 100_000)), data.draw(strategies.integers(0, 7)))
    assert not result.ok, name
    assert any(word in result.first_problem for word in owner(name)), (name, result.first_problem)


def test_first_and_last_bytes_of_each_file(whole):
    for name in published_files(whole):
        for position in (0, -1, -2):
            for bit in range(8):
                assert not flip(whole, name, position, bit).ok, (name, position, bit)


def test_any_removed_file_is_named(whole):
    for name in published_files(whole):
        path = whole.workspace / name
        path.rename(path.with_suffix(".gone"))
        try:
            if name.startswith("runs/") or name.startswith("releases/"):
                path.with_suffix(".gone").rename(whole.workspace / "gone")
            result = verify(whole)
        finally:
            (whole.workspace / "gone" if (whole.workspace / "gone").exists() else path.with_suffix(".gone")).rename(path)
        assert not result.ok, name
        assert any(word in result.first_problem for word in owner(name)), (name, result.first_problem)
    assert verify(whole).ok


def test_every_cut_of_the_log_is_noticed(spoilt):
    "Cut anywhere, also exactly between two entries, and also when the key is known to be whole."
    path, data = log_path(spoilt), log_path(spoilt).read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == 10]
    for cut in [*ends[:-1], *(end - 40 for end in ends), 0]:
        path.write_bytes(data[:cut])
        assert not verify(spoilt).ok, cut
    path.write_bytes(data[:-1])                        # killed before the last line break: nothing is lost
    assert verify(spoilt).ok


def test_a_run_removed_everywhere_is_remembered_by_mlflow(spoilt):
    for run in ("run-1", "run-2", "run-3"):
        head = json.loads((spoilt.workspace / "evidence" / run / "seal.json").read_text())["content"]["head"]
        write_run(spoilt, open_run(spoilt, run, "retrain", "ada", 0), tags={"dlmine.head": head})
    erasure = read_journal(log_path(spoilt)).entries[-1]
    assert erasure["kind"] == "erasure" and verify(spoilt).ok
    lines = log_path(spoilt).read_text().splitlines(keepends=True)
    log_path(spoilt).write_text("".join(l for l in lines if '"run":"run-3"' not in l and '"kind":"erasure"' not in l))
    for part in ("runs", "evidence"):
        shutil.rmtree(spoilt.workspace / part / "run-3")
    assert any("MLflow: run run-3" in f"{p.place}: {p.message}" for p in verify(spoilt).problems)
    assert "run-3" in verify(spoilt, "run-3").first_problem


def test_a_log_rewritten_with_a_new_key_is_noticed(spoilt):
    "A forger without the private key makes a new one and signs everything again."
    write_run(spoilt, open_run(spoilt, "run-1", "retrain", "ada", 0), tags={"dlmine.head": "f" * 64})
    assert "MLflow" in verify(spoilt).first_problem
    shutil.rmtree(spoilt.workspace / "keys")
    with pytest.raises(IntegrityError, match="Restore it from a backup"):
        seal(spoilt, "run-9", spoilt.path("private", "run-9"))
    assert verify(spoilt).first_problem.startswith("key: ")


def test_a_key_that_others_can_read_is_a_problem(spoilt):
    (spoilt.workspace / "keys" / PRIVATE).chmod(0o644)
    assert "can be read by other users" in verify(spoilt).first_problem


def test_one_runs_evidence_does_not_pass_for_anothers(spoilt):
    for name in ("chain.jsonl", "payloads"):
        target = spoilt.workspace / "evidence" / "run-3" / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        source = spoilt.workspace / "evidence" / "run-1" / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    assert "run run-3: the chain was replaced" in verify(spoilt).first_problem


def test_a_planted_folder_is_no_run(spoilt):
    shutil.copytree(spoilt.workspace / "runs" / "run-1", spoilt.workspace / "runs" / "run-7")
    assert "run-7" in verify(spoilt).first_problem
    shutil.rmtree(spoilt.workspace / "runs" / "run-7")
    (spoilt.workspace / "runs" / "run-1" / "more.html").write_text("x")
    assert verify(spoilt).first_problem == "run run-1: runs/run-1/more.html was added"


def test_artifacts_named_in_records_are_proved(own_workspace):
    settings = Settings(workspace=own_workspace)
    path = settings.path("releases", "m") / "weights.bin"
    path.write_bytes(b"1")
    chain = Chain(settings.path("private", "r", "evidence"))
    chain.append(Evidence("training", "m", "passed", artifacts={"releases/m/weights.bin": sha256_file(path)}))
    seal(settings, "r", chain.folder)
    path.write_bytes(b"2")
    assert "releases/m/weights.bin, which record 0 names, was edited" in verify(settings).first_problem
    path.unlink()
    assert "is missing" in verify(settings).first_problem


def test_a_torn_line_is_repaired_and_hides_no_edit(spoilt):
    whole_line = log_path(spoilt).read_bytes().splitlines()[-1]
    for cut in (1, 20, len(whole_line) - 1):
        with open(log_path(spoilt), "ab") as file:
            file.write(whole_line[:cut])
        assert verify(spoilt).ok and verify(spoilt).notes
        publish(spoilt, f"after-{cut}")
        assert verify(spoilt).ok and not read_journal(log_path(spoilt)).torn
    with open(log_path(spoilt), "ab") as file:
        file.write(whole_line[:20])
    data = log_path(spoilt).read_bytes()
    log_path(spoilt).write_bytes(data.replace(b'"records":2', b'"records":3', 1))
    assert "log: entry 1 " in verify(spoilt).first_problem


def test_a_missing_line_break_is_added_by_the_next_entry(spoilt):
    data = log_path(spoilt).read_bytes()
    log_path(spoilt).write_bytes(data[:-1])
    publish(spoilt, "after")
    assert verify(spoilt).ok and log_path(spoilt).read_bytes().startswith(data)


FULL = """
import resource, sys
from pathlib import Path
from dlmine.core.chain import Chain, Evidence
from dlmine.core.errors import StorageError
from dlmine.core.log import log_path, seal
from dlmine.core.settings import Settings
settings = Settings(workspace=Path(sys.argv[1]))
chain = Chain(settings.path("private", "full", "evidence"))
chain.append(Evidence("disk", "full", "noted"))
before = log_path(settings).read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, resource.RLIM_INFINITY))
try: seal(settings, "full", chain.folder)
except StorageError as error: print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert log_path(settings).read_bytes() == before
seal(settings, "full", chain.folder)
"""


def test_a_full_disk_gives_a_clear_error_and_leaves_everything_whole(spoilt):
    "The limit on a file's size stands in for the full disk: the line is cut off half-way and taken back."
    done = subprocess.run([sys.executable, "-c", FULL, str(spoilt.workspace)], capture_output=True, text=True, check=True)
    assert "Cannot write" in done.stdout and "log.jsonl" in done.stdout
    assert verify(spoilt).ok and not read_journal(log_path(spoilt)).torn


def test_erasure(own_workspace):
    settings = Settings(workspace=own_workspace)
    chain = Chain(settings.path("private", "r", "evidence"))
    chain.append(Evidence("risk", "customer 4711", "noted", {"income": 1}))
    chain.append(Evidence("risk", "all", "noted"))
    with pytest.raises(DataError, match="has no sealed record"):
        erase(settings, "r", 0, "asked for")
    seal(settings, "r", chain.folder)
    receipt = erase(settings, "r", 0, "asked for")
    assert receipt == erase(settings, "r", 0, "asked for") and verify(settings).ok
    assert f"receipt {receipt}" in str(verify(settings))
    chain.append(Evidence("risk", "later", "noted"))       # an erased chain goes on and is sealed again
    assert seal(settings, "r", chain.folder).records == 3 and verify(settings).ok
    assert [f.evidence.subject for f in find_evidence(settings)] == ["all", "later"]
    forged = {"commitment": chain.records[1].commitment, "erased": "E-0000", "index": 1}
    payload_path(own_workspace / "evidence" / "r", 1).write_text(canonical_json(forged))
    assert "was erased without a receipt" in verify(settings).first_problem


def test_publishing_twice_and_sealing_a_touched_chain_are_refused(spoilt):
    with pytest.raises(StorageError, match="published already"):
        publish(spoilt, "run-1")
    chain = Chain(spoilt.path("private", "x", "evidence"))
    chain.append(Evidence("a", "b", "noted", {"n": 1}))
    path = payload_path(chain.folder, 0)
    path.write_text(path.read_text().replace('"n":1', '"n":2'))
    with pytest.raises(IntegrityError, match="record 0 was edited"):
        seal(spoilt, "x", chain.folder)
    with pytest.raises(DataError, match="not a run's name"):
        seal(spoilt, "../x", chain.folder)


def test_an_empty_run_can_be_published(own_workspace):
    settings = Settings(workspace=own_workspace)
    publish(settings, "empty", records=0)
    assert verify(settings).ok and verify(settings, "empty").ok and not verify(settings, "other").ok


WORK = """
import sys, itertools
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_evidence import publish
from dlmine.core.chain import Chain, Evidence
from dlmine.core.settings import Settings
from dlmine.core.log import seal
settings, name = Settings(workspace=Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
for number in itertools.count():
    chain = Chain(settings.path("private", name, "evidence"))
    chain.append(Evidence("kill", name, "noted", {"number": number}))
    seal(settings, name, chain.folder)
    publish(settings, f"{name}-{number}", records=1)
"""


def working(settings, name):
    process = subprocess.Popen([sys.executable, "-c", WORK, str(settings.workspace), name, str(Path(__file__).parent)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    return process


@pytest.mark.faults
def test_killed_at_any_moment_everything_is_whole(own_workspace):
    settings, chance = Settings(workspace=own_workspace), random.Random(7)
    for attempt in range(8):
        processes = [working(settings, f"{attempt}-{side}") for side in ("a", "b")]
        time.sleep(chance.uniform(0.0, 0.25))
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
        result = verify(settings)
        assert result.ok, str(result)
    complete_publications(settings)
    assert verify(settings).ok and verify(settings).checked["records"] > 8
    publish(settings, "after")
    assert verify(settings).ok


def _append_many(folder, count):
    for number in range(count):
        Chain(folder).append(Evidence("two", "processes", "noted", {"number": number}))


def _publish_many(workspace, name):
    for number in range(8):
        publish(Settings(workspace=workspace), f"{name}-{number}")


def test_two_processes_write_one_chain_and_one_log(own_workspace):
    start = multiprocessing.get_context("spawn")
    settings = Settings(workspace=own_workspace)
    folder = settings.path("private", "shared", "evidence")
    writers = [start.Process(target=_append_many, args=(folder, 25)) for _ in range(2)] + [start.Process(target=_publish_many, args=(own_workspace, side)) for side in "ab"]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
        assert process.exitcode == 0
    assert len(read_chain(folder)[0]) == 50 and seal(settings, "shared", folder).records == 50
    assert verify(settings).ok and verify(settings).checked["runs"] == 17
