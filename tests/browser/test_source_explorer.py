"The source explorer in JupyterLab: sources gone through with tab and enter, ticked with the space bar."
import pytest
from driving import ask, wait_for_answer, wait_for_text

pytestmark = pytest.mark.browser
CELLS = ["""
from dlmine.framing.card import parse_card
from dlmine.framing.sources import describe_sources
from dlmine.framing.source_explorer import SourceExplorer
sources = describe_sources(parse_card('''
version: 1
name: late_flights
target: late
task: {kind: classification, positive: 1}
time: scheduled_departure
split: {kind: time, valid_from: 2013-09-01, test_from: 2013-10-01}
as_of: "2014-01-01T05:00:00+00:00"
sources:
- {name: main, location: "dataset:flights", timestamp: scheduled_departure, timezone: America/New_York, fresh_within: 24 hours, upstream: [weather, planes]}
- {name: weather, location: "dataset:flights.weather", owner: National Weather Service, timestamp: time_hour, fresh_within: 24 hours, keys: [origin, time_hour]}
- {name: planes, location: "dataset:flights.planes", owner: Fleet registry, keys: [tailnum]}
- {name: crews, location: crews.csv}
'''))
explorer = SourceExplorer(sources)
""", "explorer"]


def test_sources_are_looked_at_and_ticked_by_keyboard(notebook):
    page = notebook(CELLS)
    assert ask(page, "print(*explorer.value)") == "main planes"
    wait_for_text(page, ".dlmine-sources-details", "main: fresh")
    page.locator(".dlmine-sources-pick button").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-sources-details", "weather: stale")
    wait_for_text(page, ".dlmine-sources-details", "Ask National Weather Service for a newer delivery")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-sources-details", "Fleet registry")
    assert ask(page, "print(explorer.shown)") == "planes"
    details = page.locator(".dlmine-sources-details").inner_text()
    assert "X99999" in details and "N10156" not in details   # tail numbers are masked, the least and the most of them too

    boxes = page.locator(".dlmine-sources-use input[type=checkbox]")
    boxes.nth(1).focus()
    page.keyboard.press("Space")
    assert wait_for_answer(page, "print(*explorer.value)", "weather") == "main weather planes"
    wait_for_text(page, ".dlmine-sources-choice", "Against advice: weather")
    full = page.locator(".dlmine-sources-picture svg rect[stroke-width='2.5']").count()
    boxes.nth(2).focus()
    page.keyboard.press("Space")
    assert wait_for_answer(page, "print(*explorer.value)", "^main weather$") == "main weather"
    wait_for_text(page, ".dlmine-sources-choice", "Left out although usable: planes")
    assert page.locator(".dlmine-sources-picture svg rect[stroke-width='2.5']").count() == full - 1

    page.locator(".dlmine-sources-advised").focus()
    page.keyboard.press("Enter")
    assert wait_for_answer(page, "print(*explorer.value)", "^main planes$") == "main planes"
    ask(page, "explorer.value = ['crews']; explorer.show('crews'); print(1)")   # and the kernel moves the page
    wait_for_text(page, ".dlmine-sources-details", "crews: unreadable")
    assert [boxes.nth(place).is_checked() for place in range(4)] == [False, False, False, True]
