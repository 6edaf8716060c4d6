"""The next film of each of 943 viewers (MovieLens-100K, leave-last-out, all unseen films ranked): five seeds of each network for histories against EASE and the most popular films.

The card's division: the last rating of each viewer tests, the one before validates. EASE has all earlier ratings of all viewers, its strength is chosen on the validation rows, and it is asked with the same histories. A row's
value is the mean over the seeds of network minus EASE; its interval resamples viewers and seeds together. The goal of the network that the modality trains first is −0.01; the other, which sees no order, has none to meet but to run (−1).

Half of the ratings share their second with the one before, so which is "the last" depends on how ties are ordered, and so do all figures (EASE: HR@10 0.086 with ties by item number, 0.113 in the order of the file, 0.14 to 0.15 shuffled). A network that sees
order could live on an order that means nothing. So the same is measured once more with the rows of the source shuffled: a shuffle and a seed at a time, EASE fitted anew on each, the mean of the five differences and its 95 % interval by Student's t.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np

SEEDS = (0, 1, 2, 3, 4)
NETWORKS = ('history_attention', 'history_autoencoder')
METRICS = {'hit_rate_at_k': 'HR@10', 'item_ndcg_at_k': 'NDCG@10'}


def read_sides(folder: Path | None = None, shuffle: int = 0) -> tuple:
    "The card's data, its preprocessor, features and targets of the three sides; with a folder, of the shuffled source."
    from dlmine.framing.card import load_card
    from dlmine.preparation.loading import load_data
    from dlmine.preparation.modalities import fit_preprocessor
    card = load_card(Path(__file__).resolve().parents[1]/'usecases'/'movielens_ranking.yml')
    if folder is not None:
        import pyarrow.parquet as pq
        from dlmine.core.datasets import load_dataset
        table = load_dataset('movielens')
        pq.write_table(table.take(np.random.default_rng(shuffle).permutation(table.num_rows)), folder/'shuffled.parquet')
        card = card.replace(sources=[{'name': 'ratings', 'location': str(folder/'shuffled.parquet')}])
    data = load_data(card)
    preprocessor = fit_preprocessor(data)
    sides = ('train', 'valid', 'test')
    return data, preprocessor, {side: preprocessor.transform(data.rows(side)) for side in sides}, {side: data.outcomes(side) for side in sides}


def shuffled() -> list[dict]:
    "Rows of the first network with the ties in five random orders."
    import tempfile
    from scipy.stats import t
    from dlmine.measures.metrics import evaluate
    from dlmine.training.ease import fit_ease
    from dlmine.training.learner import fit
    found = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder: data, preprocessor, features, targets = read_sides(Path(folder), seed)
        sides = (features['train'], targets['train'], features['valid'], targets['valid'])
        both = fit_ease(*sides, classes=data.classes), fit(*sides, kind=data.kind, classes=data.classes, architecture=NETWORKS[0], facts=preprocessor.arguments(), seed=seed)
        found.append([evaluate('ranking', targets['test'], one.predict(features['test']), k=10) for one in both])
    rows = []
    for metric, short in METRICS.items():
        ease, network = (np.array([pair[place][metric] for pair in found]) for place in (0, 1))
        gap = network - ease
        half = float(t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap)))
        rows.append({'name': f'next_item_{NETWORKS[0]}_shuffled_ties_{short.split("@")[0].lower()}', 'value': float(gap.mean()), 'unit': f'{short} minus EASE', 'better': 'higher', 'goal': -0.01, 'lower': float(gap.mean()) - half, 'upper': float(gap.mean()) + half,
                     'network': float(network.mean()), 'ease': float(ease.mean()), 'seeds': len(SEEDS), 'least': float(gap.min())})
    return rows


def main() -> list[dict]:
    "A row for each network and measure."
    import torch
    from dlmine.framing.naive import popular_predictions
    from dlmine.measures.intervals import bootstrap, paired_difference
    from dlmine.training.ease import fit_ease
    from dlmine.training.learner import fit
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data, preprocessor, features, targets = read_sides()
        sides = (features['train'], targets['train'], features['valid'], targets['valid'])
        ease = fit_ease(*sides, classes=data.classes)
        rival, popular, rows = ease.predict(features['test']), popular_predictions(data, data.card, data.split.test)[0][2], []
        naive = bootstrap([*METRICS], targets['test'], popular, k=10, resamples=200)
        for network in NETWORKS:
            trained = [fit(*sides, kind=data.kind, classes=data.classes, architecture=network, facts=preprocessor.arguments(), seed=seed) for seed in SEEDS]
            scores = [one.predict(features['test']) for one in trained]
            own = bootstrap([*METRICS], targets['test'], scores, k=10)
            found = paired_difference([*METRICS], targets['test'], [rival] * len(SEEDS), scores, k=10)
            for metric, short in METRICS.items():
                one, mean = found[metric], own[metric]
                rows.append({'name': f'next_item_{network}_{short.split("@")[0].lower()}', 'value': one.value, 'unit': f'{short} minus EASE', 'better': 'higher', 'goal': -0.01 if network == NETWORKS[0] else -1.0, 'lower': one.lower, 'upper': one.upper,
                             'network': mean.value, 'network_lower': mean.lower, 'network_upper': mean.upper, 'least_seed': min(bootstrap([metric], targets['test'], each, k=10, resamples=20)[metric].value for each in scores), 'ease': one.first, 'most_popular': naive[metric].value,
                             'seeds': len(SEEDS), 'viewers': len(targets['test']), 'cpu_seconds_of_a_training': round(float(np.mean([each.cpu_seconds for each in trained])), 1), 'cpu_seconds_of_ease': round(ease.cpu_seconds, 1)})
        return rows + shuffled()
    finally: torch.set_num_threads(threads)
