"Attention: the deletion test tells a good order from a bad one, for rows, tokens and steps."
import numpy as np
import torch

from dlmine.models.architectures import Scores, build
from dlmine.training.attention import attention_of, delete_parts, deletion_curve, gradients_of, real_parts


def test_parts_of_rows_tokens_and_steps():
    row = {"x_num": torch.zeros(2, 3), "x_cat": torch.ones((2, 1), dtype=torch.int64)}
    assert real_parts(row).shape == (2, 4)
    gone = torch.tensor([[True, False, False, True]] * 2)
    assert delete_parts(row, gone)["x_num"].isnan().tolist() == [[True, False, False]] * 2 and delete_parts(row, gone)["x_cat"].tolist() == [[0], [0]]
    text = {"tokens": torch.tensor([[5, 6, 0], [7, 0, 0]])}
    assert real_parts(text).tolist() == [[True, True, False], [True, False, False]]
    assert delete_parts(text, torch.tensor([[True, False, False]] * 2))["tokens"].tolist() == [[0, 6, 0], [0, 0, 0]]
    series = {"steps": torch.ones(1, 4, 2), "length": torch.tensor([3])}
    assert real_parts(series).tolist() == [[True, True, True, False]]
    assert delete_parts(series, torch.tensor([[False, True, False, False]]))["steps"].isnan().all(dim=2).tolist() == [[False, True, False, False]]


def scores_of(name, kind="binary", **arguments):
    torch.manual_seed(0)
    return Scores(build({"name": name, "arguments": {"outputs": 1, **arguments}}), kind).eval()


def test_weights_and_gradients_of_each_kind_of_network():
    row = {"x_num": torch.randn(4, 3), "x_cat": torch.randint(0, 4, (4, 2))}
    row["x_num"][0, 0] = float("nan")
    text = {"tokens": torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0], [2, 3, 0, 0], [0, 0, 0, 0]])}
    series = {"steps": torch.randn(4, 5, 3), "length": torch.tensor([5, 3, 1, 0])}
    networks = [(scores_of("ft_transformer", numeric=3, cardinalities=[4, 4], width=16), row), (scores_of("text_transformer", vocabulary=50), text), (scores_of("sequence_transformer", channels=3), series)]
    for scores, inputs in networks:
        weights, gradients = attention_of(scores.module, inputs), gradients_of(scores, inputs, torch.ones(4, dtype=torch.int64), steps=4)
        assert weights.shape == gradients.shape == real_parts(inputs).shape
        assert torch.isfinite(weights).all() and torch.isfinite(gradients).all() and (weights >= 0).all()
        falls = deletion_curve(scores, inputs, weights, torch.ones(4, dtype=torch.int64))
        assert falls.shape == (4, 4) and np.isfinite(falls).all()


def test_integrated_gradients_add_up_to_the_answer():
    "Completeness: the parts sum to the difference from the point of comparison."
    scores = scores_of("ft_transformer", numeric=3, cardinalities=[4], width=16)
    inputs = {"x_num": torch.randn(5, 3), "x_cat": torch.randint(0, 4, (5, 1))}
    vectors = scores.module.look_up(*inputs.values())
    with torch.no_grad():
        gap = (scores.module.from_vectors(vectors, *inputs.values()) - scores.module.from_vectors(torch.zeros_like(vectors), *inputs.values()))[:, 0]
    from captum.attr import IntegratedGradients
    whole = IntegratedGradients(lambda v, *rest: scores.module.from_vectors(v, *rest)[:, 0]).attribute(vectors.detach(), additional_forward_args=tuple(inputs.values()), n_steps=200).sum(dim=2)
    found = gradients_of(scores, inputs, torch.ones(5, dtype=torch.int64), steps=200)
    assert torch.allclose(found, whole[:, 1:], atol=1e-5) and torch.allclose(whole.sum(dim=1), gap, atol=0.02)
