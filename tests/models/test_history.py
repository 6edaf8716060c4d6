"Networks for histories: what was taken is not offered again, padding says nothing, order counts where it should, and the graph says the same."
import numpy as np
import pytest
import torch

from dlmine.core.errors import DataError
from dlmine.measures.items import hit_rate_at_k
from dlmine.models.architectures import Scores, arguments_of, describe, find_architecture, pack_weights, restore
from dlmine.models.history import SEEN, ItemItem, as_bag
from dlmine.training.export import measure_parity, run_onnx, to_onnx
from dlmine.training.learner import fit

NETWORKS = ("history_attention", "history_autoencoder", "item_item")
ITEMS = 60


def network_of(name: str, seed: int = 0):
    torch.manual_seed(seed)
    network = find_architecture(name)(outputs=ITEMS)
    if name == "item_item": torch.nn.init.normal_(network.pairs)
    return network.eval()


@pytest.fixture
def history():
    return torch.stack([torch.randperm(ITEMS, generator=torch.Generator().manual_seed(row))[:40] + 1 for row in range(6)])


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_zeros_at_the_end_change_nothing_and_what_was_taken_has_the_score_0(name, history):
    network = network_of(name)
    plain = network(history)
    assert torch.allclose(plain, network(torch.nn.functional.pad(history, (0, 11))), atol=1e-5)
    scores = Scores(network, "multiclass")(history)
    assert (scores.gather(1, history - 1) == 0).all() and torch.allclose(scores.sum(1), torch.ones(6), atol=1e-5)
    assert (plain[as_bag(history, ITEMS) > 0] == SEEN).all() and (plain > SEEN).sum() == 6 * (ITEMS - 40)


@pytest.mark.parametrize("name, by_order", [("history_attention", True), ("history_autoencoder", False), ("item_item", False)])
@torch.no_grad()
def test_order_counts_where_it_should(name, by_order, history):
    network = network_of(name)
    assert torch.allclose(network(history), network(history.flip(1)), atol=1e-4) is not by_order


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_no_history_at_all_gets_finite_scores(name):
    network = network_of(name)
    found = network(torch.zeros((3, 1), dtype=torch.int64))
    assert torch.isfinite(found).all() and (found > SEEN).all() and torch.allclose(found[0], found[2])
    assert network(torch.zeros((0, 4), dtype=torch.int64)).shape == (0, ITEMS)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_row_does_not_depend_on_the_others(name, history):
    network = network_of(name)
    assert torch.allclose(network(history)[2:3], network(history[2:3]), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_written_down_and_made_again(name, history):
    network = network_of(name)
    again = restore(describe(name, {"outputs": ITEMS}, "multiclass"), pack_weights(network))
    with torch.no_grad(): assert torch.equal(again.module(history), network(history))


def test_weights_of_another_catalogue_are_refused():
    with pytest.raises(DataError, match="has the shape"): restore(describe("history_attention", {"outputs": ITEMS + 1}, "multiclass"), pack_weights(network_of("history_attention")))


def test_pairs_of_the_kept_items_only():
    network = ItemItem(5, kept=[4, 1])
    with torch.no_grad(): network.pairs.copy_(torch.tensor([[0.0, 2.0], [3.0, 0.0]]))
    assert network(torch.tensor([[5], [2], [3]])).tolist() == [[0, 2, 0, 0, SEEN], [0, SEEN, 0, 0, 3], [0, 0, SEEN, 0, 0]]


def test_sizes_follow_the_rows_and_strange_arguments_are_named():
    few, many = (arguments_of(find_architecture("history_attention"), {"items": 9, "outputs": 9}, None, rows) for rows in (500, 50_000))
    assert few["size"] < many["size"] and few["outputs"] == 9 and "items" not in few
    with pytest.raises(DataError, match="no argument 'recentt'"): arguments_of(find_architecture("history_attention"), {"outputs": 9}, {"recentt": 5}, 100)


def walks(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    "Everybody goes on from item to the next but one; what was taken before the last item says nothing."
    generator = np.random.default_rng(seed)
    history = np.stack([generator.choice(ITEMS, 8, replace=False) + 1 for _ in range(rows)])
    target = (history[:, 0] - 1 + 2) % ITEMS
    clean = [[code for code in row if code != after + 1] for row, after in zip(history, target)]
    return np.array([row + [0] * (8 - len(row)) for row in clean]), target


@pytest.fixture(scope="module")
def trained():
    (history, target), (other, after) = walks(3000, 0), walks(300, 1)
    return fit({"history": history}, target, {"history": other}, after, kind="multiclass", classes=tuple(map(str, range(ITEMS))), architecture="history_attention", epochs=4, seed=0)


def test_attention_learns_what_only_the_order_says(trained):
    history, target = walks(400, 2)
    assert hit_rate_at_k(target, trained.predict({"history": history}), k=1) > 0.9


def test_the_same_seed_gives_the_same_scores(trained):
    (history, target), (other, after) = walks(3000, 0), walks(300, 1)
    again = fit({"history": history}, target, {"history": other}, after, kind="multiclass", classes=trained.classes, architecture="history_attention", epochs=4, seed=0)
    assert np.array_equal(again.predict({"history": other}), trained.predict({"history": other}))


def test_the_graph_takes_any_number_of_rows_and_items(trained):
    graph, generator = to_onnx(trained), np.random.default_rng(0)
    for rows, longest in ((1, 1), (5, 3), (2, 57)):
        history = np.stack([generator.permutation(ITEMS)[:longest] + 1 for _ in range(rows)])
        assert measure_parity(trained, graph, {"history": history}).difference < 1e-5
    assert np.isfinite(run_onnx(graph, {"history": np.zeros((2, 4), np.int64)})).all()
