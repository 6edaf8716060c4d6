"JupyterLab, driven in Chromium: open retrain, run all, stop the training, edit the card, move the threshold, see the numbers move."
import json
import re
import shutil
import time
import urllib.request
from pathlib import Path

import pytest
from driving import NOTEBOOK, ask, open_notebook, running_lab, scroll_to, wait_for_text
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
# Enough epochs, and no patience, that only a person ends the training.
QUICK = {"card": '"adult_quick.yml"', "rows": "6000", "epochs": "2000", "trees": "40", "resamples": "100"}
pytestmark = pytest.mark.browser


def quick(line):
    name = line.split(":")[0].strip()
    return f"{line.split('=')[0]}= {QUICK[name]}" if name in QUICK else line


def write_notebook(folder):
    "The retrain template with quick parameters and a card without gates, and without patience."
    from dlmine.framing.card import load_card
    from dlmine.framing.card_plans import Training

    (folder / "adult_quick.yml").write_text(load_card(ROOT / "usecases" / "adult.yml").replace(gates=[], training=Training(patience=0)).to_yaml())
    notebook = json.loads((ROOT / "templates" / "retrain.ipynb").read_text())
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if "parameters" in cell["metadata"].get("tags", []):
            cell["source"] = "\n".join(quick(line) for line in source.splitlines())
    (folder / "retrain_quick.ipynb").write_text(json.dumps(notebook))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "A JupyterLab of the project's own command in a folder of its own: (address, folder)."
    folder = tmp_path_factory.mktemp("lab")
    write_notebook(folder)
    with running_lab(folder) as address:
        yield address, folder


def run_until_training(page):
    "Run all cells; those before the training must say that they ran, and the card's form must show."
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
    page.wait_for_function(f"""() => {{ const code = ({NOTEBOOK})().content.widgets.filter(w => w.model.type === 'code');
        return code.slice(0, code.findIndex(w => w.model.sharedModel.source.includes('TrainingMonitor('))).every(w => w.model.executionCount) }}""", timeout=60_000)
    scroll_to(page, "card_form(use_case)")
    page.wait_for_selector(".dlmine-card-kpi-capacity input", timeout=20_000)


@pytest.fixture(scope="module")
def page(lab):
    "The notebook, open and running; this is tried twice, because a browser's connection on a busy machine hiccups."
    address, _ = lab
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        assert found, "The browser tests need Chromium: make system"
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        for attempt in (1, 2):
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.asked = []
            page.on("request", lambda request, asked=page.asked: asked.append(request.url))
            try:
                open_notebook(page, address, "retrain_quick.ipynb")
                run_until_training(page)
                break
            except BrowserError:
                if attempt == 2:
                    raise
                page.evaluate(f"() => ({NOTEBOOK})().sessionContext.shutdown()")
                page.close()
        yield page
        browser.close()


def test_the_templates_lie_ready(lab):
    address, _ = lab
    listed = json.loads(urllib.request.urlopen(f"{address}/api/contents/dlmine_workspace/templates", timeout=10).read())
    assert {"retrain.ipynb", "audit.ipynb"} <= {file["name"] for file in listed["content"]}


def test_watch_the_training_and_stop_it(page):
    scroll_to(page, "TrainingMonitor(")
    monitor, stop = ".dlmine-training-monitor", ".dlmine-training-stop"
    page.wait_for_selector(stop, timeout=90_000)
    first = wait_for_text(page, monitor, r"(?s)training.*epoch\s+\d+ of 2000.*validation loss\s+0\.\d+.*KPI\s+0\.\d+.*rows per second\s+[\d,]+.*time left, at most\s+[\d,]+ s", 60)
    begun = int(re.search(r"(\d+) of 2000", first)[1])
    wait_for_text(page, monitor, rf"\b({begun + 1}|{begun + 2}|{begun + 3}|{begun + 4}) of 2000")   # it moves
    page.wait_for_selector(f"{monitor} svg", timeout=15_000)
    page.locator(stop).focus()
    page.keyboard.press("Enter")
    clicked = time.monotonic()
    ended = wait_for_text(page, monitor, "done · A person stopped the training", 15)
    assert time.monotonic() - clicked < 8 and int(re.search(r"(\d+) of 2000", ended)[1]) < 500
    expect(page.locator(stop)).to_be_disabled(timeout=10_000)   # its own message, after that of the text


