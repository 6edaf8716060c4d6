"""Processor seconds to a peer's final AUC: this project's trainer against fastai's `tabular_learner` and pytorch-tabular's CategoryEmbeddingModel, on a stated sample of the flights card's split.

Each peer trains EPOCHS epochs by its own road, with the same layers (200, 100), batch and peak rate, and is judged by its AUC on the validation rows afterwards (outside the clock). This project trains one, two and three whole
schedules (each a run of its own, with its validation pass inside the clock); the shortest whose mean AUC over the seeds reaches the peer's is what counts. The contestants take turns, seed by seed, on one thread. The AUC on the test
rows stands beside. pytorch-tabular is not among the locked packages: where it cannot be imported its row is left out, and said so.
"""
from __future__ import annotations

import contextlib
import logging
import tempfile
import time
import warnings

import numpy as np
import training
from training import BATCH, DECAY, EPOCHS, LAYERS, RATE, SEEDS, read_sides, train_fastai, train_ours

ROWS = 90_000  # of all sides together


def judged(features: dict, targets: dict, train, *arguments) -> dict:
    "Seconds of one training, and its AUC on valid and test: the contestant scores both as if they were test rows."
    from dlmine.measures.ranking import roc_auc
    together = {**features, 'test': {name: np.concatenate([features[side][name] for side in ('valid', 'test')]) for name in features['test']}}
    spent, scores, _ = train(together, targets, *arguments)
    cut = len(targets['valid'])
    return {'seconds': spent, 'valid': roc_auc(targets['valid'], scores[:cut]), 'test': roc_auc(targets['test'], scores[cut:])}


def train_pytorch_tabular(features, targets, cardinalities, seed):
    "pytorch-tabular's own road; only `train` is on the clock."
    import pandas as pd
    import torch
    from pytorch_tabular import TabularModel
    from pytorch_tabular.config import DataConfig, OptimizerConfig, TrainerConfig
    from pytorch_tabular.models import CategoryEmbeddingModelConfig
    names, categories = [f'n{i}' for i in range(features['train']['x_num'].shape[1])], [f'k{i}' for i in range(len(cardinalities))]
    def frame(side):
        made = pd.concat([pd.DataFrame(features[side]['x_num'], columns=names), pd.DataFrame(features[side]['x_cat'], columns=categories)], axis=1)
        return made.assign(late=targets[side].astype(int) if side in targets and len(targets[side]) == len(made) else 0)
    rate = dict(optimizer='AdamW', optimizer_params={'weight_decay': DECAY}, lr_scheduler='OneCycleLR', lr_scheduler_params={'max_lr': RATE, 'total_steps': EPOCHS * -(-len(targets['train']) // BATCH)}, lr_scheduler_interval='step')
    model = TabularModel(data_config=DataConfig(target=['late'], continuous_cols=names, categorical_cols=categories, normalize_continuous_features=False),
                         model_config=CategoryEmbeddingModelConfig(task='classification', layers='-'.join(map(str, LAYERS)), learning_rate=RATE),
                         optimizer_config=OptimizerConfig(**rate), verbose=False, suppress_lightning_logger=True,
                         trainer_config=TrainerConfig(batch_size=BATCH, max_epochs=EPOCHS, accelerator='cpu', early_stopping=None, checkpoints=None, load_best=False, progress_bar='none', seed=seed, trainer_kwargs=dict(enable_model_summary=False)))
    loaded = model.prepare_dataloader(frame('train'), frame('valid'), seed=seed)
    network = model.prepare_model(loaded)
    started = time.process_time()
    model.train(network, loaded)
    seconds = time.process_time() - started
    torch.set_num_threads(1)
    scores = model.predict(frame('test'), progress_bar='none')
    return seconds, scores[[name for name in scores.columns if name.endswith('1_probability')][0]].to_numpy(), training.weights_of(network)


def ours(epochs: int, precision: str):
    "This project's training with a schedule of so many epochs."
    def train(*arguments):
        before, training.EPOCHS = training.EPOCHS, epochs
        try: return train_ours(*arguments, precision=precision)
        finally: training.EPOCHS = before
    return train


def main(rows: int = ROWS) -> list[dict]:
    "One row per peer and precision."
    import torch
    from dlmine.training.learner import has_fast_bfloat16
    warnings.filterwarnings('ignore')
    for name in ('pytorch_tabular', 'pytorch_lightning', 'lightning', 'lightning.pytorch'): logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    features, targets, cardinalities = read_sides(rows)
    peers = {'fastai': train_fastai}
    try:
        import pytorch_tabular  # noqa: F401
        peers['pytorch_tabular'] = train_pytorch_tabular
    except ImportError as error: print(f'time_to_auc_pytorch_tabular: left out: {error}')
    formats = ('fp32', 'bf16') if has_fast_bfloat16() else ('fp32',)
    contestants = {**peers, **{(epochs, precision): ours(epochs, precision) for precision in formats for epochs in range(1, EPOCHS + 1)}}
    few = training.take(features, targets, 4 * BATCH)
    found = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):   # lightning leaves its logs where it stands
        for train in contestants.values(): train(*few, cardinalities, 0)   # imports and kernels
        for seed in SEEDS:
            for name, train in contestants.items(): found[name].append(judged(features, targets, train, cardinalities, seed))
    mean = {name: {key: float(np.mean([one[key] for one in runs])) for key in runs[0]} for name, runs in found.items()}
    for name, one in mean.items(): print(name, {key: round(value, 4) for key, value in one.items()}, flush=True)
    made = []
    for peer, goal in (('fastai', 2.5), ('pytorch_tabular', 4.0)):
        for precision in formats if peer in peers else ():
            reached = [epochs for epochs in range(1, EPOCHS + 1) if mean[epochs, precision]['valid'] >= mean[peer]['valid']]
            taken = mean[(reached or [EPOCHS])[0], precision]
            made.append({'name': f'time_to_auc_{peer}_{precision}', 'ratio': mean[peer]['seconds'] / taken['seconds'] if reached else 0.0, 'goal': goal, 'quality': taken['test'], 'against': mean[peer]['test'], 'epochs_of_ours': reached[:1] or None, 'epochs_of_peer': EPOCHS,
                         'valid_auc': taken['valid'], 'valid_auc_of_peer': mean[peer]['valid'], 'train_rows': len(targets['train']), 'batch': BATCH, 'seeds': len(SEEDS), 'cpu_seconds': {'ours': round(taken['seconds'], 2), peer: round(mean[peer]['seconds'], 2)}})
    return made


if __name__ == '__main__':
    import json
    import sys
    for row in main(*map(int, sys.argv[1:])): print(json.dumps(row))
