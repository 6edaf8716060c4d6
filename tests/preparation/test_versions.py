"Versions of features: the same anywhere, different when anything that matters differs, stored once, replayed bit by bit."
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dlmine.core.errors import DataError, IntegrityError
from dlmine.core.settings import load_settings
from dlmine.framing.card import load_card
from dlmine.preparation import versions
from dlmine.preparation.loading import load_data
from dlmine.preparation.pipeline import TabularPreprocessor
from dlmine.preparation.versions import diff_versions, find_version, hash_code, list_versions, make_version, read_version, replay, save_version

ROOT = Path(__file__).parents[2]
ADULT = ROOT / "usecases" / "adult.yml"
SCRIPT = """
import sys
from dlmine.framing.card import load_card
from dlmine.preparation.loading import load_data
from dlmine.preparation.pipeline import TabularPreprocessor
from dlmine.preparation.versions import make_version
import pyarrow as pa
if len(sys.argv) > 2: pa.set_cpu_count(int(sys.argv[2]))
card = load_card(sys.argv[1])
data = load_data(card, rows=3000)
preprocessor = TabularPreprocessor.fit(data.table, data.plan, data.split.train, data.target.values)
version = make_version(preprocessor, data.table, {"test": preprocessor.transform(data.rows("test"))}, card=card)
print(version.hash, version.columns["test"] and hash(1) and sorted(version.columns["test"].values())[0])
"""


@pytest.fixture(scope="module")
def adult():
    card = load_card(ADULT)
    data = load_data(card, rows=3000)
    return card, data, TabularPreprocessor.fit(data.table, data.plan, data.split.train, data.target.values)


