"Checkpoints: whole or absent, named when corrupt, and a training that is killed anywhere ends with the same bits."
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback

from dlmine.core.errors import DataError, IntegrityError
from dlmine.training.batch_drift import BatchDrift
from dlmine.training.budgets import Budgets
from dlmine.training.checkpoints import Checkpoints, newest, pack, random_states, read_checkpoint, set_random_states, unpack, write_checkpoint
from dlmine.training.learner import fit
from dlmine.training.precision import Precision
from dlmine.training.schedules import Schedule


class Killed(Exception): pass


class Kill(Callback):
    order = 99

    def __init__(self, epoch, batch):
        super().__init__()
        self.at = (epoch, batch)

    def after_batch(self):
        if self.learn.training and (self.learn.epoch, self.learn.iter) == self.at: raise Killed


def data(rows=600):
    generator = np.random.default_rng(0)
    x_num = generator.normal(size=(rows, 5)).astype(np.float32)
    return x_num, (x_num[:, 0] + x_num[:, 1] * x_num[:, 2] + generator.normal(size=rows) > 0).astype(int)


def train(*callbacks, **others):
    x_num, target = data()
    return fit({'x_num': x_num[:400]}, target[:400], {'x_num': x_num[400:]}, target[400:], **{'kind': 'binary', 'classes': (0, 1), 'epochs': 4, 'batch_size': 40, 'patience': 0, 'callbacks': callbacks, **others})


def same(one, two):
    curves = [[(row['epoch'], row['train_loss'], row['valid_loss'], row['kpi']) for row in trained.history] for trained in (one, two)]
    return curves[0] == curves[1] and one.best_epoch == two.best_epoch and all(torch.equal(a, b) for a, b in zip(one.module.state_dict().values(), two.module.state_dict().values()))


@pytest.mark.parametrize('place', [(0, 0), (0, 4), (1, 9), (2, 0), (3, 5), (3, 9)])
def test_interrupted_anywhere_the_result_is_the_same_bits(tmp_path, place):
    whole = train()
    with pytest.raises(Killed): train(Checkpoints(tmp_path / 'run', steps=1), Kill(*place))
    keeper = Checkpoints(tmp_path / 'run', steps=1)
    resumed = train(keeper)
    assert same(whole, resumed) and keeper.resumed['step'] in (place[0] * 10 + place[1] + 1, place[0] * 10 + place[1])
    assert not (tmp_path / 'run').exists() and keeper.report().events[0]['what'] == 'resumed'


GUARDS = {'one cycle': lambda: [Schedule('one_cycle', 0.01)], 'plateau': lambda: [Schedule('plateau', 0.01, patience=0)], 'half': lambda: [Precision('fp16', scale=2.0 ** 26, trouble=99)], 'drift': lambda: [BatchDrift(windows=2)], 'budget': lambda: [Budgets({'rows': 1300})]}


@pytest.mark.parametrize('name', GUARDS)
def test_what_the_guards_remember_is_resumed(tmp_path, name):
    first = GUARDS[name]()
    whole = train(*first)
    with pytest.raises(Killed): train(*GUARDS[name](), Checkpoints(tmp_path / 'run', steps=4), Kill(2, 6))
    again = GUARDS[name]()
    resumed = train(*again, Checkpoints(tmp_path / 'run', steps=4))
    assert same(whole, resumed) and whole.reason == resumed.reason
    if name == 'half': assert first[0].ledger == again[0].ledger and first[0].report() == again[0].report()
    if name == 'drift': assert first[0].strip == again[0].strip
    if name == 'budget': assert again[0].report().spent['rows'] == first[0].report().spent['rows'] == 1320


def test_patience_and_the_best_weights_outlive_an_interruption(tmp_path):
    settings = dict(patience=2, epochs=30, learning_rate=0.05)
    whole = train(**settings)
    assert 'had not improved' in whole.reason
    with pytest.raises(Killed): train(Checkpoints(tmp_path / 'run', steps=5), Kill(len(whole.history) - 1, 3), **settings)
    assert same(whole, train(Checkpoints(tmp_path / 'run', steps=5), **settings))


def test_a_corrupt_checkpoint_is_named_and_the_one_before_used(tmp_path):
    whole = train()
    with pytest.raises(Killed): train(Checkpoints(tmp_path, steps=4, clear=False), Kill(2, 6))
    last = sorted(tmp_path.glob('step_*'))[-1]
    (last / 'state.safetensors').write_bytes((last / 'state.safetensors').read_bytes()[:-4] + b'oops')
    keeper = Checkpoints(tmp_path, steps=4)
    assert same(whole, train(keeper)) and keeper.report().figures['corrupt'] == 1
    said = keeper.report().evidence()[1]
    assert said.verdict == 'warning' and last.name in said.notes and 'one before it is used' in said.notes


