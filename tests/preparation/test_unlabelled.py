"Rows without a label: only training rows hide theirs, and nothing of the judged months or groups is learned from."
import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from dlmine.core.errors import DataError
from dlmine.framing.card import parse_card
from dlmine.preparation.loading import load_data
from dlmine.preparation.unlabelled import hide_labels


@given(st.lists(st.integers(2, 60), min_size=2, max_size=5), st.integers(0, 3), st.data())
def test_the_draw_keeps_count_classes_and_rows(counts, seed, data):
    target = np.repeat(np.arange(len(counts)), counts)
    train = np.flatnonzero(np.arange(len(target)) >= 0)
    use = data.draw(st.integers(2 * len(counts), len(target)))
    kept, hidden = hide_labels(train, target, use, seed)
    assert len(kept) == use and set(kept) | set(hidden) == set(train) and not set(kept) & set(hidden)
    assert (np.bincount(target[kept], minlength=len(counts)) >= 2).all()
    assert np.array_equal(kept, hide_labels(train, target, use, seed)[0])


def card_of(tmp_path, table, **more):
    import pyarrow.parquet as parquet
    parquet.write_table(table, tmp_path / "rows.parquet")
    return parse_card("name: rows\nsources: [{location: rows.parquet}]\ntarget: y\ntask: classification\nsplit: {kind: random}", path=tmp_path / "card.yml").replace(**more)


def some_rows(n=400):
    rng = np.random.default_rng(0)
    y = [None if i % 4 == 0 else ("yes" if rng.random() < 0.4 else "no") for i in range(n)]
    start = datetime.datetime(2024, 1, 1)
    return pa.table({"x": rng.normal(size=n), "g": [f"g{i % 20}" for i in range(n)], "t": [start + datetime.timedelta(days=i) for i in range(n)], "y": y})


def test_by_time_only_earlier_rows_may_be_learned_from(tmp_path):
    data = load_data(card_of(tmp_path, some_rows(), time="t", split={"kind": "time", "valid_from": datetime.date(2024, 9, 1), "test_from": datetime.date(2024, 11, 1)}, labels={"unlabelled": "pseudo_labels"}))
    assert data.unlabelled.num_rows and max(data.unlabelled["t"].to_pylist()) < datetime.datetime(2024, 9, 1)
    assert data.unlabelled["y"].null_count == data.unlabelled.num_rows


def test_by_group_no_judged_group_may_be_learned_from(tmp_path):
    data = load_data(card_of(tmp_path, some_rows(), split={"kind": "group", "column": "g"}, labels={"unlabelled": "pseudo_labels", "use": 40}))
    judged = set(data.rows("valid")["g"].to_pylist()) | set(data.rows("test")["g"].to_pylist())
    assert not judged & set(data.unlabelled["g"].to_pylist()) and len(data.split.train) == 40


def test_dropped_by_default_and_too_few_are_refused(tmp_path):
    assert load_data(card_of(tmp_path, some_rows())).unlabelled is None
    assert load_data(card_of(tmp_path, some_rows(), labels={"use": 50})).unlabelled is None
    with pytest.raises(DataError, match="labels.use is 3"):
        load_data(card_of(tmp_path, some_rows(), labels={"use": 3}))


def test_valid_and_test_stay_whole(tmp_path):
    card = card_of(tmp_path, some_rows())
    whole, few = load_data(card), load_data(card.replace(labels={"use": 30}))
    assert [len(whole.split.valid), len(whole.split.test)] == [len(few.split.valid), len(few.split.test)]
    assert np.array_equal(whole.outcomes("test"), few.outcomes("test"))
