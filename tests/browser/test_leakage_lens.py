"The leakage lens in JupyterLab: another row, another feature, a verdict overruled with a name and a reason; by keyboard alone."
import re

import pytest
from driving import ask, overrule, press, scroll_to, wait_for_answer, wait_for_text
from playwright.sync_api import expect
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
CELLS = ["""
from dlmine.core.datasets import load_dataset
from dlmine.preparation.leakage_lens import LeakageLens
from dlmine.preparation.windows import WindowFeatures, build_windows
flights = load_dataset("flights").slice(150_000, 3000).select(["scheduled_departure", "carrier", "origin", "block_minutes", "arr_delay"])
honest = WindowFeatures("carrier", by=("carrier", "origin"), value="arr_delay", known_at="scheduled_departure + block_minutes minutes + arr_delay minutes", hours=(6,))
theirs = build_windows(flights, WindowFeatures("carrier", by=("carrier", "origin"), value="arr_delay", hours=(6,)), "scheduled_departure").features
lens = LeakageLens(flights, honest, "scheduled_departure", features=theirs, feature="carrier_mean_6h")
""", "lens"]


def test_rows_and_features_are_looked_at_by_keyboard(notebook):
    page = notebook(CELLS)
    scroll_to(page, "lens")
    wait_for_text(page, ".dlmine-lens-words", "knows more than the past")
    row = int(ask(page, "print(lens.row)"))
    picture = page.locator(".dlmine-lens-picture svg").first.get_attribute("aria-label")
    page.locator(".dlmine-lens-place .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    moved = int(wait_for_answer(page, "print(lens.row)", f"^(?!{row}$)\\d+$"))
    wait_for_text(page, ".dlmine-lens-words", f"row {moved:,}")
    assert page.locator(".dlmine-lens-picture svg").first.get_attribute("aria-label") != picture
    expect(page.locator(".dlmine-lens-row input")).to_have_value(str(moved))

    box = page.locator(".dlmine-lens-row input")
    box.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("1234")
    page.keyboard.press("Enter")
    assert wait_for_answer(page, "print(lens.value['row'])", "^1234$") == "1234"
    wait_for_text(page, ".dlmine-lens-words", "row 1,234")

    page.locator("button.dlmine-lens-next").focus()
    page.keyboard.press("Enter")   # from the mean to the spread
    assert wait_for_answer(page, "print(lens.value['feature'])", "^carrier_std_6h$")
    wait_for_text(page, ".dlmine-lens-words", "carrier_std_6h of row 1,234")
    expect(page.locator(".dlmine-lens-feature select")).to_have_value("carrier_std_6h")
    page.locator(".dlmine-lens-feature select").select_option("carrier_count_6h")
    wait_for_text(page, ".dlmine-lens-words", "carrier_count_6h of row 1,234")

    ask(page, "lens.value = {'feature': 'carrier_mean_6h', 'row': 0}")   # from the kernel to the page
    wait_for_text(page, ".dlmine-lens-words", "carrier_mean_6h of row 0.*only the past|only the past[\\s\\S]*carrier_mean_6h of row 0")


def test_a_verdict_is_overruled_with_a_name_and_a_reason(notebook):
    page = notebook(CELLS)
    overrule(page, "lens", "lens", ("lens.value['decisions']", "{}"), "Ida Moss", "the tower forecasts delays")
    press(page, "button.dlmine-lens-overrule")
    wait_for_text(page, ".dlmine-lens-words", "overruled by Ida Moss: the tower forecasts delays")
    said = ask(page, "held = lens.overruled[0]; print(held['decision'], held['from'], held['to'], held['who'], held['why'])")
    assert said == "windows.carrier_mean_6h leave out keep Ida Moss the tower forecasts delays"
    press(page, "button.dlmine-lens-accept")
    wait_for_text(page, ".dlmine-lens-words", "accepted by Ida Moss")
    assert ask(page, "print(lens.overruled)") == "[]"


def test_the_lens_without_a_browser_and_its_twin():
    space = {}
    exec(CELLS[0], space)
    lens = space["lens"]
    lens.value = {"row": 2000}
    assert lens.value["verdict"] == "knows more than the past" and lens.value["decisions"] == {}
    twin = lens.twin()
    assert len(twin.encode()) < 100_000 and 'role="img"' in twin and "row 2,000" in twin and "not known yet" in twin and "<script" not in twin
    drawn = int(re.search(r"(\d+) not known yet", twin)[1])
    assert drawn == lens.past.counts["not known yet"] > 0 and twin.count('stroke-dasharray="2 3"') <= drawn
    lens.value = {"decisions": {"carrier_mean_6h": {"verdict": "accepted", "who": "Ida Moss"}}}
    assert "Ida Moss" in lens.twin() and lens.evidence().verdict == "warning"
