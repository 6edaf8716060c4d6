"Raw e-mails in a column of text: recognised, read as a person does, and never a reason to fail."
import json
from email.message import EmailMessage

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.preparation.columns import ColumnPlan, FeaturePlan
from dlmine.preparation.mails import is_mail, mail_text, readable, strip_html
from dlmine.preparation.text_pipeline import TextPreprocessor

PLAN = FeaturePlan((ColumnPlan("mail", "text", True, ""),))


def raw(text, way=0, subject="Hello", sender="anna@example.org") -> str:
    mail = EmailMessage()
    mail["Received"], mail["From"], mail["Subject"] = "from mx3.example.org by mail.example.org with ESMTPS id 77", sender, subject
    if way == 1: mail.set_content(f"<html><body><p>{text}</p></body></html>", subtype="html")
    else: mail.set_content(text, cte={2: "base64", 3: "quoted-printable"}.get(way, "8bit"))
    if way == 4: mail.add_attachment(b"\x00\xff" * 900, maintype="application", subtype="pdf", filename="a.pdf")
    return mail.as_string()


@pytest.mark.parametrize("way", range(5))
@pytest.mark.parametrize("text", ["United won.", "Снег идёт", "你好，世界", "مرحبا بالعالم", "שלום 🎉"])
def test_one_text_however_it_was_sent(way, text):
    assert is_mail(raw(text, way)) and mail_text(raw(text, way, "Grüße")) == f"Grüße\n\n{text}"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.sampled_from(["", "From: a\nTo: b\n\n", "From: a\nSubject: =?utf-8?B?", "From: a\nTo: b\nContent-Type: multipart/mixed; boundary=x\n\n--x\n", "From: a\nTo: b\nContent-Type: text/html; charset=", "From: a\nTo: b\nContent-Transfer-Encoding: base64\n\n"]))
def test_nothing_that_stands_in_a_mail_raises(text, before):
    assert isinstance(readable(before + text), str) and isinstance(mail_text(before + text), str) and isinstance(strip_html(text), str)


def test_what_is_no_mail_stays():
    for text in ("Note: to self\nbuy milk", "A: b\nC: d\n\nno known header", "just words", "", "https://example.org: a page\nmore"): assert not is_mail(text) and readable(text) == text


def test_models_see_neither_headers_nor_attachments():
    random = np.random.default_rng(0)
    words = [f"word{place}" for place in range(30)]
    texts = [" ".join(random.choice(words, 40)) for _ in range(60)]
    table = pa.table({"mail": [raw(text, place % 5) for place, text in enumerate(texts)] + [None, "", "no mail at all", "From: a\nSubject: b\n\n" + "long " * 200_000]})
    made = TextPreprocessor.fit(table, PLAN, np.arange(60), weights="own")
    assert made.settings["mails"] and "raw e-mails" in made._repr_html_()
    assert set(made.bag.terms).isdisjoint({"received", "esmtps", "example", "mx3"})
    plain = TextPreprocessor.fit(pa.table({"mail": texts}), PLAN, weights="own")
    assert not plain.settings["mails"]
    found = made.transform(table)
    again = TextPreprocessor.from_json(json.dumps(made.to_json()), made.files()).transform(table)
    assert all(np.array_equal(found[name], again[name]) for name in found) and len(found["tokens"]) == 64
    one = made.transform(table.slice(2, 1))["words"]
    assert np.array_equal(one, found["words"][2:3, :one.shape[1]])
    bare = made.transform(pa.table({"mail": ["Hello\n\n" + texts[2]]}))["words"]      # the mail and its text are one and the same
    assert np.array_equal(one, bare)
