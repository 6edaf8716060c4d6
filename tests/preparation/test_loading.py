"""Loading a card's data: real data sets, samples, windows, and what is refused"""
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dlmine.core.errors import CardError, DataError
from dlmine.framing.card import load_card, parse_card
from dlmine.preparation.loading import cluster_codes, load_data

USECASES = Path(__file__).parents[2] / "usecases"
AFTER = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


@pytest.fixture(scope="module")
def flights():
    return load_data(load_card(USECASES / "flights.yml"), rows=20_000)


def test_flights_know_no_future(flights):
    assert not AFTER & {name for name, _ in flights.plan.features} and AFTER < set(flights.table.column_names)
    times = flights.table["scheduled_departure"].to_numpy()
    assert times[flights.split.train].max() < np.datetime64("2013-09-01") <= times[flights.split.valid].min()
    assert times[flights.split.valid].max() < np.datetime64("2013-10-01") <= times[flights.split.test].min()
    assert (times[flights.current] >= np.datetime64("2013-12-01")).all() and len(flights.current) > 500
    assert flights.rows_read == 327_346 and not flights.plan.trend and not flights.plan.yearly


def test_a_sample_repeats_and_keeps_proportions(flights):
    again = load_data(load_card(USECASES / "flights.yml"), rows=20_000)
    assert again.table.equals(flights.table) and again.sha256 == flights.sha256
    shares = [len(side) / flights.table.num_rows for side in flights.split]
    np.testing.assert_allclose(shares, np.array([217_600, 27_100, 82_600]) / 327_346, atol=0.01)
    days = flights.table["day"].to_numpy()
    assert all(len(np.unique(flights.cluster[days == day])) == 1 for day in np.unique(days)[:20]) and len(np.unique(flights.cluster)) == len(np.unique(days))


def test_adult_as_given():
    data = load_data(load_card(USECASES / "adult.yml"))
    assert len(data.split.test) == 16_281 and len(data.split.train) + len(data.split.valid) == 32_561
    assert data.classes == ("<=50K", ">50K") and data.kind == "binary" and data.cluster is None and data.k == 1000
    assert "final_weight" not in {name for name, _ in data.plan.features} and abs(data.outcomes("valid").mean() - data.outcomes("train").mean()) < 0.001


def card(tmp_path, text="", more="", split="{kind: random}", task="classification"):
    lines = text or "when,y,x,who\n" + "\n".join(f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d},{'ab'[i % 3 == 0]},{i * 7 % 13},{i % 9}" for i in range(120))
    (tmp_path / "table.csv").write_text(lines)
    (tmp_path / "card.yml").write_text(f"name: example\nsources: [{{location: table.csv}}]\ntarget: y\ntask: {task}\nsplit: {split}\n{more}")
    return load_card(tmp_path / "card.yml")


@pytest.mark.parametrize("kind, more, split, said", [
    (CardError, "segments: [whoo]", "{kind: random}", "'whoo' .segments: in the card. is not in the data. Did you mean 'who'"),
    (CardError, "time: whenn", "{kind: random}", "Did you mean 'when'"),
    (CardError, "columns: {xx: numeric}", "{kind: random}", "columns: in the card"),
    (DataError, "time: when", "{kind: time, valid_from: 2024-06-01, test_from: 2030-01-01}", "test side empty.*2024-01-01"),
    (DataError, "time: when\ncurrent: {from: 2030-01-01, to: 2030-02-01}", "{kind: random}", "current window holds no rows.*data runs from 2024-01-01"),
    (DataError, "access: governed", "{kind: random}", "no request covers it"),
    (DataError, "modality: {kind: text, column: nowhere}", "{kind: random}", "modality.column"),
    (DataError, "", "{kind: given, column: who, train: 1, test: 77}", "The column holds"),
])
def test_refused(kind, more, split, said, tmp_path):
    with pytest.raises(kind, match=said): load_data(card(tmp_path, more=more, split=split))


@pytest.mark.parametrize("content, said", [(b"", "empty"), (b"y,x\n", "no rows|only"), (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 40, "binary|cannot|not")])
def test_files_without_a_table(content, said, tmp_path):
    found = card(tmp_path)
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match=said): load_data(found)


