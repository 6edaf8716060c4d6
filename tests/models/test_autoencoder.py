"The autoencoder: shares that mean what they say, holes, styles, and an export that agrees."
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import DataError
from dlmine.models.architectures import build, describe, find_architecture, fit_weights, inputs_of, pack_weights, restore
from dlmine.models.autoencoder import STYLES, Autoencoder, ShareTable, apply_shares, fit_shares

NOTHING = torch.zeros(200, 0, dtype=torch.int64)


def share(values, table):
    return 1 / (1 + np.exp(-apply_shares(values, table).astype(float)))


def taught(style="plain", rows=None, **more):
    torch.manual_seed(0)
    rows = torch.randn(200, 3) if rows is None else rows
    net = Autoencoder(rows.shape[1], style=style, layers=[8], code=2, **more)
    net.observe(rows, NOTHING[:len(rows)])
    net.conclude(rows, NOTHING[:len(rows)])
    return net.eval(), rows


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=300))
def test_shares_rise_and_stay_between_the_ends(values):
    table = fit_shares(np.array(values))
    found = apply_shares(np.linspace(-30, 30, 500), table)
    assert np.isfinite(found).all() and (np.diff(found) >= -1e-4).all() and np.abs(found).max() <= 16


def test_shares_are_the_shares_of_the_training_rows():
    values = np.random.default_rng(0).normal(size=4000)
    table, places = fit_shares(values), np.quantile(values, [0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    assert np.abs(share(places, table) - [0.01, 0.1, 0.5, 0.9, 0.99, 0.999]).max() < 0.005
    beyond = share(values.max() + np.array([0, 1, 2]), table)
    assert (np.diff(beyond) > 0).all() and beyond[0] > 0.999      # the far end is still ranked


def test_equal_values_share_the_middle_and_make_no_cliff():
    table = fit_shares(np.array([1.0] * 90 + [2.0] * 10))
    assert abs(share([1.0], table)[0] - 0.45) < 0.06
    near = share(np.array([1.0, 1.0 + 1e-6]), table)
    assert abs(near[1] - near[0]) < 1e-4


def test_without_a_finite_value_nothing_can_be_said():
    with pytest.raises(DataError, match="no finite error"): fit_shares(np.array([np.nan, np.inf]))


def test_the_layer_says_what_the_table_says():
    values, layer = np.random.default_rng(1).normal(size=1000), ShareTable()
    layer.learn(values)
    assert np.abs(layer(torch.from_numpy(values).float())[:, 0].numpy() - apply_shares(values, fit_shares(values, 196))).max() < 1e-3


@pytest.mark.parametrize("style", STYLES)
def test_every_style_scores_restores_and_is_the_same_again(style):
    net, rows = taught(style)
    scores = net(rows, NOTHING)
    assert scores.shape == (200, 1) and torch.equal(scores, net(rows, NOTHING))
    plain = describe("autoencoder", dict(numeric=3, style=style, layers=[8], code=2), "binary")
    again = restore(plain, pack_weights(net))
    assert torch.equal(again(rows, NOTHING), scores.sigmoid()[:, 0])
    assert find_architecture("autoencoder") is Autoencoder and inputs_of(Autoencoder) == ("x_num", "x_cat")


def test_a_missing_value_does_not_make_a_row_odd_and_does_not_hide_one():
    net, rows = taught()
    empty = torch.full((1, 3), float("nan"))
    assert net(empty, NOTHING[:1]).sigmoid().item() < 0.05
    odd = torch.tensor([[300.0, 0.0, 0.0], [300.0, float("nan"), float("nan")]])
    assert (net(odd, NOTHING[:2]).sigmoid() > 0.99).all()


def test_holes_of_training_are_told_by_indicators():
    rows = torch.randn(200, 3); rows[::4, 1] = float("nan")
    net, _ = taught(rows=rows, indicators=[1])
    assert net.encoder[0].in_features == 4 and torch.isfinite(net(rows, NOTHING)).all()
    middle = torch.where(rows.isnan(), net.centres, rows)
    assert not torch.allclose(net.embed(rows, NOTHING)[::4], net.embed(middle, NOTHING)[::4])


def test_constant_and_empty_columns_are_harmless():
    rows = torch.stack([torch.randn(200), torch.full((200,), 5.0), torch.full((200,), float("nan"))], dim=1)
    net, _ = taught(rows=rows)
    assert torch.isfinite(net(rows, NOTHING)).all()
    changed = rows[:1].clone(); changed[0, 1] = 5000.0
    assert net(changed, NOTHING[:1]) > net(rows[:1], NOTHING[:1])   # what was always 5 is odd when it is not


def test_unseen_levels_are_odd_and_missing_ones_are_not():
    torch.manual_seed(0)
    codes = torch.randint(2, 4, (200, 1)); numbers = torch.zeros(200, 0)
    net = Autoencoder(0, [4], style="plain", layers=[8], code=1)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60): optimiser.zero_grad(); net.losses(numbers, codes).mean().backward(); optimiser.step()
    net.conclude(numbers, codes)
    found = net.eval()(numbers[:4], torch.tensor([[0], [1], [2], [99]]))[:, 0]
    assert found[1] > found[2] and found[3] > found[2] and found[0] < found[1]


def test_the_better_half_teaches():
    from dlmine.training.losses import LeastErrors
    assert LeastErrors(0.5)(torch.tensor([1.0, 3.0, 1e9, 1e9])).item() == 2.0
    assert Autoencoder(2).left_out == 0.5


@pytest.mark.parametrize("wrong, said", [(dict(style="sparse"), "style is one of"), (dict(outputs=3), "one score a row"), (dict(left_out=1.0), "share of the rows"), (dict(numeric=0), "at least one column")])
def test_what_it_refuses(wrong, said):
    with pytest.raises(DataError, match=said): Autoencoder(**{"numeric": 3, **wrong})


def test_weights_of_another_shape_are_named():
    net, _ = taught()
    other = Autoencoder(4, layers=[8], code=2)
    with pytest.raises(DataError, match="shape"): fit_weights(other, net.state_dict(), "The weights")
    assert build(describe("autoencoder", dict(numeric=4), "binary")).numeric == 4
