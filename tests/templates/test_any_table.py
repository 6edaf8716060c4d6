"Tables that no one prepared: a card is proposed and a model trained; only a constant target is refused."
import csv
import datetime
import math
import random
import sqlite3

import pytest
from test_templates import dlmine, published

OPTIONS = ["-p", "epochs=2", "-p", "trees=30", "-p", "resamples=60"]


def season(path):
    days = [datetime.date(2021, 1, 1) + datetime.timedelta(days=i) for i in range(1000)]
    rng = random.Random(6)
    write(path, ["date", "sales"], [[day.strftime("%d.%m.%Y"), f"{100 + 20 * math.sin(day.timetuple().tm_yday / 58) + rng.gauss(0, 3):.2f}"] for day in days])
    return "sales"


def repeated_rows(path):
    rng = random.Random(7)
    rows = [[rng.randint(0, 9), rng.choice("uv")] for _ in range(40)]
    rows = [[*row, "p" if row[0] + rng.randint(-3, 3) > 4 else "q"] for row in rows] * 10
    rng.shuffle(rows)
    write(path, ["level", "side", "kind"], rows)
    return "kind"


def write(path, header, rows, encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([header, *rows])


def with_nulls_dates_and_text(path):
    rng = random.Random(1)
    words = "refund late broken thanks great cable screen parcel delivery again never happy".split()
    rows = []
    for i in range(500):
        bad = rng.random() < 0.3
        text = " ".join(rng.choices(words[:3] if bad and rng.random() < 0.7 else words, k=8))
        rows.append([f"T{i:05d}", f"2024-{1 + i % 12:02d}-{1 + i % 28:02d} {i % 24:02d}:15", rng.choice(["", "north", "south", "wést"]), "" if rng.random() < 0.4 else round(rng.gauss(50 + 10 * bad, 9), 2), text, "yes" if bad else "no"])
    write(path, ["ticket", "opened", "région", "amount", "message", "escalated"], rows)
    return "escalated"


def wide(path):
    rng = random.Random(2)
    rows = [[*(round(rng.gauss(0, 1), 3) for _ in range(1500)), i % 2] for i in range(60)]
    write(path, [*(f"gene_{i}" for i in range(1500)), "sick"], rows)
    return "sick"


def regression(path):
    rng = random.Random(3)
    rows = [[rng.choice("ABCD"), rng.randint(20, 200), rng.randint(1950, 2020), 0] for _ in range(400)]
    for row in rows:
        row[3] = round(row[1] * 2000 + "ABCD".index(row[0]) * 30000 + rng.gauss(0, 15000))
    write(path, ["district", "area", "built", "price"], rows)
    return "price"


def many_classes(path):
    rng = random.Random(4)
    rows = [[round(rng.gauss(k, 0.7), 3), round(rng.gauss(-k, 0.9), 3), f"kind {k}"] for k in (i % 7 for i in range(420))] + [[9, 9, "seen once"]]
    write(path, ["c", "dls", "species"], rows)
    return "species"


def copied_columns(path):
    rng = random.Random(5)
    rows = []
    for _ in range(300):
        a = rng.random()
        rows.append([a, a, "", rng.choice(["inf", "1e300", str(rng.random())]), int(a + rng.gauss(0, 0.2) > 0.5)])
    write(path, ["size", "size", "empty", "huge", "ok"], rows)
    return "ok"


@pytest.mark.parametrize("make", [with_nulls_dates_and_text, wide, regression, many_classes, copied_columns, season, repeated_rows], ids=lambda f: f.__name__)
def test_propose_and_train(make, tmp_path, own_workspace):
    target = make(tmp_path / "table.csv")
    proposed = dlmine(tmp_path, "card", "init", "table.csv", "--target", target, "--out", "usecase.yml")
    assert proposed.returncode == 0, proposed.stdout + proposed.stderr
    trained = dlmine(tmp_path, "run", "retrain", "--card", "usecase.yml", *OPTIONS)
    assert trained.returncode == 0, trained.stdout + trained.stderr[-3000:]
    audited = dlmine(tmp_path, "run", "audit", "--card", "usecase.yml", "-p", "resamples=60", "-p", "explained=4", "-p", "evidently_rows=0")
    lucky = make is wide  # its columns are noise: whether the model beats guessing is chance, and the audit says which
    assert audited.returncode == (3 if lucky and "must not stay" in audited.stdout else 0), audited.stdout + audited.stderr[-3000:]
    assert (published(own_workspace, "audit")[0] / "report.html").exists()


def nothing_written(workspace):
    "No run, release, evidence or registry entry; the private notebook may stay for the reader."
    return not [p for kind in ("runs", "releases", "evidence") for p in (workspace / kind).glob("*") if not p.name.endswith(".lock")]


CARD = "version: 1\nname: t\nsources: [{{name: main, location: {location}}}]\ntarget: {target}\ntask: {{kind: classification}}\n{more}split: {split}\n"
RANDOM = "{kind: random, valid: 0.2, test: 0.2, seed: 0}"


def bad_case(name, folder):
    "(card text, words that the error must hold)"
    rows = [[i, f"2024-01-{1 + i % 28:02d}", i % 2] for i in range(100)]
    write(folder / "good.csv", ["size", "day", "bought"], rows)
    if name == "missing column":
        return CARD.format(location="good.csv", target="bougth", more="", split=RANDOM), ["bougth", "bought"]
    if name == "one class":
        write(folder / "one.csv", ["size", "bought"], [[i, "no"] for i in range(50)])
        return CARD.format(location="one.csv", target="bought", more="", split=RANDOM), ["constant"]
    if name == "empty file":
        (folder / "empty.csv").write_text("")
        return CARD.format(location="empty.csv", target="x", more="", split=RANDOM), ["empty.csv"]
    if name == "binary file":
        (folder / "binary.csv").write_bytes(bytes(range(256)) * 40)
        return CARD.format(location="binary.csv", target="x", more="", split=RANDOM), ["binary.csv"]
    if name == "empty side":
        return CARD.format(location="good.csv", target="bought", more="time: day\n", split="{kind: time, valid_from: 2030-01-01, test_from: 2031-01-01}"), ["2024-01"]
    if name == "no database":
        sqlite3.connect(folder / "some.db").execute("create table visits (x int)")
        return CARD.format(location="'sqlite:///some.db?table=visit'", target="x", more="", split=RANDOM), ["visit"]
    return CARD.format(location="good.csv", target="bought", more="protcted: [size]\n", split=RANDOM), ["protcted", "protected"]


@pytest.mark.parametrize("name", ["missing column", "one class", "empty file", "binary file", "empty side", "no database", "unknown key"])
def test_bad_input_ends_with_two_and_writes_nothing(name, tmp_path, own_workspace):
    text, words = bad_case(name, tmp_path)
    (tmp_path / "usecase.yml").write_text(text)
    done = dlmine(tmp_path, "run", "retrain", "--card", "usecase.yml", *OPTIONS)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert all(word in said for word in words), said
    assert nothing_written(own_workspace)


@pytest.mark.parametrize("assignment, words", [("epoch=3", ["epoch", "epochs"]), ("epochs=many", ["epochs", "many"]), ("precision=fp8", ["precision", "fp32"])])
def test_bad_parameters_end_with_two_before_a_kernel_starts(assignment, words, tmp_path, own_workspace):
    done = dlmine(tmp_path, "run", "retrain", "--card", "usecases/adult.yml", "-p", assignment)
    said = done.stdout + done.stderr
    assert done.returncode == 2 and all(word in said for word in words), said
    assert nothing_written(own_workspace) and not list((own_workspace / "private").glob("*"))


def test_other_bad_cards(tmp_path, own_workspace):
    write(tmp_path / "good.csv", ["size", "bought"], [[i, i % 2] for i in range(100)])
    good = CARD.format(location="good.csv", target="bought", more="", split=RANDOM)
    (tmp_path / "tabs.yml").write_text(good.replace("target: bought", "target: bought\n  more: [1"))
    (tmp_path / "gate.yml").write_text(good + "gates: [{metric: roc_auk, comparison: '>=', threshold: 0.5}]\n")
    (tmp_path / "money.yml").write_text(good + "gates: [{metric: money, comparison: '>=', threshold: 0.5}]\n")
    (tmp_path / "folder").mkdir()
    for card, words in (("nowhere.yml", ["nowhere.yml"]), ("folder", ["folder"]), ("tabs.yml", ["tabs.yml", "line"]), ("gate.yml", ["roc_auk", "roc_auc"]), ("money.yml", ["money", "cost_matrix"])):
        done = dlmine(tmp_path, "run", "retrain", "--card", card, *OPTIONS)
        said = done.stdout + done.stderr
        assert done.returncode == 2 and all(word in said for word in words), (card, done.returncode, said)
        assert "Traceback" not in said and nothing_written(own_workspace)


def test_a_password_of_a_database_is_nowhere(tmp_path, own_workspace, monkeypatch):
    "Neither in what is printed, nor in any file of the workspace; also when the address names a database that does not answer."
    place = "postgresql://reader:hunter2-of-the-house@127.0.0.1:9/shop?table=visits"
    proposed = dlmine(tmp_path, "card", "init", place, "--target", "bought")
    (tmp_path / "usecase.yml").write_text(CARD.format(location=f"'{place}'", target="bought", more="", split=RANDOM))
    ran = dlmine(tmp_path, "run", "retrain", "--card", "usecase.yml", *OPTIONS)
    (tmp_path / "usecase.yml").write_text(CARD.format(location="'postgresql://reader@127.0.0.1:9/shop?table=visits&password=env:SHOP_WORD'", target="bought", more="", split=RANDOM))
    by_reference = dlmine(tmp_path, "run", "retrain", "--card", "usecase.yml", *OPTIONS, SHOP_WORD="hunter2-of-the-house")
    for done in (proposed, ran, by_reference):
        assert done.returncode == 2 and "127.0.0.1" in done.stdout + done.stderr and "hunter2" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert not [path for path in own_workspace.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert nothing_written(own_workspace)


def test_a_password_in_a_card_that_works_is_in_no_published_file(tmp_path, own_workspace):
    "The card's address appears in the report, the evidence and the release, with *** in place of the password."
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table visits (size real, bought int)")
        shop.executemany("insert into visits values (?, ?)", [(i % 17, int(i % 17 > 8)) for i in range(120)])
    place = "sqlite:///shop.db?table=visits&password=hunter2-of-the-house"
    (tmp_path / "usecase.yml").write_text(CARD.format(location=f"'{place}'", target="bought", more="", split=RANDOM))
    done = dlmine(tmp_path, "run", "retrain", "--card", "usecase.yml", *OPTIONS)
    assert done.returncode == 0 and "hunter2" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert not [path for path in own_workspace.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert "password=***" in next((own_workspace / "releases").rglob("model_card.json")).read_text()
