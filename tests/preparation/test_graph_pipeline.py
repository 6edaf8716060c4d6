"Graphs from tables: what is found, what is counted, and what must never leak."
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from planted import planted_graph

from dlmine.core.errors import CardError, DataError
from dlmine.framing.card_parts import Relation as Declared
from dlmine.preparation.columns import ColumnPlan, FeaturePlan
from dlmine.preparation.graph_context import count_votes, make_route, outcome_matrix, sample_neighbours
from dlmine.preparation.graph_pipeline import GraphPreprocessor
from dlmine.preparation.relations import attach, detach, find_relations, key_codes

PLAN = FeaturePlan((ColumnPlan("id", "identifier", False, "key"), ColumnPlan("noise", "numeric", True, ""), ColumnPlan("colour", "categorical", True, "")))


def made(table, edges, kind, rows=None, **more):
    "A fitted preprocessor of a planted graph."
    held = attach(table, find_relations({"nodes": table, "edges": edges}, edges="edges", **more))
    rows = np.arange(len(kind) // 2) if rows is None else rows
    return held, GraphPreprocessor.fit(held, PLAN, rows, kind)


def same(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name], equal_nan=one[name].dtype.kind == "f") for name in one)


def test_labels_of_other_rows_change_no_feature():
    table, edges, kind = planted_graph()
    train = np.random.default_rng(1).choice(400, 200, replace=False)
    held, pipeline = made(table, edges, kind, train)
    others = np.setdiff1d(np.arange(400), train)
    mixed = kind.copy()
    mixed[others] = 1 - mixed[others]
    again = GraphPreprocessor.fit(held, PLAN, train, mixed)
    assert same(pipeline.transform(table), again.transform(table)) and pipeline.hash == again.hash


def test_a_rows_own_label_is_in_none_of_its_features():
    table, edges, kind = planted_graph(120)
    loops = pa.concat_tables([edges, pa.table({"source": table["id"], "target": table["id"]})])   # every node also with itself
    train = np.arange(80)
    held, pipeline = made(table, loops, kind, train)
    before = pipeline.transform(table)
    noticed = 0
    for row in range(0, 80, 8):
        turned = kind.copy()
        turned[row] = 1 - turned[row]
        votes, names = GraphPreprocessor.fit(held, PLAN, train, turned).transform(table)["x_num"], pipeline.columns_of("votes")
        prior_moves = 0.02   # the usual share, which counts as one vote, moves by 1/80
        difference = np.abs(votes[:, names] - before["x_num"][:, names]).max(1)
        assert difference[row] < prior_moves
        noticed += (difference > 0.05).sum()
    assert noticed > 10   # its neighbours do see it
    assert not (before["neighbours_1"] == before["nodes"][:, None]).any()


def test_shared_keys_leave_the_row_itself_out():
    random = np.random.default_rng(0)
    orders = pa.table({"id": np.arange(300), "shop": [f"s{place}" for place in random.integers(0, 20, 300)], "noise": random.standard_normal(300), "colour": random.choice(["a", "b", "c"], 300)})
    shops = pa.table({"shop": [f"s{place}" for place in range(20)], "size": random.random(20)})
    kind = random.integers(0, 2, 300)
    held = attach(orders, find_relations({"orders": orders, "shops": shops}, keys={"orders": ("id",), "shops": ("shop",)}))
    pipeline = GraphPreprocessor.fit(held, PLAN, np.arange(200), kind)
    found = pipeline.transform(orders)
    votes = found["x_num"][:, pipeline.numeric_names.index("vote of same shop")]
    shop = np.array(orders["shop"].to_pylist())
    for row in (0, 5, 250):
        others = [other for other in range(200) if other != row and shop[other] == shop[row]]
        expected = (kind[others].sum() + kind[:200].mean()) / (len(others) + 1)
        assert votes[row] == pytest.approx(expected, abs=1e-5)
    joined = found["x_num"][:, pipeline.numeric_names.index("shops: size")]
    assert np.corrcoef(joined, np.array([shops["size"][int(name[1:])].as_py() for name in shop]))[0, 1] > 0.999


