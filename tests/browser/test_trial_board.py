"The trial board in JupyterLab: it moves while a cell runs, a candidate is looked at by keyboard, the button ends the search."
import pytest
from driving import ask, press, scroll_to, wait_for_answer, wait_for_text

pytestmark = pytest.mark.browser
SETUP = """
import time
import numpy as np
from dlmine.training.trained import Trained
from dlmine.training.trials import Candidate, run_trials
from dlmine.training.trial_board import TrialBoard
target = np.random.default_rng(0).integers(0, 2, 200)
pause = 0.02
def fit(candidate, epochs):
    time.sleep(pause * epochs)
    noise = np.random.default_rng(len(candidate.name)).normal(size=200)
    scores = 1 / (1 + np.exp(-(candidate.arguments['skill'] * (target - 0.5) + noise)))
    return Trained("net", "binary", (0, 1), lambda features: scores, ({"epoch": 1, "train_loss": 0.5, "valid_loss": 0.6},), "", 0.0, 0.0, 200, 1, {})
candidates = [Candidate(f"net {place}", "any", {"skill": place / 2}, why=f"Reason {place}.") for place in range(6)]
def search(): return run_trials(fit, candidates, {"x_num": np.zeros((200, 1), np.float32)}, target, kind="binary", metric="roc_auc", epochs=9, watch=board)
board = TrialBoard("Six networks")
"""


def test_the_board_fills_and_a_candidate_is_looked_at(notebook):
    page = notebook([SETUP, "board", "found = search()"])
    scroll_to(page, "board")
    wait_for_text(page, ".dlmine-trials-status", "net 5 is taken")
    text = wait_for_text(page, ".dlmine-trials-board", "★ taken")
    assert "not among the best 2 of 6" in text and "39%" in page.locator(".dlmine-trials-status").first.inner_text()
    assert page.locator("button.dlmine-trials-stop").first.is_disabled()
    page.locator(".dlmine-trials-look select").focus()
    page.keyboard.press("Home")
    assert wait_for_answer(page, "print(board.value['selected'])", "net 0") == "net 0"
    press(page, "button.dlmine-trials-after")
    assert wait_for_answer(page, "print(board.value['selected'])", "net 1") == "net 1"
    assert "Reason 1." in wait_for_text(page, ".dlmine-trials-detail", "Reason 1")
    ask(page, "board.value = {'selected': 'net 5'}")   # from the kernel to the page
    assert "Reason 5." in wait_for_text(page, ".dlmine-trials-detail", "Reason 5")


def test_the_button_ends_a_search_that_runs(notebook):
    page = notebook([SETUP, "board", "pass"])
    scroll_to(page, "board")
    page.evaluate("""() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code: 'pause = 0.8; found = search()', store_history: false}) }""")
    wait_for_text(page, ".dlmine-trials-status", "training net 1")   # the first rung is under way
    press(page, "button.dlmine-trials-stop")
    wait_for_text(page, ".dlmine-trials-board", "A person stopped the trials")
    state, spent = wait_for_answer(page, "print(board.value['state'], found.cost)", "^done").split()
    assert state == "done" and 1 <= int(spent) < 6
