"The dossier: the worst finding decides, nothing unmeasured passes, plain words first."
from types import SimpleNamespace

import numpy as np
import pytest

from dlmine.core.evidence import Evidence, Finding, Verification
from dlmine.evaluation.calibration import Calibration
from dlmine.evaluation.quality import GateResult, GateResults, Quality
from dlmine.evaluation.slices import Slice, Slices
from dlmine.governance.dossier import VERDICTS, decide
from dlmine.governance.findings import is_better_than_none, say_quality
from dlmine.measures.intervals import Interval

WHOLE = Verification((), (), {"records": 5})
STEADY = SimpleNamespace(evidence=lambda: Evidence("monitoring.drift", "x", "passed", notes="Nothing moved."))
MOVED = SimpleNamespace(evidence=lambda: Evidence("monitoring.drift", "x", "warning", notes="2 of 9 columns moved."))


def quality(value=0.7, lower=0.66, upper=0.74, metric="roc_auc", known=0.5, **more):
    return Quality("m", "binary", 1000, 50, {metric: Interval(value, lower, upper), **more.pop("intervals", {})}, {metric: known, **more.pop("baseline", {})}, metric, 0.1, "EUR")


def gates(passed=True):
    return GateResults("m", (GateResult("roc_auc", "lower", 0.66, ">=", 0.6 if passed else 0.9, passed),))


def calibration(error=0.01):
    return Calibration("m", 1000, 50, error, error * 0.9, error * 1.1, 0.25, 0.22)


def slices(protected=False, p=0.001):
    one = Slice("sex", "is Female", protected, 300, 0.2, 0.2, 0.6, 0.55, 0.65, 0.75, -0.15, -0.2, -0.1, p, p)
    return Slices("m", "roc_auc", "higher", 0.7, (one,), 0, 0.95, 0.02)


def judge(**changes):
    given = dict(quality=quality(), gates=gates(), drift=STEADY, calibration=calibration(), slices=slices(p=0.9), verification=WHOLE) | changes
    return decide(given.pop("quality"), given.pop("gates"), **given)


def test_all_good_may_stay():
    one = judge()
    assert one.verdict == VERDICTS[0] and one.passed and one.risks == () and 3 <= len(one.reasons) <= 5 and one.evidence().verdict == "passed"
    assert one.reasons[0].topic == "quality"


@pytest.mark.parametrize("changes", [
    dict(verification=Verification((Finding("log", "entry 3 was changed"),), (), {})),
    dict(gates=gates(False)),
    dict(quality=quality(0.48, 0.44, 0.52)),
])  # fmt: skip
def test_any_of_three_ends_it(changes):
    one = judge(**changes)
    assert one.verdict == VERDICTS[2] and not one.passed and one.evidence().verdict == "failed"
    assert one.risks[0].severity == "high" and one.reasons[0].state == "bad" and "must not stay" in one._repr_html_()


@pytest.mark.parametrize("changes", [
    dict(quality=quality(0.52, 0.47, 0.57)), dict(quality=quality(float("nan"), float("nan"), float("nan"))), dict(drift=MOVED), dict(drift=None), dict(slices=None), dict(verification=None), dict(calibration=calibration(0.2)), dict(slices=slices(True)), dict(gates=GateResults("m", ())),
    dict(quality=quality(intervals={"money": Interval(-1, -2, -0.5)}, baseline={"money": 0})),
    dict(quality=quality(intervals={"money": Interval(1, -1, 3)}, baseline={"money": 0})),
])  # fmt: skip
def test_each_of_these_brings_conditions(changes):
    one = judge(**changes)
    assert one.verdict == VERDICTS[1] and one.passed and one.risks and one.actions and one.evidence().verdict == "warning"


def test_a_weak_segment_is_a_note_a_weak_protected_group_is_not():
    assert judge(slices=slices(False)).verdict == VERDICTS[0]
    high = judge(slices=slices(True), card=SimpleNamespace(risk_tier="high", name="m"))
    assert high.risks[0].severity == "high" and high.verdict == VERDICTS[1]


def test_reasons_are_few_the_worst_first_and_quality_is_always_there():
    one = judge(drift=MOVED, calibration=calibration(0.2), slices=slices(True), quality=quality(intervals={"money": Interval(1, -1, 3)}, baseline={"money": 0}), gates=gates(False), verification=Verification((Finding("log", "x"),), (), {}))
    states = [reason.state for reason in one.reasons]
    assert len(one.reasons) == 5 and any(reason.topic == "quality" for reason in one.reasons) and states[:2] == ["bad", "bad"]


def test_plain_words():
    assert "70 times in 100 (between 66 and 74" in say_quality(quality())
    assert "typically off by 3.2" in say_quality(quality(3.2, 3, 3.5, "rmse", 9.0)) and "the average for everyone is off by 9" in say_quality(quality(3.2, 3, 3.5, "rmse", 9.0))
    assert "67 rows in 100" in say_quality(quality(0.67, 0.6, 0.7, "accuracy", 0.4))
    assert "lower is better" in say_quality(quality(0.4, 0.3, 0.5, "log_loss", 0.6))
    for word in ("AUC", "Jensen", "Kolmogorov", "p-value", "ECE"):
        assert word not in "".join(reason.text for reason in judge().reasons)


