"The templates of framing and preparation, headless: what they leave behind, on which cards, and what refuses to run."
import re

import pytest
from test_templates import ROOT, dlmine, published

BRIEF = ["-p", "rows=3000", "-p", "resamples=60"]


def card_of(name, folder, **changes):
    from dlmine.framing.card import load_card

    (folder / f"{name}.yml").write_text(load_card(ROOT / "usecases" / f"{name}.yml").replace(**changes).to_yaml())
    return f"{name}.yml"


def evidence_of(run):
    return (run / "evidence.json").read_text()


@pytest.mark.parametrize("name, options, wanted", [
    ("flights", ["-p", "measure=no"], ("framing.sources", "framing.schemas", "framing.personal_data", "framing.tasks", "framing.baselines", "framing.agreement")),
    ("adult", [], ("framing.sources", "framing.schemas", "framing.leaderboard", "framing.latency", "framing.agreement")),
    ("movielens", [], ("framing.clusters", "framing.associations", "framing.agreement")),
])
def test_framing_ends_with_a_card_and_a_page(tmp_path, name, options, wanted):
    card = card_of(name, tmp_path)
    done = dlmine(tmp_path, "run", "01_framing", "--card", card, *BRIEF, *options, DLMINE_WORKSPACE=str(tmp_path / "workspace"))
    assert done.returncode == 0, done.stdout + done.stderr
    run, = published(tmp_path / "workspace", "01_framing")
    said = evidence_of(run)
    assert [one for one in wanted if one not in said] == []
    from dlmine.framing.card import load_card
    assert load_card(run / "artifacts" / "card.yml").name == name
    page = (run / "artifacts" / "agreement.html").read_text()
    assert "Signature" in page and "<script" not in page and not re.search(r'(src|href)="?http', page)
    report = (run / "report.html").read_text()
    assert len(report) < 3_000_000 and "application/vnd.jupyter.widget" not in report
    if name == "adult":
        assert "Traditional suffices" in report and "measure=no" not in report


def test_a_stale_main_source_is_no_basis_for_an_agreement(tmp_path):
    card = card_of("flights", tmp_path, as_of="2014-03-01")
    done = dlmine(tmp_path, "run", "01_framing", "--card", card, *BRIEF, "-p", "measure=no", DLMINE_WORKSPACE=str(tmp_path / "workspace"))
    assert done.returncode == 3 and "stale" in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    place = {"DLMINE_WORKSPACE": str(folder / "workspace")}
    card = card_of("flights_windows", folder, gates=[])
    return folder, place, [dlmine(folder, "run", "02_preparation", "--card", card, "-p", "rows=6000", "-p", "trial_rows=2000", **place) for _ in range(2)]


def test_preparation_stores_one_version_however_often_it_runs(prepared):
    folder, place, runs = prepared
    assert [run.returncode for run in runs] == [0, 0], runs[0].stdout + runs[0].stderr + runs[1].stdout
    versions = [path for path in (folder / "workspace" / "features" / "flights_windows").iterdir() if not path.name.startswith(".")]
    assert len(versions) == 1 and {"version.json", "preprocess.json", "checksums.json"} <= {path.name for path in versions[0].iterdir()}
    first, second = published(folder / "workspace", "02_preparation")
    assert "flights_windows.features 1" in runs[0].stdout and "flights_windows.features 1" in runs[1].stdout
    said = evidence_of(first)
    for one in ("preparation.windows", "preparation.knowledge", "preparation.leakage", "preparation.outliers", "preparation.categories", "preparation.balance", "preparation.versions", "preparation.replay", "preparation.outcome"):
        assert one in said, one
    assert dlmine(folder, "verify", **place).returncode == 0


def test_the_card_as_prepared_trains_and_its_release_knows_the_windows(prepared):
    folder, place, _ = prepared
    first = published(folder / "workspace", "02_preparation")[0]
    done = dlmine(folder, "run", "retrain", "--card", str(first / "artifacts" / "card.yml"), "-p", "rows=4000", "-p", "epochs=2", "-p", "trees=40", "-p", "resamples=60", **place)
    assert done.returncode == 0, done.stdout + done.stderr
    release, = (path for path in (folder / "workspace" / "releases" / "flights_windows").iterdir() if path.is_dir())
    assert "carrier_past_mean_3h" in (release / "preprocess.json").read_text()


def test_few_labels_are_tried_with_pseudo_labels_and_the_report_says_what_came_of_it(tmp_path):
    card = card_of("adult_few_labels", tmp_path, gates=[], prepare={"outliers": {"capital_gain": "cap"}, "balance": "loss_weights"})
    done = dlmine(tmp_path, "run", "retrain", "--card", card, "-p", "rows=6000", "-p", "epochs=2", "-p", "trees=40", "-p", "resamples=60", DLMINE_WORKSPACE=str(tmp_path / "workspace"))
    assert done.returncode == 0, done.stdout + done.stderr
    run, = published(tmp_path / "workspace", "retrain")
    said = evidence_of(run)
    assert "framing.semi_supervised" in said and "preparation.training_rows" in said and "Rare classes weigh more" in said


def test_governed_data_stops_the_run_with_the_missing_approval(tmp_path):
    from dlmine.core.settings import load_settings
    from dlmine.core.evidence import find_evidence, verify

    card, place = card_of("adult", tmp_path, access="governed"), {"DLMINE_WORKSPACE": str(tmp_path / "workspace")}
    for template in ("01_framing", "02_preparation", "retrain"):
        done = dlmine(tmp_path, "run", template, "--card", card, **place)
        assert done.returncode == 2 and "no request covers it" in done.stdout + done.stderr, (template, done.stdout + done.stderr)
    settings = load_settings(environment=place)
    assert len(find_evidence(settings, "framing.access")) == 3 and verify(settings).ok
    assert not published(tmp_path / "workspace", "framing")


def test_unknown_columns_in_prepare_are_refused_before_anything_is_published(tmp_path):
    card, place = card_of("adult", tmp_path, prepare={"outliers": {"agee": "cap"}}), {"DLMINE_WORKSPACE": str(tmp_path / "workspace")}
    done = dlmine(tmp_path, "run", "02_preparation", "--card", card, "-p", "rows=2000", "-p", "trial_rows=1000", **place)
    assert done.returncode == 2 and "Did you mean 'age'" in done.stdout + done.stderr, done.stdout + done.stderr
    assert not published(tmp_path / "workspace", "preparation")
