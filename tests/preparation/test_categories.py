"Categories: a hash that is the same everywhere, collisions counted exactly, strangers safe, choices by effect."
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import DataError
from dlmine.framing.card import load_card
from dlmine.preparation.categories import buckets_of, count_collisions, describe_levels, embedding_map, plan_column, stable_hash
from dlmine.preparation.category_choice import choose_categories
from dlmine.preparation.columns import ColumnPlan, FeaturePlan
from dlmine.preparation.encoders import apply_levels, code_count, fit_levels
from dlmine.preparation.loading import load_data
from dlmine.preparation.pipeline import TabularPreprocessor

texts = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60, unique=True)


def test_the_hash_is_the_same_in_another_process():
    code = "from dlmine.preparation.categories import stable_hash; print(stable_hash(['JFK', 'Köln', '北京'], 3).tolist())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**__import__("os").environ, "PYTHONHASHSEED": "7"}, check=True).stdout
    assert json.loads(found) == stable_hash(["JFK", "Köln", "北京"], 3).tolist()
    assert stable_hash(["JFK"]).tolist() == [5870350577703952210]           # of this release and every later one


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(1, 40), st.integers(0, 5))
def test_collisions_are_counted_exactly(levels, buckets, seed):
    counts = np.arange(1, len(levels) + 1)
    place = [int(stable_hash([level], seed)[0]) % buckets for level in levels]
    shared = sum(place.count(bucket) > 1 for bucket in place)
    most = sum(max(count for count, other in zip(counts, place) if other == bucket) for bucket in set(place))
    found = count_collisions(levels, counts, buckets, seed)
    assert (found.occupied, found.shared_levels) == (len(set(place)), shared)
    assert found.confused_rows == pytest.approx(1 - most / counts.sum(), abs=1e-12)


def test_buckets_collide_as_those_of_category_encoders():
    "Another hash, the same odds: the number of occupied columns agrees within chance."
    import pandas as pd
    from category_encoders import HashingEncoder
    levels = [f"plane {index}" for index in range(400)]
    for size in (16, 64, 256):
        theirs = HashingEncoder(n_components=size, max_process=1).fit_transform(pd.DataFrame({"x": levels}))
        assert int((theirs.sum(axis=1) == 1).sum()) == len(levels)           # one hit a row, there as here
        expected = size * (1 - (1 - 1 / size) ** len(levels))
        for occupied in (int((theirs.sum() > 0).sum()), count_collisions(levels, np.ones(400), size).occupied): assert abs(occupied - expected) <= 4 * np.sqrt(size) ** 0.5 + 2
    counts = np.bincount(buckets_of(levels, 16), minlength=16)
    assert ((counts - 25) ** 2 / 25).sum() < 37.7                            # chi-squared, 15 degrees of freedom, 0.1 %


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), min_size=1, max_size=60), st.lists(st.one_of(st.none(), st.sampled_from("abcxyz")), max_size=20), st.sampled_from([{"method": "hashing", "buckets": 5}, {"method": "levels", "minimum_rows": 2}, {"method": "hashing", "buckets": 3, "minimum_rows": 3}]))
def test_every_code_is_one_that_training_knows(train, later, choice):
    step = fit_levels(pa.array(train, pa.string()), choice=choice)
    if step is None: return
    step = json.loads(json.dumps(step))
    codes = apply_levels(pa.array(later, pa.string()), step)
    assert ((codes >= 0) & (codes < code_count(step))).all()
    assert [code == 0 for code in codes] == [value is None for value in later]
    again = apply_levels(pa.array(train, pa.string()), step)
    assert len(set(again) - {0, 1}) <= code_count(step) - 2


def test_the_fullest_bucket_has_the_first_code_and_an_empty_one_is_for_strangers():
    step = fit_levels(pa.array(["a"] * 5 + ["b"] * 9), choice={"method": "hashing", "buckets": 1000})
    assert apply_levels(pa.array(["b", "a", None]), step).tolist() == [2, 3, 0]
    strangers = apply_levels(pa.array([f"new {index}" for index in range(50)]), step)
    assert (strangers == 1).mean() > 0.9


def test_odd_levels_are_named():
    facts = describe_levels(pa.array(["Rome", "rome ", "ROME", "", None, "Oslo"]), pa.array(["rome", "Paris"]), "town")
    assert (facts.levels, facts.missing, facts.unseen) == (4, pytest.approx(1 / 3), 0.5) and facts.alike == (("ROME", "Rome", "rome"),)
    assert describe_levels(pa.array([1, 2, 3])).numbers and not describe_levels(pa.array(["a"])).numbers
    assert describe_levels(pa.nulls(4, pa.string())).levels == 0


