"Clustered resampling equals copying the rows; intervals behave."
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn import metrics as peer

from dlmine.core.errors import DataError
from dlmine.measures import metrics as ours
from dlmine.measures.intervals import bootstrap, cluster_codes, draw_counts, interval_of, paired_difference, prepare, replicates, resampled_values

COSTS = dict(true_positive=20, false_positive=-5, false_negative=-1)


def binary(n, clusters, seed, levels=50):
    random = np.random.default_rng(seed)
    cluster = random.integers(0, clusters, n)
    shift = random.normal(size=clusters)[cluster]
    scores = np.round(1 / (1 + np.exp(-random.normal(size=n) - shift)) * levels) / (levels + 1)
    return (random.random(n) < scores).astype(int), scores, cluster


@settings(max_examples=25, deadline=None)
@given(st.integers(30, 300), st.integers(2, 30), st.integers(0, 1000), st.sampled_from([3, 50, 10 ** 6]))
def test_resampling_equals_copied_rows(n, clusters, seed, levels):
    target, scores, cluster = binary(n, clusters, seed, levels)
    codes, clusters = cluster_codes(cluster, n)
    counts = draw_counts(clusters, 8, seed)
    fast = resampled_values(prepare('binary', target, scores, k=20, cost_matrix=COSTS), codes, counts)
    for i, draw in enumerate(counts):
        rows = np.repeat(np.arange(n), draw[codes])
        t, s = target[rows], scores[rows]
        if len(t) == 0: continue
        slow = ours.evaluate('binary', t, s, k=20, cost_matrix=COSTS)
        for name in fast: assert fast[name][i] == pytest.approx(slow[name], rel=1e-9, abs=1e-9, nan_ok=True), name
        if 0 < t.sum() < len(t):
            assert fast['roc_auc'][i] == pytest.approx(peer.roc_auc_score(t, s), abs=1e-9)
            assert fast['average_precision'][i] == pytest.approx(peer.average_precision_score(t, s), abs=1e-9)
            assert fast['log_loss'][i] == pytest.approx(peer.log_loss(t, s), rel=1e-9)
            assert fast['ndcg_at_k'][i] == pytest.approx(peer.ndcg_score([t], [s], k=20), abs=1e-9)


@pytest.mark.parametrize('kind', ['multiclass', 'regression'])
def test_other_kinds_equal_copied_rows(kind):
    random = np.random.default_rng(0)
    n, cluster = 400, np.arange(400) % 23
    if kind == 'multiclass': target, scores = random.integers(0, 4, n), random.dirichlet(np.ones(4), n)
    else: target = random.normal(size=n); scores = target + random.normal(size=n)
    counts = draw_counts(23, 10, 1)
    fast = resampled_values(prepare(kind, target, scores), cluster, counts)
    assert set(fast) == {m.name for m in ours.metrics_for(kind)}
    for i, draw in enumerate(counts):
        rows = np.repeat(np.arange(n), draw[cluster])
        slow = ours.evaluate(kind, target[rows], scores[rows])
        for name in fast: assert fast[name][i] == pytest.approx(slow[name], rel=1e-9, abs=1e-9), name


def test_own_functions_with_and_without_weights():
    target, scores, cluster = binary(300, 20, 3)
    weighted = lambda target, scores, weights=None: np.average((scores - target) ** 2, weights=weights)
    plain = lambda target, scores: np.mean((scores - target) ** 2)
    found = bootstrap({'weighted': weighted, 'plain': plain, 'brier': 'brier'}, target, scores, cluster=cluster, resamples=100)
    for name in ('weighted', 'plain'):
        assert (found[name].lower, found[name].value, found[name].upper) == pytest.approx((found['brier'].lower, found['brier'].value, found['brier'].upper), abs=1e-12)


def test_a_thousand_resamples_are_fast():
    "Measured against copying rows and calling scikit-learn, so that a busy machine slows both."
    target, scores, cluster = binary(84_000, 92, 0, 10 ** 6)
    start = time.process_time()
    found = bootstrap('binary', target, scores, cluster=cluster, k=1000, cost_matrix=COSTS)
    spent = time.process_time() - start
    assert len(found) == 10 and all(i.lower < i.value < i.upper for i in found.values() if i.value)
    start = time.process_time()
    for draw in draw_counts(92, 5):
        rows = np.repeat(np.arange(len(target)), draw[cluster])
        for measure in (peer.roc_auc_score, peer.average_precision_score, peer.log_loss, peer.brier_score_loss): measure(target[rows], scores[rows])
    copying = (time.process_time() - start) * 200
    assert spent * 20 < copying, f'{spent:.1f} CPU-seconds against {copying:.1f}'


