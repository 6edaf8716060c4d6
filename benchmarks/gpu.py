"""All that needs a GPU, in one command: `python benchmarks/gpu.py`. Epochs of a table with batches that stay on the device against fastai's own, the gain of bf16 and fp16, and a launch with NCCL.

Without a GPU it says so and gives no rows, so that the last figures stay. Both sides train the same network on the same rows in turns; wall time, synchronised, the median of five epochs after one to warm up.
"""
from __future__ import annotations

import json
import time

import numpy as np

ROWS, BATCH, EPOCHS = 500_000, 4096, 6


def make_rows(rows: int = ROWS) -> tuple:
    "Numbers, codes and target."
    random = np.random.default_rng(0)
    x, codes = random.standard_normal((rows, 20), dtype=np.float32), random.integers(0, 50, (rows, 6))
    return x, codes, (x[:, 0] + x[:, 1] * x[:, 2] + random.standard_normal(rows, dtype=np.float32) > 0).astype(np.float32)


def epochs_of(learner) -> float:
    "Seconds of an epoch."
    import torch
    from fastai.callback.core import Callback

    class Clock(Callback):
        order, taken = 90, ()
        def before_epoch(self): torch.cuda.synchronize(); self.begun = time.perf_counter()
        def after_epoch(self): torch.cuda.synchronize(); self.taken = (*self.taken, time.perf_counter() - self.begun)

    clock = Clock()
    learner.add_cb(clock)
    with learner.no_logging(): learner.fit(EPOCHS, 0.002)
    return float(np.median(clock.taken[1:]))


def ours(sides, precision: str = 'fp32') -> float:
    "This project's Learner with batches on the device."
    import torch
    from dlmine.models.tabular import EmbeddingMLP
    from dlmine.training.batches import as_tensors, make_batches
    from dlmine.training.learner import make_learner
    from dlmine.training.losses import Loss
    from dlmine.training.precision import Precision
    train, valid = ({'x_num': x, 'x_cat': codes} for x, codes, _ in sides)
    batches = make_batches(as_tensors(train, sides[0][2]), as_tensors(valid, sides[1][2]), BATCH, 0, 'cuda')
    torch.manual_seed(0)
    learner = make_learner(batches, EmbeddingMLP(20, [50] * 6, 1, layers=[200, 100]).cuda(), Loss('binary'), [] if precision == 'fp32' else [Precision(precision)], patience=0)
    with learner.no_mbar(): return epochs_of(learner)


def fastais(sides) -> float:
    "fastai's tabular road."
    import pandas as pd
    import torch
    from fastai.tabular.all import RegressionBlock, TabularPandas
    from fastai.tabular.learner import TabularLearner
    from fastai.tabular.model import TabularModel
    from dlmine.models.tabular import embedding_width
    numbers, codes, target = (np.concatenate([side[place] for side in sides]) for place in range(3))
    names, categories = [f'n{i}' for i in range(20)], [f'k{i}' for i in range(6)]
    frame = pd.concat([pd.DataFrame(numbers, columns=names), pd.DataFrame(codes, columns=categories)], axis=1).assign(y=target)
    cut = len(sides[0][2])
    loaders = TabularPandas(frame, procs=[], cat_names=categories, cont_names=names, y_names='y', y_block=RegressionBlock(), splits=(list(range(cut)), list(range(cut, len(frame))))).dataloaders(bs=BATCH, val_bs=8192, device='cuda')
    loss = lambda logits, wanted: torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], wanted.view(-1).float())
    learner = TabularLearner(loaders, TabularModel([(50, embedding_width(50))] * 6, 20, 1, [200, 100]).cuda(), loss_func=loss)
    with learner.no_bar(): return epochs_of(learner)


def nccl() -> dict:
    "One training per GPU under torchrun."
    import torch
    from dlmine.training.distributed import fit_distributed
    x, codes, y = make_rows(20_000)
    cut = 16_000
    done = fit_distributed({'x_num': x[:cut], 'x_cat': codes[:cut]}, y[:cut].astype(int), {'x_num': x[cut:], 'x_cat': codes[cut:]}, y[cut:].astype(int), engine='ddp', processes=torch.cuda.device_count(), device='cuda', kind='binary', classes=(0, 1), architecture='ft_transformer', epochs=2, patience=0)
    return {'backend': done.backend, 'processes': done.processes, 'communication': done.communication, 'valid_loss': done.trained.history[-1]['valid_loss']}


def main() -> list[dict]:
    "Rows with the device's name; none without a GPU."
    import torch
    if not torch.cuda.is_available():
        print('gpu: left out: torch sees no GPU here')
        return []
    device = torch.cuda.get_device_name()
    x, codes, y = make_rows()
    cut = ROWS * 4 // 5
    sides = ((x[:cut], codes[:cut], y[:cut]), (x[cut:], codes[cut:], y[cut:]))
    theirs, own = fastais(sides), ours(sides)
    half = {kind: ours(sides, kind) for kind in ('bf16', 'fp16')}
    launched = nccl()
    facts = {'device': device, 'rows': cut, 'batch': BATCH}
    return [{'name': 'gpu_fastai_epoch', 'ratio': theirs / own, 'goal': 10, 'seconds_of_an_epoch': {'fastai': theirs, 'ours': own}, **facts},
            *({'name': f'gpu_{kind}', 'ratio': own / seconds, 'goal': 1, **facts} for kind, seconds in half.items()),
            {'name': 'gpu_nccl', 'value': launched['processes'], 'unit': 'processes', 'better': 'higher', 'goal': 1, 'device': device, **launched}]


if __name__ == '__main__':
    for row in main(): print(json.dumps(row))