def test_a_training_side_with_one_outcome_is_refused(tmp_path):
    text = "when,y\n" + "\n".join(f"2024-01-{i + 1:02d},{'b' if i > 20 else 'a'}" for i in range(30))
    with pytest.raises(DataError, match="training rows have the same outcome"): load_data(card(tmp_path, text, "time: when", "{kind: time, valid_from: 2024-01-20, test_from: 2024-01-25}"))


class Allowed:
    def __init__(self, columns): self.columns = columns


def test_only_permitted_columns_are_read(tmp_path):
    asked = []
    text = "y,x,name\n" + "\n".join(f"{'ab'[i % 3 == 0]},{i % 17},n{i}" for i in range(120))
    def permit(source, columns):
        asked.append((source.name, columns))
        return Allowed(("x", "y"))
    data = load_data(card(tmp_path, text, more="access: governed\nexclude: [name]"), permit=permit)
    assert asked == [("main", ("y", "x", "name"))] and sorted(data.table.column_names) == ["x", "y"]


def test_governed_data_without_an_approved_request_is_refused_and_the_refusal_is_evidence(tmp_path):
    from dlmine.core.evidence import find_evidence, verify
    from dlmine.core.settings import load_settings
    from dlmine.framing.access import AccessRefused
    settings = load_settings()
    with pytest.raises(AccessRefused, match="no request covers it") as refused:
        load_data(card(tmp_path, more="access: governed"), settings=settings)
    assert isinstance(refused.value, DataError) and "columns that the card needs" in str(refused.value)
    record, = find_evidence(settings, "framing.access")
    assert record.evidence.verdict == "failed" and verify(settings).ok


def test_moments_cluster_by_day():
    times = pa.array(np.array(["2024-01-01T05:00", "2024-01-01T23:00", "2024-01-02T00:00", "NaT"], "datetime64[us]"))
    assert cluster_codes(pa.table({"t": times}), "t").tolist() == [0, 0, 1, 2]


def test_the_notes_say_what_was_left_out(tmp_path):
    text = "y,x\n" + "\n".join(f"{'' if i % 10 == 0 else 'ab'[i % 2]},{i}" for i in range(100))
    data = load_data(card(tmp_path, text))
    assert data.rows_read == 100 and data.table.num_rows == 90 and any("10 of 100 rows have no outcome" in note for note in data.notes)
    assert data.lineage()["rows_used"] == 90 and len(data.sha256) == 64


def test_metrics_that_do_not_fit_are_refused_before_training(tmp_path):
    (tmp_path / "t.csv").write_text("x,kind\n" + "".join(f"{i},{'abc'[i % 3]}\n" for i in range(90)))
    text = "version: 1\nname: t\nsources: [{location: t.csv}]\ntarget: kind\ntask: {kind: classification}\nsplit: {kind: random}\n"
    (tmp_path / "three.yml").write_text(text + "gates: [{metric: roc_auc, comparison: '>=', threshold: 0.5}]\n")
    with pytest.raises(CardError, match="multiclass.*macro_auc"): load_data(load_card(tmp_path / "three.yml"))
    (tmp_path / "money.yml").write_text(text + "gates: [{metric: money, comparison: '>=', threshold: 0}]\n")
    with pytest.raises(CardError, match="cost_matrix"): load_card(tmp_path / "money.yml")


def test_windows_and_knowledge_of_the_card_become_columns():
    from pathlib import Path
    from dlmine.framing.card import load_card
    flights = load_card(Path(__file__).parents[2] / "usecases" / "flights.yml")
    asked = flights.replace(prepare={"windows": [{"name": "queue", "by": ["origin"], "hours": [1]}], "knowledge": [{"column": "dest", "source": "airports", "kind": "table", "key": "faa"}]})
    plain, data = load_data(flights, rows=3000), load_data(asked, rows=3000)
    new = [name for name in data.table.column_names if name not in plain.table.column_names]
    assert any(name.startswith("queue") for name in new) and any("tz" in name for name in new)
    assert data.sha256 == plain.sha256 and np.array_equal(data.outcomes("test"), plain.outcomes("test"))
    assert set(new) & {name for name, _ in data.plan.features}
    few = load_data(asked.replace(labels={"use": 500, "unlabelled": "pseudo_labels"}), rows=3000)
    assert set(new) <= set(few.unlabelled.column_names)
