"The advisor's desk in JupyterLab: candidates and budget are chosen, the trials run, a choice is taken, by keyboard alone."
import pytest
from driving import ask, enter, press, scroll_to, wait_for_answer, wait_for_text

pytestmark = pytest.mark.browser
CELLS = ["""
from dlmine.framing.card import load_card
from dlmine.core.shipped import find_card
from dlmine.preparation.loading import load_data
from dlmine.training.architecture_advisor import ArchitectureAdvisor
desk = ArchitectureAdvisor(load_data(load_card(find_card("usecases/adult.yml")), rows=1200), candidates=["embedding_mlp", "embedding_mlp × 0.5", "embedding_mlp × 2", "ft_transformer"], epochs=9, trees=20)
""", "desk"]


def test_candidates_are_chosen_tried_and_taken(notebook):
    page = notebook(CELLS, height=1500)
    scroll_to(page, "desk")
    assert "columns may act together" in wait_for_text(page, ".dlmine-advisor-facts", "Facts about the data")
    wait_for_text(page, ".dlmine-advisor-plan", "^\\s*4 candidates")
    page.locator(".dlmine-advisor-candidate-3 input").focus()
    page.keyboard.press("Space")
    wait_for_text(page, ".dlmine-advisor-plan", "^\\s*3 candidates")
    assert ask(page, "print(len(desk.value['candidates']), 'ft_transformer' in desk.value['candidates'])") == "3 False"

    enter(page, ".dlmine-advisor-epochs input", "3")
    assert wait_for_answer(page, "print(desk.value['epochs'])", "^3$") == "3"
    page.locator(".dlmine-advisor-limit .noUi-handle").first.focus()
    page.keyboard.press("End")
    assert wait_for_answer(page, "print(desk.value['limit'])", "^1.0$") == "1.0"

    press(page, "button.dlmine-advisor-run")
    said = wait_for_text(page, ".dlmine-advisor-result", "Take ", seconds=60)
    assert "validation rows" in said and "★ taken" in wait_for_text(page, ".dlmine-trials-board", "★ taken")
    recommended, taken = wait_for_answer(page, "print(desk.value['recommended'], '|', desk.value['taken'])", "\\w \\| \\w").split(" | ")
    assert recommended == taken

    page.locator(".dlmine-advisor-take select").focus()
    page.keyboard.press("Home" if recommended == "boosting" else "End")
    other = wait_for_answer(page, f"print(desk.value['taken'] if desk.value['taken'] != {recommended!r} else '')", "\\w")
    wait_for_text(page, ".dlmine-advisor-result", "Taken by hand")
    assert ask(page, "print(desk.evidence().verdict)") == "warning" and other != recommended


def test_nothing_to_try_is_refused(notebook):
    page = notebook([CELLS[0].replace('"embedding_mlp × 0.5", "embedding_mlp × 2", "ft_transformer"', ""), "desk"], height=1500)
    scroll_to(page, "desk")
    page.locator(".dlmine-advisor-candidate-0 input").focus()
    page.keyboard.press("Space")
    wait_for_text(page, ".dlmine-advisor-result", "At least one candidate")
    assert ask(page, "print(desk.value['candidates'])") == "['embedding_mlp']"
