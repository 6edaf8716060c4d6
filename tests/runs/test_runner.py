"Exit codes, publication, secrets, budgets, concurrency: with real kernels on small templates."
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from dlmine.core.errors import DataError, ParameterError, StorageError
from dlmine.core.evidence import verify
from dlmine.core.mlruns import find_run
from dlmine.core.secrets import Redactor
from dlmine.core.settings import load_settings as load_all_settings
from dlmine.runs.doctor import clean, leftovers
from dlmine.runs.runner import run_template

FIXTURES = Path(__file__).parent/'fixtures'
SECRET = 'correct horse/battery+staple'


def load_settings(folder):
    "The settings of a folder, whatever the environment of the tests says."
    return load_all_settings(folder, environment={})


@pytest.fixture(scope='module')
def settings(tmp_path_factory):
    "One workspace for the whole module: what a run leaves behind must not disturb the next."
    return load_settings(tmp_path_factory.mktemp('project'))


def ended(settings, ending):
    return run_template(FIXTURES/'endings.ipynb', {'ending': ending}, settings=settings)


def command(folder, *arguments, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith('DLMINE_')}
    return subprocess.Popen([sys.executable, '-m', 'dlmine.runs.cli', *map(str, arguments)], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize('ending, code, state', [('passed', 0, 'passed'), ('failed', 3, 'failed'), ('gate', 3, 'failed'), ('crash', 1, 'crashed'), ('kill', 1, 'crashed')])
def test_endings_that_are_published(settings, ending, code, state):
    result = ended(settings, ending)
    assert result.code == code and result.folder == settings.workspace/'runs'/result.run_id
    assert {'notebook.ipynb', 'report.html', 'evidence.json', 'run.json', 'artifacts'} <= {path.name for path in result.folder.iterdir()}
    run = json.loads((result.folder/'run.json').read_text())
    assert run['state'] == state and run['exit_code'] == code and (ending == 'kill' or run['cpu_seconds'] > 0.05) and run['memory_peak_bytes'] > 3e7
    assert find_run(settings, result.run_id) and not (settings.workspace/'private'/result.run_id).exists()
    assert len(json.loads((result.folder/'evidence.json').read_text())['records']) == 1
    assert verify(settings, result.run_id).ok


def test_a_crash_is_linked_from_the_top(settings):
    result = ended(settings, 'crash')
    page = (result.folder/'report.html').read_text()
    anchor = re.search(r'<a href="#(cell-\d+)">', page.split('</header>')[0]).group(1)
    assert f'class="cell failing" id="{anchor}"' in page and 'list index out of range' in page.split('</header>')[0]
    cells = json.loads((result.folder/'notebook.ipynb').read_text())['cells']
    assert not cells[-1]['outputs'] and any(output['output_type'] == 'error' for output in cells[int(anchor[5:]) - 1]['outputs'])


@pytest.mark.parametrize('ending', ['data', 'derived'])
def test_bad_input_within_the_kernel_leaves_no_trace(settings, ending):
    before = len(list((settings.workspace/'runs').iterdir())) if (settings.workspace/'runs').exists() else 0
    result = ended(settings, ending)
    assert result.code == 2 and result.folder == settings.workspace/'private'/result.run_id and (result.folder/'notebook.ipynb').exists()
    assert find_run(settings, result.run_id) is None and not (settings.workspace/'runs'/result.run_id).exists()
    assert (len(list((settings.workspace/'runs').iterdir())) if (settings.workspace/'runs').exists() else 0) == before


@pytest.mark.parametrize('template, values, reason', [('endings.ipynb', {'endin': 'passed'}, "Did you mean 'ending'"), ('endings.ipynb', {'seconds': 'long'}, 'must be float'), ('endings.ipynb', {'ending': 'pased'}, "Did you mean 'passed'"),
                                                      ('endingz', {}, 'no template'), ('leaky.ipynb', {'password': 'env:NOT_SET_ANYWHERE'}, 'not set'), ('cards.ipynb', {'card': 'no/such.yml'}, 'no usecase')])
def test_bad_requests_write_nothing(tmp_path, template, values, reason):
    with pytest.raises(DataError, match=reason): run_template(FIXTURES/template, values, settings=load_settings(tmp_path))
    assert not list(tmp_path.iterdir())


def test_bad_cards_are_refused_before_the_kernel(tmp_path):
    (tmp_path/'bad.yml').write_text('version: 1\nname: x\nturget: y\n')
    (tmp_path/'binary.yml').write_bytes(bytes(range(256)))
    for name in ('bad.yml', 'binary.yml'):
        with pytest.raises(DataError): run_template(FIXTURES/'cards.ipynb', card=tmp_path/name, settings=load_settings(tmp_path))
    with pytest.raises(ParameterError, match='takes no card'): run_template(FIXTURES/'endings.ipynb', card=tmp_path/'bad.yml', settings=load_settings(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['bad.yml', 'binary.yml']


def test_a_card_is_named_in_the_run(settings):
    result = run_template(FIXTURES/'cards.ipynb', card='flights', settings=settings)
    run = json.loads((result.folder/'run.json').read_text())
    assert result.code == 0 and run['card']['name'] == 'flights' and len(run['card']['hash']) == 64 and Path(run['parameters']['card']).is_absolute()


def test_time_budget(settings):
    start = time.monotonic()
    result = ended(replace(settings, time_budget=6), 'slow')
    assert result.code == 1 and 'TimeBudget' in result.headline and time.monotonic() - start < 30
    assert 'working' in (result.folder/'notebook.ipynb').read_text() and 'time budget was used up' in (result.folder/'report.html').read_text()


def test_no_secret_is_published(settings, monkeypatch):
    monkeypatch.setenv('HOUSE_WORD', SECRET)
    result = run_template(FIXTURES/'leaky.ipynb', {'password': 'env:HOUSE_WORD'}, settings=settings)
    assert result.code == 1 and 'ConnectionError' in result.headline
    redactor = Redactor([SECRET])
    for path in settings.workspace.rglob('*'):
        assert not path.is_file() or not redactor.found(path.read_bytes().decode('utf-8', 'replace')), path
    notebook = (result.folder/'notebook.ipynb').read_text()
    assert "secret('env:HOUSE_WORD')" in notebook and notebook.count('[secret]') > 15 and not redactor.found(result.headline)
    assert (result.folder/'artifacts'/'log.txt').read_text() == 'login with [secret]' and not (result.folder/'artifacts'/'log.bin').exists()
    assert verify(settings, result.run_id).ok


def test_large_outputs_move_out_of_the_report(settings):
    result = run_template(FIXTURES/'large.ipynb', settings=settings)
    assert (result.folder/'report.html').stat().st_size < 3e6 and list((result.folder/'report_files').iterdir()) and any('moved' in note for note in result.notes)


def test_two_runs_at_once(tmp_path):
    processes = [command(tmp_path, 'run', FIXTURES/'endings.ipynb', '-p', f'ending={ending}', '-p', 'seconds=1') for ending in ('passed', 'failed', 'passed')]
    codes = [(process.communicate(timeout=120), process.returncode)[1] for process in processes]
    settings = load_settings(tmp_path)
    assert codes == [0, 3, 0] and len(list((settings.workspace/'runs').iterdir())) == 3 and verify(settings).ok
    assert all(find_run(settings, path.name) for path in (settings.workspace/'runs').iterdir()) and not leftovers(settings)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.1)


def begun(workspace):
    return any('working' in path.read_text(errors='replace') for path in (workspace/'private').glob('*/notebook.ipynb'))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupts_are_clean(tmp_path, number):
    process = command(tmp_path, 'run', FIXTURES/'endings.ipynb', '-p', 'ending=slow', preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))   # a shell's background job ignores SIGINT, and hands that down
    workspace = load_settings(tmp_path).workspace
    wait_for(lambda: begun(workspace))
    kernels = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    try: output, errors = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:   # on a busy machine the first one may fall into a library's own handler: a person presses again
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and 'Traceback' not in errors and 'Interrupted' in output
    assert not any(kernel.is_running() and kernel.status() != psutil.STATUS_ZOMBIE for kernel in kernels) and not (workspace/'runs').exists()
    assert [state for _, state in leftovers(load_settings(tmp_path))] == ['interrupted']


@pytest.mark.faults
def test_a_killed_run_is_a_leftover_and_the_next_run_works(tmp_path):
    settings = load_settings(tmp_path)
    process = command(tmp_path, 'run', FIXTURES/'endings.ipynb', '-p', 'ending=slow')
    wait_for(lambda: begun(settings.workspace))
    kernels = psutil.Process(process.pid).children(recursive=True)
    process.kill(); process.communicate()
    wait_for(lambda: not any(kernel.is_running() and kernel.status() != psutil.STATUS_ZOMBIE for kernel in kernels), 20)
    assert [state for _, state in leftovers(settings)] == ['killed']
    assert ended(settings, 'passed').code == 0
    assert any('removed (killed)' in line for line in clean(settings)) and not leftovers(settings) and verify(settings).ok


@pytest.mark.faults
@pytest.mark.parametrize('limit', [2_000, 100_000])
def test_files_that_cannot_be_written_give_a_clear_error(tmp_path, limit):
    import resource
    process = command(tmp_path, 'run', FIXTURES/'endings.ipynb', preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    output, errors = process.communicate(timeout=120)
    assert process.returncode in (0, 1) and 'Traceback' not in errors
    assert re.search(r'larger than the system allows|not entered into MLflow', errors + output)


def test_an_unreachable_ledger_does_not_undo_a_run(settings):
    offline = replace(settings, tracking_uri='sqlite:////proc/no/such/mlflow.db')
    result = ended(offline, 'passed')
    assert result.code == 0 and result.report.exists() and any('not entered into MLflow' in note for note in result.notes)
    assert (settings.workspace/'private'/result.run_id, 'not entered') in leftovers(settings)
    assert f'{result.run_id}: entered into MLflow' in clean(settings) and find_run(settings, result.run_id)


def test_the_command_says_where_the_report_lies(tmp_path):
    process = command(tmp_path, 'run', FIXTURES/'endings.ipynb', '--out', tmp_path/'copy')
    output, errors = process.communicate(timeout=120)
    last, report = output.strip().splitlines()[-2:]
    assert process.returncode == 0 and last.startswith('Passed: ') and Path(report.removeprefix('Report: ')).exists() and (tmp_path/'copy'/'report.html').exists()
    assert re.search(r'\[2/4\] Work +\d+\.\d s', errors)
