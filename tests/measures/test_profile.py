"Profiles add up, survive JSON, and give distances within 1/bins of the exact ones."
import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import DataError
from dlmine.measures.distances import ks_statistic
from dlmine.measures.profile import Profile, bin_edges, build_profile, distances, ks_from_profiles, numbers_of


def numbers(random, n, kind):
    values = {'ties': lambda: random.integers(0, 6, n).astype(float), 'atoms': lambda: np.where(random.random(n) < .4, 0., random.normal(size=n)),
              'heavy': lambda: random.standard_cauchy(n) * 1e6, 'plain': lambda: random.normal(size=n), 'constant': lambda: np.full(n, 3.),
              'infinite': lambda: np.where(random.random(n) < .2, np.inf, random.normal(size=n))}[kind]()
    values[random.random(n) < .1] = np.nan
    return values

KINDS = st.sampled_from(['ties', 'atoms', 'heavy', 'plain', 'constant', 'infinite'])


@settings(max_examples=300, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300), KINDS, st.integers(2, 60), st.integers(0, 10_000), st.sampled_from([0, 1e-9, .01, .5, -.5]))
def test_ks_within_one_bin(n, m, kind, bins, seed, shift):
    random = np.random.default_rng(seed)
    one, two = numbers(random, n, kind), numbers(random, m, kind) + shift
    if np.isnan(one).all() or np.isnan(two).all(): return
    reference = build_profile(pa.table({'x': one}), bins=bins)
    current = build_profile(pa.table({'x': two}), like=reference)
    read, exact = ks_from_profiles(reference.columns['x'], current.columns['x'])[0], ks_statistic(one, two)
    assert exact - 1 / bins - 1e-12 <= read <= exact + 1e-12
    assert np.all(np.diff(reference.columns['x'].edges) > 0) and len(reference.columns["x"].edges) <= 2 * bins


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.integers(0, 200), KINDS, st.integers(0, 10_000))
def test_merging_is_counting_together(n, m, kind, seed):
    random = np.random.default_rng(seed)
    values = numbers(random, n + m, kind)
    levels = [None if random.random() < .1 else 'abcdéfg'[random.integers(7)] for _ in range(n + m)]
    table = pa.table({'x': values, 'level': levels, 'date': pa.array(random.integers(0, 10 ** 15, n + m), pa.timestamp('us'))})
    like = build_profile(table.slice(0, max(n // 2, 1)), bins=20, levels=4)
    whole = build_profile(table, like=like)
    merged = build_profile(table.slice(0, n), like=like).merge(build_profile(table.slice(n), like=like))
    assert merged.rows == whole.rows
    for name in whole.columns:
        a, b = merged.columns[name], whole.columns[name]
        assert (a.counts, a.nulls, a.rows) == (b.counts, b.nulls, b.rows)
        if a.kind == 'numeric':
            assert (a.edges, a.minimum, a.maximum) == (b.edges, b.minimum, b.maximum)
            if kind != 'infinite' or name != 'x': assert (a.mean, a.std) == pytest.approx((b.mean, b.std), rel=1e-9, abs=1e-9)
        else: assert (a.levels, a.other) == (b.levels, b.other)
    assert Profile.from_json(whole.to_json()) == whole


def test_mean_and_spread_are_numpys():
    values = np.random.default_rng(0).normal(1e6, 2, 5000)
    column = build_profile(pa.table({'x': values})).columns['x']
    assert (column.mean, column.std) == pytest.approx((values.mean(), values.std()), rel=1e-9)
    assert column.quantile(.5) == pytest.approx(np.quantile(values, .5, method='inverted_cdf'))


def test_every_arrow_type():
    day = datetime.date(2020, 1, 2)
    table = pa.table({'int': pa.array([1, None, 3], pa.int16()), 'bool': [True, None, False], 'text': ['a', 'b', None], 'date': [day, None, day],
                      'stamp': pa.array([datetime.datetime(2020, 1, 1), None, datetime.datetime(2021, 1, 1)], pa.timestamp('ns')), 'time': pa.array([datetime.time(1), None, datetime.time(2)], pa.time64('us')),
                      'decimal': pa.array([decimal.Decimal('1.5'), None, decimal.Decimal('2.5')]), 'coded': pa.array(['x', None, 'y']).dictionary_encode(), 'none': pa.nulls(3),
                      'span': pa.array([datetime.timedelta(1), None, datetime.timedelta(2)])})
    profile = build_profile(table)
    assert {name: c.nulls for name, c in profile.columns.items()} == {name: 3 if name == 'none' else 1 for name in table.column_names if name != 'text'} | {'text': 1}
    assert {name for name, c in profile.columns.items() if c.kind == 'categorical'} == {'bool', 'text', 'coded', 'none'}
    assert numbers_of(table['date'])[0] == 18263 * 86400 and numbers_of(table['stamp'])[2] == 1609459200
    assert Profile.from_json(profile.to_json()) == profile
    again = build_profile(table, like=profile)
    for name in profile.columns:
        if profile.columns[name].rows: assert distances(profile.columns[name], again.columns[name]).effect == 0


def test_missing_values_are_a_category():
    one, two = pa.table({'x': np.arange(1000.)}), pa.table({'x': np.where(np.arange(1000) % 2, np.nan, np.arange(1000.))})
    reference = build_profile(one)
    found = distances(reference.columns['x'], build_profile(two, like=reference).columns['x'])
    assert found.current_nulls == .5 and found.effect > .4 and found.statistic < .01
    gone = distances(reference.columns['x'], build_profile(pa.table({'x': pa.nulls(10, pa.float64())}), like=reference).columns['x'])
    assert gone.jensen_shannon == pytest.approx(1) and np.isnan(gone.statistic)


def test_unseen_levels_are_other():
    reference = build_profile(pa.table({'x': ['a'] * 50 + ['b'] * 50}))
    current = build_profile(pa.table({'x': ['a'] * 50 + ['new'] * 50}), like=reference)
    found = distances(reference.columns['x'], current.columns['x'])
    assert found.unseen == .5 and found.effect > .5


def test_wrong_input():
    table = pa.table({'x': [1., 2.], 'y': ['a', 'b'], 'z': [[1], [2]]})
    profile = build_profile(table, ['x', 'y'])
    with pytest.raises(DataError, match='held numbers'): build_profile(pa.table({'x': ['a'], 'y': ['b']}), like=profile)
    with pytest.raises(DataError, match='not in the table'): build_profile(pa.table({'x': [1.]}), like=profile)
    with pytest.raises(DataError, match='no levels'): build_profile(table)
    with pytest.raises(DataError, match='different columns'): profile.merge(build_profile(table, ['x']))
    assert bin_edges([]).shape == (0,)