@pytest.mark.parametrize("name", ["adult", "flights"])
def test_same_hash_with_another_clock_locale_seed_thread_count_and_folder(name, tmp_path):
    card = tmp_path / "elsewhere.yml"
    card.write_text((ROOT / "usecases" / f"{name}.yml").read_text())
    said = set()
    for place, threads, environment in ((ROOT / "usecases" / f"{name}.yml", "1", {"TZ": "UTC", "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}),
                                        (card, "4", {"TZ": "Asia/Kolkata", "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "2", "LC_ALL": "C.UTF-8"})):
        done = subprocess.run([sys.executable, "-c", SCRIPT, str(place), threads], env=os.environ | environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        said.add(done.stdout.strip())
    assert len(said) == 1, said


def test_parameters_schema_and_code_each_change_the_hash(adult, monkeypatch, tmp_path):
    card, data, preprocessor = adult
    version = make_version(preprocessor, data.table, card=card)
    assert make_version(preprocessor, data.table, card=card.replace(name="other")).hash == version.hash   # a name decides no number
    wider = data.table.set_column(data.table.schema.get_field_index("age"), "age", data.table["age"].cast(pa.float64()))
    change = diff_versions(version, make_version(preprocessor, wider, card=card))
    assert change.changes == (("age", "type int64 → double"),)
    module = tmp_path / "enricher_of_a_test.py"
    monkeypatch.syspath_prepend(tmp_path)
    module.write_text("def double(x):\n    return 2 * x\n")
    with_module = make_version(preprocessor, data.table, card=card, modules=["enricher_of_a_test"])
    module.write_text("# explained\n\ndef double(x):\n    return 2 * x\n")
    assert make_version(preprocessor, data.table, card=card, modules=["enricher_of_a_test"]).hash == with_module.hash != version.hash
    module.write_text("def double(x):\n    return 3 * x\n")
    other = make_version(preprocessor, data.table, card=card, modules=["enricher_of_a_test"])
    assert other.hash != with_module.hash and "enricher_of_a_test changed" in str(diff_versions(with_module, other))


def test_parameters_beyond_twelve_digits_do_not_matter(adult):
    _, data, preprocessor = adult
    moved = data.table.set_column(data.table.schema.get_field_index("age"), "age", pa.array(data.table["age"].to_numpy() * (1 + 1e-15)))
    plan = data.plan
    one, two = (TabularPreprocessor.fit(table, plan, data.split.train, data.target.values) for table in (data.table.set_column(data.table.schema.get_field_index("age"), "age", data.table["age"].cast(pa.float64())), moved))
    assert one.hash == two.hash


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(DataError, match="no_such_module"):
        hash_code(["no_such_module"])


def test_diff_in_words():
    def table(levels, numbers):
        return pa.table({"dest": levels, "dep_hour": pa.array(numbers, pa.float64()), "y": [0, 1] * (len(levels) // 2)})

    from dlmine.preparation.columns import ColumnPlan, FeaturePlan
    plan = FeaturePlan((ColumnPlan("dest", "categorical", True, "feature"), ColumnPlan("dep_hour", "numeric", True, "feature")))
    before = table(["ATL", "BOS"] * 20, [0.0] * 30 + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    after = table(["ATL", "BOS", "LAX", "MIA", "SEA", "ATL", "BOS", "LAX", "MIA", "SEA"] * 4, [13.0, 14, 12, 13, 13] * 8)
    said = str(diff_versions(*(make_version(TabularPreprocessor.fit(one, plan), one) for one in (before, after))))
    assert "`dest`: 3 levels added ('LAX', 'MIA' and 1 more" in said or "`dest`: 3 levels added (" in said
    assert "`dep_hour`: " in said and "fill 0 → median 13" in said
    gone = make_version(TabularPreprocessor.fit(after, FeaturePlan(plan.columns[:1])), after)
    assert ("dep_hour", "no feature any more") in diff_versions(make_version(TabularPreprocessor.fit(after, plan), after), gone).changes
    assert ("dep_hour", "new, numeric") in diff_versions(gone, make_version(TabularPreprocessor.fit(after, plan), after)).changes


def test_stored_once_listed_in_order_and_read_back(adult):
    card, data, preprocessor = adult
    settings = load_settings()
    features = {"test": preprocessor.transform(data.rows("test"))}
    version = make_version(preprocessor, data.table, features, card=card, data=data.sha256)
    stored = save_version(settings, version, features)
    assert stored.number == 1 and save_version(settings, version).number == 1
    fewer = TabularPreprocessor.fit(data.table, data.plan, data.split.train[:1000], data.target.values)
    assert save_version(settings, make_version(fewer, data.table, card=card)).number == 2
    listed = list_versions(settings, "adult")
    assert [one.number for one in listed] == [1, 2] and listed[0].hash == version.hash
    assert replay(find_version(settings, "adult", 1), {"test": data.rows("test")}).identical
    import pyarrow.parquet as parquet
    kept = parquet.read_table(stored.folder / "test.parquet")
    assert kept.num_rows == len(features["test"]["x_num"]) and np.array_equal(kept["age"].to_numpy(), features["test"]["x_num"][:, preprocessor.numeric_names.index("age")], equal_nan=True)
    with pytest.raises(DataError, match="no version 9. There are 1 and 2|no version 9. There are 1, 2"):
        find_version(settings, "adult", 9)
    with pytest.raises(DataError, match="None was stored yet"):
        find_version(settings, "nobody", 1)


def test_replay_names_the_column_that_differs(adult):
    card, data, preprocessor = adult
    version = make_version(preprocessor, data.table, {"test": preprocessor.transform(data.rows("test"))}, card=card)
    rows = data.rows("test")
    touched = rows.set_column(rows.schema.get_field_index("education"), "education", pa.array(["Masters"] + rows["education"].to_pylist()[1:]))
    proof = replay(version, {"test": touched})
    assert not proof.identical and proof.differing == ("test: education",) and proof.evidence().verdict == "failed"
    with pytest.raises(DataError, match="no digests of"):
        replay(version, {"valid": data.rows("valid")})
    with pytest.raises(DataError):
        replay(make_version(preprocessor, data.table, card=card), {})


def test_touched_files_are_named(adult):
    card, data, preprocessor = adult
    stored = save_version(load_settings(), make_version(preprocessor, data.table, card=card))
    path = stored.folder / "version.json"
    path.write_text(path.read_text().replace("int64", "int32", 1))
    with pytest.raises(IntegrityError, match="version.json"):
        read_version(stored.folder)
    (stored.folder / "checksums.json").write_text(json.dumps({name: versions.sha256_file(stored.folder / name) for name in ("version.json", "preprocess.json")}))
    with pytest.raises(IntegrityError, match="do not give its hash"):
        read_version(stored.folder)
    with pytest.raises(DataError, match="holds no version"):
        read_version(stored.folder.parent)
