"Sequences from a long table: order, duplicates, contradictions, forecasts without a look ahead, and a preprocessor that nothing upsets."
import json
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from dlmine.core.errors import CardError, DataError
from dlmine.framing.card import Card
from dlmine.preparation.columns import ColumnPlan, FeaturePlan
from dlmine.framing.naive import naive_forecasts
from dlmine.preparation.forecast_rows import forecast_rows
from dlmine.preparation.sequence_pipeline import SequencePreprocessor, read_lists, summarise
from dlmine.preparation.sequence_rows import assemble


def card_of(**changes):
    return Card(**{"name": "made", "sources": ({"location": "none"},), "target": "ill", "task": "classification", "entity": "patient", "modality": {"kind": "sequence", "step": "at"}, "split": {"kind": "random"}, **changes})


def plan_of(table, *left_out):
    return FeaturePlan(tuple(ColumnPlan(name, "sequence", name not in left_out, "the target" if name in left_out else "holds the sequence") for name in table.column_names))


def visits(**changes):
    columns = {"patient": ["a", "b", "a", "b", "a", None], "at": [3, 1, 1, 2, 2, 9], "pulse": ["71", "x", "70", "80", None, "1"], "weight": [1.0, 2.0, 1.5, 2.5, 1.2, 9.0], "ill": ["no", "yes", "no", "yes", "no", "no"]}
    return pa.table({**columns, **changes})


def notes(table): return json.loads(table.schema.metadata[b"dlmine.notes"])


def test_a_long_table_becomes_rows_in_the_order_of_steps():
    found = assemble(card_of(modality={"kind": "sequence", "step": "at", "channels": ["pulse", "weight"]}), visits())
    assert found["weight"].to_pylist() == [[1.5, 1.2, 1.0], [2.0, 2.5]] and found["pulse"].to_pylist() == [[70, None, 71], [None, 80]]
    assert found["ill"].to_pylist() == ["no", "yes"] and "1 rows without an entity or a step" in notes(found)[0]


def test_duplicates_of_a_step_are_counted_and_averaged():
    table = pa.concat_tables([visits(), visits().slice(0, 1), visits().slice(2, 1).set_column(3, "weight", pa.array([3.5]))])
    found = assemble(card_of(), table)
    assert found["weight"].to_pylist()[0] == [2.5, 1.2, 1.0] and any("2 rows repeat" in note and "1 of these steps had different values" in note for note in notes(found))


@pytest.mark.parametrize("changes, message", [
    ({"ill": ["no", "yes", "yes", "yes", "no", "no"]}, "two things about patient 'a': 'yes' and 'no'|two things about patient 'a': 'no' and 'yes'"),
    ({"ward": ["x", "y", "x", "z", "x", "x"]}, "'ward' .split.column: in the card. says two things about patient 'b'"),
])
def test_contradictions_name_the_entity(changes, message):
    card = card_of(split={"kind": "group", "column": "ward"}) if "ward" in changes else card_of()
    with pytest.raises(DataError, match=message): assemble(card, visits(**changes))


def test_cards_that_cannot_be_assembled():
    with pytest.raises(CardError, match="Set entity:"): assemble(card_of(entity=None), visits())
    with pytest.raises(CardError, match="modality.step"): assemble(card_of(modality={"kind": "sequence", "step": "when"}), visits())
    with pytest.raises(CardError, match="modality.channels"): assemble(card_of(modality={"kind": "sequence", "step": "at", "channels": ["no such"]}), visits())
    with pytest.raises(DataError, match="changes within an entity"): assemble(card_of(exclude=("pulse", "weight")), visits())


def readings(count=400, holes=(), seed=0):
    generator = np.random.default_rng(seed)
    kept = np.setdiff1d(np.arange(count), holes)
    start = datetime(2024, 1, 1)
    return pa.table({"at": [start + timedelta(hours=int(hour)) for hour in kept], "level": (np.sin(kept / 24 * 2 * np.pi) * 5 + generator.normal(0, 1, len(kept))).tolist()})


def forecast_card(**changes):
    return card_of(**{"target": "level", "task": {"kind": "forecast", "horizon": 3}, "entity": None, "time": "at", "split": {"kind": "time", "valid_from": "2024-01-10", "test_from": "2024-01-14"}, **changes})


