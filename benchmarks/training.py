"""Training speed: this project's trainer against fastai's `tabular_learner` and against a plain PyTorch loop.

Same rows (a stated sample of the flights card's split), same network (embeddings of fastai's rule, layers 200 and 100, equal numbers of weights), same batch size, epochs, peak learning rate
and a validation pass after each epoch. The contestants take turns within one process, seed by seed, on one thread; processor seconds of the training alone are compared, and the mean AUC on the test rows
stands beside, so that speed is not bought with quality. The batch is 256 rows, four times fastai's default for tables; larger batches narrow the gap (1,024 rows: about 1.6 in fp32 and 2.1 in
bfloat16), since what fastai spends on each batch then weighs less. The bfloat16 line needs a processor that multiplies bfloat16 in hardware.
"""
from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

SEEDS = (0, 1, 2)
ROWS = 150_000  # of all sides together
EPOCHS, BATCH, RATE, DECAY, LAYERS = 3, 256, 0.005, 0.01, [200, 100]


def read_sides(rows: int = ROWS) -> tuple[dict, dict, list[int]]:
    "Features and targets of train, valid and test, missing numbers filled (so that no contestant has to), and the cardinalities."
    from dlmine.framing.card import load_card
    from dlmine.preparation.loading import load_data
    from dlmine.preparation.pipeline import TabularPreprocessor
    data = load_data(load_card(Path(__file__).resolve().parents[1]/'usecases'/'flights.yml'), rows=rows)
    preprocessor = TabularPreprocessor.fit(data.table, data.plan, data.split.train)
    features, targets = {}, {}
    for side in ('train', 'valid', 'test'):
        part = preprocessor.transform(data.rows(side))
        features[side] = {'x_num': np.where(np.isnan(part['x_num']), preprocessor.fills, part['x_num']).astype(np.float32), 'x_cat': part['x_cat']}
        targets[side] = np.asarray(data.outcomes(side)).astype(np.float32)
    return features, targets, list(preprocessor.cardinalities)


def train_fastai(features, targets, cardinalities, seed):
    "fastai's own road: a DataFrame, TabularPandas, tabular_learner, fit_one_cycle."
    import pandas as pd
    import torch
    from fastai.tabular.all import CategoryBlock, TabularPandas, tabular_learner, RegressionBlock, set_seed
    from dlmine.models.tabular import embedding_width
    sides = ('train', 'valid')
    numbers = np.vstack([features[side]['x_num'] for side in sides])
    codes = np.vstack([features[side]['x_cat'] for side in sides])
    names, categories = [f'n{i}' for i in range(numbers.shape[1])], [f'k{i}' for i in range(codes.shape[1])]
    frame = pd.concat([pd.DataFrame(numbers, columns=names), pd.DataFrame(codes, columns=categories)], axis=1)
    frame['late'] = np.concatenate([targets[side] for side in sides])
    count = len(targets['train'])
    pandas = TabularPandas(frame, procs=[], cat_names=categories, cont_names=names, y_names='late', y_block=RegressionBlock(), splits=(list(range(count)), list(range(count, len(frame)))))
    loaders = pandas.dataloaders(bs=BATCH, val_bs=8192, drop_last=False)
    set_seed(seed)
    from fastai.tabular.model import TabularModel
    from fastai.tabular.learner import TabularLearner
    network = TabularModel([(size, embedding_width(size)) for size in cardinalities], len(names), 1, LAYERS)

    def loss(logits, target): return torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target.view(-1).float())
    learner = TabularLearner(loaders, network, loss_func=loss, wd=DECAY)
    with learner.no_logging(), learner.no_bar():
        started = time.process_time()
        learner.fit_one_cycle(EPOCHS, RATE)
        seconds = time.process_time() - started
    network.eval()
    with torch.inference_mode(): scores = network(torch.from_numpy(features['test']['x_cat']), torch.from_numpy(features['test']['x_num']))[:, 0].numpy()
    return seconds, scores, weights_of(network)


def make_network(features, cardinalities, seed):
    "The same network from this project's models."
    import torch
    from dlmine.models.tabular import EmbeddingMLP
    torch.manual_seed(seed)
    return EmbeddingMLP(features['train']['x_num'].shape[1], cardinalities, 1, layers=LAYERS)


def weights_of(network) -> int: return sum(parameter.numel() for parameter in network.parameters())


def test_scores(network, features):
    import torch
    network.eval()
    with torch.inference_mode(): return network(torch.from_numpy(features['test']['x_num']), torch.from_numpy(features['test']['x_cat']))[:, 0].numpy()


