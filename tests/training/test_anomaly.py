"Anomalies without labels: no label is ever read, rivals export, budgets hold, streams resume."
import json

import numpy as np
import pyarrow as pa
import pytest

from dlmine.core.errors import DataError
from dlmine.core.evidence import Evidence
from dlmine.framing.card import parse_card
from dlmine.training.alarms import AlarmStream, alarm_threshold
from dlmine.training.anomaly import AutoencoderDetector, fit_anomaly, measure_detection
from dlmine.training.export import measure_parity, to_onnx
from dlmine.training.isolation import fit_isolation_forest, lengths, usual_length

GENERATOR = np.random.default_rng(0)


def planted(rows=600, odd=30):
    "Columns that go together, and rows that break it by usual values"
    generator = np.random.default_rng(1)
    first = generator.normal(size=rows)
    second = 2 * first + 0.1 * generator.normal(size=rows)
    second[:odd] = -2 * first[:odd] + 2 * np.sign(first[:odd])
    return {"x_num": np.stack([first, second, 0.1 * generator.normal(size=rows) - first], axis=1).astype(np.float32), "x_cat": (2 + (first > 0) + (first > 1))[:, None]}, (np.arange(rows) < odd).astype(np.int64)


@pytest.fixture(scope="module")
def net():
    features, _ = planted()
    return fit_anomaly(features, epochs=40)


def test_an_autoencoder_finds_broken_pairs_that_a_forest_does_not(net):
    features, odd = planted()
    found = measure_detection(odd, {"forest": fit_isolation_forest(features, trees=60).predict(features), "autoencoder": net.predict(features)}, resamples=100)
    assert found.differences["autoencoder"].lower > 0 and found.intervals["autoencoder"]["roc_auc"].value > 0.8
    assert "ranks better than forest" in found.sentence() and isinstance(found.evidence(), Evidence) and len(found.table()) == 2 and "<svg" in found.plot().svg


def test_labels_are_never_read(net):
    from dlmine.training.learner import fit
    features, odd = planted()
    some = {name: values[:100] for name, values in features.items()}
    same = [fit(features, outcome, some, outcome[:100], kind="binary", classes=("a", "b"), architecture="autoencoder", epochs=2, seed=3).predict(features) for outcome in (odd, 1 - odd)]
    assert np.array_equal(*same)
    assert np.array_equal(fit_isolation_forest(features, odd, trees=20).predict(features), fit_isolation_forest(features, 1 - odd, trees=20).predict(features))


def test_same_seed_same_scores():
    features, _ = planted(200)
    one, same, other = (fit_anomaly(features, epochs=2, seed=seed).predict(features) for seed in (5, 5, 6))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_shares_are_kept_on_unseen_rows(net):
    generator = np.random.default_rng(9)
    first = generator.normal(size=1000)
    fresh = {"x_num": np.stack([first, 2 * first + 0.1 * generator.normal(size=1000), 0.1 * generator.normal(size=1000) - first], axis=1).astype(np.float32), "x_cat": (2 + (first > 0) + (first > 1))[:, None]}
    assert 0.01 < (net.predict(fresh) > 0.9).mean() < 0.2


def test_exports_agree_with_holes_and_unseen_levels(net):
    features, _ = planted()
    strange = {"x_num": features["x_num"].copy(), "x_cat": features["x_cat"].copy()}
    strange["x_num"][::5, 1], strange["x_num"][::7], strange["x_cat"][::3] = np.nan, np.nan, 1
    measure_parity(net, to_onnx(net), strange, limit=1e-4)
    holed = {**features, "x_num": np.where(GENERATOR.random((600, 3)) < 0.1, np.nan, features["x_num"]).astype(np.float32)}
    forest = fit_isolation_forest(holed, trees=40)
    strange["x_cat"][1] = 77
    assert measure_parity(forest, to_onnx(forest), strange).missing > 0
    for width in ("x_num", "x_cat"):
        alone = {width: features[width]}
        forest = fit_isolation_forest(alone, trees=20)
        measure_parity(forest, to_onnx(forest), alone)


def test_the_forest_is_scikit_learns():
    from scipy.stats import spearmanr
    features, _ = planted()
    trained = fit_isolation_forest({"x_num": features["x_num"]}, trees=50)
    forest, about = trained.module
    assert spearmanr(trained.predict({"x_num": features["x_num"]}), -forest.score_samples(features["x_num"])).statistic > 0.9999
    assert np.allclose(lengths(forest, features["x_num"]), np.log2(-forest.score_samples(features["x_num"]))) and usual_length(1) == 0


