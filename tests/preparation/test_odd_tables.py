"""Any table: a proposed card loads, divides and prepares it; only what cannot be learned is refused"""
import datetime
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from dlmine.core.errors import DataError
from dlmine.framing.card import load_card
from dlmine.framing.proposal import propose_card
from dlmine.preparation.loading import load_data
from dlmine.preparation.pipeline import TabularPreprocessor

ROWS = 400
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=ROWS)
Y = X + GENERATOR.normal(size=ROWS) > 0
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(i)) for i in GENERATOR.integers(0, 900, ROWS)]


def gaps(values, share=0.1):
    return pa.array(values, mask=GENERATOR.random(len(values)) < share)


TABLES = {
    "boolean target, dates, nulls": dict(x=gaps(X), day=DAYS, y=Y),
    "text target with nulls": dict(x=X, y=gaps(np.where(Y, "yes", "no"), 0.2)),
    "1,500 columns": {**{f"f{i}": GENERATOR.normal(size=ROWS) for i in range(1500)}, "y": Y},
    "60 rows": dict(a=X[:60], b=GENERATOR.choice(list("uvw"), 60), y=GENERATOR.choice(["k", "l", "m"], 60)),
    "4 rows": dict(a=X[:4], y=list("abab")),
    "regression": dict(x=X, z=gaps(GENERATOR.lognormal(3, 2, ROWS)), y=3 * X + GENERATOR.normal(size=ROWS)),
    "regression with infinite outcomes": dict(x=X, y=np.where(X > 1, np.inf, X)),
    "moments as target": dict(x=X, y=DAYS),
    "names beyond ASCII": {"größe": X, "名前": GENERATOR.choice(["日本", "中国"], ROWS), "y": np.where(Y, "да", "нет")},
    "copies": {"x": X, "x again": X, "y again": Y, "y": Y},
    "many classes": dict(x=X, y=[f"k{int(v)}" for v in np.abs(GENERATOR.normal(size=ROWS) * 30)]),
    "classes of one row": dict(x=X, y=["a"] * 190 + ["b"] * 190 + [f"c{i}" for i in range(20)]),
    "empty columns": dict(x=X, e=pa.nulls(ROWS), f=pa.nulls(ROWS, pa.string()), y=Y),
    "infinite and huge": dict(x=np.where(X > 2, np.inf, X), w=np.where(X < -2, -np.inf, X), h=np.where(X > 1, 1e300, X), k=X * 1e300, y=Y),
    "attribute names": {"c": X, "dls": X ** 2, "self": GENERATOR.choice(list("ab"), ROWS), "class": GENERATOR.choice(list("ab"), ROWS), "y": Y},
    "awkward names": {" x ": X, "a:b": GENERATOR.choice(list("ab"), ROWS), "[q]": X ** 2, "#h": X ** 3, "it's": -X, "yes": X * 2, "null": X * 3, "1": X * 4, "y": Y},
    "ids": {"id": np.arange(ROWS), "uuid": [f"{i:x}-{hash(i) % 977}" for i in range(ROWS)], "customer_id": GENERATOR.integers(0, 60, ROWS), "x": X, "y": Y},
    "only an id": {"id": np.arange(ROWS), "y": Y},
    "only the target": {"y": Y},
    "only a constant": {"k": np.ones(ROWS), "y": Y},
    "mixed types": {"m": [str(v) if i % 7 else "unknown" for i, v in enumerate(X)], "t": [str(day) if i % 9 else "never" for i, day in enumerate(DAYS)], "y": Y},
    "free text": {"note": [("never again " if v else "good product thanks ") + " ".join(GENERATOR.choice(["alpha", "beta", "gamma", "delta"], 5)) for v in Y], "y": Y},
    "odd types": {"d": pa.array(np.round(X, 2).astype(str)).cast(pa.decimal128(10, 2)), "l": [[1, 2]] * ROWS, "b": [b"ab"] * ROWS, "dur": pa.array(np.arange(ROWS), pa.duration("s")), "dict": pa.array(GENERATOR.choice(list("ab"), ROWS)).dictionary_encode(), "y": Y},
    "one positive row": dict(x=X, y=np.arange(ROWS) == 77),
    "sorted by outcome": {"day": sorted(DAYS), "x": X, "y": np.arange(ROWS) > 300},
}


