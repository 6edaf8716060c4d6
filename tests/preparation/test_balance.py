"Balance and priors: equal to the closed form, calibration restored, classes left alone unless something helps."
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import DataError
from dlmine.framing.card import load_card
from dlmine.measures.metrics import expected_calibration_error, log_loss
from dlmine.preparation.balance import balance_rows, balanced_weights, compare_balance, focal_linear
from dlmine.preparation.loading import load_data
from dlmine.preparation.priors import correct_prior, estimate_prior

inside = st.floats(1e-4, 1 - 1e-4)


@settings(max_examples=200, deadline=None)
@given(st.lists(inside, min_size=1, max_size=30), inside, inside)
def test_the_correction_is_elkans_and_saerens(scores, train, used):
    p = np.array(scores)
    elkan = used * (p - p * train) / (train - p * train + used * p - train * used)
    saerens = (used / train * p) / (used / train * p + (1 - used) / (1 - train) * (1 - p))
    found = correct_prior(p, train, used)
    np.testing.assert_allclose(found, elkan, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found, saerens, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(correct_prior(found, used, train), p, rtol=1e-6)        # near certainty 1 - p has few digits left
    np.testing.assert_allclose(correct_prior(np.column_stack([1 - p, p]), [1 - train, train], [1 - used, used])[:, 1], elkan, rtol=1e-9, atol=1e-12)


def scores_of(share, rows, seed):
    generator = np.random.default_rng(seed)
    y = (generator.random(rows) < share).astype(int)
    x = generator.normal(1.5 * y, 1)
    return y, 1 / (1 + np.exp(1.125 - 1.5 * x))


@pytest.mark.parametrize("share", [0.03, 0.3, 0.9])
def test_the_prior_is_found_and_calibration_comes_back(share):
    y, scores = scores_of(share, 8000, 1)
    found = estimate_prior(scores, 0.5, resamples=100)
    assert found.lower[1] <= y.mean() <= found.upper[1] and found.shifted
    guess = 0.5
    for _ in range(3000): guess = correct_prior(scores, 0.5, guess).mean()
    assert found.prior[1] == pytest.approx(guess, abs=1e-9)
    for corrected in (found.correct(scores), correct_prior(scores, 0.5, share)):
        assert expected_calibration_error(y, corrected) < 0.02 < expected_calibration_error(y, scores)
        assert log_loss(y, corrected) < log_loss(y, scores)


def test_the_interval_covers_as_often_as_it_says():
    found = [estimate_prior(scores, 0.5, resamples=80) for scores in (scores_of(0.2, 400, seed)[1] for seed in range(60))]
    assert 50 <= sum(one.lower[1] <= 0.2 <= one.upper[1] for one in found) <= 60


def test_days_that_shift_together_widen_the_interval():
    y, scores = scores_of(0.2, 2000, 0)
    days = np.argsort(np.argsort(scores)) // 100            # twenty days, each with scores of its own level
    alone, together = estimate_prior(scores, 0.5, resamples=100), estimate_prior(scores, 0.5, cluster=days, resamples=100)
    assert together.upper[1] - together.lower[1] > 2 * (alone.upper[1] - alone.lower[1])


def test_nonsense_is_refused():
    with pytest.raises(DataError, match="probabilities"): correct_prior(np.array([3.0]), 0.5, 0.2)
    with pytest.raises(DataError, match="train_prior"): correct_prior(np.array([0.3]), 1.0, 0.2)
    with pytest.raises(DataError, match="no scores"): estimate_prior(np.zeros(0), 0.5)


def test_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight
    y = np.array([0] * 90 + [1] * 7 + [2] * 3)
    np.testing.assert_allclose(balanced_weights(y, 3), compute_class_weight("balanced", classes=np.arange(3), y=y), rtol=1e-9)


def test_the_focal_gradient_is_right_and_without_focus_it_is_logistic_regression():
    from scipy.special import log_softmax
    from sklearn.linear_model import LogisticRegression
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 3))
    y = generator.integers(0, 3, 300)
    weights, intercepts = focal_linear(x, y, 3, focusing=0.0, penalty=1.0)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(weights.T, theirs.coef_, atol=2e-3)

    def loss(flat, gamma=2.0):
        w = flat.reshape(4, 3)
        right = log_softmax(x @ w[:-1] + w[-1], axis=1)[np.arange(300), y]
        return float(-((1 - np.exp(right)) ** gamma * right).sum() + 0.5 * (w[:-1] ** 2).sum())
    weights, intercepts = focal_linear(x, y, 3, focusing=2.0, penalty=1.0)
    best = np.vstack([weights, intercepts]).ravel()
    for _ in range(20): assert loss(best) <= loss(best + generator.normal(scale=0.05, size=12)) + 1e-6


