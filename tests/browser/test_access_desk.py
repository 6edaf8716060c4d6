"The access desk in JupyterLab: written, handed in and signed with the keyboard; and as plain data and a static record."
import datetime

import pyarrow as pa
import pytest
from driving import ask, wait_for_answer, wait_for_text
from playwright.sync_api import expect

from dlmine.core.settings import load_settings
from dlmine.framing.access_desk import access_desk
from dlmine.framing.card import parse_card

CARD = """
name: calls
purpose: ""
sources: [{name: main, location: calls.csv}]
target: late
task: {kind: classification, positive: 1}
split: {kind: random}
access: governed
"""
TABLE = {"minutes": [1, 2, 3], "remark": ["ring +44 20 7946 0958", "none", "mail anna@example.org"], "late": [0, 1, 0]}
SETUP = f"""
import dataclasses, pyarrow as pa
from dlmine.core.settings import load_settings
from dlmine.framing.access_desk import access_desk
from dlmine.framing.card import parse_card
card, table = parse_card('''{CARD}'''), pa.table({TABLE!r})
def acting(name, role): return dataclasses.replace(load_settings(), actor=name, role=role)
desk = access_desk(card, table, acting("ana", "analyst"))
desk
"""
DAY = str(datetime.date.today() + datetime.timedelta(days=30))
BOX = ".dlmine-access-desk"


@pytest.fixture(scope="module")
def page(notebook):
    return notebook([SETUP])


def test_write_tick_and_hand_in_with_the_keyboard(page):
    page.wait_for_selector(f"{BOX} .dlmine-access-record table", timeout=30_000)
    assert "phone" in page.locator(BOX).first.inner_text() and "7946" not in page.locator(BOX).first.inner_text()
    page.locator(f"{BOX} .dlmine-access-purpose textarea").focus()
    page.keyboard.type("Plan the staff of next week")
    page.keyboard.press("Tab")
    assert wait_for_answer(page, "print(desk.value['purpose'])", "Plan the staff")
    page.keyboard.type("leg")   # the next field is the list of grounds: letters choose
    assert wait_for_answer(page, "print(desk.value['lawful_basis'])", "^legal obligation$")
    wait_for_text(page, f"{BOX} .dlmine-access-record", "art. 6\\(1\\)\\(c\\)")
    wait_for_text(page, f"{BOX} .dlmine-access-standing", "expires: is missing")
    page.locator(f"{BOX} .dlmine-access-expires input").focus()
    page.keyboard.type("soon")
    page.keyboard.press("Tab")
    wait_for_text(page, f"{BOX} [role=alert]", "is no date")
    page.locator(f"{BOX} .dlmine-access-expires input").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(DAY)
    page.keyboard.press("Tab")
    wait_for_text(page, f"{BOX} .dlmine-access-standing", "Ready to hand in")
    page.get_by_label("remark").focus()
    page.keyboard.press("Space")
    assert wait_for_answer(page, "print(desk.value['columns'])", r"^\['minutes', 'late'\]$")
    page.locator(f"{BOX} .dlmine-access-submit").focus()
    page.keyboard.press("Enter")
    wait_for_text(page, f"{BOX} .dlmine-access-standing", "Missing: data owner, privacy, security")
    expect(page.locator(f"{BOX} .dlmine-access-purpose textarea")).to_be_disabled()
    assert ask(page, "from dlmine.framing.access import load_request; print(load_request(desk.request.id).state)") == "submitted"


def test_who_asked_cannot_sign_and_others_can(notebook, page):
    name = ask(page, "print(desk.request.id)")
    other = notebook([SETUP.replace('desk = access_desk(card, table, acting("ana", "analyst"))', f'desk = access_desk(card, table, acting("pia", "privacy"), "{name}")')])
    other.wait_for_selector(f"{BOX} .dlmine-access-record table", timeout=30_000)
    other.locator(f"{BOX} .dlmine-access-refuse").focus()
    other.keyboard.press("Enter")
    wait_for_text(other, f"{BOX} [role=alert]", "needs a reason")
    other.locator(f"{BOX} .dlmine-access-sign").focus()
    other.keyboard.press("Enter")
    wait_for_text(other, f"{BOX} .dlmine-access-standing", "Missing: data owner, security")
    other.locator(f"{BOX} .dlmine-access-reason input").focus()
    other.keyboard.type("too broad")
    other.keyboard.press("Tab")
    other.locator(f"{BOX} .dlmine-access-refuse").focus()
    other.keyboard.press("Enter")
    wait_for_text(other, f"{BOX} .dlmine-access-standing", "privacy: too broad")
    wait_for_text(other, f"{BOX} .dlmine-access-record", "privacy: refused by pia")


def test_try_a_text(page):
    page.locator(f"{BOX} .dlmine-access-try input").focus()
    page.keyboard.type("write to bob@example.org")
    assert "bob@example.org" not in wait_for_text(page, f"{BOX} .dlmine-access-tried", "e-mail")


def test_without_a_browser():
    import dataclasses
    settings = dataclasses.replace(load_settings(), actor="ana", role="analyst")
    desk = access_desk(parse_card(CARD), pa.table(TABLE), settings)
    assert not desk.act("submit") and "purpose" in desk.message and "expires" in desk.message
    desk.value = {**desk.value, "purpose": "Plan the staff", "lawful_basis": "consent", "expires": f"{DAY}T00:00:00Z", "columns": ["minutes"]}
    assert desk.request.columns == ("minutes",) and desk.act("submit") and not desk.act("sign") and desk.state == "submitted"
    assert desk.act("withdraw", "no need") and desk.state == "withdrawn"
    twin = desk.twin()
    assert len(twin) < 100_000 and "no need" in twin and "phone" in twin and "7946" not in twin and "anna@" not in twin