def test_targets_are_the_values_a_horizon_later_and_no_label_crosses_a_boundary():
    table = readings(holes=[50, 51, 52, 200])
    level, found = dict(zip(table["at"].to_pylist(), table["level"].to_pylist())), forecast_rows(forecast_card(), table)
    for row in found.to_pylist():
        later = row["at"] + timedelta(hours=3)
        assert row["level"] == level[later] and row["past level"][-1] == pytest.approx(level[row["at"]], abs=1e-5)
        for boundary in (datetime(2024, 1, 10), datetime(2024, 1, 14)): assert not row["at"] < boundary <= later
    holes = [row for row in found.to_pylist() if row["at"] == datetime(2024, 1, 3, 10)]     # hour 58: three holes lie 6 to 8 steps back
    assert [value is None for value in holes[0]["past level"][-9:]] == [False] + [True] * 3 + [False] * 5 or holes[0]["past level"][-9:-5].count(None) == 3


def test_the_naive_forecasts_look_only_back():
    table = readings()
    found = forecast_rows(forecast_card(), table)
    level, naive = dict(zip(table["at"].to_pylist(), table["level"].to_pylist())), naive_forecasts(found, "level")
    assert set(naive) == {"last value", "a day before the target"}
    for row, last, day in zip(found.to_pylist(), *naive.values()):
        assert last == pytest.approx(level[row["at"]], abs=1e-5)
        if not np.isnan(day): assert day == pytest.approx(level[row["at"] + timedelta(hours=3 - 24)], abs=1e-5)
    assert np.isfinite(naive["a day before the target"]).mean() > 0.8


def test_what_is_naive_about_a_forecast_knows_nothing_of_its_future(tmp_path):
    "An earlier row's outcome can lie later than this row's moment: it must not stand in the table as a naive prediction."
    from dlmine.framing.baselines import measure_baselines
    from dlmine.framing.naive import known_forecast, naive_predictions
    from dlmine.preparation.loading import load_data
    import pyarrow.csv as csv
    steps = np.random.default_rng(0).normal(size=400).cumsum()      # a random walk: three steps ahead err by the root of three
    csv.write_csv(pa.table({"at": [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(400)], "level": steps}), tmp_path / "level.csv")
    card = forecast_card(sources=[{"location": str(tmp_path / "level.csv")}])
    data = load_data(card)
    actual = data.outcomes("test")
    found = {name: scores for name, _, scores, _ in naive_predictions(data, card, data.split.test)}
    now = np.array([past[-1] for past in data.rows("test")["past level"].to_pylist()])
    assert np.allclose(found["last value"], now) and 1.2 < np.sqrt(np.mean((found["last value"] - actual) ** 2)) < 2.4
    assert np.array_equal(known_forecast(data, card, data.split.test), found["last value"])
    assert "last value" in measure_baselines(data, card, resamples=50)._repr_html_()


def test_changing_the_future_changes_no_window():
    table = readings()
    changed = table.set_column(1, "level", pa.array([value if place < 200 else -99.0 for place, value in enumerate(table["level"].to_pylist())]))
    one, other = forecast_rows(forecast_card(), table).to_pylist(), forecast_rows(forecast_card(), changed).to_pylist()
    before = [place for place, row in enumerate(one) if row["at"] < datetime(2024, 1, 1) + timedelta(hours=200)]
    assert len(before) > 100 and all(one[place]["past level"] == other[place]["past level"] for place in before)


def test_forecasts_that_are_refused():
    with pytest.raises(CardError, match="divided at random"): forecast_rows(forecast_card(split={"kind": "random"}), readings())
    with pytest.raises(DataError, match="shorter horizon"): forecast_rows(forecast_card(task={"kind": "forecast", "horizon": 900}), readings())
    with pytest.raises(DataError): forecast_rows(forecast_card(), readings(1))
    with pytest.raises(DataError, match="no numbers that change|No column of numbers"): forecast_rows(forecast_card(), readings().set_column(1, "level", pa.array(["high"] * 400)))


def test_irregular_readings_carry_their_elapsed_time_and_skip_gaps():
    seconds = np.cumsum(np.where(np.arange(300) == 150, 90_000, np.random.default_rng(1).exponential(100, 300)))
    table = pa.table({"at": [datetime(2024, 1, 1) + timedelta(seconds=float(second)) for second in seconds], "level": np.sin(seconds / 900)})
    found = forecast_rows(forecast_card(split={"kind": "time", "valid_from": "2024-01-01 04:00", "test_from": "2024-01-02 06:00"}), table)
    assert "past at:elapsed" in found.column_names and any("irregular" in note for note in notes(found))
    assert max(max(row) for row in found["past at:elapsed"].to_pylist()) > 80_000     # a window may hold the gap; no target lies beyond it
    targets = dict(zip(table["at"].to_pylist(), range(300)))
    assert all((seconds[targets[at] + 3] - seconds[targets[at]]) < 50_000 for at in found["at"].to_pylist())


