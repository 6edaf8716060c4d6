"The Transformer for tables: nulls, unseen codes, one side empty; trained, exported, restored."
import numpy as np
import pytest
import torch

from dlmine.models.architectures import pack_weights, restore
from dlmine.models.ft_transformer import FTTransformer
from dlmine.training.export import measure_parity, run_onnx, to_onnx
from dlmine.training.learner import fit


@pytest.mark.parametrize(("kind", "numeric", "categories"), [("binary", 4, 2), ("multiclass", 0, 3), ("regression", 5, 0)])
def test_trained_exported_and_restored(kind, numeric, categories):
    generator = np.random.default_rng(0)
    features = {"x_num": generator.normal(size=(120, numeric)).astype("float32"), "x_cat": generator.integers(0, 6, (120, categories))}
    features["x_num"][generator.random((120, numeric)) < 0.2] = np.nan
    target = generator.integers(0, 3 if kind == "multiclass" else 2, 120)
    trained = fit(features, target, features, target, kind=kind, classes=() if kind == "regression" else tuple(range(target.max() + 1)), architecture="ft_transformer", epochs=1)
    graph = to_onnx(trained)
    features["x_cat"] = np.where(generator.random(features["x_cat"].shape) < 0.2, 99, features["x_cat"])
    assert measure_parity(trained, graph, features).passed
    assert run_onnx(graph, {name: values[:1] for name, values in features.items()}).shape == trained.predict({name: values[:1] for name, values in features.items()}).shape
    again = restore(trained.architecture, pack_weights(trained.module.module))
    with torch.no_grad():
        expected = again(torch.from_numpy(features["x_num"]), torch.from_numpy(features["x_cat"])).numpy()
    assert np.allclose(expected, trained.predict(features), atol=1e-6)


def test_a_missing_number_is_not_a_zero():
    torch.manual_seed(0)
    network = FTTransformer(numeric=2, cardinalities=[], outputs=1, width=16).eval()
    empty = torch.zeros((1, 0), dtype=torch.int64)
    assert not torch.equal(network(torch.tensor([[float("nan"), 1.0]]), empty), network(torch.tensor([[0.0, 1.0]]), empty))


def test_more_columns_than_rows():
    generator = np.random.default_rng(1)
    features = {"x_num": generator.normal(size=(40, 120)).astype("float32"), "x_cat": np.zeros((40, 0), np.int64)}
    trained = fit(features, np.arange(40) % 2, features, np.arange(40) % 2, kind="binary", classes=(0, 1), architecture="ft_transformer", epochs=1)
    assert np.isfinite(trained.predict(features)).all()
