"The templates of models and training, headless: what they ask, what they leave behind, and that the card they write is obeyed."
import re

import pytest
import yaml
from test_framing_and_preparation import card_of, evidence_of
from test_templates import dlmine, published


@pytest.mark.parametrize("name, options, wanted, unwanted", [
    ("flights_tasks", ["-p", "rows=2500"], ("training.advisor", "training.sizes", "training.attention", "training.task_gain", "training.models"), ("training.neighbours", "training.pretrained")),
    ("shuttle", ["-p", "rows=2500"], ("training.anomaly", "training.models"), ("training.attention", "training.sizes")),
])
def test_models_answers_the_questions_that_arise(tmp_path, name, options, wanted, unwanted):
    card = card_of(name, tmp_path)
    done = dlmine(tmp_path, "run", "03_models", "--card", card, *options, "-p", "seeds=2", "-p", "epochs=3", DLMINE_WORKSPACE=str(tmp_path / "workspace"))
    assert done.returncode == 0, done.stdout + done.stderr
    run, = published(tmp_path / "workspace", "03_models")
    said = evidence_of(run)
    assert [one for one in wanted if one not in said] == [] and [one for one in unwanted if f'"{one}"' in said] == []
    report = (run / "report.html").read_text()
    assert "dlmine run retrain --card" in report and "does not arise for this card" in report
    assert len(report) < 3_000_000 and "application/vnd.jupyter.widget" not in report
    from dlmine.framing.card import load_card
    assert load_card(run / "artifacts" / "card.yml").training.architecture == ("autoencoder" if name == "shuttle" else "embedding_mlp")


def test_training_writes_a_section_that_retrain_obeys(tmp_path):
    card, place = card_of("adult", tmp_path, gates=[]), {"DLMINE_WORKSPACE": str(tmp_path / "workspace")}
    done = dlmine(tmp_path, "run", "04_training", "--card", card, "-p", "rows=2500", "-p", "seeds=2", "-p", "epochs=3", "-p", "processes=0", "-p", "platform=cronjob", **place)
    assert done.returncode == 0, done.stdout + done.stderr
    run, = published(tmp_path / "workspace", "04_training")
    said = evidence_of(run)
    assert [one for one in ("training.schedules", "training.precision", "training.clipping", "training.recipe", "training.training") if one not in said] == []
    agreed = run / "artifacts" / "card.yml"
    assert yaml.safe_load(agreed.read_text())["training"]["checkpoints"] is True
    assert re.search(r"^kind: CronJob$", (run / "artifacts" / "manifest.yaml").read_text(), re.M) and "USER 10001" in (run / "artifacts" / "Dockerfile").read_text()
    again = dlmine(tmp_path, "run", "retrain", "--card", str(agreed), "-p", "rows=2500", "-p", "epochs=2", "-p", "trees=30", "-p", "resamples=60", **place)
    assert again.returncode == 0, again.stdout + again.stderr
    trained, = published(tmp_path / "workspace", "retrain")
    assert "training.recipe" in evidence_of(trained) and "training.checkpoints" in evidence_of(trained)
