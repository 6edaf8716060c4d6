"Lineage: what was noted comes back, and what changed is named."
import copy
import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from dlmine.core.files import canonical_json, hash_table
from dlmine.governance.lineage import lineage, trace_training


@pytest.fixture
def parts(tmp_path):
    table = pa.table({"x": list(range(100)), "y": [0, 1] * 50})
    card = SimpleNamespace(name="test", hash="aa", owner="me", sources=[SimpleNamespace(name="main", location="a.csv")], target="y")
    data = SimpleNamespace(table=table, sha256=hash_table(table), split=SimpleNamespace(train=np.arange(70), valid=np.arange(10), test=np.arange(20)), rows_read=120)
    recipe = SimpleNamespace(steps=[{"kind": "numeric"}], numeric_names=["x"], categorical_names=[], hash="bb")
    facts = trace_training(card, data, recipe, model="boosting", parameters={"depth": 3, "rate": 0.1}, seed=7, run_id="run-1")
    folder = tmp_path / "test" / "id123"
    folder.mkdir(parents=True)
    release = SimpleNamespace(path=folder, name="test", release_id="id123", kind="binary", json=lambda name: json.loads((folder / name).read_text()))

    def write(facts):
        (folder / "model_card.json").write_text(canonical_json({"lineage": facts}))

    write(facts)
    return SimpleNamespace(card=card, data=data, facts=facts, release=release, write=write)


def test_what_was_noted_comes_back(parts):
    found = lineage(parts.release, card=parts.card, data=parts.data, record=SimpleNamespace(version=4, aliases=("champion",), run_id="m"))
    assert found.is_reproducible and found.facts == json.loads(canonical_json(parts.facts))
    assert found.facts["data"]["rows"] == 120 and found.facts["data"]["train_rows"] == 70
    text = found._repr_html_()
    assert all(word in text for word in ("boosting, seed 7", "depth 3", "version 4", "champion", "run-1"))
    assert json.loads(json.dumps(found.to_json()))["name"] == "test"
    assert {"Data", "Preparation", "Training", "Code", "Release", "In use"} == set(found.table()["station"])


@pytest.mark.parametrize("change, word", [
    (lambda parts, facts: facts.update(code="0.0.1"), "the code"),
    (lambda parts, facts: facts["environment"]["packages"].update(numpy="0.1"), "numpy 0.1"),
    (lambda parts, facts: setattr(parts.card, "hash", "cc"), "the card"),
    (lambda parts, facts: setattr(parts.data, "sha256", "dd"), "other values"),
    (lambda parts, facts: (setattr(parts.data, "sha256", "dd"), setattr(parts.data, "rows_read", 121)), "120 rows then, 121 now"),
])  # fmt: skip
def test_each_change_is_named_alone(parts, change, word):
    facts = copy.deepcopy(parts.facts)
    change(parts, facts)
    parts.write(facts)
    found = lineage(parts.release, card=parts.card, data=parts.data)
    assert len(found.changes) == 1 and word in found.changes[0] and found.evidence().verdict == "warning"


def test_a_release_without_notes_is_not_reproducible(parts):
    parts.write({})
    found = lineage(parts.release)
    assert not found.is_reproducible and found._repr_html_()


def test_names_from_data_are_never_markup(parts):
    parts.facts["card"]["sources"] = {"main": "<script>alert(1)</script>"}
    parts.write(parts.facts)
    assert "<script" not in lineage(parts.release)._repr_html_()
