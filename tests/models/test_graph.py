"Networks on sampled neighbourhoods: PyTorch Geometric's numbers, ONNX, odd neighbourhoods, and a lift where edges carry the signal."
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "preparation"))
from planted import planted_graph

from dlmine.core.errors import DataError
from dlmine.measures.compare import Part, Split, compare
from dlmine.models.graph_attention import AttentionLayer, GraphAttention
from dlmine.models.graph_sage import GraphSAGE, SageLayer
from dlmine.models.hetero import HeteroGNN
from dlmine.preparation.columns import ColumnPlan, FeaturePlan
from dlmine.preparation.graph_context import find_context, to_hetero
from dlmine.preparation.graph_pipeline import GraphPreprocessor
from dlmine.preparation.relations import attach, find_relations
from dlmine.training.export import measure_parity, to_onnx
from dlmine.training.learner import fit

PLAN = FeaturePlan((ColumnPlan("id", "identifier", False, "key"), ColumnPlan("noise", "numeric", True, ""), ColumnPlan("colour", "categorical", True, "")))
PATHS = {"sage": "dlmine.models.graph_sage:GraphSAGE", "attention": "dlmine.models.graph_attention:GraphAttention", "hetero": "dlmine.models.hetero:HeteroGNN"}


@pytest.fixture(scope="module")
def small():
    table, edges, kind = planted_graph(600)
    loops = pa.table({"source": ["n1", "n2", "ghost"], "target": ["n1", "n2", "n3"]})
    held = attach(table, find_relations({"nodes": table, "edges": pa.concat_tables([edges.slice(0, 1500), loops])}, edges="edges"))   # the last hundred nodes point to nobody
    train = np.random.default_rng(1).choice(600, 350, replace=False)
    pipeline = GraphPreprocessor.fit(held, PLAN, train, kind)
    rest = np.setdiff1d(np.arange(600), train)
    features = pipeline.transform(table)
    parts = [Part({name: values[rows] for name, values in features.items()}, kind[rows]) for rows in (train, rest[:100], rest[100:])]
    return pipeline, Split(*parts), table, kind


@pytest.fixture
def dense():
    "A random graph, its edges, and all neighbours of each node as a matrix"
    torch.manual_seed(3)
    links = torch.rand(30, 30) < 0.15
    links[7] = links[:, 7] = False      # isolated
    heads, tails = links.nonzero(as_tuple=True)
    widest = int(links.sum(1).max())
    places = torch.full((30, widest), -1)
    for node in range(30): places[node, :int(links[node].sum())] = links[node].nonzero()[:, 0]
    return torch.randn(30, 5), torch.stack([tails, heads]), places


def test_sage_layer_is_that_of_pytorch_geometric(dense):
    from torch_geometric.nn import SAGEConv
    x, edges, places = dense
    theirs, ours = SAGEConv(5, 8), SageLayer(5, 5, 8)
    ours.own.weight, ours.neighbour.weight, ours.neighbour.bias = theirs.lin_r.weight, theirs.lin_l.weight, theirs.lin_l.bias
    assert torch.allclose(theirs(x, edges), ours(x, x[places.clamp(min=0)], places >= 0), atol=1e-5)


def test_attention_layer_is_that_of_pytorch_geometric(dense):
    from torch_geometric.nn import GATConv
    x, edges, places = dense
    theirs, ours = GATConv(5, 4, heads=3), AttentionLayer(5, 4, heads=3)
    ours.project.weight, ours.to_neighbour, ours.to_own, ours.bias = theirs.lin.weight, theirs.att_src, theirs.att_dst, theirs.bias
    loops = places == torch.arange(30)[:, None]     # GATConv adds one of its own for each node and drops those that there were
    assert torch.allclose(theirs(x, edges), ours(x, x[places.clamp(min=0)], (places >= 0) & ~loops), atol=1e-5)


@pytest.mark.parametrize("name", PATHS)
def test_trained_exported_and_equal(small, name):
    pipeline, split, _, _ = small
    trained = fit(split.train.features, split.train.target, split.valid.features, split.valid.target, kind="binary", classes=("0", "1"), facts=pipeline.arguments(), architecture=PATHS[name], epochs=3)
    rows = {key: values[:60].copy() for key, values in split.test.features.items()}
    rows["neighbours_1"][:6], rows["nodes"][:3], rows["x_num"][3, :] = -1, -1, np.nan
    assert measure_parity(trained, to_onnx(trained), rows).difference < 1e-5
    single = {key: values[10:11] for key, values in rows.items()}
    assert trained.predict(single) == pytest.approx(trained.predict(rows)[10:11], abs=1e-5)


