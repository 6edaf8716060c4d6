"Requests for governed data: who may sign, what an approval covers, what an edited, late or doubled step does."
import dataclasses
import datetime
import json
import subprocess
import sys
import time

import pyarrow as pa
import pytest
from governed import governed_card

from dlmine.core.errors import DataError, IntegrityError
from dlmine.core.evidence import find_evidence, verify
from dlmine.core.identity import who
from dlmine.core.settings import load_settings
from dlmine.framing.access import (AccessRefused, access_path, check_access, list_requests, load_request, permit, refuse_request, save_draft, scan_request, sign_request,
                                   submit_request, withdraw_request)
from dlmine.framing.access_request import departments_of, needed_columns, propose_request
from dlmine.framing.card import parse_card
from dlmine.framing.personal_data import scan_table

TABLE = pa.table({"größe": [1.5, 2.0], "note": ["call +44 20 7946 0958", "none"], "name": ["anna kowalska", "tom smith"], "late": [0, 1]})
CARD = governed_card("heights", "Who is late", "people.csv", target="late", exclude="name")
SIGNERS = (("olu", "data owner"), ("pia", "privacy"), ("sam", "Security"))


def soon(**distance):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**(distance or {"days": 30}))


def acting(name, role):
    return dataclasses.replace(load_settings(), actor=name, role=role)


@pytest.fixture
def card():
    return parse_card(CARD)


@pytest.fixture
def ana():
    return acting("ana", "data scientist")


def ask(card, ana, columns=None, expires=None, names=TABLE.column_names, **answers):
    draft = propose_request(card, names, who(ana), departments_of(ana), columns=columns, expires=expires or soon(), **{"lawful_basis": "contract", **answers})
    submit_request(save_draft(draft, ana).id, ana)
    return scan_request(draft.id, scan_table(TABLE), card, acting("olu", "data owner"))


def approve(request, signers=SIGNERS):
    for name, role in signers:
        request = sign_request(request.id, acting(name, role))
    return request


def test_an_approval_covers_what_the_card_needs(card, ana):
    request = approve(ask(card, ana))
    granted = check_access(card, "main", TABLE.column_names, ana)
    assert request.state == "approved" and granted.columns == ("größe", "note", "late") == needed_columns(card, TABLE.column_names) and granted.requests == (request.id,)
    assert permit(card, ana)(card.sources[0], TABLE.column_names) == granted
    assert [one.evidence.figures["event"] for one in find_evidence(ana, "framing.access")] == ["drafted", "submitted", "scanned", "signed", "signed", "signed"]
    assert verify(ana).ok


def test_without_any_request_each_column_is_named_and_the_refusal_is_sealed(card, ana):
    with pytest.raises(AccessRefused, match="größe, note, late: no request covers it") as caught:
        check_access(card, "main", TABLE.column_names, ana)
    assert caught.value.exit_code == 2 and "dlmine access request" in str(caught.value)
    [found] = find_evidence(ana, "framing.access")
    assert found.evidence.verdict == "failed" and found.record.payload["actor"] == "ana" and found.record.payload["card_hash"] == card.hash
    assert list(found.evidence.figures["columns"].values()) == [["größe", "note", "late"]]
    assert verify(ana).ok


def test_the_missing_department_is_named(card, ana):
    request = approve(ask(card, ana), SIGNERS[:2])
    with pytest.raises(AccessRefused, match=f"request {request.id} is missing the approval of security. Security looks"):
        check_access(card, "main", TABLE.column_names, ana)
    approve(request, SIGNERS[2:])
    check_access(card, "main", TABLE.column_names, ana)
    with pytest.raises(AccessRefused, match="works council"):   # the settings name one more department since
        check_access(card, "main", TABLE.column_names, dataclasses.replace(ana, departments="data owner, privacy, security, works council"))


def test_two_requests_together_cover(card, ana):
    approve(ask(card, ana, ["größe"]))
    with pytest.raises(AccessRefused, match="note, late: no request"):
        check_access(card, "main", TABLE.column_names, ana)
    approve(ask(card, ana, ["note", "late"]))
    assert len(check_access(card, "main", TABLE.column_names, ana).requests) == 2


