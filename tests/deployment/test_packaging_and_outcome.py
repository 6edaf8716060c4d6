"Packing real small models: parity with holes and strangers, profiles, and the comparison with a champion on rows that neither saw."
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dlmine.core.errors import IntegrityError
from dlmine.core.promotion import PromotionContext
from dlmine.core.registry import Registry
from dlmine.core.release import read_release, write_release
from dlmine.core.settings import load_settings
from dlmine.deployment.outcome import NotWorse
from dlmine.deployment.packaging import UNSEEN, as_confidence, check_parity, make_model_card, make_profile, release_files, stress_rows
from dlmine.evaluation.decision import card_options, fit_decision
from dlmine.framing.card import load_card
from dlmine.preparation.loading import load_data
from dlmine.preparation.pipeline import TabularPreprocessor
from dlmine.training.boosting import fit_boosting
from dlmine.training.export import to_onnx
from dlmine.training.learner import fit

ROOT = Path(__file__).resolve().parents[2]
CANDIDATES = ({"max_leaf_nodes": 15, "learning_rate": 0.2, "l2_regularization": 1.0, "min_samples_leaf": 20},)


def train(card, rows=3000, family="boosting", budget=30, seed=0):
    "(data, preprocessor, trained, decision) of a small training."
    data = load_data(card, rows=rows)
    preprocessor = TabularPreprocessor.fit(data.table, data.plan, data.split.train, data.target.values)
    sides = {side: (preprocessor.transform(data.rows(side)), data.outcomes(side)) for side in ("train", "valid")}
    common = dict(kind=data.kind, classes=data.classes, seed=seed)
    trained = (fit_boosting(*sides["train"], *sides["valid"], **common, budget=budget, candidates=CANDIDATES) if family == "boosting"
               else fit(*sides["train"], *sides["valid"], **common, epochs=1, cardinalities=preprocessor.cardinalities, fills=preprocessor.fills))
    decision = fit_decision(data.target, trained.predict(sides["valid"][0]), data.outcomes("valid"), card=card)
    return data, preprocessor, trained, decision


def pack(card, data, preprocessor, trained, decision, settings):
    model_card = make_model_card(card, data, trained, quality={}, comparison={}, gates={}, code_version="test", run_id="test", seed=0)
    profile = make_profile(data.rows("train"), preprocessor, decision.apply(trained.predict(preprocessor.transform(data.rows("train")))))
    files = release_files(card, data, preprocessor, trained, onnx=to_onnx(trained), decision=decision.to_json(), profile=profile, model_card=model_card)
    return read_release(write_release(settings, name=card.name, files=files).path, settings=settings)


@pytest.fixture(scope="module")
def card():
    return load_card(ROOT / "usecases" / "adult.yml").replace(gates=[])


@pytest.mark.parametrize("family", ["boosting", "net"])
def test_parity_and_profile(card, family):
    settings = load_settings()
    data, preprocessor, trained, decision = train(card, family=family)
    release = pack(card, data, preprocessor, trained, decision, settings)
    parity = check_parity(release, trained, preprocessor, data.rows("test"), calibration=decision.calibration)
    assert parity.passed and parity.require() is parity and parity.rows == len(data.split.test)
    with pytest.raises(IntegrityError, match="must not be used"):
        replace(parity, largest=0.01).require()
    with pytest.raises(IntegrityError, match="must not be used"):
        replace(parity, stressed=float("nan")).require()
    names = {path.name for path in release.path.iterdir()}
    assert ("weights.safetensors" in names) == (family == "net") == ("architecture.json" in names)
    profile = release.json("profile.json")
    assert set(profile["features"]["columns"]) == set(preprocessor.inputs) and profile["scores"]["rows"] == len(data.split.train)
    assert release.has_trained_on(data.rows("train"), preprocessor.inputs).all()


