"""Ranking measures of 10,000 lists with 1,000,000 rows: dlmine against scikit-learn's functions called list by list and against torchmetrics' retrieval classes, CPU-seconds, interleaved.

Each peer computes what it has: scikit-learn NDCG@10 and average precision (its functions take one list; its ndcg_score takes many only where all are equally long),
torchmetrics NDCG@10, average precision, precision@10, recall@10, reciprocal rank and hit rate@10. dlmine always computes all six. The peers see every row, one turn
each between turns of dlmine; the rows lie in mixed order. Run alone: python benchmarks/ranking.py [rows]
"""
import os

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(name, '1')

import sys
import time
import warnings

import numpy as np

K = 10


def make_lists(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    "Relevance 0/1, scores with some ties, and lists of very different lengths, in mixed order."
    random = np.random.default_rng(seed)
    queries = max(10, rows // 100)
    query = random.choice(queries, rows, p=(shares := random.gamma(2.0, size=queries)) / shares.sum())
    relevance = (random.random(rows) < 0.1).astype(np.int64)
    scores = np.round(random.random(rows) + 0.3 * relevance, 4) + 0.01
    return relevance, scores, query


def with_dlmine(relevance, scores, query) -> dict[str, float]:
    "One call, six measures."
    from dlmine.measures.queries import measure_queries
    return measure_queries(relevance, scores, query, k=K, empty='skip').means


def with_sklearn(relevance, scores, query) -> dict[str, float]:
    "Sorted by query once, then two functions a list; lists of one row have no NDCG there, and count what dlmine gives them."
    from sklearn.metrics import average_precision_score, ndcg_score
    order = np.argsort(query, kind='stable')
    found = {'ndcg_at_k': [], 'average_precision': []}
    for rows in np.split(order, np.flatnonzero(np.diff(query[order])) + 1):
        mine, own = relevance[rows], scores[rows]
        if not mine.any(): continue
        found['ndcg_at_k'].append(ndcg_score(mine[None], own[None], k=K) if len(mine) > 1 else 1.0)
        found['average_precision'].append(average_precision_score(mine, own))
    return {name: float(np.mean(values)) for name, values in found.items()}


def with_torchmetrics(relevance, scores, query) -> dict[str, float]:
    "Six classes; each walks through the lists."
    import torch
    from torchmetrics import retrieval
    data = torch.tensor(scores), torch.tensor(relevance)
    indexes = torch.tensor(query)
    makers = {'ndcg_at_k': retrieval.RetrievalNormalizedDCG('skip', top_k=K), 'average_precision': retrieval.RetrievalMAP('skip'), 'precision_at_k': retrieval.RetrievalPrecision('skip', top_k=K),
              'recall_at_k': retrieval.RetrievalRecall('skip', top_k=K), 'reciprocal_rank': retrieval.RetrievalMRR('skip'), 'hit_rate': retrieval.RetrievalHitRate('skip', top_k=K)}
    return {name: float(metric(*data, indexes=indexes)) for name, metric in makers.items()}


def timed(call, *arguments):
    "Result and CPU-seconds."
    start = time.process_time()
    return call(*arguments), time.process_time() - start


def main(rows: int = 1_000_000) -> list[dict]:
    "Measure."
    import torch
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    small, lists = make_lists(2000, 1), make_lists(rows)
    for call in (with_dlmine, with_sklearn, with_torchmetrics): call(*small)     # imports are not the subject
    spent, found = {'dlmine': []}, {}
    for name, call in (('sklearn', with_sklearn), ('torchmetrics', with_torchmetrics)):
        for _ in range(3):
            found['dlmine'], seconds = timed(with_dlmine, *lists)
            spent['dlmine'].append(seconds)
        found[name], seconds = timed(call, *lists)
        spent[name] = [seconds]
    mine = float(np.median(spent['dlmine']))
    apart = {name: max(abs(found['dlmine'][one] - value) for one, value in found[name].items()) for name in ('sklearn', 'torchmetrics')}
    if apart['sklearn'] > 1e-9: raise RuntimeError(f"The means differ from scikit-learn's by {apart['sklearn']:.1e}.")
    if apart['torchmetrics'] > 1e-3: raise RuntimeError(f"The means differ from torchmetrics' by {apart['torchmetrics']:.1e}.")   # it has 32 bits, and its order of equal scores is arbitrary
    result = []
    for name in ('sklearn', 'torchmetrics'):
        detail = f"{len(found[name])} measures against 6 of dlmine on {rows:,} rows in {len(np.unique(lists[2])):,} lists; CPU-seconds: dlmine {mine:.2f}, {name} {spent[name][0]:.1f}; quality: mean NDCG at {K}"
        result.append({'name': f'ranking_{name}', 'ratio': spent[name][0] / mine, 'goal': 10, 'quality': found['dlmine']['ndcg_at_k'], 'against': found[name]['ndcg_at_k'], 'goal_quality': -1e-6 if name == 'torchmetrics' else -1e-9,
                       'largest_difference': apart[name], 'detail': detail})
    return result


if __name__ == '__main__':
    for row in main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000): print(row)
