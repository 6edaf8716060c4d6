"The advisor: facts whose answer is known, recommendations that quote them, budgets that hold, boards that listen."
import numpy as np
import pytest
from test_trials import FEATURES, TARGET, pretend

from dlmine.core.errors import DataError
from dlmine.measures.intervals import Difference
from dlmine.training.advisor import choose_candidates, recommend
from dlmine.training.data_facts import DataFacts, Fact, autocorrelation, order_gain, say_value
from dlmine.training.sizes import make_candidates, vary_depth
from dlmine.training.trial_board import TrialBoard
from dlmine.training.trials import Candidate, run_trials

NETS = [Candidate(f"net {place}", "any") for place in range(6)]
SKILL = {one.name: place / 2 for place, one in enumerate(NETS)}


def search(**more):
    return run_trials(pretend(SKILL), NETS, FEATURES, TARGET, kind="binary", metric="roc_auc", epochs=9, **more)


def test_a_candidate_that_cannot_be_paid_for_is_stopped_for_its_price():
    board = search(cost=lambda one, epochs: epochs * (20 if one.name == "net 5" else 1))
    dear = next(trial for trial in board.trials if trial.candidate.name == "net 5")
    assert dear.state == "stopped early" and "left of the budget" in dear.reason and board.chosen == "net 4" and board.share <= 0.45


def test_the_watcher_hears_and_stops():
    heard = []

    def watch(trials, progress):
        heard.append(progress)
        return sum(len(trial.rungs) for trial in trials) == 3
    board = search(watch=watch)
    assert board.cost == 3 and heard[-1]["done"] and heard[0]["metric"] == "roc_auc"
    assert sum(trial.reason == "A person stopped the trials." for trial in board.trials) == 3


def test_a_board_follows_and_refuses():
    board = TrialBoard("Nets")
    found = search(watch=board)
    assert board.value["state"] == "done" and board.value["chosen"] == found.chosen and "not among the best" in board.twin() and len(board.twin()) < 100_000
    board.step(1)
    assert board.value["selected"] == "net 0"
    with pytest.raises(DataError, match="not on the board"):
        board.value = {"selected": "net 9"}


def test_the_recommendation_is_the_rival_unless_the_network_leads():
    from dataclasses import replace
    rival = pretend({"rival": 1.0})(Candidate("rival", "any"), 9)
    board = search(rivals={"boosting": rival})
    assert recommend(board, 0.01) == board.chosen == "net 5"
    unsure = replace(board, against=replace(board.against, verdict="no difference"), rivals={"boosting": board.best.value - 0.005})
    assert isinstance(board.against, Difference) and recommend(unsure, 0.01) == "boosting" and recommend(unsure, 0.001) == "net 5"


def test_memory_and_order_are_measured():
    draw = np.random.default_rng(1)
    noise, full = draw.normal(size=(300, 30, 2)).astype(np.float32), np.full(300, 30)
    assert abs(autocorrelation(noise, full)[0]) < 0.05 < 0.8 < autocorrelation(noise.cumsum(1), full)[0]
    gaps = noise.copy()
    gaps[draw.random(gaps.shape) < 0.3] = np.nan
    assert abs(autocorrelation(gaps, full)[0]) < 0.1 and np.isnan(autocorrelation(np.full((3, 5, 1), np.nan), np.array([0, 0, 0]))).all()
    rises = draw.integers(0, 2, 300)
    side = {"steps": noise + np.linspace(-1, 1, 30)[None, :, None].astype(np.float32) * (2 * rises[:, None, None] - 1), "length": full}
    part = lambda rows: {name: values[rows] for name, values in side.items()}
    assert order_gain(part(slice(0, 150)), rises[:150], part(slice(150, 300)), rises[150:], "binary") > 0.2


def test_packaged_weights_keep_their_size_and_depth_is_varied():
    assert [one.name for one in make_candidates(("text_encoder",), 1000, {"weights": "own"})] == ["text_encoder"]
    assert [one.arguments for one in vary_depth("embedding_mlp", 50_000, {})] == [{"layers": [200]}, {"layers": [200, 100, 100]}] and vary_depth("image_encoder", 100, {}) == []


def test_a_name_that_stands_for_nothing_is_refused():
    facts = DataFacts("tabular", (Fact("rows", "rows", 100),))
    with pytest.raises(DataError, match="no candidate"):
        choose_candidates(["embeding_mlp"], NETS, facts)
    assert choose_candidates(["net 1"], NETS, facts) == [NETS[1]] and say_value(0.00004) == "0.000"