def test_days_are_wider_than_rows():
    target, scores, cluster = binary(5000, 40, 1)
    wide, narrow = (bootstrap('brier', target, scores, cluster=c, resamples=400)['brier'] for c in (cluster, None))
    assert (wide.upper - wide.lower) > 1.5 * (narrow.upper - narrow.lower)
    assert wide.clusters == 40 and narrow.clusters == 5000


def test_coverage_with_few_clusters():
    "A mean over 6 clusters: the expanded interval covers the truth about as often as it says; plain percentiles do not."
    random, hits, tries = np.random.default_rng(0), 0, 300
    mean = lambda target, scores, weights=None: np.average(target, weights=weights)
    for trial in range(tries):
        values = np.repeat(random.normal(size=6), 5) + random.normal(size=30) * .1
        found = bootstrap({'mean': mean}, values, values, cluster=np.repeat(np.arange(6), 5), resamples=200, seed=trial)['mean']
        hits += found.lower <= 0 <= found.upper
    assert 0.89 <= hits / tries <= 1


def test_notes_and_awkward_clusters():
    target, scores, _ = binary(200, 5, 2)
    assert 'only 4 clusters' in bootstrap('roc_auc', target, scores, cluster=np.arange(200) % 4, resamples=50)['roc_auc'].note
    alone = bootstrap('roc_auc', target, scores, cluster=['a'] * 200, resamples=50)['roc_auc']
    assert np.isnan(alone.lower) and 'one cluster' in alone.note and alone.as_dict()['lower'] is None
    rare = bootstrap('roc_auc', [0, 0, 0, 1], [.1, .2, .3, .4], resamples=200)['roc_auc']
    assert 'undefined on' in rare.note and rare.resamples < 200
    with pytest.raises(DataError): bootstrap('roc_auc', target, scores, cluster=[1, 2, 3])
    with pytest.raises(DataError): bootstrap('rock', target, scores)
    dates = np.arange(200).astype('datetime64[D]')
    assert bootstrap('roc_auc', target, scores, cluster=dates, resamples=50)['roc_auc'].clusters == 200
    mixed = np.array([None, 'a'] * 100, dtype=object)
    assert bootstrap('roc_auc', target, scores, cluster=mixed, resamples=50)['roc_auc'].clusters == 2


def test_same_seed_same_interval():
    target, scores, cluster = binary(500, 30, 4)
    one, two, other = (bootstrap('roc_auc', target, scores, cluster=cluster, resamples=100, seed=s)['roc_auc'] for s in (0, 0, 1))
    assert one == two and one != other


def test_paired_difference():
    target, scores, cluster = binary(3000, 60, 5)
    random = np.random.default_rng(0)
    worse = np.clip(scores + random.normal(size=3000) * .3, 0, 1)
    found = paired_difference(['roc_auc', 'brier'], target, worse, scores, cluster=cluster, resamples=300)
    for name in found: assert found[name].verdict == 'second better' and found[name].share_better > .99
    swapped = paired_difference('roc_auc', target, scores, worse, cluster=cluster, resamples=300)['roc_auc']
    assert swapped.verdict == 'first better' and swapped.value == pytest.approx(-found['roc_auc'].value)
    codes, clusters = cluster_codes(cluster, 3000)
    for draw in draw_counts(clusters, 5, 0):      # the pair sees the same resamples
        rows = np.repeat(np.arange(3000), draw[codes])
        gap = peer.roc_auc_score(target[rows], scores[rows]) - peer.roc_auc_score(target[rows], worse[rows])
        first, second = (replicates('roc_auc', target, s, cluster=cluster, resamples=5)[1]['roc_auc'] for s in (worse, scores))
        assert np.isclose(second - first, gap, atol=1e-9).any()
    none = paired_difference('roc_auc', target, scores, scores * 0.5, cluster=cluster, resamples=100)['roc_auc']
    assert none.verdict == 'no difference'


def test_seeds_are_pooled():
    target, scores, cluster = binary(2000, 50, 6)
    random = np.random.default_rng(1)
    seeds = [np.clip(scores + random.normal(size=2000) * noise, 0, 1) for noise in (.05, .4, .05)]
    pooled = bootstrap('roc_auc', target, seeds, cluster=cluster, resamples=300)['roc_auc']
    single = [bootstrap('roc_auc', target, s, cluster=cluster, resamples=300)['roc_auc'] for s in seeds]
    assert pooled.value == pytest.approx(np.mean([s.value for s in single]))
    assert pooled.upper - pooled.lower > single[0].upper - single[0].lower
