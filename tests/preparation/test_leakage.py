"""The leakage test: planted leaks of every kind are caught, clean code passes on every kind of table"""
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.datasets import load_dataset
from dlmine.core.errors import DataError
from dlmine.core.shipped import find_card
from dlmine.framing.card import load_card
from dlmine.preparation.leak_findings import Leakage, check_columns, check_copies, check_groups, check_moments, check_order, merge_leakage
from dlmine.preparation.leakage import check_card, find_leaks
from dlmine.preparation.loading import load_data
from dlmine.preparation.perturb import as_features, changed, replace_values
from dlmine.preparation.windows import WindowFeatures, build_windows


def series(rows=600, seed=0, ties=True):
    "An irregular series with gaps: visits of customers, whose outcome is known hours or weeks later."
    generator = np.random.default_rng(seed)
    steps = generator.exponential(40, rows) * np.where(generator.random(rows) < 0.01, 5000, 1)
    minutes = np.cumsum(np.round(steps)) if ties else np.cumsum(steps + 0.001)
    when = pd.Timestamp("2022-01-01") + pd.to_timedelta(minutes, "min")
    known = when + pd.to_timedelta(generator.choice([1, 30, 60 * 24 * 14], rows), "min")
    return pd.DataFrame({"when": when, "who": generator.choice(list("abcde"), rows), "known": known, "paid": generator.normal(50, 20, rows), "bad": (generator.random(rows) < 0.3).astype(int)})


ASK = dict(time="when", known_at="known", outcomes=("paid", "bad"))


def kinds(report, feature=None):
    return {one.kind for one in report.leaks if feature is None or one.feature == feature}


def rolling(frame, closed, on="when", value="paid"):
    ordered = frame.sort_values(on, kind="stable")
    made = ordered.groupby("who").apply(lambda part: part.rolling("12h", on=on, closed=closed)[value].mean(), include_groups=False).reset_index(level=0, drop=True)
    return made.reindex(frame.index).rename("f").to_frame()


def as_known(frame, strict=True):
    "Mean of what is known before each row, by an as-of merge over running sums."
    past = frame.sort_values("known", kind="stable").assign(n=lambda part: part.groupby("who").cumcount() + 1, total=lambda part: part.groupby("who")["paid"].cumsum())
    asked = frame[["when", "who"]].assign(row=range(len(frame))).sort_values("when", kind="stable")
    made = pd.merge_asof(asked, past[["known", "who", "n", "total"]], left_on="when", right_on="known", by="who", allow_exact_matches=not strict).sort_values("row")
    return pd.DataFrame({"f": (made.total / made.n).to_numpy()})


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("ties", [True, False])
def test_an_inclusive_window_edge_is_caught(seed, ties):
    frame = series(seed=seed, ties=ties)
    assert "window edge" in kinds(find_leaks(lambda table: rolling(table, "both"), frame, time="when", outcomes=("paid", "bad")))
    assert find_leaks(lambda table: rolling(table, "left"), frame, time="when", outcomes=("paid", "bad")).leaks == ()
    # the second moment has an edge too: known at the very moment of the prediction
    assert "window edge" in kinds(find_leaks(lambda table: as_known(table, strict=False), frame, **ASK))
    assert find_leaks(as_known, frame, **ASK).leaks == ()


def test_an_inclusive_count_is_caught_though_it_uses_no_outcome():
    def count(table, strict):
        when, who = table["when"].to_numpy(), table["who"].to_numpy()
        return pd.DataFrame({"n": [((who == who[row]) & ((when < when[row]) if strict else (when <= when[row])) & (when >= when[row] - np.timedelta64(1, "D"))).sum() for row in range(len(table))]})
    frame = series(200, ties=False)
    assert "window edge" in kinds(find_leaks(lambda table: count(table, False), frame, time="when"))
    assert find_leaks(lambda table: count(table, True), frame, time="when").leaks == ()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_known_later_are_caught(seed):
    assert "late label" in kinds(find_leaks(lambda table: rolling(table, "left"), series(seed=seed), **ASK))
    late = find_leaks(lambda table: build_windows(pa.Table.from_pandas(table), WindowFeatures("w", by="who", value="paid"), "when"), series(seed=seed), **ASK)
    assert kinds(late) == {"late label"} and {one.feature for one in late.leaks} >= {"w_mean_24h", "w_std_24h"} and not any("count" in one.feature for one in late.leaks)


