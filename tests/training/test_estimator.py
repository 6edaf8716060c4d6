"The estimators in scikit-learn's manner and as variants of the one comparison."
import numpy as np
import pytest
from sklearn.base import clone

from dlmine.core.errors import DataError
from dlmine.measures.compare import Part, Split, compare
from dlmine.training.estimator import TabularEstimator, make_variant


def table(rows, seed):
    generator = np.random.default_rng(seed)
    X = generator.normal(50, 10, (rows, 3))
    return X, np.where(X[:, 0] + generator.normal(0, 3, rows) > 50, 'yes', 'no')


@pytest.mark.parametrize('family', ['net', 'boosting'])
def test_it_fits_labels_as_they_are_and_can_be_cloned(family):
    X, y = table(600, 0)
    estimator = clone(TabularEstimator(family, seed=1)).fit(X, y)
    again, _ = table(200, 1)
    assert set(estimator.predict(again)) == {'yes', 'no'} and (estimator.predict(X) == y).mean() > 0.85
    assert np.allclose(estimator.predict_proba(again).sum(1), 1) and estimator.get_params()['family'] == family
    with pytest.raises(DataError, match='not'): estimator.fit(X, y, again, np.full(200, 'maybe'))


def test_both_stand_in_one_comparison():
    parts = [Part({'x_num': ((X - 50) / 10).astype(np.float32)}, (y == 'yes').astype(int), None) for X, y in (table(400, seed) for seed in range(3))]
    found = compare({'net': make_variant('net', 'binary'), 'boosting': make_variant('boosting', 'binary')}, Split(*parts), metric='roc_auc', seeds=(0,), budget=5)
    assert len(found.table()) == 2