@pytest.mark.parametrize("fit", [fit_anomaly, fit_isolation_forest])
def test_odd_tables(fit):
    more = {"epochs": 2} if fit is fit_anomaly else {"trees": 10}
    rows = np.stack([np.full(60, 3.0), np.full(60, np.nan), GENERATOR.normal(size=60)], axis=1).astype(np.float32)
    trained = fit({"x_num": rows}, **more)
    scores = trained.predict({"x_num": rows[:1]})
    assert scores.shape == (1,) and 0 <= scores[0] <= 1 and np.isfinite(trained.predict({"x_num": np.full((2, 3), np.nan, np.float32)})).all()
    assert trained.predict({"x_num": rows[:0]}).shape == (0,)
    assert len(np.unique(fit({"x_num": np.ones((40, 2), np.float32)}, **more).predict({"x_num": np.ones((5, 2), np.float32)}))) == 1
    with pytest.raises(DataError, match="too few"): fit({"x_num": rows[:1]}, **more)
    with pytest.raises(DataError, match="infinite"): fit({"x_num": np.full((40, 2), np.inf, np.float32)}, **more)
    with pytest.raises(DataError, match="not a single feature"): fit({"x_num": np.zeros((40, 0), np.float32)}, **more)


def test_unseen_levels_are_rarer_than_seen_ones():
    codes = np.concatenate([np.full((95, 1), 2), np.full((5, 1), 3)])
    forest = fit_isolation_forest({"x_cat": codes}, facts={"cardinalities": [4]}, trees=50)
    common, rare, unseen, beyond = forest.predict({"x_cat": np.array([[2], [3], [1], [40]])})
    assert common < rare <= unseen and unseen == beyond


def test_threshold_keeps_the_budget_in_its_interval():
    generator, inside, kept = np.random.default_rng(5), 0, []
    for _ in range(200):
        one = alarm_threshold(generator.normal(size=300), 0.05)
        share = (generator.normal(size=4000) > one.threshold).mean()
        kept.append(share); inside += one.lower - 0.004 <= share <= one.upper + 0.004
    assert abs(np.mean(kept) - 0.05) < 0.006 and inside >= 180


def test_threshold_in_bad_company():
    for budget in (0, 1, -0.1, 2):
        with pytest.raises(DataError, match="share of rows"): alarm_threshold([0.1, 0.2], budget)
        with pytest.raises(DataError, match="share of rows"): AlarmStream(0.9, budget)
    with pytest.raises(DataError, match="no finite score"): alarm_threshold([])
    single = alarm_threshold([0.7], 0.01)
    assert single.threshold == 0.7 and single.evidence().verdict == "warning" and "at least 100" in single.sentence()
    tied = alarm_threshold(np.full(100, 0.5), 0.1)
    assert (np.full(100, 0.5) > tied.threshold).sum() == 0
    assert alarm_threshold(np.arange(100), 0.05, np.zeros(100)).judged is None


def test_a_stream_keeps_its_budget_while_the_world_drifts():
    scores = 1 / (1 + np.exp(-(np.random.default_rng(2).logistic(size=20_000) + np.linspace(0, 4, 20_000))))
    stream = AlarmStream(0.99, 0.01, memory=1000, far=4.5)
    stream.update(scores)
    report = stream.report()
    bound = abs(stream.theta - stream.start) / (stream.step * report.rows)
    assert abs(report.share - 0.01) <= bound + 1e-9 and report.share < 0.02 < (scores > 0.99).mean()
    assert report.events[0]["threshold"] == "higher" and report.evidence().verdict == "warning" and len(report.plot().svg) < 400_000


def test_a_stream_does_not_learn_that_an_outage_is_usual():
    generator = np.random.default_rng(6)
    scores = generator.random(6000); scores[2000:4000] = 0.9999999
    stream = AlarmStream(0.99, 0.01, memory=500)
    alarms = stream.update(scores)
    assert alarms[2000:4000].all() and stream.events[0]["threshold"] == "higher" and 2000 <= stream.events[0]["row"] < 2100
    assert stream.events[-1]["threshold"] == "near"               # and comes back
    stream.update(np.full(500, 0.9999999)); stream.accept()
    assert stream.start == stream.theta and stream.events[-1]["threshold"] == "near"


def test_a_stream_resumes_from_json_as_if_nothing_had_been():
    scores = np.random.default_rng(3).random(3000)
    one, two = AlarmStream(0.95, 0.05), AlarmStream(0.95, 0.05)
    whole, first = one.update(scores), two.update(scores[:1234])
    again = AlarmStream.from_json(json.loads(json.dumps(two.to_json())))
    assert np.array_equal(whole, np.concatenate([first, *(again.update(score) for score in scores[1234:])])) and again.to_json() == one.to_json()
    with pytest.raises(DataError, match="lacks .*budget"): AlarmStream.from_json({})


