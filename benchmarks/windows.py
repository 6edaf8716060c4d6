"""Window features on 327,346 flights: dlmine against plain Polars and plain pandas, the same numbers, CPU-seconds, interleaved; and 10,000,000 events in a process of their own, by peak memory.

Every side computes, for origin and for carrier, of the flights strictly before each flight: count and mean delay over 1, 6 and 24 hours, hours since the last, count so far, and
the count and mean delay with a half-life of a day. Polars: rolling_*_by(closed="left") over the key, running sums, an as-of join without exact matches. pandas: groupby().rolling(closed="left"),
running sums, merge_asof without exact matches. Quality: the share of numbers that agree to 1e-9. Run alone: python benchmarks/windows.py
"""
import json
import os
import resource
import subprocess
import sys
import time
import warnings

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'): os.environ.setdefault(name, '1')

import numpy as np
import pyarrow as pa

KEYS, HOURS, HALF_LIFE, TURNS = ('origin', 'carrier'), (1, 6, 24), 24, 7
WHEN, VALUE = 'scheduled_departure', 'arr_delay'
EVENTS = 10_000_000


def with_dlmine(table: pa.Table) -> dict:
    "What a card's windows call."
    from dlmine.preparation.windows import WindowFeatures, build_windows
    specs = [WindowFeatures(key, by=(key,), value=VALUE, hours=HOURS, half_lives=(HALF_LIFE,), statistics=('count', 'mean'), recurrence=('since_last', 'count_before')) for key in KEYS]
    return build_windows(table, specs, WHEN).features


def with_polars(frame) -> dict:
    "Expressions and one as-of join for each key."
    import polars as pl
    when, value = pl.col(WHEN), pl.col(VALUE)
    weight = (when - frame[WHEN].min()).dt.total_microseconds() / 3.6e9 / HALF_LIFE * np.log(2)
    frame = frame.with_row_index('row').sort(WHEN).with_columns(weight.exp().alias('weight'), pl.lit(1.0).alias('one'))
    frame = frame.with_columns(made for key in KEYS for hours in HOURS for made in (
        pl.col('one').rolling_sum_by(WHEN, window_size=f'{hours}h', closed='left').over(key).fill_null(0).alias(f'{key}_count_{hours}h'),
        value.rolling_mean_by(WHEN, window_size=f'{hours}h', closed='left').over(key).alias(f'{key}_mean_{hours}h')))
    for key in KEYS:
        past = frame.select(key, WHEN, when.alias('last'), pl.int_range(1, pl.len() + 1).over(key).alias('n'), pl.col('weight').cum_sum().over(key).alias('weights'), (pl.col('weight') * value).cum_sum().over(key).alias('sums'))
        frame = frame.join_asof(past, on=WHEN, by=key, allow_exact_matches=False).with_columns(
            ((when - pl.col('last')).dt.total_microseconds() / 3.6e9).alias(f'{key}_since_last'), pl.col('n').fill_null(0).alias(f'{key}_count_before'),
            (pl.col('weights') / pl.col('weight')).fill_null(0).alias(f'{key}_decayed_count_{HALF_LIFE}h'), (pl.col('sums') / pl.col('weights')).alias(f'{key}_decayed_mean_{HALF_LIFE}h')).drop('last', 'n', 'weights', 'sums')
    frame = frame.sort('row')
    return {name: frame[name].to_numpy() for name in frame.columns if name.startswith(tuple(f'{key}_' for key in KEYS))}


def with_pandas(frame) -> dict:
    "Rolling windows of groups, running sums, one as-of merge for each key."
    import pandas as pd
    weight = np.exp2((frame[WHEN] - frame[WHEN].min()).dt.total_seconds() / 3600 / HALF_LIFE)
    frame = frame.assign(row=np.arange(len(frame)), weight=weight, weighted=weight * frame[VALUE]).sort_values(WHEN, kind='stable')
    found, indexed = {}, frame.set_index(WHEN)

    def keep(name, rows, values):
        found[name] = np.empty(len(frame))
        found[name][rows] = values
    for key in KEYS:
        groups = indexed.groupby(key)
        rows = indexed['row'].to_numpy()[np.concatenate(list(groups.indices.values()))]
        for hours in HOURS:
            window = groups[VALUE].rolling(f'{hours}h', closed='left')
            keep(f'{key}_count_{hours}h', rows, window.count().fillna(0).to_numpy())
            keep(f'{key}_mean_{hours}h', rows, window.mean().to_numpy())
        groups = frame.groupby(key)
        past = pd.DataFrame({key: frame[key], WHEN: frame[WHEN], 'last': frame[WHEN], 'n': groups.cumcount() + 1, 'weights': groups['weight'].cumsum(), 'sums': groups['weighted'].cumsum()})
        joined = pd.merge_asof(frame[['row', key, WHEN, 'weight']], past, on=WHEN, by=key, allow_exact_matches=False)
        for name, values in (('since_last', (joined[WHEN] - joined['last']).dt.total_seconds() / 3600), ('count_before', joined.n.fillna(0)), (f'decayed_count_{HALF_LIFE}h', (joined.weights / joined.weight).fillna(0)), (f'decayed_mean_{HALF_LIFE}h', joined.sums / joined.weights)):
            keep(f'{key}_{name}', joined.row.to_numpy(), values.to_numpy())
    return found


