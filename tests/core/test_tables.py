"Any table: what is read equals what was written, and what cannot be read is said so"
import csv
import datetime
import gzip
import io
import math
import sqlite3
import time
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from dlmine.core.databases import hide_password
from dlmine.core.datasets import DATASETS, load_dataset
from dlmine.core.delimited import unique_names
from dlmine.core.errors import DataError
from dlmine.core.flights import AFTER_THE_FACT
from dlmine.core.tables import describe_columns, read_table
from dlmine.core.values import MISSING, as_datetime, as_numeric, as_text, typed

hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

@given(st.lists(st.none() | st.integers(-2**63, 2**63 - 1), min_size=1))
def test_whole_numbers_survive_text(values):
    found = typed(pa.array([None if v is None else str(v) for v in values], pa.string()))
    assert found.to_pylist() == values

@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_survive_text(values):
    found = as_numeric(typed(pa.array([None if v is None else repr(v) for v in values], pa.string()))).to_pylist()
    assert found == values

@given(st.lists(st.none() | st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1)), min_size=1))
def test_moments_survive_text(values):
    assert as_datetime(pa.array([None if v is None else v.isoformat(" ") for v in values], pa.string())).to_pylist() == values

@given(st.lists(st.text(max_size=10), min_size=1))
def test_one_word_keeps_a_column_text(values):
    "Nothing is lost: with one value that is no number, all values stay what they are, blanks around them and MISSING apart"
    found = typed(pa.array([*values, "word"])).to_pylist()
    expected = [None if value in MISSING else value for value in (pa.compute.utf8_trim_whitespace(pa.array([*values, "word"])).to_pylist())]
    assert found == expected

@given(st.lists(st.text(max_size=4), min_size=1, max_size=20))
def test_names_become_unique_and_the_first_keeps_its_own(names):
    unique, renamed = unique_names(names)
    assert len(set(unique)) == len(names) and all(unique)
    assert unique_names(unique) == (unique, {})
    assert set(renamed) <= set(unique)

words = st.text("abcäöß ,;\"'\n|\t1.", min_size=1, max_size=8).map(lambda text: "w" + text.strip() + "w")

@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(words, words, st.integers(0, 99)), min_size=3, max_size=20), st.sampled_from(",;\t|"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]), st.booleans())
def test_csv_gives_back_what_was_written(tmp_path, rows, separator, encoding, packed):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([("größe", "note", "number"), *rows])
    content = text.getvalue().encode(encoding)
    path = tmp_path / ("t.csv.gz" if packed else "t.csv"); path.write_bytes(gzip.compress(content) if packed else content)
    table = read_table(path)
    assert table.column_names == ["größe", "note", "number"]
    assert list(zip(*(table[name].to_pylist() for name in table.column_names))) == rows

BAD = {
    "empty.csv": (b"", "is empty"), "blank.csv": (b"\n\n", "is empty"), "header.csv": (b"a,b\n", "no rows"), "binary.csv": (bytes(range(256)) * 8, "is binary"),
    "really.csv": (b"PK\x03\x04" + b"x" * 99, "Excel"), "parquet.csv": (b"PAR1xxxx", "Name it .parquet"), "page.csv": (b"<html><body>Log in</body></html>", "web page"),
    "short.csv": (b"a,b\n1,2\n3\n4\n5\n6\n7\n", "do not have 2 fields"), "cut.csv.gz": (gzip.compress(b"a,b\n1,2\n" * 9999)[:-40], "cannot be read"),
    "empty.parquet": (b"", "is empty"), "broken.parquet": (b"PAR1" + b"x" * 99, "cannot be read"), "broken.jsonl": (b'{"a": 1}\n{"a": }\n', "line 2"), "list.jsonl": (b"1\n2\n", "not objects"),
    "book.xlsx": (b"PK\x03\x04", "workbook"), "none.jsonl": (b"[]", "no rows"),
}

@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_advice(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message): read_table(name, tmp_path)

def test_missing_things_are_answered_with_the_nearest(tmp_path):
    (tmp_path / "orders.csv").write_text("a,b\n1,2\n"); (tmp_path / "folder.csv").mkdir()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection: connection.execute("CREATE TABLE orders (a)"); connection.execute("CREATE TABLE people (a)"); connection.commit()
    (tmp_path / "noise.db").write_bytes(b"\x07" * 5000)
    for location, message in {"order.csv": "Did you mean 'orders.csv'", "folder.csv": "is a folder", "dataset:adlut": "Did you mean 'adult'", "sqlite:///shop.db?table=order": "Did you mean 'orders'", "sqlite:///shop.db": "which table",
                              "sqlite:///shop.db?table=orders": "no rows", "sqlite:///noise.db?table=t": "not a SQLite database", "sqlite:///no.db?table=t": "no file", "https://example.org/t.csv": "Download it"}.items():
        with pytest.raises(DataError, match=message): read_table(location, tmp_path)
    with pytest.raises(DataError, match="Did you mean 'a'"): read_table("orders.csv", tmp_path, columns=["A"])

@pytest.mark.parametrize("password", ["s3cret", "p@ss:w/rd", "a b#c", "ü%20"])
def test_no_message_shows_a_password(password):
    for address in (f"postgresql://ann:{password}@127.0.0.1:9/shop?table=t", f"postgresql://ann@127.0.0.1:9/shop?table=t&password={password}", f"mysql://ann:{password}@127.0.0.1:9/shop?table=t"):
        assert password not in hide_password(address)
        with pytest.raises(DataError) as caught: read_table(address)
        assert password not in str(caught.value)

