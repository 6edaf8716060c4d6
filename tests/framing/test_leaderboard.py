"The leaderboard: rivals that learn on odd matrices, verdicts that follow the intervals, costs that add up."
from types import SimpleNamespace

import numpy as np
import pytest

from dlmine.core.errors import DataError
from dlmine.core.files import canonical_json
from dlmine.framing.card import parse_card
from dlmine.framing.leaderboard import fair_leaderboard, sample_side
from dlmine.framing.rivals import LEVELS, PRIOR, fit_boosting, fit_dummy, fit_linear, plan_design, size_of, traditional_variants
from dlmine.framing.split import Rows
from dlmine.measures.compare import Part, Split
from dlmine.measures.metrics import roc_auc


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
