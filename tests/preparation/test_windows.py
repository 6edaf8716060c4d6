"""Window features: by the definition, against pandas and Polars, in any order, on odd clocks and odd values"""
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import CardError, DataError
from dlmine.preparation.clock import MISSING_TICK, calendar_features, known_moments, read_clock
from dlmine.preparation.window_sums import Timeline, decayed_sums, extreme_stretches, running_sums, spread_stretches, sum_stretches
from dlmine.preparation.windows import RECURRENCE, STATISTICS, WindowFeatures, build_windows

START = np.datetime64("2024-02-28T00:00", "us")
HOUR = np.timedelta64(3_600_000_000, "us")
ALL = dict(hours=(1, 6, 24), half_lives=(3,), statistics=STATISTICS, recurrence=RECURRENCE)


def make(minutes, delays, groups, values, unit="us"):
    when = (START + np.array(minutes, "int64") * np.timedelta64(60_000_000, "us")).astype(f"datetime64[{unit}]")
    known = when + np.array(delays, "int64") * np.timedelta64(1, "m")
    return pa.table({"when": when, "known": known, "who": pa.array(groups, pa.string()), "amount": pa.array(values, pa.float64())})


def by_definition(table, spec, row):
    "The features of one row, spelled out."
    when, known = (table[name].to_numpy().astype("datetime64[us]") for name in ("when", spec.known_at or "when"))
    who, amount = np.array(table["who"].to_pylist(), object), table["amount"].to_numpy(zero_copy_only=False).astype(float)
    there = ~np.isnat(known)
    same = there & (who == who[row]) if spec.by else there
    found = {}
    for hours in spec.hours:
        inside = (known < when[row]) & (known >= when[row] - hours * HOUR)
        seen = amount[same & inside]
        have = seen[~np.isnan(seen)]
        found |= {f"count_{hours}h": len(seen), f"sum_{hours}h": have.sum(), f"mean_{hours}h": have.mean() if len(have) else np.nan, f"std_{hours}h": have.std(ddof=1) if len(have) > 1 else np.nan,
                  f"min_{hours}h": have.min() if len(have) else np.nan, f"max_{hours}h": have.max() if len(have) else np.nan, f"share_{hours}h": len(seen) / (there & inside).sum() if (there & inside).any() else np.nan}
    before = same & (known < when[row])
    ages = (when[row] - known[before]) / HOUR
    for half_life in spec.half_lives:
        weight, have = np.exp2(-ages / half_life), ~np.isnan(amount[before])
        found[f"decayed_count_{half_life}h"] = weight.sum()
        found[f"decayed_mean_{half_life}h"] = (weight * amount[before])[have].sum() / weight[have].sum() if have.any() else np.nan
    moments = np.sort(known[before])
    found |= {"since_last": ages.min() if len(ages) else np.nan, "count_before": len(ages), "mean_gap": (moments[-1] - moments[0]) / HOUR / (len(moments) - 1) if len(moments) > 1 else np.nan}
    valued = sorted((moment, number) for moment, number in zip(known[before], amount[before]) if not np.isnan(number))
    found["last"] = valued[-1][1] if valued else np.nan
    hits = [place for place, (_, number) in enumerate(valued) if number > 0]
    found |= {"since_positive": (when[row] - valued[hits[-1]][0]) / HOUR if hits else np.nan, "count_since_positive": len(valued) - 1 - hits[-1] if hits else np.nan}
    return {f"{spec.name}_{name}": value for name, value in found.items()}


events = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 600), st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.integers(-50, 50).map(float), st.floats(-1e6, 1e6))), min_size=0, max_size=40)


