"Drift: exact statistics, verdicts that size decides, awkward windows."
import json

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance

from dlmine.core.errors import DataError
from dlmine.measures.distances import correct
from dlmine.measures.profile import Profile, build_profile
from dlmine.monitoring.drift import exact_distances, measure_drift


def table(n, seed=0, shift=0.0, levels=(.5, .3, .2)):
    random = np.random.default_rng(seed)
    plain = random.normal(shift, 1, n)
    return pa.table({'plain': plain, 'ties': random.integers(0, 9, n), 'gaps': pa.array(random.normal(size=n), mask=random.random(n) < .1), 'short': random.normal(size=n).astype(np.float32),
                     'level': np.array(['a', 'b', 'ç'])[random.choice(3, n, p=levels)], 'flag': random.random(n) < .4, 'day': pa.array(random.integers(0, 10 ** 6, n).astype(np.int32)).cast(pa.date32())})


def test_exact_equals_scipy():
    one, two = table(6000), table(4000, 1, .05, (.4, .3, .3))
    drift = measure_drift(one, two)
    p_values = {}
    for row in drift.columns:
        a, b = one[row.column].to_pandas(), two[row.column].to_pandas()
        if row.kind == 'numeric':
            if row.column == 'day': continue
            theirs = stats.ks_2samp(a.dropna(), b.dropna(), method='asymp')
        else:
            counts = np.stack([a.astype(str).value_counts().sort_index(), b.astype(str).value_counts().sort_index()])
            theirs = stats.chi2_contingency(counts)
            assert row.distances.jensen_shannon == pytest.approx(distance.jensenshannon(counts[0], counts[1], base=2), abs=1e-9)
        assert (row.distances.statistic, row.distances.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9, abs=1e-9)
    assert {r.column: r.p_corrected for r in drift.columns} == pytest.approx(dict(zip([r.column for r in drift.columns], correct([r.distances.p_value for r in drift.columns]))))
    assert drift.figures['mode'] == 'exact' and drift.figures['reference_rows'] == 6000 and drift.figures['current_rows'] == 4000


def test_size_decides_not_significance():
    drift = measure_drift(table(200_000), table(200_000, 1, .03))
    row = next(r for r in drift.columns if r.column == 'plain')
    assert row.p_corrected < 1e-6 and row.verdict == 'stable' and drift.verdict == 'stable'
    assert drift.evidence().verdict == 'passed'
    moved = measure_drift(table(2000), table(2000, 1, 1.0))
    assert moved.columns[0].column == 'plain' and moved.columns[0].verdict == 'strong drift' and moved.evidence().verdict == 'warning'


@pytest.mark.parametrize('rows', [5, 30, 100, 400, 2000])
def test_same_source_raises_no_alarm(rows):
    alarms = sum(bool(measure_drift(table(5000, seed), table(rows, 1000 + seed)).drifted) for seed in range(20))
    assert alarms <= 1, f'{alarms} of 20'


@pytest.mark.parametrize('rows', [15, 100, 2000])
def test_a_big_change_is_seen_in_few_rows(rows):
    for seed in range(5): assert 'plain' in measure_drift(table(5000, seed), table(rows, 1000 + seed, 2.0)).drifted


@pytest.mark.parametrize('correction', ['holm', 'bh'])
def test_profile_mode_is_within_one_bin(correction):
    one, two = table(3000), table(2000, 1, .4, (.2, .3, .5))
    exact = measure_drift(one, two, correction=correction)
    for reference in (Profile.from_json(build_profile(one).to_json()), one):
        read = measure_drift(reference, two, mode='profile', correction=correction)
        assert read.mode == 'profile' and read.figures['correction'] == correction and read.figures['reference_rows'] == 3000
        assert read.drifted == exact.drifted
        for row in read.columns:
            other = next(r for r in exact.columns if r.column == row.column)
            if row.kind == 'numeric': assert other.distances.statistic - .01 <= row.distances.statistic <= other.distances.statistic + 1e-12
            assert row.distances.jensen_shannon == pytest.approx(other.distances.jensen_shannon, abs=1e-12)


def test_calendar_columns_are_named_and_not_counted():
    n = 1000
    one = pa.table({'month': np.arange(n) % 9, 'day': pa.array(np.arange(n, dtype=np.int32)).cast(pa.date32()), 'x': np.arange(n) % 7})
    two = pa.table({'month': np.arange(n) % 3 + 9, 'day': pa.array(np.arange(n, dtype=np.int32) + n).cast(pa.date32()), 'x': np.arange(n) % 7})
    drift = measure_drift(one, two, calendar=['month'])
    assert {r.column: r.verdict for r in drift.columns} == {'month': 'by nature', 'day': 'by nature', 'x': 'stable'}
    assert drift.verdict == 'stable' and set(drift.figures['by_nature']) == {'month', 'day'}
    assert 'do not overlap' in drift.columns[0].note


def test_missing_new_levels_and_gone_columns():
    one, two = table(1000), table(1000, 1)
    two = two.set_column(0, 'plain', pa.nulls(1000)).set_column(4, 'level', pa.array(['new'] * 500 + ['a'] * 500)).drop_columns(['flag'])
    drift = measure_drift(one, two)
    found = {r.column: r for r in drift.columns}
    assert found['plain'].verdict == 'strong drift' and 'missing 0.0% → 100.0%' in found['plain'].note
    assert found['level'].verdict == 'strong drift' and '50.0% in new levels' in found['level'].note
    assert any('flag' in note for note in drift.notes)
    changed = measure_drift(one, table(50).set_column(0, 'plain', pa.array(['text'] * 50)))
    assert any("'plain' changed its type" in note for note in changed.notes)
    json.dumps(drift.figures, allow_nan=False)
    assert '<table' in drift._repr_html_() and str(drift.plot()).startswith('<svg')


def test_scores_drift():
    random, one = np.random.default_rng(0), table(2000)
    before, now = random.beta(2, 5, 2000), random.beta(5, 2, 1000)
    drift = measure_drift(one, table(1000, 1), predictions=(before, now))
    assert drift.prediction.verdict == drift.verdict == 'strong drift' and drift.drifted == ()
    theirs = stats.ks_2samp(before, now, method='asymp')
    assert (drift.prediction.distances.statistic, drift.prediction.distances.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)
    stored = build_profile(pa.table({'scores': before})).columns['scores']
    assert measure_drift(build_profile(one), table(1000, 1), predictions=(stored, now)).prediction.verdict == 'strong drift'


def test_importance_is_shown():
    drift = measure_drift(table(500), table(500, 1), importance={'plain': .7})
    assert drift.table().loc['plain', 'importance'] == .7


def test_wrong_input():
    one = table(100)
    with pytest.raises(DataError, match='no rows'): measure_drift(one, one.slice(0, 0))
    with pytest.raises(DataError, match='no rows'): measure_drift(one.slice(0, 0), one)
    with pytest.raises(DataError, match="Did you mean 'plain'"): measure_drift(one, one, columns=['plane'])
    with pytest.raises(DataError, match='no mode'): measure_drift(one, one, mode='fast')
    with pytest.raises(DataError, match='reference rows'): measure_drift(build_profile(one), one, mode='exact')
    with pytest.raises(DataError, match='no correction'): measure_drift(one, one, correction='none')
