"Pseudo-labels: calibrated, in the shares of the labels, refused without gain; learning curves that order draws fairly."
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.framing.label_curve import LabelCurve, choose_cheap, fit_cheap, fit_power_law, labels_for, measure_labels, supervised
from dlmine.framing.semi_supervised import add_pseudo_labels, as_matrix, choose_confident, fit_linear, fit_temperature, out_of_fold


def two_clouds(rows=400, apart=2.0, positives=0.3, seed=0):
    generator = np.random.default_rng(seed)
    target = (generator.random(rows) < positives).astype(np.int64)
    return generator.normal(size=(rows, 4)) + apart * target[:, None] * np.array([1, 1, 0, 0]), target


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.floats(0.5, 0.95), st.sampled_from([None, 10, 60]))
def test_chosen_rows_are_confident_keep_the_shares_and_the_limit(seed, classes, confidence, most):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(classes, 0.3), 300)
    prior = generator.dirichlet(np.full(classes, 3.0))
    rows, labels, candidates = choose_confident(probabilities, prior, confidence, most=most)
    sure = probabilities.max(axis=1)
    assert (sure[rows] >= confidence).all() and (labels == probabilities[rows].argmax(axis=1)).all() and len(set(rows.tolist())) == len(rows)
    assert (candidates == np.bincount(probabilities.argmax(axis=1)[sure >= confidence], minlength=classes)).all()
    assert most is None or len(rows) <= most
    if len(rows) > 50:
        assert 0.5 * np.abs(np.bincount(labels, minlength=classes) / len(rows) - prior).sum() < 0.02 + classes / len(rows)
    for label in range(classes):   # of each class the surest
        taken = sure[rows[labels == label]]
        left = np.setdiff1d(np.flatnonzero(probabilities.argmax(axis=1) == label), rows)
        assert not len(taken) or not len(left) or taken.min() >= sure[left].max() - 1e-12


def test_temperature_restores_probabilities_that_were_sharpened():
    generator = np.random.default_rng(0)
    honest = generator.beta(2, 2, 20_000)
    target = (generator.random(20_000) < honest).astype(np.int64)
    odds = np.log(honest / (1 - honest))
    sharpened = 1 / (1 + np.exp(-(3 * odds + 1)))
    restored = fit_temperature(sharpened, target)(sharpened)[:, 1]
    assert np.abs(restored - honest).mean() < 0.01 < np.abs(sharpened - honest).mean()


def test_out_of_fold_probabilities_come_from_models_that_did_not_see_the_row():
    generator = np.random.default_rng(0)
    features, noise = generator.normal(size=(60, 40)), (np.arange(60) % 2).astype(np.int64)
    inside = fit_linear(features, noise, 100.0)(features)
    outside = out_of_fold(features, noise, lambda features, target: fit_linear(features, target, 100.0))[:, 1]
    assert ((inside > 0.5) == noise).mean() > 0.9 and 0.2 < ((outside > 0.5) == noise).mean() < 0.8


def test_one_hot_of_codes_equals_scikit_learns():
    from sklearn.preprocessing import OneHotEncoder
    codes = np.random.default_rng(0).integers(0, 6, (50, 2))
    matrix = as_matrix({"x_num": np.ones((50, 1), np.float32), "x_cat": codes}).toarray()
    assert (matrix[:, 0] == 1).all()
    theirs = OneHotEncoder(categories=[range(256)] * 2).fit_transform(codes).toarray()
    assert np.array_equal(matrix[:, 1:], theirs)


def test_pseudo_labels_are_refused_where_they_hurt_and_taken_where_they_help():
    features, target = two_clouds(1200)
    labelled, unlabelled, valid = slice(0, 40), slice(40, 700), slice(700, 1200)

    def contrary(features, rows):   # a labeller that learns the opposite from more rows
        model = fit_linear(features, rows)
        return model if len(rows) <= 40 else lambda features: 1 - model(features)

    refused = add_pseudo_labels(features[labelled], target[labelled], features[unlabelled], contrary, valid=(features[valid], target[valid]))
    assert refused.refused and refused.target is not None and len(refused.target) == 40 and "worse" in refused.reason and refused.rounds
    assert refused.evidence().verdict == "noted" and "refused" in refused.plot().alt

    def weak(features, rows):   # better with more rows, whatever they are
        noise = np.random.default_rng(len(rows)).normal(size=10_000)
        model = fit_linear(features, rows)
        return lambda features: model(features) if len(rows) > 40 else 1 / (1 + np.exp(-(np.log(model(features) / (1 - model(features))) + 4 * noise[: len(features)])))

    taken = add_pseudo_labels(features[labelled], target[labelled], features[unlabelled], weak, valid=(features[valid], target[valid]), confidence=0.5)
    assert taken.kept > 0 and len(taken.target) == 40 + taken.kept == len(taken.features) and taken.is_pseudo.sum() == taken.kept
    assert np.array_equal(taken.features[taken.is_pseudo], features[unlabelled][taken.rows]) and np.array_equal(taken.target[:40], target[labelled])
    assert taken.rounds[0].gain[1] > 0 and "improves" in taken.reason and len(taken.table()) == len(taken.rounds)