def test_the_rest_ran_and_was_published(page, lab):
    from dlmine.core.evidence import verify
    from dlmine.core.settings import load_settings

    page.wait_for_function(f"""() => {{ const code = ({NOTEBOOK})().content.widgets.filter(w => w.model.type === 'code');
        return code.every(w => w.model.executionCount) || code.some(w => w.model.outputs.toJSON().some(o => o.output_type === 'error')) }}""", timeout=120_000)
    errors = page.evaluate(f"""() => ({NOTEBOOK})().content.widgets.filter(w => w.model.type === 'code')
        .flatMap(w => w.model.outputs.toJSON()).filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)""")
    assert not errors, errors
    scroll_to(page, "run.finish()")
    page.get_by_text("is the new champion").first.wait_for(timeout=15_000)
    settings = load_settings(environment={"DLMINE_WORKSPACE": str(lab[1] / "dlmine_workspace")})
    run, = [folder for folder in (settings.workspace / "runs").iterdir() if folder.is_dir()]
    assert json.loads((run / "run.json").read_text())["state"] == "passed"
    assert any("A person stopped the training" in path.read_text() for path in (settings.workspace / "evidence" / run.name).rglob("*.json*"))
    assert verify(settings).ok and not list((settings.workspace / "private").iterdir())


def test_the_card_is_edited_by_keyboard_and_mistakes_are_shown_in_place(page):
    scroll_to(page, "card_form(use_case)")
    field = page.locator(".dlmine-card-kpi-capacity input")
    field.wait_for(timeout=20_000)
    assert page.locator(".dlmine-card-name input").input_value() == "adult" and field.input_value() == "1000"
    field.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("many")
    page.keyboard.press("Tab")
    alert = page.locator(".dlmine-card-form [role=alert]")
    alert.wait_for(timeout=10_000)
    below, at = alert.bounding_box(), field.bounding_box()
    assert "capacity" in alert.inner_text().lower() and 0 <= below["y"] - at["y"] - at["height"] < 12   # just below its field
    assert ask(page, "print(form.value.kpi.capacity)") == "1000"   # the last valid card
    field.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("250")
    page.keyboard.press("Tab")
    alert.wait_for(state="detached", timeout=10_000)
    page.keyboard.type("roc_auc >= 0.9 lower")   # the next field: the gates
    page.keyboard.press("Tab")
    for _ in range(50):
        if ask(page, "print(len(form.value.gates))") == "1":
            break
        page.wait_for_timeout(100)
    assert ask(page, "print(form.value.kpi.capacity, form.value.gates[0].bound)") == "250 lower"


def test_move_the_threshold_and_see_the_numbers_move(page):
    scroll_to(page, "ThresholdExplorer(")
    numbers = ".dlmine-threshold-numbers"
    page.wait_for_selector(numbers, timeout=20_000)
    start = float(re.search(r"Cut (\d\.\d+)", wait_for_text(page, numbers, r"Cut \d\.\d+"))[1])
    handle, share = (page.locator(f".dlmine-threshold-{name} .noUi-handle").first for name in ("cut", "prevalence"))
    picture = page.locator(".dlmine-threshold-picture svg").get_attribute("aria-label")
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    wait_for_text(page, numbers, rf"Cut {start + 0.010:.3f}")
    page.keyboard.press("Home")
    everything = wait_for_text(page, numbers, r"Cut 0\.000")
    assert re.search(r"rows acted on\s+100\.0%", everything) and re.search(r"recall\)\s+100\.0%", everything) and "USD" in everything
    assert page.locator(".dlmine-threshold-picture svg").get_attribute("aria-label") != picture
    assert ask(page, "print(explorer.value['threshold'])") == "0.0"
    share.focus()
    page.keyboard.press("End")
    assert re.search(r"precision\)\s+100\.0%", wait_for_text(page, numbers, r"100\.0% positives \(observed"))
    page.locator(".dlmine-threshold-reset").focus()
    page.keyboard.press("Enter")
    wait_for_text(page, numbers, rf"Cut {start:.3f}")


def test_nobody_else_was_asked(page, lab):
    assert [url for url in page.asked if not url.startswith((lab[0], "data:", "blob:"))] == []


def test_a_saved_notebook_shows_its_widgets_without_their_kernel(page):
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate(f"() => ({NOTEBOOK})().sessionContext.shutdown()")
    page.reload()
    page.wait_for_selector(".jp-Notebook", timeout=60_000)
    page.wait_for_function(f"() => window.jupyterapp && ({NOTEBOOK})() && ({NOTEBOOK})().content.widgets.length > 5", timeout=60_000)
    for source, selector in (("ThresholdExplorer(", ".dlmine-threshold-numbers table"), ("TrainingMonitor(", ".dlmine-training-monitor svg")):
        scroll_to(page, source)
        page.locator(selector).first.wait_for(state="visible", timeout=20_000)
