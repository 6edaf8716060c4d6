"""Readers of columns against pandas and Python"""
import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.framing.values import MOMENT_FORMATS, level_of, moment_format, to_levels, to_moments, to_numbers


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=30))
def test_numbers_as_text_read_as_the_same_numbers(values):
    as_text = to_numbers(pa.array([None if v is None else repr(v) for v in values], pa.string()), "plain")
    np.testing.assert_array_equal(as_text, to_numbers(pa.array(values, pa.float64())))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)), min_size=1, max_size=20))
def test_iso_moments_as_pandas(values):
    read = to_moments(pa.array([value.isoformat() for value in values]), "iso")
    np.testing.assert_array_equal(read, pd.to_datetime(pd.Series(values)).to_numpy().astype("datetime64[us]"))


@pytest.mark.parametrize("form", [form for form in MOMENT_FORMATS if form != "iso"])
def test_each_format_reads_what_it_writes(form):
    moments = [datetime.datetime(2023, 12, 31, 14, 5, 6), datetime.datetime(2024, 2, 29, 0, 0, 0), datetime.datetime(1999, 7, 13, 23, 59, 59)]
    texts = pa.array([moment.strftime(form) for moment in moments])
    expected = [datetime.datetime.strptime(moment.strftime(form), form) for moment in moments]
    assert to_moments(texts, form).tolist() == expected
    assert to_moments(texts, moment_format(texts)).tolist() == expected


@pytest.mark.parametrize("values", [[1, 2, None], [1.0, 2.0, None], ["1", "2", None], ["1 ", " 2", ""], [1.0, 2.0, float("nan")]])
def test_levels_do_not_depend_on_the_type(values):
    codes, levels = to_levels(pa.array(values))
    assert (codes.tolist(), levels) == ([0, 1, -1], ["1", "2"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=30))
def test_levels_spell_the_values(values):
    codes, levels = to_levels(pa.array(values, pa.string()))
    assert len(set(levels)) == len(levels) and (codes < len(levels)).all()
    for code, value in zip(codes, values):
        if code >= 0: assert levels[code] == level_of(value)
        else: assert value is None or value.strip() in ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "?")
