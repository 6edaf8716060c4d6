"Networks as ONNX: the scores of the trained model, for any number of rows."
import numpy as np
import pytest

from dlmine.core.errors import IntegrityError
from dlmine.models.architectures import pack_weights, restore
from dlmine.training.export import measure_parity, run_onnx, to_onnx
from dlmine.training.learner import fit


@pytest.mark.parametrize('kind, numeric, categories', [('binary', 3, 2), ('multiclass', 0, 2), ('regression', 3, 0)])
def test_a_network_and_its_graph_agree(kind, numeric, categories, capfd):
    generator = np.random.default_rng(0)
    features = {'x_num': generator.normal(size=(300, numeric)).astype(np.float32), 'x_cat': generator.integers(0, 5, (300, categories))}
    features['x_num'][generator.random((300, numeric)) < 0.1] = np.nan
    target = {'binary': generator.integers(0, 2, 300), 'multiclass': generator.integers(0, 3, 300), 'regression': generator.normal(1e5, 1e4, 300)}[kind]
    trained = fit(features, target, features, target, kind=kind, classes=() if kind == 'regression' else tuple(range(3 if kind == 'multiclass' else 2)), cardinalities=[5] * categories, epochs=2)
    capfd.readouterr()
    graph = to_onnx(trained)
    assert capfd.readouterr() == ('', '')
    features['x_cat'][:20] = 77            # levels that do not exist
    assert measure_parity(trained, graph, features).difference < 1e-5
    for rows in (1, 2, 299):
        some = {name: values[:rows] for name, values in features.items()}
        assert run_onnx(graph, some).shape == trained.predict(some).shape
    assert np.array_equal(restore(trained.architecture, pack_weights(trained.module.module))(*map(__import__('torch').from_numpy, (features['x_num'], features['x_cat']))).detach().numpy(), trained.predict(features))


def test_a_graph_of_another_model_is_noticed():
    generator = np.random.default_rng(0)
    features, target = {'x_num': generator.normal(size=(300, 3)).astype(np.float32)}, generator.integers(0, 2, 300)
    first, second = (fit(features, target, features, target, kind='binary', classes=(0, 1), epochs=1, seed=seed) for seed in (0, 1))
    with pytest.raises(IntegrityError, match='differs'): measure_parity(first, to_onnx(second), features)