def test_when_all_are_corrupt_training_starts_anew_and_says_so(tmp_path):
    with pytest.raises(Killed): train(Checkpoints(tmp_path, steps=4, clear=False), Kill(2, 6))
    for path in tmp_path.glob('step_*'): (path / 'state.json').write_text('{')
    keeper = Checkpoints(tmp_path)
    assert same(train(), train(keeper)) and 'starts anew' in keeper.events[-1]['text'] and keeper.resumed is None


@pytest.mark.parametrize('damage,said', [(lambda path: (path / 'state.json').unlink(), 'state.json cannot be read'), (lambda path: (path / 'state.safetensors').unlink(), 'is missing'),
                                         (lambda path: (path / 'state.json').write_text((path / 'state.json').read_text().replace('"step": 1', '"step": 2', 1)), 'checksum'), (lambda path: (path / 'state.json').write_text('[]'), 'checksum')])
def test_every_damage_is_named(tmp_path, damage, said):
    path = write_checkpoint(tmp_path, 1, {'a': torch.ones(3)})
    damage(path)
    with pytest.raises(IntegrityError, match=said): read_checkpoint(path)
    assert newest(tmp_path)[0] is None


def test_half_written_folders_are_not_checkpoints(tmp_path):
    write_checkpoint(tmp_path, 1, {'a': 1})
    (tmp_path / '.writing_0000000002').mkdir()
    assert newest(tmp_path) == ({'a': 1}, [])
    for step in (2, 3, 4): write_checkpoint(tmp_path, step, {'a': step}, last=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['step_0000000003', 'step_0000000004']


def test_states_come_back_as_they_were():
    state = {'a': [1, None, True, 'x', float('inf'), -0.0], 'b': (1, (2,)), 3: {'t': torch.arange(3), 'n': np.arange(4.0)}, 'row': [torch.tensor(float(i)) for i in range(12)], 'empty': {}, 'half': torch.ones(2, dtype=torch.bfloat16)}
    tensors = {}
    back = unpack(json.loads(json.dumps(pack(state, tensors))), tensors)
    assert back['a'] == state['a'] and back['b'] == state['b'] and torch.equal(back[3]['t'], state[3]['t']) and np.array_equal(back[3]['n'], state[3]['n']) and back['row'] == state['row'] and back['half'].dtype == torch.bfloat16
    with pytest.raises(DataError, match='object'): pack({'x': object()}, {})


def test_random_numbers_go_on_where_they_were():
    states = random_states()
    drawn = [torch.rand(3), np.random.rand(3), [random.random()]]
    set_random_states(states)
    assert all(np.array_equal(a, b) for a, b in zip(drawn, [torch.rand(3), np.random.rand(3), [random.random()]]))


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    with pytest.raises(Killed): train(Checkpoints(tmp_path, steps=4, clear=False), Kill(1, 6))
    for settings, said in ((dict(seed=1), 'seed was 0 and is 1'), (dict(epochs=9), 'epochs'), (dict(arguments={'layers': [7]}), 'network differs')):
        with pytest.raises(DataError, match=said): train(Checkpoints(tmp_path), **settings)
    with pytest.raises(DataError, match='last two'): Checkpoints(tmp_path, last=1)


@pytest.mark.faults
def test_killed_with_signal_nine_and_resumed(tmp_path):
    "Killed again and again at random steps, the training ends with the bits of one that was left alone."
    script, rng = Path(__file__).with_name('killed_training.py'), random.Random(3)
    start = lambda folder, result: subprocess.Popen([sys.executable, str(script), str(folder), str(result)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {'OMP_NUM_THREADS': '1'})
    whole = start('-', tmp_path / 'whole.json')
    assert whole.wait(timeout=300) == 0, whole.stderr.read()[-2000:]
    steps, kills = 4 * 13, 0
    for at in (rng.randrange(2, 20), rng.randrange(5, 20)):
        process = start(tmp_path / 'run', tmp_path / 'killed.json')
        for _ in range(at): process.stdout.readline()
        kills += process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert kills == 2 and not (tmp_path / 'killed.json').exists() and len(list((tmp_path / 'run').glob('step_*'))) == 2
    last = start(tmp_path / 'run', tmp_path / 'killed.json')
    said, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors[-2000:]
    assert len(said.splitlines()) < steps
    assert json.loads((tmp_path / 'killed.json').read_text()) == json.loads((tmp_path / 'whole.json').read_text())
