"Rivals: the row alone, and boosting that ends in time."
import numpy as np
import pytest

from dlmine.core.errors import CardError, DataError
from dlmine.framing.card import parse_card
from dlmine.training.boosting import fit_boosting, rounds_within
from dlmine.training.rivals import choose_rival, find_rival, fit_alone, fit_rivals


def made(rows=1200, seed=0):
    "Three numbers and a code; the first number and the code decide"
    random = np.random.default_rng(seed)
    x = {"x_num": random.normal(size=(rows, 3)).astype(np.float32), "x_cat": random.integers(2, 5, (rows, 1))}
    return x, ((x["x_num"][:, 0] + (x["x_cat"][:, 0] == 3) + random.normal(0, 0.3, rows)) > 0.5).astype(int)


def halves(x, y): return ({name: values[:800] for name, values in x.items()}, y[:800], {name: values[800:] for name, values in x.items()}, y[800:])


def test_the_row_alone_reads_only_its_own_columns():
    x, y = made()
    alone = fit_alone(*halves(x, y), facts={"own": {"x_num": [1, 2], "x_cat": [0]}}, kind="binary", classes=("0", "1"), budget=30)
    turned = {"x_num": x["x_num"] * np.array([-9, 1, 1], np.float32), "x_cat": x["x_cat"]}
    assert np.array_equal(alone.predict(x), alone.predict(turned))
    assert not np.array_equal(alone.predict(x), alone.predict({**x, "x_cat": np.roll(x["x_cat"], 1)}))
    nothing = fit_alone(*halves(x, y), facts={"own": {"x_num": [], "x_cat": []}}, kind="binary", classes=("0", "1"), budget=10)
    assert np.ptp(nothing.predict(x)) == 0 and nothing.predict(x)[0] == pytest.approx(y[:800].mean(), abs=0.05)
    assert fit_alone(*halves(x, y), facts={"fills": []}, kind="binary", classes=("0", "1")) is None


def test_a_rival_of_words_is_the_row_alone():
    from types import SimpleNamespace
    words = SimpleNamespace(hyper_parameters={"view": "words"})
    assert fit_alone({}, None, {}, None, facts={"own": {}}, rivals={"boosting": SimpleNamespace(hyper_parameters={}), "linear": words}) is words


def test_rounds_end_in_time_and_the_account_says_so(monkeypatch):
    from dlmine.training import boosting
    assert rounds_within(300, 2) == 300 and rounds_within(300, 1, 200_000 * 60) == 300      # a table of flights keeps all
    assert rounds_within(300, 45) == 266 and rounds_within(300, 45, 76_000 * 220) < 30
    assert rounds_within(300, 2, 10 ** 12) == 10 and rounds_within(5, 10) == 5
    monkeypatch.setattr(boosting, "CELLS", 800 * 4 * 12.0)
    x, y = made()
    trained = fit_boosting(*halves(x, y), kind="binary", classes=("0", "1"), candidates=boosting.CANDIDATES[:1], budget=100)
    assert "of at most 12 rounds" in trained.reason and "100 were asked for" in trained.reason and trained.best_epoch <= 12


def test_the_best_rival_is_the_one_to_beat():
    x, y = made()
    rivals = fit_rivals(("boosting", "linear"), *halves(x, y), kind="binary", classes=("0", "1"), budget=30)
    _, _, valid, outcomes = halves(x, y)
    losses = {name: -np.log(np.where(outcomes == 1, rival.predict(valid), 1 - rival.predict(valid))).mean() for name, rival in rivals.items()}
    assert choose_rival(rivals, valid, outcomes) == min(losses, key=losses.get)
    with pytest.raises(DataError, match="isolation|boosting"): find_rival("bosting")


CARD = """
version: 1
name: news
sources: [{name: a, location: a.csv}]
target: topic
task: classification
modality: {kind: KIND, column: text, mode: MODE}
split: {kind: random}
"""


@pytest.mark.parametrize("kind", ["text", "image"])
def test_a_card_says_what_becomes_of_weights(kind):
    assert parse_card(CARD.replace("KIND", kind).replace("MODE", "fine_tuned")).modality.mode == "fine_tuned"
    with pytest.raises(CardError, match="mode"): parse_card(CARD.replace("KIND", kind).replace("MODE", "thawed"))


def test_the_mode_of_a_card_reaches_the_network(tmp_path):
    import pyarrow as pa
    from dlmine.models.encoder import TextEncoder
    from dlmine.preparation.columns import ColumnPlan, FeaturePlan
    from dlmine.preparation.text_pipeline import TextPreprocessor
    from dlmine.training.learner import choose_plan
    table = pa.table({"text": [f"word{place} and word{place % 7} of a kind" for place in range(60)]})
    fitted = TextPreprocessor.fit(table, FeaturePlan((ColumnPlan("text", "text", True, ""),)), weights="own", mode="fine_tuned")
    assert fitted.arguments()["mode"] == "fine_tuned" and TextPreprocessor.from_json(fitted.to_json(), fitted.files()).arguments()["mode"] == "fine_tuned"
    assert "mode" not in TextPreprocessor.fit(table, FeaturePlan((ColumnPlan("text", "text", True, ""),)), weights="own").arguments()
    rates = {mode: choose_plan(TextEncoder, 1000, 0, 0, 0.0, None, {"mode": mode})["learning_rate"] for mode in ("frozen", "fine_tuned")}
    assert rates["fine_tuned"] < 0.001 < rates["frozen"]
