"Outliers: equal to scipy and scikit-learn, safe on absurd values, decided by effect, overruled on record."
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from sklearn.ensemble import IsolationForest

from dlmine.core.errors import DataError
from dlmine.framing.card import load_card
from dlmine.preparation.decisions import Decision, Decisions, Measured, conclude
from dlmine.preparation.encoders import apply_number, fit_number
from dlmine.preparation.loading import load_data
from dlmine.preparation.outlier_choice import choose_treatments
from dlmine.preparation.outliers import TREATMENTS, find_outliers, flag_rows, isolation_forest, outside, quartile_fences, robust_z, rows_to_keep, unusualness

plain = st.lists(st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3)), min_size=4, max_size=80)
wild = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=60)


@settings(max_examples=200, deadline=None)
@given(plain)
def test_the_robust_z_is_scipys(values):
    values = np.array(values)
    ruler = stats.median_abs_deviation(values, scale="normal")
    if ruler > 0: np.testing.assert_allclose(robust_z(values), (values - np.median(values)) / ruler, rtol=1e-9, atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(plain, st.sampled_from([1.5, 3.0]))
def test_the_fences_are_scipys(values, reach):
    values = np.array(values)
    if stats.iqr(values) == 0: return
    first, third = np.quantile(values, [0.25, 0.75])
    np.testing.assert_allclose(quartile_fences(values, reach), (first - reach * stats.iqr(values), third + reach * stats.iqr(values)), rtol=1e-9, atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(wild, wild)
def test_nothing_that_a_file_holds_breaks_a_treatment(train, later):
    train, later = np.array(train), np.array(later)
    low, high = quartile_fences(train)
    assert low <= high and not outside(np.array([np.nan]), low, high).any()
    assert np.isnan(robust_z(train)).sum() >= np.isnan(train).sum()
    for treatment in TREATMENTS:
        step = fit_number(train, treatment)
        if step is None: continue
        seen = apply_number(np.sort(later), json.loads(json.dumps(step))).astype(np.float32)
        known = seen[~np.isnan(seen)]
        assert np.isnan(seen).sum() == np.isnan(later).sum()      # missing stays missing, nothing else becomes so
        assert np.isfinite(known).all() and (np.diff(known) >= 0).all()


def test_capping_moves_the_ends_to_the_fences_and_removing_to_what_is_left():
    values = np.append(np.linspace(0, 1, 99), 1000.0)
    low, high = quartile_fences(values)
    capped, kept, removed = (fit_number(values, treatment) for treatment in ("cap", "keep", "remove"))
    assert capped["high"] == pytest.approx(high) and kept["high"] == 1000 and removed["high"] == 1
    assert apply_number(np.array([1000.0]), capped) == apply_number(np.array([5000.0]), capped)


def test_the_forest_is_scikit_learns_and_any_detector_may_take_its_place():
    matrix = np.random.default_rng(0).normal(size=(500, 3))
    matrix[:5] += 9
    flagged, score = flag_rows(isolation_forest(7), matrix, share=0.02)
    np.testing.assert_array_equal(score, -IsolationForest(n_estimators=100, random_state=7).fit(matrix).score_samples(matrix))
    assert flagged[:5].all() and flagged.sum() == 10

    from pyod.models.ecod import ECOD
    from pyod.models.knn import KNN
    for detector in (ECOD(), KNN()):
        flagged, score = flag_rows(detector, matrix, share=0.02)
        assert flagged[:5].all()
        np.testing.assert_array_equal(score, detector.decision_function(matrix))
    assert "ECOD" in find_outliers(pa.table({"x": matrix[:, 0]}), detectors={"ECOD": ECOD()})["x"].flagged


def test_scores_in_the_wrong_shape_are_refused():
    class Wrong:
        def score_samples(self, matrix): return np.zeros((len(matrix), 2))
    with pytest.raises(DataError, match="One number a row"): unusualness(Wrong(), np.zeros((4, 1)))
    with pytest.raises(DataError, match="between 0 and 1"): flag_rows(isolation_forest(), np.zeros((4, 1)), share=2)


def test_odd_columns_are_described_not_dropped():
    found = find_outliers(pa.table({"huge": [1e308, -1e308, np.inf, -np.inf, *range(20)], "constant": [4.0] * 24, "gone": pa.nulls(24, pa.float64()), "whole": pa.array(range(24)), "name": ["x"] * 24}))
    assert [column.column for column in found.columns] == ["huge", "constant", "gone", "whole"]
    assert (found["huge"].infinite, found["huge"].touched >= 4, found["constant"].touched, found["gone"].missing) == (2, True, 0, 24)
    assert find_outliers(pa.table({"x": [1.0, 2.0, 9e9]}))["x"].touched == 0      # three values say nothing
    assert found.evidence().verdict == "warning"


def test_only_training_rows_are_removed():
    table = pa.table({"x": [*np.linspace(0, 1, 50), 99.0, 99.0], "y": [0] * 52})
    assert rows_to_keep(table, {"x": "remove"}, np.arange(51)).tolist() == list(range(50))
    assert len(rows_to_keep(table, {"x": "cap"}, np.arange(51))) == 51
    with pytest.raises(DataError, match="No training row would be left"): rows_to_keep(pa.table({"x": [np.inf, -np.inf]}), {"x": "remove"})


def test_the_rule_of_choice():
    row = lambda name, model, gain, verdict, metric="roc_auc": Measured(name, model, metric, 0.8, gain, gain - 0.01, gain + 0.01, verdict)
    base = [row("keep", "a", 0, "baseline"), row("keep", "b", 0, "baseline")]
    assert conclude([*base, row("cap", "a", 0.1, "better"), row("cap", "b", -0.1, "worse")], "keep")[0] == "keep"
    assert conclude([*base, row("cap", "a", 0.095, "better"), row("cap", "b", 0, "no difference"), row("transform", "a", 0.1, "better"), row("transform", "b", 0, "no difference")], "keep")[0] == "cap"
    assert conclude([*base, row("cap", "a", 0.05, "better"), row("cap", "b", 0, "no difference"), row("transform", "a", 0.1, "better"), row("transform", "b", 0, "no difference")], "keep")[0] == "transform"
    assert conclude([row("keep", "a", 0, "baseline", "log_loss"), row("cap", "a", -0.1, "better", "log_loss")], "keep")[0] == "cap"


def write(folder, table, task="{kind: classification, positive: 'yes'}"):
    import pyarrow.parquet as pq
    pq.write_table(table, folder / "t.parquet")
    (folder / "t.yml").write_text(f"version: 1\nname: t\nowner: Ada\nsources: [{{location: t.parquet}}]\ntarget: y\ntask: {task}\nsplit: {{kind: random}}\n")
    return load_data(load_card(folder / "t.yml"))


def typos(rows=3000):
    generator = np.random.default_rng(0)
    age = generator.uniform(18, 90, rows)
    return pa.table({"age": np.where(generator.random(rows) < 0.01, age * 1000, age), "noise": generator.normal(size=rows), "y": np.where(generator.random(rows) < 1 / (1 + np.exp((55 - age) / 8)), "yes", "no")})


def test_typing_errors_are_not_kept_and_the_cards_word_holds(tmp_path):
    data = write(tmp_path, typos())
    choice = choose_treatments(data, seeds=(0,))
    assert choice.decisions["age"].measured in ("cap", "transform") and choice.treatments["age"] == choice.decisions["age"].chosen
    assert {effect.verdict for effect in choice.decisions["age"].effects if effect.model == "trees"} <= {"baseline", "no difference"}
    assert choice.decisions["age"].alternatives["remove"]["rows lost"] == choice.outliers["age"].touched
    told = choice.overrule("age", "keep", "Account numbers.", who="Eve", when="2024-05-01T00:00:00+00:00")
    again = choose_treatments(load_data(data.card.replace(prepare=told.prepare())), seeds=(0,))
    assert (again.decisions["age"].chosen, again.decisions["age"].overruled["who"], again.decisions["age"].measured) == ("keep", "Eve", choice.decisions["age"].measured)
    silent = choose_treatments(load_data(data.card.replace(prepare={"outliers": {"age": "remove"}})), seeds=(0,))
    assert silent.decisions["age"].overruled["who"] == "Ada" and silent.decisions["age"].chosen == "remove"
    assert [record.verdict for record in told.evidence()] == ["noted", "warning"]


@pytest.mark.parametrize("kind", ["numbers", "classes", "no numbers"])
def test_other_targets_and_tables(tmp_path, kind):
    table, generator = typos(900), np.random.default_rng(1)
    if kind == "numbers": table = table.set_column(2, "y", pa.array(generator.normal(size=900) + np.minimum(np.asarray(table["age"]), 90)))
    if kind == "classes": table = table.set_column(2, "y", pa.array(generator.choice(["a", "b", "c"], 900)))
    if kind == "no numbers": table = pa.table({"town": generator.choice(["x", "z"], 900), "y": table["y"]})
    choice = choose_treatments(write(tmp_path, table, {"numbers": "{kind: regression}", "classes": "{kind: classification}"}.get(kind, "{kind: classification, positive: 'yes'}")), rows=600, seeds=(0,))
    assert len(choice.decisions) == (0 if kind == "no numbers" else 1) and choice.decisions.notes and choice.evidence()
    assert "<" in choice._repr_html_()


def test_decisions_without_a_reason_are_refused():
    desk = Decisions("outliers", (Decision("outliers", "x", "keep", "why", {"keep": {}, "cap": {}}),))
    with pytest.raises(DataError, match="give the reason"): desk.overrule("x", "cap", "")
    with pytest.raises(DataError, match="Did you mean 'cap'"): desk.overrule("x", "capp", "because")
    assert desk.overrule("x", "cap", "because", who="Eve").overruled()[0]["who"] == "Eve"
