"The section `training:` of a card: refused where it is wrong, done where it is right, told in the run's evidence."
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from pydantic import ValidationError

from dlmine.core.errors import CardError, DataError
from dlmine.framing.card import load_card, parse_card
from dlmine.framing.card_plans import Training
from dlmine.training.learner import fit
from dlmine.training.recipe import choose_precision, make_recipe

CARD = """version: 1
name: tried
sources: [{name: main, location: rows.csv}]
target: y
task: {kind: classification, positive: 1}
split: {kind: random}
"""


def rows(count=600):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 5)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + generator.normal(size=count) > 0).astype(int)
    return {'x_num': x[:400]}, y[:400], {'x_num': x[400:]}, y[400:]


def card_of(**training): return SimpleNamespace(name='tried', training=Training(**training), kpi=SimpleNamespace(currency='EUR'))


def train(recipe, data=None, **others): return recipe.fit(*(data or rows()), **{'kind': 'binary', 'classes': (0, 1), 'batch_size': 40, **others})


def notes(recipe): return {(record.capability, record.subject): (record.verdict, record.notes) for record in recipe.evidence()}


def test_a_card_says_how_its_network_is_trained():
    assert parse_card(CARD).training is None
    card = parse_card(CARD + 'training: {schedule: one_cycle, clip: percentile, clip_at: 95, budget: {minutes: 2}, drift: stop, engine: ddp}\n')
    assert card.training.clip_at == 95 and card.training.budget.minutes == 2 and parse_card(card.to_yaml()).training == card.training


@pytest.mark.parametrize('text,said', [('{schedul: cosine}', 'schedul'), ('{schedule: linear}', 'one_cycle'), ('{clip_at: 90}', 'Set clip'), ('{budget: {money: 3}}', 'cost_per_hour'), ('{budget: {hours: 3}}', 'hours'),
                                       ('{clip: percentile, clip_at: 120}', 'percentile'), ('{precision: fp8}', 'precision'), ('{workers: 0}', 'workers'), ('{learning_rate: -1}', 'learning_rate')])
def test_what_is_not_known_is_refused(text, said):
    with pytest.raises(CardError, match=said): parse_card(CARD + f'training: {text}\n')


def test_without_the_section_nothing_changes():
    recipe = make_recipe(parse_card(CARD), epochs=3)
    one, two = train(recipe), fit(*rows(), kind='binary', classes=(0, 1), batch_size=40, epochs=3)
    assert all(torch.equal(a, b) for a, b in zip(one.module.state_dict().values(), two.module.state_dict().values())) and recipe.evidence() == [] and 'no section' in recipe._repr_html_()


def test_a_run_s_parameters_hold_above_the_card():
    recipe = make_recipe(card_of(epochs=9, precision='bf16'), epochs=2, engine='fsdp')
    assert (recipe.settings.epochs, recipe.settings.precision, recipe.settings.engine) == (2, 'bf16', 'fsdp')


def test_every_guard_leaves_its_account(tmp_path):
    recipe = make_recipe(card_of(epochs=3, schedule='restarts', precision='fp16', clip='norm', clip_at=0.05, stop_on='both', drift='record', checkpoints=True), folder=tmp_path)
    trained = train(recipe)
    found = {capability for capability, _ in notes(recipe)}
    assert found == {'training.recipe', 'training.precision', 'training.clipping', 'training.stopping', 'training.budgets', 'training.batch_drift', 'training.checkpoints'}
    assert trained.hyper_parameters['precision'] == 'fp16' and any('fixed limit 0.05' in note for _, note in notes(recipe).values())
    assert 'clipped' in recipe._repr_html_() and not list(tmp_path.iterdir())


def test_a_spent_budget_is_the_reason():
    recipe = make_recipe(card_of(epochs=50, patience=0, budget={'rows': 700}))
    trained = train(recipe)
    verdict, said = notes(recipe)['training.stopping', 'the end of training']
    assert verdict == 'warning' and said.startswith('The budget of 700 rows was spent') and trained.reason in said