def test_a_column_that_came_later(card, ana):
    approve(ask(card, ana))
    with pytest.raises(AccessRefused, match="住所: no request covers it"):
        check_access(card, "main", [*TABLE.column_names, "住所"], ana)
    assert "住所" not in check_access(card.replace(exclude=["name", "住所"]), "main", [*TABLE.column_names, "住所"], ana).columns


def test_excluded_but_used_columns_are_needed(card):
    assert needed_columns(card.replace(protected=["name"]), TABLE.column_names) == tuple(TABLE.column_names)


def test_expiry_is_judged_by_the_clock(card, ana):
    request = ask(card, ana, expires=soon(seconds=2))
    approve(request)
    assert check_access(card, "main", TABLE.column_names, ana)
    time.sleep(max(0, (request.expires - soon(seconds=0)).total_seconds()) + 0.1)
    with pytest.raises(AccessRefused, match=f"request {request.id} expired on"):
        check_access(card, "main", TABLE.column_names, ana)
    with pytest.raises(AccessRefused, match="expired on"):   # a card set back does not revive it
        check_access(card.replace(as_of="2020-01-01") if "as_of" in type(card).model_fields else card, "main", TABLE.column_names, ana)
    with pytest.raises(DataError, match="is expired since"): sign_request(request.id, acting("olu", "data owner"))


@pytest.mark.parametrize("name, role, said", [("ana", "privacy", "four eyes"), (" ANA ", "data owner", "four eyes"), ("eve", "marketing", "none of the departments"), ("eve", "", "none of the departments")])
def test_who_may_not_sign(card, ana, name, role, said):
    request = ask(card, ana)
    with pytest.raises(DataError, match=said): sign_request(request.id, acting(name, role))
    with pytest.raises(DataError, match=said): refuse_request(request.id, "no", acting(name, role))
    assert load_request(request.id, ana).sign_offs == ()


def test_nobody_signs_twice_or_for_two(card, ana):
    request = sign_request(ask(card, ana).id, acting("olu", "data owner"))
    with pytest.raises(DataError, match="signed by data owner already"): sign_request(request.id, acting("ole", "data owner"))
    with pytest.raises(DataError, match="cannot sign for privacy, too"): sign_request(request.id, acting("Olu", "privacy"))


def test_nobody_signs_unseen_and_the_asker_does_not_scan(card, ana):
    draft = save_draft(propose_request(card, TABLE.column_names, who(ana), departments_of(ana), lawful_basis="consent", expires="2999-01-01"), ana)
    with pytest.raises(DataError, match="more than 366 days"): submit_request(draft.id, ana)
    save_draft(draft.replace(expires=soon()), ana)
    submit_request(draft.id, ana)
    with pytest.raises(DataError, match="nobody signs unseen"): sign_request(draft.id, acting("olu", "data owner"))
    with pytest.raises(DataError, match="a department runs it"): scan_request(draft.id, scan_table(TABLE), card, ana)


def test_the_scan_shows_and_hides(card, ana):
    request = ask(card, ana, ["note", "name"])
    kept = access_path(ana, request.id).read_text() + "".join(path.read_text() for path in (ana.workspace / "evidence").rglob("*.json*"))
    assert {"phone", "name"} <= {one["kind"] for one in request.scan["findings"]} and "7946" not in kept and "kowalska" not in kept
    assert dict(request.suggestions).keys() == {"note", "name"}


def test_refused_and_withdrawn_end_it(card, ana):
    request = approve(ask(card, ana))
    assert refuse_request(request.id, "Zweck zu weit ✗", acting("pia", "privacy")).state == "refused"
    with pytest.raises(AccessRefused, match="privacy: Zweck zu weit ✗"): check_access(card, "main", TABLE.column_names, ana)
    with pytest.raises(DataError, match="is refused"): sign_request(request.id, acting("sam", "security"))
    second = ask(card, ana)
    withdraw_request(second.id, ana, "not needed")
    with pytest.raises(DataError, match="nothing to withdraw"): withdraw_request(second.id, ana)
    with pytest.raises(AccessRefused, match="withdrawn"): check_access(card, "main", TABLE.column_names, ana)


