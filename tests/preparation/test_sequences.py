"Sequences: padding never changes an output of torch's own layers, buckets lose nothing, ragged containers come back as they went in"
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from dlmine.core.datasets import load_dataset
from dlmine.core.errors import DataError
from dlmine.preparation.bucketing import bucket_batches, count_padding, cut_batches, padding_of_table, padding_report
from dlmine.preparation.masking import check_padding, pool_steps, run_convolution, run_recurrent, run_transformer
from dlmine.preparation.padding import Batch, convolution_lengths, pad
from dlmine.preparation.sequences import Vocabulary, fill_missing, fit_vocabulary, from_column, from_lists, from_table, truncate, words_of

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:enable_nested_tensor is True")
ragged = st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any)
few = settings(max_examples=25, deadline=None)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch_of(lengths, channels, seed, side="right"):
    generator = np.random.default_rng(seed)
    return pad(from_lists([generator.normal(size=(length, channels)) for length in lengths]), side=side)


# --- padding never changes an output

@few
@given(ragged, st.sampled_from([nn.GRU, nn.LSTM, nn.RNN]), st.booleans(), st.integers(1, 2), st.sampled_from(["right", "left"]), st.integers(0, 10**6))
def test_recurrent_layers(lengths, kind, both, layers, side, seed):
    torch.manual_seed(seed)
    module = kind(3, 5, num_layers=layers, bidirectional=both, batch_first=True)
    batch = batch_of(lengths, 3, seed, side)
    for model in (lambda b: run_recurrent(module, b)[0], lambda b: run_recurrent(module, b)[1]):
        proof = check_padding(model, batch, seed=seed)
        assert proof.passed, proof.sentence


@few
@given(ragged, st.booleans(), st.booleans(), st.integers(1, 2), st.sampled_from(["relu", "gelu"]), st.integers(0, 10**6))
def test_transformers(lengths, causal, first, layers, activation, seed):
    torch.manual_seed(seed)
    module = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=first, activation=activation), layers, enable_nested_tensor=not first).eval()
    places = nn.Embedding(64, 8)
    proof = check_padding(lambda b: run_transformer(module, replace(b, x=b.x + places(b.positions)), causal=causal), batch_of(lengths, 8, seed), seed=seed)
    assert proof.passed, proof.sentence


@few
@given(ragged, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.sampled_from([nn.MaxPool1d(2), nn.AvgPool1d(3, 2, 1), nn.MaxPool1d(3, 1, 1), nn.Identity()]), st.integers(0, 10**6))
def test_convolutions(lengths, kernel, stride, padding, dilation, pooling, seed):
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv1d(3, 4, kernel, stride, padding, dilation), nn.GELU(), pooling, nn.Conv1d(4, 2, 3, padding="same"), nn.BatchNorm1d(2).eval())
    for model in (lambda b: run_convolution(layers, b), lambda b: pool_steps(run_convolution(layers, b), "max"), lambda b: pool_steps(run_convolution(layers, b))):
        proof = check_padding(model, batch_of(lengths, 3, seed), seed=seed)
        assert proof.passed, proof.sentence


@few
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_masked_convolution_is_torch_on_the_sequence_alone(steps, kernel, stride, padding, dilation):
    layer = nn.Conv1d(2, 3, kernel, stride, padding, dilation)
    assume(dilation * (kernel - 1) + 1 <= steps + 2 * padding)
    batch = batch_of([steps, 40], 2, 0)
    alone = layer(batch.x[:1, :steps].transpose(1, 2)).transpose(1, 2)
    found = run_convolution([layer], batch)
    assert int(convolution_lengths(torch.tensor([steps]), kernel, stride, padding, dilation)) == alone.shape[1] == int(found.lengths[0])
    assert torch.allclose(found.x[0, :alone.shape[1]], alone[0], atol=1e-6) and not found.x[0, alone.shape[1]:].any()


