"Views: a value without a browser, one drawing at the end of a headless cell, nothing left in the notebook."
import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from dlmine.core.view import TWIN_LIMIT, View, format_value, table_html


def execute(*cells, headless=True):
    start = f"import os; os.environ['DLMINE_HEADLESS'] = '{int(headless)}'\nimport ipywidgets\nfrom dlmine.core.view import View\n"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(start + cells[0]), *map(nbformat.v4.new_code_cell, cells[1:])])
    NotebookClient(book, kernel_name="python3", timeout=120, allow_errors=True).execute()
    return book


MAKE = "view = View(lambda: ipywidgets.IntSlider(value=1, max=99), lambda: f'<b>at {view.value}</b>', css_class='mine')\n"


def test_value_goes_in_and_out_without_a_browser():
    import ipywidgets

    view = View(lambda: ipywidgets.IntSlider(value=3), lambda: f"at {view.value}", css_class="mine")
    view.value = 7
    assert view.value == 7 and "at 7" in view.twin() and "mine" in view.widget._dom_classes


def test_a_view_of_plain_functions_needs_no_widget():
    held = {"x": 1}
    view = View(lambda: pytest.fail("made without need"), lambda: str(held["x"]), read=lambda: held["x"], write=lambda new: held.update(x=new))
    view.value = 5
    assert view.value == 5 and ">5<" in view.twin()


def test_headless_shows_the_last_value_once_and_leaves_no_state():
    book = execute(MAKE + "display(view)\nview.value = 42", "view", "view.value = 43\nview\nNone")
    assert [len(cell.outputs) for cell in book.cells] == [1, 1, 0]
    assert all("at 42" in cell.outputs[0]["data"]["text/html"] for cell in book.cells[:2])  # each cell as it was at its end
    assert "widgets" not in book.metadata and "widget-view" not in str(book)


def test_headless_twin_also_after_an_error_later_in_the_cell():
    book = execute(MAKE + "display(view)\nview.value = 9\n1 / 0")
    kinds = [output["output_type"] for output in book.cells[0].outputs]
    assert "error" in kinds and "at 9" in str(book.cells[0].outputs)


def test_two_shows_in_one_cell_both_get_the_last_value():
    book = execute(MAKE + "display(view); display(view)\nview.value = 8")
    assert len(book.cells[0].outputs) == 2 and all("at 8" in output["data"]["text/html"] for output in book.cells[0].outputs)


def test_live_bundle_holds_widget_and_twin():
    book = execute(MAKE + "view", headless=False)
    [shown] = book.cells[0].outputs
    assert "application/vnd.jupyter.widget-view+json" in shown["data"] and "at 1" in shown["data"]["text/html"]


def test_a_large_twin_is_left_out_and_said_so():
    assert "left out" in View(None, lambda: "x" * (TWIN_LIMIT + 1), read=lambda: 0).twin()
    assert "left out" not in View(None, lambda: "x" * TWIN_LIMIT, read=lambda: 0).twin()


def test_import_is_light():
    code = "import sys, dlmine.core.view; print([name for name in ('ipywidgets', 'pandas', 'matplotlib', 'IPython') if name in sys.modules])"
    environment = {name: value for name, value in os.environ.items() if name != "DLMINE_HEADLESS"}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout.strip() == "[]"


@pytest.mark.parametrize("value, text", [(None, "–"), (float("nan"), "–"), (True, "yes"), (12345, "12,345"), (0.12345, "0.123"), (98765.4, "98,765"), ("word", "word")])
def test_values_as_people_read_them(value, text):
    assert format_value(value) == text


def test_tables_escape_what_data_says_and_align_numbers():
    text = table_html([{"<b>": "<img src=x>", "n": 3, "share": "12.5%"}], caption="a & b")
    assert "<img" not in text and "&lt;b&gt;" in text and "a &amp; b" in text
    assert text.count("text-align:right") == 4  # heads and cells of the number and of the share
