"Files, hashes, settings, errors: what must hold for any content"
import json
import math
import multiprocessing
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import hypothesis
import pytest
from hypothesis import given, strategies as st

from dlmine.core.errors import DataError, SettingsError, StorageError, nearest
from dlmine.core.files import canonical_json, hash_rows, hash_table, locked, publish_folder, sha256_file, write_atomic
from dlmine.core.settings import load_settings

hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

plain = st.recursive(st.none() | st.booleans() | st.integers(-2**60, 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
                     lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=12)

@given(plain)
def test_canonical_json_says_the_value(value):
    assert json.loads(canonical_json(value)) == value
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)

def test_canonical_json_writes_no_nan_and_refuses_the_rest():
    assert canonical_json([math.nan, math.inf, np.float64("nan")]) == "[null,null,null]"
    for value in (b"bytes", object(), len, {"a": {1j}}):
        with pytest.raises(DataError): canonical_json(value)

texts = st.lists(st.none() | st.text(max_size=6), min_size=1, max_size=30)

@given(texts, st.integers(0, 30))
def test_hash_table_knows_only_content(values, cut):
    array = pa.array(values, pa.string())
    table = pa.table({"text": array, "place": pa.array(range(len(values)))})
    cut = min(cut, len(values))
    pieces = pa.chunked_array([array.slice(0, cut), array.slice(cut)])
    for other in (pieces, array.dictionary_encode(), array.cast(pa.large_string())):
        assert hash_table(table.set_column(0, "text", other)) == hash_table(table)
        assert (hash_rows(table.set_column(0, "text", other)) == hash_rows(table)).all()
    changed = [*values[:-1], "other" if values[-1] != "other" else None]
    assert hash_table(table.set_column(0, "text", pa.array(changed, pa.string()))) != hash_table(table)
    assert hash_rows(table.set_column(0, "text", pa.array(changed, pa.string())))[-1] != hash_rows(table)[-1]

@given(st.lists(st.none() | st.integers(-2**53 + 1, 2**53 - 1), min_size=1, max_size=30))
def test_row_hash_is_the_same_for_whole_floats(values):
    whole = pa.table({"x": pa.array(values, pa.int64())})
    floats = pa.table({"x": pa.array([None if v is None else float(v) for v in values], pa.float64())})
    assert (hash_rows(whole) == hash_rows(floats)).all()
    assert len(set(hash_rows(whole).tolist())) == len(set(values))

def test_hash_rows_of_nothing_under_nulls():
    garbage = pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(np.array([7, 99]).tobytes())])
    clean = pa.array([7, None], pa.int64())
    assert hash_table(pa.table({"a": garbage})) == hash_table(pa.table({"a": clean}))
    assert (hash_rows(pa.table({"a": garbage})) == hash_rows(pa.table({"a": clean}))).all()

def test_known_hashes_stay_known():
    "Releases carry these numbers: a change of the algorithm would make old ones incomparable"
    table = pa.table({"age": [3, None], "name": ["Zoë", None], "at": pa.array([0, None], pa.timestamp("us")), "ok": [True, None]})
    assert hash_rows(table).tolist() == [18386803580363536504, 7269803544487087045]
    assert hash_table(table) == "746f07a9c58d6cbc1e55aa764bf26cd0339278da1bf0ebc5a616fd6530b7c968"

def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "state.json"
    write_atomic(path, "0" * 500_000)
    code = f"from dlmine.core.files import write_atomic\nimport itertools\nfor i in itertools.count(1): write_atomic({str(path)!r}, str(i % 10) * 500_000)"
    for delay in (0.6, 0.75, 0.9):
        process = subprocess.Popen([sys.executable, "-c", code]); time.sleep(delay); process.kill(); process.wait()
        content = path.read_text()
        assert len(content) == 500_000 and len(set(content)) == 1

def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path):
    code = f"""
import resource, signal
from dlmine.core.errors import StorageError
from dlmine.core.files import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try: write_atomic({str(tmp_path / 'big')!r}, b'x' * 5000)
except StorageError as error: print('told:', error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("told: Cannot write"), done.stderr
    assert list(tmp_path.iterdir()) == []

def test_published_folders_never_change(tmp_path):
    for content in ("one", "two"):
        (tmp_path / "staging").mkdir(exist_ok=True); (tmp_path / "staging" / "file").write_text(content)
        if content == "one": publish_folder(tmp_path / "staging", tmp_path / "out" / "r")
    with pytest.raises(StorageError, match="never change"): publish_folder(tmp_path / "staging", tmp_path / "out" / "r")
    assert (tmp_path / "out" / "r" / "file").read_text() == "one"

def _count_up(path, times):
    for _ in range(times):
        with locked(path): write_atomic(path, str(int(path.read_text()) + 1))

def test_locks_between_processes(tmp_path):
    path = tmp_path / "counter"; path.write_text("0")
    processes = [multiprocessing.get_context("fork").Process(target=_count_up, args=(path, 25)) for _ in range(3)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert path.read_text() == "75"

@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=8))
def test_nearest_only_offers_what_exists(name, names):
    answer = nearest(name, names)
    assert answer == "" or any(repr(known) in answer for known in names)

def test_settings_refuse_what_they_do_not_know(tmp_path):
    with pytest.raises(SettingsError, match="Did you mean 'tracking_uri'"): load_settings(tmp_path, {"DLMINE_TRACKING_URL": "x"})
    (tmp_path / "settings.ini").write_text("[dlmine]\nworkspace = a%b\nworkspace = twice\n")
    with pytest.raises(SettingsError, match="cannot be read"): load_settings(tmp_path, {})
    (tmp_path / "settings.ini").write_bytes(b"[dlmine]\nrole = \xff\xfe\n")
    with pytest.raises(SettingsError, match="cannot be read"): load_settings(tmp_path, {})
    for text in ("-1", "0", "1.5", "", "one"):
        with pytest.raises(SettingsError, match="time_budget"): load_settings(tmp_path.parent, {"DLMINE_TIME_BUDGET": text})

def test_a_child_process_gets_the_same_settings(tmp_path):
    (tmp_path / "settings.ini").write_text("[dlmine]\nworkspace = w\nactor = Ann 100%\ndata = files\n")
    settings = load_settings(tmp_path, {})
    assert load_settings("/", settings.environment()) == settings
