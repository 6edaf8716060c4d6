"""Schema profile of ten million rows, out of core, against pandas computing the same figures.

Both sides run in a process of their own on the same Parquet file, in turns; time is CPU time, memory the peak of the process. The figures (rows, missing, distinct, range, mean, quantiles) have to be equal.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

COLUMNS = ("id", "group", "amount", "moment", "category", "code", "flag")

OURS = """
import json, resource, sys, time
from dlmine.framing.schema_profile import profile_schema
start = time.process_time()
profile = profile_schema(sys.argv[1], exact=True, memory="1GB")
seconds = time.process_time() - start
figures = {c.name: [c.rows, c.nulls, c.distinct, *([float(c.minimum), float(c.maximum), c.mean, *c.quantiles] if c.kind == "number" else [str(c.minimum), str(c.maximum)])] for c in profile.columns}
print(json.dumps({"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "figures": figures}))
"""

PANDAS = """
import json, resource, sys, time
import pandas as pd
start = time.process_time()
frame = pd.read_parquet(sys.argv[1])
figures = {}
for name in frame.columns:
    column = frame[name]
    present = column.dropna()
    said = [len(column), int(column.isna().sum()), int(column.nunique())]
    if column.dtype.kind in "if": said += [float(column.min()), float(column.max()), float(column.mean()), *map(float, column.quantile([.05, .25, .5, .75, .95]))]
    else: said += [str(present.min()), str(present.max())]
    if column.dtype == object: column.value_counts()
    figures[name] = said
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "figures": figures}))
"""


def make_table(path: Path, rows: int, batch: int = 500_000) -> None:
    "A table with keys, numbers, moments, few levels, many levels and missing values, written in batches."
    import pyarrow as pa
    import pyarrow.parquet as parquet
    generator, writer = np.random.default_rng(0), None
    levels = np.array([f"level {i:02}" for i in range(50)])
    codes = np.array([f"N{i:05}X" for i in range(100_000)])
    for start in range(0, rows, batch):
        count = min(batch, rows - start)
        part = pa.table({"id": np.arange(start, start + count), "group": generator.integers(0, 1000, count), "amount": pa.array(generator.normal(100, 30, count).round(2), mask=generator.random(count) < 0.05),
                         "moment": (np.datetime64("2020-01-01", "s") + generator.integers(0, 10**8, count)).astype("datetime64[us]"), "category": levels[generator.integers(0, 50, count)], "code": codes[generator.integers(0, 100_000, count)], "flag": generator.random(count) < 0.3})
        writer = writer or parquet.ParquetWriter(path, part.schema)
        writer.write_table(part)
    writer.close()


def measured(code: str, path: Path) -> dict:
    "What one side says in a process of its own."
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode: raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def largest_difference(ours: dict, theirs: dict) -> float:
    "Largest relative difference of two sets of figures; different texts or counts count as infinite."
    worst = 0.0
    for name in COLUMNS:
        if name == "flag": ours[name], theirs[name] = ours[name][:3], theirs[name][:3]
        for a, b in zip(ours[name], theirs[name], strict=True):
            if isinstance(a, str): worst = worst if a[:19] == b[:19] else float("inf")
            else: worst = max(worst, abs(a - b) / max(abs(b), 1.0))
    return worst


def main(rows: int = 10_000_000) -> list[dict]:
    "Measure; three turns of each side."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        make_table(path, rows)
        turns = [(measured(OURS, path), measured(PANDAS, path)) for _ in range(3)]
    difference = max(largest_difference(ours["figures"], theirs["figures"]) for ours, theirs in turns)
    if difference > 1e-9: raise RuntimeError(f"The figures differ by {difference:.1e}.")
    seconds = [float(np.median([turn[side]["seconds"] for turn in turns])) for side in (0, 1)]
    memory = [max(turn[side]["memory"] for turn in turns) for side in (0, 1)]
    detail = f"{rows:,} rows x {len(COLUMNS)} columns; largest difference of a figure {difference:.1e}; CPU-seconds dlmine {seconds[0]:.1f}, pandas {seconds[1]:.1f}; peak memory {memory[0]:.2f} and {memory[1]:.2f} GB"
    return [dict(name="schema_profile_memory", value=memory[0], goal=2.0, unit="GB", better="lower", quality=-difference, against=0.0, goal_quality=-1e-9, detail=detail),
            dict(name="schema_profile_pandas", ratio=seconds[1] / seconds[0], goal=1.0, unit="times", better="higher", quality=-difference, against=0.0, goal_quality=-1e-9, detail=detail)]


if __name__ == "__main__":
    for line in main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000): print(f"{line['name']}: {line.get('ratio', line.get('value')):.2f} (goal {line['goal']}) ({line['detail']})")
