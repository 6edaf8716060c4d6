"Ranking measures of many lists: equal to scikit-learn, torchmetrics, trec_eval and to every order of a tie written out."
import warnings
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from dlmine.core.errors import DataError
from dlmine.measures.queries import measure_queries, number_queries

CLOSE = dict(rel=0, abs=1e-9)


@st.composite
def lists(draw, ties=True, grades=3):
    "Rows of some queries in mixed order: relevance, scores, query."
    rows = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    query = random.integers(0, draw(st.integers(1, 8)), rows)
    relevance = random.integers(0, draw(st.integers(1, grades)) + 1, rows)
    if draw(st.booleans()): relevance[query == query[0]] = draw(st.sampled_from([0, 1]))     # nothing or everything relevant
    scores = random.integers(0, 4, rows) / 4 if ties else random.permutation(rows) / 7
    return relevance, scores, query, draw(st.integers(1, 12))


@settings(max_examples=120, deadline=None)
@given(lists())
def test_equal_to_scikit_learn_with_ties(case):
    relevance, scores, query, k = case
    found = measure_queries(relevance, scores, query, k=k)
    for place, name in enumerate(found.queries):
        mine, own = relevance[query == name], scores[query == name]
        assert found.rows[place] == len(mine) and found.relevant[place] == (mine > 0).sum()
        if (mine > 0).any():
            assert found.values['average_precision'][place] == pytest.approx(average_precision_score(mine > 0, own), **CLOSE)
            if len(mine) > 1: assert found.values['ndcg_at_k'][place] == pytest.approx(ndcg_score([mine], [own], k=k), **CLOSE)
        else: assert all(np.isnan(found.values[name][place]) for name in ('average_precision', 'ndcg_at_k', 'recall_at_k', 'reciprocal_rank'))


@settings(max_examples=60, deadline=None)
@given(lists(ties=False, grades=4), st.sampled_from([None, 2]))
def test_equal_to_trec_eval(case, relevant_from):
    import ir_measures
    import pytrec_eval
    relevance, scores, query, k = case
    found = measure_queries(relevance, scores, query, k=k, relevant_from=relevant_from)
    judged, run = {}, {}
    for row, (name, grade, score) in enumerate(zip(query, relevance, scores)):
        judged.setdefault(str(name), {})[f'd{row}'] = int(grade)
        run.setdefault(str(name), {})[f'd{row}'] = float(score)
    level = relevant_from or 1
    theirs = pytrec_eval.RelevanceEvaluator(judged, {'map', f'P.{k}', f'recall.{k}', 'recip_rank', f'success.{k}', f'ndcg_cut.{k}'}, relevance_level=level).evaluate(run)
    pairs = {'average_precision': 'map', 'precision_at_k': f'P_{k}', 'recall_at_k': f'recall_{k}', 'reciprocal_rank': 'recip_rank', 'hit_rate': f'success_{k}', 'ndcg_at_k': f'ndcg_cut_{k}'}
    for place, name in enumerate(found.queries):
        for mine, own in pairs.items(): assert found.filled(mine)[place] == pytest.approx(theirs[str(name)][own], **CLOSE), (mine, place)
    measures = [ir_measures.AP(rel=level), ir_measures.P(rel=level) @ k, ir_measures.R(rel=level) @ k, ir_measures.RR(rel=level), ir_measures.Success(rel=level) @ k, ir_measures.nDCG @ k]
    means = ir_measures.calc_aggregate(measures, judged, run)
    for mine, own in zip(pairs, measures): assert found.mean(mine) == pytest.approx(means[own], **CLOSE)


@settings(max_examples=40, deadline=None)
@given(lists(ties=False, grades=1), st.sampled_from(['neg', 'pos', 'skip']))
def test_equal_to_torchmetrics(case, action):
    import torch
    from torchmetrics import retrieval
    relevance, scores, query, k = case
    found = measure_queries(relevance, scores, query, k=k, empty={'neg': 'zero', 'pos': 'one', 'skip': 'skip'}[action])
    data = torch.tensor(scores + 0.01), torch.tensor(relevance), torch.tensor(query)     # torchmetrics drops a relevant row whose score is exactly 0
    makers = {'precision_at_k': lambda: retrieval.RetrievalPrecision(action, top_k=k), 'recall_at_k': lambda: retrieval.RetrievalRecall(action, top_k=k), 'hit_rate': lambda: retrieval.RetrievalHitRate(action, top_k=k),
              'ndcg_at_k': lambda: retrieval.RetrievalNormalizedDCG(action, top_k=k), 'average_precision': lambda: retrieval.RetrievalMAP(action), 'reciprocal_rank': lambda: retrieval.RetrievalMRR(action)}
    for name, make in makers.items():
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            theirs = make()(data[0], data[1], indexes=data[2]).item()
        mine = found.mean(name)
        if action == 'skip' and not (found.relevant > 0).any(): assert np.isnan(mine)
        else: assert mine == pytest.approx(theirs, rel=0, abs=1e-6), name       # torchmetrics computes with 32 bits


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 7))
def test_ties_are_the_mean_over_every_order(seed, rows, k):
    random = np.random.default_rng(seed)
    relevance, scores = random.integers(0, 3, rows), random.integers(0, 2, rows)
    if not relevance.any(): relevance[0] = 1
    found = measure_queries(relevance, scores, np.zeros(rows, int), k=k)
    drawn = []
    for order in permutations(range(rows)):
        ranked = np.array(sorted(order, key=lambda row: -scores[row]))     # stable: the permutation decides among equals
        hits = relevance[ranked] > 0
        gains = relevance[ranked][:k] / np.log2(np.arange(2, min(rows, k) + 2))
        best = np.sort(relevance)[::-1][:k] / np.log2(np.arange(2, min(rows, k) + 2))
        drawn.append((hits[:k].sum() / k, hits[:k].sum() / hits.sum(), gains.sum() / best.sum(), hits[:k].any(), 1 / (1 + np.argmax(hits))))
    for name, value in zip(('precision_at_k', 'recall_at_k', 'ndcg_at_k', 'hit_rate', 'reciprocal_rank'), np.mean(drawn, 0)):
        assert found.values[name][0] == pytest.approx(value, **CLOSE), name