@pytest.mark.parametrize("edit", [lambda text: text.replace('"late"', '"late", "name"', 1), lambda text: text.replace('"approved"', '"refused"', 1), lambda text: text[:-40], lambda text: "{}", lambda text: text.replace('"signature": "', '"signature": "00')])
def test_an_edited_request_approves_nothing(card, ana, edit):
    request = approve(ask(card, ana))
    path = access_path(ana, request.id)
    path.write_text(edit(path.read_text()))
    with pytest.raises(IntegrityError, match="edited"): load_request(request.id, ana)
    with pytest.raises(AccessRefused, match="Not trusted"): check_access(card, "main", TABLE.column_names, ana)
    assert list_requests(ana)[1].keys() == {request.id}


def test_a_file_signed_elsewhere_or_put_back_approves_nothing(card, ana, tmp_path):
    request = approve(ask(card, ana))
    path, approved = access_path(ana, request.id), access_path(ana, request.id).read_text()
    refuse_request(request.id, "over", acting("olu", "data owner"))
    path.write_text(approved)
    assert load_request(request.id, ana).state == "refused"
    other = dataclasses.replace(ana, workspace=tmp_path / "other")
    (tmp_path / "other" / "access").mkdir(parents=True)
    (tmp_path / "other" / "access" / path.name).write_text(approved)
    with pytest.raises(AccessRefused, match="Not trusted"): check_access(card, "main", TABLE.column_names, other)


def test_evidence_that_was_edited_approves_nothing(card, ana):
    request = approve(ask(card, ana))
    payload = sorted((ana.workspace / "evidence" / f"access-{request.id}" / "payloads").glob("*.json"))[-1]
    payload.write_text(payload.read_text().replace("approved", "refused"))
    with pytest.raises(AccessRefused, match="was touched"): check_access(card, "main", TABLE.column_names, ana)
    assert not verify(ana).ok


def test_what_a_killed_process_left_unsealed_never_happened(card, ana):
    from dlmine.core.chain import Chain, Evidence
    request = ask(card, ana)
    forged = request.replace(state="approved").model_dump(mode="json")
    Chain(ana.workspace / "evidence" / f"access-{request.id}").append(Evidence("framing.access", "heights: main", "passed", {"request": forged}))
    assert load_request(request.id, ana).state == "submitted"
    signed = sign_request(request.id, acting("olu", "data owner"))
    assert signed.missing() == ("privacy", "security") and verify(ana).ok
    assert len(find_evidence(ana, "framing.access")) == 4


def test_two_processes_sign_at_once(card, ana):
    request = ask(card, ana)
    code = "import sys; from dlmine.framing.access import sign_request; sign_request(sys.argv[1])"
    import os
    running = [subprocess.Popen([sys.executable, "-c", code, request.id], env=os.environ | {"DLMINE_WORKSPACE": str(ana.workspace), "DLMINE_ACTOR": name, "DLMINE_ROLE": role}) for name, role in SIGNERS]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert load_request(request.id, ana).state == "approved" and verify(ana).ok
    assert json.loads(access_path(ana, request.id).read_text())["request"]["state"] == "approved"


def test_another_purpose_table_or_use_case(card, ana):
    approve(ask(card, ana))
    for other, said in ((card.replace(purpose="Whom to dismiss"), "another purpose"), (card.replace(name="dismissals"), "no request covers"), (card.replace(sources=[{"name": "main", "location": "salaries.csv"}]), "no request covers")):
        with pytest.raises(AccessRefused, match=said): check_access(other, "main", TABLE.column_names, ana)


def test_passwords_stay_out(ana):
    card = parse_card(CARD.replace("people.csv", '"postgresql://ana:geheim@db/people?table=t"'))
    request = ask(card, ana)
    assert "geheim" not in access_path(ana, request.id).read_text() and approve(request).state == "approved"
    assert check_access(card, "main", TABLE.column_names, ana).columns


def test_names_of_requests_are_no_paths(ana):
    for name in ("../x", "", ".hidden", "a/b"):
        with pytest.raises(DataError, match="no name of a request"): load_request(name, ana)
