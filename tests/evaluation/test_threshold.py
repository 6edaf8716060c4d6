"The threshold explorer: equal to scikit-learn at every cut, moved without a browser, followed by a selection."
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score

from dlmine.core.errors import DataError
from dlmine.core.selection import Selection
from dlmine.core.view import TWIN_LIMIT
from dlmine.evaluation.threshold import ThresholdCurves, ThresholdExplorer
from dlmine.measures.metrics import money

COSTS = {"true_positive": 5, "false_positive": -2, "false_negative": -3, "true_negative": 0.5}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=4, max_size=60), st.integers(0, 10))
def test_a_cut_equals_sklearn_and_the_measures_room(rows, tenth):
    target, scores = np.array([row[0] for row in rows]), np.array([row[1] / 10 for row in rows])
    if target.min() == target.max():
        return
    cut, one = tenth / 10, None
    one = ThresholdCurves(target, scores, COSTS).cut(cut)
    acted = scores >= cut
    assert one.recall == pytest.approx(recall_score(target, acted)) and one.acted == pytest.approx(acted.mean())
    assert np.isnan(one.precision) if not acted.any() else one.precision == pytest.approx(precision_score(target, acted))
    assert one.money == pytest.approx(money(target, scores, cost_matrix=COSTS, threshold=cut))


def draw(rows=2000):
    generator = np.random.default_rng(0)
    scores = generator.beta(1, 3, rows)
    return (generator.random(rows) < scores).astype(int), scores


def test_the_best_cut_is_the_best():
    curves = ThresholdCurves(*draw(), COSTS)
    best = float(curves.at(curves.best())["money"])
    assert best >= float(curves.at(np.linspace(0, 1, 500))["money"].max()) - 1e-3
    assert 0 < ThresholdCurves(*draw()).best() < 1  # without money: the best F1


def test_prevalence_reweights_and_leaves_recall():
    curves = ThresholdCurves(*draw(), COSTS)
    half, rare = curves.cut(0.3, 0.5), curves.cut(0.3, 0.01)
    assert half.recall == rare.recall and half.precision > rare.precision and half.money > rare.money


def test_sliders_and_value_move_each_other():
    explorer = ThresholdExplorer(*draw(), cost_matrix=COSTS, threshold=0.5)
    explorer.widget
    cut, share, numbers, picture = explorer._controls
    shown = numbers.value, picture.value
    cut.value = 0.2
    assert explorer.value["threshold"] == 0.2 and (numbers.value, picture.value) != shown
    explorer.value = {"threshold": 0.8, "prevalence": 0.1}
    assert (cut.value, share.value) == (0.8, 0.1) and "Cut 0.800" in numbers.value
    assert {"dlmine-threshold-cut"} <= set(cut._dom_classes) and "dlmine-threshold-numbers" in numbers._dom_classes and "dlmine-threshold" in explorer.widget._dom_classes
    best, back = explorer.widget.children[0].children[2].children
    best.click()
    assert explorer.value["threshold"] == pytest.approx(explorer.curves.best(0.1))
    back.click()
    assert explorer.value == {"threshold": 0.5, "prevalence": explorer.curves.prevalence}


def test_the_twin_shows_the_present_setting_and_is_small():
    explorer = ThresholdExplorer(*draw(84_000), cost_matrix=COSTS, currency="EUR")
    explorer.value = {"threshold": 0.123}
    assert "Cut 0.123" in explorer.twin() and "EUR" in explorer.twin() and len(explorer.twin()) < TWIN_LIMIT / 3
    plain = ThresholdExplorer(*draw())
    assert "worth" not in plain.twin() and plain.cut().money is None


def test_a_selection_is_followed_and_left_where_it_cannot_be():
    target, scores = draw()
    table = pa.table({"group": np.where(np.arange(2000) < 500, "a", "b"), "positive": target})
    selection = Selection()
    explorer = ThresholdExplorer(target, scores, table=table, selection=selection)
    selection.set("group", "a")
    assert explorer.curves.rows == 500 and explorer.value["prevalence"] == pytest.approx(target[:500].mean())
    selection.set("positive", 1)
    assert explorer.curves.rows == 2000 and "one kind only" in explorer.twin()


@pytest.mark.parametrize("value", [{"cut": 0.1}, {"threshold": 1.5}, {"prevalence": -0.1}])
def test_impossible_values_are_refused_and_change_nothing(value):
    explorer = ThresholdExplorer(*draw())
    before = explorer.value
    with pytest.raises(DataError):
        explorer.value = value
    assert explorer.value == before


def test_rows_of_one_kind_are_refused():
    with pytest.raises(DataError, match="positives and negatives"):
        ThresholdExplorer(np.ones(5), np.linspace(0, 1, 5))
