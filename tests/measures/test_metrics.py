"Every measure against scikit-learn, scipy or torchmetrics, on drawn data with ties and weights."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import spearmanr
from sklearn import metrics as peer

from dlmine.core.errors import DataError
from dlmine.measures import metrics as ours

EXACT = dict(rel=1e-9, abs=1e-9)


@st.composite
def binary(draw, least=2, both=True):
    "Target, scores with many ties, whole-number weights."
    n = draw(st.integers(max(least, 2), 60))
    target = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    if both: target[:2] = [0, 1]
    levels = draw(st.sampled_from([2, 5, 1000]))
    scores = np.array(draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))) / (levels + 1)
    weights = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    if both: weights[:2] = [1, 2]
    return target, scores, weights


@settings(max_examples=200, deadline=None)
@given(binary(), st.booleans())
def test_ranking_measures_equal_sklearn(data, fractional):
    target, scores, weights = data
    if fractional: weights = weights * 0.37
    for w in (None, weights):
        assert ours.roc_auc(target, scores, w) == pytest.approx(peer.roc_auc_score(target, scores, sample_weight=w), **EXACT)
        assert ours.average_precision(target, scores, w) == pytest.approx(peer.average_precision_score(target, scores, sample_weight=w), **EXACT)
        assert ours.brier(target, scores, w) == pytest.approx(peer.brier_score_loss(target, scores, sample_weight=w), **EXACT)
        assert ours.log_loss(target, scores, w) == pytest.approx(peer.log_loss(target, scores, sample_weight=w), **EXACT)
        short = scores.astype(np.float32)      # scikit-learn computes in 32 bits then; the clipping must be the same
        assert ours.log_loss(target, short, w) == pytest.approx(peer.log_loss(target, short, sample_weight=w), rel=1e-5, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(binary(), st.integers(1, 70))
def test_ndcg_equals_sklearn_with_ties(data, k):
    target, scores, _ = data
    assert ours.ndcg_at_k(target, scores, k=k) == pytest.approx(peer.ndcg_score([target], [scores], k=k), **EXACT)
    gains = target * 3 + (scores > 0.5)
    assert ours.ndcg_at_k(gains, scores, k=k) == pytest.approx(peer.ndcg_score([gains], [scores], k=k), **EXACT)


@settings(max_examples=100, deadline=None)
@given(binary(), st.integers(1, 60))
def test_top_of_the_list_is_the_mean_over_tie_orders(data, k):
    target, scores, _ = data
    k = min(k, len(target))
    random = np.random.default_rng(0)
    draws = []
    for _ in range(300):
        mixed = random.permutation(len(target))
        order = mixed[np.argsort(-scores[mixed], kind='stable')]
        draws.append(target[order[:k]].mean())
    spread = np.std(draws) / np.sqrt(300)
    assert abs(ours.precision_at_k(target, scores, k=k) - np.mean(draws)) <= 6 * spread + 1e-9
    assert ours.recall_at_k(target, scores, k=k) == pytest.approx(ours.precision_at_k(target, scores, k=k) * k / target.sum(), **EXACT)


@settings(max_examples=150, deadline=None)
@given(binary(), st.one_of(st.integers(1, 80), st.floats(0.05, 1)))
def test_whole_weights_are_repeated_rows(data, k):
    target, scores, weights = data
    repeated = np.repeat(np.arange(len(target)), weights)
    costs = dict(true_positive=3, false_positive=-2, false_negative=-7, true_negative=1)
    once = ours.evaluate('binary', target, scores, weights, k=k, cost_matrix=costs)
    again = ours.evaluate('binary', target[repeated], scores[repeated], k=k, cost_matrix=costs)
    assert once == pytest.approx(again, nan_ok=True, **EXACT)
    for kind in ('width', 'mass'):
        assert ours.expected_calibration_error(target, scores, weights, kind=kind) == pytest.approx(
            ours.expected_calibration_error(target[repeated], scores[repeated], kind=kind), **EXACT)


@settings(max_examples=60, deadline=None)
@given(binary(), st.sampled_from([5, 10, 15]))
def test_calibration_error_equals_torchmetrics(data, bins):
    import torch
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error
    target, scores, _ = data
    theirs = binary_calibration_error(torch.tensor(scores), torch.tensor(target), n_bins=bins, norm='l1')
    assert ours.expected_calibration_error(target, scores, bins=bins) == pytest.approx(float(theirs), **EXACT)
    table = np.column_stack([scores, 1 - scores]) * 0.8 + 0.1
    theirs = multiclass_calibration_error(torch.tensor(table), torch.tensor(target), 2, n_bins=bins, norm='l1')
    assert ours.expected_calibration_error(target, table, bins=bins) == pytest.approx(float(theirs), abs=1e-6)   # it computes in 32 bits


def test_mass_bins_hold_equal_rows():
    scores = np.linspace(0.4, 0.42, 1000)         # all in one bin of equal width
    target = (scores > 0.41).astype(int)
    assert ours.expected_calibration_error(target, scores, bins=10) == pytest.approx(abs(target.mean() - scores.mean()), abs=1e-9)
    mass = ours.expected_calibration_error(target, scores, bins=10, kind='mass')
    naive = sum(abs(target[i:i + 100].mean() - scores[i:i + 100].mean()) for i in range(0, 1000, 100)) / 10
    assert mass == pytest.approx(naive, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 5), st.integers(10, 60), st.integers(0, 10_000))