def test_later_rows_and_labels_not_known_yet_are_not_seen():
    day = np.datetime64("2024-01-01", "us") + np.arange(40) * np.timedelta64(1, "D")
    table = pa.table({"id": np.arange(40), "plane": ["p"] * 40, "noise": np.arange(40.0), "colour": ["a", "b"] * 20, "at": day})
    planes = pa.table({"plane": ["p", "q"], "seats": [100, 200]})
    kind = np.r_[np.zeros(20, int), np.ones(20, int)]
    related = find_relations({"rows": table, "planes": planes}, keys={"planes": ("plane",), "rows": ("id",)}, time="at", delay=3 * 86_400.0)
    pipeline = GraphPreprocessor.fit(attach(table, related), PLAN, np.arange(40), kind)
    found = pipeline.transform(table)
    route = next(route for route in pipeline.context.routes if route.name == "same plane")
    start = sum(one.slots for one in pipeline.context.routes[:pipeline.context.routes.index(route)])
    nodes_day = pipeline.context.ids.argsort().argsort()
    order = {int(place): row for row, place in enumerate(found["nodes"])}
    for row in range(40):
        seen = [order[int(place)] for place in found["neighbours_1"][row, start:start + route.slots] if place >= 0]
        assert all(other < row - 3 for other in seen)
        assert seen == sorted(seen, reverse=True)      # the latest first
        if row > 3: assert seen[0] == row - 4
    votes = found["x_num"][:, pipeline.numeric_names.index("vote of same plane")]
    assert votes[22] == pytest.approx(0.5 / (19 + 1), abs=1e-6)   # rows 0 to 18 are known: all 0, and one vote for what is usual
    assert len(nodes_day) == 40


def test_odd_edges_are_counted_and_left_out():
    table, edges, kind = planted_graph(60)
    odd = pa.table({"source": ["n0", "n0", "n0", "ghost", None, "n3"], "target": ["n0", "n1", "n1", "n1", "n2", "phantom"]})
    _, pipeline = made(table, pa.concat_tables([edges.slice(0, 60), odd]), kind)
    counted = pipeline.settings["counts"]["edges"]
    assert counted["edges"] == 66 and counted["to unknown nodes"] == 3 and counted["of a node with itself"] >= 1 and counted["twice"] >= 1
    assert pipeline.settings["counts"]["nodes"]["isolated"] > 0
    found = pipeline.transform(table)
    isolated = (found["neighbours_1"] < 0).all(1)
    assert isolated.any() and np.isfinite(found["x_num"][isolated][:, pipeline.columns_of("degrees", "votes")]).all()
    assert "of a node with itself" in pipeline._repr_html_()


def test_ids_of_mixed_types_find_each_other():
    table, edges, kind = planted_graph(80)
    number = pa.array([int(name[1:]) for name in table["id"].to_pylist()], pa.int64())
    as_numbers = table.set_column(0, "id", number)
    floats = pa.table({name: pa.array([float(value[1:]) for value in edges[name].to_pylist()]) for name in edges.column_names})
    texts = pa.table({name: pa.array([f" {value[1:]}" for value in edges[name].to_pylist()]) for name in edges.column_names})
    integers = pa.table({name: pa.array([int(value[1:]) for value in edges[name].to_pylist()]) for name in edges.column_names})
    found = [made(as_numbers, one, kind)[1].transform(as_numbers)["neighbours_1"] for one in (integers, texts)]
    assert np.array_equal(found[0], found[1]) and (found[0] >= 0).any()
    assert np.array_equal(key_codes(floats, ["source"]), key_codes(integers, ["source"]))


def test_an_empty_list_of_edges_is_an_error_that_says_so():
    table, edges, kind = planted_graph(40)
    with pytest.raises(DataError, match="no two of its columns"): made(table, edges.slice(0, 0), kind)
    with pytest.raises(DataError, match="no two of its columns"): made(table, pa.table({"source": ["x1", "x2"], "target": ["x3", "x4"]}), kind)


def test_rows_with_the_same_key_are_one_node():
    table, edges, kind = planted_graph(50)
    twice = pa.concat_tables([table, table.slice(0, 5)])
    held = attach(twice, find_relations({"nodes": twice, "edges": edges}, keys={"nodes": ("id",)}, edges="edges"))
    pipeline = GraphPreprocessor.fit(held, PLAN, np.arange(30), np.append(kind, kind[:5]))
    found = pipeline.transform(twice)
    assert pipeline.settings["counts"]["nodes"]["rows with the key of another"] == 5
    assert np.array_equal(found["nodes"][:5], found["nodes"][50:]) and np.array_equal(found["neighbours_1"][:5], found["neighbours_1"][50:])


