"Drift while training: distances as SciPy has them, breaches where something broke and nowhere else, validation at once."
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from dlmine.core.errors import DataError
from dlmine.training.batch_drift import BatchDrift, Sampled, chance, code_distance, compare_windows, sample_inputs, watched_layers
from dlmine.training.learner import fit


def train(*callbacks, epochs=4, rows=2400, **others):
    generator = np.random.default_rng(0)
    features = {'x_num': generator.normal(size=(rows, 4)).astype(np.float32), 'x_cat': generator.integers(2, 9, (rows, 2))}
    target = (features['x_num'][:, 0] + 0.3 * (features['x_cat'][:, 0] > 5) + generator.normal(size=rows) > 0).astype(int)
    part = lambda these: {name: values[these] for name, values in features.items()}
    half = rows * 3 // 4
    return fit(part(slice(half)), target[:half], part(slice(half, None)), target[half:], **{'kind': 'binary', 'classes': (0, 1), 'epochs': epochs, 'batch_size': 60, 'patience': 0, 'callbacks': callbacks, **others})


class Break(Callback):
    "From a batch on, the batch is changed by a function."
    order = 5

    def __init__(self, since, change):
        super().__init__()
        self.since, self.change = since, change

    def before_batch(self):
        if self.learn.training and (self.learn.epoch, self.learn.iter) >= self.since: self.learn.xb, self.learn.yb = self.change(self.learn.xb, self.learn.yb)


def shifted(xb, yb): return (torch.cat([xb[0][:, :1] + 2, xb[0][:, 1:]], 1), *xb[1:]), yb


def missing(xb, yb): return (torch.cat([xb[0][:, :1] * float('nan'), xb[0][:, 1:]], 1).nan_to_num(0.0), *xb[1:]), yb


def recoded(xb, yb): return (xb[0], torch.full_like(xb[1], 3), *xb[2:]), yb


def wrong(xb, yb): return shifted(xb, yb)[0], (1 - yb[0],)


@given(some.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_distances_are_scipys_less_what_is_chance(seed):
    random = np.random.default_rng(seed)
    one, two = random.normal(size=700), random.normal(0.6, 1.3, size=400)
    distance = compare_windows(Sampled({'a': one}, {}), Sampled({'a': two}, {}))['a']
    assert distance == pytest.approx(max(0.0, ks_2samp(one, two).statistic - chance(400, 700)), abs=1e-12)
    first, second = random.integers(0, 5, 3000), np.minimum(random.integers(0, 8, 3000), 4)
    known = jensenshannon(np.bincount(first, minlength=5), np.bincount(second, minlength=5), base=2)
    assert 0 < code_distance(first, second) <= known and code_distance(first, second) == pytest.approx(known, abs=0.01)


def test_what_is_chance_is_exceeded_once_in_a_hundred():
    random = np.random.default_rng(0)
    beyond = [compare_windows(Sampled({'a': random.normal(size=300)}, {}), Sampled({'a': random.normal(size=200)}, {}))['a'] > 0 for _ in range(600)]
    assert sum(beyond) <= 14


def test_missing_values_are_a_value_of_their_own():
    one = np.random.default_rng(0).normal(size=1000)
    two = np.where(np.arange(1000) % 2, np.nan, one)
    assert compare_windows(Sampled({'a': one}, {}), Sampled({'a': two}, {}))['a'] > 0.4
    assert compare_windows(Sampled({'a': one}, {}), Sampled({'a': np.full(9, np.nan)}, {}))['a'] > 0.2


def test_a_calm_training_has_no_breach_and_is_not_changed():
    drift = BatchDrift()
    watched = train(drift, epochs=5)
    report = drift.report()
    assert not report.breaches and len(report.strip) == 20 and report.evidence()[0].verdict == 'passed'
    assert [row['valid_loss'] for row in watched.history] == [row['valid_loss'] for row in train(epochs=5).history]
    assert not any(layer._forward_hooks for layer in watched.module.modules())


@pytest.mark.parametrize('change,column', [(shifted, 'x_num 0'), (missing, 'x_num 0'), (recoded, 'x_cat 0')])
def test_a_breach_is_found_in_its_window_and_validated_at_once(change, column):
    drift = BatchDrift()
    train(Break((2, 15), change), drift)
    first = drift.breaches[0]
    assert (first['epoch'], first['window'], first['side']) == (3, 2, 'inputs') and list(first['columns'])[0].startswith(column.split()[0])
    assert column in first['columns'] and first['loss_now'] > 0 and drift.report().evidence()[1].figures['batch'] == first['batch'] == 22
    assert '<svg' in str(drift.report().plot())


def test_harm_stops_with_the_weights_before_it():
    drift = BatchDrift(on_harm='stop', names=['price'])
    trained = train(Break((2, 15), wrong), drift, learning_rate=0.02)
    assert drift.breaches[-1]['harm'] and trained.best_epoch <= 2 and 'price' in trained.reason and 'had drifted' in trained.reason
    assert drift.report().evidence()[-1].verdict == 'warning'


def test_activations_that_jump_are_a_breach():
    class Saturate(Callback):
        order = 5

        def before_epoch(self):
            if self.learn.epoch == 3:
                with torch.no_grad(): next(layer for layer in self.learn.model.modules() if isinstance(layer, torch.nn.Linear)).weight.mul_(-30)

    drift = BatchDrift()
    train(Saturate(), drift, epochs=5)
    assert {'activations'} == {breach['side'] for breach in drift.breaches} and drift.breaches[0]['epoch'] == 4


def test_sequences_tokens_and_pixels_are_sampled_by_row():
    batch = [torch.full((5, 7, 3), float('nan')), torch.arange(5), torch.randint(0, 9, (5, 11)), torch.randint(0, 255, (5, 8, 8, 1), dtype=torch.uint8)]
    numbers, codes = sample_inputs(batch, ('steps', 'length', 'tokens', 'pixels'), 4)
    assert set(numbers) == {f'{name} {what}' for name in ('steps', 'tokens', 'pixels') for what in ('mean', 'spread')} and set(codes) == {'length 0'}
    assert all(len(values) == 4 and np.isfinite(values).all() for values in numbers.values())
    wide = torch.randn(10, 500)
    assert len(sample_inputs([wide], ('x_num',), 10)[0]) <= 40
    assert watched_layers(torch.nn.Identity()) == {}


def test_wrong_settings_are_refused():
    with pytest.raises(DataError, match='on_harm'): BatchDrift(on_harm='panic')
    with pytest.raises(DataError, match='threshold'): BatchDrift(threshold=2)
