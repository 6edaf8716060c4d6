"`dlmine job` says what `dlmine run` says, writes before it boasts, and leaves nothing behind when it refuses."
import json

import pytest
import yaml

from dlmine.runs.cli import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('DLMINE_WORKSPACE', str(tmp_path/'workspace'))
    return tmp_path


def test_writes_what_was_asked(here, capsys, monkeypatch):
    monkeypatch.setenv('DLMINE_TIME_BUDGET', '600')
    assert main(['job', 'retrain', '--card', 'flights', '--platform', 'kubernetes', '-p', 'seed=7', '--gpus', '1', '--memory', '16Gi', '--image', 'registry.example/dlmine:1', '--secret', 'warehouse=env:DB_PASSWORD']) == 0
    said = capsys.readouterr()
    folder = here/'jobs'/'retrain-flights'
    if not folder.is_dir(): folder, = (here/'jobs').iterdir()
    assert str(folder) in said.out and 'env:DB_PASSWORD comes from the Secret warehouse' in said.err
    one, = yaml.safe_load_all((folder/'manifest.yaml').read_text())
    run, = one['spec']['template']['spec']['containers']
    assert run['args'] == ['run', '/job/retrain.ipynb', '--card', '/job/flights.yml', '-p', 'seed=7'] and run['image'] == 'registry.example/dlmine:1'
    assert {'name': 'DLMINE_TIME_BUDGET', 'value': '600'} in run['env'] and run['resources']['limits'] == {'cpu': '2', 'memory': '16Gi', 'nvidia.com/gpu': '1'}
    assert json.loads((folder/'job.json').read_text())['secrets'] == {'env:DB_PASSWORD': 'warehouse'}
    assert not (here/'workspace').exists()   # nothing was run, nothing registered
    assert main(['job', 'retrain', '--card', 'flights', '--platform', 'docker', '--output', str(folder)]) == 2 and '--force' in capsys.readouterr().err
    assert main(['job', 'retrain', '--card', 'flights', '--platform', 'docker', '--output', str(folder), '--force']) == 0 and not (folder/'manifest.yaml').exists()


@pytest.mark.parametrize('words, says', [(['-p', 'epoks=3'], "There is no parameter 'epoks'"), (['-p', 'seed=seven'], "Parameter 'seed' must be int"), (['-p', 'seed'], 'is no assignment'), (['-p', 'precision=fp31'], "Did you mean 'fp32'")])
def test_the_same_errors_as_run_before_anything_is_written(here, capsys, words, says):
    assert main(['job', 'retrain', '--card', 'flights', '--platform', 'docker', *words]) == 2
    job = capsys.readouterr().err
    assert main(['run', 'retrain', '--card', 'flights', *words]) == 2
    assert says in job and job == capsys.readouterr().err and list(here.iterdir()) == []


@pytest.mark.parametrize('words, says', [(['--platform', 'kubernets'], "Did you mean 'kubernetes'"), (['--platform', 'cronjob'], '--schedule'), (['--platform', 'cronjob', '--schedule', '61 * * * *'], 'is no minute'), (['--platform', 'docker', '--secret', 'opensesame88'], 'takes NAME=env'),
                                         (['--platform', 'docker', '--secret', 'a=env:X', '--secret', 'b=env:X'], 'two Secrets'), (['--platform', 'kubernetes', '--nodes', '2'], 'trainjob or pytorchjob')])
def test_what_cannot_be_is_refused(here, capsys, words, says):
    assert main(['job', 'retrain', '--card', 'flights', *words]) == 2
    said = capsys.readouterr().err
    assert says in said and 'opensesame88' not in said and list(here.iterdir()) == []


def test_tracking_address_travels_but_not_its_password(here, capsys, monkeypatch):
    monkeypatch.setenv('DLMINE_TRACKING_URI', 'http://mlflow.example:5000')
    assert main(['job', 'retrain', '--card', 'flights', '--platform', 'kubernetes', '--output', 'a']) == 0
    assert 'http://mlflow.example:5000' in (here/'a'/'manifest.yaml').read_text()
    monkeypatch.setenv('DLMINE_TRACKING_URI', 'http://me:opensesame88@mlflow.example')
    assert main(['job', 'retrain', '--card', 'flights', '--platform', 'kubernetes', '--output', 'b']) == 0
    assert not any(b'opensesame88' in path.read_bytes() for path in (here/'b').rglob('*') if path.is_file()) and 'opensesame88' not in capsys.readouterr().err
    one, = yaml.safe_load_all((here/'b'/'manifest.yaml').read_text())
    variable, = (item for item in one['spec']['template']['spec']['containers'][0]['env'] if item['name'] == 'DLMINE_TRACKING_URI')
    assert variable['valueFrom']['secretKeyRef']['key'] == 'DLMINE_TRACKING_URI'
