"Schedules against the libraries that know them, the finder against fastai's, sharpness against the whole Hessian."
import math

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import combined_cos
from fastai.callback.schedule import valley as fastai_valley
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from dlmine.core.errors import DataError
from dlmine.training.landscape import Landscape, advise, curvature_along, sharpness
from dlmine.training.learner import fit
from dlmine.training.schedules import SCHEDULES, Schedule, find_rate, one_cycle, plot_schedules, schedule_variant, valley, warm_restarts


def train(*callbacks, **others):
    generator = np.random.default_rng(0)
    x_num = generator.normal(size=(900, 4)).astype(np.float32)
    target = (x_num[:, 0] + generator.normal(size=900) > 0).astype(int)
    return fit({'x_num': x_num[:600]}, target[:600], {'x_num': x_num[600:]}, target[600:], **{'kind': 'binary', 'classes': (0, 1), 'epochs': 4, 'batch_size': 60, 'patience': 0, 'callbacks': callbacks, **others})


def logistic(logits, target): return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target)


@given(some.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_every_schedule_lies_between_nothing_and_its_peak(progress):
    for function in SCHEDULES.values(): assert 0 < function(progress) <= 1 + 1e-12
    assert abs(one_cycle(progress) - combined_cos(0.25, 1 / 25, 1.0, 1e-5)(progress)) < 1e-5


def test_restarts_are_those_of_torch():
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    known = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=5, T_mult=2, eta_min=0.001)
    for step in range(34):
        assert abs(optimiser.param_groups[0]['lr'] - warm_restarts(step / 35)) < 1e-9
        optimiser.step(), known.step()


@pytest.mark.parametrize('name', SCHEDULES)
def test_the_callback_sets_the_rate_of_every_step(name):
    rates = []

    class Watch(Callback):
        order = 90
        def after_step(self): rates.append(self.learn.opt.opt.param_groups[0]['lr'])

    train(Schedule(name, 0.01), Watch())
    assert len(rates) == 40
    if name != 'plateau': assert np.allclose(rates, [0.01 * SCHEDULES[name](step / 40) for step in range(40)])


def test_plateau_is_that_of_torch():
    losses = [1, .9, .95, .95, .95, .8, .8, .8, .8, .8]
    rates = []

    class Script(Callback):
        order = 46   # after the validation
        def after_validate(self): self.learn.valid_loss = losses[self.learn.epoch]

    class Watch(Callback):
        order = 90
        def after_train(self): rates.append(self.learn.opt.opt.param_groups[0]['lr'])

    train(Schedule('plateau', 1.0, patience=1, factor=0.3), Script(), Watch(), epochs=10, batch_size=600, learning_rate=1e-4)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    known = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=1, threshold=0.0)
    expected = []
    for loss in losses:
        expected.append(optimiser.param_groups[0]['lr'])
        known.step(loss)
    assert np.allclose(rates, expected)


def test_the_valley_is_fastais():
    generator = np.random.default_rng(1)
    for _ in range(5):
        rates = np.geomspace(1e-6, 1, 80)
        losses = 1 / (1 + np.exp(2 * (np.log10(rates) + 3))) + 0.02 * generator.normal(size=80) + np.maximum(0, np.log10(rates) + 1.2)
        assert valley(rates, losses) == pytest.approx(fastai_valley(torch.tensor(rates), torch.tensor(losses), 80)[0], rel=1e-6)


def test_the_finder_leaves_the_network_and_the_random_numbers_alone():
    torch.manual_seed(0)
    module, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1)), torch.randn(200, 4)
    y, before, state = (x[:, 0] > 0).float(), [p.clone() for p in module.parameters()], torch.get_rng_state()
    found = find_rate(module, [(x, y)], logistic)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters())) and torch.equal(state, torch.get_rng_state())
    assert 1e-5 < found.suggestion < 1 and found.figures['steps'] == len(found.losses) and 'suggested' in found._repr_html_()
    with pytest.raises(DataError, match='no number'): find_rate(module, [(x * float('nan'), y)], logistic)


def test_sharpness_and_curvature_are_those_of_the_hessian():
    torch.manual_seed(1)
    module, x = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)), torch.randn(60, 3)
    y, flat = (torch.randn(60) > 0).float(), torch.cat([p.detach().flatten() for p in module.parameters()])

    def loss_at(vector):
        parts, place = {}, 0
        for name, p in module.named_parameters(): parts[name], place = vector[place:place + p.numel()].view_as(p), place + p.numel()
        return logistic(torch.func.functional_call(module, parts, (x,)), y)

    hessian = torch.autograd.functional.hessian(loss_at, flat)
    values = torch.linalg.eigvalsh(hessian)
    assert sharpness(module, (x, y), logistic, 300, 1e-7) == pytest.approx(max(values.tolist(), key=abs), rel=1e-3)
    moved = {name: torch.randn_like(p) for name, p in module.named_parameters()}
    unit = nn.functional.normalize(torch.cat([moved[name].flatten() for name, _ in module.named_parameters()]), dim=0)
    assert curvature_along(module, (x, y), logistic, moved) == pytest.approx(float(unit @ hessian @ unit), rel=1e-3, abs=1e-6)


def test_measuring_does_not_change_the_training():
    landscape = Landscape(100, 3)
    assert [row['valid_loss'] for row in train(landscape).history] == [row['valid_loss'] for row in train().history]
    report = landscape.report()
    assert len(report.points) == 5 and report.schedule in SCHEDULES and report.evidence().figures['sharpness_first'] is not None and '<svg' in str(report.plot())


def test_advice_in_words():
    points = lambda sharp, along, agreement: [{'epoch': e, 'sharpness': s, 'along': a, 'agreement': agreement} for e, (s, a) in enumerate(zip(sharp, [None, *along]))]
    assert advise(points([9, 3, 3], [1, 1], .9))[0] == 'one_cycle'
    assert advise(points([1, 1.5, 3], [1, 1], .1))[0] == 'cosine'
    assert advise(points([3, 3, 3, 3], [.001, .001, .001], .9))[0] == 'one_cycle'
    assert advise(points([3], [], .9))[0] == 'warm_cosine' and 'Too few' in advise(points([3], [], .9))[1]
    assert 'sign' in advise(points([3] * 5, [1, -1, 1, -1], .9))[1]


def test_a_schedule_as_a_variant():
    from types import SimpleNamespace
    generator = np.random.default_rng(0)
    part = lambda: SimpleNamespace(features={'x_num': generator.normal(size=(80, 2)).astype(np.float32)}, target=np.arange(80) % 2)
    split = SimpleNamespace(train=part(), valid=part(), test=part())
    scores = schedule_variant(fit, 'one_cycle', 0.01, kind='binary', classes=(0, 1))(split, 0, 1)
    assert scores.shape == (80,) and math.isfinite(scores.sum())


def test_wrong_names_are_refused_with_the_nearest():
    with pytest.raises(DataError, match='warm_restarts'): Schedule('warm_restart')
    with pytest.raises(DataError, match='more than 0'): Schedule('cosine', -1)
    assert '<svg' in str(plot_schedules(['cosine']))