@pytest.mark.parametrize("codes", [0, 2])
@pytest.mark.parametrize("method", ["over_sampling", "under_sampling", "smote"])
def test_rows_are_balanced_and_gaps_stay_gaps(method, codes):
    generator = np.random.default_rng(0)
    features = {"x_num": generator.normal(size=(120, 3)).astype(np.float32), "x_cat": generator.integers(2, 6, (120, codes))}
    features["x_num"][::7, 0] = np.nan
    target = (np.arange(120) % 6 == 0).astype(int)
    found, labels = balance_rows(features, target, method, 0)
    assert np.bincount(labels).tolist() == ([20, 20] if method == "under_sampling" else [100, 100])
    assert found["x_num"].dtype == np.float32 and found["x_cat"].shape == (len(labels), codes) and np.isnan(found["x_num"]).any()
    if codes: assert set(np.unique(found["x_cat"])) <= set(range(2, 6))
    with pytest.raises(DataError, match="single training row"): balance_rows({"x_num": features["x_num"][:3], "x_cat": features["x_cat"][:3]}, np.array([0, 0, 1]), "smote")


def data_of(folder, target, task="{kind: classification, positive: 'yes'}"):
    import pyarrow.parquet as pq
    generator = np.random.default_rng(0)
    rows = len(target)
    codes = np.unique(target, return_inverse=True)[1]
    pq.write_table(pa.table({"a": generator.normal(codes * 1.2, 1), "b": generator.normal(size=rows), "c": generator.choice(["u", "v"], rows), "y": target}), folder / "t.parquet")
    (folder / "t.yml").write_text(f"version: 1\nname: t\nowner: Ada\nsources: [{{location: t.parquet}}]\ntarget: y\ntask: {task}\nsplit: {{kind: random}}\n")
    return load_data(load_card(folder / "t.yml"))


def test_a_model_that_fits_is_left_alone_and_the_correction_restores_its_probabilities(tmp_path):
    data = data_of(tmp_path, np.where(np.random.default_rng(1).random(3000) < 0.1, "yes", "no"))
    found = compare_balance(data, rows=3000, seeds=(0,))
    assert found.chosen == "none" and "Leave the classes as they are" in found.verdict
    for model in ("linear", "trees"):
        raw, corrected = ({r.variant: r.interval.value for r in kind["expected_calibration_error", model].results} for kind in (found.raw, found.comparisons))
        for method in ("loss_weights", "over_sampling", "under_sampling"): assert corrected[method] < raw[method] / 2
    assert ("trees", "focal") not in found.seconds and ("linear", "focal") in found.seconds
    told = found.overrule("smote", "A lesson.", who="Eve")
    assert told.prepare()["balance"] == "smote" and told.evidence()[0].verdict == "warning" and "Eve" in told.verdict
    again = compare_balance(load_data(data.card.replace(prepare=told.prepare())), methods=("loss_weights",), rows=800, seeds=(0,))
    assert again.chosen == "smote" and again.decision.overruled["who"] == "Eve"
    with pytest.raises(DataError, match="Did you mean 'smote'"): compare_balance(data, methods=("smot",))


def test_many_classes_and_numbers(tmp_path):
    generator = np.random.default_rng(1)
    (tmp_path / "k").mkdir(), (tmp_path / "n").mkdir()
    found = compare_balance(data_of(tmp_path / "k", generator.choice(["a", "b", "c", "d"], 1500, p=[0.7, 0.2, 0.06, 0.04]), "{kind: classification}"), rows=1200, seeds=(0,))
    assert found.chosen in ("none", "loss_weights", "under_sampling", "over_sampling", "smote", "focal") and len(found.shares) == 4 and found.rows()
    none = compare_balance(data_of(tmp_path / "n", generator.normal(size=400), "{kind: regression}"))
    assert none.chosen == "none" and "no classes" in none.verdict and none.evidence()[0].verdict == "noted" and "no classes" in none._repr_html_()


def test_a_fitter_from_elsewhere_is_told_what_counts(tmp_path):
    seen = []

    def constant(features, target, valid_features, valid_target, *, class_weights=None, focusing=0.0, seed=0):
        seen.append((class_weights is not None, focusing, round(float(target.mean()), 2)))
        return lambda part: np.full(len(next(iter(part.values()))), float(target.mean()))
    constant.handles_focus = True
    compare_balance(data_of(tmp_path, np.where(np.arange(900) % 10 == 0, "yes", "no")), fitters={"constant": constant}, rows=900, seeds=(0,))
    assert seen[0][:2] == (False, 0.0) and (True, 0.0) in {entry[:2] for entry in seen} and (False, 2.0) in {entry[:2] for entry in seen} and 0.5 in {entry[2] for entry in seen}
