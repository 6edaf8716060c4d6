"A retrain that is killed at any moment, or runs out of room, leaves registry, evidence and releases whole, and the next run works."
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["-p", "rows=1500", "-p", "epochs=1", "-p", "trees=20", "-p", "resamples=30"]
COMMAND = [sys.executable, "-m", "dlmine.runs.cli", "run", "retrain", "--card", "adult_quick.yml", *SMALL]


@pytest.fixture
def place(tmp_path):
    "A folder with a card that no gate stops."
    from dlmine.framing.card import load_card

    card = load_card(ROOT / "usecases" / "adult.yml").replace(name="adult_quick", gates=[])
    (tmp_path / "adult_quick.yml").write_text(card.to_yaml())
    return tmp_path


def start(folder, **options):
    return subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, **options)


def retrain(folder, **options):
    process = start(folder, **options)
    return process.communicate(timeout=300)[0], process.returncode


def kill_family(process):
    "SIGKILL the run and its kernel, which is in a process group of its own."
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for member in (process, *family):
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()


def assert_whole(settings):
    "Evidence verifies, published runs are complete, every release and every registered version reads with its checksums; returns the champion."
    from dlmine.core.evidence import verify
    from dlmine.core.registry import Registry
    from dlmine.core.release import read_release

    verification = verify(settings)
    assert verification.ok, verification.first_problem
    for run in (settings.workspace / "runs").glob("[!.]*"):
        assert {"report.html", "notebook.ipynb", "evidence.json", "run.json"} <= {path.name for path in run.iterdir()}, run
    for release in (settings.workspace / "releases").glob("*/[!.]*"):
        if release.is_dir():
            read_release(release, settings=settings)
    if not (settings.workspace / "mlflow.db").exists():
        return None
    registry = Registry(settings)
    for record in registry.history("adult_quick"):
        read_release(record, settings=settings)
    return registry.version("adult_quick", "champion")


@pytest.mark.faults
def test_ten_kills(place):
    from dlmine.core.settings import load_settings

    settings = load_settings()
    started = time.monotonic()
    output, code = retrain(place)
    length = time.monotonic() - started
    assert code == 0, output[-3000:]
    first = assert_whole(settings)
    assert first is not None and first.version == 1
    rng, ended_by_us = random.Random(7), 0
    for tenth in rng.sample(range(10), 10):
        process = start(place)
        time.sleep((tenth + rng.random()) / 10 * length)
        ended_by_us += process.poll() is None
        kill_family(process)
        champion = assert_whole(settings)
        assert champion is not None and champion.version >= first.version
    assert ended_by_us >= 7
    output, code = retrain(place)
    assert code == 0, output[-3000:]
    assert assert_whole(settings).version > first.version
    cleaned = subprocess.run([*COMMAND[:3], "doctor", "--clean"], cwd=place, capture_output=True, text=True).stdout
    assert cleaned.count("removed (killed)") >= 7, cleaned
    assert_whole(settings)
    assert not [path for path in (settings.workspace / "private").iterdir() if path.is_dir()]


@pytest.mark.faults
@pytest.mark.parametrize("limit", [2_000, 60_000])
def test_no_room_for_the_files_of_a_run(place, limit, own_workspace):
    "A limit on the size of files fails as a full disk does: at once, or when the release is written. One line says so and nothing is registered."
    import resource

    from dlmine.core.settings import load_settings

    output, code = retrain(place, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert code == 1, output[-3000:]
    assert re.search(r"larger than the system allows|disk is full|no space", output), output[-3000:]
    assert "Traceback" not in output
    assert not list((own_workspace / "releases").glob("*/[!.]*"))
    settings = load_settings()
    output, code = retrain(place)
    assert code == 0, output[-3000:]
    assert assert_whole(settings).version == 1


def test_a_full_disk_says_so(tmp_path):
    "A file that does not fit is not left in part."
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "from dlmine.core.files import write_atomic\nfrom dlmine.core.errors import StorageError\nfrom pathlib import Path\n"
            "try: write_atomic(Path(sys.argv[1]) / 'big.bin', b'x' * 1_000_000)\nexcept StorageError as error: print(error); sys.exit(7)")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 7, done.stdout + done.stderr
    assert "big.bin" in done.stdout and not list(tmp_path.iterdir())
