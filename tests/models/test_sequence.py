"Networks for sequences: padding, missing values, empty batches, gradients, and the exported graph, for each of them."
import logging
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlmine.core.errors import DataError
from dlmine.models.architectures import Scores, build, describe, find_architecture, pack_weights, restore
from dlmine.models.hybrid import take_pairs
from dlmine.models.recurrent import RecurrentLayer, turn_round
from dlmine.models.sequence_transformer import SequenceTransformer
from dlmine.models.steps import gather_steps, of_batch, real_steps, sequence_schedule
from dlmine.preparation.masking import check_padding
from dlmine.preparation.padding import Batch

NAMES = ("convolution", "temporal_convolution", "gru", "lstm", "sequence_transformer", "convolution_gru")
CHANNELS, LENGTHS = 3, [11, 0, 1, 4, 11, 6, 2]


def make(name, **wishes):
    torch.manual_seed(0)
    facts = {"channels": CHANNELS, "outputs": 4, "gaps": [1]}
    return find_architecture(name)(**facts, **{"width": 16, **wishes}).eval()


def batch(lengths=LENGTHS, width=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(len(lengths), width or max(1, max(lengths)), CHANNELS, generator=generator)
    steps[torch.rand(steps.shape, generator=generator) < 0.15] = float("nan")
    return steps, torch.tensor(lengths)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_no_output(name):
    steps, length = batch()
    proof = check_padding(of_batch(make(name)), Batch(torch.nan_to_num(steps), length), sides=("right",), tolerance=1e-5, name=name)
    assert proof.passed, proof


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_are_told_apart_from_their_filling(name):
    network, (steps, length) = make(name), batch()
    told, hidden = network(steps, length), network(torch.nan_to_num(steps), length)
    changed = steps.clone()
    changed[:, :, 1] = float("nan")
    assert torch.isfinite(told).all() and not torch.allclose(told, hidden) and not torch.allclose(told[0], network(changed, length)[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lengths, width", [([0, 0, 0], 5), ([0], 1), ([1], 1), ([5, 5], 5), ([2, 1], 9)])
def test_empty_and_tiny_batches_are_finite_and_can_be_learned_from(name, lengths, width):
    network = make(name).train()
    steps = torch.full((len(lengths), width, CHANNELS), float("nan"))
    out = network(steps, torch.tensor(lengths))
    assert out.shape == (len(lengths), 4) and torch.isfinite(out).all()
    out.pow(2).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", NAMES)
def test_they_learn_the_order_of_steps(name):
    generator = torch.Generator().manual_seed(1)
    steps, length = torch.randn(256, 8, CHANNELS, generator=generator), torch.randint(3, 9, (256,), generator=generator)
    target = (steps[:, 0, 0] > steps[:, 1, 0]).long()
    network = make(name, width=32, dropout=0.0).train()
    optimiser = torch.optim.AdamW(network.parameters(), 0.005)
    for _ in range(40):
        loss = nn.functional.cross_entropy(network(steps, length), target)
        optimiser.zero_grad(); loss.backward(); optimiser.step()
    assert loss.item() < 0.35


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_description_make_the_same_network(name):
    network, (steps, length) = make(name), batch()
    described = describe(name, {"channels": CHANNELS, "outputs": 4, "gaps": [1], "width": 16}, "multiclass")
    with torch.no_grad(): assert torch.equal(restore(described, pack_weights(network))(steps, length), Scores(network, "multiclass")(steps, length))
    defaults = find_architecture(name).defaults(500, channels=CHANNELS, longest=300)
    assert build(describe(name, {"channels": CHANNELS, "outputs": 1, **defaults}, "binary"))(steps, length).shape == (7, 1)
    assert find_architecture(name).inputs == ("steps", "length") and find_architecture(name).schedule(500) == sequence_schedule(500)
    with pytest.raises(DataError, match="at least one channel"): find_architecture(name)(0, 2)


@pytest.mark.parametrize("name", NAMES)
def test_the_exported_graph_takes_any_rows_and_steps(name):
    scores, free, (steps, length) = Scores(make(name, halvings=1) if name == "convolution_gru" else make(name), "multiclass").eval(), torch.export.Dim.DYNAMIC, batch()
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch.onnx.export(scores, (steps, length), dynamo=True, input_names=["steps", "length"], output_names=["scores"], dynamic_shapes=(({0: free, 1: free}, {0: free}),), opset_version=18, verbose=False).model_proto.SerializeToString()
    finally: logging.disable(level)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for lengths, width in (([3], 3), ([0], 1), ([40, 0, 17], 40), ([2, 9] * 30, 12)):
        steps, length = batch(lengths, width, seed=2)
        with torch.no_grad(): expected = scores(steps, length).numpy()
        np.testing.assert_allclose(session.run(None, {"steps": steps.numpy(), "length": length.numpy()})[0], expected, atol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_turning_round_is_what_packing_does(cell):
    torch.manual_seed(0)
    layer = RecurrentLayer(CHANNELS, 5, cell)
    packed = (nn.GRU if cell == "gru" else nn.LSTM)(CHANNELS, 5, batch_first=True, bidirectional=True)
    packed.load_state_dict({**layer.forth.state_dict(), **{f"{name}_reverse": value for name, value in layer.back.state_dict().items()}})
    x, length = torch.randn(5, 9, CHANNELS), torch.tensor([9, 1, 4, 9, 2])
    real = real_steps(x, length).unsqueeze(2)
    x = x.masked_fill(~real, 0)
    expected = pad_packed_sequence(packed(pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False))[0], batch_first=True)[0]
    assert torch.allclose(layer(x, length).masked_fill(~real, 0), expected, atol=1e-6)
    assert torch.equal(turn_round(turn_round(x, length), length), x)
    with pytest.raises(DataError, match="no recurrent cell"): RecurrentLayer(1, 1, "gated")


def test_causal_steps_do_not_know_what_comes():
    network, (steps, length) = make("temporal_convolution"), batch([11] * 3)
    x, real = network.fill(steps, length)
    later = steps.clone()
    later[:, 7:] = 3.0
    y, _ = network.fill(later, length)
    one, other = network.enter(x), network.enter(y)
    for block in network.blocks: one, other = block(one, real), block(other, real)
    assert torch.allclose(one[:, :7], other[:, :7], atol=1e-6) and not torch.allclose(one[:, 7:], other[:, 7:])


def test_attention_can_be_read_and_switched_off():
    network, (steps, length) = make("sequence_transformer", layers=2), batch()
    maps = network.attention_maps(steps, length)
    assert maps.shape == (7, 2, 4, 11, 11)
    for row, own in enumerate(LENGTHS):
        if own: assert torch.allclose(maps[row, :, :, :own, :own].sum(-1), torch.ones(2, 4, own), atol=1e-5) and not maps[row, :, :, :, own:].any()
    off = network(steps, length, attention=False)
    assert torch.isfinite(off).all() and not torch.allclose(off[0], network(steps, length)[0])
    torch.manual_seed(0)
    equal = SequenceTransformer(CHANNELS, 4, [1], width=16, attention=False).eval()
    assert torch.allclose(equal(steps, length), off, atol=1e-6) and torch.allclose(equal.attention_maps(steps, length)[3, 0, 0, 0, :4], torch.full((4,), 0.25))


def test_pairs_and_gathering_at_the_edges():
    for width in (1, 2, 5):
        x, length = torch.randn(3, width, 2), torch.tensor([width, 0, 1])
        pairs, left = take_pairs(x, length)
        assert pairs.shape == (3, -(-width // 2), 2) and left.tolist() == [-(-width // 2), 0, 1] and torch.equal(pairs[2, 0], x[2, 0])
        found = gather_steps(x, real_steps(x, length), length)
        assert torch.allclose(found[0], torch.cat([x[0].mean(0), x[0].amax(0), x[0, -1]]), atol=1e-6) and not found[1].any()