@settings(max_examples=150, deadline=None)
@given(events, st.booleans(), st.booleans(), st.sampled_from(["s", "ms", "us", "ns"]))
def test_features_are_those_of_the_definition(drawn, late, grouped, unit):
    table = make(*(list(part) for part in zip(*drawn)), unit=unit) if drawn else make([], [], [], [])
    spec = WindowFeatures("w", by=("who",) if grouped else (), value="amount", known_at="known" if late else None, **ALL)
    made = build_windows(table, spec, "when").features
    assert len(made) == 3 * len(STATISTICS) + 2 + len(RECURRENCE)
    for row in range(table.num_rows):
        if grouped and table["who"][row].as_py() is None:
            assert all(np.isnan(values[row]) for values in made.values())
            continue
        for name, value in by_definition(table, spec, row).items():
            # forty terms of up to 10⁶ that cancel leave an error of up to 40 × 10⁶ × 2⁻⁵²
            assert np.isclose(made[name][row], value, rtol=1e-9, atol=1e-8, equal_nan=True), (name, row, made[name][row], value)


@settings(max_examples=100, deadline=None)
@given(events.filter(len), st.integers(0, 2**31))
def test_shuffled_rows_give_the_same_bits(drawn, seed):
    table = make(*(list(part) for part in zip(*drawn)))
    specs = [WindowFeatures(name, by=by, value="amount", known_at=known, **ALL) for name, by, known in (("a", (), None), ("b", ("who",), "known"))]
    order = np.random.default_rng(seed).permutation(table.num_rows)
    one, two = build_windows(table, specs, "when").features, build_windows(table.take(pa.array(order)), specs, "when").features
    assert all(one[name][order].tobytes() == two[name].tobytes() for name in one)


@settings(max_examples=100, deadline=None)
@given(events.filter(len), st.integers(0, 4000))
def test_the_future_does_not_matter(drawn, cut):
    table = make(*(list(part) for part in zip(*drawn)))
    spec = WindowFeatures("w", by=("who",), value="amount", known_at="known", **ALL)
    whole = build_windows(table, spec, "when").features
    moment = START + cut * np.timedelta64(60_000_000, "us")
    keep = table["when"].to_numpy().astype("datetime64[us]") <= moment
    unknown = table["known"].to_numpy().astype("datetime64[us]") >= moment
    erased = table.set_column(3, "amount", pa.array(np.where(unknown, 12345.0, table["amount"].to_numpy(zero_copy_only=False)))).take(pa.array(np.flatnonzero(keep)))
    for name, values in build_windows(erased, spec, "when").features.items():
        assert np.allclose(values, whole[name][keep], rtol=1e-12, equal_nan=True), name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from("abc"), st.floats(-1e3, 1e3)), min_size=1, max_size=60))
def test_windows_are_those_of_pandas_and_polars(drawn):
    import polars as pl

    table = make([d[0] for d in drawn], [0] * len(drawn), [d[1] for d in drawn], [d[2] for d in drawn])
    mine = build_windows(table, WindowFeatures("w", by="who", value="amount", hours=(6,), statistics=("count", "sum", "mean", "std", "min", "max")), "when").features
    frame = table.to_pandas().assign(row=range(len(drawn))).sort_values("when", kind="stable")
    polars_frame = pl.from_arrow(table).with_row_index("row").sort("when")
    for name in ("sum", "mean", "std", "min", "max"):
        expected, rows = frame.set_index("when").groupby("who")["amount"].rolling("6h", closed="left").agg(name), np.concatenate([part.row for _, part in frame.groupby("who")])
        theirs = polars_frame.with_columns(getattr(pl.col("amount"), f"rolling_{name}_by")("when", window_size="6h", closed="left").over("who").alias("f")).sort("row")["f"].cast(pl.Float64).to_numpy()
        got = mine[f"w_{name}_6h"]
        has = mine["w_count_6h"] > (1 if name == "std" else 0)
        # both roll their sums along and keep the rounding of what has left the window; a square root makes 1e-12 of that 1e-6
        for other in (expected.to_numpy()[np.argsort(rows)], theirs):
            assert np.allclose(got[has], other[has], rtol=1e-9, atol=1e-5 if name == "std" else 1e-9), name


