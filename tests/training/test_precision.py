"Half precision: the same result within noise, skipped steps written down, the way back to 32 bits."
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback

from dlmine.core.errors import DataError
from dlmine.training.learner import fit
from dlmine.training.precision import Precision, all_finite, finite_flag, kept_bytes, measure_precision


def train(*callbacks, **settings):
    generator = np.random.default_rng(0)
    x_num = generator.normal(size=(1200, 5)).astype(np.float32)
    target = (x_num[:, 0] + x_num[:, 1] + generator.normal(size=1200) > 0).astype(int)
    return fit({'x_num': x_num[:800]}, target[:800], {'x_num': x_num[800:]}, target[800:], **{'kind': 'binary', 'classes': (0, 1), 'epochs': 3, 'batch_size': 50, 'callbacks': callbacks, **settings})


class Spoil(Callback):
    "Makes the logits of some steps infinite, or gradients, while the network computes in 16 bits."
    def __init__(self, steps, where='logits'):
        super().__init__()
        self.spoiled, self.where, self.count = set(steps), where, -1
    order = 9

    def before_batch(self): self.count += self.learn.training

    @property
    def now(self): return self.learn.training and self.count in self.spoiled

    def after_pred(self):
        if self.where == 'logits' and self.now and self.learn.pred.dtype != torch.float32: self.learn.pred = self.learn.pred * float('inf')

    def before_step(self):
        if self.where == 'gradient' and self.now: next(p for p in self.learn.model.parameters() if p.grad is not None).grad[0] = float('nan')


@pytest.mark.parametrize('kind', ['bf16', 'fp16'])
def test_the_result_is_that_of_32_bits_within_noise(kind):
    precision = Precision(kind, scale=1024.0)
    half, full = train(precision), train()
    assert abs(half.history[-1]['valid_loss'] - full.history[-1]['valid_loss']) < 0.02
    assert abs(half.history[-1]['train_loss'] - full.history[-1]['train_loss']) < 0.05   # not multiplied by the scale
    assert precision.steps == 48 and precision.skipped == 0 and precision.report().evidence()[0].verdict == 'noted'


@pytest.mark.parametrize('kind', ['bf16', 'fp16'])
@pytest.mark.parametrize('where', ['logits', 'gradient'])
def test_single_troubles_skip_single_steps(kind, where):
    precision = Precision(kind, scale=1024.0)
    trained = train(Spoil({3, 17, 30}, where), precision)
    assert precision.skipped == 3 and [line['step'] for line in precision.ledger] == [4, 18, 31] and precision.fallen is None
    assert trained.history[-1]['valid_loss'] < 0.65 and 'All 3 epochs' in trained.reason
    assert len(precision.report().evidence()) == 4 and '<svg' in str(precision.report().plot())


def test_repeated_trouble_falls_back_and_training_ends_well():
    precision = Precision('bf16', trouble=4)
    trained = train(Spoil(range(10, 1000)), precision)
    assert precision.fallen['step'] == 14 and precision.skipped == 4 and 'All 3 epochs' in trained.reason
    assert 'went on in fp32' in precision.report().verdict and precision.report().evidence()[-1].verdict == 'warning'


def test_scattered_trouble_falls_back_by_its_share():
    precision = Precision('bf16', trouble=50, share=0.2)
    train(Spoil(range(0, 1000, 3)), precision, epochs=9)
    assert precision.fallen and 'of the last 100 steps' in precision.fallen['why']


def test_a_scale_too_high_is_halved_until_it_fits():
    precision = Precision('fp16', scale=2.0 ** 30, trouble=50)
    train(precision)
    scales = [line['scale'] for line in precision.ledger]
    assert scales == [2.0 ** 30 / 2 ** n for n in range(len(scales))] and precision.report().scale < 2.0 ** 30


def test_skipped_steps_leave_the_weights_alone():
    seen = []

    class Watch(Callback):
        order = 98
        def before_batch(self): seen.append(self.first()) if self.learn.training else None
        def after_batch(self): seen.append(self.first()) if self.learn.training else None
        def first(self): return torch.cat([p.detach().flatten() for p in self.learn.model.parameters()])

    train(Spoil({2}, 'gradient'), Precision('bf16'), Watch(), epochs=1)
    assert torch.equal(seen[4], seen[5]) and not torch.equal(seen[6], seen[7])


def test_gradients_that_are_large_but_finite_pass():
    parameter = torch.nn.Parameter(torch.zeros(4))
    parameter.grad = torch.full((4,), 3e38)
    assert all_finite([parameter])
    parameter.grad[2] = float('nan')
    assert not all_finite([parameter])
    assert finite_flag([parameter]).item() == 0 and not parameter.grad.any()


def test_memory_and_time_side_by_side():
    module, batch = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)), [torch.randn(256, 64)]
    assert kept_bytes(module, batch, 'bf16') < kept_bytes(module, batch)
    cost = measure_precision(lambda kind: (0.5, kept_bytes(module, batch, kind)), repeats=2)
    assert cost.figures['bf16_speed'] > 0 and '<svg' in str(cost.plot()) and list(cost.table().kind) == ['fp32', 'bf16']


def test_another_kind_is_refused():
    with pytest.raises(DataError, match='fp8'): Precision('fp8')
