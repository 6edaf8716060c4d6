"Clipping: the gradient that reaches the optimiser, the trace, the reasons, what is not a number, and the advice."
import math

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import DataError
from dlmine.training.clipping import ClippingReport, GradientClip, compare_clipping, gradient_norm, running_limit
from dlmine.training.learner import fit


class Watch(Callback):
    "Norms after clipping."
    order = 9

    def before_fit(self): self.norms = []

    def before_step(self): self.norms.append(gradient_norm(list(self.learn.model.parameters())))


class Spoil(Callback):
    "Multiplies the gradient of some steps."
    order = 5

    def __init__(self, factors): super().__init__(); self.factors, self.done = factors, 0

    def before_step(self):
        self.done += 1
        factor = self.factors(self.done)
        if factor != 1:
            for p in self.learn.model.parameters(): p.grad.mul_(factor)


def train(*callbacks, epochs=3, seed=0, network="gru"):
    generator = np.random.default_rng(0)
    make = lambda rows: {"steps": generator.normal(size=(rows, 6, 2)).astype(np.float32), "length": generator.integers(1, 7, rows)}
    features, valid = make(128), make(32)
    label = lambda part: (part["steps"][:, 0, 0] > 0).astype(int)
    return fit(features, label(features), valid, label(valid), kind="binary", architecture=network, facts={"channels": 2, "gaps": []}, arguments={"width": 8}, epochs=epochs, batch_size=8, learning_rate=0.01, weight_decay=0.05, patience=0, seed=seed, callbacks=callbacks)


def test_no_gradient_longer_than_the_limit_reaches_the_optimiser():
    clip, watch = GradientClip(None, limit=0.2), Watch()
    train(clip, watch)
    report = clip.report()
    assert max(watch.norms) <= 0.2 * 1.0001 and len(report.norms) == 48 == report.figures["steps"]
    assert report.figures["clipped"] == sum(norm > 0.2 for norm in report.norms) > 0
    assert all(after == pytest.approx(min(before, 0.2), rel=1e-4) for before, after in zip(report.norms, watch.norms))
    assert all("above the fixed limit 0.2" == event["reason"] for event in report.events)


def test_without_limits_nothing_is_changed_but_the_trace_is_there():
    watching, plain = GradientClip(None), train()
    watched = train(watching)
    assert watched.history[-1]["valid_loss"] == plain.history[-1]["valid_loss"] and watching.report().figures["clipped"] == 0 and len(watching.norms) == 48
    assert watching.report().setting == "none" and watching.report().plot().svg


def test_a_percentile_touches_its_share_and_a_giant_is_cut_to_the_usual():
    clip, watch = GradientClip(90, warmup=10), Watch()
    train(Spoil(lambda step: 1000.0 if step == 40 else 1.0), clip, watch)
    report = clip.report()
    giant = next(event for event in report.events if event["step"] == 40)
    assert giant["norm"] > 50 * np.median(report.norms) and watch.norms[39] == pytest.approx(giant["limit"], rel=1e-3) and "90th percentile of the last 39 norms" in giant["reason"]
    assert not any(event["step"] <= 10 for event in report.events) and 0 < report.figures["share_clipped"] < 0.5
    assert "have a tail" in report.advice


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_takes_no_step(bad):
    clip = GradientClip()
    trained = train(Spoil(lambda step: bad if step in (5, 6) else 1.0), clip)
    lost = [event for event in clip.events if event["action"] == "left out"]
    assert [event["step"] for event in lost] == [5, 6] and all(torch.isfinite(p).all() for p in trained.module.parameters())
    assert clip.report().evidence()[0].verdict == "warning" and "2 steps had no finite gradient" in clip.report().advice and clip.report().plot().svg


def test_only_such_gradients_end_the_training_with_the_best_weights():
    clip = GradientClip(trouble=4)
    trained = train(Spoil(lambda step: float("nan") if step > 20 else 1.0), clip)
    assert "4 steps in a row" in trained.reason and len(clip.norms) == 24 and all(torch.isfinite(p).all() for p in trained.module.parameters())


def test_the_state_is_a_checkpoints():
    clip = GradientClip()
    train(clip, epochs=1)
    assert all(hasattr(clip, name) for name in clip.keeps) and {"norms", "limits", "epochs", "events"} <= set(clip.keeps)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60), st.floats(1, 100), st.floats(0.01, 1e6) | st.none())
def test_the_limit_is_the_smaller_one(norms, percentile, fixed):
    found = running_limit(norms, percentile, fixed, warmup=2)
    assert found == min(float(np.percentile(norms, percentile)), math.inf if fixed is None else fixed)
    assert running_limit(norms[:1], percentile, fixed, warmup=2) == (math.inf if fixed is None else fixed)


def test_the_norm_is_torchs():
    layer = torch.nn.LSTM(3, 4)
    layer(torch.randn(5, 2, 3))[0].pow(2).sum().backward()
    expected = float(torch.nn.utils.get_total_norm([p.grad for p in layer.parameters()]))
    assert gradient_norm(list(layer.parameters())) == pytest.approx(expected, rel=1e-5) and gradient_norm([]) == 0


def report_of(norms): return ClippingReport("none", tuple(norms), (math.inf,) * len(norms), (1,) * len(norms), ())


def test_advice_fits_the_norms():
    generator = np.random.default_rng(0)
    even, tail = generator.uniform(1, 2, 500), np.where(np.arange(500) % 50 == 0, 500.0, generator.uniform(1, 2, 500))
    assert "not needed" in report_of(even).advice and "have a tail" in report_of(tail).advice and 2 < report_of(tail).advised < 500
    assert "too few" in report_of([1.0] * 5).advice and report_of([]).figures["median_norm"] is None and "<b>" in report_of([])._repr_html_()
    assert "even" in report_of([0.0] * 30).advice or "tail" in report_of([0.0] * 30).advice


def test_settings_that_make_no_sense():
    for wrong in (dict(percentile=0), dict(percentile=101), dict(limit=0), dict(limit=math.inf), dict(memory=5), dict(warmup=1)):
        with pytest.raises(DataError): GradientClip(**wrong)


def test_a_comparison_says_what_clipping_costs():
    found = compare_clipping(lambda clip, seed: train(clip, seed=seed, epochs=2), {"none": lambda: GradientClip(None), "norm 1e-09": lambda: GradientClip(None, limit=1e-9)}, seeds=(0, 1))
    assert len(found.rows) == 4 and found.means()["norm 1e-09"]["share_clipped"] == 1 and found.means()["none"]["share_clipped"] == 0
    assert "norm 1e-09: 100.0% of steps clipped" in found.sentence and found.evidence().figures["goal"] == found.goal and "limit" in found.table()
