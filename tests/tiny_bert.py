"A folder of weights as the hub lays them out, small enough for a test."
import json

import torch
from dlmine.models.encoder import Bert
from dlmine.preparation.text_pipeline import train_tokenizer
from safetensors.torch import save_file

TEXTS = ["the bank raised its rates", "the striker scored a late goal", "rates fall as the bank waits", "a goal decided the late match"] * 8


def write_weights(folder, width=32, layers=2, drop=None, **changes):
    "config.json, tokenizer.json and model.safetensors; the folder."
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(train_tokenizer(TEXTS, 120))
    size = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    config = dict(model_type="bert", hidden_act="gelu", vocab_size=size, hidden_size=width, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=64, max_position_embeddings=40) | changes
    (folder / "config.json").write_text(json.dumps(config))
    bert = Bert(size, width, layers, 4, 64, 40)
    tensors = {f"bert.{name}": value * (1 if "LayerNorm" in name else 6) for name, value in bert.state_dict().items() if name != drop}
    save_file({**tensors, "bert.embeddings.position_ids": torch.arange(40)[None], "bert.pooler.dense.weight": torch.zeros(width, width)}, folder / "model.safetensors")
    return folder
