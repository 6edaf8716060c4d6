"""Training on rows that stay on disk: this project's stream from Parquet against its own training from memory, same network and batch size, on the same million rows; then on many more rows, with the peak of memory.

The rates are rows per CPU-second with all threads counted (reading, decoding and encoding are part of the stream's), rows per second of wall time stand beside; each training runs in a process of its own, so that its peak of
memory is its own. Fifty million rows are planned (`python benchmarks/streaming.py 50000000`, about ten CPU-minutes); the default is five million, and the row says how many ran.
"""
from __future__ import annotations

import os

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(name, '1')

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NUMBERS, CODES, LEVELS, GROUP, BATCH = 20, 6, 50, 50_000, 1024
SAME, PLANNED, DEFAULT = 1_000_000, 50_000_000, 5_000_000


def make_rows(rows: int, seed: int):
    "Made-up rows with a signal in numbers and codes, as an Arrow table."
    import pyarrow as pa
    random = np.random.default_rng(seed)
    numbers, codes = random.standard_normal((NUMBERS, rows), dtype=np.float32), random.integers(2, LEVELS, (CODES, rows), dtype=np.int16)
    signal = numbers[0] + numbers[1] * numbers[2] + np.sin(codes[0].astype(np.float32)) + (codes[1] == codes[2])
    target = (signal + random.standard_normal(rows, dtype=np.float32) > 0.3).astype(np.int8)
    return pa.table({**{f'n{i}': column for i, column in enumerate(numbers)}, **{f'k{i}': column for i, column in enumerate(codes)}, 'target': target})


def write_files(folder: Path, rows: int) -> Path:
    "One file for every million rows."
    import pyarrow.parquet as pq
    for part, start in enumerate(range(0, rows, SAME)): pq.write_table(make_rows(min(SAME, rows - start), part), folder / f'{part:03}.parquet', row_group_size=GROUP, compression='lz4', use_dictionary=[f'k{i}' for i in range(CODES)])
    return folder


def features_of(table) -> dict:
    "The network's inputs, as a preprocessor would make them."
    return {'x_num': np.stack([table[f'n{i}'].to_numpy() for i in range(NUMBERS)], axis=1), 'x_cat': np.stack([table[f'k{i}'].to_numpy() for i in range(CODES)], axis=1).astype(np.int64)}


def target_of(table) -> np.ndarray: return table['target'].to_numpy()


def worker(kind: str, folder: str) -> dict:
    "Trains once over the files, from memory or from the stream."
    import pyarrow.parquet as pq
    import torch
    from dlmine.training.learner import fit
    from dlmine.training.streaming import ParquetRows, fit_stream
    torch.set_num_threads(1)
    held = make_rows(20_000, 10_000)
    settings = dict(kind='binary', classes=(0, 1), epochs=1, batch_size=BATCH, learning_rate=0.002)
    facts = {'cardinalities': [LEVELS] * CODES, 'fills': [0.0] * NUMBERS}
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    if kind == 'memory':
        table = pq.read_table(folder)
        features, target, base = features_of(table), target_of(table).astype(np.int64), peak()
        trained = fit(features, target, features_of(held), target_of(held), facts=facts, **settings)
    else:
        rows, base = ParquetRows(folder), peak()
        trained = fit_stream(rows, features_of, target_of, features_of(held), target_of(held), facts=facts, **settings)
    return {'kind': kind, 'rows': trained.rows, 'cpu_seconds': trained.cpu_seconds, 'seconds': trained.seconds, 'auc': trained.history[-1]['kpi'], 'base_mb': base, 'peak_mb': peak()}


def in_own_process(kind: str, folder: Path) -> dict:
    done = subprocess.run([sys.executable, __file__, '--worker', kind, str(folder)], capture_output=True, text=True)
    if done.returncode: raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main(rows: int = DEFAULT) -> list[dict]:
    "The rate against memory, and the peak of memory on many rows."
    with tempfile.TemporaryDirectory() as place:
        same, many = Path(place) / 'same', Path(place) / 'many'
        same.mkdir(), many.mkdir()
        write_files(same, min(rows, SAME))
        memory, stream = in_own_process('memory', same), in_own_process('stream', same)
        begun = time.perf_counter()
        size = sum(file.stat().st_size for file in write_files(many, rows).iterdir()) / 1e6
        written = time.perf_counter() - begun
        large = in_own_process('stream', many) if rows > SAME else stream
    rate = lambda run: run['rows'] / run['cpu_seconds']
    wall = lambda run: run['rows'] / run['seconds']
    growth = large['peak_mb'] - large['base_mb']
    return [{'name': 'streaming_rate', 'ratio': rate(stream) / rate(memory), 'goal': 0.7, 'quality': stream['auc'], 'against': memory['auc'], 'rows': stream['rows'], 'rows_per_cpu_second': {'memory': round(rate(memory)), 'stream': round(rate(stream)), 'stream of many': round(rate(large))},
             'rows_per_second': {'memory': round(wall(memory)), 'stream': round(wall(stream)), 'stream of many': round(wall(large))}},
            {'name': 'streaming_memory', 'value': growth, 'unit': 'MB', 'goal': 500, 'rows': large['rows'], 'planned': PLANNED, 'rows_as_the_network_takes_them_mb': round(large['rows'] * (4 * NUMBERS + 8 * CODES + 4) / 1e6), 'files_mb': round(size), 'peak_mb': round(large['peak_mb']), 'auc': large['auc'], 'seconds_to_write': round(written)}]


if __name__ == '__main__':
    if sys.argv[1:2] == ['--worker']: print(json.dumps(worker(*sys.argv[2:4])))
    else:
        for row in main(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT): print(json.dumps(row))