def train_plain(features, targets, cardinalities, seed, precision='fp32'):
    "The loop that one writes by hand: shuffled index, AdamW, cosine, validation loss."
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as loss
    network = make_network(features, cardinalities, seed)
    tensors = {side: (torch.from_numpy(features[side]['x_num']), torch.from_numpy(features[side]['x_cat']), torch.from_numpy(targets[side])) for side in ('train', 'valid')}
    x_num, x_cat, y = tensors['train']
    half = lambda: torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bf16')
    started = time.process_time()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.9, 0.99), eps=1e-5, fused=True)
    steps = EPOCHS*math.ceil(len(y)/BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, cycle_momentum=False)
    for _ in range(EPOCHS):
        network.train()
        order = torch.randperm(len(y))
        for start in range(0, len(y), BATCH):
            rows = order[start:start + BATCH]
            with half(): logits = network(x_num[rows], x_cat[rows])
            value = loss(logits[:, 0].float(), y[rows])
            value.backward()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
        network.eval()
        with torch.no_grad(), half():
            logits = torch.cat([network(*(tensor[start:start + 8192] for tensor in tensors['valid'][:2])) for start in range(0, len(targets['valid']), 8192)])
            loss(logits[:, 0].float(), tensors['valid'][2]).item()
    seconds = time.process_time() - started
    return seconds, test_scores(network, features), weights_of(network)


def train_ours(features, targets, cardinalities, seed, precision='fp32'):
    "This project's fastai Learner with its batches and callbacks, as training.learner.fit puts it together."
    from dlmine.training.batches import as_tensors, make_batches
    from dlmine.training.learner import make_learner, precomputed
    from dlmine.training.losses import Loss
    network = make_network(features, cardinalities, seed)
    started = time.process_time()
    with precomputed(network, *(as_tensors(features[side], targets[side]) for side in ('train', 'valid'))) as sides:
        learner = make_learner(make_batches(*sides, BATCH, seed), network, Loss('binary'), learning_rate=RATE, weight_decay=DECAY, precision=precision, patience=0)
        with learner.no_logging(), learner.no_mbar(): learner.fit(EPOCHS, RATE)
    seconds = time.process_time() - started
    return seconds, test_scores(network, features), weights_of(network)


def take(features, targets, rows):
    return ({side: {name: values[:rows] for name, values in part.items()} for side, part in features.items()}, {side: values[:rows] for side, values in targets.items()})


def main() -> list[dict]:
    "One row per peer and precision."
    import torch
    from dlmine.measures.ranking import roc_auc
    from dlmine.training.learner import has_fast_bfloat16
    torch.set_num_threads(1)
    features, targets, cardinalities = read_sides()
    contestants = {'fastai': train_fastai, 'plain': train_plain, 'ours': train_ours}
    if has_fast_bfloat16(): contestants['ours bf16'] = lambda *arguments: train_ours(*arguments, precision='bf16')
    else: print('training_fastai_bf16: left out: this processor does not multiply bfloat16 in hardware (no avx512_bf16 or amx_bf16)')
    few = take(features, targets, 4 * BATCH)
    weights = {name: train(*few, cardinalities, 0)[2] for name, train in contestants.items()}   # also warms up imports and caches
    assert len(set(weights.values())) == 1, f'not the same network: {weights}'
    seconds, quality = {name: [] for name in contestants}, {name: [] for name in contestants}
    for seed in SEEDS:
        for name, train in contestants.items():
            spent, scores, _ = train(features, targets, cardinalities, seed)
            seconds[name].append(spent)
            quality[name].append(roc_auc(targets['test'], scores))
    cost, auc = ({name: float(np.mean(values)) for name, values in table.items()} for table in (seconds, quality))
    facts = {'train_rows': len(targets['train']), 'epochs': EPOCHS, 'batch': BATCH, 'seeds': len(SEEDS), 'weights': weights['ours'], 'cpu_seconds': {name: round(value, 2) for name, value in cost.items()}}
    rows = [{'name': 'training_fastai_fp32', 'ratio': cost['fastai']/cost['ours'], 'goal': 1.4, 'quality': auc['ours'], 'against': auc['fastai'], **facts},
            {'name': 'training_plain_loop', 'ratio': cost['plain']/cost['ours'], 'goal': 1/1.1, 'quality': auc['ours'], 'against': auc['plain'], **facts}]
    if 'ours bf16' in cost: rows.append({'name': 'training_fastai_bf16', 'ratio': cost['fastai']/cost['ours bf16'], 'goal': 2.5, 'quality': auc['ours bf16'], 'against': auc['fastai'], **facts})
    return rows


if __name__ == '__main__':
    for row in main(): print(f"{row['name']}: ratio {row['ratio']:.2f} (goal {row['goal']:.2f}) quality {row['quality']:.3f} against {row['against']:.3f}; {row['cpu_seconds']}")
