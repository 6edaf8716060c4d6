"The conflict view in JupyterLab: live while several tasks train, paused, looked back at and stopped by keyboard."
import numpy as np
import pytest
from driving import ask, press, wait_for_answer, wait_for_text

CELLS = ["""
import threading
from dlmine.training.conflict_view import ConflictView
from dlmine.training.multi_task import fit_tasks
from dlmine.training.task_gain import flight_tasks
tasks, train, valid, _ = flight_tasks(3000)
view = ConflictView("Flights", refresh=0.2)
""", "view", """
found = {}
def train_them(): found["models"] = fit_tasks(train.features, train.targets, valid.features, valid.targets, tasks, epochs=3000, patience=0, every=2, facts={"cardinalities": [110, 110, 110]}, callbacks=[view])
thread = threading.Thread(target=train_them)
thread.start()
"""]


@pytest.mark.browser
def test_paused_looked_back_at_and_stopped_by_keyboard(notebook):
    page = notebook(CELLS)
    wait_for_text(page, ".dlmine-conflict-status", r"Flights: training, epoch \d+, step \d+")
    assert "departure delay" in page.locator(".dlmine-conflict-picture svg").first.get_attribute("aria-label")
    press(page, "button.dlmine-conflict-pause", "Space")
    wait_for_text(page, ".dlmine-conflict-status", "Flights: paused")
    wait_for_text(page, "button.dlmine-conflict-pause", "Go on")
    page.wait_for_timeout(500)
    measured = ask(page, "print(len(view.trace))")
    page.wait_for_timeout(800)
    assert ask(page, "print(len(view.trace))") == measured
    newest = int(ask(page, "print(view.value['step'])"))
    press(page, ".dlmine-conflict-step .noUi-handle", "ArrowLeft")
    wait_for_answer(page, "print(view.value['step'])", rf"^(?!{newest}$)\d+$")
    wait_for_text(page, ".dlmine-conflict-status", f"step {ask(page, 'print(view.value[chr(115) + chr(116) + chr(101) + chr(112)])')}")
    assert page.locator(".dlmine-conflict-picture path.shown").count() == 1
    press(page, "button.dlmine-conflict-pause", "Enter")
    wait_for_text(page, ".dlmine-conflict-status", "Flights: training")
    wait_for_answer(page, "print(len(view.trace))", rf"^(?!{measured}$)\d+$")
    press(page, "button.dlmine-conflict-stop", "Enter")
    wait_for_text(page, ".dlmine-conflict-status", "A person stopped the training from the conflict view")
    wait_for_answer(page, "print('models' in found)", "True")


def test_value_and_twin_without_a_browser():
    from dlmine.training.conflict_view import ConflictView
    rows = [{"step": 10 * place, "epoch": 1, "cosines": np.array([[1, 0.5 - place / 40], [0.5 - place / 40, 1]]), "losses": [1.0, 0.5]} for place in range(60)]
    view = ConflictView.of(("<i>a</i>", "b"), rows)
    assert view.value["step"] == 590 and view.value["cosines"] == {"<i>a</i> · b": -0.975}
    view.value = {"step": 102}
    assert view.value["step"] == 100 and 'class="shown"' in view.twin() and "<i>a" not in view.twin()
    assert "against each other" in view.twin() and len(view.twin().encode()) < 100_000
    view.make_widget()
    view.parts["step"].value = 7
    assert view.value["step"] == 70
    view.parts["step"].value = 59
    assert view.place is None and view.parts["pause"].disabled


def test_a_training_without_tasks_says_so():
    from dlmine.core.errors import DataError
    from dlmine.training.conflict_view import ConflictView
    from dlmine.training.learner import fit
    features, target = {"x_num": np.zeros((40, 2), np.float32)}, np.arange(40) % 2
    with pytest.raises(DataError, match="fit_tasks"): fit(features, target, features, target, kind="binary", epochs=1, callbacks=[ConflictView()])
