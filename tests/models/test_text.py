"Networks for texts: the same numbers as transformers', padding that changes nothing, weights that do not fit, graphs of any length."
import numpy as np
import pytest
import torch
from dlmine.core.errors import DataError
from dlmine.models.architectures import build, describe, pack_weights, restore
from dlmine.models.encoder import Bert, TextEncoder, length_batches, load_bert, read_sizes, row_keys
from dlmine.models.text_transformer import TextTransformer
from dlmine.preparation.packaged_weights import find_weights
from tiny_bert import write_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_weights(tmp_path_factory.mktemp("weights") / "tiny"))


def tiny(folder, mode="frozen", **wishes):
    torch.manual_seed(0)
    net = TextEncoder(3, mode, folder, **TextEncoder.defaults(100, weights=folder), **wishes)
    net.pretrained()
    return net


def ragged(rows=7, steps=20, seed=0, vocabulary=90):
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, vocabulary, (rows, steps))
    for row in range(rows): tokens[row, generator.integers(1, steps + 1):] = 0
    return torch.from_numpy(tokens)


def test_the_encoder_computes_what_transformers_computes():
    from transformers import BertModel
    folder = find_weights().folder
    theirs, ours = BertModel.from_pretrained(str(folder), local_files_only=True, add_pooling_layer=False).eval(), load_bert(Bert(**read_sizes(find_weights().config))).eval()
    tokens = ragged(5, 40, vocabulary=30_000)
    real = tokens != 0
    with torch.no_grad(): expected, found = theirs(input_ids=tokens, attention_mask=real.long()).last_hidden_state, ours(tokens)
    assert (expected - found)[real].abs().max() < 1e-5


@pytest.mark.parametrize("attention", [True, False])
def test_padding_and_company_change_nothing_from_scratch(attention):
    torch.manual_seed(0)
    net, tokens = TextTransformer(3, 90, 32, layers=2, attention=attention).eval(), ragged()
    wider = torch.cat([tokens, torch.zeros(7, 9, dtype=torch.int64)], 1)
    torch.testing.assert_close(net(wider), net(tokens), atol=1e-6, rtol=0)
    for row in range(7):
        length = int((tokens[row] != 0).sum())
        torch.testing.assert_close(net(tokens[row:row + 1, :length]), net(tokens)[row:row + 1], atol=1e-6, rtol=0)
    assert ("match" in str(list(net.state_dict()))) == attention
    maps = net.attention_maps(tokens)
    torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:-1]))
    assert maps[tokens[:, None, None, None, :].expand(*maps.shape) == 0].max() == 0


def test_order_matters_with_attention_and_places():
    torch.manual_seed(0)
    net = TextTransformer(2, 50).eval()
    assert (net(torch.tensor([[3, 4, 5, 6]])) - net(torch.tensor([[6, 5, 4, 3]]))).abs().max() > 1e-4


@pytest.mark.parametrize("make", [lambda folder: TextTransformer(3, 90).eval(), lambda folder: tiny(folder).eval(), lambda folder: tiny(folder, "fine_tuned").eval()])
def test_nothing_but_padding_strange_tokens_and_too_long_texts_get_an_answer(make, folder):
    net = make(folder)
    with torch.no_grad():
        for tokens in (torch.zeros(3, 4, dtype=torch.int64), torch.full((2, 3), 10**6), torch.ones(1, 600, dtype=torch.int64), torch.zeros(0, 5, dtype=torch.int64)):
            found = net(tokens)
            assert found.shape == (len(tokens), 3) and torch.isfinite(found).all()


def test_batches_of_similar_length_hold_every_row_once():
    tokens = ragged(50, 30)
    seen = []
    for rows, part in length_batches(tokens, 64):
        assert part.numel() <= max(64, part.shape[1])
        torch.testing.assert_close(tokens[rows, :part.shape[1]], part)
        assert not tokens[rows, part.shape[1]:].any()
        seen += rows.tolist()
    assert sorted(seen) == list(range(50))
    assert row_keys(tokens.numpy()) == row_keys(np.pad(tokens.numpy(), ((0, 0), (0, 3))))


