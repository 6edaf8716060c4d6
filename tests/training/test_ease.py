"EASE against the solution of its equations by other means, persons put together from examples, and odd input."
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.measures.items import hit_rate_at_k, item_ndcg_at_k
from dlmine.training.ease import count_pairs, ease_weights, fit_ease, whole_histories
from dlmine.training.export import measure_parity, to_onnx


def examples_of(persons: list, last: int = 20) -> tuple[np.ndarray, np.ndarray]:
    "Training rows as preparation.history_rows makes them: the latest of each person, and the first."
    rows = [(person[:place][::-1], person[place]) for person in persons for place in range(len(person)) if place == 0 or len(person) - place <= last]
    history = np.zeros((len(rows), max([1, *(len(before) for before, _ in rows)])), np.int64)
    for place, (before, _) in enumerate(rows): history[place, :len(before)] = np.array(before, np.int64) + 1
    return history, np.array([after for _, after in rows], np.int64)


def persons_of(count: int, items: int, seed: int) -> list:
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.full(items, 0.3), 4)
    return [generator.choice(items, generator.integers(4, 12), replace=False, p=(one := shares[person % 4] + 1e-3) / one.sum()).tolist() for person in range(count)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=9, unique=True), min_size=1, max_size=8), st.integers(1, 5))
def test_persons_are_put_together_from_their_rows(persons, last):
    found = [one.tolist() for one in whole_histories(*examples_of(persons, last))]
    assert found == [sorted(one) for one in persons]


def test_the_weights_solve_the_equations():
    generator = np.random.default_rng(0)
    taken = (generator.random((200, 12)) < 0.3).astype(float)
    weights = ease_weights(taken.T @ taken, 7.0)
    for item in range(12):
        others = np.flatnonzero(np.arange(12) != item)
        own = np.linalg.lstsq(np.vstack([taken[:, others], np.sqrt(7.0) * np.eye(11)]), np.append(taken[:, item], np.zeros(11)), rcond=None)[0]
        assert np.allclose(weights[others, item], own, atol=1e-10) and weights[item, item] == 0


def test_strength_shrinks_and_must_be_positive():
    taken = (np.random.default_rng(0).random((60, 6)) < 0.4).astype(float)
    sizes = [np.abs(ease_weights(taken.T @ taken, strength)).sum() for strength in (0.1, 10, 1000, 1e6)]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 1e-2
    for strength in (0, -1, float("nan")):
        with pytest.raises(DataError, match="above 0"): ease_weights(taken.T @ taken, strength)


def test_pairs_are_counted_by_persons_and_rare_items_are_left_out():
    pairs, kept, popular = count_pairs([np.array([0, 2]), np.array([0, 2, 3]), np.array([3])], 5)
    assert pairs.tolist() == [[2, 0, 2, 1, 0], [0] * 5, [2, 0, 2, 1, 0], [1, 0, 1, 2, 0], [0] * 5] and popular.tolist() == [2, 0, 2, 2, 0]
    assert count_pairs([np.array([0, 2]), np.array([0, 2, 3])], 5, limit=2)[1].tolist() == [0, 2]


@pytest.fixture(scope="module")
def fitted():
    persons = persons_of(150, 30, 0)
    train, valid, test = examples_of([one[:-2] for one in persons]), *((lambda rows: ({"history": rows[0]}, rows[1]))(_lasts(persons, back)) for back in (2, 1))
    return persons, fit_ease({"history": train[0]}, train[1], *valid, classes=tuple(map(str, range(30)))), test


def _lasts(persons: list, back: int) -> tuple[np.ndarray, np.ndarray]:
    rows = [(one[:len(one) - back][::-1], one[len(one) - back]) for one in persons]
    history = np.zeros((len(rows), max(len(before) for before, _ in rows)), np.int64)
    for place, (before, _) in enumerate(rows): history[place, :len(before)] = np.array(before) + 1
    return history, np.array([after for _, after in rows])


