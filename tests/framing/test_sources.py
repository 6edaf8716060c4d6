"Source cards against what pandas counts, whatever the source; odd values, zones, formats; advice; OpenLineage."
import datetime
import json
import re
import sqlite3
import subprocess
import sys
import uuid

import jsonschema
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.core.topics import Topic
from dlmine.framing.card import parse_card
from dlmine.framing.card_parts import Source
from dlmine.framing.sources import describe_source, describe_sources

UTC = datetime.timezone.utc


def describe(folder, location, as_of="2014-01-01T00:00:00+00:00", **more):
    return describe_source(Source(name="one", location=location, **more), base=folder, as_of=as_of)


def write_everywhere(frame, folder):
    "The same frame as CSV, Parquet in parts, JSON lines, topic, SQLite, DuckDB: their locations."
    import duckdb
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / "one.csv", index=False, na_rep="NA")
    (folder / "parts").mkdir()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for part in range(3):
        parquet.write_table(table.slice(part * (len(frame) // 3), len(frame) // 3 if part < 2 else None), folder / "parts" / f"{part}.parquet")
    records = [{key: None if pandas.isna(value) else value.isoformat() if isinstance(value, pandas.Timestamp) else value.item() if hasattr(value, "item") else value for key, value in record.items()} for record in frame.to_dict("records")]
    (folder / "one.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for start in range(0, len(records), max(1, len(records) // 4)):
        Topic(folder / "topic").append(records[start:start + max(1, len(records) // 4)])
    with sqlite3.connect(folder / "one.db") as connection:
        frame.to_sql("one", connection, index=False)
    connection.close()
    with duckdb.connect(str(folder / "one.duckdb")) as connection:
        connection.register("frame", table)
        connection.execute("CREATE TABLE one AS SELECT * FROM frame")
    return ["one.csv", "parts", "one.jsonl", "topic:topic", "sqlite:///one.db?table=one", "duckdb:///one.duckdb?table=one"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), rows=st.integers(3, 60))
def test_every_kind_of_source_counts_as_pandas_does(tmp_path_factory, seed, rows):
    random = np.random.default_rng(seed)
    missing = lambda values: pandas.Series(values).where(random.random(rows) > 0.2)
    frame = pandas.DataFrame({"key": random.integers(0, rows, rows), "amount": missing(random.normal(size=rows).round(6)), "word": missing(np.array(["rain", "snow", "fog", "ç, \"x\""], dtype=object)[random.integers(0, 4, rows)]),
                              "at": pandas.Timestamp("2013-06-01") + pandas.to_timedelta(random.integers(0, 10**7, rows), unit="s")})
    frame["at"] = frame["at"].astype("datetime64[us]")
    frame.loc[0, ["amount", "word"]] = [1.5, "rain"]
    folder = tmp_path_factory.mktemp("sources")
    for location in write_everywhere(frame, folder):
        card = describe(folder, location, timestamp="at", fresh_within="1 hours", keys=("key",))
        counted = {column.name: column for column in card.columns}
        assert card.rows == rows and {name: counted[name].nulls for name in frame} == frame.isna().sum().to_dict(), location
        assert card.duplicates == int(frame.duplicated("key").sum()), location
        assert card.freshness.newest == frame["at"].max().to_pydatetime().replace(tzinfo=UTC), location
        assert card.freshness.earliest == frame["at"].min().to_pydatetime().replace(tzinfo=UTC), location
        assert abs(counted["amount"].minimum - frame.amount.min()) < 1e-9 and abs(counted["amount"].maximum - frame.amount.max()) < 1e-9, location
        assert not card.rejected and card.state == "stale"


@pytest.mark.parametrize("as_of, state, age", [("2013-12-31T23:00:00+00:00", "fresh", 3), ("2013-12-31 23:00:00", "fresh", 8), ("2013-12-31", "fresh", 9), ("2014-01-02T00:00:00+00:00", "stale", 28)])
def test_age_in_the_zone_of_the_source(tmp_path, as_of, state, age):
    "15:00 in New York is 20:00 UTC; a moment without a zone is New York's, a date its end there."
    (tmp_path / "one.csv").write_text("at\n2013-12-30 10:00:00\n2013-12-31 15:00:00\n")
    card = describe(tmp_path, "one.csv", as_of, timestamp="at", fresh_within="24 hours", timezone="America/New_York")
    assert card.state == state and round(card.freshness.age / 3600) == age


def test_summer_and_winter_and_unknown_zones(tmp_path):
    (tmp_path / "one.csv").write_text("at\n2013-07-01 12:00:00\n2013-06-01 12:00:00\n")
    assert describe(tmp_path, "one.csv", timestamp="at", timezone="Europe/Berlin").freshness.newest == datetime.datetime(2013, 7, 1, 10, tzinfo=UTC)
    with pytest.raises(DataError, match="Did you mean 'Europe/Berlin'"):
        describe(tmp_path, "one.csv", timestamp="at", timezone="Europe/Berln")


@pytest.mark.parametrize("values, newest, problem", [
    (["2013-12-31T10:00:00+02:00", "2013-12-31 09:00:00"], "2013-12-31T09:00", "1 moments say their time zone and 1 do not"),
    (["2013-12-30", "31.12.2013", "12/29/2013"], "2013-12-31T00:00", "dates in 3 formats"),
    (["2013-12-30", "2999-01-01"], "2013-12-30T00:00", "1 moments lie in the future"),
    (["12/11/2013", "10/11/2013"], "2013-12-11T00:00", "day and month cannot be told apart"),
    (["25/11/2013", "10/12/2013"], "2013-12-10T00:00", None),
    (["1388448000", "1388361600"], "2013-12-31T00:00", None),
    (["1388448000000", "1388361600000"], "2013-12-31T00:00", None),
    (["2013-12-30", "2013-12-31", "never"], "2013-12-31T00:00", "1 values are no moments, such as 'never'"),
    (["20131230", "20131231"], None, None),
])
def test_moments_as_people_write_them(tmp_path, values, newest, problem):
    (tmp_path / "one.csv").write_text("at,a\n" + "".join(f"{value},1\n" for value in values))
    card = describe(tmp_path, "one.csv", timestamp="at", fresh_within="2 days")
    if newest:
        assert card.freshness.newest.isoformat().startswith(newest)
    assert any(problem in text for text in card.problems) if problem else not card.problems


def test_odd_values_are_sentences_on_the_card(tmp_path):
    (tmp_path / "one.csv").write_text("a,b,c,d\n" + "1,007,x,1\n" * 30 + "2,008,,inf\nno number,009,y,1e308\n1,2\n")
    card = describe(tmp_path, "one.csv", keys=("b", "c"))
    kinds = {column.name: (column.kind, column.nulls, column.infinite) for column in card.columns}
    assert kinds == {"a": ("mixed", 0, 0), "b": ("text", 0, 0), "c": ("text", 1, 0), "d": ("number", 0, 1)}
    assert card.rejected == 1 and card.duplicates == 29
    for words in ("a: mixed types: 1 of 32 values are no numbers, such as 'no number'", "d: 1 infinite values", "29 rows repeat the keys b, c", "1 row has no value in b, c", "1 line could not be read"):
        assert any(words in problem for problem in card.problems), words
    assert card.evidence().verdict == "warning"


def test_a_guess_that_later_rows_refute(tmp_path):
    "Numbers for 30,000 rows, then words: seen although the plan is made from the first rows."
    (tmp_path / "one.csv").write_text("a,at\n" + "1,2013-01-01\n" * 30_000 + "unknown,31.12.2012\n" * 3)
    card = describe(tmp_path, "one.csv", timestamp="at")
    assert [column.kind for column in card.columns] == ["mixed", "date"] and card.rows == 30_003
    assert any("3 of 30,003 values are no numbers" in problem for problem in card.problems) and any("3 values are no moments, such as '31.12.2012'" in problem for problem in card.problems)


def test_far_more_columns_than_rows(tmp_path):
    (tmp_path / "one.csv").write_text(",".join(f"c{i}" for i in range(700)) + "\n" + ("1," * 699 + "NA\n") * 3)
    card = describe(tmp_path, "one.csv", keys=("c0",))
    assert (card.rows, len(card.columns), card.nulls, card.duplicates) == (3, 700, 3, 2)
    assert len(card._repr_html_()) < 40_000


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "latin.csv").write_bytes("name;grösse\nMüller;1\n".encode("latin-1") * 1 + "Weiß;2\n".encode("latin-1"))
    card = describe(tmp_path, "latin.csv")
    assert card.rows == 2 and [column.name for column in card.columns] == ["name", "grösse"]
    late = b"name,size\n" + b"plain,1\n" * 60_000 + "Müller,2\n".encode("latin-1")
    (tmp_path / "late.csv").write_bytes(late)
    card = describe(tmp_path, "late.csv")
    assert card.rows == 60_001 and "read as cp1252" in card.notes[0]


@pytest.mark.parametrize("name, content, words", [
    ("empty.csv", b"", "is empty"), ("header.csv", b"a,b\n", "no rows"), ("torn.parquet", b"PAR1" + b"\0" * 50, "cannot be read as Parquet"), ("words.jsonl", b"hello\nworld\n", "no line is a JSON object"),
    ("half.jsonl", b'{"a": 1', "unfinished (7 bytes)"), ("page.csv", b"<!doctype html><html>login</html>\n", "login page"), ("a.db", b"no database", "cannot be read"),
])
def test_sources_that_cannot_be_read(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    location = f"sqlite:///{name}?table=t" if name.endswith(".db") else name
    with pytest.raises(DataError, match=re.escape(words)):
        describe(tmp_path, location)
    cards = describe_sources(card(tmp_path, [{"name": "rows", "location": location}, {"name": "two", "location": "nowhere.csv"}]))
    assert [one.state for one in cards.cards] == ["unreadable"] * 2 and cards.usable == () and words in cards.cards[0].error and "unreadable" in cards._repr_html_().lower()
    assert [record.verdict for record in cards.evidence()] == ["failed"] * 3
    assert len(cards.openlineage()) == 2


def card(folder, sources, **more):
    said = {"version": 1, "name": "case", "target": "y", "task": "regression", "split": {"kind": "random"}, **more, "sources": sources}
    return parse_card(json.dumps(said, default=str), path=folder / "card.yml")


def test_advice_with_reasons(tmp_path):
    days = [f"2013-{month:02}-01" for month in range(1, 13)]
    (tmp_path / "rows.csv").write_text("at,station,y\n" + "".join(f"{day},{i % 3},{i}\n" for i, day in enumerate(days)))
    (tmp_path / "stations.csv").write_text("station,name\n0,a\n1,b\n2,c\n")
    (tmp_path / "double.csv").write_text("station,name\n0,a\n0,b\n")
    (tmp_path / "early.csv").write_text("at,station\n2013-01-01,0\n2013-06-01,1\n")
    (tmp_path / "before.csv").write_text("at,station\n2011-01-01,0\n2011-06-01,1\n")
    sources = [{"name": "rows", "location": "rows.csv", "timestamp": "at", "fresh_within": "60 days"}, {"name": "stations", "location": "stations.csv", "keys": ["station"]}, {"name": "double", "location": "double.csv", "keys": ["station"]},
               {"name": "keyless", "location": "stations.csv"}, {"name": "other", "location": "stations.csv", "keys": ["name"]}, {"name": "early", "location": "early.csv", "timestamp": "at", "keys": ["station", "at"]},
               {"name": "before", "location": "before.csv", "timestamp": "at", "keys": ["station", "at"]}, {"name": "old", "location": "early.csv", "timestamp": "at", "fresh_within": "1 weeks", "keys": ["station", "at"], "owner": "Ann"}]
    cards = describe_sources(card(tmp_path, sources, as_of="2013-12-31", time="at", split={"kind": "time", "valid_from": "2013-08-01", "test_from": "2013-10-01"}))
    advice = {one.name: (one.word, " | ".join(one.reasons)) for one in cards.advice}
    expected = {"rows": ("use", "newest 2013-12-01"), "stations": ("use", "nothing"), "double": ("use with care", "1 row repeats its keys"), "keyless": ("use with care", "no keys are named"), "other": ("use with care", "keys name are no columns of rows"),
                "early": ("use with care", "lacks 183 days at the end of rows"), "before": ("do not use", "no moment in common"), "old": ("do not use", "Ask Ann for a newer delivery")}
    for name, (word, reason) in expected.items():
        assert advice[name][0] == word and reason in advice[name][1], (name, advice[name])
    assert "before" not in cards.usable and list(cards.table()["advice"]) == [one.word for one in cards.advice]
    short = describe_sources(card(tmp_path, sources[:1], as_of="2013-12-31", time="at", split={"kind": "time", "valid_from": "2013-08-01", "test_from": "2014-02-01"}))
    assert short.advice[0].word == "do not use" and "split.test_from (2014-02-01)" in short.advice[0].reasons[0] and short.evidence()[-1].verdict == "failed"


def test_governed_sources_show_no_single_value(tmp_path):
    (tmp_path / "one.csv").write_text("name,wage\n" + "".join(f"Ann Öst {i},{1000 + i}\n" for i in range(30)) + "Bo,much\n")
    cards = describe_sources(card(tmp_path, [{"name": "people", "location": "one.csv"}], target="wage", access="governed"), approved=("people",))
    page = cards._repr_html_() + cards.cards[0]._repr_html_() + str(cards.cards[0].sample) + str(cards.evidence()) + json.dumps(cards.openlineage())
    for value in ("Ann", "Öst", "1000", "1029", "much"):
        assert value not in page, value
    assert "Xxx Xxx 9" in page


def test_a_governed_source_that_nobody_approved_is_not_described(tmp_path):
    (tmp_path / "one.csv").write_text("name,wage\n" + "".join(f"Ann {i},{1000 + i}\n" for i in range(31)))
    (tmp_path / "two.csv").write_text("name,street\n" + "".join(f"Ann {i},\n" for i in range(47)))
    given = card(tmp_path, [{"name": "people", "location": "one.csv", "owner": "HR"}, {"name": "homes", "location": "two.csv", "owner": "Registry", "keys": ["name"]}], target="wage", access="governed")
    found = describe_sources(given, approved=("people",))
    homes = found["homes"]
    assert found["people"].rows == 31 and (homes.rows, homes.columns, homes.bytes, homes.state, homes.owner) == (None, (), None, "not approved", "Registry")
    page = homes._repr_html_() + found._repr_html_() + str(homes.evidence()) + json.dumps(found.openlineage())
    page = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\d[T ][\d:.+]+", "", page)   # run ids and moments hold any digits
    assert "47" not in page and "street" not in page and "no approved request covers this source" in page and "two.csv" in page
    assert homes.evidence().verdict == "noted" and [one.word for one in found.advice] == ["use", "do not use"] and found.figures["rows"] == 31
    none = describe_sources(given)
    assert all(one.is_withheld for one in none.cards) and none.advice[0].word == "do not use"
    assert describe_sources(given.replace(access="open"))["homes"].nulls == 47


# The shape that the published specification (OpenLineage 2-0-2) asks for, in our own words: field names, types, what is required.
FACET = {"type": "object", "required": ["_producer", "_schemaURL"], "properties": {"_producer": {"type": "string", "format": "uri"}, "_schemaURL": {"type": "string", "format": "uri"}}}


def facet(required=(), **properties):
    return {**FACET, "required": [*FACET["required"], *required], "properties": {**FACET["properties"], **properties}}


METRICS = facet(["columnMetrics"], rowCount={"type": "integer"}, bytes={"type": "integer"}, fileCount={"type": "integer"}, columnMetrics={"type": "object", "additionalProperties": {"type": "object", "properties": {
    "nullCount": {"type": "integer"}, "distinctCount": {"type": "integer"}, "sum": {"type": "number"}, "count": {"type": "number"}, "min": {"type": "number"}, "max": {"type": "number"}, "quantiles": {"type": "object"}}}})
DATASET = {"type": "object", "required": ["namespace", "name"], "properties": {"namespace": {"type": "string"}, "name": {"type": "string"}, "facets": {"type": "object", "additionalProperties": FACET, "properties": {
    "schema": facet(fields={"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "type": {"type": "string"}}}}),
    "dataSource": facet(name={"type": "string"}, uri={"type": "string", "format": "uri"}),
    "ownership": facet(owners={"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "type": {"type": "string"}}}})}},
    "inputFacets": {"type": "object", "additionalProperties": FACET, "properties": {"dataQualityMetrics": METRICS}},
    "outputFacets": {"type": "object", "additionalProperties": FACET, "properties": {"outputStatistics": facet(rowCount={"type": "integer"}, size={"type": "integer"})}}}}
RUN_EVENT = {"type": "object", "required": ["eventTime", "producer", "schemaURL", "run", "job"], "additionalProperties": False, "properties": {
    "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]}, "eventTime": {"type": "string", "format": "date-time"}, "producer": {"type": "string", "format": "uri"}, "schemaURL": {"type": "string", "format": "uri"},
    "run": {"type": "object", "required": ["runId"], "properties": {"runId": {"type": "string", "format": "uuid"}}}, "job": {"type": "object", "required": ["namespace", "name"]},
    "inputs": {"type": "array", "items": DATASET}, "outputs": {"type": "array", "items": DATASET}}}


def test_openlineage_has_the_published_shape(tmp_path):
    frame = pandas.DataFrame({"a": [1.0, None, np.inf, 2.0], "b": ["x", None, "y", "z"], "at": ["2013-12-31"] * 4})
    for name in ("one", "two"):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    with sqlite3.connect(tmp_path / "x.db") as connection:
        frame.drop(columns="a").to_sql("three", connection, index=False)
    connection.close()
    sources = [{"name": "one", "location": "one.csv", "timestamp": "at", "fresh_within": "1 days", "owner": "Ann", "upstream": ["two", "three"]}, {"name": "two", "location": "two.csv"}, {"name": "three", "location": "sqlite:///x.db?table=three"}, {"name": "gone", "location": "postgresql://ann:s3cret@127.0.0.1:9/air?table=t"}]
    events = describe_sources(card(tmp_path, sources, as_of="2013-12-31")).openlineage()
    json.loads(json.dumps(events, allow_nan=False))   # no infinite numbers either
    for event in events:
        jsonschema.validate(event, RUN_EVENT)
        uuid.UUID(event["run"]["runId"])
        assert datetime.datetime.fromisoformat(event["eventTime"]).tzinfo
        assert all(re.match(r"^[a-zA-Z][a-zA-Z0-9+.-]*:", url) for url in re.findall(r'"(?:_producer|_schemaURL|uri|producer|schemaURL)": "([^"]*)"', json.dumps(event)))
    assert "s3cret" not in json.dumps(events)
    made = events[1]
    assert [data["name"] for data in made["inputs"]] == ["two.csv", "x.db.three"] and [data["name"] for data in made["outputs"]] == ["one.csv"]
    assert made["inputs"][0]["inputFacets"]["dataQualityMetrics"]["columnMetrics"]["a"] == {"nullCount": 1, "count": 3, "min": 1.0, "max": 2.0}
    assert made["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 4


def test_a_million_rows_are_not_held(tmp_path):
    "800,000 rows of 25 text columns (500 MB as a table) with a peak below 600 MB over the imports, and below what reading them takes."
    with open(tmp_path / "big.csv", "w") as file:
        file.write(",".join(f"c{i}" for i in range(25)) + "\n")
        block = "".join(",".join(f"value-{(i * j) % 9973:06}" for j in range(25)) + "\n" for i in range(10_000))
        for _ in range(80):
            file.write(block)
    code = """
import resource, sys
from dlmine.framing.card_parts import Source
from dlmine.framing.sources import describe_source
describe_source(Source(name='s', location='small.csv'), base=sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
card = describe_source(Source(name='s', location='big.csv'), base=sys.argv[1])
print(card.rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    (tmp_path / "small.csv").write_text("a\n1\n2\n")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    rows, megabytes = map(int, done.stdout.split())
    assert rows == 800_000 and megabytes < 600, megabytes
