"Embeddings and learning curves: on weights of the test's own, so that nothing takes long."
import numpy as np
import pyarrow as pa
import pytest
from dlmine.core.errors import DataError
from dlmine.measures.compare import Part, Split
from dlmine.preparation.columns import ColumnPlan, FeaturePlan
from dlmine.preparation.packaged_weights import find_weights
from dlmine.preparation.text_pipeline import TextPreprocessor
from dlmine.training.embeddings import TextEmbedder, centre_hits, compare_precisions, embed_texts
from dlmine.training.export import measure_parity, to_onnx
from dlmine.training.learner import fit
from dlmine.training.pretrained import Crossing, Work, compare_pretraining, linear_way, network_way
from tiny_bert import TEXTS, write_weights

ENCODER = "dlmine.models.encoder:TextEncoder"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_weights(tmp_path_factory.mktemp("weights") / "tiny"))


@pytest.fixture(scope="module")
def data(folder):
    texts = [f"{text} {'again' if i % 3 else ''}" for i, text in enumerate(TEXTS * 4)]
    table = pa.table({"text": texts})
    target = np.array([int("goal" in text) for text in texts])
    preprocessor = TextPreprocessor.fit(table, FeaturePlan((ColumnPlan("text", "text", True, ""),)), weights=folder)
    features = preprocessor.transform(table)
    part = lambda rows: Part({name: values[rows] for name, values in features.items()}, target[rows])
    return Split(part(np.arange(70)), part(np.arange(70, 100)), part(np.arange(100, 128))), preprocessor.arguments()


def test_embeddings_do_not_depend_on_company_order_or_repetition(folder):
    embedder = TextEmbedder(folder, max_length=16, precision="fp32")
    texts = ["a goal", None, "the bank raised its rates and waits", "a goal", "", "日本", "x" * 10**6]
    found = embedder.embed(texts)
    assert found.shape == (7, 32) and found.dtype == np.float32
    np.testing.assert_array_equal(found[0], found[3])
    np.testing.assert_array_equal(found[1], found[4])
    np.testing.assert_allclose(found[::-1], embedder.embed(texts[::-1], tokens_per_batch=8), atol=1e-5)
    for text, vector in zip(texts, found): np.testing.assert_allclose(embedder.embed([text])[0], vector, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert embedder.embed([]).shape == (0, 32)


def test_lower_precision_keeps_the_meaning(folder):
    report = compare_precisions(TEXTS, np.array(["goal" in text for text in TEXTS]), ("bf16", "int8"), weights=folder, max_length=16)
    assert [row["precision"] for row in report.rows] == ["fp32", "bf16", "int8"]
    assert all(row["least"] > 0.97 for row in report.rows)
    assert "cosine" in report.sentence and report.evidence().figures["int8.cosine"] > 0.97


def test_centre_hits_leave_the_row_itself_out():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(400, 50))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert abs(centre_hits(vectors, generator.integers(0, 2, 400)).mean() - 0.5) < 0.12     # noise: chance, not better
    assert centre_hits(np.eye(3), np.array([0, 1, 2])).sum() == 0                              # a class of one row has no centre without it


def test_wrong_settings(folder):
    with pytest.raises(DataError, match="precision is one of auto, fp32, bf16, int8"): TextEmbedder(folder, precision="half")
    with pytest.raises(DataError, match="reads 40 tokens at most"): TextEmbedder(folder, max_length=64)
    with pytest.raises(DataError, match="would now download"): embed_texts(["a"], "roberta-base")


def test_a_frozen_training_is_reproducible_and_its_graph_says_the_same(data):
    split, facts = data
    run = lambda: fit(split.train.features, split.train.target, split.valid.features, split.valid.target, kind="binary", classes=("bank", "sport"), architecture=ENCODER, facts=facts, epochs=6, seed=3)
    once, twice = run(), run()
    np.testing.assert_array_equal(once.predict(split.test.features), twice.predict(split.test.features))
    assert measure_parity(once, to_onnx(once), split.test.features, limit=1e-4).passed
    assert ((once.predict(split.test.features) > 0.5) == split.test.target).mean() > 0.8


def test_learning_curves_of_all_ways_and_words_for_their_crossing(data, folder):
    split, facts = data
    classes = ("bank", "sport")
    ways = {"frozen": network_way(ENCODER, "binary", classes, facts, dict(mode="frozen"), most_epochs=5), "fine-tuned": network_way(ENCODER, "binary", classes, facts, dict(mode="fine_tuned", trained_layers=1), most_epochs=3),
            "scratch": network_way("dlmine.models.text_transformer:TextTransformer", "binary", classes, facts, most_epochs=3), "words": linear_way("binary", classes, facts)}
    report = compare_pretraining(ways, split, sizes=(70, 20), budget=1.0, seeds=(0, 1), metric="accuracy", weights=find_weights(folder))
    assert {(r.variant, r.size) for r in report.comparison.results} == {(way, size) for way in ways for size in (20, 70)}
    assert report.work["frozen"].once > 0 and report.work["frozen"].step < report.work["fine-tuned"].step
    assert report.weights["licence"].startswith("not declared")
    for said in ("frozen", "words", "GFLOP", "labels"): assert said in report.sentence
    assert "GFLOP a row" in report.table() and report.evidence().capability == "models.pretrained"
    assert "<svg" in report._repr_html_()
    assert min(r.interval.value for r in report.comparison.results if r.variant == "words") > 0.9


def test_few_labels_may_lack_a_class(data):
    split, facts = data
    rows = np.flatnonzero(split.train.target == 0)[:10]
    one = np.concatenate([rows, np.flatnonzero(split.train.target == 1)[:2]])
    trained = network_way(ENCODER, "multiclass", ("bank", "sport", "never seen"), facts, most_epochs=2)(Split(split.train.take(one), split.valid, split.test), 0, None)
    assert trained.predict(split.test.features).shape == (28, 3)


@pytest.mark.parametrize("ahead, said", [((True, True), "a is ahead of b at every size, 10 to 20 labels."), ((False, False), "b is ahead of a at every size, 10 to 20 labels."), ((False, True), "b is ahead at 10 labels; between 10 and 20 labels a overtakes.")])
def test_crossings_in_words(ahead, said):
    assert Crossing("a", "b", ahead, (10, 20)).sentence == said


def test_a_budget_buys_epochs():
    assert Work(2.0, 0.0).epochs(100.0, 10, 60) == 5
    assert Work(2.0, 1.0).epochs(30.0, 10, 60) == 1                        # encoding alone costs 10; what is left pays for one epoch
    assert Work(0.0, 1.0).epochs(100.0, 10, 60) == 60 and Work(9.0, 0).epochs(None, 10, 7) == 7


def test_what_is_refused(data):
    split, _ = data
    ways = {"a": None, "b": None}
    with pytest.raises(DataError, match="at least two ways"): compare_pretraining({"a": None}, split, sizes=(10,))
    with pytest.raises(DataError, match="from 2 to 70"): compare_pretraining(ways, split, sizes=(1, 10))
    with pytest.raises(DataError, match="positive number"): compare_pretraining(ways, split, sizes=(10,), budget=float("nan"))
