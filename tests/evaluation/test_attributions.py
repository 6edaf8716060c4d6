"Attributions: complete, right where the truth is known, whole columns, any release."
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.core.release import apply_calibration
from dlmine.evaluation.attributions import _afford, attribute, explain_by_gradients, explain_by_sampling, group_features
from dlmine.models.architectures import Scores, describe, pack_weights, restore
from dlmine.models.tabular import EmbeddingMLP


def matrices(rows=60, seed=0):
    generator = np.random.default_rng(seed)
    made = {"x_num": generator.normal(size=(rows, 3)).astype(np.float32), "x_cat": generator.integers(0, 4, (rows, 2))}
    made["x_num"][::7, 2] = np.nan
    return made


GROUPS = group_features(["departure", "departure", "wind"], ["carrier", "wind"])


def network(kind="binary", outputs=1):
    torch.manual_seed(0)
    return Scores(EmbeddingMLP(3, [4, 4], outputs, fills=[0.0, 0.0, -1.0], indicators=[2], layers=(16, 8)), kind, 40.0, 9.0).eval()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_sampling_is_complete_for_any_function(seed):
    part = matrices(12, seed)

    def forward(features):
        return np.sin(np.nan_to_num(features["x_num"], nan=9)).prod(1) + features["x_cat"][:, 0] * features["x_cat"][:, 1]

    values, start, _ = explain_by_sampling(forward, part, matrices(40, seed + 1), GROUPS, passes=4, seed=seed)
    assert np.allclose(values.sum(1), forward(part) - start, atol=1e-9)


def test_sampling_is_right_where_columns_interact_in_pairs():
    part, reference = matrices(5), matrices(5, 1)
    reference = {name: np.repeat(values[:1], 5, 0) for name, values in reference.items()}

    def forward(features):  # departure (two features together) times carrier
        return features["x_num"][:, 0].astype(float) * features["x_cat"][:, 0]

    values, _, error = explain_by_sampling(forward, part, reference, GROUPS, passes=400)
    a, b, a0, b0 = part["x_num"][:, 0].astype(float), part["x_cat"][:, 0], float(reference["x_num"][0, 0]), reference["x_cat"][0, 0]
    exact = ((a * b0 - a0 * b0) + (a * b - a0 * b)) / 2
    assert (np.abs(values[:, 0] - exact) <= 4.5 * error[:, 0] + 1e-9).all() and np.allclose(values[:, 1], 0)


def test_sampling_does_not_touch_the_readers_random_numbers():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = explain_by_sampling(lambda features: features["x_cat"][:, 0] * 1.0, matrices(4), matrices(9), GROUPS, passes=2, seed=3)[0]
    assert torch.equal(torch.rand(1), expected)
    assert np.array_equal(one, explain_by_sampling(lambda features: features["x_cat"][:, 0] * 1.0, matrices(4), matrices(9), GROUPS, passes=2, seed=3)[0])


@pytest.mark.parametrize("kind, outputs", [("binary", 1), ("multiclass", 3), ("regression", 1)])
@pytest.mark.parametrize("calibration", [{"kind": "identity"}, {"kind": "temperature", "temperature": 0.5}])
def test_gradients_are_complete_for_each_kind(kind, outputs, calibration):
    if kind == "regression" and calibration["kind"] != "identity":
        return
    part, reference = matrices(20), matrices(60, 1)
    net, chosen = network(kind, outputs), np.arange(20) % outputs
    values, start = explain_by_gradients(net, part, reference, GROUPS, calibration=calibration, chosen=chosen)
    with torch.no_grad():
        scores = net(torch.as_tensor(part["x_num"]), torch.as_tensor(part["x_cat"])).double().numpy()
    scores = scores if kind == "regression" else apply_calibration(scores, calibration)
    scores = scores[np.arange(20), chosen] if kind == "multiclass" else scores
    assert np.abs(values.sum(1) - (scores - start)).max() < (2e-2 if kind == "regression" else 2e-3)


class FakeRelease:
    "A release in memory: the parts that attribute uses."

    def __init__(self, folder, kind, outputs, with_network):
        self.path, self.name, self.kind, self.decision = folder, "fake", kind, {"calibration": {"kind": "identity"}}
        self.preprocessor = type("P", (), {"numeric_sources": ["a", "b"], "categorical_sources": ["c"]})
        torch.manual_seed(0)
        arguments = {"numeric": 2, "cardinalities": [3], "outputs": outputs, "layers": [8]}
        module = EmbeddingMLP(**arguments)
        self.architecture = describe("embedding_mlp", arguments, kind)
        self.network = restore(self.architecture, pack_weights(module))
        if with_network:
            (folder / "architecture.json").write_text("{}")
            (folder / "weights.safetensors").write_bytes(pack_weights(module))

    def json(self, name):
        return self.architecture

    def features(self, table):
        return {"x_num": np.c_[table["a"].to_numpy(), table["b"].to_numpy()].astype(np.float32), "x_cat": table["c"].to_numpy()[:, None]}

    def forward(self, features):
        with torch.no_grad():
            return self.network(torch.as_tensor(features["x_num"]), torch.as_tensor(features["x_cat"])).numpy()

    def predict(self, table):
        return self.forward(self.features(table)).astype(float)


@pytest.mark.parametrize("kind, outputs", [("binary", 1), ("multiclass", 3), ("regression", 1)])
@pytest.mark.parametrize("with_network", [True, False])
def test_a_release_of_each_kind_is_explained(tmp_path, kind, outputs, with_network):
    generator = np.random.default_rng(0)
    table = pa.table({"a": generator.normal(size=300), "b": generator.normal(size=300), "c": generator.integers(0, 3, 300), "other": ["x"] * 300})
    found = attribute(FakeRelease(tmp_path, kind, outputs, with_network), table, count=30, top=4, passes=6)
    assert found.method.startswith("integrated" if with_network else "Shapley") and found.columns == ("a", "b", "c")
    assert found.error < 2e-3 and found.sampled == 30 and len(found.rows) == 34
    full = FakeRelease(tmp_path, kind, outputs, False).predict(table)
    risk = full.max(1) if full.ndim == 2 else full
    assert int(found.table(4)["row"][0]) == int(risk.argmax())
    assert "because" in found._repr_html_() and len(found.reasons(0)) == 3


def test_rows_can_be_chosen_and_mistakes_are_told(tmp_path):
    table = pa.table({"a": np.zeros(10), "b": np.ones(10), "c": np.zeros(10, int)})
    release = FakeRelease(tmp_path, "binary", 1, False)
    assert list(attribute(release, table, rows=[3, 7], passes=2).rows) == [3, 7]
    with pytest.raises(DataError, match="sampling"):
        attribute(release, table, method="gradients")


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 50), st.integers(1, 400))
def test_the_budget_holds_above_its_floor(columns, passes, count):
    found_passes, rows = _afford(columns, passes, count, 100_000)
    assert 1 <= found_passes <= passes and 1 <= rows <= count
    assert found_passes * rows * columns <= 100_000 or found_passes <= 8
