"The task canvas in JupyterLab: facts are turned and the decision overruled, by keyboard alone; the numbers move in page and kernel."
import pytest
from driving import ask, enter, overrule, press, scroll_to, wait_for_answer, wait_for_text
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
CELLS = ["""
from dlmine.framing.tasks import LabelFacts
from dlmine.framing.task_canvas import TaskCanvas
canvas = TaskCanvas(LabelFacts(rows=10_000, labelled=2000, counts={"no": 1800, "yes": 200}, delay_days=14.0, period_days=30.0, span_days=400.0, cost=2.5, budget=5000.0, currency="EUR", metric="roc_auc"))
""", "canvas"]


def test_facts_are_turned_and_the_decision_follows(notebook):
    page = notebook(CELLS)
    scroll_to(page, "canvas")
    wait_for_text(page, ".dlmine-task-words", "^\\s*supervised")
    picture = page.locator(".dlmine-task-picture svg").first.get_attribute("aria-label")
    enter(page, ".dlmine-task-labelled input", "150")
    assert wait_for_answer(page, "print(canvas.value['labels']['labelled'], canvas.value['decision'])", "^150 ") == "150 semi-supervised"
    wait_for_text(page, ".dlmine-task-words", "semi-supervised")
    wait_for_text(page, ".dlmine-task-words", "2,128 EUR")
    assert page.locator(".dlmine-task-picture svg").first.get_attribute("aria-label") != picture

    enter(page, ".dlmine-task-delay_days input", "90")
    wait_for_text(page, ".dlmine-task-words", "longer than the 30 days")

    page.locator(".dlmine-task-share .noUi-handle").first.focus()
    page.keyboard.press("Home")   # not a single positive
    assert wait_for_answer(page, "print(canvas.value['labels']['share'], canvas.value['decision'])", "unsupervised") == "0.0 unsupervised"
    page.keyboard.press("PageUp")

    page.locator("button.dlmine-task-reset").focus()
    page.keyboard.press("Enter")
    assert wait_for_answer(page, "print(canvas.value['labels']['labelled'])", "^2000$") == "2000"
    expect(page.locator(".dlmine-task-labelled input")).to_have_value("2000")

    ask(page, "canvas.value = {'labels': {'labelled': 120}}")   # from the kernel to the page
    wait_for_text(page, ".dlmine-task-words", "Only 120 labels")


def test_the_decision_is_overruled_with_a_name_and_a_reason(notebook):
    page = notebook(CELLS)
    overrule(page, "canvas", "task", ("canvas.value['overruled_by']", "None"), "Ida Moss", "no labels may be used before June")
    page.locator(".dlmine-task-instead select").focus()
    page.keyboard.press("End")
    wait_for_answer(page, "print(canvas._controls is not None)", "True")
    press(page, "button.dlmine-task-overrule")
    wait_for_text(page, ".dlmine-task-words", "Overruled by Ida Moss")
    assert ask(page, "print(canvas.value['decision'], '|', canvas.value['measured'], '|', canvas.evidence().verdict)") == "unsupervised | supervised | warning"
    press(page, "button.dlmine-task-back")
    assert wait_for_answer(page, "print(canvas.value['overruled_by'])", "^None$") == "None"
