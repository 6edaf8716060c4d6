"""Training on several processes (gloo, one machine): how near the loss curves are to that of one process, what the messages cost, how it scales, and ten trainings of which one worker is killed in the middle.

No peer: the reference is this project's own single process on the same rows, network (FT-Transformer, layer normalisation, no dropout, fp32) and global batch. On two cores the efficiency says little of a cluster.
`python benchmarks/distributed.py [ROWS]`; the drill kills worker 1 with SIGKILL at another step in each of ten trainings, which torchrun restarts.
"""
from __future__ import annotations

import os

os.environ.setdefault('OMP_NUM_THREADS', '1')

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS, DRILLS = 2000, 10
PLAN = dict(kind='binary', classes=(0, 1), architecture='ft_transformer', arguments={'dropout': 0.0, 'attention_dropout': 0.0, 'width': 32, 'hidden': 32}, epochs=3, batch_size=100, patience=0)


def make_rows(rows: int) -> tuple:
    "Features and target of train and valid."
    random = np.random.default_rng(0)
    x, codes = random.normal(size=(rows, 8)).astype(np.float32), random.integers(0, 6, (rows, 3))
    y = (x[:, 0] + x[:, 1] * x[:, 2] + (codes[:, 0] > 2) + random.normal(size=rows) > 0.5).astype(int)
    cut = rows * 4 // 5
    return {'x_num': x[:cut], 'x_cat': codes[:cut]}, y[:cut], {'x_num': x[cut:], 'x_cat': codes[cut:]}, y[cut:]


def drill(sides: tuple, place: Path) -> dict:
    "Ten trainings whose worker 1 kills itself once, in one launch each; how many finished, and how many with the curve of the one that was left alone."
    from dlmine.training.distributed import launch, write_plan
    names = ['whole', *(f'killed{i}' for i in range(DRILLS))]
    finished = same = 0
    for number, name in enumerate(names):
        write_plan(place/name, *sides, engine='ddp', checkpoint_steps=5, drill=None if name == 'whole' else {'rank': 1, 'step': 2 + 3 * number}, **PLAN)
        try: launch([place/name], 2, restarts=1, timeout=300)
        except Exception as error:
            print(f'{name}: {error}', file=sys.stderr)
            continue
        result = json.loads((place/name/'result.json').read_text())
        curve = [(row['train_loss'], row['valid_loss']) for row in result['history']]
        if name == 'whole': whole = curve
        elif result['restarts'] == 1: finished, same = finished + 1, same + (curve == whole)
    return {'finished': finished, 'same_curve': same}


def main(rows: int = ROWS) -> list[dict]:
    "Gap of the curves, killed workers, scaling."
    from dlmine.training.distributed import measure_scaling
    sides = make_rows(rows)
    scaling = measure_scaling(*sides, engines=('ddp', 'fsdp', 'pipeline'), processes=(1, 2), **PLAN)
    table = [dict(row) for row in scaling.rows]
    with tempfile.TemporaryDirectory() as place: done = drill(sides, Path(place))
    gap = max(row['loss_gap'] for row in table if row['loss_gap'] is not None)
    return [{'name': 'distributed_loss_gap', 'value': gap, 'unit': 'largest difference of the loss', 'goal': 1e-5, 'rows': len(sides[1]), 'table': table, 'notes': scaling.notes},
            {'name': 'distributed_killed_workers', 'value': done['finished'], 'unit': f'of {DRILLS} finished', 'better': 'higher', 'goal': DRILLS, **done}]


if __name__ == '__main__':
    for row in main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS): print(json.dumps(row))
