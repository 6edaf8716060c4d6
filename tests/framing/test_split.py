"""Splits: complete, disjoint, repeatable, and refused with the data's range"""
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import DataError
from dlmine.framing.card import parse_card
from dlmine.framing.split import split_rows


def card(split, more=""):
    return parse_card(f"name: example\nsources: [{{location: example.csv}}]\ntarget: y\ntask: classification\nsplit: {split}\n{more}")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=3, max_size=200), st.integers(0, 5))
def test_a_draw_uses_each_row_once(labels, seed):
    labels = np.array(labels)
    sides, _ = split_rows(pa.table({"y": labels}), card(f"{{kind: random, seed: {seed}}}"), labels)
    assert sorted(np.concatenate([*sides]).tolist()) == list(range(len(labels))) and all(len(side) for side in sides)
    for label in np.unique(labels):
        if (labels == label).sum() >= 3: assert all((labels[side] == label).any() for side in sides), "a class with three rows reaches every side"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=3, max_size=200), st.integers(0, 3))
def test_groups_stay_together(groups, seed):
    groups = np.array(groups)
    table = pa.table({"who": groups, "y": groups % 2})
    if len(np.unique(groups)) < 3:
        with pytest.raises(DataError, match="at least three groups"): split_rows(table, card(f"{{kind: group, column: who, seed: {seed}}}"))
        return
    sides, _ = split_rows(table, card(f"{{kind: group, column: who, seed: {seed}}}"))
    held = [set(groups[side]) for side in sides]
    assert sum(map(len, held)) == len(set(groups)) and all(held)


def test_group_sides_do_not_depend_on_the_order_of_rows():
    groups = np.array([f"g{i % 17}" for i in range(300)])
    order = np.random.default_rng(0).permutation(300)
    first, _ = split_rows(pa.table({"who": groups, "y": np.zeros(300)}), card("{kind: group, column: who}"))
    second, _ = split_rows(pa.table({"who": groups[order], "y": np.zeros(300)}), card("{kind: group, column: who}"))
    assert [set(groups[side]) for side in first] == [set(groups[order][side]) for side in second]


@pytest.mark.parametrize("bounds, side", [(("2023-01-01", "2024-03-01"), "train"), (("2024-01-05T12:00:00", "2024-01-05T13:00:00"), "validation"), (("2024-03-01", "2025-01-01"), "test")])
def test_an_empty_side_names_the_range(bounds, side):
    table = pa.table({"when": np.arange("2024-01-01", "2024-04-10", dtype="datetime64[D]"), "y": np.arange(100) % 2})
    with pytest.raises(DataError, match=f"{side} side empty.*2024-01-01 00:00 to 2024-04-09 00:00"):
        split_rows(table, card(f"{{kind: time, valid_from: {bounds[0]}, test_from: {bounds[1]}}}", "time: when"))


def test_times_as_text_and_as_moments_split_alike():
    days = np.arange("2024-01-01", "2024-04-10", dtype="datetime64[D]")
    split = card("{kind: time, valid_from: 2024-02-15, test_from: 2024-03-15}", "time: when")
    first, _ = split_rows(pa.table({"when": days, "y": np.zeros(100)}), split)
    second, _ = split_rows(pa.table({"when": [str(day) for day in days], "y": np.zeros(100)}), split)
    assert [side.tolist() for side in first] == [side.tolist() for side in second]
