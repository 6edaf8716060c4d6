"The harness itself: a cell's error is an error, the kernel answers."
import pytest
from driving import ask, wait_for_answer

pytestmark = pytest.mark.browser


def test_a_notebook_runs_and_its_kernel_answers(notebook):
    page = notebook(["x = 20", "y = x + 1\ny"])
    assert ask(page, "print(y * 2)") == "42"
    assert wait_for_answer(page, "print(y)", "21") == "21"


def test_an_error_in_a_cell_is_told(notebook):
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        notebook(["1 / 0"])