def test_statistics_over_the_whole_table_are_caught():
    frame = series()
    encoded = find_leaks(lambda table: table.groupby("who")["bad"].transform("mean").to_frame(), frame, **ASK)
    assert {"whole-table statistic", "own outcome"} <= kinds(encoded)
    scaled = find_leaks(lambda table: ((table["paid"].shift(1) - table["paid"].mean()) / table["paid"].std()).to_frame(), frame, time="when", outcomes=("paid",))
    assert "whole-table statistic" in kinds(scaled)
    adult = load_dataset("adult").slice(0, 4000).to_pandas()
    adult["high"] = (adult.income == ">50K").astype(int)
    lot = np.random.default_rng(0).permutation(4000)
    sides = {"train": np.sort(lot[:3000]), "test": np.sort(lot[3000:])}
    everything = find_leaks(lambda table: table.groupby("education")["high"].transform("mean").to_frame(), adult, target="high", split=sides)
    assert kinds(everything) == {"whole-table statistic", "own outcome"}
    ages = find_leaks(lambda table: ((table["age"] - table["age"].mean()) / table["age"].std()).to_frame(), adult, target="high", split=sides)
    assert kinds(ages) == {"whole-table statistic"}
    mean, spread = adult["age"].iloc[sides["train"]].agg(["mean", "std"])
    assert find_leaks(lambda table: ((table["age"] - mean) / spread).to_frame(), adult, target="high", split=sides).findings == ()


def test_an_encoding_of_the_training_rows_that_holds_the_row_itself_is_caught():
    adult = load_dataset("adult").slice(0, 3000).to_pandas()
    adult["high"], adult["side"] = (adult.income == ">50K").astype(int), np.where(np.arange(3000) < 2000, "train", "test")
    encode = lambda table: pd.DataFrame({"f": table["education"].map(table[table["side"] == "train"].groupby("education")["high"].mean())})
    report = find_leaks(encode, adult[["education", "high", "side"]], target="high", split={"train": np.arange(2000), "test": np.arange(2000, 3000)}, moments=12)
    assert kinds(report) == {"own outcome"}


def test_features_that_reach_ahead_are_caught():
    ahead = lambda table: (table["when"].shift(-1) - table["when"]).dt.total_seconds().to_frame("gap")
    assert kinds(find_leaks(ahead, series(), time="when")) == {"future rows"}
    centred = lambda table: table["paid"].rolling(5, center=True, min_periods=1).mean().to_frame()
    assert "future rows" in kinds(find_leaks(centred, series(), time="when", outcomes=("paid",)))
    filled = lambda table: table["paid"].mask(table["bad"] == 1).bfill().shift(1).to_frame()
    assert "future rows" in kinds(find_leaks(filled, series(), time="when", outcomes=("paid",), moments=20)) or "own outcome" in kinds(find_leaks(filled, series(), time="when", outcomes=("paid",), moments=20))


def test_a_timetable_is_known_ahead():
    ahead = lambda table: (table["when"].shift(-1) - table["when"]).dt.total_seconds().to_frame("gap")
    assert find_leaks(ahead, series(), time="when", outcomes=("paid",), ahead=("when", "who")).leaks == ()
    both = lambda table: ahead(table).assign(next_paid=table["paid"].shift(-1))
    assert {one.feature for one in find_leaks(both, series(), time="when", outcomes=("paid",), ahead=("when", "who")).leaks} == {"next_paid"}


