"""The preprocessor: monotone, stable, the same on every type, and clear about what it lacks"""
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import DataError
from dlmine.preparation.columns import ColumnPlan, FeaturePlan
from dlmine.preparation.pipeline import TabularPreprocessor, apply_levels, apply_number, fit_levels, fit_number, moment_parts

numbers = st.lists(st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-5, 5).map(float)), min_size=1, max_size=60)


def plan(**kinds):
    return FeaturePlan(tuple(ColumnPlan(name, kind, True, "feature") for name, kind in kinds.items()), trend=False, yearly=True)


@settings(max_examples=300, deadline=None)
@given(numbers, numbers)
def test_numbers_are_finite_and_in_order(train, later):
    step = fit_number(np.array(train))
    if step is None: return
    with np.errstate(invalid="ignore"): prepared = apply_number(np.sort(np.array(later)), step)
    assert np.isnan(prepared).sum() == np.isnan(later).sum()
    known = prepared[~np.isnan(prepared)]
    assert np.isfinite(known.astype(np.float32)).all() and (np.diff(known.astype(np.float32)) >= 0).all()
    assert fit_number(np.array(json.loads(json.dumps(train)))) == step


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), min_size=1, max_size=60), st.lists(st.one_of(st.none(), st.sampled_from("abcxyz")), max_size=20))
def test_codes_are_of_known_levels(train, later):
    step = fit_levels(pa.array(train, pa.string()))
    if step is None: return
    codes = apply_levels(pa.array(later, pa.string()), step)
    for code, value in zip(codes, later):
        assert code == (0 if value is None else step["levels"].index(value) + 2 if value in step["levels"] else 1)


@settings(max_examples=100, deadline=None)
@given(st.datetimes())
def test_parts_of_the_calendar(moment):
    parts = {name: values[0] for name, values in moment_parts(np.array([moment], "datetime64[us]")).items()}
    assert parts["weekday"] == moment.weekday() and int(parts["yearday"]) == moment.timetuple().tm_yday - 1
    assert abs(parts["hour"] - (moment.hour + moment.minute / 60 + moment.second / 3600)) < 0.01


def fitted():
    generator = np.random.default_rng(0)
    table = pa.table({"amount": generator.lognormal(0, 3, 500), "town": generator.choice(["Köln", "Rom", "Oslo"], 500), "when": np.arange(500).astype("datetime64[h]").astype("datetime64[us]"), "member": generator.random(500) < 0.4,
                      "note": generator.choice(["ja bitte", "nein danke"], 500)})
    return table, TabularPreprocessor.fit(table, plan(amount="numeric", town="categorical", when="datetime", member="boolean", note="text"))


def test_the_hash_is_the_same_in_another_process_with_other_threads():
    code = "import sys; sys.path.insert(0, %r); from test_pipeline import fitted; print(fitted()[1].hash)" % str(__import__("pathlib").Path(__file__).parent)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**__import__("os").environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}, check=True).stdout.strip()
    assert found == fitted()[1].hash


def test_order_chunks_and_encodings_do_not_matter():
    table, preprocessor = fitted()
    other = pa.concat_tables([table.slice(0, 123), table.slice(123)]).select(["note", "when", "town", "member", "amount"]).append_column("more", pa.nulls(500))
    other = other.set_column(2, "town", other["town"].dictionary_encode())
    for part in ("x_num", "x_cat"): np.testing.assert_array_equal(preprocessor.transform(table)[part], preprocessor.transform(other)[part])


def test_text_that_spells_the_values_is_read_as_they_are():
    table, preprocessor = fitted()
    spelled = pa.table({name: [None if value is None else str(value) for value in table[name].to_pylist()] for name in table.column_names})
    for part in ("x_num", "x_cat"): np.testing.assert_array_equal(preprocessor.transform(table)[part], preprocessor.transform(spelled)[part])


def test_missing_columns_are_named_and_wrong_types_refused():
    table, preprocessor = fitted()
    with pytest.raises(DataError, match="lacks 'town'.*Did you mean 'twon'"): preprocessor.transform(table.rename_columns(["amount", "twon", "when", "member", "note"]))
    with pytest.raises(DataError, match="'amount' holds timestamp"): preprocessor.transform(table.set_column(0, "amount", table["when"]))
    with pytest.raises(DataError, match="'when' holds double"): preprocessor.transform(table.set_column(2, "when", table["amount"]))
    empty = preprocessor.transform(table.slice(0, 0))
    assert empty["x_num"].shape == (0, len(preprocessor.numeric_names)) and empty["x_cat"].shape == (0, len(preprocessor.categorical_names))


def test_nothing_is_learned_from_rows_outside_training():
    table, _ = fitted()
    kinds = plan(amount="numeric", town="categorical", when="datetime", member="boolean", note="text")
    changed = pa.concat_tables([table.slice(0, 300), pa.table({"amount": [1e9] * 200, "town": ["New"] * 200, "when": np.full(200, np.datetime64("2050-01-01", "us")), "member": [True] * 200, "note": ["ganz neu"] * 200})])
    assert TabularPreprocessor.fit(table, kinds, np.arange(300)).hash == TabularPreprocessor.fit(changed, kinds, np.arange(300)).hash
