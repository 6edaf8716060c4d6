"Tables of pieces and tables of cases: the proposal tells them apart, and the card that it writes loads."
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from dlmine.core.datasets import load_dataset
from dlmine.framing.card import load_card
from dlmine.framing.kinds import describe_kinds
from dlmine.framing.proposal import propose_card
from dlmine.framing.shapes import find_choices, find_sequences


def readings(recordings=40, seed=0, **changed):
    "Steps of unequal number for each recording, shuffled, with one outcome for each."
    random = np.random.default_rng(seed)
    lengths = random.integers(5, 12, recordings)
    groups, steps = np.repeat(np.arange(recordings), lengths), np.concatenate([np.arange(length) for length in lengths])
    table = {"run": [f"run {one}" for one in groups], "step": steps, "force": random.normal(size=len(groups)), "broken": np.where(groups % 2, "yes", "no"), **{name: make(groups, steps, random) for name, make in changed.items()}}
    return pa.table(table).take(pa.array(random.permutation(len(groups))))


@pytest.mark.parametrize("changed, is_sequence", [
    ({}, True),
    ({"step": lambda groups, steps, random: np.datetime64("2024-01-01T00:00", "us") + (1000 * groups + steps).astype("timedelta64[m]")}, True),
    ({"broken": lambda groups, steps, random: random.choice(["yes", "no"], len(groups))}, False),   # the outcome changes within a recording
    ({"step": lambda groups, steps, random: steps // 2}, False),   # two rows at one step
    ({"force": lambda groups, steps, random: groups * 0.5}, False),   # nothing moves
    ({"run": lambda groups, steps, random: [f"{one}" for one in range(len(groups))]}, False),   # every row is its own
])
def test_what_makes_a_sequence(changed, is_sequence):
    table = readings(**changed)
    found = find_sequences(table, describe_kinds(table), "broken")
    assert (found is not None) is is_sequence
    if found: assert (found.entity, found.order, len(found.first)) == ("run", "step", 40)


def test_few_recordings_are_not_enough():
    table = readings(recordings=5)
    assert find_sequences(table, describe_kinds(table), "broken") is None


def test_the_proposed_card_of_readings_loads_and_divides_whole_recordings(tmp_path):
    from dlmine.preparation.loading import load_data
    pyarrow.csv.write_csv(readings(), tmp_path / "readings.csv")
    proposal = propose_card(str(tmp_path / "readings.csv"), "broken", out=tmp_path / "card.yml")
    proposal.write(tmp_path / "card.yml")
    card = load_card(tmp_path / "card.yml")
    assert (card.modality.kind, card.modality.step, card.entity, card.task.kind) == ("sequence", "step", "run", "classification")
    data = load_data(card)
    assert data.table.num_rows == 40 and sum(map(len, data.split.sides().values())) == 40
    assert "together they are one example" in str(proposal.findings[0])


def test_choices_are_ranked_and_amounts_are_not():
    films = load_dataset("movielens")
    found = find_choices(films, describe_kinds(films), "item", "time")
    assert (found.kind, found.entity, found.order) == ("history", "user", "time")
    assert find_choices(films, describe_kinds(films), "rating") is None
    twice = pa.concat_tables([films.slice(0, 3000), films.slice(0, 3000)])
    assert find_choices(twice, describe_kinds(twice), "item") is None   # a basket that repeats is a count, not a history of first choices
    card = propose_card("movielens", "item").card
    assert (card.task.kind, card.task.query, card.modality.kind, card.split.kind) == ("ranking", "user", "history", "leave_last_out")
