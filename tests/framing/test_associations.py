"Patterns and rules: equal to mlxtend and scipy, corrected, not redundant."
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.frequent_patterns import association_rules, fpgrowth
from scipy.stats import false_discovery_control, fisher_exact

from dlmine.core.errors import DataError
from dlmine.framing.associations import Baskets, _rule_counts, find_patterns, find_rules, pack_items, read_baskets, row_baskets


def baskets_of(holds):
    return Baskets(pack_items(holds.T), tuple(f"item {place}" for place in range(holds.shape[1])), len(holds))


def draw(seed, rows=60, items=7):
    generator = np.random.default_rng(seed)
    holds = generator.random((rows, items)) < generator.uniform(0.1, 0.7, items)
    holds[:, 1] |= holds[:, 0] & (generator.random(rows) < 0.8)   # something to find
    return holds


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 70), st.integers(2, 9), st.floats(0.02, 0.6), st.integers(1, 4))
def test_patterns_are_mlxtends(seed, rows, items, minimum, longest):
    holds = draw(seed, rows, items)
    ours = find_patterns(baskets_of(holds), minimum, longest)
    theirs = fpgrowth(pd.DataFrame(holds), min_support=minimum, max_len=longest)
    assert ours == {tuple(sorted(found)): round(support * rows) for found, support in zip(theirs["itemsets"], theirs["support"])}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_rules_measure_what_mlxtend_and_scipy_measure(seed):
    holds = draw(seed)
    baskets = baskets_of(holds)
    ours = find_rules(baskets, minimum=0.05, confidence=0.0, lift=0.0, level=1.0, improvement=-1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = association_rules(fpgrowth(pd.DataFrame(holds), min_support=0.05, max_len=3), metric="confidence", min_threshold=0.0)
    known = {(tuple(sorted(row.antecedents)), tuple(row.consequents)): row for row in theirs.itertuples()}
    for rule in ours.rules:
        given_, then = tuple(sorted(int(name[5:]) for name in rule.given)), int(rule.then[5:])
        row = known[given_, (then,)]
        assert (rule.support, rule.confidence, rule.lift) == pytest.approx((row.support, row.confidence, row.lift), abs=1e-9)
        assert rule.conviction == pytest.approx(row.conviction, rel=1e-9)
        one, two = holds[:, given_].all(axis=1), holds[:, then]
        exact = fisher_exact([[(one & two).sum(), (one & ~two).sum()], [(~one & two).sum(), (~one & ~two).sum()]], "greater").pvalue
        assert rule.p_value == pytest.approx(exact, rel=1e-9)


def test_the_correction_is_scipys_over_all_candidates():
    holds = draw(3)
    baskets = baskets_of(holds)
    found = find_rules(baskets, minimum=0.05, confidence=0.0, lift=0.0, level=1.0, improvement=-1.0)
    patterns = find_patterns(baskets, 0.05, 3)
    chances = {}
    for given_, then, _ in _rule_counts(patterns, None):
        one, two = holds[:, given_].all(axis=1), holds[:, then]
        chances[given_, then] = fisher_exact([[(one & two).sum(), (one & ~two).sum()], [(~one & two).sum(), (~one & ~two).sum()]], "greater").pvalue
    corrected = dict(zip(chances, false_discovery_control(list(chances.values()))))
    assert found.candidates == len(chances)
    for rule in found.rules:
        assert rule.corrected == pytest.approx(corrected[tuple(sorted(int(name[5:]) for name in rule.given)), int(rule.then[5:])], rel=1e-9)


def test_a_longer_rule_must_improve():
    generator = np.random.default_rng(0)
    bread, milk = generator.random(2000) < 0.4, generator.random(2000) < 0.5
    butter = bread & (generator.random(2000) < 0.8)
    rules = find_rules(baskets_of(np.column_stack([bread, milk, butter])), minimum=0.02)
    assert [({*rule.given, rule.then}) for rule in rules.rules] == [{"item 0", "item 2"}], "milk adds nothing, and each pair is told once"
    both = bread & milk & (generator.random(2000) < 0.95)
    assert any(set(rule.given) == {"item 0", "item 1"} for rule in find_rules(baskets_of(np.column_stack([bread, milk, both])), minimum=0.02, about=("item 2",)).rules)


def test_chance_makes_no_rules():
    found = sum(len(find_rules(baskets_of(np.random.default_rng(seed).random((800, 25)) < 0.3), minimum=0.03, lift=1.0, confidence=0.0).rules) > 0 for seed in range(20))
    assert found <= 4   # one in twenty is promised


def test_long_tables_count_an_item_once_and_skip_gaps():
    table = pa.table({"user": ["a", "a", "a", "b", "b", None], "film": ["x", "x", "y", "x", None, "y"], "rating": [5, 1, 4, 4, 4, 4]})
    baskets = read_baskets(table, "user", "film", least=1)
    assert baskets.count == 2 and dict(zip(baskets.names, baskets.supports.tolist())) == {"x": 2, "y": 1} and baskets.unit == "users"
    high = read_baskets(table, "user", "film", keep=np.array(table["rating"].to_pylist()) > 4, least=1)
    assert high.count == 1 and high.names == ("x",)
    with pytest.raises(DataError, match="no baskets"):
        read_baskets(table.slice(5, 1), "user", "film")


def test_rows_as_baskets_never_join_levels_of_one_column():
    generator = np.random.default_rng(0)
    table = pa.table({"colour": generator.choice(["red", "blue"], 400), "size": generator.normal(size=400), "when": np.datetime64("2024-01-01T00", "us") + generator.integers(0, 5000, 400).astype("timedelta64[h]")})
    baskets = row_baskets(table)
    assert baskets.supports[[place for place, group in enumerate(baskets.groups) if group == "size"]].sum() == 400
    for items in find_patterns(baskets, 0.01, 3):
        columns = [baskets.groups[item] for item in items]
        assert len(set(columns)) == len(columns)
    assert any(name.startswith("weekday of when") for name in baskets.names)


def test_words_say_the_numbers():
    holds = np.zeros((100, 2), bool)
    holds[:40, 0], holds[:30, 1], holds[80:, 1] = True, True, True
    rule = find_rules(baskets_of(holds), minimum=0.05, confidence=0.5).rules[0]
    assert rule.words == "Of the 40 baskets with item 0, 75% also have item 1: 1.5 times as often as overall (50%)." and rule.conviction == pytest.approx(0.5 / 0.25)


def test_too_many_patterns_and_unknown_items_are_refused():
    baskets = baskets_of(np.random.default_rng(0).random((200, 40)) < 0.5)
    with pytest.raises(DataError, match="Raise minimum"):
        find_patterns(baskets, 0.001, most=500)
    with pytest.raises(DataError, match="No item is called"):
        find_rules(baskets, about=("tea",))
    with pytest.raises(DataError, match="No column"):
        row_baskets(pa.table({"same": ["x"] * 4}))