def agreement(mine: dict, theirs: dict) -> tuple[float, float]:
    "Share of numbers that agree to 1e-9, and the largest relative difference."
    same, total, worst = 0, 0, 0.0
    for name, values in mine.items():
        other = np.asarray(theirs[name], float)
        close = np.isclose(values, other, rtol=1e-9, atol=1e-9, equal_nan=True)
        both = ~np.isnan(values) & ~np.isnan(other)
        worst = max(worst, float((np.abs(values - other) / np.maximum(1, np.abs(other)))[both].max()))
        same, total = same + int(close.sum()), total + len(values)
    return same / total, worst


def many_events() -> dict:
    "The child: 10,000,000 events of 5,000 customers; prints seconds and peak memory."
    generator = np.random.default_rng(0)
    when = generator.integers(0, 365 * 86_400_000_000, EVENTS)
    table = pa.table({WHEN: pa.array(when, pa.timestamp('us')), 'customer': generator.integers(0, 5000, EVENTS).astype(np.int32), VALUE: generator.normal(size=EVENTS)})
    del when
    from dlmine.preparation.windows import WindowFeatures, build_windows
    start, cpu = time.perf_counter(), time.process_time()
    made = build_windows(table, WindowFeatures('customer', by=('customer',), value=VALUE, hours=HOURS, half_lives=(HALF_LIFE,), statistics=('count', 'mean', 'std', 'max')), WHEN)
    return {'seconds': time.perf_counter() - start, 'cpu': time.process_time() - cpu, 'gigabytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 'features': len(made.features)}


def main() -> list[dict]:
    "Measure."
    warnings.simplefilter('ignore')
    import polars as pl
    from dlmine.core.datasets import load_dataset
    table = load_dataset('flights').select([WHEN, *KEYS, VALUE])
    frames = {'dlmine': table, 'polars': pl.from_arrow(table).with_columns(pl.col(VALUE).cast(pl.Float64)), 'pandas': table.to_pandas().astype({VALUE: float})}
    sides = {'dlmine': with_dlmine, 'polars': with_polars, 'pandas': with_pandas}
    spent, waited, found = {name: [] for name in sides}, {name: [] for name in sides}, {}
    for turn in range(TURNS):
        for name, side in sides.items():
            if name == 'pandas' and turn > 2: continue
            wall, cpu = time.perf_counter(), time.process_time()
            found[name] = side(frames[name])
            spent[name].append(time.process_time() - cpu)
            waited[name].append(time.perf_counter() - wall)
    cpu, wall = ({name: float(np.median(times[1:])) for name, times in kept.items()} for kept in (spent, waited))
    rows = []
    for peer, goal in (('polars', 1 / 1.1), ('pandas', 3)):
        same, worst = agreement(found['dlmine'], found[peer])
        if same < 1: raise RuntimeError(f'{peer}: only {same:.6f} of the numbers agree; largest difference {worst:.1e}')
        rows.append(dict(name=f'windows_{peer}', ratio=cpu[peer] / cpu['dlmine'], goal=goal, unit='times', better='higher', quality=same, against=1.0, goal_quality=0.0, wall_ratio=wall[peer] / wall['dlmine'],
                         detail=f"{len(found['dlmine'])} features of {table.num_rows:,} flights; CPU-seconds dlmine {cpu['dlmine']:.3f}, {peer} {cpu[peer]:.3f}; wall {wall['dlmine']:.3f}, {wall[peer]:.3f}; largest difference {worst:.1e}"))
    child = subprocess.run([sys.executable, os.path.abspath(__file__), 'many'], check=True, capture_output=True, text=True)
    large = json.loads(child.stdout.splitlines()[-1])
    rows.append(dict(name='windows_ten_million_memory', value=large['gigabytes'], unit='GB', goal=4.0, detail=f"{large['features']} features of {EVENTS:,} events in {large['seconds']:.1f} s ({large['cpu']:.1f} CPU-seconds)"))
    return rows


if __name__ == '__main__':
    if sys.argv[1:] == ['many']: print(json.dumps(many_events()))
    else:
        for line in main(): print({name: round(value, 3) if isinstance(value, float) else value for name, value in line.items()})
