"Quality: equal to scikit-learn, gates never pass by accident, verdicts are symmetric and honest."
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from dlmine.core.errors import DataError
from dlmine.evaluation.quality import apply_gates, compare_models, evaluate_model
from dlmine.framing.naive import baseline_scores


def draw(rows=800, seed=0, skill=1.0):
    generator = np.random.default_rng(seed)
    target = generator.integers(0, 2, rows)
    return target, 1 / (1 + np.exp(-(skill * target + generator.normal(0, 1, rows))))


def gate(metric, comparison, threshold, bound="value"):
    return SimpleNamespace(metric=metric, comparison=comparison, threshold=threshold, bound=bound)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_binary_equals_sklearn(seed):
    target, scores = draw(seed=seed)
    one = evaluate_model("binary", target, scores, resamples=20)
    for name, judge in (("roc_auc", sk.roc_auc_score), ("average_precision", sk.average_precision_score), ("log_loss", sk.log_loss), ("brier", sk.brier_score_loss)):
        assert one.intervals[name].value == pytest.approx(judge(target, scores), abs=1e-9)


def test_regression_and_classes_equal_sklearn():
    generator = np.random.default_rng(0)
    y = generator.normal(50, 10, 500)
    guess = y + generator.normal(0, 3, 500)
    one = evaluate_model("regression", y, guess, resamples=20)
    assert one.intervals["rmse"].value == pytest.approx(sk.root_mean_squared_error(y, guess), abs=1e-9)
    assert one.baseline["rmse"] == pytest.approx(y.std()) and one.main == "rmse"
    classes, scores = generator.integers(0, 3, 500), generator.dirichlet([1, 1, 1], 500)
    many = evaluate_model("multiclass", classes, scores, classes=["x", "y", "z"], resamples=20)
    assert many.intervals["accuracy"].value == pytest.approx(sk.accuracy_score(classes, scores.argmax(1)))
    assert np.sum(many.sketch["matrix"]) == 500 and many.plot().svg.count("<text") > 9


def test_the_baseline_is_the_training_share_also_when_the_test_differs():
    target, scores = draw()
    one = evaluate_model("binary", target, scores, train_target=np.r_[np.ones(10), np.zeros(90)], resamples=20)
    assert one.baseline["log_loss"] == pytest.approx(sk.log_loss(target, np.full(len(target), 0.1)))
    assert one.baseline["roc_auc"] == 0.5
    assert baseline_scores("multiclass", [0, 0, 2], 4, 3).tolist() == [[2 / 3, 0, 1 / 3]] * 4


def test_card_gives_metric_k_and_money():
    target, scores = draw()
    costs = {"true_positive": 2, "false_positive": -1, "false_negative": 0, "true_negative": 0}
    card = SimpleNamespace(task=SimpleNamespace(k=None), cluster="day", kpi=SimpleNamespace(metric="ap", cost_matrix=costs, currency="EUR", capacity=3))
    one = evaluate_model("binary", target, scores, card=card, cluster=np.arange(800) % 20, threshold=0.6, resamples=20)
    acted = scores >= 0.6
    assert one.main == "average_precision" and one.length == 60 and one.clusters == 20
    assert one.intervals["money"].value == pytest.approx((2 * (acted & (target == 1)) - (acted & (target == 0))).mean())
    assert one.intervals["precision_at_k"].value == pytest.approx(target[np.argsort(-scores)[:60]].mean())


@settings(max_examples=60, deadline=None)
@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([">=", ">", "<=", "<"]), st.floats(-10, 10))
def test_gates_follow_arithmetic_and_no_number_never_passes(figure, comparison, threshold):
    passed = apply_gates([gate("roc_auc", comparison, threshold)], {"roc_auc": figure}).passed
    import operator

    plain = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}[comparison](figure, threshold)
    assert passed == (bool(plain) and np.isfinite(figure))


def test_gates_look_at_the_named_end_and_say_why():
    quality = evaluate_model("binary", *draw(), resamples=100)
    one = quality.intervals["roc_auc"]
    middle = (one.value + one.lower) / 2
    results = apply_gates([gate("auc", ">=", middle), gate("auc", ">=", middle, "lower")], quality)
    assert [row.passed for row in results.rows] == [True, False] and "lower end" in results.reasons[0]
    assert apply_gates([gate("drift", "<=", 3)], quality, extra={"drift": 2}).passed
    with pytest.raises(DataError, match="roc_auc"):
        apply_gates([gate("rocauc", ">=", 0.5)], quality)


def test_verdicts_are_symmetric_and_honest():
    target, scores = draw(3000)
    worse = scores + np.random.default_rng(1).normal(0, 0.4, 3000)
    one, other = (compare_models("binary", target, dict(order), resamples=200) for order in ([("a", scores), ("b", worse)], [("b", worse), ("a", scores)]))
    assert one.better == other.better == one.chosen == "a"
    assert one.difference.value == pytest.approx(-other.difference.value)
    same = compare_models("binary", target, {"a": scores, "b": scores}, prefer="b", resamples=100)
    assert same.better is None and same.chosen == "b" and "No difference" in same.sentence()


def test_lower_is_better_where_it_is():
    y = np.random.default_rng(0).normal(size=500)
    verdict = compare_models("regression", y, {"good": y + 0.1, "bad": y + np.random.default_rng(1).normal(size=500)}, resamples=100)
    assert verdict.better == "good" and verdict.metric == "rmse"
