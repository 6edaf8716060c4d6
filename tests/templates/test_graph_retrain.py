"A small graph in two CSV files, of which only the connections know the outcome: by card alone trained, lifted, released, audited and explained."
import json
import sys
from pathlib import Path

import pyarrow.csv
import pytest
from test_templates import dlmine, published

sys.path.insert(0, str(Path(__file__).parents[1] / "preparation"))

CARD = """
version: 1
name: shops
sources: [{name: shops, location: shops.csv, keys: [id]}, {name: trades, location: trades.csv}]
target: kind
task: {kind: classification, positive: "1"}
modality: {kind: graph, edges: trades}
split: {kind: random, valid: 0.2, test: 0.2, seed: 0}
gates: [{metric: roc_auc, comparison: '>=', threshold: 0.75, bound: lower}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "Trained and audited, with an isolated node, a self-loop and an edge to nobody among the rows."
    import pyarrow as pa
    from planted import planted_graph
    folder = tmp_path_factory.mktemp("graph")
    nodes, edges, kind = planted_graph(700)
    nodes = pa.concat_tables([nodes.append_column("kind", pa.array(kind)), pa.table({"id": ["alone"], "noise": [0.0], "colour": ["red"], "kind": [1]})])
    edges = pa.concat_tables([edges, pa.table({"source": ["n0", "n1"], "target": ["n0", "nobody"]})])
    pyarrow.csv.write_csv(nodes, folder / "shops.csv")
    pyarrow.csv.write_csv(edges, folder / "trades.csv")
    (folder / "shops.yml").write_text(CARD)
    place = {"DLMINE_WORKSPACE": str(folder / "workspace")}
    trained = dlmine(folder, "run", "retrain", "--card", "shops.yml", "-p", "epochs=6", "-p", "trees=30", "-p", "resamples=200", **place)
    audited = dlmine(folder, "run", "audit", "--card", "shops.yml", "-p", "resamples=60", "-p", "evidently_rows=0", **place)
    return folder / "workspace", trained, audited


def figures(run, capability):
    records = [one["payload"] for one in json.loads((run / "evidence.json").read_text())["records"]]
    return [one["figures"] | {"subject": one["subject"]} for one in records if one["capability"] == capability]


def test_the_connections_lift_the_model(place):
    workspace, trained, _ = place
    assert trained.returncode == 0, trained.stdout + trained.stderr
    run, = published(workspace, "retrain")
    lift = [one for one in figures(run, "evaluation.comparison") if "own columns" in one]
    assert len(lift) == 1 and lift[0]["difference_lower"] > 0.1 and 0.35 < lift[0]["own columns"] < 0.65


def test_the_audit_explains_rows_by_their_neighbours(place):
    workspace, _, audited = place
    assert audited.returncode in (0, 3), audited.stdout + audited.stderr
    run, = published(workspace, "audit")
    explained = figures(run, "evaluation.graph_explain")
    assert len(explained) == 2 and all(abs(one["score"] - one["score_without_neighbours"]) > 0.1 and one["neighbours"] and ": n" in one["subject"] for one in explained)
    assert "without neighbours" in (run / "report.html").read_text()
