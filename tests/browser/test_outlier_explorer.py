"The outlier explorer in JupyterLab: looked at, overruled with a reason, taken back; by keyboard alone."
from pathlib import Path

import pytest
from driving import ask, wait_for_answer, wait_for_text
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
CELLS = [f"""
from dlmine.framing.card import load_card
from dlmine.preparation.loading import load_data
from dlmine.preparation.outlier_explorer import explore_outliers
data = load_data(load_card({str(ROOT / 'usecases/adult.yml')!r}), rows=6000)
explorer = explore_outliers(data, columns=["capital_gain", "hours_per_week"], rows=1000, seeds=(0,))

""", "explorer"]


def test_a_treatment_is_looked_at_and_overruled_by_keyboard(notebook):
    page = notebook(CELLS)
    column = ask(page, "print(explorer.column)")
    wait_for_text(page, ".dlmine-outlier-explorer-details", f"outliers.{column}")
    before = page.locator(".dlmine-outlier-explorer-pictures svg").first.get_attribute("aria-label")
    measured, names = ask(page, "print(explorer.decision.measured)"), ask(page, "print(*explorer.decision.alternatives)").split()
    page.locator(".dlmine-outlier-explorer-alternative button").nth(names.index("transform" if measured != "transform" else "cap")).focus()
    page.keyboard.press("Enter")
    shown = wait_for_answer(page, "print(explorer.shown)", f"^(?!{measured}$).+")
    wait_for_text(page, ".dlmine-outlier-explorer-message", "holds until this is recorded")
    assert page.locator(".dlmine-outlier-explorer-pictures svg").first.get_attribute("aria-label") != before
    assert ask(page, "print(len(explorer.value['overruled']))") == "0"   # looking decides nothing

    record = page.locator(".dlmine-outlier-explorer-record")
    record.focus()
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-outlier-explorer-message", "give the reason")
    page.locator(".dlmine-outlier-explorer-why input").focus()
    page.keyboard.type("The gauge stopped counting.")
    record.focus()
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-outlier-explorer-message", "Recorded")
    said = ask(page, "r = explorer.value['overruled'][0]; print(r['decision'], r['from'], r['to'], r['why'], bool(r['who']))")
    assert said == f"outliers.{column} {measured} {shown} The gauge stopped counting. True"
    wait_for_text(page, ".dlmine-outlier-explorer-overview", "1 overruled")

    page.locator(".dlmine-outlier-explorer-back").focus()
    page.keyboard.press("Enter")
    assert wait_for_answer(page, "print(len(explorer.value['overruled']))", "^0$") == "0"


def test_another_column_shows_its_own_values(notebook):
    page = notebook(CELLS)
    select = page.locator(".dlmine-outlier-explorer-column select")
    second = ask(page, "print(explorer.columns[1])")
    page.locator(".dlmine-outlier-explorer-next").focus()
    page.keyboard.press("Enter")
    wait_for_answer(page, "print(explorer.column)", second)
    wait_for_text(page, ".dlmine-outlier-explorer-details", f"outliers.{second}")
    ask(page, "explorer.show(explorer.columns[0])")                      # from the kernel to the page
    wait_for_text(page, ".dlmine-outlier-explorer-details", f"outliers.{ask(page, 'print(explorer.columns[0])')}")
    expect(select).to_have_value(ask(page, "print(explorer.columns[0])"))