@pytest.mark.parametrize("one, expected", [(quality(0.7, 0.51), True), (quality(0.7, 0.5), None), (quality(0.5, 0.4), False), (quality(0.7, float("nan")), None), (quality(3, 2, 4, "rmse", 5), True), (quality(3, 2, 6, "rmse", 5), None), (quality(6, 2, 7, "rmse", 5), False)])
def test_better_than_none_needs_the_unfavourable_end_to_be_sure(one, expected):
    assert is_better_than_none(one) is expected


def test_texts_from_outside_are_never_markup():
    card = SimpleNamespace(name="<b>", owner="<i>", purpose="<script>", risk_tier="low")
    text = judge(card=card, facts={"window": "<u>"})._repr_html_()
    assert not any(tag in text for tag in ("<script>", "<i>", "<u>"))


def test_the_page_asks_nobody_and_is_small():
    text = judge(drift=MOVED, slices=slices(True))._repr_html_()
    assert "http" not in text and "url(" not in text and len(text) < 20_000 and np.all([word in text for word in ("Why", "Open risks", "What to do next")])


def chance(rows):
    import pyarrow as pa

    generator = np.random.default_rng(0)
    return pa.table({"g": generator.choice(["a", "b"], rows), "x": generator.normal(size=rows)})


ODD = {
    "twelve rows": ("binary", np.array([0, 1] * 6), np.linspace(0, 1, 12), None),
    "one class": ("binary", np.zeros(12, int), np.linspace(0, 1, 12), None),
    "one score": ("binary", np.array([0, 1] * 60), np.full(120, 0.5), None),
    "one cluster": ("binary", np.array([0, 1] * 60), np.linspace(0, 1, 120), np.zeros(120)),
    "constant values": ("regression", np.full(30, 2.0), np.full(30, 2.0), None),
    "classes never seen": ("multiclass", np.array([0, 1] * 20), np.random.default_rng(0).dirichlet([1] * 5, 40), None),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_data_give_a_page_and_no_all_clear(case):
    from dlmine.core.files import canonical_json
    from dlmine.evaluation.calibration import measure_calibration
    from dlmine.evaluation.quality import apply_gates, evaluate_model
    from dlmine.evaluation.slices import find_slices

    kind, target, scores, cluster = ODD[case]
    table = chance(len(target))
    found = evaluate_model(kind, target, scores, cluster=cluster, resamples=50)
    parts = [found, find_slices(table, target, scores, kind=kind, cluster=cluster, protected=table.column_names)]
    parts += [measure_calibration(target, scores, cluster=cluster, resamples=50)] if kind == "binary" else []
    one = decide(found, apply_gates([], found), STEADY, parts[2] if len(parts) > 2 else None, parts[1], WHOLE)
    assert one.verdict != VERDICTS[0] and "nan" not in one._repr_html_()
    for part in (*parts, one):
        assert part._repr_html_() and canonical_json(part.evidence().figures)


def test_few_cases_few_rows_and_copies_are_risks():
    from dataclasses import replace
    few = judge(quality=replace(quality(), cases=4))
    assert few.verdict == VERDICTS[1] and "Only 4 of the 1,000" in few.risks[0].text and "only 4 with the rarer outcome" in replace(quality(), cases=4).sentence()
    assert judge(quality=replace(quality(), rows=36)).risks[0].title == "Few rows"
    assert [one.severity for one in (judge(copies=0.3).risks + judge(copies=0.8).risks)] == ["low", "medium"] and not judge(copies=0.05).risks


def test_what_does_not_tell_the_cases_apart_is_not_said_to():
    assert judge(quality=quality(0.5, 0.5, 0.5)).reasons[0].text.startswith("It does not tell the cases apart")


def test_rare_promises_have_digits():
    one = judge(calibration=Calibration("m", 2000, 2000, 0.002, 0.001, 0.005, 0.0021, 0.0020))
    assert any("promised 0.21% on average, came 0.20%" in reason.text for reason in one.reasons)


def test_a_perfect_figure_is_a_risk():
    assert [one.title for one in judge(quality=quality(0.999, 0.998, 1.0)).risks] == ["Too good to be true"]


def test_an_error_is_held_against_the_average_on_the_same_rows():
    wide = dict(metric="rmse", known=2.09, baseline={"r2": 0.0})
    assert is_better_than_none(quality(2.0, 1.65, 2.4, intervals={"r2": Interval(0.08, 0.05, 0.11)}, **wide)) is True
    assert is_better_than_none(quality(2.0, 1.65, 2.4, intervals={"r2": Interval(0.08, -0.02, 0.11)}, **wide)) is None
