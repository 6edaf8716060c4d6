"""Cards: what is refused, with which words; hashes; texts that come back as they were"""
import datetime
import re
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import CardError
from dlmine.framing.card import MIGRATIONS, load_card, migrate, parse_card
from dlmine.framing.card_text import read_card_text, write_card_text

USECASES = Path(__file__).parents[2] / "usecases"
TEXT = """version: 1
name: churn
sources: [{location: customers.csv}]
target: left
task: {kind: classification, positive: yes}
time: asked_on
split: {kind: time, valid_from: 2024-03-01, test_from: 2024-04-01}
gates:
  - {metric: roc_auc, threshold: 0.7, bound: lower}
"""


@pytest.mark.parametrize("name", ["flights", "flights_strict", "adult"])
def test_shipped_cards_load_and_write_back(name):
    card = load_card(USECASES / f"{name}.yml")
    again = parse_card(card.to_yaml())
    assert again.hash == card.hash and again.comments == card.comments
    assert card.name == name and card.base == USECASES and card.gates
    assert len(card.comments) > 8, "a shipped card explains itself"


@pytest.mark.parametrize("old, new, said", [
    ("target: left", "taget: left", "line 4: unknown key 'taget'. Did you mean 'target'?"),
    ("valid_from: 2024-03-01", "validfrom: 2024-03-01", "unknown key 'split.validfrom'. Did you mean 'valid_from'?"),
    ("kind: time", "kind: tme", "line 7: split cannot be 'tme'. Did you mean 'time'?"),
    ("metric: roc_auc", "metric: roc_acu", "line 9: there is no metric 'roc_acu'. Did you mean 'roc_auc'?"),
    ("metric: roc_auc", "metric: rmse", "rmse does not measure a classification"),
    ("threshold: 0.7", "threshold: much", "gates.0.threshold is 'much'"),
    ("bound: lower", "bound: lowest", "Did you mean 'lower'?"),
    ("name: churn", "name: ../../etc", "name is '../../etc'"),
    ("time: asked_on\n", "", "needs time:"),
    ("version: 1", "version: 99", "newer dlmine"),
    ("version: 1", "version: new", "write version: 1"),
    ("2024-03-01", "spring", "'spring' is no moment"),
    ("target: left", "target: [left", "not well-formed YAML"),
    ("target: left", "target: left\ntarget: right", "line 5: 'target' stands twice here; the first is on line 4"),
    ("[{location: customers.csv}]", "[]", "sources"),
    ("target: left", "target: left\nexclude: [left]", "stands in exclude"),
])
def test_refused_with_place_and_remedy(old, new, said):
    with pytest.raises(CardError) as error: parse_card(TEXT.replace(old, new), "usecase.yml")
    assert said in str(error.value) and "usecase.yml" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\xff\xfe", b"- a\n- b", b"just text", b"\tname: x"])
def test_files_that_are_no_cards(tmp_path, content):
    (tmp_path / "card.yml").write_bytes(content)
    with pytest.raises(CardError, match="card"): load_card(tmp_path / "card.yml")


def test_all_mistakes_come_at_once():
    with pytest.raises(CardError) as error: parse_card(TEXT.replace("target: left", "taget: left").replace("kind: time", "kind: tme"))
    assert "taget" in str(error.value) and "tme" in str(error.value)


def test_hash_is_that_of_the_meaning():
    card = parse_card(TEXT)
    assert parse_card("# a comment\n" + TEXT + "latency: batch\n").hash == card.hash
    assert parse_card(TEXT.replace("0.7,", "0.71,")).hash != card.hash
    assert card.replace(owner="somebody").hash != card.hash and card.replace(owner="").hash == card.hash


def test_yaml_words_are_names():
    card = parse_card(TEXT.replace("target: left", "target: no").replace("asked_on", "on").replace("name: churn", "name: churn\nsegments: [010, null_, y, 2013]"))
    assert (card.target, card.time, card.task.positive, card.segments) == ("no", "on", "yes", ("010", "null_", "y", "2013"))


def test_migration_steps():
    steps = {1: lambda data: {**data, "b": data["a"]}, 2: lambda data: {**data, "c": data["b"]}}
    assert migrate({"version": 1, "a": 7}, migrations=steps, version=3) == {"version": 3, "a": 7, "b": 7, "c": 7}
    assert MIGRATIONS == {}


scalars = st.one_of(st.integers(-10**9, 10**9), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20), st.dates(datetime.date(1900, 1, 1)))
trees = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4)), max_leaves=12)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=10), trees, min_size=1, max_size=5))
def test_text_comes_back_as_it_was(data):
    assert read_card_text(write_card_text(data)).data == data


def without_serving():
    return re.sub(r"(?m)^serving:.*$", "", (USECASES / "adult.yml").read_text())


def test_new_sections_travel_through_yaml_and_leave_old_hashes_alone():

    plain = without_serving()
    more = plain + """
labels: {delay: 30 days, use: 200, unlabelled: pseudo_labels}
serving: {requests_per_second: 5, deadline_milliseconds: 50, cost_per_hour: 0.4}
as_of: 1995-01-01
prepare:
  outliers: {capital_gain: cap}
  categories: {native_country: {method: hashing, buckets: 16}}
  overruled: [{decision: outliers.capital_gain, from: keep, to: cap, who: Ada, why: one millionaire, when: 1995-01-01}]
"""
    card = parse_card(more)
    again = parse_card(card.to_yaml())
    assert again == card and again.hash == card.hash != parse_card(plain).hash
    assert set(parse_card(plain).data) & {"labels", "prepare", "serving", "as_of"} == set()
    assert card.prepare.overruled[0].measured == "keep"


@pytest.mark.parametrize("section, said", [
    ("labels: {delay: soon}", "no length of time"),
    ("prepare: {outlierss: {}}", "Did you mean 'outliers'"),
    ("prepare: {outliers: {age: clip}}", "keep, cap, transform"),
    ("serving: {requests_per_second: 0, deadline_milliseconds: 5}", "requests_per_second"),
    ("prepare: {windows: [{name: w}]}", "needs time:"),
])
def test_wrong_plans_are_named(section, said):

    with pytest.raises(CardError, match=said.replace("(", r"\(")):
        parse_card(without_serving() + "\n" + section)


def test_a_clustering_card_needs_no_split_and_a_classification_does():

    assert parse_card("name: m\nsources: [{location: movielens}]\ntask: clustering").split.kind == "random"
    with pytest.raises(CardError, match="split"):
        parse_card("name: m\nsources: [{location: adult}]\ntask: classification\ntarget: income")