def test_a_split_inside_a_group_is_caught():
    frame, lot = series(), np.random.default_rng(0).random(600) < 0.7
    report = find_leaks(lambda table: table[["paid"]].shift(1), frame, time="when", outcomes=("paid",), split={"train": lot, "test": ~lot}, groups=("who",))
    assert "split inside a group" in kinds(report)
    later = np.arange(600) >= 400
    assert "split inside a group" not in kinds(find_leaks(lambda table: rolling(table, "left"), frame, time="when", outcomes=("paid",), split={"train": ~later, "test": later}, groups=("who",)))
    apart = np.isin(frame["who"], ["a", "b"])
    assert check_groups(pa.Table.from_pandas(frame), {"train": apart, "test": ~apart}, ("who",)).findings == ()
    assert check_groups(pa.Table.from_pandas(frame), (apart, ~apart), ("when",)).leaks  # a moment groups by its day


def test_code_that_cannot_live_without_the_future_is_told_so():
    size = 600
    report = find_leaks(lambda table: pd.DataFrame({"f": np.zeros(len(table)) if len(table) >= size else 1 / 0}), series(size), time="when")
    assert "fails on the past" in kinds(report) and "ZeroDivisionError" in report.leaks[0].message


def test_the_order_of_rows_and_a_seedless_draw_are_suspicions():
    report = find_leaks(lambda table: pd.DataFrame({"running": np.arange(len(table))}), series(ties=False), time="when", ahead=("when", "who"))
    assert [(one.kind, one.severity) for one in report.findings] == [("row order", "suspicion")] and report.verdict == "warning"
    noise = find_leaks(lambda table: np.random.default_rng().normal(size=len(table)), series(100), time="when")
    assert [one.kind for one in noise.findings] == ["not repeatable"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["known", None]), st.sampled_from([("who",), ()]), st.booleans())
def test_windows_of_this_room_pass_on_irregular_series(seed, known_at, by, ties):
    table = pa.Table.from_pandas(series(250, seed, ties), preserve_index=False).take(pa.array(np.random.default_rng(seed).permutation(250)))
    spec = WindowFeatures("w", by=by, value="paid", known_at=known_at, hours=(1, 48), half_lives=(5,), statistics=("count", "mean", "std", "max", "share"))
    report = find_leaks(lambda part: build_windows(part, spec, "when"), table, time="when", known_at=known_at, outcomes=("paid", "bad") if known_at else ("paid", "bad"), moments=5, seed=seed)
    assert report.findings == (), [str(one) for one in report.findings]
    assert report.counts["experiments"] > 15


def test_windows_on_flights_pass_and_with_the_wrong_moment_do_not():
    flights = load_dataset("flights").slice(100_000, 3000).select(["scheduled_departure", "origin", "carrier", "block_minutes", "arr_delay"])
    landed = "scheduled_departure + block_minutes minutes + arr_delay minutes"
    for known_at, verdict in ((landed, "passed"), (None, "failed")):
        spec = WindowFeatures("carrier", by=("carrier", "origin"), value="arr_delay", known_at=known_at, half_lives=(6,))
        report = find_leaks(lambda table: build_windows(table, spec, "scheduled_departure"), flights, time="scheduled_departure", known_at=landed, outcomes=("arr_delay",), moments=6)
        assert report.verdict == verdict and report.evidence().verdict == verdict and report.evidence().capability == "preparation.leakage"


def test_every_kind_of_table_may_be_given():
    import polars as pl

    frame = series(300)
    for table, build in ((frame, lambda t: rolling(t, "left")), (pl.from_pandas(frame), lambda t: t.select((pl.col("paid").cast(pl.Float64) * 0 + 1).alias("one"))), (pa.Table.from_pandas(frame), lambda t: {"one": np.ones(t.num_rows)})):
        assert find_leaks(build, table, time="when").leaks == ()
    shuffled = frame.sample(frac=1, random_state=0)
    assert find_leaks(lambda t: rolling(t, "left"), shuffled, time="when", outcomes=("paid",)).leaks == ()


def test_numbers_as_time_nulls_and_ties():
    generator = np.random.default_rng(0)
    table = pa.table({"step": pa.array(generator.integers(0, 60, 300), mask=generator.random(300) < 0.05), "x": pa.array(generator.normal(size=300), mask=generator.random(300) < 0.1)})
    spec = WindowFeatures("w", value="x", hours=(5,), half_lives=(3,))
    assert find_leaks(lambda part: build_windows(part, spec, "step"), table, time="step", outcomes=("x",)).findings == ()
    flat = pa.table({"step": np.zeros(50, np.int64), "x": generator.normal(size=50)})
    assert find_leaks(lambda part: build_windows(part, spec, "step"), flat, time="step", outcomes=("x",)).findings == ()


