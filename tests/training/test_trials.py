"Trials: who goes on, what it costs, what is told of failures."
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.training.trained import Trained
from dlmine.training.sizes import find_knee, make_candidates, scale_sizes
from dlmine.training.trials import Candidate, cost_share, plan_rungs, run_trials

TARGET = np.random.default_rng(0).integers(0, 2, 400)
FEATURES = {"x_num": np.zeros((400, 1), np.float32)}


def pretend(skill):
    "A trainer whose candidates have a known skill: scores that lean to the outcome, with noise that shrinks with the epochs."
    def fit(candidate, epochs):
        strength = skill[candidate.name]
        if strength is None:
            raise RuntimeError("out of memory")
        noise = np.random.default_rng(len(candidate.name)).normal(size=400) / np.sqrt(epochs)
        scores = 1 / (1 + np.exp(-(strength * (TARGET - 0.5) + noise)))
        return Trained("net", "binary", (0, 1), lambda features: scores, ({"epoch": 1, "train_loss": 0.5, "valid_loss": 0.6},), "", 0.0, 0.0, 400, 1, {})
    return fit


@given(st.integers(3, 60), st.integers(9, 200))
def test_rungs_cost_less_than_half(candidates, epochs):
    plan = plan_rungs(candidates, epochs)
    assert plan[0][0] == candidates and plan[-1][1] == epochs
    assert all(one[0] > other[0] for one, other in zip(plan, plan[1:])) and cost_share(candidates, epochs) <= 0.45


def test_the_best_of_nine_is_found_and_the_others_stopped():
    skill = {f"net {place}": place / 4 for place in range(9)}
    board = run_trials(pretend(skill), [Candidate(name, "any") for name in skill], FEATURES, TARGET, kind="binary", metric="roc_auc", epochs=9)
    assert board.chosen == "net 8" and sum(trial.state == "stopped early" for trial in board.trials) == 7
    assert board.cost == 9 * 1 + 3 * 3 + 9 + 9 and board.share == pytest.approx(4 / 9)   # what was left of the budget finished one more
    assert "stopped early" in board.sentence and board.trials[0].candidate.name == "net 8"


def test_what_is_left_of_the_budget_finishes_the_cheap():
    "Late, but the best in the end, and nearly free: it is found though it came last in the first rung."
    def late(candidate, epochs):
        skill = {"late": 0.1 if epochs < 9 else 9.0}.get(candidate.name, 1.0 + len(candidate.name) / 50)
        return pretend({candidate.name: skill})(candidate, epochs)
    nets = [Candidate(name, "any") for name in ("dear", "dearer", "late", "dearest of all")]
    board = run_trials(late, nets, FEATURES, TARGET, kind="binary", metric="roc_auc", epochs=9, cost=lambda one, epochs: epochs * (0.05 if one.name == "late" else 3))
    assert board.chosen == "late" and board.share <= 0.45
    finished = next(trial for trial in board.trials if trial.candidate.name == "late")
    assert [rung["epochs"] for rung in finished.rungs] == [1, 9] and any(trial.state == "stopped early" for trial in board.trials)


def test_what_is_computed_once_is_paid_once():
    def price(one, epochs): return 5 + epochs
    price.again = lambda one, epochs: epochs
    board = run_trials(pretend({f"net {place}": place / 4 for place in range(3)}), [Candidate(f"net {place}", "any") for place in range(3)], FEATURES, TARGET, kind="binary", metric="roc_auc", epochs=9, limit=0.9, cost=price)
    assert board.everything == 3 * 14 and board.paid == 3 * 5 + sum(rung["epochs"] for trial in board.trials for rung in trial.rungs) <= 0.9 * board.everything


def test_a_loss_is_better_when_it_is_lower():
    board = run_trials(pretend({"weak": 0.2, "strong": 2.0, "middling": 1.0}), [Candidate(name, "any") for name in ("weak", "strong", "middling")], FEATURES, TARGET, kind="binary", epochs=9)
    assert board.metric == "log_loss" and board.chosen == "strong"


def test_a_rival_is_compared_on_the_same_rows():
    rival = pretend({"rival": 3.0})(Candidate("rival", "any"), 100)
    board = run_trials(pretend({"net": 0.5}), [Candidate("net", "any")], FEATURES, TARGET, kind="binary", metric="roc_auc", epochs=9, rivals={"rival": rival})
    assert board.against.verdict == "first better" and "Traditional suffices" in board.sentence


def test_failures_are_told_and_passed_over():
    board = run_trials(pretend({"bad": None, "good": 1.0}), [Candidate("bad", "any"), Candidate("good", "any")], FEATURES, TARGET, kind="binary", epochs=9)
    assert board.chosen == "good" and board.trials[-1].state == "failed" and "out of memory" in board.trials[-1].reason
    with pytest.raises(DataError, match="out of memory"):
        run_trials(pretend({"bad": None}), [Candidate("bad", "any")], FEATURES, TARGET, kind="binary", epochs=9)


def test_the_knee_is_the_smallest_that_is_not_worse():
    skill = {"a": 2.0, "b": 2.0, "c": 0.1}
    board = run_trials(pretend(skill), [Candidate(name, "any") for name in skill], FEATURES, TARGET, kind="binary", metric="roc_auc", epochs=9, reduction=0)
    assert {trial.state for trial in board.trials} == {"chosen", "finished"} and board.share == 1
    assert find_knee(board, TARGET)[0] in ("a", "b")


def test_sizes_are_scaled_and_named():
    assert scale_sizes({"layers": [200, 100], "widest": 16, "dropout": 0.3}, 0.5) == {"layers": [100, 48], "widest": 8}
    names = [one.name for one in make_candidates(("embedding_mlp", "ft_transformer"), 10_000, {})]
    assert names[0] == "embedding_mlp" and "ft_transformer × 2" in names and len(set(names)) == len(names) == 6