@few
@given(ragged, st.sampled_from(["mean", "max", "last", "first"]), st.integers(0, 10**6))
def test_pooling_is_numpy_on_the_sequence_alone(lengths, how, seed):
    generator = np.random.default_rng(seed)
    arrays = [generator.normal(size=(length, 2)).astype(np.float32) for length in lengths]
    for side in ("right", "left"):
        found = pool_steps(pad(from_lists(arrays), side=side, fill=99), how).numpy()
        for row, array in zip(found, arrays):
            expected = np.zeros(2) if not len(array) else {"mean": array.mean(0), "max": array.max(0), "last": array[-1], "first": array[0]}[how]
            assert np.allclose(row, expected, atol=1e-6)


def test_one_sequence_at_double_precision_agrees_to_twelve_digits():
    module = nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True).double()
    batch = batch_of([7, 2, 0, 11], 3, 0)
    proof = check_padding(lambda b: run_recurrent(module, b)[0], replace(batch, x=batch.x.double()), tolerance=1e-12)
    assert proof.passed, proof.sentence


def test_training_goes_the_same_way_in_any_company():
    "The gradient of the weights does not depend on the width of the batch or on what stands in the filling"
    module = nn.GRU(3, 4, batch_first=True).double()
    batch = batch_of([9, 1, 4], 3, 1)
    batch = replace(batch, x=batch.x.double())
    wide = replace(batch, x=torch.cat([batch.x, torch.full((3, 6, 3), 1e6, dtype=torch.float64)], 1))
    gradients = []
    for each in (batch, wide):
        module.zero_grad()
        run_recurrent(module, each)[1].pow(2).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in module.parameters()]))
    assert torch.allclose(*gradients, atol=1e-12, rtol=0)


# --- the proof catches what leaks

def test_the_proof_catches_each_way_to_leak():
    torch.manual_seed(0)
    module, batch = nn.GRU(3, 4, batch_first=True), batch_of([5, 1, 9, 3], 3, 0)
    def failing(model, **more): return [trial.name for trial in check_padding(model, batch, sides=("right",), **more).trials if not trial.passed]
    assert "right: 7 steps wider" in failing(lambda b: module(b.x)[0][:, -1])
    assert "right: in the batch" in failing(lambda b: b.zeroed().mean(1))
    assert failing(lambda b: b.x.sum(1)) == ["right: other filling", "right: gradient of the filling"]
    assert "right: other company" in failing(lambda b: b.zeroed().sum(1) - b.zeroed().sum(1).mean(0))
    assert failing(lambda b: pool_steps(b) + 0 * b.x.sum(1)) == []       # touches the filling without being changed by it
    assert "right: other filling" in failing(lambda b: pool_steps(b) / (b.x.abs().max() > 500).logical_not())   # an infinity
    last = lambda b: b.x[:, -1]     # right on the left side, wrong on the right side
    assert check_padding(last, batch, sides=("left",)).passed and not check_padding(last, batch).passed


def test_nan_and_wrong_shapes_fail_and_a_module_comes_back_in_training_mode():
    batch = batch_of([3, 1], 2, 0)
    assert not check_padding(lambda b: b.zeroed().sum(1) * float("nan") if b.x.shape[1] > 3 else b.zeroed().sum(1), batch).passed
    assert not check_padding(lambda b: b.zeroed().reshape(len(b.x), -1), batch).passed
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(.5)
        def forward(self, b): return self.drop(pool_steps(b))
    net = Net().train()
    assert check_padding(net, batch).passed and net.training
    with pytest.raises(DataError, match="another answer"): check_padding(lambda b: torch.rand(2, 2), batch)


