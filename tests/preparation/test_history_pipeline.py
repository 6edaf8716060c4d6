"Interactions become histories, whatever the columns are called; and histories become codes, whatever a caller sends."
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import CardError, DataError
from dlmine.framing.card import parse_card
from dlmine.framing.split import split_rows
from dlmine.framing.target import read_target
from dlmine.preparation import history_rows
from dlmine.preparation.history_pipeline import HistoryPreprocessor, lay_out
from dlmine.preparation.history_rows import assemble, read_interactions
from dlmine.preparation.loading import load_data
from dlmine.preparation.modalities import fit_preprocessor, plan_columns

HEAD = "name: r\nsources: [{location: x.csv}]\ntask: {kind: ranking, query: rater, k: 3}\ntarget: thing\n"


def card_of(more: str = "", base=None):
    return parse_card(HEAD + more, path=base)


def notes_of(table) -> str:
    return " ".join(json.loads(table.schema.metadata[b"dlmine.notes"]))


def test_a_ranking_without_more_reads_histories_and_leaves_the_last_out():
    card = card_of()
    assert (card.modality.kind, card.split.kind) == ("history", "leave_last_out")


@pytest.mark.parametrize("text, words", [
    (HEAD + "modality: tabular\n", "Set modality: history"),
    (HEAD.replace("kind: ranking, query: rater, k: 3", "kind: classification") + "modality: history\nsplit: {kind: random}\n", "Set task: {kind: ranking"),
    (HEAD.replace("kind: ranking, query: rater, k: 3", "kind: classification") + "split: {kind: leave_last_out}\n", "is for a ranking"),
    (HEAD.replace("query: rater", "query: thing"), "cannot also be the target"),
    (HEAD + "gates: [{metric: accuracy, threshold: 0.5}]\n", "accuracy does not measure a ranking"),
    (HEAD + "modality: {kind: history, examples: 0}\n", "examples"),
])
def test_a_card_that_contradicts_itself_says_so(text, words):
    with pytest.raises(CardError, match=words): parse_card(text)


def test_order_is_that_of_time_and_ties_keep_the_order_of_the_source():
    table = pa.table({"rater": [7, 7, 8, 7, 7], "thing": [3, 1, 1, 2, 10], "when": [20.0, 10.0, 1.0, 20.0, 5.0]})
    rows = assemble(card_of("time: when\n"), table)
    assert rows.to_pydict()["thing"] == ["10", "1", "3", "2", "1"] and rows.to_pydict()["rater"] == [7, 7, 7, 7, 8]
    assert rows.to_pydict()["history"][3] == ["10", "1", "3"] and rows.to_pydict()["when"] == [5, 10, 20, 20, 1]
    assert "share their moment" in notes_of(rows) and json.loads(rows.schema.metadata[b"dlmine.items"]) == ["1", "2", "3", "10"]


def test_rows_without_person_item_or_moment_are_left_out_and_repeats_count_once():
    table = pa.table({"rater": ["a", "a", None, "a", "a"], "thing": ["x", "y", "x", "x", None], "when": pa.array([1, 2, 3, 4, 5])})
    rows = assemble(card_of("time: when\n"), table)
    assert rows.to_pydict()["thing"] == ["x", "y"] and "2 rows without" in notes_of(rows) and "1 interactions repeat" in notes_of(rows)


def test_a_target_is_never_in_its_own_history():
    generator = np.random.default_rng(0)
    table = pa.table({"rater": generator.integers(0, 20, 500), "thing": generator.integers(0, 15, 500)})
    for row in assemble(card_of(), table).to_pylist(): assert row["thing"] not in row["history"] and len(set(row["history"])) == len(row["history"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=4, max_size=80), st.integers(1, 6))