class Spoil(Callback):
    "From one step on, what the network answers is not a number."
    order = 5

    def __init__(self, step, value=float('nan'), steps=10 ** 9):
        super().__init__()
        self.step, self.value, self.steps, self.taken = step, value, steps, 0

    def after_pred(self):
        if not self.learn.training: return
        self.taken += 1
        if self.step <= self.taken < self.step + self.steps: self.learn.pred = self.learn.pred * self.value


def test_a_nan_in_the_middle_of_an_epoch_stops_with_the_best_weights():
    recipe, clean = make_recipe(card_of(epochs=4, patience=0)), make_recipe(card_of(epochs=4, patience=0))
    trained, whole = train(recipe, callbacks=[Spoil(25)]), train(clean)
    assert 'not a finite number in epoch 3, batch 5; the best weights before it are kept' in trained.reason
    assert [row['valid_loss'] for row in trained.history[:2]] == [row['valid_loss'] for row in whole.history[:2]] and trained.best_epoch in (1, 2)
    assert all(torch.isfinite(value).all() for value in trained.module.state_dict().values()) and notes(recipe)['training.stopping', 'the end of training'][0] == 'warning'


def test_repeated_trouble_in_sixteen_bits_falls_back_and_says_so():
    recipe = make_recipe(card_of(epochs=3, precision='fp16'))
    trained = train(recipe, callbacks=[Spoil(3, steps=5)])
    fallen = [said for (capability, _), (verdict, said) in notes(recipe).items() if capability == 'training.precision' and verdict == 'warning']
    assert any('training went on in fp32' in said for said in fallen) and any('fall back to fp32' in said for said in fallen) and np.isfinite(trained.history[-1]['valid_loss'])


def test_a_loss_that_explodes_keeps_the_best_weights():
    data = rows()
    recipe = make_recipe(card_of(epochs=5, patience=0, learning_rate=0.01))
    trained = train(recipe, data=data, callbacks=[Spoil(21, value=1e38)])
    assert 'the best weights before it are kept' in trained.reason and trained.best_epoch <= 2
    assert np.isfinite(trained.predict(data[2])).all()


def test_labels_that_training_never_saw_are_named():
    features, target, features_valid, target_valid = rows()
    with pytest.raises(DataError, match='codes 0 … 1; it holds values from 0 to 2'): train(make_recipe(), data=(features, target, features_valid, np.where(target_valid == 1, 2, target_valid)))


def test_a_batch_of_padding_only_does_no_harm():
    tokens = np.random.default_rng(0).integers(1, 30, (300, 8))
    target = (tokens[:, 0] > 15).astype(int)
    tokens[:64] = 0
    trained = make_recipe(card_of(epochs=2)).fit({'tokens': tokens}, target, {'tokens': tokens[:100]}, target[:100], kind='binary', classes=(0, 1), architecture='text_transformer', facts={'vocabulary': 30}, batch_size=16)
    assert all(np.isfinite([row['train_loss'], row['valid_loss']]).all() for row in trained.history) and np.isfinite(trained.predict({'tokens': np.zeros((3, 8), np.int64)})).all()


def test_what_several_processes_cannot_do_is_said():
    recipe = make_recipe(card_of(epochs=1, clip='norm', schedule='cosine', engine='ddp'))
    recipe.fit_together = lambda rows, arguments, precision: type(recipe).fit_together(recipe, rows, arguments, 'fp8')   # refused after the warning, before anything is launched
    with pytest.raises(DataError, match='fp8'): train(recipe)
    assert recipe.said[-1][0] == 'warning' and 'schedule, clip' in recipe.said[-1][1]


def test_numbers_of_sixteen_bits_only_where_they_pay():
    kind, why = choose_precision('auto', 'cpu')
    assert kind in ('fp32', 'bf16', 'fp16') and 'hardware' in why and choose_precision('fp16')[0] == 'fp16'
