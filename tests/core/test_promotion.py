"One door: gates, margin, whole releases; refusals on record; a kill or a second mover leaves one whole champion."
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import tiny
from dlmine.core.errors import DataError, PromotionRefused
from dlmine.core.evidence import find_evidence, verify
from dlmine.core.promotion import LOWER_IS_BETTER, Gates, NonInferior, PolicyResult, PromotionContext, move
from dlmine.core.registry import Registry
from dlmine.core.release import write_release
from dlmine.core.settings import Settings
from dlmine.core.tracking import start_run
from dlmine.measures.intervals import paired_difference
from dlmine.measures.metrics import METRICS

GOOD, BAD = Gates(SimpleNamespace(passed=True)), Gates(SimpleNamespace(passed=False, reasons=["brier 0.3 is above 0.2"]))


def registered(settings, count=3):
    "Releases registered as versions 1, 2, …"
    registry = Registry(settings)
    for number in range(count):
        registry.register(write_release(settings, name="tiny", files=tiny.files(number=number)), "tiny")
    return registry


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    settings = Settings(workspace=tmp_path_factory.mktemp("promotion"), threads=1)
    registered(settings)
    return settings


def test_the_story_of_a_champion(place):
    registry, run = Registry(place), start_run("retrain", settings=place)
    assert move("challenger", "tiny", 1, settings=place, run=run).moved
    refused = move("champion", "tiny", 1, [BAD], settings=place, run=run)
    assert not refused.moved and refused.reasons == ("A gate failed: brier 0.3 is above 0.2.",) and registry.version("tiny", "champion") is None
    with pytest.raises(PromotionRefused, match="brier 0.3"):
        refused.require()
    assert not move("champion", "tiny", 1, settings=place, run=run).moved                       # a champion needs at least its gates
    assert move("champion", "tiny", 1, [GOOD, NonInferior(0.0, None, None, None)], settings=place, run=run).moved     # nobody to compare the first one with
    second = move("champion", "tiny", 2, [GOOD, lambda context: PolicyResult("approval", context.current.version == 1, "seen")], settings=place, run=run)
    assert second.moved and second.previous == 1 and registry.version("tiny", "champion").version == 2
    assert registry.version("tiny", "challenger").version == 1
    path = registry.version("tiny", 3).folder / "decision.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"binary", b"Binary"))
    touched = move("champion", "tiny", 3, [GOOD], settings=place, run=run)
    path.write_bytes(whole)
    assert not touched.moved and "decision.json was edited" in touched.reasons[0] and registry.version("tiny", "champion").version == 2
    for alias, version, message in (("champoin", 1, "Did you mean 'champion'"), ("champion", 9, "no version 9")):
        with pytest.raises(DataError, match=message):
            move(alias, "tiny", version, [GOOD], settings=place, run=run)
    run.finish()
    verdicts = [f.evidence.verdict for f in find_evidence(place, "core.promotion")]
    assert verdicts == ["passed", "failed", "failed", "passed", "passed", "failed"] and verify(place).ok


def test_without_a_run_the_move_is_one(place):
    assert move("shadow", "tiny", 2, settings=place).moved
    found = find_evidence(place, "core.promotion", subject="tiny: shadow")[-1]
    assert "-promotion-" in found.run_id and (place.workspace / "runs" / found.run_id / "evidence.json").exists() and verify(place).ok


def test_a_release_swapped_for_another_is_refused(place, tmp_path):
    "Both releases are whole and signed; it is only not the one that was registered."
    registry = Registry(place)
    record = registry.version("tiny", 3)
    other = write_release(place, name="tiny", files=tiny.files(number=77)).path
    record.folder.rename(tmp_path / "kept")
    other.rename(record.folder)
    try:
        assert "not the release that was registered" in move("shadow", "tiny", 3, settings=place).reasons[0]
    finally:
        record.folder.rename(other)
        (tmp_path / "kept").rename(record.folder)


def test_an_alias_moved_past_the_door_is_noticed(place):
    registry = Registry(place)
    before = registry.version("tiny", "champion").version
    registry._set_alias("tiny", "champion", 3)
    assert "champion of tiny is version 3, which no recorded promotion put there" in verify(place).first_problem
    registry._set_alias("tiny", "champion", before)
    assert verify(place).ok


def test_non_inferior_on_real_intervals():
    random_numbers = np.random.default_rng(0)
    days = np.repeat(np.arange(60), 50)
    target = (random_numbers.random(3000) < 0.3).astype(int)
    champion = target * 0.8 + random_numbers.normal(size=3000)
    context = PromotionContext("champion", SimpleNamespace(version=2), SimpleNamespace(version=1), None)
    ask = lambda challenger, margin, metric="roc_auc": NonInferior(margin, target, challenger, champion, days, metric, paired_difference, options={"resamples": 200})(context)
    same = ask(champion, 0.0)
    assert same.passed and same.figures["difference"] == 0
    assert ask(champion + target * 0.5, 0.0).passed
    assert not ask(champion - target * 0.5, 0.02).passed and ask(champion - target * 0.5, 0.5).passed
    blurred = champion + random_numbers.normal(size=3000) * 0.3
    loose, tight = ask(blurred, 0.05), ask(blurred, 0.0)
    assert loose.passed and not tight.passed and -0.05 < loose.figures["lower"] < 0
    probability = np.clip(1 / (1 + np.exp(-champion)), 0.01, 0.99)
    losses = NonInferior(0.0, target, np.clip(probability * 0.5, 0.01, 0.99), probability, days, "log_loss", paired_difference, options={"resamples": 200})(context)
    assert losses.passed == (losses.figures["upper"] <= 0)
    for margin in (-0.1, float("nan")):
        with pytest.raises(DataError, match="margin"):
            ask(champion, margin)


def test_lower_is_better_agrees_with_the_measures():
    assert LOWER_IS_BETTER >= {name for name, metric in METRICS.items() if metric.better == "lower"}
    assert not LOWER_IS_BETTER & {name for name, metric in METRICS.items() if metric.better == "higher"}


WORK = """
import sys
from pathlib import Path
from types import SimpleNamespace
from dlmine.core.promotion import Gates, move
from dlmine.core.registry import Registry
from dlmine.core.settings import Settings
settings = Settings(workspace=Path(sys.argv[1]))
Registry(settings).history("tiny")
print("ready", flush=True)
for number in range(10**6):
    assert move("champion", "tiny", number % 3 + 1, [Gates(SimpleNamespace(passed=True))], settings=settings).moved
"""


@pytest.mark.faults
def test_two_movers_killed_leave_one_champion_and_whole_evidence(place):
    registry, chance = Registry(place), random.Random(5)
    before = len(find_evidence(place, "core.promotion"))
    for _ in range(2):
        movers = [subprocess.Popen([sys.executable, "-c", WORK, str(place.workspace)], stdout=subprocess.PIPE) for _ in range(2)]
        for mover in movers:
            assert mover.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.5, 1.5))
        for mover in movers:
            os.kill(mover.pid, signal.SIGKILL)
            mover.wait()
            mover.stdout.close()
        result = verify(place)
        assert result.ok, str(result)
        champion = registry.version("tiny", "champion")
        assert champion.version in (1, 2, 3) and [r.version for r in registry.history("tiny") if "champion" in r.aliases] == [champion.version]
    moves = find_evidence(place, "core.promotion", subject="tiny: champion")
    assert len(moves) > before and champion.version in [f.evidence.figures["version"] for f in moves[-2:]]
    assert move("champion", "tiny", 1, [GOOD], settings=place).moved and verify(place).ok
