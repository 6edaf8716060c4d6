"Distances equal SciPy's to 1e-9."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from scipy.spatial import distance

from dlmine.core.errors import DataError
from dlmine.measures import distances as ours


def sample(random, n, kind):
    if kind == 'ties': return random.integers(0, 6, n).astype(float)
    if kind == 'atoms': return np.where(random.random(n) < .4, 0.0, random.normal(size=n))
    if kind == 'heavy': return random.standard_cauchy(n) * 1e6
    if kind == 'whole': return random.integers(-10 ** 9, 10 ** 9, n)
    if kind == 'short': return random.normal(size=n).astype(np.float32)
    return random.normal(size=n)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(['ties', 'atoms', 'heavy', 'whole', 'short', 'plain']), st.integers(0, 10_000), st.integers(2, 40), st.floats(-1, 1))
def test_ks_equals_scipy(n, m, kind, seed, grid, shift):
    random = np.random.default_rng(seed)
    one, two = sample(random, n, kind), sample(random, m, kind)
    two = two + two.dtype.type(shift)
    theirs = stats.ks_2samp(one, two, method='asymp')
    p_value = 1.0 if n == m == 1 else theirs.pvalue       # SciPy gives nan for one value a side
    assert ours.ks(one, two) == pytest.approx((theirs.statistic, p_value), abs=1e-9)
    assert ours.ks_statistic(ours.sort_values(one), two, grid=grid) == pytest.approx(theirs.statistic, abs=1e-12)     # a coarse grid still finds the exact gap


@pytest.mark.parametrize('kind', ['ties', 'atoms', 'heavy', 'whole', 'short', 'plain'])
@pytest.mark.parametrize('shift', [0, .003, 1, 1e12])
def test_ks_equals_scipy_on_many_rows(kind, shift):
    random = np.random.default_rng(1)
    one, two = sample(random, 50_000, kind), sample(random, 30_000, kind)
    two = two + two.dtype.type(shift)
    theirs = stats.ks_2samp(one, two, method='asymp')
    assert ours.ks(one, two) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)


@pytest.mark.parametrize('rows', [5000, 20_000, 150_000])
def test_p_value_of_many_rows_equals_scipy(rows):
    for z in np.concatenate([np.linspace(.3, 4, 40 if rows < 100_000 else 8), [1.4832, 1.4833, 19.3]]):
        gap = z / np.sqrt(rows)
        assert ours.ks_p_value(gap, 2 * rows, 2 * rows) == pytest.approx(stats.kstwo.sf(gap, rows), abs=1e-11)


def test_missing_infinite_and_mixed_types():
    one, two = np.array([1, np.nan, np.inf, -np.inf, 3]), np.array([2, 3, 4])
    theirs = stats.ks_2samp(one[~np.isnan(one)], two, method='asymp')
    assert ours.ks(one, two) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)
    assert ours.sort_values(one).missing == 1
    assert ours.ks([True, False], [True, True])[0] == pytest.approx(.5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=40))
def test_counts_equal_scipy(pairs):
    first, second = np.array(pairs).T
    first[0] += 1; second[-1] += 1
    assert ours.jensen_shannon(first, second) == pytest.approx(np.nan_to_num(distance.jensenshannon(first, second, base=2)), abs=1e-7)
    assert ours.jensen_shannon(first, second) ** 2 == pytest.approx(np.nan_to_num(distance.jensenshannon(first, second, base=2)) ** 2, abs=1e-12)
    table = np.stack([first, second])[:, (first + second) > 0]
    theirs = stats.chi2_contingency(table)
    assert ours.chi_squared(first, second) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9, abs=1e-9)
    pooled = ours.pool_rare(first, second)
    assert [side.sum() for side in pooled] == [first.sum(), second.sum()]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 10_000))
def test_wasserstein_equals_scipy(n, m, seed):
    random = np.random.default_rng(seed)
    one, two = random.normal(size=n).round(1), random.normal(size=m).round(1)
    assert ours.wasserstein(one, two) == pytest.approx(stats.wasserstein_distance(one, two), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections(p_values):
    p = np.array(p_values)
    assert ours.correct(p, 'bh') == pytest.approx(stats.false_discovery_control(p), abs=1e-12)
    holm, order = np.empty(len(p)), np.argsort(p, kind='stable')
    for i, j in enumerate(order): holm[j] = min(1, max(p[order[l]] * (len(p) - l) for l in range(i + 1)))
    assert ours.correct(p) == pytest.approx(holm, abs=1e-12)
    with_gaps = np.append(p, np.nan)
    assert np.isnan(ours.correct(with_gaps)[-1]) and ours.correct(with_gaps)[:-1] == pytest.approx(ours.correct(p))


def test_noise_is_what_equal_sources_show():
    random = np.random.default_rng(0)
    for rows, bins in ((500, 10), (2000, 100), (300, 50)):
        shares = random.dirichlet(np.full(bins, 5.0))
        seen = [ours.jensen_shannon(*random.multinomial(rows, shares, size=2)) for _ in range(200)]
        assert np.mean(seen) == pytest.approx(ours.sampling_noise(*random.multinomial(rows, shares, size=2)), rel=.15)


def test_psi_by_hand():
    assert ours.psi([50, 50], [60, 40]) == pytest.approx(.1 * np.log(.6 / .5) - .1 * np.log(.4 / .5))
    assert np.isfinite(ours.psi([10, 0], [0, 10]))


@pytest.mark.parametrize('call', [lambda: ours.ks([], [1]), lambda: ours.ks([np.nan], [1]), lambda: ours.ks(['a'], ['b']), lambda: ours.jensen_shannon([0, 0], [1, 2]),
                                  lambda: ours.jensen_shannon([1], [1, 2]), lambda: ours.psi([-1, 2], [1, 1]), lambda: ours.correct([.1], 'none')])
def test_wrong_input(call):
    with pytest.raises(DataError): call()