def test_a_frozen_encoder_trains_its_head_only_and_remembers(folder):
    net, tokens = tiny(folder), ragged()
    before = net.encoder.state_dict()["encoder.layer.1.output.dense.weight"].clone()
    vectors, = net.precompute(tokens)
    torch.testing.assert_close(net.eval().resume(vectors), net(tokens), atol=0.05, rtol=0.05)     # bfloat16 where the hardware has it
    torch.testing.assert_close(net.encode_once(tokens, half=False)[0], net.encode(tokens), atol=1e-5, rtol=0)
    assert len(net.memory) == len({key for key in row_keys(tokens.numpy())})
    net.encoder.forward = None                                                                       # must not be asked again
    net(tokens.flip(0))
    del net.encoder.forward
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1)
    net.train().resume(vectors).sum().backward()
    optimiser.step()
    torch.testing.assert_close(net.encoder.state_dict()["encoder.layer.1.output.dense.weight"], before, atol=0, rtol=0)
    assert not net.encoder.training and net.head.training


@pytest.mark.parametrize("layers, moved", [(1, {"encoder.layer.1"}), (0, {"embeddings.", "encoder.layer.0", "encoder.layer.1"})])
def test_fine_tuning_moves_the_layers_that_it_may(folder, layers, moved):
    net = tiny(folder, "fine_tuned", trained_layers=layers)
    net.train()(ragged()).sum().backward()
    with_gradient = {name for name, weight in net.encoder.named_parameters() if weight.grad is not None}
    assert {next(part for part in ("embeddings.", "encoder.layer.0", "encoder.layer.1") if name.startswith(part)) for name in with_gradient} == moved
    assert not hasattr(net, "precompute")


def test_scratch_does_not_load_and_own_tokenizers_have_no_pretrained_encoder(folder, tmp_path):
    torch.manual_seed(0)
    arguments = TextEncoder.defaults(100, weights=folder)
    net = TextEncoder(3, "scratch", str(tmp_path / "nowhere"), **arguments)
    before = pack_weights(net)
    net.pretrained()
    assert pack_weights(net) == before
    assert TextEncoder.defaults(100, weights="own")["mode"] == "scratch"


def test_weights_that_do_not_fit_are_named(tmp_path):
    folder = str(write_weights(tmp_path / "wide", intermediate_size=96))      # the file says 64
    with pytest.raises(DataError, match=r"encoder.layer.0.intermediate.dense.weight has the shape \(64, 32\) in the file, and the network expects \(96, 32\)"):
        tiny(folder)
    with pytest.raises(DataError, match="embeddings.LayerNorm.bias is missing"):
        tiny(str(write_weights(tmp_path / "less", drop="embeddings.LayerNorm.bias")))
    for change, said in (({"model_type": "roberta"}, "model_type: 'roberta'"), ({"position_embedding_type": "relative_key"}, "relative_key"), ({"hidden_size": None}, "no number for hidden_size")):
        with pytest.raises(DataError, match=said):
            tiny(str(write_weights(tmp_path / "other", **change)))


def test_a_release_needs_no_weights_folder_and_the_graph_takes_any_length(tmp_path):
    import onnxruntime
    from dlmine.training.export import silent
    folder = write_weights(tmp_path / "gone")
    net = tiny(str(folder)).eval()
    architecture = describe("dlmine.models.encoder:TextEncoder", dict(outputs=3, weights=str(folder), **TextEncoder.defaults(100, weights=str(folder))), "multiclass")
    for file in folder.iterdir(): file.unlink()
    again = restore(architecture, pack_weights(net))
    tokens = ragged()
    with torch.no_grad(): torch.testing.assert_close(again(tokens), torch.softmax(net(tokens), 1), atol=1e-6, rtol=0)
    net(tokens)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with silent(), torch.no_grad():
        program = torch.onnx.export(again, (tokens[:3],), dynamo=True, input_names=["tokens"], output_names=["scores"], dynamic_shapes=((free,),), opset_version=18, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for part in (tokens, tokens[:1, :2], torch.zeros(2, 5, dtype=torch.int64), ragged(4, 39)):
        assert np.abs(session.run(None, {"tokens": part.numpy()})[0] - again(part).detach().numpy()).max() < 1e-4


def test_wrong_arguments():
    with pytest.raises(DataError, match="mode is frozen, fine_tuned or scratch, not 'warm'"): TextEncoder(2, "warm")
    with pytest.raises(DataError, match="trained_layers is 7"): TextEncoder(2, "fine_tuned", trained_layers=7)
    with pytest.raises(DataError, match="cannot be divided among 5 heads"): TextTransformer(2, 10, width=12, heads=5)
    assert build(describe("text_transformer", dict(outputs=2, vocabulary=10), "binary"))(torch.ones(1, 2, dtype=torch.int64)).shape == (1, 2)
