"Several processes: replicas, shards and stages learn what one process learns; a worker that dies is replaced."
import json

import numpy as np
import pytest
import torch

from dlmine.core.errors import DataError
from dlmine.training.distributed import curve_gap, fit_distributed, launch, read_result, worker_environment, write_plan
from dlmine.training.engines import row_weights, shares


def rows(count=1000):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, 6)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + generator.normal(size=count) > 0).astype(int)
    return {'x_num': x[:800], 'x_cat': np.zeros((800, 0), np.int64)}, y[:800], {'x_num': x[800:], 'x_cat': np.zeros((count - 800, 0), np.int64)}, y[800:]


PLAN = dict(kind='binary', classes=(0, 1), architecture='ft_transformer', arguments={'dropout': 0.0, 'attention_dropout': 0.0, 'width': 16, 'hidden': 16}, epochs=2, batch_size=100, patience=0)


@pytest.fixture(scope='module')
def trainings(tmp_path_factory):
    "One process, then on two: replicas, shards, stages, and replicas of which one dies in the middle."
    place = tmp_path_factory.mktemp('distributed')
    plans = {'one': 'ddp', 'ddp': 'ddp', 'fsdp': 'fsdp', 'pipeline': 'pipeline', 'killed': 'ddp'}
    for name, engine in plans.items(): write_plan(place / name, *rows(), engine=engine, checkpoint_steps=3, drill={'rank': 1, 'step': 7} if name == 'killed' else None, **PLAN)
    launch([place / 'one'], 1, restarts=0, timeout=300)
    launch([place / name for name in ('ddp', 'fsdp', 'pipeline', 'killed')], 2, restarts=2, timeout=300)
    return {name: read_result(place / name, rows()[0], (0, 1)) for name in plans}


@pytest.mark.parametrize('engine', ['ddp', 'fsdp', 'pipeline'])
def test_engines_learn_what_one_process_learns(trainings, engine):
    one, two = trainings['one'], trainings[engine]
    assert two.processes == 2 and curve_gap(two.trained.history, one.trained.history) <= 1e-5
    assert np.abs(two.trained.predict(rows()[2]) - one.trained.predict(rows()[2])).max() < 1e-4
    assert two.trained.module.state_dict().keys() == one.trained.module.state_dict().keys()   # the model does not tell which engine ran it


def test_a_killed_worker_is_replaced_and_the_curve_is_the_same(trainings):
    killed, whole = trainings['killed'], trainings['ddp']
    assert killed.restarts == 1 and any('Resumed in epoch 1, after batch 6' in event['text'] for event in killed.events)
    assert [(row['train_loss'], row['valid_loss']) for row in killed.trained.history] == [(row['train_loss'], row['valid_loss']) for row in whole.trained.history]
    assert killed.evidence().verdict == 'warning' and 'Resumed' in killed.evidence().notes


def test_messages_are_measured(trainings):
    assert 0 < trainings['ddp'].communication <= 1 and 'communication' in trainings['ddp'].table()


def test_wrong_wishes_are_refused_before_anything_is_started(tmp_path):
    for wish, said in (({'engine': 'dpp'}, "Did you mean 'ddp'"), ({'precision': 'fp16'}, 'fp32 or bf16'), ({'architecture': 'ft_transformr'}, 'ft_transformer')):
        with pytest.raises(DataError, match=said): write_plan(tmp_path, *rows(), **{**PLAN, **wish})
    with pytest.raises(DataError, match='launcher'): launch([tmp_path], 2, launcher='torchrunn')
    (tmp_path / 'result.json').write_text(json.dumps({}))
    with pytest.raises(DataError, match='finished'): fit_distributed(*rows(), folder=tmp_path, **PLAN)


def test_ray_is_an_extra_and_says_so(tmp_path):
    try: import ray
    except ImportError:
        with pytest.raises(DataError, match='needs the package ray'): launch([tmp_path], 2, launcher='ray')


def test_rows_are_shared_without_loss():
    for count, world in ((10, 3), (2, 3), (7, 1)):
        parts = shares(count, world)
        assert [row for part in parts for row in range(count)[part]] == list(range(count))
    assert torch.allclose(row_weights(torch.tensor([0, 1, 1]), torch.tensor([2.0, 1.0])), torch.tensor([0.5, 0.25, 0.25]))


def test_workers_do_not_inherit_a_launcher(monkeypatch):
    monkeypatch.setenv('RANK', '3')
    assert 'RANK' not in worker_environment(2)
