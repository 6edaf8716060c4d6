"Baselines: figures by hand on small tables, honest differences, clear refusals, odd tables."
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import CardError, DataError
from dlmine.core.files import canonical_json
from dlmine.framing.baselines import Judge, make_line, measure_baselines
from dlmine.framing.card import parse_card
from dlmine.framing.lists import list_figures, resample_lists
from dlmine.framing.naive import find_season, naive_predictions, outcomes_before, rule_scores
from dlmine.preparation.loading import load_data

COSTS = {"true_positive": 10.0, "false_positive": -3.0, "false_negative": -1.0, "true_negative": 0.5}


def draw(rows=900, seed=0, days=30):
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    day = np.repeat(np.arange(days), rows // days)
    when = np.datetime64("2024-01-01") + day * np.timedelta64(1, "D") + random.integers(0, 1440, rows) * np.timedelta64(1, "m")
    late = (random.random(rows) < 1 / (1 + np.exp(1.5 - 1.5 * x))).astype(int)
    return {"x": x, "day": [str(np.datetime64("2024-01-01") + int(one))for one in day], "when": [str(one) for one in when], "late": late, "noise": random.random(rows)}


def card_of(tmp_path, columns, text):
    pa.csv.write_csv(pa.table(columns), tmp_path / "data.csv")
    return parse_card("name: test\nsources: [{location: data.csv}]\n" + text, path=tmp_path / "card.yml")


DAILY = "target: late\ntask: {kind: classification, positive: 1}\ncluster: day\nsplit: {kind: random, valid: 0.2, test: 0.5}\nkpi: {capacity: 4, rule: x, currency: EUR, cost_matrix: {true_positive: 10, false_positive: -3, false_negative: -1, true_negative: 0.5}}\n"


def test_lists_of_each_day_by_hand(tmp_path):
    card = card_of(tmp_path, draw(), DAILY)
    data = load_data(card)
    found = measure_baselines(data, card, resamples=200)
    test = data.split.test
    x, late, day = (data.table[name].to_numpy()[test] for name in ("x", "late", "day"))
    hits, acted, cases, rows = [], [], [], []
    for one in np.unique(day):
        mine = day == one
        first = np.argsort(-x[mine])[:4]
        hits.append(late[mine][first].sum()), acted.append(len(first)), cases.append(late[mine].sum()), rows.append(mine.sum())
    hits, acted, cases, rows = map(np.array, (hits, acted, cases, rows))
    line = found.line("rule in use")
    assert found.judge.k == 4 and found.today == "rule in use" and line.more is None and found.figures["lists"] == len(hits)
    assert line.intervals["precision_at_k"].value == pytest.approx((hits / acted).mean())
    assert line.intervals["recall_at_k"].value == pytest.approx((hits / cases)[cases > 0].mean())
    assert line.intervals["lift_at_k"].value == pytest.approx((hits / acted).mean() / late.mean())
    money = 10 * hits - 3 * (acted - hits) - (cases - hits) + .5 * (rows - cases - acted + hits)
    assert line.intervals["money"].value == pytest.approx(money.mean())
    nobody = found.line("nobody acts")
    assert nobody.intervals["money"].value == pytest.approx((-cases + .5 * (rows - cases)).mean()) and list(nobody.intervals) == ["money"]
    blind = found.line("the same for all").intervals
    assert blind["precision_at_k"].value == pytest.approx((cases / rows).mean())       # ties at their expected value
    assert all(one.lower <= one.value <= one.upper for one in line.intervals.values())
    canonical_json(found.evidence().figures)
    assert len(found.table()) == 4 and "EUR a day" in found.sentence() and str(found.plot()).startswith("<svg") and "rule in use" in found._repr_html_()


def test_one_list_of_all_rows_by_hand(tmp_path):
    card = card_of(tmp_path, draw(), DAILY.replace("cluster: day\n", "").replace("capacity: 4", "capacity: 60"))
    data = load_data(card)
    found = measure_baselines(data, card, resamples=100, models={"noise": data.table["noise"].to_numpy()[data.split.test]})
    late, x = data.outcomes("test"), data.table["x"].to_numpy()[data.split.test]
    hits = late[np.argsort(-x)[:60]].sum()
    expected = 10 * hits - 3 * (60 - hits) - (late.sum() - hits) + .5 * (len(late) - late.sum() - 60 + hits)
    line = found.line("rule in use")
    assert line.intervals["money"].value == pytest.approx(expected) and line.intervals["precision_at_k"].value == pytest.approx(hits / 60)
    assert found.line("nobody acts").intervals["money"].value == pytest.approx(-late.sum() + .5 * (len(late) - late.sum()))
    worse = found.line("noise")
    assert worse.more.upper < 0 and "noise is worse than today" in found.sentence() and "EUR in all" in found._repr_html_()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_many_lists_of_one_day_equal_one_list(seed):
    "Two ways of counting must agree where they mean the same."
    random = np.random.default_rng(seed)
    rows = int(random.integers(5, 60))
    target, scores, k = random.integers(0, 2, rows), random.integers(0, 6, rows).astype(float), int(random.integers(1, rows + 1))
    target[0] = 1
    one = Judge("binary", target, None, np.zeros(rows, int), k, COSTS, rows=25).measure(scores)[0]
    many = resample_lists(list_figures(target, scores, np.zeros(rows, int), k, COSTS), 5, 0)[0]
    for name, value in one.items(): assert many[name] == pytest.approx(value, abs=1e-9), name


def test_a_copy_of_the_rule_is_no_better_and_a_better_one_is(tmp_path):
    card = card_of(tmp_path, draw(3000), DAILY)
    data = load_data(card)
    x, late = data.table["x"].to_numpy()[data.split.test], data.outcomes("test")
    found = measure_baselines(data, card, resamples=300, models={"copy": 7 * x + 3, "oracle": late + x * 1e-3})
    assert found.line("copy").more.value == found.line("copy").more.upper == 0
    assert found.line("oracle").more.lower > 0 and "oracle is better than today" in found.sentence()
    same = measure_baselines(data, card, resamples=300, models={"copy": x})
    assert "do not show that copy is better" in same.sentence()


def test_intervals_over_days_are_wider_where_days_differ():
    random = np.random.default_rng(1)
    day = np.repeat(np.arange(25), 40)
    target = (random.random(1000) < np.where(day % 2, .6, .1)).astype(int)
    scores = random.random(1000)
    daily = make_line(Judge("binary", target, day, day, 10), "daily", "naive", scores).intervals["precision_at_k"]
    rows = make_line(Judge("binary", target, np.arange(1000) % 25, None, 10), "mixed", "naive", scores).intervals["precision_at_k"]
    assert daily.upper - daily.lower > 1.5 * (rows.upper - rows.lower)


def test_the_rule_column():
    table = pa.table({"a": [3.0, None, np.inf, -np.inf], "flag": [True, False, None, True], "text": ["1,000.5", "20", "x", None], "words": ["b", "c", "d", "e"], "empty": pa.nulls(4, pa.float64()), "-a": [1, 2, 3, 4]})
    scores, note = rule_scores(table, "a")
    assert scores.tolist() == [2, 0, 3, 1] and "1 of 4 rows have no readable value" in note
    assert rule_scores(table, "flag")[0].tolist() == [2, 1, 0, 2] and rule_scores(table, "text")[0].tolist() == [2, 1, 0, 0]
    assert rule_scores(table, "-a")[0].tolist() == [1, 2, 3, 4]       # a column of that very name comes first
    assert rule_scores(table.drop(["-a"]), "-a")[0].tolist() == [2, 0, 1, 3]
    for rule, message in (("words", "words such as 'b'"), ("empty", "no value at all")):
        with pytest.raises(DataError, match=message): rule_scores(table, rule)
    with pytest.raises(CardError, match="Did you mean 'flag'"): rule_scores(table, "-flags")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_last_value_equals_a_plain_loop_and_never_sees_the_present(seed):
    random = np.random.default_rng(seed)
    rows = int(random.integers(1, 40))
    times, values, entities = random.integers(0, 15, rows), random.integers(0, 100, rows).astype(float), random.integers(0, 3, rows)
    for lag, reach in ((0, None), (3, None), (3, 2)):
        found = outcomes_before(times, values, entities, lag=lag, reach=reach)
        for row in range(rows):
            able = (entities == entities[row]) & ((times < times[row]) if lag == 0 else (times <= times[row] - lag))
            if reach is not None: able &= times >= times[row] - lag - reach
            expected = values[able & (times == times[able].max())].mean() if able.any() else np.nan
            assert found[row] == pytest.approx(expected, nan_ok=True)


def test_season_of_an_irregular_series_with_gaps():
    random = np.random.default_rng(0)
    clock = np.datetime64("2023-01-01") + np.sort(random.choice(24 * 200, 2500, replace=False)) * np.timedelta64(1, "h")
    hour = (clock - clock.astype("datetime64[D]")) / np.timedelta64(1, "h")
    name, guess = find_season(clock, np.sin(hour / 24 * 2 * np.pi) + random.normal(0, .01, 2500), None, np.arange(1500), np.arange(1500, 2000))
    assert name == "day" and np.nanmedian(np.abs(guess - np.sin(hour / 24 * 2 * np.pi))) < .3
    assert find_season(clock[:10], np.arange(10.0), None, np.arange(5), np.arange(5, 10)) is None
    assert find_season(np.arange(10.0), np.arange(10.0), None, np.arange(5), np.arange(5, 10)) is None      # numbers have no calendar


def test_labels_that_come_late_are_not_used_early(tmp_path):
    when = [str(np.datetime64("2024-01-01") + day) for day in range(100)]
    card = card_of(tmp_path, {"when": when, "y": np.arange(100.0), "x": np.arange(100.0) % 7}, "target: y\ntask: regression\ntime: when\nlabels: {delay: 5 days}\nsplit: {kind: time, valid_from: 2024-02-15, test_from: 2024-03-10}\n")
    data = load_data(card)
    guess = {name: scores for name, _, scores, _ in naive_predictions(data, card, data.split.test)}
    assert (data.outcomes("test") - guess["last value"] == 5).all()
    assert (data.outcomes("test") - guess["a week ago"] == 7).all() if "a week ago" in guess else True
    found = measure_baselines(data, card, resamples=50)
    assert found.today == "last value" and found.judge.deciding == "rmse" and found.line("last value").intervals["rmse"].value == 5


def test_many_classes_and_regression_rank_by_a_rule(tmp_path):
    columns = draw(600) | {"kind": np.random.default_rng(0).choice(["a", "b", "c"], 600, p=[.6, .3, .1])}
    card = card_of(tmp_path, columns, "target: kind\ntask: classification\nkpi: {rule: x}\nsplit: {kind: random}\n")
    found = measure_baselines(load_data(card), card, resamples=50)
    assert found.judge.deciding == "accuracy" and found.today == "most frequent class" and "says nothing about many classes" in " ".join(found.notes)
    card = card_of(tmp_path, columns, "target: x\ntask: regression\nkpi: {rule: noise}\nsplit: {kind: random}\n")
    found = measure_baselines(load_data(card), card, resamples=50)
    assert list(found.line("rule in use").intervals) == ["spearman"] and found.today in ("mean", "median") and "–" in found._repr_html_()


def test_one_class_in_test_short_tables_and_no_money(tmp_path):
    columns = draw(90, days=9)
    card = card_of(tmp_path, columns, DAILY.replace("capacity: 4", "capacity: 1000").replace(", cost_matrix: {true_positive: 10, false_positive: -3, false_negative: -1, true_negative: 0.5}", ""))
    data = load_data(card)
    blind = measure_baselines(data, card.replace(kpi={"capacity": 3}), resamples=50, seed=7)
    assert blind.today == "the same for all"       # never a lucky draw
    found = measure_baselines(data, card, resamples=50)
    assert found.judge.deciding == "precision_at_k" and "money" not in found.measures and "no cost matrix" in " ".join(found.notes)
    assert found.line("rule in use").intervals["recall_at_k"].value == 1       # more places than rows: all are acted on
    never = data.split.test[data.outcomes("test") == 0]
    none = measure_baselines(data, card, positions=never, resamples=50)
    assert "same outcome" in " ".join(none.notes) and none.line("rule in use").intervals["precision_at_k"].value == 0
    assert none.figures["lines"][0]["recall_at_k"]["value"] is None and none._repr_html_()
    canonical_json(none.evidence().figures)
    only = measure_baselines(data, card, positions=data.split.test[:1], resamples=50)
    assert only.figures["rows"] == 1 and only._repr_html_()
    with pytest.raises(DataError, match="2 scores are missing") as caught: found.beside({"bad": np.r_[np.nan, np.nan, np.ones(len(data.split.test) - 2)]})
    assert "'bad'" in caught.value.__notes__[0]
    with pytest.raises(DataError, match="no rows to judge"): measure_baselines(data, card, positions=[])


def test_a_sample_scales_the_capacity(tmp_path):
    card = card_of(tmp_path, draw(3000), DAILY.replace("capacity: 4", "capacity: 20"))
    data = load_data(card, rows=600)
    found = measure_baselines(data, card, resamples=50)
    assert found.judge.k == 4 and "scaled down to 4" in " ".join(found.notes)
