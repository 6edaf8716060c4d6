"""Text embedding: `training.embeddings` against sentence-transformers on the same weights (all-MiniLM-L6-v2).

Both sides embed the same BBC texts on one thread, in turns, three rounds, after a warm-up; processor seconds of tokenizing and encoding are compared, not of loading. Two kinds of texts, because length decides the cost: whole
articles cut at 256 tokens, and mixed lengths (each article's headline, first sentence, first paragraph or whole beginning in turn). Quality beside the speed: accuracy of a logistic regression on the vectors (fitted on three quarters of
the articles, judged on the rest), and the cosine with sentence-transformers' vectors. The 8-bit line runs in onnxruntime, without torch.
"""
from __future__ import annotations

import time

import numpy as np

ROUNDS, ARTICLES, MIXED = 3, 80, 200
GOALS = {'fp32': 1.0, 'bf16': 1.5, 'int8': 1.0}
QUALITY = {'fp32': -0.005, 'bf16': -0.005, 'int8': -0.01}


def read_texts() -> dict[str, tuple[list[str], np.ndarray]]:
    "Texts and topics of both kinds."
    from dlmine.core.datasets import load_dataset
    news = load_dataset('bbc')
    texts, topics = news['text'].to_pylist(), np.array(news['topic'].to_pylist())
    order = np.random.default_rng(0).permutation(len(texts))
    def shortened(place: int, text: str) -> str:
        lines = text.split('\n')
        return (lines[0], (' '.join(lines[1:]).strip().split('. ')[0] or text), text[:500], text)[place % 4]
    whole, mixed = order[:ARTICLES], order[:MIXED]
    return {'articles': ([texts[place] for place in whole], topics[whole]), 'mixed lengths': ([shortened(count, texts[place]) for count, place in enumerate(mixed)], topics[mixed])}


def accuracy(vectors: np.ndarray, topics: np.ndarray) -> float:
    "Of a logistic regression, fitted on three quarters."
    from sklearn.linear_model import LogisticRegression
    held = np.arange(len(topics)) % 4 == 0
    return float((LogisticRegression(C=20, max_iter=500).fit(vectors[~held], topics[~held]).predict(vectors[held]) == topics[held]).mean())


def main() -> list[dict]:
    "One row for each kind of text and precision."
    import torch
    from sentence_transformers import SentenceTransformer
    from dlmine.preparation.packaged_weights import find_weights
    from dlmine.training.embeddings import TextEmbedder, has_fast_bfloat16
    torch.set_num_threads(1)
    peer = SentenceTransformer(str(find_weights().folder), device='cpu')
    peer.max_seq_length = 256
    precisions = [name for name in GOALS if name != 'bf16' or has_fast_bfloat16()]
    sides = {'sentence-transformers': lambda texts: peer.encode(texts, batch_size=32, show_progress_bar=False, normalize_embeddings=True), **{name: TextEmbedder(precision=name, threads=1).embed for name in precisions}}
    rows = []
    for kind, (texts, topics) in read_texts().items():
        spent, vectors = {name: [] for name in sides}, {}
        for run in sides.values(): run(texts[:8])
        for _ in range(ROUNDS):
            for name, run in sides.items():
                started = time.process_time()
                vectors[name] = np.asarray(run(texts))
                spent[name].append(time.process_time() - started)
        cost, reference = {name: float(np.median(values)) for name, values in spent.items()}, vectors['sentence-transformers']
        for name in precisions:
            cosine = (vectors[name] * reference).sum(axis=1)
            rows.append({'name': f"embedding_{name}_{kind.split()[0]}", 'ratio': cost['sentence-transformers'] / cost[name], 'goal': GOALS[name], 'quality': accuracy(vectors[name], topics), 'against': accuracy(reference, topics), 'goal_quality': QUALITY[name],
                         'texts': len(texts), 'milliseconds_a_text': {side: round(1000 * cost[side] / len(texts), 2) for side in ('sentence-transformers', name)}, 'cosine_mean': float(cosine.mean()), 'cosine_least': float(cosine.min())})
    return rows


if __name__ == '__main__':
    for row in main(): print(f"{row['name']}: ratio {row['ratio']:.2f} (goal {row['goal']:.2f}) quality {row['quality']:.3f} against {row['against']:.3f}; cosine {row['cosine_mean']:.4f} (least {row['cosine_least']:.4f}); {row['milliseconds_a_text']} ms")