def test_a_huge_value_of_long_ago_leaves_no_trace():
    table = make([0, 10_000, 10_010, 10_020], [0] * 4, ["a"] * 4, [1e300, 0.1, 0.2, 5.0])
    made = build_windows(table, WindowFeatures("w", by="who", value="amount", hours=(1,), statistics=("sum", "mean", "std"), half_lives=()), "when").features
    assert made["w_sum_1h"][3] == 0.1 + 0.2 and abs(made["w_std_1h"][3] - np.std([0.1, 0.2], ddof=1)) < 1e-15


def test_infinite_values_stay_in_their_windows():
    table = make([0, 30, 200, 220, 240], [0] * 5, ["a"] * 5, [np.inf, 1.0, 2.0, 3.0, 4.0])
    made = build_windows(table, WindowFeatures("w", by="who", value="amount", hours=(1,), statistics=("sum", "max", "min", "std")), "when").features
    assert made["w_sum_1h"].tolist() == [0, np.inf, 0, 2, 5] and made["w_max_1h"][1] == np.inf and made["w_min_1h"][4] == 2 and made["w_std_1h"][4] == np.std([2, 3], ddof=1)


def test_gaps_of_years_and_short_half_lives():
    table = make([0, 1, 60 * 24 * 365 * 20, 60 * 24 * 365 * 20 + 5], [0] * 4, ["a"] * 4, [4.0, 2.0, 8.0, 1.0])
    made = build_windows(table, WindowFeatures("w", by="who", value="amount", hours=(1e9,), half_lives=(0.01,)), "when").features
    assert made["w_count_1e+09h"].tolist() == [0, 1, 2, 3] and made["w_decayed_count_0.01h"][2] == 0 and np.isfinite(made["w_decayed_mean_0.01h"][1:]).all() and made["w_decayed_mean_0.01h"][3] == 8
    weight = np.exp2(-1 / 60 / 0.01)
    assert np.isclose(made["w_decayed_mean_0.01h"][2], (4 * weight + 2) / (weight + 1), rtol=1e-12)


def test_simultaneous_events_do_not_see_each_other():
    table = make([5] * 100, [0] * 100, ["a"] * 100, list(range(100)))
    made = build_windows(table, WindowFeatures("w", by="who", value="amount", **ALL), "when").features
    assert not made["w_count_24h"].any() and not made["w_count_before"].any() and np.isnan(made["w_mean_24h"]).all() and not made["w_decayed_count_3h"].any()


def test_no_events_and_one():
    none = build_windows(make([], [], [], []), WindowFeatures("w", by="who", value="amount", **ALL), "when")
    assert all(len(values) == 0 for values in none.features.values()) and none.table().shape[0] == len(none.features)
    one = build_windows(make([1], [0], ["a"], [3.0]), WindowFeatures("w", value="amount", **ALL), "when").features
    assert one["w_count_24h"].tolist() == [0] and np.isnan(one["w_since_last"][0])
    asked = build_windows(make([60], [0], ["b"], [3.0]), WindowFeatures("w", by="who", value="amount", **ALL), "when", events=make([], [], [], [])).features
    assert asked["w_count_24h"].tolist() == [0] and asked["w_count_before"].tolist() == [0] and np.isnan(asked["w_last"][0])


def test_what_is_missing_is_left_out_and_counted():
    table = pa.table({"when": pa.array([START, START + HOUR, None, START + 2 * HOUR], pa.timestamp("us")), "known": pa.array([START, None, START, START + 2 * HOUR], pa.timestamp("us")),
                      "who": ["a", "a", "a", "a"], "amount": [1.0, 100.0, 3.0, 5.0]})
    made = build_windows(table, WindowFeatures("w", by="who", value="amount", known_at="known", hours=(24,)), "when")
    assert made.features["w_count_24h"][3] == 2 and made.features["w_mean_24h"][3] == 2 and np.isnan(made.features["w_count_24h"][2])
    assert made.figures["w: events without a moment at which they are known are never used"] == 1 and made.figures["w: rows without a time or a key have no past"] == 1 and len(made.notes) == 2