def test_classes_equal_sklearn(classes, n, seed):
    random = np.random.default_rng(seed)
    target = np.concatenate([np.arange(classes), random.integers(0, classes, n)])
    scores = random.dirichlet(np.ones(classes), len(target))
    if seed % 2: scores = np.full_like(scores, 1 / classes) * (1 - .5 ** 4) + .5 ** 4 * (random.permuted(np.eye(classes), axis=1)[random.integers(0, classes, len(target))])
    weights = np.concatenate([np.ones(classes, int), random.integers(0, 4, n)])
    for w in (None, weights):
        assert ours.accuracy(target, scores, w) == pytest.approx(peer.accuracy_score(target, scores.argmax(1), sample_weight=w), **EXACT)
        assert ours.macro_f1(target, scores, w) == pytest.approx(peer.f1_score(target, scores.argmax(1), average='macro', sample_weight=w), **EXACT)
        assert ours.log_loss(target, scores, w) == pytest.approx(peer.log_loss(target, scores, sample_weight=w), **EXACT)
        if classes > 2:
            assert ours.macro_auc(target, scores, w) == pytest.approx(peer.roc_auc_score(target, scores, multi_class='ovr', sample_weight=w), **EXACT)
            assert ours.top_k_accuracy(target, scores, w, top=2) == pytest.approx(peer.top_k_accuracy_score(target, scores, k=2, sample_weight=w), **EXACT)


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 60), st.integers(0, 10_000), st.sampled_from([0.0, 1e6]))
def test_numbers_equal_sklearn(n, seed, offset):
    random = np.random.default_rng(seed)
    target = np.round(random.normal(size=n), 1)
    target[:2] = [0, 1]
    scores = np.round(target + random.normal(size=n), 1) + offset
    target, weights = target + offset, 1 + random.integers(0, 4, n)
    for w in (None, weights):
        assert ours.rmse(target, scores, w) == pytest.approx(peer.root_mean_squared_error(target, scores, sample_weight=w), **EXACT)
        assert ours.mae(target, scores, w) == pytest.approx(peer.mean_absolute_error(target, scores, sample_weight=w), **EXACT)
        assert ours.r2(target, scores, w) == pytest.approx(peer.r2_score(target, scores, sample_weight=w), rel=1e-9, abs=1e-8)
        assert ours.mean_pinball(target, scores, w, quantile=.8) == pytest.approx(peer.mean_pinball_loss(target, scores, alpha=.8, sample_weight=w), **EXACT)
    assert ours.spearman(target, scores) == pytest.approx(spearmanr(target, scores).statistic, **EXACT)
    repeated = np.repeat(np.arange(n), weights)
    assert ours.spearman(target, scores, weights) == pytest.approx(spearmanr(target[repeated], scores[repeated]).statistic, **EXACT)


@settings(max_examples=100, deadline=None)
@given(binary(), st.tuples(*[st.integers(-5, 5)] * 4))
def test_best_threshold_earns_most(data, amounts):
    target, scores, weights = data
    costs = dict(zip(('true_positive', 'false_positive', 'false_negative', 'true_negative'), amounts))
    if not any(amounts):
        with pytest.raises(DataError): ours.best_threshold(target, scores, costs)
        return
    cut, earned = ours.best_threshold(target, scores, costs, weights)
    assert ours.money(target, scores, weights, cost_matrix=costs, threshold=cut) == pytest.approx(earned, **EXACT)
    for other in [*np.unique(scores), 2.0]:
        assert ours.money(target, scores, weights, cost_matrix=costs, threshold=other) <= earned + 1e-9


def test_expected_threshold_is_where_both_acts_earn_the_same():
    costs = dict(true_positive=20, false_positive=-5, false_negative=-3, true_negative=1)
    p = ours.expected_threshold(costs)
    assert p * 20 - (1 - p) * 5 == pytest.approx(p * -3 + (1 - p) * 1)


def test_one_class_is_undefined_not_bad():
    for target in ([0, 0, 0], [1, 1, 1]):
        assert np.isnan(ours.roc_auc(target, [.1, .2, .3]))
    nothing = ours.evaluate('binary', [0, 0, 0], [.1, .2, .3], k=2)
    assert all(np.isnan(nothing[name]) for name in ('roc_auc', 'average_precision', 'recall_at_k', 'lift_at_k', 'ndcg_at_k'))
    assert nothing['precision_at_k'] == 0 and nothing['brier'] == pytest.approx(np.mean(np.square([.1, .2, .3])))
    assert np.isnan(ours.r2([2, 2], [1, 3])) and np.isnan(ours.spearman([1, 1], [1, 2]))


@pytest.mark.parametrize('call, words', [
    (lambda: ours.roc_auc([0, 1], [.1]), '2 rows, scores have 1'),
    (lambda: ours.roc_auc([], []), 'no rows'),
    (lambda: ours.roc_auc([0, 1], [.1, np.inf]), 'missing or infinite'),
    (lambda: ours.roc_auc([0, 2], [.1, .2]), 'Encode the positive class'),
    (lambda: ours.roc_auc(['a', 'b'], [.1, .2]), 'Encode the positive class'),
    (lambda: ours.roc_auc([0, 1], ['x', 'y']), 'must be numbers'),
    (lambda: ours.log_loss([0, 1], [1.2, .5]), 'probabilities are needed'),
    (lambda: ours.precision_at_k([0, 1], [.1, .2], k=0), 'k is 0'),
    (lambda: ours.accuracy([0, 3], [[.5, .5], [.1, .9]]), 'number the 2 classes'),
    (lambda: ours.rmse([1, np.nan], [1, 2]), 'without gaps'),
    (lambda: ours.money([0, 1], [.1, .2], cost_matrix={}), 'names no amount'),
    (lambda: ours.evaluate('clustering', [0, 1], [.1, .2]), "no kind 'clustering'"),
    (lambda: ours.find_metric('rock_auc'), "Did you mean 'roc_auc'"),
])
def test_wrong_input_is_named(call, words):
    with pytest.raises(DataError, match=words): call()
