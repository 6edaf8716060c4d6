"A labelled test set for the personal-data scan: real sentences of BBC news with invented e-mails, numbers, names and addresses put in, by locale."
import hashlib
import importlib
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

DEVELOPMENT = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "sv_SE", "da_DK", "fi_FI", "pt_BR", "ro_RO", "hr_HR", "hu_HU", "tr_TR", "en_IN", "ja_JP", "zh_CN", "ko_KR")   # rules were written looking at these
HELD_OUT = ("en_AU", "en_CA", "de_AT", "de_CH", "fr_CA", "es_MX", "es_CL", "nl_BE", "sk_SK", "sl_SI", "et_EE", "lt_LT", "uk_UA", "id_ID", "zh_TW")   # nothing was tuned on these
IDS = {"US": "us.ssn", "DE": "de.idnr", "FR": "fr.nir", "ES": "es.dni", "IT": "it.codicefiscale", "NL": "nl.bsn", "PL": "pl.pesel", "SE": "se.personnummer", "DK": "dk.cpr", "FI": "fi.hetu", "BR": "br.cpf", "RO": "ro.cnp", "HR": "hr.oib", "TR": "tr.tckimlik",
       "IN": "in_.aadhaar", "KR": "kr.rrn", "CN": "cn.ric", "CA": "ca.sin", "AT": "at.vnr", "CH": "ch.ssn", "MX": "mx.curp", "CL": "cl.rut", "BE": "be.nn", "SK": "sk.rc", "SI": "si.emso", "EE": "ee.ik", "LT": "lt.asmens", "UA": "ua.rntrc", "NO": "no.fodselsnummer", "CZ": "cz.rc"}
CARRIERS = {
    "email": ("{s} Write to {e}.", "{s} ({e})", "{e}: {s}", "The reply came from {e}, not from the office. {s}"),
    "iban": ("{s} Please pay into {e} by Friday.", "{s} IBAN {e}", "Account: {e}. {s}", "{s} The refund went to {e}, as agreed."),
    "phone": ("{s} Call {e}.", "Tel.: {e}. {s}", "{s} You can reach me on {e} after six.", "{s} My mobile is {e}, thanks."),
    "phone, no word beside": ("{s} {e}", "{e} - {s}"),
    "national_id": ("{s} ID number {e}.", "National ID: {e}. {s}", "{s} The tax id {e} is on the form."),
    "national_id, no word beside": ("{s} {e}", "{s} The form says {e} at the top."),
    "name": ("{s} My name is {e}.", "Name: {e}. {s}", "{s} Dear {e}, we write about your order.", "{s} Kind regards, {e}"),
    "name, no word beside": ("{s} It was {e} who asked for it.", "{s} The parcel for {e} has not come.", "{s} The claim was filed by {e} last week."),
    "address": ("{s} I live at {e}.", "{s} Send it to {e}, please.", "Address: {e}. {s}", "{s} The meter at {e} was read twice."),
}

@dataclass(frozen=True)
class Labelled:
    "A text and where something personal stands in it"
    text: str
    labels: tuple  # (kind, start, end)
    kind: str  # what was put in, with its carrier
    locale: str

def news_sentences() -> dict:
    "{beginning of the hash: sentence} of the BBC corpus"
    from dlmine.core.datasets import load_dataset
    found = {}
    for text in load_dataset("bbc")["text"].to_pylist():
        for paragraph in text.split("\n"):
            for sentence in re.split(r'(?<=[.!?])\s+(?=[A-Z"])', paragraph.strip()):
                sentence = " ".join(sentence.split())
                found[hashlib.sha256(sentence.encode()).hexdigest()[:20]] = sentence
    return found

def marked_sentences(part: str, sentences: dict | None = None) -> list:
    "[(sentence, spans of names)] of the hand-marked part `dev` or `test`"
    marks = json.loads((Path(__file__).parent / "names_in_news.json").read_text())[part]
    sentences = sentences or news_sentences()
    return [(sentences[key], spans) for key, spans in marks.items() if key in sentences]

def _speaks(faker, provider: str, locale: str) -> bool:
    "Whether faker has its own provider for the locale, not a stand-in"
    return any(getattr(one, "__provider__", "") == provider and str(getattr(one, "__lang__", "")).split("_")[0] == locale.split("_")[0] for one in faker.get_providers())

def _obfuscate(email: str, draw: random.Random) -> str:
    "One of several ways to write an e-mail"
    local, host = email.split("@")
    return draw.choice([email, email, f"{local}+{draw.choice(('news', 'shop', '2024'))}@{host}", f"{local}@mail.{host}", f"{local}@{host}".upper(), f"{local} [at] {host}", f"{local}(at){host}", f"{local}.ø@büro.{host}", f"{local} at {host.replace('.', ' dot ')}", f"{local}＠{host}"])