def test_bad_questions_are_refused():
    frame = series(50)
    for keywords, said in ((dict(time="wen"), "Did you mean 'when'"), (dict(), "Nothing says"), (dict(time="when", outcomes=("nothing",)), "is not in the table")):
        with pytest.raises(DataError, match=said):
            find_leaks(lambda table: table[["paid"]], frame, **keywords)
    with pytest.raises(DataError, match="one value for each row"):
        find_leaks(lambda table: table[["paid"]].iloc[1:], frame, time="when")


def test_cards_flights_and_adult_pass_and_careless_ones_do_not():
    card = load_card(find_card("usecases/flights.yml"))
    good = check_card(card, load_data(card, rows=8_000))
    assert good.leaks == () and {"split inside a group", "too good", "repeats an excluded column", "order in time"} <= set(good.checks)
    random = card.replace(split={"kind": "random"})
    assert kinds(check_card(random, load_data(random, rows=8_000))) == {"split inside a group"}
    kept = card.replace(exclude=[name for name in card.exclude if name != "arr_delay"])
    assert "too good" in kinds(check_card(kept, load_data(kept, rows=8_000)), "arr_delay")
    people = load_card(find_card("usecases/adult.yml"))
    assert check_card(people, load_data(people, rows=6_000)).leaks == ()


def test_an_excluded_column_under_another_name_is_caught():
    generator = np.random.default_rng(0)
    minutes = generator.gamma(1, 20, 1000)
    table = pa.table({"delay": minutes, "hours": pa.array(np.round(minutes / 60, 3), mask=generator.random(1000) < 0.2), "honest": minutes + generator.normal(0, 40, 1000), "text": ["x"] * 1000})
    assert [one.feature for one in check_copies(table, ("hours", "honest", "text"), ("delay", "text")).leaks] == ["hours"]


def test_moments_after_the_prediction_are_suspicions():
    when = np.datetime64("2024-01-01", "us") + np.arange(100) * np.timedelta64(1, "h")
    table = pa.table({"when": when, "closed": when + np.timedelta64(2, "D"), "opened": when - np.timedelta64(2, "D")})
    report = check_moments(table, "when", ("closed", "opened"))
    assert [(one.feature, one.severity) for one in report.findings] == [("closed", "suspicion")] and report.verdict == "warning"


def test_labels_that_come_after_the_test_began():
    times = np.arange(100.0)
    assert check_order(times, {"train": np.arange(80), "test": np.arange(80, 100)}, times + 10).findings[0].share == 10 / 80
    assert check_order(times, {"train": np.arange(80), "test": np.arange(80, 100)}, times).findings == ()


def test_reports_have_figures_tables_pictures_and_evidence():
    report = find_leaks(lambda table: rolling(table, "both"), series(200), time="when", outcomes=("paid",))
    assert report.table().shape[0] == len(report.findings) == report.figures["leaks"] and "window edge" in report.figures["tested"]
    assert "<svg" in report.plot().svg and "window edge" in report._repr_html_() and report.evidence().verdict == "failed"
    empty = merge_leakage("nothing", Leakage("a", ()))
    assert empty.verdict == "passed" and "<svg" in empty.plot().svg


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e300, 1e300), st.integers(-2**60, 2**60).map(float)), min_size=1, max_size=30), st.integers(0, 100))
def test_replaced_numbers_grow_and_missing_ones_stay(values, seed):
    table, rows = pa.table({"x": pa.array(values, pa.float64()), "y": pa.array(values, pa.float64())}), np.arange(0, len(values), 2)
    new = replace_values(table, ["x"], rows, seed)
    assert new["y"].equals(table["y"])
    for row, (one, two) in enumerate(zip(values, new["x"].to_pylist())):
        assert two is None if one is None else two >= one if row % 2 == 0 else two == one
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not changed(*[as_features(new, len(values))["y"]] * 2).any()
