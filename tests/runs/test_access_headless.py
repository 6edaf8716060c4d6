"A headless run over governed data: refused without approval, with exit code 2, nothing published and the refusal sealed; and it runs on what was approved."
import dataclasses
import datetime

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from governed import governed_card

from dlmine.core.evidence import find_evidence, verify
from dlmine.core.identity import who
from dlmine.core.settings import load_settings
from dlmine.framing.access import AccessRefused, approved_sources, propose_request, save_draft, scan_request, sign_request, submit_request
from dlmine.framing.access_request import departments_of
from dlmine.framing.card import load_card
from dlmine.framing.governed import scan_sources
from dlmine.framing.personal_data import scan_table
from dlmine.preparation.loading import load_data
from dlmine.runs.cli import main

CARD = governed_card("visits", "Who comes back", "visits.parquet", target="back", exclude="email")


@pytest.fixture
def card(tmp_path):
    rows = 400
    parquet.write_table(pa.table({"email": [f"p{i}@example.org" for i in range(rows)], "age": [18 + i % 60 for i in range(rows)], "visits": [i % 7 for i in range(rows)], "back": [int(i % 7 > 3 or i % 11 == 0) for i in range(rows)]}), tmp_path / "visits.parquet")
    (tmp_path / "visits.yml").write_text(CARD)
    return tmp_path / "visits.yml"


def approve(card, settings):
    names = ["email", "age", "visits", "back"]
    draft = save_draft(propose_request(card, names, who(settings), departments_of(settings), lawful_basis="contract", expires=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3)), settings)
    submit_request(draft.id, settings)
    for name, role in (("olu", "data owner"), ("pia", "privacy"), ("sam", "security")):
        actor = dataclasses.replace(settings, actor=name, role=role)
        if role == "data owner": scan_request(draft.id, scan_table(pa.table({"age": [20]})), card, actor)
        sign_request(draft.id, actor)
    return draft.id


def test_refused_headless_and_the_refusal_is_sealed(card, capsys):
    settings = load_settings()
    assert main(["run", "retrain", "--card", str(card)]) == 2
    said = "".join(capsys.readouterr())
    assert "age, visits, back: no request covers it" in said and "email" not in said.split("no request")[0] and not list((settings.workspace / "runs").glob("*"))
    [refusal] = find_evidence(settings, "framing.access")
    assert refusal.evidence.verdict == "failed" and refusal.record.payload["card_hash"] == load_card(card).hash and refusal.run_id.startswith("access-refused-")
    assert verify(settings).ok


def test_the_same_in_a_notebook_and_then_only_what_was_approved(card):
    settings = dataclasses.replace(load_settings(), actor="ana", role="analyst")
    with pytest.raises(AccessRefused): load_data(load_card(card), settings=settings)
    name = approve(load_card(card), settings)
    data = load_data(load_card(card), settings=settings)
    assert data.table.column_names == ["age", "visits", "back"] and name in str(data.lineage())
    assert verify(settings).ok


def test_every_source_is_scanned_once_it_is_approved_and_none_before(card, tmp_path):
    parquet.write_table(pa.table({"age": list(range(18, 78)), "iban": ["DE89 3704 0044 0532 0130 00"] * 60}), tmp_path / "accounts.parquet")
    settings = dataclasses.replace(load_settings(), actor="ana", role="analyst")
    governed = load_card(card)
    both = governed.replace(sources=[{"name": governed.sources[0].name, "location": "visits.parquet"}, {"name": "accounts", "location": "accounts.parquet", "keys": ["age"]}])
    assert approved_sources(both, settings) == () and set(scan_sources(both, settings).left_out) == {one.name for one in both.sources}
    approve(both, settings)
    assert approved_sources(both, settings) == (both.sources[0].name,)
    found = scan_sources(both, settings)
    assert [one.subject for one in found.scans] == [f"{both.name}: {both.sources[0].name}"] and set(found.left_out) == {"accounts"} and "was not scanned" in found._repr_html_()
    opened = scan_sources(both.replace(access="open"), settings, rows=20)
    assert "accounts.iban" in opened.columns and "0130" not in opened._repr_html_() and [one.scanned for one in opened.scans] == [20, 20]
    assert len(opened.evidence()) == 2 and len(opened.table()) == len(opened.findings) and opened.figures["columns_with_personal_data"] == list(opened.columns)
    assert verify(settings).ok
