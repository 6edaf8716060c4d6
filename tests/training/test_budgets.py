"Stopping on loss, KPI and budget: what is watched, what is kept, what is cut, and why."
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback

from dlmine.core.errors import DataError
from dlmine.training.budgets import Budget, Budgets, EnergyMeter
from dlmine.training.learner import fit
from dlmine.training.stopping import BestWeights


def table(rows=600, seed=0):
    generator = np.random.default_rng(seed)
    x_num = generator.normal(size=(rows, 3)).astype(np.float32)
    return {'x_num': x_num}, (x_num[:, 0] + generator.normal(size=rows) > 0).astype(int)


def train(*callbacks, **settings):
    features, target = table()
    other, known = table(200, 1)
    return fit(features, target, other, known, **{'kind': 'binary', 'classes': (0, 1), 'epochs': 12, 'batch_size': 50, 'callbacks': callbacks, **settings})


class Script(Callback):
    "Losses and KPIs as a test wants them, one per epoch; the weights are set to the number of the epoch."
    order = 46

    def __init__(self, losses, kpis=None):
        super().__init__()
        self.losses, self.kpis = losses, kpis or [None] * len(losses)

    def after_validate(self):
        self.learn.valid_loss, self.learn.kpi = self.losses[self.learn.epoch], self.kpis[self.learn.epoch]
        with torch.no_grad():
            for parameter in self.learn.model.parameters(): parameter.fill_(self.learn.epoch + 1)


def kept(trained): return next(iter(trained.module.module.parameters())).flatten()[0].item()


FALLING = [1, .9, .8, .9, .9, .9, .9, .9, .9, .9, .9, .9]
RISING = [1, 2, 3, 4, 5, 6, 5, 5, 5, 5, 5, 5]


@pytest.mark.parametrize('settings,epochs,best', [(dict(watch='loss', keep='loss', patience=3), 6, 3), (dict(watch='both', keep='loss', patience=3), 9, 3), (dict(watch='both', keep='kpi', patience=3), 9, 6),
                                                  (dict(watch='kpi', keep='kpi', patience=2), 8, 6), (dict(watch='both', keep='kpi', goal=4, patience=3), 4, 4)])
def test_what_is_watched_and_what_is_kept(settings, epochs, best):
    budgets = Budgets(**settings)
    trained = train(Script(FALLING, RISING), budgets)
    assert len(trained.history) == epochs and trained.best_epoch == best and kept(trained) == best
    report = budgets.report()
    assert report.cause == ('goal' if 'goal' in settings else 'patience') and report.reason == trained.reason


def test_a_kpi_that_is_never_defined_is_not_waited_for():
    budgets = Budgets(watch='both', keep='kpi', patience=2)
    trained = train(Script(FALLING), budgets)
    assert trained.best_epoch == 3 and len(trained.history) == 5 and 'KPI' not in trained.reason


def test_a_loss_that_is_nan_in_the_middle_of_an_epoch_keeps_the_best_weights():
    class Explode(Callback):
        order = 30

        def after_loss(self):
            if self.learn.training and (self.learn.epoch, self.learn.iter) == (4, 5): self.learn.loss_grad = self.learn.loss_grad * float('nan')

    budgets = Budgets()
    trained = train(Script(FALLING), Explode(), budgets)
    assert trained.best_epoch == 3 and kept(trained) == 3 and 'epoch 5, batch 6' in trained.reason
    stop = budgets.report().evidence()[0]
    assert stop.verdict == 'warning' and stop.figures['cause'] == 'not a number'


def test_a_budget_of_rows_cuts_at_the_same_row_and_validates_what_was_learned():
    reports = []
    for _ in range(2):
        budgets = Budgets({'rows': 1500})
        trained = train(budgets, patience=0)
        reports.append((budgets.report(), trained.history[-1]['valid_loss'], kept(trained)))
    (one, loss, weight), (two, loss_again, weight_again) = reports
    assert one.spent['rows'] == two.spent['rows'] == 1500 and loss == loss_again and weight == weight_again
    assert one.cause == 'budget' and len(one.rows) == 3 and one.best_epoch == 3 and 'same place' in one.replay
    assert one.evidence()[0].verdict == 'warning' and '<svg' in str(one.plot())


@pytest.mark.parametrize('limit', [dict(seconds=0.02), dict(watt_hours=1e-6), dict(money=1e-7, cost_per_hour=1.0)])
def test_clocks_cut_and_say_that_they_cannot_be_replayed(limit):
    budgets = Budgets(limit)
    trained = train(budgets, epochs=500, patience=0)
    report = budgets.report()
    name = next(iter(limit))
    assert report.cause == 'budget' and report.spent[name] >= limit[name] and 'budget of' in trained.reason and 'replay with a budget of' in report.replay
    assert np.isfinite(trained.predict(table()[0])).all()
    share = report.table().set_index('resource').share[name.replace('_', ' ')]
    assert share >= 1


def test_money_is_hours_and_energy():
    budgets = Budgets({'cost_per_hour': 3.6, 'price_per_kilowatt_hour': 1000.0})
    train(budgets, epochs=2)
    spent = budgets.report().spent
    assert spent['money'] == pytest.approx(spent['seconds'] * 0.001 + spent['watt_hours'], rel=1e-9)
    assert spent['watt_hours'] == pytest.approx(spent['cpu_seconds'] * 10 / 3600, rel=0.2) and 'assumption' in budgets.report().how


def test_counters_that_start_again_and_that_may_not_be_read(tmp_path):
    for place, value in enumerate((900, 100)):
        (tmp_path / f'intel-rapl:{place}').mkdir()
        (tmp_path / f'intel-rapl:{place}' / 'max_energy_range_uj').write_text('1000000000')
        (tmp_path / f'intel-rapl:{place}' / 'energy_uj').write_text(f'{value}000000')
    meter = EnergyMeter(folder=tmp_path)
    (tmp_path / 'intel-rapl:0' / 'energy_uj').write_text('100000000')
    assert meter.read() * 3600 == pytest.approx(200)
    (tmp_path / 'intel-rapl:1' / 'energy_uj').write_text('400000000')
    assert meter.read() * 3600 == pytest.approx(500)
    assert 'assumption' in EnergyMeter(folder=tmp_path / 'none').how


@pytest.mark.parametrize('given,said', [({'second': 3}, 'seconds'), ({'seconds': -1}, 'more than 0'), ({'money': 1.0}, 'needs prices')])
def test_a_wrong_budget_is_refused(given, said):
    with pytest.raises(DataError, match=said): Budgets(given)


def test_wrong_settings_are_refused():
    with pytest.raises(DataError, match='watch'): BestWeights(watch='money')
    with pytest.raises(DataError, match='no setting'): Budgets(paticence=2)
