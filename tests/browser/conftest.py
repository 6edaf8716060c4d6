"One JupyterLab for the browser tests of a worker; a browser for each file of tests."
import shutil

import nbformat
import pytest
from driving import open_notebook, run_all, running_lab
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import sync_playwright

KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


@pytest.fixture(scope="session")
def workbench(tmp_path_factory):
    "(address, folder) of a running JupyterLab"
    folder = tmp_path_factory.mktemp("workbench")
    with running_lab(folder) as address:
        yield address, folder


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        assert found, "The browser tests need Chromium: make system"
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def notebook(workbench, chromium, request):
    """A function: code cells → the page of a fresh notebook in JupyterLab whose cells all ran.

    Opening and running are tried twice, because a browser's connection on a busy machine hiccups. `page.asked` holds every address
    that the page asked for."""
    address, folder = workbench
    opened = []

    def start(cells, width=1400, height=1000, seconds=120):
        name = f"{request.module.__name__.split('.')[-1]}_{len(opened)}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL}, cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), folder / name)
        for attempt in (1, 2):
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.asked = []
            page.on("request", lambda request, asked=page.asked: asked.append(request.url))
            try:
                open_notebook(page, address, name)
                run_all(page, seconds)
                break
            except BrowserError:
                page.close()
                if attempt == 2:
                    raise
        opened.append(page)
        return page

    yield start
    for page in opened:
        try:
            page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
            page.close()
        except BrowserError:
            pass