def test_new_rows_nulls_and_absurd_values():
    table, edges, kind = planted_graph(60)
    _, pipeline = made(table, edges, kind)
    odd = pa.table({"id": pa.array([None, "never seen", "n1"]), "noise": [None, 1e300, float("inf")], "colour": pa.array([None, "violet", "red"])})
    found = pipeline.transform(odd)
    assert found["nodes"].tolist()[:2] == [-1, -1] and found["nodes"][2] >= 0
    assert (found["neighbours_1"][:2] == -1).all() and (found["neighbours_1"][2] >= 0).any()
    assert pipeline.transform(odd.slice(0, 0))["neighbours_1"].shape == (0, found["neighbours_1"].shape[1])
    with pytest.raises(DataError, match="lacks 'colour'"): pipeline.transform(odd.drop_columns(["colour"]))


def test_json_and_file_bring_back_the_same_bits():
    table, edges, kind = planted_graph(90)
    _, pipeline = made(table, edges, kind)
    again = GraphPreprocessor.from_json(json.dumps(pipeline.to_json()), pipeline.files())
    assert again.hash == pipeline.hash and same(again.transform(table), pipeline.transform(table))
    with pytest.raises(DataError, match="not the file"): GraphPreprocessor.from_json(pipeline.to_json(), {"context.safetensors": b"0"})


def test_amounts_and_many_classes():
    table, edges, kind = planted_graph(200, classes=4)
    held, pipeline = made(table, edges, kind)
    votes = pipeline.transform(table)["x_num"][:, [pipeline.numeric_names.index(f"vote of all {place}") for place in range(4)]]
    assert np.allclose(votes.sum(1), 1, atol=1e-5) and (votes.argmax(1) == kind)[100:].mean() > 0.6
    amounts = GraphPreprocessor.fit(held, PLAN, np.arange(100), kind * 10.0 + 5)
    found = amounts.transform(table)["x_num"][:, amounts.numeric_names.index("vote of all")]
    assert np.corrcoef(found[100:], kind[100:])[0, 1] > 0.5


def test_declared_relations_are_the_only_ones():
    table, edges, kind = planted_graph(40)
    wanted = [Declared(source="edges", column="source", to="nodes", key="id"), Declared(source="edges", column="target", to="nodes", key="id")]
    related = find_relations({"nodes": table, "edges": edges}, wanted=wanted)
    assert [(one.kind, one.columns, one.keys, one.leads) for one in related.relations] == [("edges", ("id",), ("source",), ("target",))]
    with pytest.raises(CardError, match="names the source 'edge'"): find_relations({"nodes": table, "edges": edges}, wanted=[Declared(source="edge", column="source", to="nodes", key="id")])


def test_the_graph_survives_taking_rows():
    table, edges, _ = planted_graph(40)
    related = find_relations({"nodes": table, "edges": edges}, edges="edges")
    assert detach(attach(table, related).take([3, 1]).slice(1)).tables["edges"].equals(edges)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9), st.integers(0, 30)), max_size=60), st.integers(1, 5), st.integers(0, 35), st.integers(0, 5), st.booleans())
def test_neighbours_and_votes_are_those_of_a_plain_loop(edges, slots, moment, delay, is_timed):
    keys, targets, times = (np.array([edge[place] for edge in edges], np.int64) for place in range(3))
    route = make_route("r", "t", ("k",), keys.astype(np.uint64), targets, times if is_timed else None, most=slots, delay=delay)
    labels = np.array([0, 1, np.nan, 1, 0, 1, np.nan, 0, 1, 1])
    outcomes = outcome_matrix(labels, 2)
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(outcomes[route.targets], 0)])
    asked = np.arange(1, 8).astype(np.uint64)
    groups, moments = route.find(asked), np.full(7, moment)
    found = sample_neighbours(route, groups, np.full(7, -1), moments)
    votes = count_votes(route, sums, groups, np.full(7, -1), outcomes, moments=moments)
    for row, key in enumerate(range(1, 8)):
        if is_timed: near = sorted({(edge[2], edge[1]) for edge in edges if edge[0] == key and edge[2] < moment - delay})
        else: near = sorted({edge[1] for edge in edges if edge[0] == key})
        seen = found[row][found[row] >= 0].tolist()
        whom = [one[1] for one in near] if is_timed else near
        if not is_timed:
            assert set(seen) <= set(whom) and len(seen) == len(set(seen)) == min(route.slots, len(whom))
            assert votes[row].tolist() == outcomes[whom].sum(0).tolist()
        else: assert set(seen) <= set(whom)
        assert (found[row][len(seen):] == -1).all()