def test_refused_layers():
    batch = batch_of([3, 1], 2, 0)
    for layer in (nn.InstanceNorm1d(2), nn.AdaptiveAvgPool1d(1), nn.MaxPool1d(2, ceil_mode=True), nn.AvgPool1d(3, padding=1, count_include_pad=False), nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular")):
        with pytest.raises(DataError): run_convolution([layer], batch)
    with pytest.raises(DataError, match="batch_first"): run_recurrent(nn.GRU(2, 2), batch)


# --- batches

@few
@given(ragged, st.sampled_from(["right", "left"]), st.integers(1, 5))
def test_every_step_stands_where_the_mask_says(lengths, side, multiple):
    sequences = from_lists([np.arange(length) + 100 * place + 1 for place, length in enumerate(lengths)])
    batch = pad(sequences, side=side, multiple=multiple, fill=-7)
    assert batch.x.shape[1] % multiple == 0 and batch.mask.sum(1).tolist() == list(lengths)
    for row, mask, places, length, start in zip(batch.x, batch.mask, batch.positions, lengths, range(len(lengths))):
        assert row[mask].tolist() == [100 * start + 1 + step for step in range(length)] and (row[~mask] == -7).all()
        assert places[mask].tolist() == list(range(length))
    other = batch.on_side("left" if side == "right" else "right")
    assert torch.equal(other.on_side(side).zeroed(), batch.zeroed()) and torch.equal(other.x[other.mask], batch.x[batch.mask])


@few
@given(st.lists(st.integers(0, 500), min_size=1, max_size=300), st.integers(1, 40), st.integers(0, 99), st.integers(1, 6))
def test_buckets_hold_every_sequence_once_and_depend_on_seed_and_epoch_alone(lengths, size, seed, mix):
    lengths = np.array(lengths)
    batches = bucket_batches(lengths, size, seed=seed, batches_in_bucket=mix)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert sorted(map(len, batches))[1:] == [size] * (len(batches) - 1) and max(map(len, batches)) <= size
    assert [b.tolist() for b in batches] == [b.tolist() for b in bucket_batches(lengths, size, seed=seed, batches_in_bucket=mix)]
    limited = bucket_batches(lengths, size, seed=seed, batches_in_bucket=mix, most_steps=1500)
    assert sorted(np.concatenate(limited).tolist()) == list(range(len(lengths))) and all(lengths[b].max() * len(b) <= 1500 and len(b) <= size for b in limited)


def test_epochs_differ_and_neighbours_change():
    lengths = np.random.default_rng(0).integers(5, 50, 400)
    one, other = (bucket_batches(lengths, 8, epoch=epoch) for epoch in (0, 1))
    pairs = [{frozenset((a, b)) for batch in found for a in batch.tolist() for b in batch.tolist() if a < b} for found in (one, other)]
    assert len(pairs[0] & pairs[1]) < 0.4 * len(pairs[0])
    order = [lengths[batch].mean() for batch in one]
    assert abs(np.corrcoef(np.arange(len(order)), order)[0, 1]) < 0.4     # batches do not go from short to long


@pytest.mark.parametrize("size", [16, 32, 64])
def test_buckets_save_forty_percent_on_vowels_and_news(size):
    vowels = from_table(load_dataset("japanese_vowels"), "series", "step", ["channel_1"])
    news = np.array([len(words_of(text)) for text in load_dataset("bbc")["text"].to_pylist()])
    assert len(vowels) == 640 and len(news) == 2127
    for lengths in (vowels.lengths, news): assert padding_report(lengths, size, epochs=3).saved >= 0.4


def test_padding_is_counted_as_torch_pads():
    lengths = np.random.default_rng(1).integers(0, 30, 50)
    batches = cut_batches(np.arange(50), lengths, 8)
    drawn = sum(len(b) * max(1, lengths[b].max()) - lengths[b].sum() for b in batches)
    assert count_padding(lengths, batches) == drawn
    assert padding_report(np.full(10, 7), 4).saved == 1.0 and padding_report(np.full(10, 7), 4).figures["padding_share_random"] == 0


# --- sequences

@few
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-50, 50)), unique=True, min_size=1, max_size=60), st.integers(0, 99))
def test_long_table_in_any_order(rows, seed):
    rows = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    table = pa.table({"id": [f"s{one}" for one, _ in rows], "t": [t for _, t in rows], "v": [float(1000 * one + t) for one, t in rows]})
    sequences = from_table(table, "id", "t", ["v"])
    assert sequences.keys.tolist() == sorted({f"s{one}" for one, _ in rows})
    for key, values in zip(sequences.keys, sequences): assert values[:, 0].tolist() == sorted(1000. * one + t for one, t in rows if f"s{one}" == key)


