"Networks for tables: rebuilt from plain data, safe at the edges."
import json

import numpy as np
import pytest
import torch

from dlmine.core.errors import DataError
from dlmine.models.architectures import Scores, build, describe, find_architecture, pack_weights, restore
from dlmine.models.tabular import EmbeddingMLP


@pytest.mark.parametrize('numeric, cardinalities, outputs, kind', [(3, [4, 9], 1, 'binary'), (0, [5], 3, 'multiclass'), (4, [], 1, 'regression')])
def test_a_network_comes_back_from_json_and_weights(numeric, cardinalities, outputs, kind):
    arguments = dict(numeric=numeric, cardinalities=cardinalities, outputs=outputs, fills=[0.5] * numeric, indicators=[0] if numeric else [])
    architecture = json.loads(json.dumps(describe('embedding_mlp', arguments, kind, 10.0, 2.0)))
    network = build(architecture)
    x_num, x_cat = torch.randn(7, numeric), torch.randint(0, 4, (7, len(cardinalities)))
    if numeric: x_num[2, 0] = float('nan')
    for _ in range(3): network.train()(x_num, x_cat)        # moves the running statistics
    before = Scores(network, kind, 10.0, 2.0).eval()(x_num, x_cat)
    assert torch.isfinite(before).all()
    assert torch.equal(restore(architecture, pack_weights(network))(x_num, x_cat), before)


def test_a_missing_number_is_not_the_same_as_its_fill_where_there_is_an_indicator():
    torch.manual_seed(0)
    network = EmbeddingMLP(2, [], 1, fills=[0.25, 0.25], indicators=[0]).eval()
    missing, filled = torch.tensor([[float('nan'), 0.0]]), torch.tensor([[0.25, 0.0]])
    assert not torch.equal(network(missing, torch.empty(1, 0, dtype=torch.int64)), network(filled, torch.empty(1, 0, dtype=torch.int64)))
    missing, filled = torch.tensor([[0.0, float('nan')]]), torch.tensor([[0.0, 0.25]])
    assert torch.equal(network(missing, torch.empty(1, 0, dtype=torch.int64)), network(filled, torch.empty(1, 0, dtype=torch.int64)))


def test_codes_out_of_range_are_read_as_unseen():
    torch.manual_seed(0)
    network = EmbeddingMLP(0, [4, 3], 1).eval()
    empty = torch.empty(3, 0)
    scores = network(empty, torch.tensor([[1, 2], [999, 2], [-5, 2]]))
    assert torch.allclose(scores[0], scores[1:], atol=1e-6)


def test_the_slices_cover_the_embedded_row_once():
    network = EmbeddingMLP(3, [5, 100], 1, indicators=[2]).eval()
    width = network.embed(torch.zeros(1, 3), torch.zeros(1, 2, dtype=torch.int64)).shape[1]
    assert sorted(sum(network.slices['x_cat'] + network.slices['x_num'], [])) == list(range(width))
    assert len(network.slices['x_num'][2]) == 2


@pytest.mark.parametrize('name', ['os:system', 'embeding_mlp', 'dlmine.models.architectures:json', 'dlmine.models.nothing:Net', 'dlmine.models.tabular:Nothing'])
def test_only_networks_of_known_packages_are_loaded(name):
    with pytest.raises(DataError): find_architecture(name)


def test_probabilities_of_many_classes_add_to_one():
    scores = Scores(EmbeddingMLP(2, [], 4).eval(), 'multiclass')(torch.randn(6, 2), torch.empty(6, 0, dtype=torch.int64))
    assert scores.shape == (6, 4) and np.allclose(scores.detach().sum(1), 1, atol=1e-6)
