"Spellings, units, conversions, profiles, joins: the parts of a comparison of schemas, against pandas and Python."
import datetime
import math
import zoneinfo
from collections import Counter

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import DataError
from dlmine.framing.clocks import explaining_zones, gaps_within
from dlmine.framing.conversions import to_level, to_moment, to_number, to_truth
from dlmine.framing.joins import count_join, join
from dlmine.framing.schema_profile import open_tables, profile_schema, profile_view
from dlmine.framing.spellings import fold_level, form_of, form_sql, judge_order, name_similarity, possible_orders, spelling_groups
from dlmine.framing.units import UNITS, conversion, guess_units

ODD = st.text(alphabet=" \t09.,:/-+eE$%€ZAmé_NAJanT'", max_size=14)


@settings(max_examples=60, deadline=None)
@given(st.lists(ODD, min_size=1, max_size=40))
def test_a_form_is_the_same_in_python_and_in_sql(texts):
    table = pa.table({"place": range(len(texts)), "value": texts})   # noqa: F841 (DuckDB finds it by name)
    found = duckdb.sql(f"SELECT {form_sql('value')} FROM table ORDER BY place".replace("FROM table", 'FROM "table"')).fetchall()
    assert [row[0] for row in found] == [form_of(text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.dates(datetime.date(1950, 1, 1), datetime.date(2060, 1, 1)), st.sampled_from([("%d/%m/%Y", "day first"), ("%m/%d/%Y", "month first"), ("%Y-%m-%d", "year first"), ("%d.%m.%y", "day first")]))
def test_the_true_order_is_always_possible_and_only_decided_when_it_must_be(day, form):
    text, order = day.strftime(form[0]), form[1]
    assert order in possible_orders(text)
    judged = judge_order({text: 1})
    assert judged.order in (order, "ambiguous")
    if day.day > 12 and "%Y" in form[0]:
        assert judged.order == order


def test_a_contradiction_is_mixed_and_nothing_is_no_order():
    assert judge_order({"25/12/2005": 1, "12/25/2005": 1}).order == "mixed"
    assert judge_order({"hello": 1}).order == "" and judge_order({}).order == ""


@pytest.mark.parametrize("left, right", [("<=50K", ">50K"), ("B-", "B"), ("C++", "C"), ("-5", "5"), ("10-15", "1015")])
def test_signs_with_a_meaning_are_no_spelling(left, right):
    assert fold_level(left) != fold_level(right)
    assert spelling_groups({left: 100, right: 90}) == ()


def test_models_and_short_words_are_no_slips():
    assert spelling_groups({"A320-214": 500, "A319-214": 3, "Male": 400, "Mare": 2, "1994": 40, "1995": 2}) == ()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12))
def test_similarity_is_symmetric_and_bounded(left, right):
    assert name_similarity(left, right) == name_similarity(right, left) and 0 <= name_similarity(left, right) <= 1


@pytest.mark.parametrize("quantity", UNITS)
def test_conversions_go_there_and_back(quantity):
    for unit in UNITS[quantity]:
        for target in UNITS[quantity]:
            factor, shift = conversion(unit, target)
            back, undo = conversion(target, unit)
            assert back * (factor * 37.5 + shift) + undo == pytest.approx(37.5, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([("mile", "km", "distance"), ("F", "C", "temp"), ("lb", "kg", "weight"), ("mph", "km/h", "speed"), ("knot", "km/h", "speed")]))
def test_a_planted_conversion_is_found(seed, units):
    unit, target, name = units
    values = np.sort(np.random.default_rng(seed).gamma(3, 20, 19)) + 1
    factor, shift = conversion(unit, target)
    guess = guess_units(values, factor * values + shift, name, name)
    assert guess is not None and abs(guess.factor / factor - 1) < 0.05
    assert guess_units(values, values, name, name) is None


# ---- profile

COLUMN = st.one_of(st.lists(st.one_of(st.none(), st.integers(-10**6, 10**6)), min_size=1, max_size=40), st.lists(st.one_of(st.none(), st.floats(width=64)), min_size=1, max_size=40), st.lists(st.one_of(st.none(), st.text(max_size=6)), min_size=1, max_size=40))


