"Calibration: the map that was taken away comes back, clusters widen intervals, maps keep the order."
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.core.release import apply_calibration
from dlmine.evaluation.calibration import fit_calibration, measure_calibration, plot_calibration
from dlmine.measures.metrics import expected_calibration_error


def draw(rows=4000, seed=0):
    generator = np.random.default_rng(seed)
    scores = generator.beta(1, 3, rows)
    return (generator.random(rows) < scores).astype(int), scores


@settings(max_examples=15, deadline=None)
@given(st.floats(0.4, 3.0), st.integers(0, 1000))
def test_a_temperature_is_found_again(temperature, seed):
    target, scores = draw(seed=seed)
    bent = apply_calibration(scores, {"kind": "temperature", "temperature": 1 / temperature})
    found = fit_calibration(target, bent, seed=seed)
    back = apply_calibration(bent, found)
    assert found["kind"] in ("identity", "temperature", "isotonic")
    assert np.abs(back - scores).mean() < 0.035


def test_honest_scores_are_left_alone_mostly():
    kinds = [fit_calibration(*draw(seed=seed))["kind"] for seed in range(20)]
    assert kinds.count("identity") >= 17


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_staircase_never_turns_the_order_round(seed):
    target, scores = draw(1500, seed)
    found = fit_calibration(target, scores**3)
    mapped = apply_calibration(np.linspace(0, 1, 500), found)
    assert (np.diff(mapped) >= -1e-12).all() and 0 <= mapped.min() and mapped.max() <= 1


def test_the_error_is_the_measures_rooms_and_bins_add_up():
    target, scores = draw()
    one = measure_calibration(target, scores, resamples=100)
    assert one.error == pytest.approx(expected_calibration_error(target, scores), abs=1e-12)
    assert sum(bin["rows"] for bin in one.bins) == len(target) and sum(one.spread) == pytest.approx(1)
    assert sum(bin["rows"] * bin["observed"] for bin in one.bins) == pytest.approx(target.sum())
    assert all(bin["lower"] <= bin["observed"] <= bin["upper"] for bin in one.bins)


def test_clusters_widen_the_bars():
    generator = np.random.default_rng(0)
    day = np.repeat(np.arange(50), 100)
    scores = np.full(5000, 0.3) + generator.normal(0, 1e-3, 5000)
    target = (generator.random(5000) < np.clip(0.3 + generator.normal(0, 0.15, 50)[day], 0, 1)).astype(int)
    rows, days = (measure_calibration(target, scores, cluster=cluster, bins=1, resamples=500).bins[0] for cluster in (None, day))
    assert days["upper"] - days["lower"] > 2 * (rows["upper"] - rows["lower"])


@pytest.mark.parametrize("scores", [np.full(300, 0.2), np.r_[np.zeros(150), np.ones(150)], np.linspace(0, 1, 300)])
def test_odd_scores_do_not_break(scores):
    target = (np.arange(300) % 5 == 0).astype(int)
    one = measure_calibration(target, scores, resamples=50)
    assert np.isfinite(one.error) and plot_calibration(one).svg.startswith("<svg")
    assert np.isfinite(apply_calibration(scores, fit_calibration(target, scores))).all()


def test_many_classes_at_once_are_refused():
    with pytest.raises(DataError, match="one probability a row"):
        measure_calibration(np.zeros(5), np.ones((5, 3)) / 3)
