"""Fashion-MNIST: a small ResNet from scratch against the traditional rivals, on the published split.

All read the same preprocessor's output: the network the pixels, the forest and the boosting the summary of at most 200 numbers (a forest on the raw pixels has 0.876). 55,000 training rows, 5,000 for validation, judged once on
the 10,000 test rows. The network trains for four passes (its own default is five), in bfloat16 where the processor multiplies it in hardware; its accuracy is the mean over as many seeds as are done
within SECONDS, five at most, and the row says how many ran. Alone on two cores a seed takes one to two minutes; the boosting, which fits ten trees a round, gets 40 rounds.
"""
from __future__ import annotations

import time

import numpy as np

SEEDS, EPOCHS, VALID, SECONDS = (0, 1, 2, 3, 4), 4, 5_000, 2_400


def read_sides() -> tuple[dict, dict, dict]:
    "Features and target codes of train, valid and test, and what the preprocessor knows."
    from dlmine.core.datasets import load_dataset
    from dlmine.preparation.image_pipeline import ImagePreprocessor
    table = load_dataset('fashion_mnist')
    split, target = np.array(table['split'].to_pylist()), np.unique(table['label'].to_pylist(), return_inverse=True)[1]
    order = np.random.default_rng(0).permutation(np.flatnonzero(split == 'train'))
    sides = {'train': order[VALID:], 'valid': order[:VALID], 'test': np.flatnonzero(split == 'test')}
    preprocessor = ImagePreprocessor.fit(table, None, sides['train'])
    features = preprocessor.transform(table)
    return {side: {name: values[rows] for name, values in features.items()} for side, rows in sides.items()}, {side: target[rows] for side, rows in sides.items()}, preprocessor.arguments()


def right(scores: np.ndarray, target: np.ndarray) -> float:
    "Share of rows whose likeliest class is the right one."
    return float((scores.argmax(axis=1) == target).mean())


def train_network(features, targets, facts, seed: int) -> tuple[float, float]:
    "Test accuracy and processor seconds of one seed."
    from dlmine.training.learner import fit, has_fast_bfloat16
    trained = fit(features['train'], targets['train'], features['valid'], targets['valid'], kind='multiclass', classes=tuple(range(10)), architecture='dlmine.models.residual:ResidualNet', facts=facts, arguments={'flip': True},
                  epochs=EPOCHS, patience=0, seed=seed, precision='bf16' if has_fast_bfloat16() else 'fp32')
    return right(trained.predict(features['test']), targets['test']), trained.cpu_seconds


def train_forest(features, targets) -> float:
    "Test accuracy of a hundred trees on the summary."
    from sklearn.ensemble import RandomForestClassifier
    forest = RandomForestClassifier(100, max_features=20, random_state=0).fit(features['train']['x_num'], targets['train'])
    return right(forest.predict_proba(features['test']['x_num']), targets['test'])


def train_boosting(features, targets) -> float:
    "Test accuracy of boosted trees on the summary."
    from dlmine.training.boosting import CANDIDATES, fit_boosting
    trained = fit_boosting({'x_num': features['train']['x_num']}, targets['train'], {'x_num': features['valid']['x_num']}, targets['valid'], kind='multiclass', classes=tuple(range(10)), candidates=CANDIDATES[1:2], budget=40, tuning_rows=60_000)
    return right(trained.predict({'x_num': features['test']['x_num']}), targets['test'])


def main() -> list[dict]:
    features, targets, facts = read_sides()
    started, found, seconds = time.perf_counter(), [], []
    for seed in SEEDS:
        if seed and time.perf_counter() - started > SECONDS: break
        accuracy, used = train_network(features, targets, facts, seed)
        found.append(accuracy); seconds.append(used)
        print(f'seed {seed}: {accuracy:.4f} after {used:.0f} CPU-seconds', flush=True)
    forest = train_forest(features, targets)
    print(f'forest: {forest:.4f}', flush=True)
    boosting = train_boosting(features, targets)
    print(f'boosting: {boosting:.4f}', flush=True)
    more = dict(seeds=len(found), accuracies=found, epochs=EPOCHS, cpu_seconds=round(float(np.mean(seconds)), 1))
    return [{'name': 'images_fashion_mnist_accuracy', 'value': float(np.mean(found)), 'unit': 'of the test rows', 'goal': 0.91, 'better': 'higher', 'quality': float(np.mean(found)), 'against': max(forest, boosting), 'goal_quality': 0.0, **more},
            {'name': 'images_forest_accuracy', 'value': forest, 'unit': 'of the test rows', 'goal': 0.876, 'better': 'higher'},
            {'name': 'images_boosting_accuracy', 'value': boosting, 'unit': 'of the test rows', 'goal': 0.876, 'better': 'higher'}]
