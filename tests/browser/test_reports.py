"The reports of real runs in Chromium: nothing is fetched, the first screen answers, every word is readable by day, by night and on a phone."
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser

# Every visible piece of text with the contrast between its colour and what lies behind it (WCAG), opacity included.
CONTRASTS = """() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n.length > 3 ? n[3] : 1] };
  const over = (top, below, share) => [0, 1, 2].map(i => top[i] * share + below[i] * (1 - share));
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 }); return .2126 * r + .7152 * g + .0722 * b };
  const said = [];
  for (const node of document.querySelectorAll('body *')) {
    const words = [...node.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join(' ');
    const box = node.getBoundingClientRect();
    if (!words || !box.width || ['STYLE', 'SCRIPT', 'TITLE', 'title'].includes(node.tagName) || !node.checkVisibility()) continue;
    const inPicture = node.ownerSVGElement, style = getComputedStyle(node), chain = [];
    for (let up = node; up; up = up.parentElement) chain.unshift(getComputedStyle(up));
    let ground = [255, 255, 255], opacity = 1;
    for (const s of chain) { const [r, g, b, a] = parse(s.backgroundColor); ground = over([r, g, b], ground, a); opacity *= Number(s.opacity) }
    const ink = parse(inPicture ? style.fill : style.color), shown = over(ink, ground, ink[3] * opacity);
    const [a, b] = [light(shown), light(ground)].sort((x, y) => y - x);
    said.push([(a + .05) / (b + .05), words.slice(0, 60), light(ground)]);
  }
  return said.sort((x, y) => x[0] - y[0]) }"""


def dlmine(folder, *arguments):
    done = subprocess.run([sys.executable, "-m", "dlmine.runs.cli", *arguments], cwd=folder, capture_output=True, text=True, timeout=300,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "DLMINE_WORKSPACE": str(folder / "workspace")})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    "The reports of a retrain and of an audit on a small sample of Adult."
    from dlmine.framing.card import load_card

    folder = tmp_path_factory.mktemp("reports")
    (folder / "adult.yml").write_text(load_card(ROOT / "usecases" / "adult.yml").replace(gates=[]).to_yaml())
    common = ["--card", "adult.yml", "-p", "rows=3000", "-p", "resamples=100"]
    dlmine(folder, "run", "retrain", *common, "-p", "epochs=2", "-p", "trees=40")
    dlmine(folder, "run", "audit", *common, "-p", "explained=20", "-p", "evidently_rows=300")
    return {name: next((folder / "workspace" / "runs").glob(f"*-{name}-*")) / "report.html" for name in ("retrain", "audit")}


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


def open_page(browser, path, **options):
    "The page, with what it asked for and what it complained about."
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 800}, **options})
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(path.as_uri(), wait_until="load")
    page.wait_for_timeout(300)
    return page


def asked_of_others(page, path):
    return [url for url in page.asked if not url.startswith(("data:", "blob:")) and url != path.as_uri()]


@pytest.mark.parametrize("name", ["retrain", "audit"])
def test_nothing_is_fetched_and_nothing_complains(browser, reports, name):
    page = open_page(browser, reports[name])
    page.mouse.wheel(0, 20_000)
    page.wait_for_timeout(200)
    assert asked_of_others(page, reports[name]) == [] and page.said == []
    assert reports[name].stat().st_size < 3_000_000
    page.close()


@pytest.mark.parametrize("name, answer", [("retrain", "is the new champion"), ("audit", "may stay in use")])
def test_the_first_screen_answers(browser, reports, name, answer):
    page = open_page(browser, reports[name])
    headline = page.locator("header").get_by_text(answer).first
    box = headline.bounding_box()
    assert headline.is_visible() and 0 <= box["y"] and box["y"] + box["height"] <= 800 and box["x"] + box["width"] <= 1280
    reason = json.loads((reports[name].parent / "run.json").read_text())["verdict"]["reasons"][0]
    why = page.locator("header").get_by_text(reason[:40]).first.bounding_box()
    assert why["y"] + why["height"] <= 800   # and the first reason with it
    page.close()


@pytest.mark.parametrize("name", ["retrain", "audit"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out(browser, reports, name, scheme):
    page = open_page(browser, reports[name], color_scheme=scheme)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 150
    signs = {words for _, words, _ in found if len(words) == 1 and not words.isalnum()}   # ✓ ! ✕ on a coloured disc: pictures, not words
    assert [words for _, words, ground in found if (ground < 0.2) != (scheme == "dark") and words not in signs] == []   # no patch of the other scheme
    assert [(round(ratio, 2), words) for ratio, words, _ in found if ratio < (3 if words in signs else 4.5)] == []
    page.close()


@pytest.mark.parametrize("name", ["retrain", "audit"])
def test_a_phone_needs_no_sideways_scrolling(browser, reports, name):
    page = open_page(browser, reports[name], viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()


def test_widgets_are_there_as_static_twins(browser, reports):
    page = open_page(browser, reports["retrain"])
    for widget, inside in (("card-form", "table"), ("training-monitor", "svg"), ("threshold", "svg"), ("threshold", ".dlmine-threshold-numbers table")):
        assert page.locator(f".dlmine-twin.dlmine-{widget} {inside}").first.is_visible(), widget
    assert page.locator("script, iframe").count() == 0
    page.close()


def test_the_linked_evidently_page_opens_and_fetches_nothing(browser, reports):
    page = open_page(browser, reports["audit"])
    links = [link.get_attribute("href") for link in page.locator("main a[href$='.html']").all()]
    assert links and all("://" not in link for link in links)
    page.close()
    path = reports["audit"].parent / links[0]
    linked = open_page(browser, path)
    linked.wait_for_selector("svg", timeout=20_000)
    linked.wait_for_timeout(1000)
    assert asked_of_others(linked, path) == [] and "drift" in linked.locator("body").inner_text().lower()
    linked.close()
