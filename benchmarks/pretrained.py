"""Pretrained or from scratch, on BBC news: accuracy over the number of labels (32 tokens of each article, two seeds), under one budget of computation, beside TF-IDF with logistic regression.

Ways: the packaged MiniLM frozen, with its last layer fine-tuned, a small Transformer from scratch, and the bag of words. Exact duplicates are dropped; 300 articles are judged that no way has seen; with each size go a quarter as many
validation rows. Each training has the same budget in GFLOP; processor seconds are measured beside it. Two rows come out: what pretraining is worth at the fewest labels (frozen against scratch), and, with all labels of the comparison, the best
network against the bag of words. The whole table is printed.

`python pretrained.py all` also prints accuracy on all articles, five random splits (70/15/15), 128 tokens: frozen encoder against the bag of words, the figures in usecases/bbc.yml.
"""
from __future__ import annotations

import sys

import numpy as np

SIZES, SEEDS, BUDGET, LENGTH, JUDGED = (50, 200, 800), (0, 1), 2500, 32, 300


def read_news(length: int):
    "(features, target, labels, facts, weights) of all articles; tokenizer and bag are fitted on the first 1,300 of a random order."
    import pyarrow as pa
    from dlmine.core.datasets import load_dataset
    from dlmine.preparation.columns import ColumnPlan, FeaturePlan
    from dlmine.preparation.packaged_weights import find_weights
    from dlmine.preparation.text_pipeline import TextPreprocessor
    news = load_dataset('bbc')
    news = news.take(pa.array(np.random.default_rng(0).permutation(len(news))))
    labels, target = np.unique(news['topic'].to_pylist(), return_inverse=True)
    preprocessor = TextPreprocessor.fit(news, FeaturePlan((ColumnPlan('text', 'text', True, 'feature'),)), rows=np.arange(1300), max_length=length)
    return preprocessor.transform(news), target, labels.tolist(), preprocessor.arguments(), find_weights()


def parts(features, target, *sides):
    "Parts of the rows of each side."
    from dlmine.measures.compare import Part
    return [Part({name: values[rows] for name, values in features.items()}, target[rows]) for rows in sides]


def curves(sizes=SIZES, seeds=SEEDS):
    "The report over label counts."
    from dlmine.measures.compare import Split
    from dlmine.training.learner import has_fast_bfloat16
    from dlmine.training.pretrained import compare_pretraining, linear_way, network_way
    features, target, labels, facts, weights = read_news(LENGTH)
    split = Split(*parts(features, target, np.arange(1000), np.arange(1000, 1300), np.arange(1300, 1300 + JUDGED)))
    common, precision = ('multiclass', labels, facts), 'bf16' if has_fast_bfloat16() else 'fp32'
    ways = {'frozen': network_way('text_encoder', *common, dict(mode='frozen')), 'fine-tuned': network_way('text_encoder', *common, dict(mode='fine_tuned', trained_layers=1), most_epochs=8, precision=precision),
            'scratch': network_way('text_transformer', *common, most_epochs=40), 'words': linear_way(*common)}
    return compare_pretraining(ways, split, sizes=sizes, budget=BUDGET, seeds=seeds, weights=weights)


def everything(seeds=range(5), length=128):
    "Accuracy of frozen encoder and bag of words on all articles, one random split for each seed."
    from dlmine.training.learner import fit
    from dlmine.training.linear import fit_linear
    features, target, labels, facts, _ = read_news(length)
    found = []
    for seed in seeds:
        order = np.random.default_rng(100 + seed).permutation(len(target))
        edges = (0.7 * len(order), 0.85 * len(order))
        train, valid, test = parts(features, target, order[:int(edges[0])], order[int(edges[0]):int(edges[1])], order[int(edges[1]):])
        sides = train.features, train.target, valid.features, valid.target
        words = fit_linear(*sides, kind='multiclass', classes=labels, facts=facts).predict(test.features)
        frozen = fit(*sides, kind='multiclass', classes=labels, architecture='text_encoder', facts=facts, seed=seed).predict(test.features)
        found.append({'words': (words.argmax(1) == test.target).mean(), 'frozen': (frozen.argmax(1) == test.target).mean(), 'both': ((words + frozen).argmax(1) == test.target).mean(), 'rows': len(test)})
        print({name: round(float(value), 4) for name, value in found[-1].items()}, flush=True)
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def main() -> list[dict]:
    "Two rows, and the table."
    import torch
    torch.set_num_threads(1)
    report = curves()
    print(report.table().to_string())
    print(report.sentence)
    value = {(r.variant, r.size): r.interval.value for r in report.comparison.results}
    first, last = SIZES[0], SIZES[-1]
    best = max(('frozen', 'fine-tuned', 'scratch'), key=lambda name: value[name, last])
    facts = {'sizes': list(SIZES), 'seeds': len(SEEDS), 'budget_gflop': BUDGET, 'tokens': LENGTH, 'judged': JUDGED, 'accuracy': {f'{name} {size}': round(score, 4) for (name, size), score in value.items()}, 'sentence': report.sentence}
    return [{'name': 'pretrained_worth_at_few_labels', 'value': value['frozen', first] - value['scratch', first], 'unit': 'accuracy', 'better': 'higher', 'goal': 0.2, **facts},
            {'name': 'pretrained_against_words', 'value': value[best, last] - value['words', last], 'unit': f'accuracy ({best})', 'better': 'higher', 'goal': -0.02}]


if __name__ == '__main__':
    if sys.argv[1:] == ['all']: print(everything())
    else:
        for row in main(): print(f"{row['name']}: value {row['value']:.3f} {row['unit']} (goal {row['goal']})")