@pytest.mark.parametrize("case, words", [("none", "No row has a label"), ("one class", "one class"), ("lengths", "one label a row")])
def test_impossible_input_says_what_to_do(case, words):
    features, target = two_clouds(60)
    given = {"none": (features[:0], target[:0]), "one class": (features[:20], np.zeros(20)), "lengths": (features[:20], target[:10])}[case]
    with pytest.raises(DataError, match=words):
        add_pseudo_labels(*given, features)


def test_one_positive_amounts_and_nothing_unlabelled_are_refused_in_words():
    features, target = two_clouds(60)
    one = add_pseudo_labels(features[:20], np.arange(20) == 4, features[20:])
    amounts = add_pseudo_labels(features[:20], np.linspace(0, 1, 20), features[20:], kind="regression")
    nothing = add_pseudo_labels(features[:20], target[:20], features[:0])
    assert one.refused and "1 labelled row:" in one.reason and amounts.refused and "Amounts" in amounts.reason and amounts.target.dtype == float
    assert nothing.refused and "Every training row has a label" in nothing.reason


def test_more_than_two_classes_and_dicts_of_matrices():
    generator = np.random.default_rng(0)
    target = generator.integers(0, 3, 600)
    features = {"x_num": (generator.normal(size=(600, 2)) + 3 * np.eye(3, 2)[target]).astype(np.float32), "x_cat": np.where(generator.random((600, 1)) < 0.8, target[:, None], 0)}
    pick = lambda rows: {name: values[rows] for name, values in features.items()}
    rows = np.arange(600)
    found = add_pseudo_labels(pick(rows[:60]), target[:60], pick(rows[60:400]), valid=(pick(rows[400:]), target[400:]), kind="multiclass")
    assert found.metric == "log_loss" and found.rounds and set(found.features) == {"x_num", "x_cat"}
    free = add_pseudo_labels(pick(rows[:60]), target[:60], pick(rows[60:400]), kind="multiclass")
    assert free.kept > 50 and (free.target[free.is_pseudo] == target[60:400][free.rows]).mean() > 0.8


@settings(max_examples=30, deadline=None)
@given(st.floats(0.6, 0.99), st.floats(0.1, 1.0), st.floats(0.2, 1.0))
def test_the_power_law_is_found_again(a, b, c):
    labels = np.array([50, 100, 200, 500, 1000, 5000, 20_000])
    law = fit_power_law(labels, a - b * labels ** -c)
    assert np.abs(law[0] - law[1] * labels ** -law[2] - (a - b * labels ** -c)).max() < 0.01
    goal = law[0] - law[1] * 700.0 ** -law[2]
    assert labels_for(goal, law) == pytest.approx(700, rel=1e-6) and labels_for(law[0] + 0.01, law) == np.inf


def test_a_curve_shares_draws_and_its_intervals_hold_its_values():
    features, target = two_clouds(900, apart=1.0)
    curve = measure_labels(features, target, np.arange(500), np.arange(500, 900), sizes=(40, 120), seeds=(0, 1, 2), unlabelled=200)
    assert curve.sizes == (40, 120, 500) and curve.baseline == "supervised" and len(curve.of("supervised")) == 3
    for point in curve.points:
        assert point.lower <= point.value <= point.upper
        if point.difference is not None:
            base = next(one for one in curve.of("supervised") if one.labels == point.labels)
            assert point.difference == pytest.approx(point.value - base.value, abs=1e-12) and point.difference_lower <= point.difference <= point.difference_upper
    assert curve.evidence().figures["points"] and "With all 500 labels" in curve.verdict and curve.plot().svg


def test_a_gain_must_be_worth_it():
    features, target = two_clouds(900, apart=1.0)
    noisy = lambda split, seed, budget: np.random.default_rng(seed).random(len(split.test))
    base = supervised(features, fit_linear)
    ways = {"supervised": noisy, "better": base}
    curve = lambda worth: measure_labels(features, target, np.arange(500), np.arange(500, 900), variants=ways, sizes=(100,), seeds=(0, 1, 2), worth=worth)
    assert curve(0.0).stops_paying == 100 and curve(0.9).stops_paying is None and "by 0.9 or more" in curve(0.9).verdict


def test_the_cheap_model_is_the_one_that_suits_the_rows():
    generator = np.random.default_rng(0)
    ring = generator.normal(size=(300, 2))
    inside = (np.hypot(*ring.T) < 1).astype(np.int64)
    assert choose_cheap(ring, inside).__name__ == "fit_neighbours"
    assert getattr(choose_cheap(*two_clouds(300)), "__name__", "fit_linear") == "fit_linear"
    assert ((fit_cheap(ring, inside)(ring) > 0.5) == inside).mean() > 0.9


def test_one_class_has_no_curve():
    with pytest.raises(DataError, match="one class only"):
        measure_labels(np.zeros((50, 2)), np.zeros(50), np.arange(30), np.arange(30, 50))
    assert LabelCurve.__dataclass_params__.frozen