def test_the_order_of_items_is_that_of_the_closed_form(fitted):
    persons, ease, (features, target) = fitted
    taken = np.zeros((150, 30))
    for row, one in enumerate(persons): taken[row, one[:-2]] = 1
    inverse = np.linalg.inv(taken.T @ taken + ease.hyper_parameters["strength"] * np.eye(30))
    weights = np.eye(30) - inverse / np.diag(inverse)      # as in the paper: B = I - P diag(1 / diag P)
    bag = np.zeros((150, 30))
    for row, one in enumerate(persons): bag[row, one[:-1]] = 1
    by_hand, scores = np.where(bag > 0, -np.inf, bag @ weights), ease.predict(features)
    assert (scores[bag > 0] == 0).all() and np.allclose(scores.sum(1), 1, atol=1e-5)
    for row in range(150):
        free = np.flatnonzero(bag[row] == 0)
        better = np.subtract.outer(by_hand[row, free], by_hand[row, free]) > 0.01      # pairs that popularity and rounding cannot turn
        assert (np.subtract.outer(scores[row, free], scores[row, free])[better] > 0).all()
    popular = np.where(bag > 0, -1.0, taken.sum(0))
    assert hit_rate_at_k(target, scores, k=5) > hit_rate_at_k(target, popular, k=5)


def test_the_strength_is_the_best_on_the_validation_rows(fitted):
    persons, ease, _ = fitted
    history, target = _lasts(persons, 2)
    best = max(row["kpi"] for row in ease.history)
    assert ease.history[ease.best_epoch - 1]["kpi"] == best and item_ndcg_at_k(target, ease.predict({"history": history}), k=10) == pytest.approx(best)


def test_the_graph_says_the_same_also_without_a_history(fitted):
    _, ease, (features, _) = fitted
    graph, cold = to_onnx(ease), {"history": np.zeros((2, 1), np.int64)}
    assert measure_parity(ease, graph, features).difference < 1e-5 and measure_parity(ease, graph, cold).difference < 1e-5
    popular = np.bincount(np.concatenate([one[:-2] for one in fitted[0]]), minlength=30)
    assert popular[ease.predict(cold)[0].argmax()] == popular.max()      # for somebody new: the most popular


def test_items_beyond_the_limit_keep_their_popularity_only():
    persons = persons_of(80, 20, 3)
    train, valid = examples_of([one[:-1] for one in persons]), _lasts(persons, 1)
    ease = fit_ease({"history": train[0]}, train[1], {"history": valid[0]}, valid[1], classes=tuple(map(str, range(20))), limit=6)
    assert "14 rarest items have no weights" in ease.reason and measure_parity(ease, to_onnx(ease), {"history": valid[0]}).passed


def test_unseen_items_single_interactions_and_repeats_are_no_failure():
    history = np.array([[0, 0], [0, 0], [0, 0], [1, 0], [1, 1]])      # three with a single interaction; one whose item comes twice
    ease = fit_ease({"history": history}, np.array([0, 1, 2, 1, 2]), {"history": np.array([[1, 2], [0, 0]])}, np.array([2, 5]), classes=tuple("abcdef"))
    assert np.isfinite(ease.predict({"history": np.array([[6, 4], [0, 0]])})).all()


def test_bad_input_is_named():
    rows = {"history": np.array([[1, 0], [2, 1]])}
    with pytest.raises(DataError, match="EASE ranks items"): fit_ease(rows, np.array([1, 2]), rows, np.array([1, 2]), kind="binary", classes=("no", "yes"))
    with pytest.raises(DataError, match="must hold codes"): fit_ease(rows, np.array([1, 7]), rows, np.array([1, 2]), classes=tuple("abc"))
    with pytest.raises(DataError, match="have no 'history'"): fit_ease({"x_num": np.ones((2, 1), np.float32)}, np.array([1, 2]), rows, np.array([1, 2]), classes=tuple("abc"))
    with pytest.raises(DataError, match="same rows"): fit_ease(rows, np.array([1, 2, 1]), rows, np.array([1, 2]), classes=tuple("abc"))
