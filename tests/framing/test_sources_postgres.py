"Source cards of a real PostgreSQL server, also one that goes away in the middle."
import threading
import time

import psycopg
import pytest

from dlmine.core.databases import open_database
from dlmine.core.datasets import load_dataset
from dlmine.core.errors import DataError
from dlmine.core.tables import read_table
from dlmine.framing.card_parts import Source
from dlmine.framing.sources import describe_source


def describe(server, table, **more):
    return describe_source(Source(name=table, location=f"{server.address}?table={table}", **more), as_of="2013-12-31T12:00:00+00:00")


def test_counts_are_those_of_the_data(postgres):
    flights = load_dataset("flights.flights", 60_000)
    card = describe(postgres, "flights", timestamp="time_hour", fresh_within="24 hours", keys=("year", "month", "day", "carrier", "flight", "origin", "sched_dep_time"))
    counted = {column.name: (column.nulls, column.infinite) for column in card.columns}
    assert card.kind == "PostgreSQL table" and card.rows == 60_000 and card.bytes > 1_000_000
    assert counted == {name: (flights[name].null_count, 0) for name in flights.column_names}
    assert card.freshness.newest.replace(tzinfo=None) == flights["time_hour"].to_pandas().max().to_pydatetime()
    assert card.state == "stale" and card.duplicates == 0
    by_name = {column.name: column for column in card.columns}
    frame = flights.to_pandas()
    assert (by_name["dep_delay"].minimum, by_name["dep_delay"].maximum) == (frame.dep_delay.min(), frame.dep_delay.max())
    assert (by_name["carrier"].kind, by_name["distance"].kind, by_name["time_hour"].kind) == ("text", "integer", "moment")


def test_repeated_keys_and_queries(postgres):
    frame = load_dataset("flights.weather").to_pandas()
    card = describe(postgres, "weather", keys=("origin", "year", "month", "day", "hour"))
    assert card.duplicates == int(frame.duplicated(["origin", "year", "month", "day", "hour"]).sum()) > 0
    assert any("repeat the keys" in problem for problem in card.problems)
    query = describe_source(Source(name="late", location=f"{postgres.address}?query=select carrier, dep_delay from flights where dep_delay > 60"))
    assert query.kind == "PostgreSQL query" and query.rows == int((load_dataset("flights.flights", 60_000).to_pandas().dep_delay > 60).sum())


def test_odd_values(postgres):
    with psycopg.connect(postgres.address) as connection:
        connection.execute("DROP TABLE IF EXISTS odd")
        connection.execute("CREATE TABLE odd (at timestamptz, amount double precision, note text, tags text[], body json, number numeric)")
        connection.execute("""INSERT INTO odd VALUES ('2013-12-31 01:00-05', 'Infinity', '2013-01-31', '{a}', '{}', 1.5), ('2031-01-01 00:00+00', 'NaN', '31.01.2013', NULL, NULL, NULL),
                              ('infinity', 2, '1/31/2013', NULL, NULL, 2), (NULL, NULL, 'NA', NULL, NULL, 3)""")
    card = describe(postgres, "odd", timestamp="at", fresh_within="12 hours")
    counted = {column.name: column for column in card.columns}
    assert (counted["amount"].nulls, counted["amount"].infinite, counted["amount"].maximum) == (2, 1, 2)
    assert (counted["note"].nulls, counted["tags"].nulls, counted["body"].nulls, counted["number"].maximum) == (1, 3, 3, 3.0)
    assert card.freshness.newest.isoformat() == "2013-12-31T06:00:00+00:00" and card.state == "fresh"
    assert any("lie in the future" in problem for problem in card.problems)
    assert any("dates in 3 formats" in problem for problem in card.problems)


def test_missing_table_column_and_password(postgres):
    with pytest.raises(DataError, match="Did you mean 'flights'"):
        describe(postgres, "flihgts")
    with pytest.raises(DataError, match="Did you mean 'time_hour'"):
        describe(postgres, "flights", timestamp="time_hours")
    with pytest.raises(DataError) as caught:
        describe_source(Source(name="x", location="postgresql://ann:s3cret@127.0.0.1:9/air?table=flights"))
    assert "s3cret" not in str(caught.value)


def test_a_server_that_goes_away_in_the_middle(postgres, tmp_path, monkeypatch):
    "Killed while it answers: a DataError, nothing written, and after a restart the same call gives the whole card."
    monkeypatch.chdir(tmp_path)
    with psycopg.connect(postgres.address) as connection:
        connection.execute("DROP TABLE IF EXISTS long_table")
        connection.execute("CREATE TABLE long_table AS SELECT i AS id, md5(i::text) AS word, to_char(timestamp '2013-01-01' + i * interval '1 second', 'YYYY-MM-DD HH24:MI:SS') AS at FROM generate_series(1, 400000) AS i")
    location = f"{postgres.address}?table=long_table"
    with pytest.raises(DataError, match="nothing was written"):
        with open_database(location) as database:
            seen = 0
            for rows in database.stream(f"SELECT * FROM {database.source}"):
                seen += len(rows)
                if seen >= 40_000 and postgres.process.poll() is None:
                    postgres.kill()
    assert 40_000 <= seen < 400_000
    postgres.start()
    # the same in the middle of a card and of a table; with this query the server is busy for longer than the test lasts
    slow = f"{postgres.address}?query=select id, pg_sleep(0.001) is null as slept from long_table"
    for read in (lambda: describe_source(Source(name="long", location=slow)), lambda: read_table(slow)):
        outcome = []
        def attempt():
            try:
                outcome.append(read())
            except DataError as error:
                outcome.append(error)
        reader = threading.Thread(target=attempt)
        reader.start()
        time.sleep(1)
        postgres.kill()
        reader.join(timeout=60)
        assert isinstance(outcome[0], DataError), outcome
        postgres.start()
    assert list(tmp_path.iterdir()) == []
    card = describe_source(Source(name="long", location=location, timestamp="at", keys=("word",)), as_of="2013-01-06")
    assert (card.rows, card.duplicates, card.problems) == (400_000, 0, ())
    assert read_table(location).num_rows == 400_000
