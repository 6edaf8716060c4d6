"""The advisor's choice against training every candidate to the end, on six data sets: what it loses on the validation rows, and what it costs.

Small samples, so that the exhaustive search is affordable too (rows in SETTINGS; all of the vowels; texts cut to 32 tokens; the time's own split, as in the cards). Both searches have the same candidates, split, seed and full number of epochs. The traditional models are fitted
once and stand on both boards; their cost is in neither. Two rows for each data set: the loss (best figure of the exhaustive board, traditional models included, minus the figure of what the advisor recommends; goal 0.01), and the share of the exhaustive
search's processor seconds (goal 0.45), with row·epochs and counted arithmetic beside it. The validation rows are few (75 to 1,700): on such samples figures that lie within 0.01 of one another are ties. Data sets that do not begin within SECONDS are left out and keep no row. Nobody stops early: the full number of epochs is trained, the best epoch kept.

`python advisor.py NAME…` runs some of them alone.
"""
from __future__ import annotations

import json
import sys
import time
from pathlib import Path

SECONDS = 1200
SETTINGS = {  # card: rows of the sample (0: all), epochs of a full training, further changes
    'japanese_vowels': dict(rows=0, epochs=27, valid_share=0.3, trees=20),
    'bbc': dict(rows=500, epochs=9, max_length=32),
    'adult': dict(rows=5_000, epochs=9),
    'wordnet': dict(rows=8_000, epochs=9, rivals=('linear',), trees=40),
    'fashion_mnist': dict(rows=3_000, epochs=9, valid_share=0.3, trees=10),
    'flights': dict(rows=12_000, epochs=9),
}
CARDS = Path(__file__).resolve().parent.parent / 'usecases'


def read_card(name: str, valid_share: float = 0.0, max_length: int = 0):
    "The use case, perhaps with more validation rows or shorter texts than its card says."
    import yaml
    from dlmine.framing.card import Card, load_card
    text = yaml.safe_load((CARDS / f'{name}.yml').read_text())
    if valid_share: text['split']['valid_share'] = valid_share
    if max_length: text['modality']['max_length'] = max_length
    path = CARDS / f'.advisor_{name}.yml'
    path.write_text(yaml.safe_dump(text))
    try: return load_card(path)
    finally: path.unlink()


def compare_searches(name: str, rows: int, epochs: int, rivals: tuple = (), trees: int = 60, **changes) -> list[dict]:
    "Two rows for a data set."
    from dlmine.measures.metrics import METRICS
    from dlmine.preparation.loading import load_data
    from dlmine.preparation.modalities import facts_of, find_modality, fit_preprocessor
    from dlmine.training.advisor import advise
    from dlmine.training.rivals import fit_rivals
    begun = time.perf_counter()
    data = load_data(read_card(name, **changes), rows=rows)
    preprocessor = fit_preprocessor(data)
    features = {side: preprocessor.transform(data.rows(side)) for side in ('train', 'valid')}
    outcomes = {side: data.outcomes(side) for side in features}
    traditional = fit_rivals(rivals or find_modality(data.card.modality.kind).rivals, features['train'], outcomes['train'], features['valid'], outcomes['valid'], kind=data.kind, classes=data.classes, facts=facts_of(preprocessor), budget=trees)
    common = dict(epochs=epochs, rivals=traditional)
    advise(data, preprocessor, features, reduction=0, **common | {'epochs': 1})   # libraries prepare their kernels at the first training of each network: neither search shall pay for that
    advice = advise(data, preprocessor, features, **common)
    every = advise(data, preprocessor, features, facts=advice.facts, reduction=0, **common)
    sign = 1 if METRICS[every.board.metric].better == 'higher' else -1
    seconds = [sum(rung['cpu_seconds'] for trial in one.board.trials for rung in trial.rungs) for one in (advice, every)]
    best = max([every.board.best.value, *every.board.rivals.values()], key=lambda value: sign * value)
    about = {'metric': every.board.metric, 'train_rows': len(outcomes['train']), 'valid_rows': len(outcomes['valid']), 'epochs': epochs, 'recommended': advice.recommended, 'network': advice.board.chosen, 'best': best, 'recommended_value': advice.value,
             'network_value': advice.board.best.value, 'best_network': every.board.chosen, 'best_network_value': every.board.best.value, 'sentence': advice.sentence}
    print(advice.sentence, flush=True)
    print(every.table().drop(columns=['what speaks for it', 'why it ended']).to_string(), f'{time.perf_counter() - begun:.0f} s', flush=True)
    return [{'name': f'advisor_loss_{name}', 'value': sign * (best - advice.value), 'unit': every.board.metric, 'goal': 0.01, 'network_loss': sign * (every.board.best.value - advice.board.best.value), **about},
            {'name': f'advisor_cost_{name}', 'value': seconds[0] / seconds[1], 'unit': 'of the exhaustive CPU seconds', 'goal': 0.45, 'cpu_seconds': seconds[0], 'exhaustive_cpu_seconds': seconds[1], 'row_epochs_share': advice.board.cost / every.board.cost, 'arithmetic_share': advice.board.share}]


def main(names=tuple(SETTINGS)) -> list[dict]:
    import torch
    torch.set_num_threads(1)
    started, found = time.perf_counter(), []
    for name in names:
        if time.perf_counter() - started > SECONDS: print(f'{name}: left out, {SECONDS} s are over'); continue
        found += compare_searches(name, **SETTINGS[name])
        for row in found[-2:]: print(json.dumps({key: value for key, value in row.items() if key != 'sentence'}), flush=True)
    return found


if __name__ == '__main__':
    for row in main(sys.argv[1:] or tuple(SETTINGS)): print(f"{row['name']}: value {row['value']:.3f} {row['unit']} (goal {row['goal']})")