def test_a_score_that_is_no_number_does_not_alarm():
    stream = AlarmStream(0.5, 0.1)
    assert not stream.update([np.nan, np.inf, 0.1]).any() and stream.report().unscored == 2
    judged = AlarmStream(0.5, 0.1); judged.update([0.1, np.nan, 0.99])
    assert judged.report(np.array([0, 0, 1])).judged == {"false_alarms": 0.0, "anomalies": 1, "found": 1.0}


def test_without_known_anomalies_nothing_is_judged():
    found = measure_detection(np.zeros(50), {"one": np.arange(50)})
    assert "nobody can say" in found.sentence() and found._repr_html_() and not found.intervals["one"]
    with pytest.raises(DataError, match="same rows"): measure_detection(np.zeros(50), {"one": np.arange(49)})
    with pytest.raises(DataError, match="no scores"): measure_detection(np.zeros(50), {})


def test_a_detector_for_the_outliers_of_the_preparation():
    from dlmine.preparation.outliers import flag_rows
    features, odd = planted(400, 12)
    matrix = features["x_num"].astype(np.float64); matrix[50, 2] = np.nan
    flagged, oddness = flag_rows(AutoencoderDetector("plain", epochs=40), matrix, share=0.05)
    assert flagged.sum() == 20 and measure_detection(odd, {"autoencoder": oddness}, resamples=20).intervals["autoencoder"]["roc_auc"].value > 0.8
    with pytest.raises(DataError, match="Call fit first"): AutoencoderDetector().score_samples(matrix)
    with pytest.raises(DataError, match="matrix"): AutoencoderDetector().fit(np.arange(30))


CARD = "version: 1\nname: sensors\nsources: [{name: main, location: sensors.csv}]\ntask: {kind: anomaly, share: 0.1}\n"


def load(folder, outcome, card=CARD):
    import pyarrow.csv
    from dlmine.preparation.loading import load_data
    generator = np.random.default_rng(4)
    table = {"load": generator.normal(size=200), "site": generator.choice(list("abc"), 200), "fixed": np.full(200, 7), "empty": pa.nulls(200, pa.string())}
    pyarrow.csv.write_csv(pa.table(table | ({} if outcome is None else {"outcome": outcome})), folder/"sensors.csv")
    path = folder/"sensors.yml"
    path.write_text(card + ("" if outcome is None else "target: outcome\n"))
    from dlmine.framing.card import load_card
    return load_data(load_card(path))


def test_cards_with_without_and_with_empty_targets(tmp_path):
    from dlmine.evaluation.decision import fit_decision
    from dlmine.preparation.modalities import facts_of, find_modality, fit_preprocessor
    known = load(tmp_path, np.where(np.arange(200) % 20 == 0, "odd", "fine"))
    assert known.kind == "binary" and known.classes == ("fine", "odd") and known.target.values.sum() == 10
    several = load(tmp_path, np.array(["fine"] * 180 + ["hot", "cold"] * 10))
    assert several.classes == ("fine", "not fine") and several.target.values.sum() == 20
    holes = load(tmp_path, pa.array(["odd"] * 10 + ["fine"] * 90 + [None] * 100))
    assert holes.table.num_rows == 200 and any("count as usual" in note for note in holes.notes)
    for outcome in (None, np.zeros(200, int)):
        data = load(tmp_path, outcome)
        assert data.target.values.sum() == 0 and any("cannot be judged" in note for note in data.notes)
    modality, preprocessor = find_modality(data.card.modality.kind, data.card.task.kind), fit_preprocessor(data)
    assert modality.architectures == ("autoencoder",) and modality.rivals == ("isolation_forest",)
    net = fit_anomaly(preprocessor.transform(data.rows("train")), facts=facts_of(preprocessor), epochs=2)
    scores = net.predict(preprocessor.transform(data.rows("valid")))
    decision = fit_decision(data.target, scores, data.outcomes("valid"), card=data.card)
    assert decision.calibration == {"kind": "identity"} and (scores >= decision.threshold).mean() <= 0.1 + 1 / len(scores) and "share of training rows" in decision.sentence()
    strange = pa.table({"load": [1e30, None], "site": ["never seen", None], "fixed": [7, 8], "empty": pa.nulls(2, pa.string())})
    assert np.isfinite(net.predict(preprocessor.transform(strange))).all()


def test_quality_of_anomalies_leaves_probabilities_out(tmp_path):
    from dlmine.evaluation.quality import evaluate_model
    from dlmine.governance.findings import is_too_good
    card = parse_card(CARD + "target: outcome\n")
    outcomes, scores = np.arange(100) % 10 == 0, np.where(np.arange(100) % 10 == 0, 0.99, 0.5)
    quality = evaluate_model("binary", outcomes.astype(int), scores, card=card, resamples=20)
    assert "expected_calibration_error" not in quality.intervals and quality.intervals["roc_auc"].value == 1 and not is_too_good(quality)