def test_edges_lift_what_columns_cannot(small):
    pipeline, split, _, _ = small
    own = pipeline.columns_of("own")
    def with_edges(part, seed, budget):
        return fit(part.train.features, part.train.target, part.valid.features, part.valid.target, kind="binary", classes=("0", "1"), facts=pipeline.arguments(), architecture=PATHS["hetero"], seed=seed, epochs=8).predict(part.test.features)
    def without(part, seed, budget):
        bare = [{"x_num": side.features["x_num"][:, own], "x_cat": side.features["x_cat"]} for side in (part.train, part.valid, part.test)]
        return fit(bare[0], part.train.target, bare[1], part.valid.target, kind="binary", classes=("0", "1"), seed=seed, epochs=8).predict(bare[2])
    found = compare({"without": without, "with edges": with_edges}, split, metric="roc_auc", seeds=(0, 1, 2), resamples=200)
    lift = next(result.difference for result in found.results if result.variant == "with edges")
    assert lift.lower > 0.15, found.verdict


def test_a_network_without_its_context_says_so(small):
    facts = {name: value for name, value in small[0].arguments().items() if name not in ("vocabulary_words", "own")}
    with pytest.raises(DataError, match="not open in this process"): HeteroGNN(1, len(facts["fills"]), **{**facts, "context": "0" * 64}).pretrained()
    assert find_context(facts["context"]) is not None
    with pytest.raises(DataError, match="at least one relation"): GraphSAGE(1, 2, [], facts["tables"], [])
    with pytest.raises(DataError, match="divided among"): GraphAttention(1, len(facts["fills"]), **facts, width=30)


def test_amounts_and_other_node_types():
    random = np.random.default_rng(0)
    orders = pa.table({"id": np.arange(400), "shop": [f"s{place}" for place in random.integers(0, 30, 400)], "noise": random.standard_normal(400), "colour": random.choice(["a", "b", "c"], 400)})
    height = random.standard_normal(30)
    shops = pa.table({"shop": [f"s{place}" for place in range(30)], "height": height, "town": random.choice(["x", "y"], 30)})
    amount = np.array([height[int(name[1:])] for name in orders["shop"].to_pylist()]) * 10 + 100
    held = attach(orders, find_relations({"orders": orders, "shops": shops}, keys={"orders": ("id",), "shops": ("shop",)}))
    pipeline = GraphPreprocessor.fit(held, PLAN, np.arange(250), amount)
    features = pipeline.transform(orders)
    part = lambda rows: {name: values[rows] for name, values in features.items()}
    trained = fit(part(slice(0, 250)), amount[:250], part(slice(250, 320)), amount[250:320], kind="regression", facts=pipeline.arguments(), architecture=PATHS["hetero"], epochs=25)
    assert np.corrcoef(trained.predict(part(slice(320, 400))), amount[320:])[0, 1] > 0.8
    assert measure_parity(trained, to_onnx(trained), part(slice(320, 400))).difference < 1e-5
    graph = to_hetero(pipeline.context)
    assert set(graph.node_types) == {"orders", "shops"} and ("shops", "reverse shops", "orders") in graph.edge_types


def test_an_explanation_finds_the_neighbours_that_matter(small):
    from dlmine.evaluation.graph_explain import column_effects, explain_row
    pipeline, split, table, kind = small
    trained = fit(split.train.features, split.train.target, split.valid.features, split.valid.target, kind="binary", classes=("0", "1"), facts=pipeline.arguments(), architecture=PATHS["hetero"], epochs=8)
    rows = [row for row in range(600) if (pipeline.transform(table.slice(row, 1))["neighbours_1"] >= 0).sum() >= 6][:12]
    found = [explain_row(trained.predict, pipeline, table.slice(row, 1), ("0", "1"), draws=5) for row in rows]
    assert np.mean([abs(one.deleted) for one in found]) > np.mean([abs(one.deleted_others) for one in found])
    told = [(neighbour["effect"] > 0) == (neighbour["known"] == "1") for one in found for neighbour in one.neighbours[:1] if neighbour["known"]]
    assert np.mean(told) > 0.7      # a neighbour of class 1 speaks for class 1
    row = pipeline.transform(table.slice(rows[0], 1))
    parts = column_effects(trained.predict, row, pipeline, None, trained.module)
    assert set(parts) >= {"noise", "colour"} and len(found[0]._repr_html_()) < 20_000
    assert found[0].evidence().figures["neighbours"] == len(found[0].neighbours)


def test_workers_of_another_process_find_the_context(small, tmp_path):
    from dlmine.training.distributed import fit_distributed
    pipeline, split, _, _ = small
    features, target = {name: values[:120] for name, values in split.train.features.items()}, split.train.target[:120]
    found = fit_distributed(features, target, split.valid.features, split.valid.target, kind="binary", classes=("0", "1"), facts=pipeline.arguments(), architecture="hetero_gnn", processes=1, epochs=1, folder=tmp_path)
    assert (tmp_path / "context.safetensors").is_file()
    held = found.trained.module.module.context.numbers_0
    assert torch.equal(held, torch.from_numpy(pipeline.context.tables[0].numbers)) and np.isfinite(found.trained.predict(split.test.features)).all()
