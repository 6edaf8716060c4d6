"A retrain that is killed at any moment leaves registry, evidence and releases whole, and the next run works."
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["-p", "rows=2500", "-p", "epochs=2", "-p", "trees=40", "-p", "resamples=50"]


def command(*arguments):
    return [sys.executable, "-m", "dlmine.runs.cli", *arguments]


def retrain(folder, wait=True):
    process = subprocess.Popen(command("run", "retrain", "--card", str(ROOT / "usecases" / "adult_quick.yml"), *SMALL), cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    return (process.communicate(timeout=300)[0], process.returncode) if wait else process


def assert_whole(settings):
    "Evidence verifies, every release reads with its checksums, every alias points to a release that exists."
    from dlmine.core.evidence import verify
    from dlmine.core.release import read_release
    from dlmine.core.tracking import Registry

    verification = verify(settings)
    assert verification.ok, verification.first_problem
    releases = [p for p in (settings.workspace / "releases").glob("*/*") if p.is_dir() and not p.name.startswith(".")]
    for folder in releases:
        read_release(folder, settings=settings)
    champion = Registry(settings).version("adult_quick", "champion") if (settings.workspace / "mlflow.db").exists() else None
    if champion:
        read_release(champion.source, settings=settings)
    return champion


@pytest.mark.faults
def test_ten_kills(tmp_path, own_workspace):
    from dlmine.core.settings import load_settings

    settings = load_settings()
    started = time.time()
    output, code = retrain(tmp_path)
    assert code == 0, output[-3000:]
    length = time.time() - started
    first = assert_whole(settings)
    assert first is not None
    rng = random.Random(7)
    moments = sorted(rng.uniform(0.05, 1.0) for _ in range(10))
    for share in moments:
        process = retrain(tmp_path, wait=False)
        time.sleep(share * length)
        kill_family(process)
        assert_whole(settings)
    output, code = retrain(tmp_path)
    assert code == 0, output[-3000:]
    last = assert_whole(settings)
    assert last.version >= first.version


def kill_family(process):
    "SIGKILL the run and its kernel, which has a process group of its own."
    import psutil

    family = psutil.Process(process.pid).children(recursive=True) if psutil.pid_exists(process.pid) else []
    for member in [process, *family]:
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()


def test_a_full_disk_says_so(tmp_path, own_workspace):
    "A file size limit makes every large write fail, as a full disk does: a clear error, nothing registered."
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "from dlmine.core.files import write_atomic\nfrom dlmine.core.errors import StorageError\nfrom pathlib import Path\n"
            "try: write_atomic(Path(sys.argv[1]) / 'big.bin', b'x' * 1_000_000)\nexcept StorageError as error: print(error); sys.exit(7)")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 7, done.stdout + done.stderr
    assert "big.bin" in done.stdout and not list(tmp_path.iterdir())