def test_parquet_of_many_types_becomes_simple(tmp_path):
    table = pa.table({"dictionary": pa.array(["a", "b"]).dictionary_encode(), "decimal": pa.array([1, 2], pa.decimal128(5, 2)), "nanoseconds": pa.array([1, 2], pa.timestamp("ns")),
                      "time": pa.array([3600, None], pa.time32("s")), "list": [[1], None], "nothing": pa.nulls(2), "dates": ["2013-01-01", "2013-01-02"]})
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    types = {field.name: str(field.type) for field in read_table("t.parquet", tmp_path).schema}
    assert types == {"dictionary": "string", "decimal": "double", "nanoseconds": "timestamp[us]", "time": "double", "list": "string", "nothing": "string", "dates": "date32[day]"}

def test_conversions_never_raise():
    odd = [pa.array([b"x"]), pa.array([[1]]), pa.array([{"a": 1}]), pa.nulls(2), pa.array([datetime.time(1)]), pa.array([datetime.timedelta(1)]), pa.array(["x"]).dictionary_encode(), pa.array([True]), pa.array([2**63], pa.uint64()),
           pa.array([math.inf, math.nan]), pa.array([datetime.date(2013, 1, 1)]), pa.array(["2013-01-01", "1", "inf", "", "🙂"]), pa.array([1], pa.decimal128(9, 3)), pa.array([], pa.string()), pa.array([1.5], pa.float16())]
    for array in odd:
        assert str(as_numeric(array).type) == "double" and str(as_datetime(array).type) == "timestamp[us]" and str(as_text(array).type) == "string"
        assert {len(as_numeric(array)), len(as_datetime(array)), len(as_text(array))} == {len(array)}
        assert all(value is None or math.isfinite(value) for value in as_numeric(array).to_pylist())
        describe_columns(pa.table({"odd": array}))

def test_descriptions_agree_with_pandas_on_adult():
    adult = load_dataset("adult")
    frame = adult.to_pandas()
    for description in describe_columns(adult):
        assert description.nulls == frame[description.name].isna().sum() and description.distinct == frame[description.name].nunique()
        assert description.kind == ("categorical" if frame[description.name].dtype == object else "numeric")

def test_copies_are_found_only_when_equal():
    generator = np.random.default_rng(0)
    first = generator.normal(size=500); almost = first.copy(); almost[-1] += 1
    found = {d.name: d.copy_of for d in describe_columns(pa.table({"first": first, "almost": almost, "copy": first, "text": ["a", "b"] * 250, "again": ["a", "b"] * 250}))}
    assert found == {"first": None, "almost": None, "copy": "first", "text": None, "again": "text"}

def test_flights_are_complete_described_fast_and_hold_what_a_card_excludes():
    flights = load_dataset("flights")
    assert flights.num_rows == DATASETS["flights"].rows and set(AFTER_THE_FACT) < set(flights.column_names)
    late = np.asarray(flights["arr_delay"]) > 15
    assert (np.asarray(flights["late"]) == late).all()
    start = time.process_time(); kinds = {d.name: d.kind for d in describe_columns(flights)}
    assert time.process_time() - start < 6
    assert (kinds["scheduled_departure"], kinds["day"], kinds["carrier"], kinds["late"], kinds["temperature"]) == ("datetime", "datetime", "categorical", "boolean", "numeric")


def test_compact_dates_and_single_quotes(tmp_path):
    days = [f"19{58 + i // 12}{1 + i % 12:02d}{1 + i % 28:02d}" for i in range(40)]
    (tmp_path / "co2.csv").write_text("date,number,co2\n" + "".join(f"{day},{20240000 + i},{300 + i}\n" for i, day in enumerate(days)))
    table = read_table(tmp_path / "co2.csv")
    assert str(table.schema.field("date").type) == "date32[day]" and str(table["date"][13]) == "1959-02-14"
    assert str(table.schema.field("number").type) == "int64"
    (tmp_path / "quoted.csv").write_text("'PID'\t'says'\n1\t'a\tb'\n2\t'it'\n")
    quoted = read_table(tmp_path / "quoted.csv")
    assert quoted.column_names == ["PID", "says"] and quoted["says"].to_pylist() == ["a\tb", "it"]


def test_a_line_that_is_still_being_written_waits_and_a_broken_one_is_named(tmp_path):
    (tmp_path / "grows.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a": 3, "b')
    assert read_table("grows.jsonl", tmp_path)["a"].to_pylist() == [1, 2]
    (tmp_path / "whole.jsonl").write_text('{"a": 1}\n{"a": "x"}')             # the last line has no end but is whole
    assert read_table("whole.jsonl", tmp_path).num_rows == 2
    (tmp_path / "broken.jsonl").write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(DataError, match=r"^broken\.jsonl line 2 is no JSON"): read_table("broken.jsonl", tmp_path)
    (tmp_path / "ended.jsonl").write_text('{"a": 1}\n{"a": \n')                 # the line was ended: it will not be completed
    with pytest.raises(DataError, match="line 2"): read_table("ended.jsonl", tmp_path)