@few
@given(st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)), max_size=5)), min_size=1, max_size=8), st.integers(0, 3))
def test_ragged_columns_of_arrow(lists, skip):
    expected = lists[skip:]
    assume(any(expected))
    column = pa.array(lists, pa.list_(pa.float32())).slice(skip)
    sequences = from_column(pa.chunked_array([column.slice(0, 1), column.slice(1)]))
    assert [[None if np.isnan(v) else float(v) for v in one] for one in sequences] == [[] if one is None else one for one in expected]


def test_missing_values_are_filled_from_their_own_past_only():
    nan = np.nan
    sequences = from_lists([np.array([[1, nan], [nan, 2]]), np.array([[nan, np.inf], [3, nan], [nan, nan]])])
    filled = fill_missing(sequences, start=np.array([10., 20.]))
    assert filled.values[:, :2].tolist() == [[1, 20], [1, 2], [10, 20], [3, 20], [3, 20]]
    assert filled.values[:, 2:].tolist() == [[0, 1], [1, 0], [1, 1], [0, 1], [1, 1]]
    earlier = fill_missing(from_lists([np.array([[1, nan], [nan, nan]]), np.array([[nan, 5.]])]), 0)
    assert earlier.values[0].tolist() == [1, 0, 0, 1]       # what comes later changes nothing before


def test_million_steps_are_cut_with_a_word_or_refused():
    sequences = from_lists([np.arange(10**6), np.arange(3), []])
    for keep, first in (("last", 10**6 - 512), ("first", 0)):
        cut = truncate(sequences, 512, keep)
        assert cut.lengths.tolist() == [512, 3, 0] and cut[0][0] == first and "1 of 3 sequences" in cut.notes[0]
    assert truncate(cut, 512) is cut
    with pytest.raises(DataError, match="sequence 0 has 1,000,000 steps"): pad(from_lists([np.arange(10**6)] + [np.arange(3)] * 200))
    with pytest.raises(DataError, match="more than the 1,000"): bucket_batches(sequences.lengths, 2, most_steps=1000)


def test_words_and_codes():
    vocabulary = fit_vocabulary(["b a a", "c c a it's", None], limit=2, minimum=1)
    assert vocabulary.words == ("a", "c") and [list(one) for one in vocabulary.encode(["A c, z", "", None, "a"])] == [[2, 3, 1], [], [], [2]]
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary and words_of("It's 5 o’clock!") == ["it's", "5", "o’clock"]
    with pytest.raises(DataError, match="empty"): vocabulary.encode([None, ""])


def test_batches_of_empty_sequences_have_a_shape_and_zero_answers():
    batch = pad(from_lists([[[1., 2.]], np.zeros((0, 2)), np.zeros((0, 2))]), [1, 2])
    assert batch.x.shape == (2, 1, 2) and batch.empty == 2 and isinstance(batch, Batch)
    assert not run_recurrent(nn.GRU(2, 3, batch_first=True), batch)[1].any() and not run_transformer(nn.TransformerEncoder(nn.TransformerEncoderLayer(2, 1, 4, batch_first=True), 1).eval(), batch).x.any()
    assert run_convolution([nn.Conv1d(2, 3, 5)], batch).lengths.tolist() == [0, 0] and not pool_steps(batch, "max").any()


def test_sequences_of_a_table_are_found_or_none():
    from dlmine.framing.card import parse_card
    from dlmine.framing.split import split_rows
    from dlmine.preparation.columns import plan_features
    for location, target, entity, names in (("bbc", "topic", None, ["text"]), ("movielens", "rating", "user", ["the rows of each user"]), ("adult", "income", None, [])):
        card = parse_card(f"name: n\nsources: [{{location: {location}}}]\ntarget: {target}\ntask: classification\nsplit: {{kind: random}}")
        table = load_dataset(location, rows=20_000)
        reports = padding_of_table(table, plan_features(table, card, split_rows(table, card, None)[0]), entity)
        assert [report.name for report in reports] == names and all(report.saved > 0.4 for report in reports)
        for report in reports: assert report.evidence().figures["saved"] == report.saved and "save" in report.sentence
