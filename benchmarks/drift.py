"""Drift on 1,000,000 rows x 30 columns: dlmine against Evidently and against a plain SciPy loop, same statistics, CPU-seconds, interleaved; quality: mean Jensen-Shannon distance of the text columns.

Both sides get the same data: 500,000 reference and 500,000 current rows, 20 numeric columns (plain, heavy-tailed, tied, with missing values) and
10 columns of text. Statistics: Kolmogorov-Smirnov with its p-value for numbers, Jensen-Shannon for text, and for SciPy also Jensen-Shannon
in the same bins for numbers and chi-squared for text, which dlmine always computes too. Run alone: python benchmarks/drift.py [rows]
"""
import os

os.environ['DO_NOT_TRACK'] = '1'
for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'): os.environ.setdefault(name, '1')

import logging
import sys
import time
import warnings

import numpy as np
import pyarrow as pa

NUMBERS, TEXTS, EVIDENTLY_ROWS = 20, 10, 1_000_000


def make_side(rows: int, seed: int, shift: float) -> pa.Table:
    "Twenty columns of numbers, ten of text; some shifted a little."
    random, columns = np.random.default_rng(seed), {}
    for i in range(NUMBERS):
        values = [random.normal, random.standard_exponential, random.standard_cauchy, random.random][i % 4](size=rows) + shift * (i % 3)
        if i % 5 == 1: values = np.round(values, 1)
        columns[f'number_{i}'] = pa.array(values, mask=random.random(rows) < 0.05 if i % 5 == 2 else None)
    for i in range(TEXTS):
        levels = np.array([f'level {j}' for j in range(3 + 5 * i)])
        shares = np.arange(1, len(levels) + 1) ** (1.0 + shift * (i % 2))
        columns[f'text_{i}'] = pa.array(levels[random.choice(len(levels), rows, p=shares / shares.sum())])
    return pa.table(columns)


def with_scipy(frames, edges: dict) -> dict:
    "The plain loop: pandas columns, SciPy's functions, one column after the other."
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency, ks_2samp
    from dlmine.measures.profile import coarsen
    reference, current = frames
    found = {}
    for name in reference:
        one, two = reference[name], current[name]
        if one.dtype.kind == 'f':
            test = ks_2samp(one.dropna(), two.dropna(), method='asymp')
            counts = [np.append(np.bincount(np.searchsorted(edges[name], side.dropna()), minlength=len(edges[name]) + 1), side.isna().sum()) for side in (one, two)]
            counts = coarsen(*(side.astype(float) for side in counts))      # the same joined bins
        else:
            tables = [side.value_counts() for side in (one, two)]
            levels = tables[0].index.union(tables[1].index)
            counts = [side.reindex(levels, fill_value=0).to_numpy() for side in tables]
            test = chi2_contingency(np.stack(counts))
        found[name] = (float(test.statistic), float(test.pvalue), float(jensenshannon(*counts, base=2)))
    return found


def with_dlmine(reference: pa.Table, current: pa.Table):
    "What the audit calls."
    from dlmine.monitoring.drift import measure_drift
    return measure_drift(reference, current)


def with_evidently(frames) -> dict:
    "DataDriftPreset: KS p-values for numbers, Jensen-Shannon for text."
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset
    definition = DataDefinition(numerical_columns=[f'number_{i}' for i in range(NUMBERS)], categorical_columns=[f'text_{i}' for i in range(TEXTS)])
    reference, current = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
    snapshot = Report([DataDriftPreset(num_method='ks', cat_method='jensenshannon')]).run(current, reference)
    return {m['config']['column']: float(m['value']) for m in snapshot.dict()['metrics'] if 'column' in m['config']}


def timed(call, *arguments):
    "Result and CPU-seconds."
    start = time.process_time()
    return call(*arguments), time.process_time() - start


def compare_values(drift, scipy_found: dict, evidently_found: dict) -> tuple[float, float]:
    "Largest differences of the statistics: to SciPy, to Evidently."
    to_scipy, to_evidently = 0.0, 0.0
    for row in drift.columns:
        d, (statistic, p_value, distance) = row.distances, scipy_found[row.column]
        scale = max(1.0, abs(statistic))
        to_scipy = max(to_scipy, abs(d.statistic - statistic) / scale, abs(d.p_value - p_value), abs(d.jensen_shannon - distance))
        # Evidently computes with natural logarithms
        mine = d.p_value if row.kind == 'numeric' else d.jensen_shannon * np.sqrt(np.log(2))
        to_evidently = max(to_evidently, abs(mine - evidently_found[row.column]))
    return to_scipy, to_evidently


def main(rows: int = 1_000_000) -> list[dict]:
    "Measure; rows counts both sides together."
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    from dlmine.measures.profile import build_profile
    small = [make_side(500, seed, 0.0) for seed in (5, 6)]
    pandas_small = [side.to_pandas() for side in small]
    with_dlmine(*small), with_evidently(pandas_small)     # imports are not the subject
    reference, current = make_side(rows // 2, 0, 0.0), make_side(rows // 2, 1, 0.02)
    frames = [side.to_pandas() for side in (reference, current)]
    profile = build_profile(reference, [f'number_{i}' for i in range(NUMBERS)])
    edges = {name: np.array(column.edges) for name, column in profile.columns.items()}
    with_scipy([frame.head(500) for frame in frames], edges)
    spent = {'dlmine': [], 'scipy': [], 'evidently': []}
    for turn in range(3):
        drift, seconds = timed(with_dlmine, reference, current)
        spent['dlmine'].append(seconds)
        scipy_found, seconds = timed(with_scipy, frames, edges)
        spent['scipy'].append(seconds)
        if turn == 1:
            part = [frame.head(EVIDENTLY_ROWS // 2) for frame in frames]
            evidently_found, seconds = timed(with_evidently, part)
            spent['evidently'].append(seconds)
    to_scipy, to_evidently = compare_values(drift, scipy_found, evidently_found)
    spent = {name: float(np.median(values)) for name, values in spent.items()}
    detail = f"largest difference of a statistic {to_scipy:.1e} to SciPy, {to_evidently:.1e} to Evidently; CPU-seconds on {rows:,} x {NUMBERS + TEXTS}: " + ', '.join(f'{name} {seconds:.2f}' for name, seconds in spent.items())
    if max(to_scipy, to_evidently) > 1e-9: raise RuntimeError(f'The statistics differ: {detail}')
    texts = [row.column for row in drift.columns if row.kind != 'numeric']
    mine = float(np.mean([row.distances.jensen_shannon for row in drift.columns if row.column in texts]))
    theirs = {'evidently': float(np.mean([evidently_found[name] for name in texts])) / np.sqrt(np.log(2)), 'scipy': float(np.mean([scipy_found[name][2] for name in texts]))}
    return [dict(name=f'drift_{peer}', ratio=spent[peer] / spent['dlmine'], goal=goal, unit='times', better='higher', quality=mine, against=theirs[peer], goal_quality=-1e-9, detail=detail)
            for peer, goal in (('evidently', 20), ('scipy', 2))]


if __name__ == '__main__':
    for line in main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000):
        print(f"{line['name']}: ratio {line['ratio']:.1f} (goal {line['goal']}) quality {line['quality']:.4f} against {line['against']:.4f} ({line['detail']})")