def test_duplicates_are_events_of_their_own():
    table = make([0, 0, 0, 30], [0] * 4, ["a"] * 4, [2.0, 2.0, 5.0, 1.0])
    assert build_windows(table, WindowFeatures("w", by="who", value="amount", hours=(1,)), "when").features["w_mean_1h"][3] == 3


def test_rows_and_events_of_two_tables():
    events = make([0, 30, 90, 100], [60, 0, 0, 0], ["a", "a", "b", "a"], [1.0, 2.0, 3.0, 4.0])
    rows = pa.table({"asked": (START + np.array([95, 60, 61]) * np.timedelta64(60_000_000, "us")), "who": ["a", "a", "zzz"]})
    made = build_windows(rows, WindowFeatures("w", by="who", value="amount", known_at="known", hours=(1, 2)), "asked", events=events, event_time="when").features
    assert made["w_count_2h"].tolist() == [2, 1, 0] and made["w_mean_2h"][0] == 1.5 and made["w_count_1h"].tolist() == [1, 1, 0]
    with pytest.raises(DataError, match="same type"):
        build_windows(rows.set_column(1, "who", pa.array([["a"], [], []])), WindowFeatures("w", by="who"), "asked", events=events, event_time="when")


def test_many_keys_and_wide_clocks_are_packed_or_ranked():
    generator = np.random.default_rng(0)
    table = pa.table({"when": (generator.integers(-2**62, 2**62, 500)), "a": generator.integers(0, 40, 500), "b": generator.integers(0, 40, 500), "c": generator.integers(0, 40, 500)})
    few = table.set_column(1, "a", pa.array(np.zeros(500, np.int64))).set_column(2, "b", pa.array(np.zeros(500, np.int64)))
    made = build_windows(few, WindowFeatures("w", by=("a", "b", "c"), hours=(2.0**61,)), "when").features
    when, keys = few["when"].to_numpy().astype(object), few["c"].to_numpy()
    for row in range(0, 500, 7):
        assert made["w_count_2.30584e+18"][row] == sum(1 for other in range(500) if keys[other] == keys[row] and when[row] - 2**61 <= when[other] < when[row])
    many = build_windows(table, WindowFeatures("w", by=("a", "b", "c"), hours=(2.0**62,)), "when").features
    when, keys = table["when"].to_numpy(), np.array([str(row) for row in table.drop(["when"]).to_pylist()])
    assert many["w_count_before"].tolist() == [((keys == keys[row]) & (when < when[row])).sum() for row in range(500)]


def test_plain_numbers_are_a_clock_too():
    for kind in (pa.int32(), pa.float64()):
        table = pa.table({"when": pa.array([1990, 1995, 2000, 2001], kind), "amount": [1.0, 2.0, 3.0, 4.0]})
        made = build_windows(table, WindowFeatures("w", value="amount", hours=(5,), half_lives=(5,)), "when").features
        assert made["w_count_5"].tolist() == [0, 1, 1, 1] and made["w_mean_5"][2] == 2 and made["w_since_last"][1] == 5 and made["w_decayed_count_5"][1] == 0.5
    with pytest.raises(DataError, match="plain numbers"):
        build_windows(table.append_column("known", pa.array([START] * 4)), WindowFeatures("w", known_at="known"), "when")


def test_dates_are_known_at_their_end():
    days = pa.table({"day": [date(2024, 5, 1), date(2024, 5, 2), date(2024, 5, 2), date(2024, 5, 3)], "amount": [1.0, 2.0, 4.0, 8.0]})
    made = build_windows(days, WindowFeatures("w", value="amount", hours=(24,), statistics=("sum",)), "day").features
    assert made["w_sum_24h"].tolist() == [0, 1, 1, 6]
    asked = pa.table({"at": pa.array([datetime(2024, 5, 2, 23, 59), datetime(2024, 5, 3)], pa.timestamp("us"))})
    assert build_windows(asked, WindowFeatures("w", value="amount", hours=(24,), statistics=("sum",)), "at", events=days, event_time="day").features["w_sum_24h"].tolist() == [1, 6]