def test_the_last_of_each_tests_the_one_before_validates_the_earlier_train(pairs, examples):
    if len({thing for _, thing in pairs}) < 2: return
    card, own = card_of(f"modality: {{kind: history, examples: {examples}}}\n"), {}
    for rater, thing in pairs:
        if thing not in own.setdefault(rater, []): own[rater].append(thing)
    if not any(len(things) >= 3 for things in own.values()): return
    table = assemble(card, pa.table({"rater": [rater for rater, _ in pairs], "thing": [thing for _, thing in pairs]}))
    split, _ = split_rows(table, card)
    said = {side: [(row["rater"], [int(item) for item in row["history"]], int(row["thing"])) for row in table.take(pa.array(rows)).to_pylist()] for side, rows in split.sides().items()}
    assert sorted(said["test"]) == sorted((rater, things[:-1], things[-1]) for rater, things in own.items() if len(things) > 1)
    assert sorted(said["valid"]) == sorted((rater, things[:-2], things[-2]) for rater, things in own.items() if len(things) > 2)
    for rater, before, after in said["train"]:
        assert own[rater][:len(before) + 1] == [*before, after]
        assert len(own[rater]) < 3 or len(own[rater]) - len(before) >= 3
    for rater, things in own.items():
        mine = [one for one in said["train"] if one[0] == rater]
        assert len(mine) == (min(examples + 1, len(things) - 2) if len(things) > 2 else 1)


def test_only_interactions_that_reach_a_value_count():
    table = pa.table({"rater": [1, 1, 1, 1], "thing": ["a", "b", "c", "d"], "stars": [5, 1, 4, 5]})
    assert assemble(card_of("modality: {kind: history, at_least: {stars: 4}}\n"), table).to_pydict()["thing"] == ["a", "c", "d"]
    with pytest.raises(CardError, match="modality.at_least"): assemble(card_of("modality: {kind: history, at_least: {star: 4}}\n"), table)


def test_data_that_cannot_be_ranked_say_so():
    with pytest.raises(DataError, match="nothing to rank"): assemble(card_of(), pa.table({"rater": [1, 2], "thing": ["x", "x"]}))
    with pytest.raises(DataError, match="No row has both"): assemble(card_of(), pa.table({"rater": [1, None], "thing": [None, "x"]}))
    with pytest.raises(CardError, match="task.query"): assemble(card_of(), pa.table({"user": [1], "thing": ["x"]}))
    with pytest.raises(DataError, match="several lists"): assemble(card_of(), pa.table({"a": [[1]], "b": [[1]], "rater": [1], "thing": [1]}))


def test_very_long_histories_are_cut_to_the_newest_and_rows_fit_in_memory(monkeypatch):
    monkeypatch.setattr(history_rows, "LONGEST", 5)
    monkeypatch.setattr(history_rows, "MOST_ITEMS", 60)
    table = assemble(card_of(), pa.table({"rater": [1] * 30 + [2] * 30, "thing": list(range(30)) * 2}))
    assert max(map(len, table.to_pydict()["history"])) == 5 and table.to_pylist()[-1]["history"] == ["24", "25", "26", "27", "28"]
    assert "older ones are not read" in notes_of(table) and "would not fit in memory" in notes_of(table)


