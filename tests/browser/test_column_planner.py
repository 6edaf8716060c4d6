"The column planner in JupyterLab: a hash is looked at and recorded by keyboard, the collisions are on the page."
from pathlib import Path

import pytest
from driving import ask, wait_for_answer, wait_for_text

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
CELLS = [f"""
from dlmine.framing.card import load_card
from dlmine.preparation.loading import load_data
from dlmine.preparation.column_planner import plan_columns
card = load_card({str(ROOT / 'usecases/adult.yml')!r})
planner = plan_columns(load_data(card, rows=6000), rows=1000, seeds=(0,))
""", "planner"]


def test_a_hash_is_recorded_by_keyboard(notebook):
    page = notebook(CELLS)
    assert ask(page, "print(planner.column)") == "native_country"        # the column with the most levels comes first
    wait_for_text(page, ".dlmine-column-planner-details", "categories.native_country")
    names = ask(page, "print('|'.join(planner.decision.alternatives))").split("|")
    hashed = next(place for place, name in enumerate(names) if name.startswith("hashing") and name != ask(page, "print(planner.decision.measured)"))
    page.locator(".dlmine-column-planner-alternative button").nth(hashed).focus()
    page.keyboard.press("Enter")
    wait_for_answer(page, "print(planner.shown)", names[hashed])
    wait_for_text(page, ".dlmine-column-planner-pictures", "levels that collide")
    page.locator(".dlmine-column-planner-why input").focus()
    page.keyboard.type("New countries arrive.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")                                         # the next control is the button
    wait_for_text(page, ".dlmine-column-planner-message", "Recorded")
    assert ask(page, "print(planner.value['categories']['native_country']['method'], planner.value['overruled'][0]['why'])") == "hashing New countries arrive."
    assert ask(page, "print(card.replace(prepare=planner.value).prepare.categories['native_country'].method)") == "hashing"


def test_the_kernel_and_the_page_say_the_same(notebook):
    page = notebook(CELLS)
    ask(page, "planner.show('sex', 'left out')")
    wait_for_text(page, ".dlmine-column-planner-details", "categories.sex")
    wait_for_text(page, ".dlmine-column-planner-pictures", "left out")
    ask(page, "planner.record('Must not count.')")
    wait_for_text(page, ".dlmine-column-planner-overview", "Must not count")
    assert ask(page, "print(planner.leave_out)") == "['sex']"