def _spaced(iban: str, draw: random.Random) -> str:
    "One of several ways to write an IBAN"
    groups = [iban[i:i + 4] for i in range(0, len(iban), 4)]
    return draw.choice([iban, " ".join(groups), "-".join(groups), iban.lower(), "\u00a0".join(groups), f"{iban[:4]} {iban[4:]}"])

def entity(kind: str, faker, locale: str, draw: random.Random) -> str | None:
    "An invented entity of a kind, as the locale writes it; None where faker does not speak the locale"
    if kind == "email": return _obfuscate(faker.ascii_free_email(), draw)
    if kind == "iban":
        number = faker.iban()   # some of faker's are shorter than their country's: no IBAN by ISO 13616, so they test nothing
        return _spaced(number, draw) if importlib.import_module("stdnum.iban").is_valid(number, check_country=False) else None
    provider = {"phone": "phone_number", "national_id": "ssn", "name": "person", "address": "address"}[kind]
    if not _speaks(faker, f"faker.providers.{provider}", locale): return None
    if kind == "phone": return faker.phone_number()
    if kind == "address": return " ".join(re.sub(r"\s*\n\s*", ", ", faker.address()).split())
    if kind == "name": return f"{faker.last_name()}{'' if locale[:2] in ('zh', 'ko') else ' '}{faker.first_name()}" if locale[:2] in ("zh", "ja", "ko", "hu") else f"{faker.first_name()} {faker.last_name()}"
    module = IDS.get(locale[-2:])
    for _ in range(200 if module else 0):
        number = str(faker.nif() if locale == "es_ES" else faker.aadhaar_id() if locale == "en_IN" else faker.curp() if locale == "es_MX" else faker.ssn())
        if importlib.import_module(f"stdnum.{module}").is_valid(number): return number   # what has wrong check digits is no identity number
    return None

def build(part: str, each: int = 12, sentences: list | None = None, seed: int = 0) -> list:
    "[Labelled]: `each` texts for each locale and carrier of `part`: dev or test"
    from faker import Faker
    sentences, made, draw = sentences or marked_sentences(part), [], random.Random(seed)
    for locale in DEVELOPMENT if part == "dev" else HELD_OUT:
        faker = Faker(locale)
        faker.seed_instance(seed)
        for kind, carriers in CARRIERS.items():
            for _ in range(each):
                inserted = entity(kind.split(",")[0], faker, locale, draw)
                if inserted is None: break
                sentence, names = draw.choice(sentences)
                made.append(_carried(sentence, names, draw.choice(carriers), inserted, kind, locale))
    return made

def _carried(sentence: str, names: list, carrier: str, inserted: str, kind: str, locale: str) -> Labelled:
    "The text of a carrier with all its labels"
    before, after = carrier.split("{e}")
    text = before.replace("{s}", sentence) + inserted + after.replace("{s}", sentence)
    start = len(before.replace("{s}", sentence))
    shift = carrier.split("{s}")[0].replace("{e}", inserted)
    return Labelled(text, ((kind.split(",")[0], start, start + len(inserted)), *(("name", len(shift) + first, len(shift) + last) for first, last in names)), kind, locale)

def agree(span: tuple, label: tuple) -> bool:
    "Whether two pieces are the same thing: one kind, and half of the shorter one is common"
    return span[0] == label[0] and min(span[2], label[2]) - max(span[1], label[1]) >= 0.5 * min(span[2] - span[1], label[2] - label[1])

def figures(texts: list, find, kinds=("email", "iban", "phone", "national_id", "name", "address")) -> dict:
    "{kind: {recall, precision, labels, found}}; `find(text)` gives things with kind, start, end"
    counts = {kind: {"labels": 0, "hit": 0, "found": 0, "right": 0} for kind in kinds}
    for one in texts:
        spans = [(span.kind, span.start, span.end) for span in find(one.text)]
        for label in one.labels:
            counts[label[0]]["labels"] += 1
            counts[label[0]]["hit"] += any(agree(span, label) for span in spans)
        for span in spans:
            if span[0] not in counts: continue
            counts[span[0]]["found"] += 1
            counts[span[0]]["right"] += any(agree(span, label) for label in one.labels)
    return {kind: {"recall": c["hit"] / max(1, c["labels"]), "precision": c["right"] / max(1, c["found"]), "labels": c["labels"], "found": c["found"]} for kind, c in counts.items()}