def test_every_item_of_the_catalogue_is_a_class_also_one_that_only_the_test_has():
    card = card_of()
    table = assemble(card, pa.table({"rater": [1, 1, 1, 2, 2, 2], "thing": ["a", "b", "c", "b", "a", "new"]}))
    target = read_target(table, card)
    assert (target.kind, target.classes) == ("multiclass", ("a", "b", "c", "new"))
    assert [target.classes[code] for code in target.values] == table.to_pydict()["thing"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("ratings"), np.random.default_rng(1)
    rows = [f"kunde-{who:02d};{what};{stars}" for who, what, stars in zip(generator.integers(0, 40, 900), generator.integers(100, 160, 900), generator.integers(1, 6, 900))]
    (folder/"x.csv").write_text("\n".join(["rater;thing;stars", *rows, "kunde-99;100;5"]) + "\n")
    return load_data(card_of(base=folder/"card.yml"))


def test_a_table_with_other_names_and_without_time_loads(loaded):
    assert loaded.judged == "ranking" and loaded.kind == "multiclass" and len(loaded.classes) == 60
    assert len(np.unique(loaded.clusters("test"))) == len(loaded.split.test) == 40 and "order of the source" in " ".join(loaded.notes)
    assert loaded.typical == "valid"


def test_a_sample_keeps_whole_histories(loaded):
    small = load_data(loaded.card, rows=200)
    assert 100 <= small.table.num_rows <= 220 and len(small.split.test) == len(small.split.valid)
    assert len(small.classes) == 60     # the catalogue stays


def test_codes_are_the_classes_newest_first_and_survive_json(loaded):
    preprocessor = fit_preprocessor(loaded)
    features = preprocessor.transform(loaded.rows("test"))
    for row, before in zip(features["history"], loaded.rows("test")["history"].to_pylist()):
        assert [loaded.classes[code - 1] for code in row if code] == before[::-1] and (row[len(before):] == 0).all()
    again = HistoryPreprocessor.from_json(json.dumps(preprocessor.to_json()))
    assert again.hash == preprocessor.hash and np.array_equal(again.transform(loaded.rows("test"))["history"], features["history"])
    assert features["history"].dtype == np.int64 and preprocessor.inputs == ["history"] and preprocessor.arguments() == {"items": 60}


@pytest.mark.parametrize("values, expected", [
    (pa.array([[], None]), [[0], [0]]), (pa.nulls(2), [[0], [0]]), (pa.array([["zzz"], ["101", None, "zzz", "100"]]), [[0, 0], [1, 2]]), (pa.array([[101.0, 100.0]]), [[1, 2]]),
    (pa.array([["100"]], pa.large_list(pa.string())), [[1]]), (pa.array([[101, 100]], pa.list_(pa.int16(), 2)), [[1, 2]]), (pa.array([["100"]]).slice(1), np.zeros((0, 1))),
])
def test_whatever_a_caller_sends_becomes_codes(loaded, values, expected):
    found = fit_preprocessor(loaded).transform(pa.table({"history": values}))["history"]
    assert found.tolist() == np.asarray(expected).tolist() and found.dtype == np.int64


def test_what_is_no_history_is_named(loaded):
    preprocessor = fit_preprocessor(loaded)
    with pytest.raises(DataError, match="a history is a list"): preprocessor.transform(pa.table({"history": ["100,101"]}))
    with pytest.raises(DataError, match="Did you mean 'histories'|lacks 'history'"): preprocessor.transform(pa.table({"histories": [["100"]]}))
    with pytest.raises(DataError, match="no catalogue"): HistoryPreprocessor.fit(pa.table({"history": [["a"]]}), plan_columns(loaded.table, loaded.card, loaded.split))
    with pytest.raises(DataError, match="format 9"): HistoryPreprocessor.from_json(preprocessor.to_json() | {"format": 9})


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=7), max_size=6), st.integers(1, 8))
def test_layout_against_a_loop(lists, longest):
    codes, rows = np.array(sum(lists, []), np.int64), np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    kept = [[code for code in one if code][::-1][:longest] for one in lists]
    width = max([1, *map(len, kept)])
    assert lay_out(codes, rows, len(lists), longest).tolist() == [one + [0] * (width - len(one)) for one in kept]


def test_a_split_by_time_divides_interactions_of_all_persons():
    generator = np.random.default_rng(2)
    table = pa.table({"rater": generator.integers(0, 9, 200), "thing": generator.integers(0, 30, 200), "when": np.arange(200.0)})
    card = card_of("time: when\nsplit: {kind: time, valid_from: 120, test_from: 160}\n")
    rows = assemble(card, table)
    split, _ = split_rows(rows, card)
    assert rows.num_rows == len(read_interactions(card, table).rows) and min(rows["when"].to_numpy()[split.test]) >= 160 > max(rows["when"].to_numpy()[split.valid])