@settings(max_examples=80, deadline=None)
@given(COLUMN)
def test_profile_counts_like_pandas(values):
    column = profile_schema(pa.table({"x": pa.array(values)}))["x"]
    theirs = pd.Series(values, dtype=object)
    present = theirs[theirs.map(lambda value: value is not None and value == value)]
    assert column.rows == len(values) and column.nulls == len(values) - len(present) and column.distinct == present.nunique()
    if len(present) and not isinstance(present.iloc[0], str):
        finite = [value for value in present if math.isfinite(value)]
        assert column.infinite == len(present) - len(finite)
        if finite:
            assert (column.minimum, column.maximum) == (min(finite), max(finite))
            if max(map(abs, finite)) < 1e150:
                assert column.quantiles == pytest.approx(tuple(np.quantile(finite, [0.05, 0.25, 0.5, 0.75, 0.95])), rel=1e-9, abs=1e-9)


def test_parquet_is_profiled_where_it_lies_and_csv_alike(tmp_path):
    import pyarrow.csv
    import pyarrow.parquet as parquet
    table = pa.table({"id": list(range(1000)), "level": ["a", "b", None, "c"] * 250, "value": [float(i % 7) for i in range(1000)]})
    parquet.write_table(table, tmp_path / "t.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    for name in ("t.parquet", "t.csv"):
        found = profile_schema(name, base=tmp_path)
        assert found.keys == (("id",),) and found["level"].nulls == 250 and found["level"].distinct == 3 and found["value"].maximum == 6


def test_a_large_csv_is_streamed_with_the_same_findings(tmp_path, monkeypatch):
    import dlmine.framing.schema_profile as module
    (tmp_path / "big.csv").write_text("id,when,speed\n" + "\n".join(f"{i},{1 + i % 28:02}/01/2013,{'NA' if i % 10 == 0 else i % 50}" for i in range(500)))
    whole = profile_schema("big.csv", base=tmp_path)
    monkeypatch.setattr(module, "LARGE", 10)
    streamed = profile_schema("big.csv", base=tmp_path)
    assert streamed["speed"].kind == "number" and streamed["speed"].nulls == whole["speed"].nulls == 50 and streamed["when"].order.order == "day first"


def test_names_that_differ_in_case_only_survive():
    assert profile_schema(pa.table({"ID": [1, 2], "id": [3, 4]})).names == ("ID", "id_2")


# ---- joins

KEYS = st.lists(st.one_of(st.none(), st.integers(0, 6)), max_size=25)


@settings(max_examples=80, deadline=None)
@given(KEYS, KEYS)
def test_join_facts_are_those_of_pandas(left, right):
    tables = {"left": pa.table({"k": pa.array(left, pa.int64()), "l": list(range(len(left)))}), "right": pa.table({"k": pa.array(right, pa.int64()), "r": list(range(len(right)))})}
    with open_tables(tables) as connection:
        facts = count_join(connection, "left", "right", (("k", "k"),))
    a, b = (pd.DataFrame({"k": [value for value in values if value is not None]}, dtype="int64") for values in (left, right))
    merged = a.merge(b, on="k")
    assert facts.joined_rows == len(merged)
    assert facts.unmatched_left == len(left) - int(a["k"].isin(b["k"]).sum()) and facts.unmatched_right == len(right) - int(b["k"].isin(a["k"]).sum())
    assert facts.missing_left == left.count(None) and facts.left_keys == a["k"].nunique()
    assert facts.cardinality == {(True, True): "1:1", (False, True): "n:1", (True, False): "1:n", (False, False): "n:m"}[(a["k"].is_unique, b["k"].is_unique)]


@settings(max_examples=60, deadline=None)
@given(KEYS, st.lists(st.integers(0, 6), max_size=7, unique=True))
def test_a_left_join_keeps_every_row_in_order_like_pandas(left, right):
    ours = join(pa.table({"k": pa.array(left, pa.int64()), "l": pa.array(range(len(left)), pa.int64())}), pa.table({"k": pa.array(right, pa.int64()), "r": pa.array([10 * value for value in right], pa.int64())}), "k").table
    assert ours["l"].to_pylist() == list(range(len(left)))
    assert ours["r"].to_pylist() == [10 * key if key in right else None for key in left]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_an_expectation_is_refused_exactly_when_pandas_refuses_it(left, right):
    for expect in ("one_to_one", "many_to_one", "one_to_many"):
        try:
            expected = len(pd.DataFrame({"k": left}).merge(pd.DataFrame({"k": right}), on="k", validate=expect))
        except pd.errors.MergeError:
            expected = None
        try:
            found = join(pa.table({"k": left}), pa.table({"k": right}), "k", expect=expect, how="inner", limit=1e9).table.num_rows
        except DataError as error:
            found = None
            assert "keys repeat" in str(error)
        assert found == expected, expect


def test_an_exploding_join_names_factor_and_keys():
    left, right = pa.table({"k": [1] * 100 + [2]}), pa.table({"k": [1] * 50 + [2]})
    with pytest.raises(DataError, match=r"explodes: 101 rows would become 5,001, 49\.5.*1 \(50 times\)"):
        join(left, right, "k", expect="many_to_many", names=("orders", "items"))
    assert join(left, right, "k", expect="many_to_many", limit=50).table.num_rows == 5001


# ---- clocks and conversions

@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Sydney"])
def test_local_against_utc_is_found_in_any_zone(zone):
    utc = [datetime.datetime(2023, 1, 1) + datetime.timedelta(hours=3 * i) for i in range(2900)]
    local = [moment.replace(tzinfo=datetime.timezone.utc).astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None) for moment in utc]
    table = pa.table({"stamp": utc, "yr": [m.year for m in local], "mon": [m.month for m in local], "day": [m.day for m in local], "hr": [m.hour for m in local]})
    with open_tables({"t": table}) as connection:
        gaps = gaps_within(connection, profile_view(connection, "t"))
    if zone == "Asia/Kolkata":   # half an hour is lost in whole hours, and nothing jumps: a gap, without a claim
        assert all(not gap.local for gap in gaps)
    else:
        assert len(gaps) == 1 and gaps[0].zones == (zone,) and gaps[0].local.startswith("t.(yr")


