"The report in Chromium: it asks nobody for anything, runs nothing, and its first screen answers."
import shutil
from pathlib import Path

import pytest

from dlmine.core.settings import load_settings
from dlmine.runs.runner import run_template

pytestmark = pytest.mark.browser


@pytest.fixture(scope='module')
def result(tmp_path_factory):
    return run_template(Path(__file__).parent/'fixtures'/'page.ipynb', settings=load_settings(tmp_path_factory.mktemp('page'), environment={}))


@pytest.fixture(scope='module')
def page(result):
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which('chromium'), args=['--no-sandbox', '--disable-gpu'])
        page = browser.new_page(viewport={'width': 1280, 'height': 800})
        page.asked, page.said = [], []
        page.on('request', lambda request: page.asked.append(request.url))
        page.on('console', lambda message: page.said.append(message.text))
        page.goto(result.report.as_uri())
        page.wait_for_timeout(500)
        yield page
        browser.close()


def test_zero_requests_and_nothing_runs(page, result):
    assert [url for url in page.asked if not url.startswith(('data:', 'blob:'))] == [result.report.as_uri()]
    assert page.said == [] and page.title() == 'Delays: monthly audit' and result.report.stat().st_size < 3e6


def test_the_first_screen_answers(page):
    box = page.locator('header b').bounding_box()
    assert box['y'] + box['height'] < 800
    assert page.locator('details.code[open]').count() == 0 and page.locator('details.code').count() >= 6


def test_twins_are_shown_and_contents_lead_somewhere(page):
    assert page.get_by_text('static twin: 3', exact=True).is_visible() and page.locator('svg, img').count() >= 1
    for link in page.locator('nav a').all(): assert page.locator(link.get_attribute('href')).count() == 1


def test_a_narrow_window_needs_no_sideways_scrolling(page):
    page.set_viewport_size({'width': 390, 'height': 800})
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
