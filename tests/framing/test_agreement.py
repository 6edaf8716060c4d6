"The agreement: what forbids it, what it asks before anybody signs, and that nothing governed is looked at before."
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from dlmine.core.errors import DataError
from dlmine.framing.agreement import agree
from dlmine.framing.card import parse_card
from dlmine.framing.leaderboard import fair_leaderboard
from dlmine.framing.personal_data import scan_table
from dlmine.framing.schemas import compare_schemas
from dlmine.preparation.loading import load_data
from dlmine.preparation.pipeline import TabularPreprocessor

CARD = "name: shop\nsources: [{location: shop.parquet}]\ntarget: bought\ntask: {kind: classification, positive: 1}\nsplit: {kind: random}\npurpose: Who buys"


def made(tmp_path, leak):
    rng = np.random.default_rng(0)
    bought, age = rng.integers(0, 2, 600), rng.integers(18, 80, 600)
    table = pa.table({"age": age + 8 * bought, "note": [f"write to user{i}@example.org" for i in range(600)], "bought": bought, **({"invoice": bought * 10.0 + rng.random(600)} if leak else {})})
    parquet.write_table(table, tmp_path / "shop.parquet")
    return parse_card(CARD, path=tmp_path / "card.yml"), table


def board_of(card):
    data = load_data(card)
    preprocessor = TabularPreprocessor.fit(data.table, data.plan, data.split.train, data.target.values)
    return fair_leaderboard(card, data, {side: preprocessor.transform(data.rows(side)) for side in ("train", "valid", "test")}, seeds=(0,), budget=1, resamples=50)


@pytest.mark.parametrize("leak", [True, False])
def test_a_result_that_is_too_good_is_a_condition(tmp_path, leak):
    card, table = made(tmp_path, leak)
    found = agree(card, leaderboard=board_of(card), scan=scan_table(table, rows=200))
    assert any("too good" in condition for condition in found.conditions) == leak
    assert any("access: open" in condition for condition in found.conditions)   # the addresses in the notes
    assert found.verdict == "passed" and found.evidence().verdict == "warning"


def test_governed_values_are_not_compared_before_they_are_approved(tmp_path):
    card, _ = made(tmp_path, True)
    with pytest.raises(DataError, match="no request covers it"):
        compare_schemas(card.replace(access="governed"))
    assert compare_schemas(card).profiles