def test_no_pairs_no_zone():
    assert explaining_zones([]) == ()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1, max_size=20))
def test_numbers_survive_text_and_infinite_ones_are_named(values):
    made, why = to_number(pa.array([None if value is None else repr(value) for value in values], pa.string()))
    for value, read, reason in zip(values, made.to_pylist(), why):
        if value is not None and math.isinf(value):
            assert read is None and reason == "infinite value"
        else:
            assert read == value and reason is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2037, 1, 1)), min_size=1, max_size=10), st.sampled_from(["America/New_York", "Europe/Berlin", "Asia/Tokyo"]))
def test_local_moments_become_utc_like_zoneinfo(moments, zone):
    moments = [moment.replace(microsecond=0) for moment in moments]
    made, why = to_moment(pa.array(moments, pa.timestamp("us")), zone=zone)
    for moment, read, reason in zip(moments, made.to_pylist(), why):
        early, late = (moment.replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=fold) for fold in (0, 1))
        if early.utcoffset() != late.utcoffset():
            assert "twice or never" in reason
        else:
            assert reason is None and read == early.astimezone(datetime.timezone.utc)


def test_ambiguous_dates_are_never_guessed():
    made, why = to_moment(pa.array(["03/04/05", "25/12/05", "soon"]), "%d/%m/%y | %m/%d/%y", day=True)
    assert why[0].startswith("ambiguous") and made.to_pylist()[1] == datetime.date(2005, 12, 25) and why[2].startswith("no date")


def test_levels_and_truth():
    assert to_level(pa.array([1.0, 2.5, None]))[0].to_pylist() == ["1", "2.5", None]
    assert to_level(pa.array(["a", "b"]).dictionary_encode(), levels={"a": "x"})[0].to_pylist() == ["x", "b"]
    assert to_truth(pa.array([1, 0, 2]))[1].tolist() == [None, None, "neither true nor false"]


def test_huge_whole_numbers_are_exact_or_refused():
    made, why = to_number(pa.array(["123456789012345678", "99999999999999999999"]), whole=True)
    assert why[1] == "too large for a whole number" or made.to_pylist()[1] is None
    assert to_number(pa.array(["123456789012345678"]), whole=True)[0].to_pylist() == [123456789012345678]


def test_counter_of_real_levels_has_few_groups():
    from dlmine.core.datasets import load_dataset
    adult = load_dataset("adult")
    for name in ("occupation", "education", "native_country", "income", "marital_status"):
        assert spelling_groups(Counter(adult[name].drop_null().to_pylist())) == (), name
