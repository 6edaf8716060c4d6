"The leaderboard: rivals that learn on odd matrices, verdicts that follow the intervals, costs that add up."
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from dlmine.core.errors import DataError
from dlmine.core.files import canonical_json
from dlmine.framing.baselines import Judge, make_line, measure_baselines, too_few, with_differences
from dlmine.framing.candidates import sample_side
from dlmine.framing.card import parse_card
from dlmine.framing.leaderboard import fair_leaderboard
from dlmine.framing.rivals import LEVELS, PRIOR, fit_boosting, fit_dummy, fit_linear, plan_design, size_of, traditional_variants
from dlmine.framing.split import Rows
from dlmine.measures.compare import Part, Split
from dlmine.measures.metrics import roc_auc
from dlmine.preparation.loading import load_data


def card_of(text="", task="classification"):
    return parse_card(f"name: board\nsources: [{{location: adult}}]\ntarget: y\ntask: {task}\nsplit: {{kind: random}}\n{text}")


def data_of(x, target, kind="binary", classes=("no", "yes"), cluster=None, rows=(600, 300, 900)):
    ends = np.cumsum(rows)
    split = Rows(np.arange(ends[0]), np.arange(ends[0], ends[1]), np.arange(ends[1], ends[2]))
    data = SimpleNamespace(kind=kind, classes=classes, split=split, cluster=cluster, table=SimpleNamespace(num_rows=len(target)), rows_read=len(target), target=SimpleNamespace(values=target), outcomes=lambda side: target[split.sides()[side]])
    return data, {side: {name: values[positions] for name, values in x.items()} for side, positions in split.sides().items()}