def test_statistics_are_numpys():
    generator = np.random.default_rng(0)
    rows = [generator.normal(size=size) for size in (1, 5, 30, 0)]
    rows[1][2] = np.nan
    found = summarise(np.concatenate(rows), np.array([len(row) for row in rows]), {"back": 2})
    for place, row in enumerate(rows[:3]):
        known = row[~np.isnan(row)]
        for name, value in {"mean": known.mean(), "std": known.std(), "first": known[0], "last": known[-1], "min": known.min(), "max": known.max(), "share missing": np.isnan(row).mean()}.items(): assert found[name][place] == pytest.approx(value)
    assert found["slope"][2] == pytest.approx(np.polyfit(np.arange(30), rows[2], 1)[0]) and found["back"][2] == rows[2][-3] and np.isnan(found["back"][0])
    assert all(np.isnan(column[3]) for column in found.values())


def lists(rows=40, seed=0):
    generator = np.random.default_rng(seed)
    return pa.table({"a": [generator.normal(size=size).tolist() for size in generator.integers(0, 9, rows)], "b": [generator.normal(3, 2, size).tolist() for size in generator.integers(1, 9, rows)], "y": generator.integers(0, 2, rows)})


def test_the_same_after_json_and_row_by_row():
    table = lists()
    fitted = SequencePreprocessor.fit(table, plan_of(table, "y"), np.arange(30))
    again, features = SequencePreprocessor.from_json(json.loads(json.dumps(fitted.to_json()))), fitted.transform(table)
    assert again.hash == fitted.hash and fitted.files() == {} and fitted.inputs == ["a", "b"]
    for name, values in again.transform(table).items(): np.testing.assert_array_equal(values, features[name])
    for row in (0, 7, 39):
        alone = fitted.transform(table.slice(row, 1))
        np.testing.assert_array_equal(alone["x_num"][0], features["x_num"][row])
        np.testing.assert_array_equal(alone["steps"][0], features["steps"][row, :alone["steps"].shape[1]])
        assert np.isnan(features["steps"][row, features["length"][row]:]).all()


def test_nothing_upsets_it():
    table = lists()
    fitted = SequencePreprocessor.fit(table, plan_of(table, "y"))
    strange = pa.table({"a": pa.array([["1", "x", None], [], None, ["-1e999", "nan", "7"]]), "b": pa.array([None, [float("inf"), 1e300], [], [2.0] * 3000])})
    features = fitted.transform(strange)
    assert features["length"].tolist() == [3, 2, 0, fitted.longest] and not np.isinf(features["steps"]).any() and not np.isinf(features["x_num"]).any() and np.abs(np.nan_to_num(features["steps"])).max() < 1000
    nothing = fitted.transform(pa.table({"a": pa.nulls(2), "b": pa.nulls(2)}))
    assert nothing["steps"].shape == (2, 1, 2) and nothing["length"].tolist() == [0, 0] and np.isnan(nothing["steps"]).all()
    none = fitted.transform(table.slice(0, 0))
    assert none["steps"].shape == (0, 1, 2) and none["x_num"].shape == (0, len(fitted.numeric_names))
    with pytest.raises(DataError, match="lacks 'b'"): fitted.transform(table.drop_columns(["b"]))
    with pytest.raises(DataError, match="a list of numbers is expected"): fitted.transform(table.set_column(0, "a", pa.array(np.arange(40.0))))
    with pytest.raises(DataError, match="format 9"): SequencePreprocessor.from_json({"format": 9})


def test_a_channel_that_says_nothing_is_left_out_and_one_row_is_enough():
    table = lists().append_column("dead", pa.array([[None, None]] * 40, pa.list_(pa.float64()))).append_column("flat", pa.array([[1.0]] * 40))
    fitted = SequencePreprocessor.fit(table, plan_of(table, "y"))
    assert [one["name"] for one in fitted.left_out if "says nothing" in one["reason"]] == ["dead", "flat"] and fitted.arguments()["channels"] == 2
    assert SequencePreprocessor.fit(table.slice(1, 1), plan_of(table, "y")).inputs
    with pytest.raises(DataError, match="No channel varies"): SequencePreprocessor.fit(table.select(["dead", "y"]), plan_of(table.select(["dead", "y"]), "y"))
    with pytest.raises(DataError, match="holds lists"): SequencePreprocessor.fit(table.select(["y"]), plan_of(table.select(["y"])))
    with pytest.raises(DataError, match="lists of"): read_lists(pa.array([[[1.0]]]))
