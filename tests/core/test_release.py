"A release predicts what its model says, on any batch, and is not served once a byte of it has changed."
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies

sys.path.insert(0, str(Path(__file__).parent))
import tiny
from dlmine.core.errors import DataError, IntegrityError
from dlmine.core.evidence import verify
from dlmine.core.files import hash_rows
from dlmine.core.release import apply_calibration, load_preprocessor, read_release, write_release
from dlmine.core.settings import Settings

TABLE = pa.table({"a": [0.5, -1.0, None, 3.0, 0.0], "b": [1, 2, 3, None, 5], "other": list("vwxyz")})


def inputs():
    return np.array([[0.5, 1], [-1, 2], [0, 3], [3, 0], [0, 5]])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    settings = Settings(workspace=tmp_path_factory.mktemp("releases"), threads=1)
    return write_release(settings, name="tiny", files=tiny.files(threshold=0.4))


def test_binary_scores_and_decisions(written):
    scores = written.predict(TABLE)
    expected = 1 / (1 + np.exp(-(inputs() @ [0.5, -0.25] + 0.1)))
    assert scores.shape == (5,) and np.allclose(scores, expected, atol=1e-6)
    assert written.decide(scores).tolist() == (expected >= 0.4).tolist()


@hypothesis_settings(max_examples=30, deadline=None)
@given(batch=strategies.integers(1, 7), rows=strategies.integers(0, 5))
def test_batches_do_not_matter(written, batch, rows):
    assert np.array_equal(written.predict(TABLE.slice(0, rows), batch=batch), written.predict(TABLE)[:rows])


def test_two_output_columns_are_read_as_the_positive_class(own_workspace):
    two = tiny.model([[0.5, -0.5], [0.1, -0.1]], [0.0, 0.0], "Softmax")
    release = write_release(Settings(workspace=own_workspace), name="two", files=tiny.files(onnx_bytes=two))
    odds = inputs() @ np.array([[0.5, -0.5], [0.1, -0.1]])
    assert np.allclose(release.predict(TABLE), np.exp(odds[:, 1]) / np.exp(odds).sum(axis=1), atol=1e-6)


def test_many_classes_and_regression(own_workspace):
    settings = Settings(workspace=own_workspace, threads=1)
    weights = np.array([[0.5, -0.5, 0.0], [0.1, 0.2, -0.3]])
    many = write_release(settings, name="many", files=tiny.files("multiclass", tiny.model(weights, [0, 0, 0.1], "Softmax"), classes=["x", "y", "z"], calibration={"kind": "temperature", "temperature": 2.0}))
    logits = (inputs() @ weights + [0, 0, 0.1]) / 2
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(many.predict(TABLE), expected, atol=1e-6) and many.decide(expected).tolist() == expected.argmax(axis=1).tolist()
    plain = write_release(settings, name="price", files=tiny.files("regression", tiny.model([100, 10], 5, "Identity")))
    assert np.allclose(plain.predict(TABLE), inputs() @ [100, 10] + 5) and plain.predict(TABLE).shape == (5,)
    wrong = write_release(settings, name="wrong", files=tiny.files("regression", tiny.model(weights, [0, 0, 0], "Identity")))
    with pytest.raises(DataError, match="3,\\) values a row"):
        wrong.predict(TABLE)


def test_inputs_that_the_model_lacks_are_left_out_and_missing_ones_refused(own_workspace, written):
    assert set(written.features(TABLE)) == {"x_num", "x_cat"} and [i.name for i in written.session.get_inputs()] == ["x_num"]
    more = write_release(Settings(workspace=own_workspace), name="more", files=tiny.files(onnx_bytes=tiny.model([1, 1], 0, inputs=("x_num", "x_text"))))
    with pytest.raises(DataError, match="gives no x_text"):
        more.predict(TABLE)


def test_predicting_loads_neither_torch_nor_mlflow_nor_pandas(written):
    program = ("import sys; sys.path.insert(0, sys.argv[2]); import tiny, pyarrow as pa; from pathlib import Path; from dlmine.core.release import read_release\n"
               "from dlmine.core.settings import Settings\n"
               "r = read_release(sys.argv[1], Settings(workspace=Path(sys.argv[1]).parents[2])); r.predict(pa.table({'a': [1.0], 'b': [2.0]}))\n"
               "print([m for m in ('torch', 'mlflow', 'sklearn', 'fastai', 'matplotlib') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program, str(written.path), str(Path(__file__).parent)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@hypothesis_settings(max_examples=200, deadline=None)
@given(data=strategies.data())
def test_any_flipped_bit_is_refused_by_name(written, data):
    path = data.draw(strategies.sampled_from(sorted(written.path.iterdir())))
    whole = path.read_bytes()
    position, bit = data.draw(strategies.integers(0, len(whole) - 1)), data.draw(strategies.integers(0, 7))
    try:
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1:])
        with pytest.raises(IntegrityError) as error:
            read_release(written.path, written.settings)
    finally:
        path.write_bytes(whole)
    assert path.name in str(error.value)


