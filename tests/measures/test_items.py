"Ranks of one right item among all: against pytrec_eval through ir_measures, scikit-learn, measure_queries, and every order of a tie."
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.measures.intervals import bootstrap, paired_difference
from dlmine.measures.items import hit_rate_at_k, item_ndcg_at_k, places_of, reciprocal_rank
from dlmine.measures.metrics import evaluate, metrics_for
from dlmine.measures.queries import measure_queries


def example(rows: int = 60, items: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target = generator.integers(0, items, rows)
    scores = generator.permuted(np.tile(np.linspace(0, 1, items), (rows, 1)), axis=1)      # no ties
    return target, scores


def test_as_the_evaluation_of_trec():
    import ir_measures
    from ir_measures import RR, Success, nDCG
    target, scores = example()
    qrels = [ir_measures.Qrel(str(row), str(item), 1) for row, item in enumerate(target)]
    run = [ir_measures.ScoredDoc(str(row), str(item), float(scores[row, item])) for row, item in np.ndindex(scores.shape)]
    theirs = ir_measures.calc_aggregate([Success @ 10, nDCG @ 10, RR], qrels, run)
    assert hit_rate_at_k(target, scores, k=10) == pytest.approx(theirs[Success @ 10])
    assert item_ndcg_at_k(target, scores, k=10) == pytest.approx(theirs[nDCG @ 10])
    assert reciprocal_rank(target, scores) == pytest.approx(theirs[RR])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=5), st.integers(1, 5), st.data())
def test_ties_take_the_mean_over_all_orders(levels, k, data):
    target, scores = data.draw(st.integers(0, len(levels) - 1)), np.array(levels, float)
    places = [sorted(order, key=lambda item: -scores[item]).index(target) for order in permutations(range(len(levels)))]
    ask = lambda function: function([target], scores[None], k=k)
    assert ask(hit_rate_at_k) == pytest.approx(np.mean([place < k for place in places]))
    assert ask(item_ndcg_at_k) == pytest.approx(np.mean([(place < k) / np.log2(place + 2) for place in places]))
    assert reciprocal_rank([target], scores[None]) == pytest.approx(np.mean([1 / (place + 1) for place in places]))


def test_as_lists_of_queries_say_also_with_ties():
    target, scores = example(seed=1)
    scores = scores.round(1)
    rows, items = np.indices(scores.shape)
    theirs = measure_queries((items == target[:, None]).ravel().astype(int), scores.ravel(), rows.ravel(), k=10).means
    assert hit_rate_at_k(target, scores, k=10) == pytest.approx(theirs["hit_rate"])
    assert item_ndcg_at_k(target, scores, k=10) == pytest.approx(theirs["ndcg_at_k"])
    assert reciprocal_rank(target, scores) == pytest.approx(theirs["reciprocal_rank"])


def test_intervals_resample_the_rows_and_pairs_share_their_draws():
    target, scores = example(400)
    better = scores.copy()
    better[np.arange(400), target] += 0.2
    own = bootstrap("ranking", target, scores, k=10, resamples=500)
    assert set(own) == {metric.name for metric in metrics_for("ranking")} == {"hit_rate_at_k", "item_ndcg_at_k", "reciprocal_rank"}
    spread = np.sqrt(own["hit_rate_at_k"].value * (1 - own["hit_rate_at_k"].value) / 400)
    assert own["hit_rate_at_k"].upper - own["hit_rate_at_k"].lower == pytest.approx(2 * 1.96 * spread, rel=0.15)
    found = paired_difference("hit_rate_at_k", target, scores, better, k=10)["hit_rate_at_k"]
    assert found.verdict == "second better" and found.value == pytest.approx(hit_rate_at_k(target, better, k=10) - hit_rate_at_k(target, scores, k=10))


def test_weights_count_rows_as_often():
    target, scores = example(20)
    weights = np.arange(20)
    repeated = np.repeat(np.arange(20), weights)
    for name, value in evaluate("ranking", target, scores, weights, k=5).items(): assert value == pytest.approx(evaluate("ranking", target[repeated], scores[repeated], k=5)[name])


def test_a_model_that_scores_all_alike_is_as_good_as_chance():
    target, scores = example()
    assert hit_rate_at_k(target, np.zeros_like(scores), k=10) == pytest.approx(10 / 40)
    assert hit_rate_at_k(target, np.zeros_like(scores), k=0.25) == pytest.approx(10 / 40)     # a share of the items


@pytest.mark.parametrize("target, scores, words", [([0], [[np.nan, 1.0]], "missing or infinite"), ([2], [[0.1, 0.2]], "number the 2 classes"), ([0], [0.5], "one score a class"), ([0, 1], [[0.1, 0.2]], "2 rows")])
def test_what_is_no_ranking_is_named(target, scores, words):
    with pytest.raises(DataError, match=words): places_of(target, scores)


def test_a_list_without_length_is_named():
    with pytest.raises(DataError, match="length of the list"): hit_rate_at_k([0], [[0.1, 0.2]], k=0)
