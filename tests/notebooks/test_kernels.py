"The kernels that run the notebooks: a failure is seen, nothing passes from one notebook to the next, what hangs is ended alone."
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from kernels import execute
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def printed(folder, *cells):
    done = execute(notebook(*cells), folder)
    return "".join(output.get("text", "") for cell in done.cells for output in cell.outputs).strip()


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


@pytest.mark.parametrize("forked", [True, False])
def test_a_failing_cell_is_told_with_its_source_and_its_traceback(tmp_path, forked):
    with pytest.raises(CellExecutionError) as told:
        execute(notebook("def ratio(a, b): return a / b", "answer = ratio(1, 0)", "open('later', 'w')"), tmp_path, forked=forked)
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(told.value))
    assert "answer = ratio(1, 0)" in text and "def ratio(a, b): return a / b" in text and "ZeroDivisionError: division by zero" in text
    assert not (tmp_path / "later").exists()
    with pytest.raises(CellExecutionError, match="AssertionError"):
        execute(notebook("assert 1 == 2"), tmp_path, forked=forked)


def test_a_notebook_that_hangs_is_ended_with_what_it_started_and_nothing_else(tmp_path):
    start = time.monotonic()
    with pytest.raises(CellTimeoutError):
        execute(notebook("import os, subprocess, time\nchild = subprocess.Popen(['sleep', '300'])\nopen('pids', 'w').write(f'{os.getpid()} {child.pid}')", "while True: time.sleep(1)"), tmp_path, seconds=3)
    assert time.monotonic() - start < 60
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    wait_until(lambda: not any(map(runs, pids)), 20)
    assert printed(tmp_path, "print('the next one runs')") == "the next one runs"


def test_when_the_tests_are_killed_their_kernels_go_too(tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1])\nimport nbformat, kernels\nfrom pathlib import Path\ncell = nbformat.v4.new_code_cell(\"import os, time\\nopen('pid', 'w').write(str(os.getpid()))\\ntime.sleep(300)\")\nkernels.execute(nbformat.v4.new_notebook(cells=[cell]), Path(sys.argv[2]))"
    tests = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)])
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 90)
    assert runs(int((tmp_path / "pid").read_text()))
    tests.kill()
    tests.wait()
    wait_until(lambda: not runs(int((tmp_path / "pid").read_text())), 20)


def test_a_kernel_that_dies_fails_its_notebook_only(tmp_path):
    with pytest.raises(DeadKernelError):
        execute(notebook("import os", "os._exit(3)"), tmp_path)
    assert printed(tmp_path, "print('the next one runs')") == "the next one runs"


def test_nothing_passes_from_one_notebook_to_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("DLMINE_NOTE", "first")
    state = "import builtins, os, random, sys, numpy as np\nprint(os.environ['DLMINE_NOTE'], hasattr(builtins, 'mark'), hasattr(np, 'mark'), 'here' in globals(), os.getcwd(), any(name.split('.')[0] == 'dlmine' for name in sys.modules))"
    spoil = "here = builtins.mark = np.mark = 1\nos.environ['DLMINE_NOTE'] = 'spoiled'\nos.chdir('/')"
    assert printed(tmp_path, state, spoil) == f"first False False False {tmp_path} False"
    monkeypatch.setenv("DLMINE_NOTE", "second")
    assert printed(tmp_path, state) == f"second False False False {tmp_path} False"
    assert os.environ["DLMINE_NOTE"] == "second"
    draw = "import random, numpy as np\nprint(random.random(), np.random.rand())"
    first, second = printed(tmp_path, draw).split(), printed(tmp_path, draw).split()
    assert first[0] != second[0] and first[1] != second[1]


def test_what_a_notebook_may_use_works(tmp_path):
    done = execute(notebook("from IPython.display import display, HTML\ndisplay(HTML('<b>seen</b>'))", "import ipywidgets\nipywidgets.IntSlider(3, description='level')", "%timeit -n1 -r1 sum(range(9))", "!echo from a shell",
                            "import asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')", "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint(plt.get_backend())",
                            "import torch\nprint(float((torch.ones(300, 300) @ torch.ones(300, 300)).sum()))", "import duckdb\nprint(duckdb.connect().execute('select sum(i) from range(1000000) t(i)').fetchone()[0])",
                            "import polars as pl\nprint(pl.DataFrame({'a': [1, 1, 2]}).group_by('a').len()['len'].sum())",
                            "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, 2]))"), tmp_path, seconds=120)
    outputs = [cell.outputs for cell in done.cells]
    assert outputs[0][0]["data"]["text/html"] == "<b>seen</b>"
    assert "application/vnd.jupyter.widget-view+json" in outputs[1][0]["data"] and done.metadata["widgets"]
    texts = ["".join(output.get("text", "") for output in cell).strip() for cell in outputs]
    assert "per loop" in texts[2] and texts[3:5] == ["from a shell", "awaited"]
    assert texts[5].lower() == "agg" and texts[6:] == ["27000000.0", "499999500000", "3", "[1, 2]"]