def test_stress_makes_holes_and_strangers_and_nothing_else(card):
    data, preprocessor, *_ = train(card, rows=1500, budget=2)
    raw = data.rows("test")
    stressed = stress_rows(raw, preprocessor, share=0.3)
    assert stressed.schema == raw.schema and stressed.num_rows == raw.num_rows
    for step in preprocessor.steps:
        name = step["name"]
        assert stressed[name].null_count > raw[name].null_count
        assert (UNSEEN in stressed[name].to_pylist()) == (step["kind"] == "categorical")
    assert stressed["income"].equals(raw["income"])


def test_the_champion_is_met_on_rows_that_neither_saw(card, own_workspace):
    settings = load_settings()
    first = train(card)
    champion = pack(card, *first, settings)
    registry = Registry(settings)
    old = registry.version(card.name, registry.register(champion, card.name))
    second = train(card, budget=31, seed=1)
    release = pack(card, *second, settings)
    policy = NotWorse(card, release, second[0], settings, dict(resamples=50, seed=0))
    context = lambda current: PromotionContext("champion", old, current, settings)
    assert policy(context(None)).passed
    met = policy(context(old))
    assert met.name == "non-inferior" and met.figures["rows"] == len(second[0].split.test) and "neither was trained on" in met.reason

    # the champion has seen what are test rows now: they are left out, and too few remain
    moved = replace(second[0], split=replace(first[0].split, test=first[0].split.train))
    refused = NotWorse(card, release, moved, settings, dict(resamples=50, seed=0))(context(old))
    assert not refused.passed and "new to both" in refused.reason


def test_a_model_that_answers_another_question_is_not_compared(card):
    settings = load_settings()
    old_data = train(card)
    registry = Registry(settings)
    old = registry.version(card.name, registry.register(pack(card, *old_data, settings), card.name))
    other = card.replace(target="sex", protected=["race"], task={"kind": "classification", "positive": "Female"})
    new = train(other, budget=5)
    result = NotWorse(other, pack(other, *new, settings), new[0], settings)(PromotionContext("champion", old, old, settings))
    assert not result.passed and "another question" in result.reason


def test_options_and_confidence(card):
    data = load_data(card, rows=2000)
    options = card_options(data, data.split.test)
    assert options["k"] == data.capacity("test") and options["cost_matrix"] is card.kpi.cost_matrix
    assert np.array_equal(as_confidence([[0.2, 0.8], [0.6, 0.4]]), [0.8, 0.6]) and np.array_equal(as_confidence(pa.array([0.1]).to_numpy()), [0.1])


def test_todays_outcomes_are_read_in_the_terms_of_the_model(tmp_path):
    from dlmine.core.errors import DataError
    from dlmine.deployment.outcome import in_terms_of, is_new_to, is_same_division, share_of_copies
    from dlmine.framing.card import parse_card

    def table(classes, name):
        rows = [(i % 4 + (i // 9) % 2 / 10, classes[i % len(classes)]) for i in range(240)]
        (tmp_path / name).write_text("x,kind\n" + "".join(f"{x},{kind}\n" for x, kind in rows))
        return parse_card(f"version: 1\nname: t\nsources: [{{location: {tmp_path / name}}}]\ntarget: kind\ntask: {{kind: classification}}\nsplit: {{kind: random}}\n")

    settings, three = load_settings(), table("bcd", "three.csv")
    data, preprocessor, trained, decision = train(three, rows=0)
    release = pack(three, data, preprocessor, trained, decision, settings)
    assert in_terms_of(release, data) is data and is_same_division(release, data)
    assert is_new_to(release, data, data.split.test).all() and share_of_copies(release, data, data.split.test) > 0.9
    later = load_data(table("abcd", "four.csv"))
    answered = in_terms_of(release, later)
    assert answered.classes == ("b", "c", "d") and 0 < len(answered.split.test) < len(later.split.test) and "not judged" in answered.notes[-1]
    names = np.array(later.target.classes)[later.target.values[answered.split.test]]
    assert (np.array(answered.classes)[answered.target.values[answered.split.test]] == names).all()
    assert not is_same_division(release, later) and not is_new_to(release, later, later.split.test).all()
    with pytest.raises(DataError, match="another question"):
        in_terms_of(release, load_data(table("xy", "two.csv")))