def prepare(tmp_path, columns, target="y"):
    parquet.write_table(pa.table(columns), tmp_path / "table.parquet")
    card = load_card(propose_card(str(tmp_path / "table.parquet"), target, out=tmp_path / "usecase.yml").write(tmp_path / "usecase.yml"))
    return load_data(card)


@pytest.mark.parametrize("name", TABLES)
def test_proposed_and_prepared(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = prepare(tmp_path, TABLES[name])
        preprocessor = TabularPreprocessor.fit(data.table, data.plan, data.split.train, data.target.values)
        features = preprocessor.transform(data.table)
        for shown in (data, data.plan, preprocessor): assert "<table" in shown._repr_html_()
    assert sorted(np.concatenate([*data.split]).tolist()) == list(range(data.table.num_rows)) and all(len(side) for side in data.split)
    assert len(data.target.values) == data.table.num_rows and "y" not in preprocessor.inputs and "y again" not in preprocessor.inputs
    assert features["x_num"].shape == (data.table.num_rows, len(preprocessor.fills)) and not np.isinf(features["x_num"]).any()
    assert features["x_cat"].shape[1] == len(preprocessor.cardinalities) and (features["x_cat"] < np.array(preprocessor.cardinalities, int)).all() and (features["x_cat"] >= 0).all()
    alone = preprocessor.transform(data.table.slice(1, 1))
    for part in alone: np.testing.assert_array_equal(alone[part][0], features[part][1], "one row is prepared as in company")


def test_words_that_tell_are_found(tmp_path):
    data = prepare(tmp_path, TABLES["free text"])
    preprocessor = TabularPreprocessor.fit(data.table, data.plan, data.split.train, data.target.values)
    assert {"note:never", "note:good"} <= set(preprocessor.numeric_names)


@pytest.mark.parametrize("columns, said", [
    (dict(x=X, y=["a"] * ROWS), "'y' is constant: every row with an outcome says 'a'"),
    (dict(x=X, y=np.full(ROWS, 2.5)), "is constant"),
    (dict(x=X, y=pa.nulls(ROWS, pa.float64())), "is empty in all 400 rows"),
    (dict(x=X, y=[f"n{i}" for i in range(ROWS)]), "no class occurs twice"),
])
def test_only_what_cannot_be_learned_is_refused(columns, said, tmp_path):
    with pytest.raises(DataError, match=said): prepare(tmp_path, columns)
    assert not (tmp_path / "usecase.yml").exists()


def test_columns_with_the_same_name_in_a_csv(tmp_path):
    lines = ["x,x,y,y,"] + [f"{X[i]:.3f},{X[i] ** 2:.3f},{int(Y[i])},{int(Y[i])},{i % 3}" for i in range(200)]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    data = load_data(propose_card(str(tmp_path / "table.csv"), "y").card)
    assert {name for name, _ in data.plan.features} >= {"x", "x_2"} and "y_2" not in {name for name, _ in data.plan.features}
    assert any("renamed" in note for note in data.notes)


def test_leaks_are_excluded_and_siblings_named(tmp_path):
    delay = GENERATOR.normal(5, 20, 3000)
    parquet.write_table(pa.table({"arr_delay": delay, "dep_delay": delay + GENERATOR.normal(0, 15, 3000), "status": np.where(delay > 15, "L", "ok"), "wind": GENERATOR.normal(size=3000) + 0.01 * delay, "late": delay > 15}), tmp_path / "t.parquet")
    proposal = propose_card(str(tmp_path / "t.parquet"), "late")
    assert set(proposal.card.exclude) == {"arr_delay", "status"}
    assert [finding.column for finding in proposal.findings if finding.subject == "suspicious"] == ["dep_delay"]
    assert "leak: its values stand one to one" in proposal.yaml


def test_a_season_is_learned_when_the_time_is_also_the_cluster():
    from dlmine.framing.card import parse_card
    from dlmine.framing.split import split_rows
    from dlmine.preparation.columns import plan_features

    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(1200)]
    table = pa.table({"day": days, "sales": [float(day.timetuple().tm_yday) for day in days]})
    card = parse_card("version: 1\nname: s\nsources: [{location: s.csv}]\ntarget: sales\ntask: {kind: regression}\ntime: day\ncluster: day\nsplit: {kind: time, valid_from: 2022-06-01, test_from: 2022-10-01}\n")
    plan = plan_features(table, card, split_rows(table, card)[0])
    assert plan.features == (("day", "datetime"),)
