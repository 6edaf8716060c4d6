"Several tasks through one trunk: surgery against torchjd, missing outcomes, odd inputs, the view's value and twin."
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import CardError, DataError
from dlmine.training.multi_task import Task, TaskBalance, TaskLosses, check_tasks, fit_tasks, pcgrad, upgrad

TASKS = [Task("cancelled", "binary", (0, 1)), Task("delay", "regression"), Task("where", "multiclass", ("a", "b", "c"))]


def table(rows=240, seed=0):
    generator = np.random.default_rng(seed)
    x_num = generator.normal(size=(rows, 3)).astype(np.float32)
    cancelled = (x_num[:, 0] + generator.normal(size=rows) > 1).astype(float)
    delay = np.where(cancelled == 1, np.nan, 20 * x_num[:, 1] + generator.normal(size=rows))
    where = generator.integers(0, 3, rows).astype(float)
    return {"x_num": x_num, "x_cat": np.zeros((rows, 0), np.int64)}, {"cancelled": cancelled, "delay": delay, "where": where}


def trained(**options):
    features, targets = table()
    return fit_tasks(features, targets, *table(120, 1), options.pop("tasks", TASKS), epochs=options.pop("epochs", 2), **options)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_surgery_is_that_of_torchjd(seed, tasks):
    from torchjd import aggregation
    gradients = torch.randn(tasks, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    if tasks == 2:      # with more, PCGrad depends on a drawn order
        torch.testing.assert_close(pcgrad(gradients), aggregation.PCGrad()(gradients), rtol=1e-6, atol=1e-6)
    from torchjd._linalg._dual_cone import QuadprogProjector
    theirs = aggregation.UPGrad(projector=QuadprogProjector(norm_eps=0.0, reg_eps=1e-7))(gradients)
    torch.testing.assert_close(upgrad(gradients), theirs, rtol=1e-6, atol=1e-6)


def test_no_conflict_is_left_behind_by_upgrad():
    gradients = torch.tensor([[1.0, 0.0, 0.2], [-0.9, 0.3, 0.0], [0.1, -0.5, 0.4]])
    assert (gradients @ gradients.sum(0)).min() < 0.2
    assert (gradients @ upgrad(gradients)).min() > -1e-4


def test_a_missing_outcome_teaches_nothing():
    target = np.array([[0, 1.0, 0], [1, np.nan, 2], [0, 3.0, 1]], np.float32)
    losses = TaskLosses(TASKS, target)
    logits = torch.randn(3, 5, requires_grad=True)
    losses.apart(logits, torch.tensor(target))[1].backward()
    assert logits.grad[1].abs().sum() == 0 and logits.grad[0, 1] != 0


@pytest.mark.parametrize("how", [{}, {"balancing": "uncertainty"}, {"balancing": "gradnorm"}, {"surgery": "pcgrad"}, {"surgery": "upgrad"}, {"balancing": "uncertainty", "surgery": "pcgrad"}])
def test_every_way_trains_and_exports(how):
    from dlmine.training.export import measure_parity, to_onnx
    found = trained(**how)
    features, _ = table(50, 2)
    for task in TASKS:
        model = found.models[task.name]
        assert np.isfinite(model.predict(features)).all()
    assert measure_parity(found.models["where"], to_onnx(found.models["where"]), features).passed
    assert found.conflict.matrix.shape == (3, 3) and np.allclose(np.diag(found.conflict.matrix), 1, atol=1e-5)


def test_same_seed_same_weights():
    features, _ = table(50, 2)
    one, other = (trained(seed=3, surgery="pcgrad").models["delay"].predict(features) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_bad_inputs_are_named():
    features, targets = table()
    with pytest.raises(DataError, match="No row has an outcome for the task 'delay'"): check_tasks(TASKS, {**targets, "delay": np.full(240, np.nan)}, 240)
    with pytest.raises(DataError, match="at least two"): check_tasks(TASKS[:1], targets, 240)
    with pytest.raises(DataError, match="no known kind"): Task("late", "ordinal")
    with pytest.raises(DataError, match="no outcomes for the task 'where'"): check_tasks(TASKS, {name: targets[name] for name in ("cancelled", "delay")}, 240)
    with pytest.raises(DataError, match="Did you mean 'gradnorm'"): TaskBalance(balancing="grad_norm")
    with pytest.raises(DataError, match="embed"): trained(architecture="linear")


def test_a_loss_that_is_no_number_stops_with_finite_weights():
    features, targets = table()
    found = fit_tasks(features, {**targets, "delay": targets["delay"] * 1e30}, *table(120, 1), TASKS, epochs=2, learning_rate=1e12)
    assert "not a finite number" in found.reason or np.isfinite(found.models["cancelled"].predict(features)).all()


def test_a_further_target_is_never_a_feature_nor_the_target():
    from dlmine.core.shipped import find_card
    from dlmine.framing.card import load_card
    from dlmine.preparation.loading import load_data
    card = load_card(find_card("usecases/flights_tasks.yml"))
    data = load_data(card, rows=600)
    assert not {"dep_delay", "arr_delay"} & {name for name, _ in data.plan.features}
    for wrong, said in (([{"column": "late", "kind": "classification"}], "target already"), ([{"column": "day", "kind": "regression"}], "cannot also be"), ([{"column": "dep_delay", "kind": "rank"}], "classification, regression")):
        with pytest.raises(CardError, match=said): card.replace(further_targets=wrong)
    with pytest.raises(CardError, match="not in the data"): load_data(card.replace(further_targets=[{"column": "depdelay", "kind": "regression"}]), rows=600)


def test_gain_says_no_difference_where_there_is_none():
    from dlmine.training.task_gain import TaskRows, compare_tasks
    sides = [TaskRows(*table(rows, seed), np.arange(rows) % 20) for rows, seed in ((240, 0), (120, 1), (200, 2))]
    gain = compare_tasks(TASKS, *sides, ways=("equal",), seeds=(0,), epochs=1, resamples=100)
    assert [row["metric"] for row in gain.rows] == ["roc_auc", "r2", "accuracy"]
    assert all(row["lower"] <= row["upper"] for row in gain.rows) and "seeds" in gain.sentence
    assert next(row for row in gain.rows if row["task"] == "where")["verdict"] == "no difference"    # its outcomes are drawn by lot
