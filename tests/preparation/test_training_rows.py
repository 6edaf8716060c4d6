"Decisions about rows: each is carried out on training rows alone, and what cannot be carried out is refused."
from pathlib import Path

import numpy as np
import pytest

from dlmine.core.errors import DataError
from dlmine.framing.card import load_card
from dlmine.preparation.loading import load_data
from dlmine.preparation.pipeline import TabularPreprocessor
from dlmine.preparation.training_rows import training_rows

ADULT = load_card(Path(__file__).parents[2] / "usecases" / "adult.yml")


def made(rows=2000, **sections):
    data = load_data(ADULT.replace(**sections), rows=rows)
    return data, TabularPreprocessor.fit(data.table, data.plan, data.split.train, data.target.values, prepare=data.card.prepare)


def test_without_decisions_the_rows_are_the_splits():
    data, preprocessor = made()
    rows = training_rows(data, preprocessor)
    expected = preprocessor.transform(data.rows("train"))
    assert np.array_equal(rows.features["x_num"], expected["x_num"], equal_nan=True) and np.array_equal(rows.target, data.outcomes("train"))
    assert rows.notes == () and rows.class_weights is None and rows.focusing == 0


def test_removed_rows_are_those_beyond_the_fences():
    data, preprocessor = made(prepare={"outliers": {"hours_per_week": "remove"}})
    rows = training_rows(data, preprocessor)
    hours = data.rows("train")["hours_per_week"].to_numpy()
    first, third = np.quantile(hours, [0.25, 0.75], method="inverted_cdf")
    inside = (hours >= first - 1.5 * (third - first)) & (hours <= third + 1.5 * (third - first))
    assert 0 < len(rows.target) < len(hours) and abs(len(rows.target) - inside.sum()) <= 0.5 * (~inside).sum()
    assert f"{len(hours) - len(rows.target):,} training rows" in rows.notes[0]


@pytest.mark.parametrize("method", ["over_sampling", "under_sampling", "smote"])
def test_sampling_makes_classes_equal(method):
    data, preprocessor = made(prepare={"balance": method})
    counts = np.bincount(training_rows(data, preprocessor).target)
    assert counts[0] == counts[1] and counts[0] == np.bincount(data.outcomes("train"))[0 if method != "under_sampling" else 1]


def test_loss_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight
    data, preprocessor = made(prepare={"balance": "loss_weights"})
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=data.outcomes("train"))
    assert np.allclose(training_rows(data, preprocessor).class_weights, expected, rtol=1e-9)


def test_boosting_takes_the_weights():
    from dlmine.training.boosting import fit_boosting
    data, preprocessor = made()
    sides = {side: preprocessor.transform(data.rows(side)) for side in ("train", "valid")}
    given = dict(kind="binary", classes=data.classes, budget=20, tuning_rows=500)
    plain, heavy = (fit_boosting(sides["train"], data.outcomes("train"), sides["valid"], data.outcomes("valid"), class_weights=weights, **given).predict(sides["valid"]) for weights in (None, (1.0, 5.0)))
    assert heavy.mean() > plain.mean() + 0.1


def test_what_cannot_be_carried_out_is_refused():
    data, preprocessor = made(target="age", task={"kind": "regression"}, kpi={}, gates=[], promotion={}, prepare={"balance": "loss_weights"})
    with pytest.raises(DataError, match="prepare.balance is about classes"):
        training_rows(data, preprocessor)
    data, preprocessor = made(labels={"use": 100, "unlabelled": "pseudo_labels"})
    with pytest.raises(DataError, match="Pass fit="):
        training_rows(data, preprocessor)