def test_a_hundred_thousand_levels_are_hashed_within_seconds():
    column = pa.array([f"user {index}" for index in range(100_000)])
    plan = plan_column(column, column.slice(0, 10), "user")
    assert plan.method == "hashing" and plan.close
    table, kinds = pa.table({"user": column}), FeaturePlan((ColumnPlan("user", "categorical", True, ""),))
    found = TabularPreprocessor.fit(table, kinds, prepare={"categories": {"user": {"method": "hashing", "buckets": 64}}})
    assert found.cardinalities == [66] and len(json.dumps(found.to_json())) < 2000
    every = TabularPreprocessor.fit(table, kinds, prepare={"categories": {"user": {"method": "levels", "minimum_rows": 1}}})
    assert every.cardinalities == [50_002]


def test_an_old_preprocessor_still_loads():
    old = {"class": "dlmine.preparation.pipeline:TabularPreprocessor", "format": 1, "left_out": [], "steps": [
        {"name": "x", "kind": "numeric", "style": "plain", "map": "linear", "low": 0.0, "high": 10.0, "center": 5.0, "scale": 4.0, "mean": 0.0, "std": 1.0, "tail": 1.25, "fill": 0.0},
        {"name": "town", "kind": "categorical", "levels": ["Rome", "Oslo"], "rare_rows": 0, "rare_levels": 0}]}
    found = TabularPreprocessor.from_json(old)
    assert found.to_json() == old
    features = found.transform(pa.table({"x": [7.0, 99.0], "town": ["Oslo", "Bonn"]}))
    assert features["x_num"][:, 0].tolist() == [0.5, 1.25] and features["x_cat"][:, 0].tolist() == [3, 1]


def test_the_map_is_a_principal_component_analysis():
    from sklearn.decomposition import PCA
    matrix = np.random.default_rng(0).normal(size=(30, 8))
    places, shown = embedding_map(matrix)
    model = PCA(2).fit(matrix)
    np.testing.assert_allclose(np.abs(places), np.abs(model.transform(matrix)), atol=1e-9)
    assert shown == pytest.approx(model.explained_variance_ratio_.sum(), abs=1e-9)
    assert embedding_map(np.ones((3, 1)))[0].shape == (3, 2)
    with pytest.raises(DataError, match="at least two levels"): embedding_map(np.ones((1, 4)))


def test_choices_follow_rule_measurement_and_card(tmp_path):
    import pyarrow.parquet as pq
    generator = np.random.default_rng(0)
    rows = 4000
    town = generator.integers(0, 80, rows)
    table = pa.table({"town": [f"t{value}" for value in town], "sex": generator.choice(["f", "m"], rows), "x": generator.normal(size=rows), "y": np.where(generator.random(rows) < np.where(town % 2, 0.85, 0.15), "yes", "no")})
    pq.write_table(table, tmp_path / "t.parquet")
    (tmp_path / "t.yml").write_text("version: 1\nname: t\nsources: [{location: t.parquet}]\ntarget: y\ntask: {kind: classification, positive: 'yes'}\nsplit: {kind: random}\n")
    data = load_data(load_card(tmp_path / "t.yml"))
    choice = choose_categories(data, rows=3000, seeds=(0,))
    assert not choice.decisions["sex"].effects and choice.decisions["town"].effects
    out = [effect for effect in choice.decisions["town"].effects if effect.alternative == "left out"]
    assert {effect.verdict for effect in out} == {"worse"} and choice.decisions["town"].chosen == "levels" and choice.categories == {}
    told = choice.overrule("town", next(name for name in choice.entries["town"] if name.startswith("hashing")), "New towns are coming.", who="Eve")
    again = choose_categories(load_data(data.card.replace(prepare=told.prepare())), rows=1000, seeds=(0,))
    assert again.categories == told.categories and again.decisions["town"].overruled["who"] == "Eve"
    other = choose_categories(load_data(data.card.replace(prepare={"categories": {"town": {"method": "hashing", "buckets": 7}}})), rows=1000, seeds=(0,))
    assert other.decisions["town"].chosen == "hashing 7" and other.rows()[0]["buckets"] == 7
    with pytest.raises(DataError, match="not a categorical feature"): choose_categories(data, columns=["x"])
