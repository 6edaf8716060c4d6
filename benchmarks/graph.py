"""Graphs: WordNet's lexical classes (five seeds, all 117,659 meanings) and late flights by five tables, each against models that see no edges, on the same split.

WordNet: `graph` is the heterogeneous network on glosses, words, edges and known classes of training meanings; beside it the neighbours' vote, a linear model of the words without edges, and a network of the same text vectors without edges.
Flights: the tabular network and boosting on the flight's own columns; boosting with joins, degrees and votes of the same graph; the graph network. One row in ten, because of time; intervals resample days.
Run alone: python benchmarks/graph.py [wordnet|flights] [seeds]
"""
import os

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'): os.environ.setdefault(name, '1')

import sys
import time
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[1]


def prepared(name: str, rows: int = 0):
    "Data, preprocessor and parts of a card."
    from dlmine.framing.card import load_card
    from dlmine.measures.compare import Part, Split
    from dlmine.preparation.graph_pipeline import GraphPreprocessor
    from dlmine.preparation.loading import load_data
    start = time.process_time()
    data = load_data(load_card(FOLDER / 'usecases' / f'{name}.yml'), rows=rows)
    pipeline = GraphPreprocessor.fit(data.table, data.plan, data.split.train, data.target.values)
    parts = [Part(pipeline.transform(data.rows(side)), data.outcomes(side), data.clusters(side)) for side in ('train', 'valid', 'test')]
    print(f'{name}: {data.table.num_rows:,} rows, prepared in {time.process_time() - start:.0f} CPU-s', flush=True)
    return data, pipeline, Split(*parts)


def only(features: dict, columns) -> dict:
    "Some columns of x_num, and the others of the row itself."
    return {**features, 'x_num': np.ascontiguousarray(features['x_num'][:, columns])}


def network(data, pipeline, architecture: str, groups: tuple = (), codes: int | None = None):
    "A variant: a network on all arrays, or on some groups of columns without its neighbours."
    from dlmine.training.learner import fit
    def run(split, seed, budget):
        sides = [split.train.features, split.valid.features, split.test.features]
        facts = pipeline.arguments()
        if groups:
            columns = pipeline.columns_of(*groups)
            sides = [{**only(side, columns), 'x_cat': side['x_cat'][:, :codes]} for side in sides]
            facts = {'cardinalities': facts['cardinalities'][:codes], 'fills': [facts['fills'][place] for place in columns]}
        trained = fit(sides[0], split.train.target, sides[1], split.valid.target, kind=data.kind, classes=data.classes, facts=facts, architecture=architecture, seed=seed, epochs=budget or 0)
        print(f"  {architecture} {','.join(groups)} seed {seed}: {trained.cpu_seconds:.0f} CPU-s, {trained.reason}", flush=True)
        return trained.predict(sides[2])
    return run


def vote(data, pipeline):
    "The variant that only counts: shares of the neighbours' known classes, one and two steps away."
    def run(split, seed, budget):
        size = 1 if data.kind == 'binary' else len(data.classes)
        def shares(of):
            first = pipeline.numeric_names.index(f'vote of {of}' + (' 0' if size > 1 else ''))
            return split.test.features['x_num'][:, first:first + size]
        return (shares('all') + 0.5 * shares('two steps'))[:, 0] / 1.5 if size == 1 else (shares('all') + 0.5 * shares('two steps')) / 1.5
    return run


def rival(data, pipeline, family: str, groups: tuple = (), codes: int | None = None):
    "A traditional variant."
    from dlmine.training.boosting import fit_boosting
    from dlmine.training.linear import fit_linear
    def run(split, seed, budget):
        if family == 'linear': trained = fit_linear(split.train.features, split.train.target, split.valid.features, split.valid.target, kind=data.kind, classes=data.classes, facts=pipeline.arguments(), view='words', strengths=(10.0,), budget=600)   # of five strengths the best on the validation rows, with steps enough to converge
        else:
            columns = pipeline.columns_of(*groups)
            sides = [{'x_num': only(side.features, columns)['x_num'], 'x_cat': side.features['x_cat'][:, :codes]} for side in (split.train, split.valid, split.test)]
            trained = fit_boosting(sides[0], split.train.target, sides[1], split.valid.target, kind=data.kind, classes=data.classes, seed=seed)
            return trained.predict(sides[2])
        return trained.predict(split.test.features)
    return run


def once(variant):
    "A variant that does not depend on the seed, computed once."
    kept = []
    def run(split, seed, budget):
        if not kept: kept.append(variant(split, seed, budget))
        return kept[0]
    return run


def rows_of(comparison, prefix: str, names: dict, goal: float) -> list[dict]:
    "Rows for the results' file."
    found = []
    for result in comparison.results:
        interval = [round(result.interval.lower, 4), round(result.interval.upper, 4)]
        more = {} if result.difference is None else {'lift': round(result.difference.value, 4), 'lift_interval': [round(result.difference.lower, 4), round(result.difference.upper, 4)]}
        found.append({'name': f'{prefix}_{names[result.variant]}', 'value': round(float(np.mean(result.per_seed)), 4), 'unit': comparison.metric, 'better': 'higher', 'goal': goal if names[result.variant] == 'network' else 0.0,
                      'seeds': [round(float(one), 4) for one in result.per_seed], 'interval': interval, 'cpu_seconds': round(result.seconds, 1), **more})
        print(found[-1], flush=True)
    return found


def wordnet(seeds: int = 5) -> list[dict]:
    "All meanings; accuracy."
    from dlmine.measures.compare import compare
    data, pipeline, split = prepared('wordnet')
    variants = {'words alone, linear': once(rival(data, pipeline, 'linear')), 'text alone, network': network(data, pipeline, 'embedding_mlp', ('own',), len(pipeline.encoder.cardinalities)),
                'vote of neighbours': once(vote(data, pipeline)), 'graph network': network(data, pipeline, 'dlmine.models.hetero:HeteroGNN')}
    found = compare(variants, split, metric='accuracy', budget=2, seeds=tuple(range(seeds)), resamples=300)
    print(found.verdict)
    return rows_of(found, 'graph_wordnet', {'words alone, linear': 'words', 'text alone, network': 'text', 'vote of neighbours': 'vote', 'graph network': 'network'}, 0.88)


def flights(seeds: int = 5, rows: int = 33_000) -> list[dict]:
    "One row in ten; AUC, days resampled."
    from dlmine.measures.compare import compare
    data, pipeline, split = prepared('flights_graph', rows)
    own = len(pipeline.encoder.cardinalities)
    variants = {'own columns, network': network(data, pipeline, 'embedding_mlp', ('own',), own), 'own columns, boosting': once(rival(data, pipeline, 'boosting', ('own',), own)),
                'boosting with joins and votes': once(rival(data, pipeline, 'boosting', ('own', 'joined', 'degrees', 'votes'))), 'graph network': network(data, pipeline, 'dlmine.models.hetero:HeteroGNN')}
    found = compare(variants, split, metric='roc_auc', seeds=tuple(range(seeds)), resamples=300)
    print(found.verdict)
    return rows_of(found, 'graph_flights', {'own columns, network': 'own', 'own columns, boosting': 'boosting', 'boosting with joins and votes': 'joined', 'graph network': 'network'}, 0.0)


def main() -> list[dict]:
    "Both."
    return wordnet() + flights()


if __name__ == '__main__':
    which, seeds = (sys.argv[1:2] or ['both'])[0], int((sys.argv[2:3] or [5])[0])
    if which in ('wordnet', 'both'): wordnet(seeds)
    if which in ('flights', 'both'): flights(seeds)