def test_row_order_names_and_scale_do_not_matter():
    random = np.random.default_rng(1)
    query, relevance, scores = random.integers(-3, 40, 3000), random.integers(0, 2, 3000), random.integers(0, 50, 3000).astype(float)
    one = measure_queries(relevance, scores, query, k=7)
    shuffled = random.permutation(3000)
    for other in (measure_queries(relevance[shuffled], scores[shuffled], query[shuffled], k=7), measure_queries(relevance, np.float32(scores * 3 - 9), [f'{name + 100:04d}' for name in query], k=7),
                  measure_queries(relevance == 1, scores.astype(int), query.astype(float) * 1e6, k=7), measure_queries(relevance, scores, np.datetime64('2020-01-01') + query, k=7)):
        for name in one.values: np.testing.assert_allclose(one.values[name], other.values[name], rtol=0, atol=1e-12)


def test_many_grades_and_exponential_gain():
    random = np.random.default_rng(2)
    query, gains, scores = random.integers(0, 30, 900), random.random(900) * 5, random.random(900)
    found = measure_queries(gains, scores, query, k=5)
    stars = measure_queries(np.round(gains), scores, query, k=5, gain='exponential')
    for place, name in enumerate(found.queries):
        rows = query == name
        assert found.values['ndcg_at_k'][place] == pytest.approx(ndcg_score([gains[rows]], [scores[rows]], k=5), **CLOSE)
        assert stars.values['ndcg_at_k'][place] == pytest.approx(ndcg_score([2 ** np.round(gains[rows]) - 1], [scores[rows]], k=5), **CLOSE)


def test_one_giant_tie_keeps_its_digits():
    rows, hits = 200_000, 3
    found = measure_queries(np.arange(rows) < hits, np.zeros(rows), np.zeros(rows, int), k=1000)
    places = np.arange(1, rows - hits + 2)
    survive = np.cumprod(np.r_[1.0, (rows - hits - np.arange(rows - hits)) / (rows - np.arange(rows - hits))])
    assert found.values['reciprocal_rank'][0] == pytest.approx(np.sum(survive * hits / (rows - places + 1) / places), **CLOSE)
    assert found.values['hit_rate'][0] == pytest.approx(1 - np.prod((rows - hits - np.arange(1000)) / (rows - np.arange(1000))), **CLOSE)


def test_conventions_for_empty_queries_and_short_lists():
    asked = dict(k=4, queries=['a', 'b', 'c'])
    data = [1, 1, 0], [.3, .2, .9], ['a', 'a', 'b']
    zero = measure_queries(*data, **asked)
    assert zero.rows.tolist() == [2, 1, 0] and zero.values['precision_at_k'].tolist() == [.5, 0, 0]
    assert zero.mean('reciprocal_rank') == pytest.approx(1 / 3) and measure_queries(*data, empty='one', **asked).mean('hit_rate') == 1
    assert measure_queries(*data, empty='skip', **asked).mean('recall_at_k') == 1
    assert 'Without a relevant row: 2; they count 0' in zero.sentence() and zero.figures['without_relevant'] == 2
    nothing = measure_queries([0, 0], [.1, .2], [1, 2], empty='skip')
    assert np.isnan(nothing.mean('ndcg_at_k')) and nothing.figures['ndcg_at_k'] is None
    with pytest.raises(DataError, match='nothing to draw'): nothing.plot()


def test_intervals_resample_what_the_queries_belong_to():
    random = np.random.default_rng(3)
    query = np.repeat(np.arange(200), 20)
    skill = np.repeat(random.normal(0, 2, 10), 20)      # ten cities with twenty users each
    relevance = random.random(len(query)) < 1 / (1 + np.exp(-skill[query]))
    found = measure_queries(relevance, random.random(len(query)), query, k=5)
    single, clustered = found.intervals(resamples=300)['precision_at_k'], found.intervals(np.arange(200) // 20, resamples=300)['precision_at_k']
    assert single.value == clustered.value and clustered.clusters == 10 and clustered.upper - clustered.lower > 2 * (single.upper - single.lower)


def test_refusals_count_and_say():
    for message, arguments in (('1 scores are missing', ([0, 1], [.1, np.nan], [1, 1])), ('2 relevances are missing', ([np.nan, np.inf], [.1, .2], [1, 1])), ('1 relevances are negative', ([0, -1], [1, 2], [1, 1])),
                               ('1 of 2 rows name no query', ([0, 1], [1, 2], [1, np.nan])), ('no rows', ([], [], [])), ('3 query names for 2 rows', ([0, 1], [1, 2], [1, 1, 1]))):
        with pytest.raises(DataError, match=message): measure_queries(*arguments)
    for bad in (0, 2.5, True, '3'):
        with pytest.raises(DataError, match='k is'): measure_queries([0, 1], [1, 2], [1, 1], k=bad)
    with pytest.raises(DataError, match='empty is'): measure_queries([0], [1], [1], empty='none')
    assert number_queries(np.array([5, 3], np.uint8))[0].tolist() == [1, 0]
