"Boosting, and its trees as ONNX: the same branches for every null, edge and level."
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings, strategies

from dlmine.core.errors import DataError
from dlmine.training.boosting import fit_boosting
from dlmine.training.export import measure_parity, run_onnx, to_onnx
from dlmine.training.trees import round_down

FEW = (dict(max_leaf_nodes=15, learning_rate=0.3, min_samples_leaf=2),)


def table(generator, rows, numeric, categories, levels, decimals):
    x_num = np.round(generator.normal(size=(rows, numeric)) * 10.0 ** generator.integers(-3, 4, numeric), decimals).astype(np.float32)
    x_num[generator.random(x_num.shape) < generator.choice([0, 0.2])] = np.nan
    x_cat = generator.integers(0, levels, (rows, categories))
    signal = np.nan_to_num(x_num / (np.nanstd(x_num, axis=0) + 1e-9), nan=1.0).sum(1) + sum(generator.normal(size=levels)[x_cat[:, j]] for j in range(categories)) + generator.normal(size=rows)
    return {'x_num': x_num, 'x_cat': x_cat}, signal


@settings(max_examples=25, deadline=None)
@given(seed=strategies.integers(0, 10**6), kind=strategies.sampled_from(['binary', 'multiclass', 'regression']), numeric=strategies.integers(0, 4), categories=strategies.integers(0, 3),
       levels=strategies.sampled_from([2, 5, 40, 252]), decimals=strategies.sampled_from([0, 2, 8]))
def test_the_graph_takes_the_branches_of_the_trees(seed, kind, numeric, categories, levels, decimals):
    if numeric + categories == 0: numeric = 1
    generator = np.random.default_rng(seed)
    features, signal = table(generator, 300, numeric, categories, levels, decimals)
    target = {'binary': signal > np.median(signal), 'multiclass': np.digitize(signal, np.quantile(signal, [0.3, 0.7])), 'regression': 5000 + 100 * signal}[kind]
    trained = fit_boosting(features, target, features, target, kind=kind, classes=() if kind == 'regression' else range(int(target.max()) + 1), candidates=FEW, budget=15)
    asked, _ = table(generator, 400, numeric, categories, levels, decimals)
    asked['x_num'][generator.random(asked['x_num'].shape) < 0.2] = np.nan                    # nulls also where training had none
    asked['x_cat'][generator.random(asked['x_cat'].shape) < 0.2] = generator.integers(0, 600)   # levels that training never saw, and codes beyond the tables
    edges = [tree.nodes['num_threshold'][tree.nodes['is_leaf'] == 0] for rounds in trained.module._predictors for tree in rounds]
    edges = np.concatenate([e[np.abs(e) < 1e30] for e in edges] + [np.zeros(1)])       # a split of missing against known has an infinite threshold
    if numeric: asked['x_num'][:200, 0] = generator.choice(edges, 200).astype(np.float32)     # numbers on the thresholds themselves
    assert measure_parity(trained, to_onnx(trained), asked).difference < 1e-5


@given(strategies.lists(strategies.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30), min_size=1, max_size=50))
def test_rounding_down_keeps_every_comparison_with_32_bit_numbers(values):
    thresholds = np.array(values)
    near = thresholds.astype(np.float32)
    for x in (near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))):
        assert ((x <= round_down(thresholds)) == (x.astype(np.float64) <= thresholds)).all()


def test_a_class_that_training_never_saw_keeps_its_place():
    generator = np.random.default_rng(0)
    features, signal = table(generator, 300, 2, 1, 5, 3)
    target = np.where(signal > 0, 3, 1)
    trained = fit_boosting(features, target, features, target, kind='multiclass', classes='abcd', candidates=FEW, budget=5)
    scores = run_onnx(to_onnx(trained), features)
    assert scores.shape == (300, 4) and (scores[:, [0, 2]] == 0).all() and np.allclose(scores.sum(1), 1, atol=1e-6)
    assert np.abs(scores - trained.predict(features)).max() < 1e-5


def test_noise_yields_few_trees_or_none_and_still_exports():
    generator = np.random.default_rng(0)
    features = {'x_num': generator.normal(size=(200, 2)).astype(np.float32)}
    target = generator.integers(0, 2, 200)
    other = generator.integers(0, 2, 200)
    trained = fit_boosting(features, target, features, other, kind='binary', classes=(0, 1), budget=30)
    assert trained.best_epoch < 30
    measure_parity(trained, to_onnx(trained), features)


def test_the_trees_stop_on_the_validation_rows():
    generator = np.random.default_rng(0)
    features, signal = table(generator, 2000, 4, 0, 2, 3)
    target = (signal > 0).astype(int)
    half = lambda part: {name: values[part] for name, values in features.items()}
    first, second = slice(0, 1000), slice(1000, None)
    trained = fit_boosting(half(first), target[first], half(second), target[second], kind='binary', classes=(0, 1), candidates=FEW, budget=200)
    assert 0 < trained.best_epoch < 100 and len(trained.module._predictors) == trained.best_epoch
    again = fit_boosting(half(first), target[first], half(second), target[second], kind='binary', classes=(0, 1), candidates=FEW, budget=200)
    assert np.array_equal(trained.predict(features), again.predict(features))


def test_sixty_rows_and_many_columns():
    generator = np.random.default_rng(0)
    features = {'x_num': generator.normal(size=(60, 1500)).astype(np.float32)}
    target = (features['x_num'][:, 0] > 0).astype(int)
    trained = fit_boosting(features, target, features, target, kind='binary', classes=(0, 1), budget=20)
    measure_parity(trained, to_onnx(trained), features)


def test_a_validation_side_without_any_known_class_is_refused():
    features = {'x_num': np.zeros((10, 1), np.float32)}
    with pytest.raises(DataError, match='validation'): fit_boosting(features, np.repeat([0, 1], 5), features, np.full(10, 2), kind='multiclass', classes='abc')
