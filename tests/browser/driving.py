"What the browser tests share: a JupyterLab of the project's own command, notebooks made on the spot, questions to the kernel."
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

NOTEBOOK = "() => window.jupyterapp.shell.currentWidget"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def running_lab(folder):
    "JupyterLab over a folder, with a workspace of its own: its address."
    port = free_port()
    environment = os.environ | {"DLMINE_WORKSPACE": str(folder / "dlmine_workspace"), "OMP_NUM_THREADS": "1",
                                **{f"JUPYTER_{kind}_DIR": str(folder / f".{kind.lower()}") for kind in ("CONFIG", "DATA", "RUNTIME")}}
    process = subprocess.Popen([sys.executable, "-m", "dlmine.runs.cli", "lab", "--port", str(port), "--no-browser", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"],
                               cwd=folder, env=environment, stdout=open(folder / "lab.log", "w"), stderr=subprocess.STDOUT, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            except OSError:
                assert process.poll() is None, (folder / "lab.log").read_text()[-3000:]
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=30)


def open_notebook(page, address, name):
    page.goto(f"{address}/lab/workspaces/{name.removesuffix('.ipynb')}/tree/{name}")   # a layout of its own: nothing of another notebook is restored
    page.wait_for_function("window.jupyterapp && window.jupyterapp.restored", timeout=90_000)
    page.evaluate("() => window.jupyterapp.restored.then(() => true)")
    page.wait_for_selector(".jp-Notebook", timeout=60_000)
    page.wait_for_function(f"""() => {{ const c = ({NOTEBOOK})(); const s = c && c.sessionContext;
        return s && s.isReady && s.session && s.session.kernel && s.session.kernel.status === 'idle' }}""", timeout=90_000)


def run_all(page, seconds=120):
    "Run all cells and wait until they ran; a cell's error is the test's."
    page.evaluate("() => { window.ran = false; window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ran = true }) }")
    page.wait_for_function("() => window.ran", timeout=seconds * 1000)
    errors = page.evaluate(f"""() => ({NOTEBOOK})().content.widgets.filter(w => w.model.type === 'code')
        .flatMap(w => w.model.outputs.toJSON()).filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)""")
    assert not errors, errors


def scroll_to(page, source):
    "Bring the cell whose source holds the text into view."
    page.evaluate(f"""text => {{ const n = ({NOTEBOOK})().content; const i = n.widgets.findIndex(w => w.model.sharedModel.source.includes(text));
        n.activeCellIndex = i; return n.scrollToItem(i, 'start') }}""", source)


def press(page, selector, key="Enter"):
    "Focus an element and press a key."
    page.locator(selector).focus()
    page.keyboard.press(key)


def enter(page, selector, text):
    "Put a text into a field by keyboard, in place of what it held."
    press(page, selector, "Control+a")
    page.keyboard.type(text)
    page.keyboard.press("Tab")


def overrule(page, cell, kind, nothing, who, why):
    "Press a widget's button `overrule` without a name, see that it refuses and that `nothing` (code, answer) holds; then enter a name and a reason."
    scroll_to(page, cell)
    press(page, f"button.dlmine-{kind}-overrule")
    wait_for_text(page, f".dlmine-{kind}-words", "say who you are and why")
    code, answer = nothing
    assert ask(page, f"print({code})") == answer
    enter(page, f".dlmine-{kind}-who input", who)
    enter(page, f".dlmine-{kind}-why input", why)


def ask(page, code):
    "What the kernel prints."
    return page.evaluate(f"""async code => {{ const future = ({NOTEBOOK})().sessionContext.session.kernel.requestExecute({{code, store_history: false}}); let said = '';
        future.onIOPub = m => {{ if (m.header.msg_type === 'stream') said += m.content.text; if (m.header.msg_type === 'error') said += m.content.evalue }};
        await future.done; return said.trim() }}""", code)


def wait_for_answer(page, code, pattern, seconds=20):
    "Ask the kernel until what it prints matches; the answer."
    said = ""
    for _ in range(seconds * 5):
        said = ask(page, code)
        if re.search(pattern, said):
            return said
        page.wait_for_timeout(200)
    raise AssertionError(f"{code} never printed {pattern!r}; it printed {said!r}")


def wait_for_text(page, selector, pattern, seconds=20):
    "Wait until the element's text matches; the text."
    text = ""
    for _ in range(seconds * 10):
        text = page.locator(selector).first.inner_text()
        if re.search(pattern, text):
            return text
        page.wait_for_timeout(100)
    raise AssertionError(f"{selector} never said {pattern!r}; it says {text!r}")