def test_zones_are_compared_in_utc_and_never_mixed_with_none():
    berlin = pa.array([datetime(2024, 3, 31, 0, 30, tzinfo=timezone.utc), datetime(2024, 3, 31, 1, 30, tzinfo=timezone.utc)], pa.timestamp("us", "Europe/Berlin"))  # 01:30 and 03:30 on the wall: one hour apart
    tokyo = berlin.cast(pa.timestamp("us", "Asia/Tokyo"))
    made = build_windows(pa.table({"when": berlin}), WindowFeatures("w", hours=(1,)), "when", events=pa.table({"then": tokyo}), event_time="then").features
    assert made["w_count_1h"].tolist() == [0, 1] and made["w_since_last"][1] == 1
    autumn = pa.array([datetime(2024, 10, 27, hour, 30, tzinfo=timezone.utc) for hour in (0, 1, 2)], pa.timestamp("us", "Europe/Berlin"))  # 02:30, 02:30 again, 03:30
    assert build_windows(pa.table({"when": autumn}), WindowFeatures("w"), "when").features["w_since_last"][1:].tolist() == [1, 1]
    assert calendar_features(autumn)["time_hour"].tolist() == [2.5, 2.5, 3.5]
    for wrong in (pa.table({"when": berlin, "known": berlin.cast(pa.timestamp("us"))}), pa.table({"when": ["2024-01-01 10:00", "2024-01-01 11:00+02:00"], "known": ["2024-01-01 10:00", "2024-01-01 11:00"]})):
        with pytest.raises(DataError, match="zone"):
            build_windows(wrong, WindowFeatures("w", known_at="known"), "when")


def test_nanoseconds_are_not_rounded():
    table = pa.table({"when": pa.array([1, 2, 3], pa.timestamp("ns")), "amount": [1.0, 2.0, 4.0]})
    assert build_windows(table, WindowFeatures("w", value="amount", hours=(1,), statistics=("sum",)), "when").features["w_sum_1h"].tolist() == [0, 1, 3]


def test_known_moments_are_sums_and_missing_parts_are_never():
    table = pa.table({"when": pa.array([START, START, None], pa.timestamp("us")), "minutes": [5, None, 5]})
    assert known_moments(table, "when + minutes minutes + 1 hour").to_pylist() == [(START + np.timedelta64(65, "m")).item(), None, None]
    assert read_clock({"a": known_moments(table, "when + 2 days")}).times["a"][2] == MISSING_TICK


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=70), st.data())
def test_stretches_against_numpy(numbers, data):
    values = np.array(numbers)
    start = np.array(data.draw(st.lists(st.integers(0, len(values)), min_size=1, max_size=20)))
    stop = np.minimum(start + np.array([data.draw(st.integers(0, len(values))) for _ in start]), len(values))
    for values in (values, np.rint(values)):
        size = max(np.abs(values).max(), 1e-300)
        for a, b, total, most, least, spread in zip(start, stop, sum_stretches(values, start, stop), extreme_stretches(values, start, stop), extreme_stretches(values, start, stop, False), spread_stretches(values, start, stop)):
            part = values[a:b]
            assert abs(total - part.sum()) <= 1e-12 * size * max(len(part), 1)
            assert (most, least) == (part.max(), part.min()) if len(part) else np.isnan([most, least]).all()
            assert abs(spread - part.std(ddof=1)) <= 1e-9 * size if len(part) > 1 else np.isnan(spread)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e4), st.floats(-1e3, 1e3)), min_size=1, max_size=80), st.sampled_from([0.3, 5.0, 1e3]))