def draw(rows=1800, seed=0):
    random = np.random.default_rng(seed)
    x_num = random.normal(size=(rows, 4)).astype(np.float32)
    x_cat = np.column_stack([random.integers(0, 5, rows), random.zipf(1.5, rows) % 400])
    logit = 1.5 * x_num[:, 0] + (x_cat[:, 0] == 3) - 1
    x_num[random.random(rows) < .1, 1] = np.nan
    return {"x_num": x_num, "x_cat": x_cat}, (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(int), logit


def oracle(shift):
    "A candidate that knows the truth, or a shifted copy of it with noise."
    def variant(split, seed, budget):
        return SimpleNamespace(bytes=1234, predict=lambda features: 1 / (1 + np.exp(-(1.5 * features["x_num"][:, 0] + (features["x_cat"][:, 0] == 3) - 1 + shift * np.random.default_rng(seed + len(features["x_num"])).normal(size=len(features["x_num"]))))))
    return variant


FAST = dict(seeds=(0, 1), budget=1, resamples=150)


def test_traditional_suffices_where_deep_adds_nothing_and_the_margin_says_how_far():
    x, target, _ = draw()
    data, features = data_of(x, target)
    board = fair_leaderboard(card_of(), data, features, deep=oracle(2.0), **FAST)
    assert board.suffices is True and board.verdict.startswith("Traditional suffices") and board.traditional in ("linear", "boosting")
    assert board.margin == pytest.approx(-board.deep.result.difference.lower) and f"{board.margin:.4f}" in board.verdict
    assert board.chosen == board.traditional and len(board.models[board.chosen].predict(features["test"])) == 900
    assert board.deep.bytes == 1234 and board.deep.result.fit_seconds + board.deep.result.predict_seconds == pytest.approx(board.deep.result.seconds)
    best = max((one for one in board.entries if not one.deep), key=lambda one: one.valid)
    assert board.traditional == best.name                       # chosen on the validation rows
    canonical_json(board.evidence().figures)
    assert len(board.table()) == 4 and "600 of 600 train" in board.notes[0] and str(board.plot()).startswith("<svg") and "every prediction is a sum" in board._repr_html_()


def test_deep_has_a_case_only_where_its_interval_says_so():
    random = np.random.default_rng(0)
    x = random.normal(size=(2400, 6)).astype(np.float32)
    target = (x[:, :3].sum(1) * x[:, 3:].sum(1) > 0).astype(int)
    data, features = data_of({"x_num": x}, target, rows=(800, 400, 1200))
    knows = lambda split, seed, budget: split.test.features["x_num"][:, :3].sum(1) * split.test.features["x_num"][:, 3:].sum(1)
    board = fair_leaderboard(card_of(), data, features, deep={"knows": knows}, **FAST)
    assert board.suffices is False and board.margin < 0 and board.verdict.startswith("Deep has a case")
    assert board.deep.valid is None and board.deep.bytes is None and "–" in board._repr_html_()       # it returned scores, no model
    two = fair_leaderboard(card_of(), data, features, deep={"knows": knows, "guesses": lambda split, seed, budget: np.random.default_rng(seed).random(len(split.test))}, **FAST)
    assert two.deep.name == "knows"


def test_money_and_the_gain_that_pays():
    x, target, _ = draw()
    day = np.arange(1800) % 30
    data, features = data_of(x, target, cluster=day)
    card = card_of("cluster: day\nkpi: {capacity: 5, currency: EUR, cost_matrix: {true_positive: 10, false_positive: -4}}\n")
    board = fair_leaderboard(card, data, features, deep=oracle(2.0), cost_per_hour=3.6, **FAST)
    found = board.break_even
    spent = max(0, found["predict_seconds_a_thousand"]) + max(0, found["fit_seconds"]) / 900 * 1000
    assert found["cost_a_thousand"] == pytest.approx(spent / 1000)           # 3.6 an hour is a thousandth a second
    base, dummy = board.entry(board.traditional), board.entry("dummy")
    step = base.result.interval.value - dummy.result.interval.value
    assert found["worth_of_a_hundredth"] == pytest.approx((base.money.value - dummy.money.value) / step / 100)
    assert found["metric"] * found["worth_of_a_hundredth"] * 100 == pytest.approx(found["cost_a_thousand"])
    late, lists = target[data.split.test], day[data.split.test]
    scores = oracle(2.0)(None, 0, None).predict(features["test"])
    assert base.more_money is None and board.deep.more_money.value == pytest.approx(board.deep.money.value - base.money.value)
    hits = sum(late[lists == one][np.argsort(-scores[lists == one])[:5]].sum() for one in range(30))
    assert abs(board.deep.money.value - (10 * hits - 4 * (150 - hits)) / 900 * 1000) < 200 and "EUR a 1,000 rows" in board._repr_html_()


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_kinds(kind):
    x, _, logit = draw()
    logit = logit + np.random.default_rng(1).normal(size=1800) * 1.2
    target, classes = (np.digitize(logit, [-1.5, 0.5]), ("low", "middle", "high")) if kind == "multiclass" else (logit * 100 + 5e4, ())
    data, features = data_of(x, target, kind, classes)
    truth = lambda split, seed, budget: np.eye(3)[split.test.target] if kind == "multiclass" else split.test.target + 10.0
    board = fair_leaderboard(card_of(task="classification" if kind == "multiclass" else "regression"), data, features, deep=truth, **FAST)
    assert board.metric.name == ("accuracy" if kind == "multiclass" else "rmse") and board.suffices is False
    values = {one.name: one.result.interval.value for one in board.entries}
    assert values["boosting"] > values["dummy"] + .1 if kind == "multiclass" else values["boosting"] < .8 * values["dummy"]
    assert board.margin < 0 and all(one.money is None for one in board.entries)


def test_one_class_in_test_is_no_verdict_and_a_sample_is_said():
    x, target, _ = draw()
    target[900:] = 0
    data, features = data_of(x, target)
    board = fair_leaderboard(card_of(), data, features, deep=oracle(0), rows=200, test_rows=100, **FAST)
    assert board.suffices is None and "cannot tell" in board.verdict and "200 of 600 train" in board.notes[0] and "100 of 900 test" in board.notes[0]
    canonical_json(board.evidence().figures)
    assert board._repr_html_()


def test_a_failing_candidate_is_named():
    x, target, _ = draw()
    data, features = data_of(x, target)
    def broken(split, seed, budget): raise ValueError("no memory")
    with pytest.raises(ValueError) as caught: fair_leaderboard(card_of(), data, features, deep={"giant": broken}, **FAST)
    assert "'giant'" in caught.value.__notes__[0]
    with pytest.raises(DataError, match="cannot be called 'dummy'"): fair_leaderboard(card_of(), data, features, deep={"dummy": broken}, **FAST)
    alone = fair_leaderboard(card_of(), data, features, **FAST)
    assert alone.suffices is None and "no deep candidate" in alone.verdict


def test_the_linear_design():
    x, target, _ = draw()
    design = plan_design(x, target, "binary")
    matrix = np.asarray(design.matrix(x))
    assert design.levels == (5, LEVELS) and matrix.shape == (1800, 4 + 1 + 5 + LEVELS + 1)
    assert np.array_equal(matrix[:, 4], np.isnan(x["x_num"][:, 1])) and not np.isnan(matrix).any()
    code, counts = x["x_cat"][:, 1], np.bincount(x["x_cat"][:, 1])
    means = (np.bincount(code, target) + PRIOR * target.mean()) / (counts + PRIOR)
    assert np.corrcoef(matrix[:, -1], means[code])[0, 1] == pytest.approx(1)
    unseen = {"x_num": x["x_num"][:2], "x_cat": np.array([[4, 5000], [0, 1]])}
    assert np.isfinite(np.asarray(design.matrix(unseen))).all()       # a code that training never saw


def test_rivals_learn_and_give_scores_for_every_class():
    random = np.random.default_rng(0)
    x, target, _ = draw()
    part = lambda rows: Part({name: values[rows] for name, values in x.items()}, target[rows])
    split = Split(part(np.arange(900)), part(np.arange(900, 1300)), part(np.arange(1300, 1800)))
    scores = {name: run(split, 0, 2).predict(split.test.features) for name, run in traditional_variants("binary").items()}
    assert roc_auc(split.test.target, scores["dummy"]) == .5 and min(roc_auc(split.test.target, scores[name]) for name in ("linear", "boosting")) > .75
    rival = fit_boosting(split, "binary", budget=1)
    assert size_of(rival) > 1000 and rival.parameters > 10 and size_of(lambda: 0) is None
    wide = {"x_num": random.normal(size=(60, 400)).astype(np.float32)}
    classes = Split(*(Part({"x_num": wide["x_num"][rows]}, labels) for rows, labels in ((slice(0, 30), np.arange(30) % 2), (slice(30, 45), np.arange(15) % 4), (slice(45, 60), np.arange(15) % 4))))
    for fit in (fit_dummy, fit_linear, fit_boosting):     # classes 2 and 3 occur only outside training
        found = fit(classes, "multiclass", 4).predict(classes.test.features)
        assert found.shape == (15, 4) and np.allclose(found.sum(1), 1)


def test_samples_keep_rare_classes():
    target = np.r_[np.zeros(990, int), np.ones(10, int)]
    places = sample_side(np.arange(1000), target, "binary", 100, 0)
    assert 95 <= len(places) <= 105 and target[places].sum() == 3 and (np.diff(places) > 0).all()
    assert len(sample_side(np.arange(1000), target, "binary", 0, 0)) == 1000


def series(tmp_path, rows=900, noise=8.0):
    "A walk that no column knows."
    random = np.random.default_rng(0)
    pa.csv.write_csv(pa.table({"day": np.datetime64("2020-01-01") + np.arange(rows), "sold": 500 + np.cumsum(random.normal(0, noise, rows)), "price": random.normal(size=rows)}), tmp_path / "shop.csv")
    cuts = [str(np.datetime64("2020-01-01") + int(share * rows)) for share in (.5, .7)]
    card = parse_card(f"name: shop\nsources: [{{location: shop.csv}}]\ntarget: sold\ntask: regression\ntime: day\nsplit: {{kind: time, valid_from: {cuts[0]}, test_from: {cuts[1]}}}\n", path=tmp_path / "card.yml")
    data = load_data(card)
    return card, data, {side: {"x_num": data.rows(side)["price"].to_numpy().astype(np.float32)[:, None]} for side in ("train", "valid", "test")}


def test_the_last_value_stands_on_the_board_and_agrees_with_the_baselines(tmp_path):
    card, data, features = series(tmp_path)
    board = fair_leaderboard(card, data, features, deep=lambda split, seed, budget: np.full(len(split.test), split.train.target.mean()), **FAST)
    baselines = measure_baselines(data, card, resamples=50)
    assert baselines.today == board.traditional == board.chosen == "last value"                 # one story
    assert board.entry("last value").result.interval.value == pytest.approx(baselines.line("last value").intervals["rmse"].value)
    assert board.suffices is True and "even a naive forecast does" in board.verdict and not board.entry("last value").learns
    assert board.served in ("linear", "boosting") and "'last value' is the naive forecast" in board.notes[1] and "an earlier outcome, repeated" in board._repr_html_()
    with pytest.raises(DataError, match="cannot be computed from columns"): board.models["last value"].predict({"x_num": np.ones((3, 1))})
    canonical_json(board.evidence().figures)


def test_a_model_that_learns_more_than_the_last_value_still_wins(tmp_path):
    card, data, features = series(tmp_path)
    knows = lambda split, seed, budget: SimpleNamespace(predict=lambda given: np.asarray(next(part.target for part in (split.valid, split.test) if part.features is given)) + 1.0)
    board = fair_leaderboard(card, data, features, deep=knows, rows=100, test_rows=120, **FAST)
    assert board.suffices is False and board.chosen == board.served == "net" and board.entry("net").result.interval.value == pytest.approx(1.0)


@pytest.mark.parametrize("rows, cases", [((600, 300, 60), None), ((600, 300, 900), 12)])
def test_few_rows_are_no_winner(rows, cases):
    x, target, _ = draw()
    if cases: target[900:] = (np.arange(900) < cases).astype(int)
    data, features = data_of(x, target, rows=rows)
    board = fair_leaderboard(card_of(), data, features, deep=oracle(0), **FAST)
    assert board.suffices is None and board.chosen == board.traditional and board.verdict.startswith("Too few rows to tell")
    assert ("60 rows to judge on" if not cases else "hold 12 of the rarer class") in board.few and board.figures["too_few"] == board.few
    alone = fair_leaderboard(card_of(), data, features, **FAST)
    assert alone.verdict.startswith("Too few rows to tell")
    line = Judge("binary", target[data.split.test], None, None, 5, rows=50)
    found = with_differences("x", [make_line(line, "naive one", "naive", np.zeros(len(line.target)))], line, ()).beside({"net": target[data.split.test] + 0.0})
    assert found.sentence().startswith("Too few rows to tell") and "too few rows to tell which is better" in found.sentence() and found.figures["too_few"]


def test_a_hundred_rows_with_thirty_of_each_are_enough():
    assert not too_few(np.r_[np.zeros(70), np.ones(30)], "binary") and too_few(np.r_[np.zeros(71), np.ones(29)], "binary")
    assert too_few(np.zeros(99), "regression") and not too_few(np.zeros(100), "regression") and too_few(np.zeros(0), "binary")
