"A stranger's small graph as CSV files: odd edges, string ids, and a release that a new interpreter reads."
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pytest

from dlmine.core.errors import CardError, DataError
from dlmine.framing.card import load_card
from dlmine.preparation.loading import load_data
from dlmine.preparation.modalities import facts_of, fit_preprocessor
from dlmine.training.export import to_onnx
from dlmine.training.learner import fit
from dlmine.training.rivals import fit_alone

CARD = """
version: 1
name: teams
sources:
  - {name: nodes, location: nodes.csv}
  - {name: edges, location: edges.csv}
target: team
task: classification
modality: {kind: graph, edges: edges}
split: {kind: random, valid: 0.2, test: 0.3}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "300 people in three teams; who meets whom tells the team, the columns tell nothing"
    place, random = tmp_path_factory.mktemp("teams"), np.random.default_rng(0)
    team = random.integers(0, 3, 300)
    ids = [f"P-{number:04d}" for number in random.permutation(300)]
    meet = random.random((300, 300)) < np.where(team[:, None] == team, 0.06, 0.006)
    meet[290:] = meet[:, 290:] = False                                   # ten isolated people
    heads, tails = np.nonzero(np.triu(meet, 1))
    pairs = [(ids[a], ids[b]) for a, b in zip(heads, tails)]
    pairs += [(ids[0], ids[0])] * 3 + pairs[:20] + [(b, a) for a, b in pairs[:10]] + [(ids[1], "X-1"), ("X-2", "X-3"), (ids[3], ""), ("", ids[4])]
    with open(place / "nodes.csv", "w") as file: file.write("id,height,colour,team\n" + "".join(f"{ids[n]},{random.normal():.3f},{random.choice(['a', 'b'])},{['red', 'green', 'blue'][team[n]]}\n" for n in range(300)))
    with open(place / "edges.csv", "w") as file: file.write("from,to\n" + "".join(f"{a},{b}\n" for a, b in pairs))
    (place / "card.yml").write_text(CARD)
    return place


@pytest.fixture(scope="module")
def trained(folder):
    data = load_data(load_card(folder / "card.yml"))
    pipeline = fit_preprocessor(data)
    sides = {side: pipeline.transform(data.rows(side)) for side in ("train", "valid", "test")}
    given = sides["train"], data.outcomes("train"), sides["valid"], data.outcomes("valid")
    net = fit(*given, kind=data.kind, classes=data.classes, architecture="hetero_gnn", facts=facts_of(pipeline), epochs=6)
    alone = fit_alone(*given, facts=facts_of(pipeline), kind=data.kind, classes=data.classes, budget=20)
    return data, pipeline, sides, net, alone


def test_connections_carry_what_columns_do_not(trained):
    data, pipeline, sides, net, alone = trained
    right = {name: (model.predict(sides["test"]).argmax(1) == data.outcomes("test")).mean() for name, model in (("net", net), ("alone", alone))}
    assert right["net"] > right["alone"] + 0.25, right
    counts = pipeline.settings["counts"]
    assert counts["edges"]["of a node with itself"] == 3 and counts["edges"]["to unknown nodes"] == 4 and counts["edges"]["twice"] == 20 and counts["nodes"]["isolated"] == 10


def test_a_new_interpreter_needs_nothing_but_the_files(trained, folder, tmp_path):
    data, pipeline, sides, net, _ = trained
    (tmp_path / "preprocess.json").write_text(json.dumps(pipeline.to_json()))
    for name, content in pipeline.files().items(): (tmp_path / name).write_bytes(content)
    (tmp_path / "model.onnx").write_bytes(to_onnx(net))
    program = """
import sys, json, pathlib
import numpy as np, onnxruntime, pyarrow.csv as pc
from dlmine.core.release import load_preprocessor
place, rows = pathlib.Path(sys.argv[1]), pc.read_csv(sys.argv[2])
made = load_preprocessor(json.loads((place / 'preprocess.json').read_text()), place)
session = onnxruntime.InferenceSession(str(place / 'model.onnx'), providers=['CPUExecutionProvider'])
found = made.transform(rows)
np.save(place / 'scores.npy', session.run(None, {one.name: found[one.name] for one in session.get_inputs()})[0])
assert 'torch' not in sys.modules
"""
    said = subprocess.run([sys.executable, "-c", program, str(tmp_path), str(folder / "nodes.csv")], capture_output=True, text=True, cwd=tmp_path)
    assert said.returncode == 0, said.stderr[-2000:]
    expected = net.predict(pipeline.transform(pc.read_csv(folder / "nodes.csv")))
    assert np.abs(np.load(tmp_path / "scores.npy") - expected).max() < 1e-5


def test_unknown_and_missing_ids_are_answered_as_rows_without_neighbours(trained):
    data, pipeline, sides, net, _ = trained
    row = data.rows("test").slice(0, 1)
    place = row.column_names.index("id")
    for name in ("nobody", None):
        found = pipeline.transform(row.set_column(place, "id", pa.array([name], pa.string())))
        assert (found["neighbours_1"] == -1).all() and (found["nodes"] == -1).all() and np.isfinite(net.predict(found)).all()


def test_cards_that_cannot_be_a_graph_say_why(folder, tmp_path):
    for name in ("nodes.csv", "edges.csv"): (tmp_path / name).write_bytes((folder / name).read_bytes())
    def load(text):
        (tmp_path / "card.yml").write_text(text)
        data = load_data(load_card(tmp_path / "card.yml"))
        return fit_preprocessor(data)
    with pytest.raises(CardError, match="further sources"): load(CARD.replace("  - {name: edges, location: edges.csv}\n", "").replace(", edges: edges", ""))
    with pytest.raises(CardError, match="no further source is called that"): load(CARD.replace("edges: edges}", "edges: edge}"))
    (tmp_path / "edges.csv").write_text("from,to\n" + "".join(f"Q{n},R{n}\n" for n in range(50)))
    with pytest.raises(DataError, match="should list edges|Nothing connects"): load(CARD)
