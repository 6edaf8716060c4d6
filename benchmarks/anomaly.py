"""Anomalies without labels: autoencoders (plain, denoising, variational) against an isolation forest, on the same arrays.

The shuttle: all 49,097 moments by the split of its card (train 65 %, valid 15 %, test 20 %). Nothing is chosen by a label: networks, share of rows left out (half), stopping (validation error of the better half) are the defaults. Five seeds of every
model; ROC AUC on the 9,819 test rows; differences are paired over the same resampled rows and pooled over the seeds. Two more data sets (on pictures the forest wins) ask whether the same defaults hold elsewhere, three seeds each: flights of which 3 % have distance, block minutes
and arrival of another flight (each value usual, their company not), and pictures of one kind of clothing (Fashion-MNIST, 14 × 14 grey values) among which 5 % are of other kinds.
"""
from __future__ import annotations

import numpy as np

SEEDS, STYLES = (0, 1, 2, 3, 4), ('plain', 'denoising', 'variational')
WANTED = ('departure_minute', 'arrival_minute', 'block_minutes', 'distance', 'dest_latitude', 'dest_longitude', 'origin', 'carrier', 'plane_seats', 'plane_engines', 'plane_age')
CARD = "version: 1\nname: NAME\nsources: [{name: main, location: NAME}]\ntask: {kind: anomaly}\n"


def read_shuttle(seed: int) -> tuple:
    "Features of the three sides, facts, outcomes of the test rows."
    from dlmine.framing.card import parse_card
    from dlmine.preparation.loading import load_data
    from dlmine.preparation.modalities import facts_of, fit_preprocessor
    data = load_data(parse_card(CARD.replace('NAME', 'shuttle') + 'target: anomaly\n'))
    preprocessor = fit_preprocessor(data)
    return *(preprocessor.transform(data.rows(side)) for side in ('train', 'valid', 'test')), facts_of(preprocessor), data.outcomes('test')


def read_flights(seed: int) -> tuple:
    "20,000 flights; planted rows are among those that the models learn from, and are found among them."
    from dlmine.core.datasets import load_dataset
    from dlmine.framing.card import parse_card
    from dlmine.preparation.loading import load_data
    from dlmine.preparation.modalities import facts_of, fit_preprocessor
    data = load_data(parse_card(CARD.replace('NAME', 'flights')).replace(exclude=[name for name in load_dataset('flights').column_names if name not in WANTED]), rows=20_000)
    preprocessor, generator = fit_preprocessor(data), np.random.default_rng(seed)
    features = preprocessor.transform(data.table)
    planted = (generator.random(data.table.num_rows) < 0.03).astype(np.int64)
    rows, columns = np.flatnonzero(planted), [list(preprocessor.numeric_names).index(name) for name in ('distance', 'block_minutes', 'arrival_minute')]
    features['x_num'][np.ix_(rows, columns)] = features['x_num'][np.ix_(generator.permutation(rows), columns)]
    return features, None, features, facts_of(preprocessor), planted


def read_pictures(seed: int) -> tuple:
    "6,000 pictures of one kind (another for each seed) and 5 % of others."
    from dlmine.core.datasets import load_dataset
    generator = np.random.default_rng(seed)
    table = load_dataset('fashion_mnist')
    kinds = np.unique(table['label'].to_pylist(), return_inverse=True)[1]
    rows = np.concatenate([generator.choice(np.flatnonzero(kinds == seed), 5700, replace=False), generator.choice(np.flatnonzero(kinds != seed), 300, replace=False)])
    pixels = pictures(table.take(rows)).astype(np.float32).reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255
    return {'x_num': pixels}, None, {'x_num': pixels}, {}, (kinds[rows] != seed).astype(np.int64)


def pictures(table) -> np.ndarray:
    "Grey values (n, 28, 28)."
    from dlmine.preparation.image_pipeline import ImagePreprocessor
    found = ImagePreprocessor.fit(table, None, np.arange(table.num_rows)).transform(table)['pixels']
    return found.reshape(len(found), 28, 28, -1)[..., 0]


def scores_of(read, seeds, styles) -> tuple[dict, list, dict]:
    "Scores of each model for each seed, outcomes for each seed, mean CPU-seconds."
    from dlmine.training.anomaly import fit_anomaly
    from dlmine.training.isolation import fit_isolation_forest
    scores, outcomes, seconds, sides, last = {}, [], {}, None, None
    for seed in seeds:
        if read is not read_shuttle or sides is None: sides = read(seed)
        train, valid, test, facts, known = sides
        outcomes.append(known)
        for name in ('forest', *styles):
            model = fit_isolation_forest(train, facts=facts, seed=seed) if name == 'forest' else fit_anomaly(train, valid, style=name, facts=facts, seed=seed)
            scores.setdefault(name, []).append(model.predict(test).astype(np.float64)); seconds.setdefault(name, []).append(model.cpu_seconds)
            from dlmine.measures.ranking import roc_auc
            print(f'{read.__name__} seed {seed} {name}: {roc_auc(known, scores[name][-1]):.4f}, {model.cpu_seconds:.1f} CPU-seconds. {model.reason}', flush=True)
    return scores, outcomes, {name: round(float(np.mean(all_)), 1) for name, all_ in seconds.items()}


def aucs(scores, outcomes) -> list[float]:
    from dlmine.measures.ranking import roc_auc
    return [round(float(roc_auc(known, found)), 5) for known, found in zip(outcomes, scores)]


def shuttle() -> list[dict]:
    "A row for each style, with the paired difference to the forest."
    from dlmine.measures.intervals import paired_difference
    scores, outcomes, seconds = scores_of(read_shuttle, SEEDS, STYLES)
    forest, rows = aucs(scores['forest'], outcomes), []
    for style in STYLES:
        found, gap = aucs(scores[style], outcomes), paired_difference('binary', outcomes[0], scores['forest'], scores[style], resamples=300)['roc_auc']
        rows.append({'name': f'anomaly_shuttle_{style}', 'value': float(np.mean(found)), 'unit': 'ROC AUC', 'better': 'higher', 'goal': 0.99, 'seeds': len(found), 'each': found, 'forest': float(np.mean(forest)), 'forest_each': forest,
                     'difference': gap.value, 'difference_lower': gap.lower, 'difference_upper': gap.upper, 'cpu_seconds': seconds[style], 'forest_cpu_seconds': seconds['forest']})
    return rows


def elsewhere(read, name: str, goal: float) -> dict:
    "The default style with the same defaults on other data; the spread is over seeds, each with anomalies of its own."
    scores, outcomes, seconds = scores_of(read, SEEDS[:3], ('denoising',))
    net, forest = aucs(scores['denoising'], outcomes), aucs(scores['forest'], outcomes)
    return {'name': f'anomaly_{name}', 'value': float(np.mean(net)), 'unit': 'ROC AUC', 'better': 'higher', 'goal': goal, 'seeds': len(net), 'each': net, 'forest': float(np.mean(forest)), 'forest_each': forest,
            'difference': float(np.mean(net) - np.mean(forest)), 'cpu_seconds': seconds['denoising'], 'forest_cpu_seconds': seconds['forest']}


def main() -> list[dict]:
    return [*shuttle(), elsewhere(read_flights, 'flights_mixed', 0.75), elsewhere(read_pictures, 'fashion_mnist', 0.75)]