def test_removed_added_and_moved_files_are_named(written, tmp_path):
    copy = tmp_path / "tiny" / written.release_id
    shutil.copytree(written.path, copy)
    assert read_release(copy, Settings(workspace=tmp_path / "elsewhere")).release_id == written.release_id    # served on another machine
    (copy / "profile.json").unlink()
    with pytest.raises(IntegrityError, match="profile.json is missing"):
        read_release(copy, written.settings)
    (copy / "profile.json").write_text("{}\n")
    (copy / "notes.txt").write_text("x")
    with pytest.raises(IntegrityError, match="notes.txt was added"):
        read_release(copy, written.settings)
    with pytest.raises(DataError, match="no release at"):
        read_release(tmp_path / "nowhere", written.settings)


def test_a_release_signed_elsewhere_is_not_taken_into_a_workspace(written, own_workspace):
    other = Settings(workspace=own_workspace)
    write_release(other, name="own", files=tiny.files())
    target = own_workspace / "releases" / "tiny" / written.release_id
    shutil.copytree(written.path, target)
    with pytest.raises(IntegrityError, match="another key"):
        read_release(target, other)
    assert "release tiny" in verify(other).first_problem


@pytest.mark.parametrize("change, message", [
    ({"model.onnx": None}, "lacks model.onnx"), ({"model.onnx": b"no model"}, "onnxruntime cannot open"), ({"profile.json": "{"}, "is not JSON"), ({"decision.json": {"kind": "other"}}, "has the kind"),
    ({"decision.json": {"kind": "binary", "calibration": {"kind": "magic"}}}, "calibration 'magic'"), ({"weights.pt": b""}, "pickle"), ({"a/b.json": {}}, "cannot be a file"),
    ({"checksums.json": {}}, "cannot be a file"), ({"weights.safetensors": b""}, "together, or neither")])
def test_what_is_no_release_is_not_written(own_workspace, change, message):
    files = {name: content for name, content in {**tiny.files(), **change}.items() if content is not None}
    with pytest.raises(DataError, match=message):
        write_release(Settings(workspace=own_workspace), name="tiny", files=files)
    assert not list((own_workspace).glob("releases/*/*"))


@pytest.mark.parametrize("name", ["os:system", "pickle:loads", "dlmine.core.files:nothing", "dlmine", "", "dlmine.core.files:write_atomic; x"])
def test_a_release_brings_no_code(name):
    with pytest.raises(IntegrityError):
        load_preprocessor({"class": name})


def test_training_rows(own_workspace):
    from safetensors.numpy import save
    settings = Settings(workspace=own_workspace)
    release = write_release(settings, name="tiny", files={**tiny.files(), "training_rows.safetensors": save({"rows": hash_rows(TABLE.slice(1, 2))})})
    assert release.has_trained_on(TABLE).tolist() == [False, True, True, False, False]


@hypothesis_settings(max_examples=100, deadline=None)
@given(scores=strategies.lists(strategies.floats(0, 1), min_size=2, max_size=30), temperature=strategies.floats(0.1, 10))
def test_temperature_keeps_the_order_and_the_range(scores, temperature):
    scores = np.sort(np.array(scores))
    mapped = apply_calibration(scores, {"kind": "temperature", "temperature": temperature})
    assert (np.diff(mapped) >= 0).all() and (0 <= mapped).all() and (mapped <= 1).all()
    two = apply_calibration(np.column_stack([1 - scores, scores]), {"kind": "temperature", "temperature": temperature})
    assert np.allclose(two[:, 1], mapped, atol=1e-6) and np.allclose(two.sum(axis=1), 1)


def test_isotonic_is_what_scikit_learn_predicts():
    from sklearn.isotonic import IsotonicRegression
    random_numbers = np.random.default_rng(0)
    scores, target = random_numbers.random(500), random_numbers.random(500)
    target = (target < scores**2).astype(float)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, target)
    calibration = {"kind": "isotonic", "x": fitted.X_thresholds_.tolist(), "y": fitted.y_thresholds_.tolist()}
    new = np.concatenate([random_numbers.random(200), [0.0, 1.0]])
    assert np.allclose(apply_calibration(new, calibration), fitted.predict(new), atol=1e-12)


WORK = """
import sys, itertools
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import tiny
from dlmine.core.release import write_release
from dlmine.core.settings import Settings
print("ready", flush=True)
for number in itertools.count():
    write_release(Settings(workspace=Path(sys.argv[1]), threads=1), name="tiny", files=tiny.files(number=number))
"""


@pytest.mark.faults
def test_killed_while_publishing_there_are_only_whole_releases(own_workspace):
    settings, chance = Settings(workspace=own_workspace), random.Random(3)
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", WORK, str(own_workspace), str(Path(__file__).parent)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(chance.uniform(0.02, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert verify(settings).ok
        for folder in own_workspace.glob("releases/tiny/[!.]*"):
            assert read_release(folder, settings).predict(TABLE).shape == (5,)
    assert write_release(settings, name="tiny", files=tiny.files()).predict(TABLE).shape == (5,)


def _write(workspace):
    for number in range(6):
        write_release(Settings(workspace=workspace, threads=1), name="tiny", files=tiny.files(number=number))


def test_two_processes_write_the_same_releases(own_workspace):
    start = multiprocessing.get_context("spawn")
    writers = [start.Process(target=_write, args=(own_workspace,)) for _ in range(2)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
        assert process.exitcode == 0
    assert len(list(own_workspace.glob("releases/tiny/*"))) == 6 and verify(Settings(workspace=own_workspace)).checked["releases"] == 6
