"Comparisons: honest verdicts, paired intervals, clear errors."
import numpy as np
import pytest

from dlmine.core.errors import DataError
from dlmine.measures.compare import Part, Split, compare, from_estimator
from dlmine.measures.metrics import roc_auc


def part(n, seed):
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, 3))
    return Part(features, (random.random(n) < 1 / (1 + np.exp(-2 * features[:, 0]))).astype(int), np.arange(n) % 40)


SPLIT = Split(part(600, 0), part(200, 1), part(2000, 2))
good = lambda split, seed, budget: 1 / (1 + np.exp(-split.test.features[:, 0]))
noisy = lambda split, seed, budget: good(split, seed, budget) + np.random.default_rng(seed).normal(size=len(split.test)) * .5


def test_better_worse_and_no_difference():
    found = compare({'noisy': noisy, 'good': good}, SPLIT, metric='auc', resamples=300)
    assert found.metric == 'roc_auc' and found.winner == 'good' and 'good is better than noisy' in found.verdict
    assert found.results[1].interval.value == pytest.approx(roc_auc(SPLIT.test.target, good(SPLIT, 0, None)))
    assert found.results[0].interval.value == pytest.approx(np.mean([roc_auc(SPLIT.test.target, noisy(SPLIT, s, None)) for s in (0, 1, 2)]))
    assert 0 < found.results[1].overturn < found.results[1].difference.value
    turned = compare({'good': good, 'noisy': noisy}, SPLIT, metric='auc', resamples=300)
    assert turned.winner == 'good' and 'every other variant is worse' in turned.verdict
    same = compare({'a': good, 'b': lambda *x: good(*x) * .9}, SPLIT, metric='auc', resamples=100)
    assert same.winner is None and same.verdict.startswith('No difference') and 'keep a' in same.verdict
    lower = compare({'noisy': lambda *x: np.clip(noisy(*x), 0, 1), 'good': good}, SPLIT, metric='brier', resamples=200)
    assert lower.winner == 'good' and lower.results[1].difference.value < 0


def test_luck_of_the_seed_is_no_difference():
    "Equal sources, different seeds: few of many comparisons may call a winner."
    winners = 0
    for trial in range(20):
        a = lambda split, seed, budget, t=trial: noisy(split, 100 * t + seed, budget)
        b = lambda split, seed, budget, t=trial: noisy(split, 100 * t + seed + 50, budget)
        winners += compare({'a': a, 'b': b}, SPLIT, metric='auc', resamples=100).winner is not None
    assert winners <= 4


def test_many_challengers_widen_the_interval():
    alone = compare({'noisy': noisy, 'good': good}, SPLIT, metric='auc', resamples=500).results[1].difference
    crowd = compare({'noisy': noisy, 'good': good} | {f'v{i}': noisy for i in range(6)}, SPLIT, metric='auc', resamples=500).results[1].difference
    assert crowd.upper - crowd.lower > alone.upper - alone.lower and crowd.level > alone.level


def test_estimators_sizes_and_budget():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, Ridge
    forest = from_estimator(RandomForestClassifier(), 'n_estimators')
    found = compare({'linear': from_estimator(LogisticRegression()), 'forest': forest}, SPLIT, metric='log_loss', budget=5, sizes=(100, 600), seeds=(0, 1), resamples=100)
    assert [(r.variant, r.size) for r in found.results] == [('linear', 100), ('forest', 100), ('linear', 600), ('forest', 600)]
    assert np.array_equal(forest(SPLIT, 3, 5), forest(SPLIT, 3, 5)) and not np.array_equal(forest(SPLIT, 3, 5), forest(SPLIT, 4, 5))
    assert len(found.table()) == 4 and str(found.plot()).startswith('<svg') and found.evidence().figures['budget'] == 5
    numbers = Split(*(Part(p.features, p.features[:, 0] * 2, None) for p in (SPLIT.train, SPLIT.valid, SPLIT.test)))
    assert compare({'ridge': from_estimator(Ridge())}, numbers, metric='rmse', resamples=50).results[0].interval.value < .1
    money = compare({'a': good}, SPLIT, metric='money', cost_matrix=dict(true_positive=1, false_positive=-1), resamples=50)
    assert money.results[0].per_seed[0] == pytest.approx(money.results[0].interval.value)


def test_features_of_any_kind_are_subsampled():
    import pandas as pd
    import pyarrow as pa
    for features in (np.arange(10), pd.DataFrame({'x': np.arange(10)}), pa.table({'x': np.arange(10)}), {'x': np.arange(10)}):
        split = Split(Part(features, np.arange(10)), None, None).smaller(4, 0)
        read = split.train.features['x'] if not isinstance(features, np.ndarray) else split.train.features
        assert list(np.asarray(read)) == list(split.train.target) and len(split.train) == 4


def test_wrong_input():
    with pytest.raises(DataError, match='Score split.test'): compare({'short': lambda *_: [1]}, SPLIT, metric='auc')
    with pytest.raises(DataError, match="Did you mean 'good'"): compare({'good': good}, SPLIT, metric='auc', baseline='goood')
    with pytest.raises(DataError, match='no metric'): compare({'good': good}, SPLIT, metric='akkuracy')
    with pytest.raises(DataError, match='nothing to compare'): compare({}, SPLIT, metric='auc')
    with pytest.raises(ZeroDivisionError) as caught: compare({'broken': lambda *_: 1 / 0}, SPLIT, metric='auc')
    assert "variant 'broken' with seed 0" in caught.value.__notes__[0]
