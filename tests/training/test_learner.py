"The trainer on tables at the edges: tiny, wide, one-sided, with nulls, with a loss that explodes."
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback

from dlmine.core.errors import DataError
from dlmine.training.batches import TableBatches, batch_bounds, make_batches, as_tensors
from dlmine.training.learner import Loss, choose_size, fit, make_learner
from dlmine.training.stopping import BestWeights


def table(rows, numeric=4, categories=2, seed=0, kind='binary'):
    generator = np.random.default_rng(seed)
    x_num = generator.normal(size=(rows, numeric)).astype(np.float32)
    signal = (x_num[:, :1].sum(1) if numeric else 0) + generator.normal(size=rows) * 0.3
    if numeric: x_num[generator.random(x_num.shape) < 0.05] = np.nan
    features = {'x_num': x_num, 'x_cat': generator.integers(0, 6, (rows, categories))}
    target = {'binary': (signal > 0).astype(int), 'multiclass': np.digitize(signal, [-0.5, 0.5]), 'regression': 1e6 + 1e4 * signal}[kind]
    return features, target


def train(rows=400, **settings):
    kind = settings.get('kind', 'binary')
    shape = {name: settings.pop(name) for name in ('numeric', 'categories') if name in settings}
    features, target = table(rows, kind=kind, **shape)
    other, known = table(200, seed=1, kind=kind, **shape)
    classes = {'binary': (0, 1), 'multiclass': (0, 1, 2), 'regression': ()}[kind]
    return fit(features, target, other, known, **{'kind': kind, 'classes': classes, 'epochs': 3, **settings}), other, known


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    first, features, _ = train(seed=5)
    torch.rand(17)       # other draws must not matter
    second, _, _ = train(seed=5)
    third, _, _ = train(seed=6)
    assert np.array_equal(first.predict(features), second.predict(features))
    assert not np.array_equal(first.predict(features), third.predict(features))


def test_training_leaves_the_callers_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train()
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize('settings', [dict(rows=60), dict(rows=60, numeric=1500, categories=0), dict(numeric=0), dict(categories=0), dict(rows=65, batch_size=64), dict(rows=3, batch_size=2), dict(kind='multiclass'), dict(kind='regression'), dict(precision='bf16')])
def test_shapes_at_the_edges_train_and_predict(settings):
    trained, features, target = train(**settings)
    scores = trained.predict(features)
    assert scores.shape == ((200, 3) if settings.get('kind') == 'multiclass' else (200,)) and np.isfinite(scores).all()
    one = {name: values[:1] for name, values in features.items()}
    assert np.allclose(trained.predict(one), scores[:1], atol=1e-4, rtol=1e-4)
    assert trained.predict({name: values[:0] for name, values in features.items()}).shape[0] == 0


def test_a_regression_answers_in_the_targets_units():
    trained, features, target = train(2000, kind='regression', epochs=10)
    assert np.corrcoef(trained.predict(features), target)[0, 1] > 0.9 and abs(trained.predict(features).mean() - 1e6) < 5e3


def test_it_learns_what_there_is_to_learn():
    trained, features, target = train(3000, epochs=8)
    from sklearn.metrics import roc_auc_score
    assert roc_auc_score(target, trained.predict(features)) > 0.9


class Explode(Callback):
    "A loss that is not a number from a given epoch on."
    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def after_loss(self):
        if self.learn.training and self.learn.epoch >= self.at: self.learn.loss_grad = self.learn.loss_grad * float('inf')


@pytest.mark.parametrize('epoch', [0, 1])
def test_a_loss_that_explodes_stops_with_finite_weights_and_a_reason(epoch):
    trained, features, _ = train(callbacks=[Explode(epoch)])
    assert 'not a finite number' in trained.reason and trained.best_epoch == epoch
    assert np.isfinite(trained.predict(features)).all()


def test_the_weights_of_the_best_epoch_are_kept():
    kept = {}

    class Watch(Callback):
        order = 65
        def after_epoch(self): kept[self.learn.epoch + 1] = {k: v.clone() for k, v in self.learn.model.state_dict().items()}

    trained, _, _ = train(300, epochs=30, learning_rate=0.05, callbacks=[Watch()])
    best = min(trained.history, key=lambda row: row['valid_loss'])['epoch']
    assert trained.best_epoch == best
    final = trained.module.module.state_dict()
    assert all(torch.equal(value, final[name]) for name, value in kept[best].items())
    assert 'had not improved' in trained.reason or len(trained.history) == 30


def test_errors_name_what_is_wrong():
    features, target = table(50)
    with pytest.raises(DataError, match='same rows'): fit(features, target[:-1], features, target, kind='binary')
    with pytest.raises(DataError, match='infinite'): fit({'x_num': np.full((50, 1), np.inf)}, target, features, target, kind='binary')
    with pytest.raises(DataError, match='cardinalities'): fit(features, target, features, target, kind='binary', cardinalities=[3])
    with pytest.raises(DataError, match='precision'): fit(features, target, features, target, kind='binary', precision='fp8')
    with pytest.raises(DataError, match='batch'): fit(features, target, features, target, kind='binary', batch_size=1)
    with pytest.raises(DataError, match='codes 0'): fit(features, target + 5, features, target, kind='binary', classes=(0, 1))


@pytest.mark.parametrize('rows, size', [(1, 4), (2, 4), (5, 4), (8, 4), (9, 4), (10_001, 1000)])
def test_batches_cover_every_row_once_and_never_leave_one_alone(rows, size):
    bounds = batch_bounds(rows, size)
    assert bounds[0][0] == 0 and bounds[-1][1] == rows and all(a[1] == b[0] for a, b in zip(bounds, bounds[1:]))
    assert all(end - start >= min(2, rows) for start, end in bounds)


def test_get_preds_of_fastai_works_on_these_batches():
    features, target = table(100)
    features['x_num'] = np.nan_to_num(features['x_num'])
    tensors = as_tensors(features, target.astype(np.float32))
    from fastai.learner import Learner
    from dlmine.models.tabular import EmbeddingMLP
    learner = Learner(make_batches(tensors, tensors, 16), EmbeddingMLP(4, [6, 6], 1), Loss('binary'))
    with learner.no_logging(): predictions, targets = learner.get_preds(ds_idx=0)
    learner.model.eval()
    assert torch.allclose(predictions, learner.model(*tensors[:2]).detach(), atol=1e-6) and torch.equal(targets, tensors[2])


def test_size_is_chosen_by_rows():
    assert choose_size(60)[0] > choose_size(200_000)[0] and choose_size(60)[1] < choose_size(200_000)[1] == 1024
    assert choose_size(1000, epochs=2, batch_size=7) == (2, 7)
