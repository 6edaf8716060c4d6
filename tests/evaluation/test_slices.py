"Slices: values equal scikit-learn, spreads equal the bootstrap, chance raises few alarms, any column is cut."
import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dlmine.core.errors import DataError
from dlmine.evaluation.slices import MEASURES, _auc_influence, cut_column, find_slices


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=4, max_size=60))
def test_auc_with_ties_equals_sklearn_and_influences_add_to_nothing(rows):
    target, scores = (np.array(part, float) for part in zip(*rows))
    if len(set(target)) < 2:
        return
    order = np.argsort(scores, kind="stable")
    value, influence = _auc_influence(target[order], scores[order])
    assert value == pytest.approx(roc_auc_score(target, scores), abs=1e-12)
    assert influence.sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier", "mae", "rmse"])
def test_influence_is_the_derivative(metric):
    generator = np.random.default_rng(0)
    target = generator.integers(0, 2, 400).astype(float)
    scores = np.sort(generator.random(400))
    value, influence = MEASURES[metric][2](target, scores)
    spread = np.sqrt((influence**2).sum())
    drawn = []
    for _ in range(500):
        rows = np.sort(generator.integers(0, 400, 400))
        drawn.append(MEASURES[metric][2](target[rows], scores[rows])[0])
    assert spread == pytest.approx(np.std(drawn), rel=0.12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=2, max_size=60))
def test_numeric_cuts_cover_each_row_once(values):
    cuts = cut_column(pa.chunked_array([pa.array(values, pa.float64())]))
    covered = sum((rows.astype(int) for rows in cuts.values()), np.zeros(len(values), int))
    present = np.array([value is not None and value == value for value in values])
    assert (covered[present] == 1).all() and (covered <= 1).all()


def test_every_kind_of_column_is_cut():
    moments = [datetime.datetime(2013, 1 + place % 12, 1 + place % 28, place % 24) for place in range(240)]
    table = pa.table({"moment": moments, "flag": [True, False, None] * 80, "code": pa.array(["ü", "b"] * 120).dictionary_encode(), "few": [1, 2] * 120, "date": [one.date() for one in moments], "empty": pa.nulls(240, pa.float64()), "nothing": pa.nulls(240)})
    names = {name: list(cut_column(table[name])) for name in table.column_names}
    assert "is in January" in names["moment"] and "is at hour 5" in names["moment"] and not any("hour" in name for name in names["date"])
    assert set(names["flag"]) == {"is true", "is false", "is missing"} and names["code"] == ["is b", "is ü"] and names["few"] == ["is 1", "is 2"]
    assert names["empty"] == names["nothing"] == []


def test_a_planted_weakness_is_found_first_and_small_groups_are_counted():
    generator = np.random.default_rng(0)
    target = generator.integers(0, 2, 6000)
    group = generator.choice(["a", "b", "c", "tiny"], 6000, p=[0.4, 0.3, 0.295, 0.005])
    scores = np.where(group == "c", 0.2, 1.5) * target + generator.normal(0, 1, 6000)
    found = find_slices(pa.table({"group": group, "other": generator.integers(0, 4, 6000)}), target, scores, protected=["group"], segments=["other"])
    assert found.slices[0].name == "group is c" and [one.name for one in found.findings] == ["group is c"] and found.left_out == 1
    assert found.slices[0].value == pytest.approx(roc_auc_score(target[group == "c"], scores[group == "c"]))
    assert found.evidence().verdict == "warning" and "group is c" in found._repr_html_()


def test_nothing_to_judge_is_no_error():
    found = find_slices(pa.table({"x": ["a"] * 50}), np.arange(50) % 2, np.linspace(0, 1, 50), segments=["x"])
    assert found.slices == () and found.evidence().verdict == "noted" and "No slice" in found._repr_html_()


def test_many_classes_and_values():
    generator = np.random.default_rng(0)
    table = pa.table({"g": generator.choice(["a", "b"], 2000)})
    scores = generator.dirichlet([1, 1, 1], 2000)
    assert find_slices(table, generator.integers(0, 3, 2000), scores, kind="multiclass", segments=["g"]).metric == "accuracy"
    regression = find_slices(table, generator.normal(size=2000), np.zeros(2000), kind="regression", metric="roc_auc", segments=["g"])
    assert regression.metric == "mae" and len(regression.slices) == 2


def test_an_unknown_column_is_named():
    with pytest.raises(DataError, match="carrier"):
        find_slices(pa.table({"carrier": ["a"]}), [1], [0.5], protected=["carier"])
