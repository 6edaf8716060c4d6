"Selections agree with pandas, whatever the column; observers are told once per change."
import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.core.selection import Between, OneOf, Selection, condition

numbers = st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(numbers, st.floats(-5, 5), st.floats(-5, 5))
def test_ranges_equal_pandas(values, low, high):
    table = pa.table({"x": pa.array(values, pa.float64())})
    expected = np.flatnonzero(pd.Series(values, dtype=float).between(low, high))
    assert np.array_equal(Selection().set("x", (low, high)).rows(table), expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "ü", None]), min_size=1, max_size=20), st.sets(st.sampled_from(["a", "b", "ü", None]), min_size=1))
def test_values_equal_plain_python(values, wanted):
    table = pa.table({"x": pa.array(values, pa.string())})
    assert list(Selection().set("x", wanted).rows(table)) == [place for place, value in enumerate(values) if value in wanted]


def test_kinds_of_columns():
    day = datetime.date(2013, 10, 1)
    table = pa.table({"day": [day, day + datetime.timedelta(40), None], "flag": [True, False, None], "code": pa.array(["x", "y", None]).dictionary_encode(), "n": pa.array([1, 2, None], pa.int8())})
    assert list(Selection().set("day", (day, day + datetime.timedelta(3))).rows(table)) == [0]
    assert list(Selection().set("flag", [False]).rows(table)) == [1]
    assert list(Selection().set("code", ["y", None]).rows(table)) == [1, 2]
    assert list(Selection().set("n", (2, None)).rows(table)) == [1]


def test_conditions_are_joined_and_cleared():
    table = pa.table({"a": [1, 1, 2], "b": [1, 2, 2]})
    selection = Selection().set("a", 1).set("b", 2)
    assert list(selection.rows(table)) == [1] and selection.describe() == "a is 1 and b is 2"
    assert list(selection.clear("a").rows(table)) == [1, 2] and len(selection.clear().rows(table)) == 3


def test_observers_are_told_of_changes_only_and_can_leave():
    selection, told = Selection(), []
    stop = selection.observe(lambda changed: told.append(changed.describe()))
    selection.set("a", [1, 2]).set("a", [2, 1]).clear("b")
    assert told == ["a is one of 1, 2"]
    stop()
    stop()
    selection.clear()
    assert len(told) == 1


def test_an_observer_that_fails_does_not_lock_the_selection():
    selection, told = Selection(), []
    stop = selection.observe(lambda changed: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        selection.set("a", 1)
    stop()
    selection.observe(lambda changed: told.append(1))
    selection.set("a", 2)
    assert told == [1]


@pytest.mark.parametrize("act, word", [(lambda: Selection("carrier").set("carier", 1), "carrier"), (lambda: condition((1,)), "two ends"),
                                       (lambda: Selection().set("x", (1, 2)).rows(pa.table({"x": ["a"]})), "type string"), (lambda: Selection().set("y", 1).rows(pa.table({"x": [1]})), "lacks")])  # fmt: skip
def test_mistakes_say_what_to_do(act, word):
    with pytest.raises(DataError, match=word):
        act()


def test_words_and_ranges():
    assert condition("ab") == OneOf(("ab",)) and condition((None, 3)) == Between(None, 3) and str(Between(None, 3)) == "is at most 3"
