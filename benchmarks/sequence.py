"""Sequences: five seeds of every network on the Japanese vowels beside summary statistics with logistic regression, and the trainer's batches against a plain PyTorch loop.

Quality: the card's division (270 utterances to learn from, of which 36 validate; 370 to be judged by), thirty epochs, label smoothing 0.1, the epoch with the lowest validation loss. The rival has the statistics of the same
preprocessor and the same training rows; its strength (C) is chosen on the validation rows.

Speed: the same GRU, batch size, number of epochs and schedule on the training utterances eight times over (so that a run takes seconds), a validation pass after each epoch. The plain loop is what one writes by hand: a shuffled order, batches
padded to their longest utterance, AdamW, a rate for each step. The contestants take turns within one process, on one thread; processor seconds are compared, and the test accuracy stands beside.
"""
from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

SEEDS = (0, 1, 2, 3, 4)
NETWORKS = ('gru', 'lstm', 'convolution', 'temporal_convolution', 'sequence_transformer', 'convolution_gru')
COPIES, EPOCHS, BATCH, RATE, DECAY = 8, 4, 32, 0.003, 0.05


def read_sides() -> tuple:
    "The card's data, its preprocessor, features and targets of the three sides."
    from dlmine.framing.card import load_card
    from dlmine.preparation.loading import load_data
    from dlmine.preparation.modalities import fit_preprocessor
    data = load_data(load_card(Path(__file__).resolve().parents[1]/'usecases'/'japanese_vowels.yml'))
    preprocessor = fit_preprocessor(data)
    sides = ('train', 'valid', 'test')
    return data, preprocessor, {side: preprocessor.transform(data.rows(side)) for side in sides}, {side: data.outcomes(side) for side in sides}


def accuracy_of(network: str, seed: int, data, preprocessor, features, targets) -> float:
    "Test accuracy of one training."
    from dlmine.training.learner import fit
    trained = fit(features['train'], targets['train'], features['valid'], targets['valid'], kind=data.kind, classes=data.classes, architecture=network, facts=preprocessor.arguments(), seed=seed, smoothing=0.1, patience=0)
    return float((trained.predict(features['test']).argmax(axis=1) == targets['test']).mean())


def rival(features, targets) -> float:
    "Test accuracy of logistic regression on the statistics."
    from sklearn.linear_model import LogisticRegression
    numbers = {side: np.nan_to_num(features[side]['x_num']) for side in features}
    fitted = [LogisticRegression(C=strength, max_iter=2000).fit(numbers['train'], targets['train']) for strength in (0.001, 0.01, 0.1, 1.0)]
    best = max(fitted, key=lambda model: (model.score(numbers['valid'], targets['valid']), -model.C))
    return float(best.score(numbers['test'], targets['test']))


def quality(data, preprocessor, features, targets) -> list[dict]:
    "A row for each network, its goal on the best of them."
    found = {network: [accuracy_of(network, seed, data, preprocessor, features, targets) for seed in SEEDS] for network in NETWORKS}
    against, best = rival(features, targets), max(found, key=lambda network: np.mean(found[network]))
    rows = []
    for network, shares in found.items():
        goal = 0.98 if network == best else 0.9
        rows.append({'name': f'sequence_{network}', 'value': float(np.mean(shares)), 'unit': 'accuracy', 'goal': goal, 'better': 'higher', 'least': min(shares), 'seeds': len(shares), 'summary_and_logistic': against, 'best_of_all': network == best})
    return rows


def plain_loop(module, train: tuple, valid: tuple, seed: int) -> float:
    "A training loop as one writes it by hand; processor seconds."
    import torch
    from torch.nn.functional import cross_entropy
    steps, length, target = train
    optimiser = torch.optim.AdamW(module.parameters(), lr=RATE, betas=(0.9, 0.99), eps=1e-5, weight_decay=DECAY, fused=True)
    generator, total, done = torch.Generator().manual_seed(seed), EPOCHS * -(-len(target) // BATCH), 0
    started = time.process_time()
    for epoch in range(EPOCHS):
        module.train()
        for rows in torch.randperm(len(target), generator=generator).split(BATCH):
            progress = done / total
            for group in optimiser.param_groups: group['lr'] = RATE * (max(0.001, progress / 0.1) if progress < 0.1 else 0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9)))
            longest = int(length[rows].max())
            loss = cross_entropy(module(steps[rows, :longest], length[rows]), target[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
        module.eval()
        with torch.no_grad(): cross_entropy(module(*valid[:2]), valid[2]).item()
    return time.process_time() - started


def speed(data, preprocessor, features, targets) -> dict:
    "Processor seconds of the plain loop over those of the trainer."
    import torch
    from dlmine.models.architectures import build
    from dlmine.training.learner import fit
    many = {name: np.concatenate([values] * COPIES) for name, values in features['train'].items()}
    target = np.concatenate([targets['train']] * COPIES)
    tensors = lambda part, values: (torch.from_numpy(part['steps']), torch.from_numpy(part['length']), torch.from_numpy(values))
    ours, plain, right, against = [], [], [], []
    for seed in (0, 1, 2):
        trained = fit(many, target, features['valid'], targets['valid'], kind=data.kind, classes=data.classes, architecture='gru', facts=preprocessor.arguments(), seed=seed, epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, weight_decay=DECAY, patience=0)
        ours.append(trained.cpu_seconds)
        right.append(float((trained.predict(features['test']).argmax(axis=1) == targets['test']).mean()))
        torch.manual_seed(seed)
        module = build(trained.architecture)
        plain.append(plain_loop(module, tensors(many, target), tensors(features['valid'], targets['valid']), seed))
        with torch.no_grad(): against.append(float((module.eval()(*tensors(features['test'], targets['test'])[:2]).argmax(dim=1).numpy() == targets['test']).mean()))
    return {'name': 'sequence_speed', 'ratio': float(np.sum(plain) / np.sum(ours)), 'goal': 0.9, 'quality': float(np.mean(right)), 'against': float(np.mean(against)), 'goal_quality': -0.015, 'ours_seconds': round(float(np.sum(ours)), 2), 'plain_seconds': round(float(np.sum(plain)), 2),
            'utterances': len(target), 'peer': 'plain PyTorch loop'}


def main() -> list[dict]:
    "The quality of every network, and the speed of the batches."
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        everything = read_sides()
        return [*quality(*everything), speed(*everything)]
    finally: torch.set_num_threads(threads)