def test_decayed_sums_against_the_definition(drawn, half_life):
    groups, times, values = (np.array(part) for part in zip(*sorted(drawn)))
    first = np.searchsorted(groups, groups)
    found, = decayed_sums((values,), (times - times[first]) / half_life, first)
    for place in range(len(values)):
        weight = np.exp2(-(times[place] - times[first[place]:place + 1]) / half_life)
        assert np.isclose(found[place], (weight * values[first[place]:place + 1]).sum(), rtol=1e-9, atol=1e-9)


def test_running_sums_of_long_and_short_pieces():
    generator = np.random.default_rng(0)
    sizes = np.concatenate([generator.integers(1, 40, 200), [500, 1, 24, 25]])
    values, first = generator.normal(size=sizes.sum()), np.cumsum(sizes) - sizes
    expected = np.concatenate([np.cumsum(values[a:a + n]) for a, n in zip(first, sizes)])
    assert running_sums(values.copy(), first).tobytes() == expected.tobytes()


def test_a_timeline_of_nothing():
    line = Timeline(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), 3)
    assert line.before(np.array([0, 2]), line.offset(np.array([5, -5]))).tolist() == [0, 0] and line.first.tolist() == [0, 0, 0, 0]


def test_a_card_needs_the_moment_of_what_is_known_afterwards():
    from dlmine.core.shipped import find_card
    from dlmine.framing.card import load_card
    from dlmine.preparation.windows import specs_of

    card = load_card(find_card("usecases/flights.yml"))
    window = {"name": "w", "by": ["carrier"], "value": "late"}
    with pytest.raises(CardError, match="nothing says when it becomes known"):
        specs_of(card.replace(prepare={"windows": [window]}, labels={}))
    spec, = specs_of(card.replace(prepare={"windows": [window]}, labels={"delay": "2 days"}))
    assert spec.known_at == "scheduled_departure + 2 days"
    spec, = specs_of(card.replace(prepare={"windows": [window | {"value": "temperature"}]}))
    assert spec.known_at is None


def test_a_random_table_of_a_year_against_polars_with_joins():
    "Counts, means, decay and recurrence of rows that ask at other moments than events are known, by an as-of join."
    import polars as pl

    generator = np.random.default_rng(3)
    size = 3000
    table = make(np.sort(generator.integers(0, 60 * 24 * 60, size)), generator.integers(0, 900, size), generator.choice(list("abcd"), size), generator.normal(size=size))
    mine = build_windows(table, WindowFeatures("w", by="who", value="amount", known_at="known", half_lives=(24,)), "when").features
    frame = pl.from_arrow(table).with_row_index("row")
    weight = (pl.col("known") - pl.lit(START.item())).dt.total_microseconds() / 3.6e9 / 24
    past = frame.sort("known").select("who", "known", pl.col("known").alias("last"), pl.int_range(1, pl.len() + 1).over("who").alias("n"), (2.0**weight).cum_sum().over("who").alias("ones"), (pl.col("amount") * 2.0**weight).cum_sum().over("who").alias("sums"))
    with pytest.warns(UserWarning, match="Sortedness"):
        joined = frame.sort("when").join_asof(past, left_on="when", right_on="known", by="who", allow_exact_matches=False).sort("row")
    assert np.array_equal(joined["n"].fill_null(0).to_numpy(), mine["w_count_before"])
    assert np.allclose((joined["sums"] / joined["ones"]).to_numpy(), mine["w_decayed_mean_24h"], rtol=1e-9, equal_nan=True)
    assert np.allclose(((joined["when"] - joined["last"]).dt.total_microseconds() / 3.6e9).to_numpy(), mine["w_since_last"], rtol=1e-12, equal_nan=True)


@pytest.mark.parametrize("said, words", [("nowhere + 2 hours", "does not begin"), ("when + long", "is no duration"), ("when + lenght minutes", "neither a number nor a column"), ("value + 1 hours", "must begin with moments")])
def test_a_moment_that_cannot_be_read_names_the_key_of_the_card(said, words):
    with pytest.raises(DataError, match=words) as caught: known_moments(pa.table({"when": [datetime(2024, 1, 1)], "value": [1]}), said)
    assert "prepare.windows" in str(caught.value)
