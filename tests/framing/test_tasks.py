"Which kind of learning: rules for degenerate cases, the curve for the others, budgets that would change the answer."
import numpy as np
import pyarrow as pa
import pytest

from dlmine.core.errors import DataError
from dlmine.core.view import TWIN_LIMIT
from dlmine.framing.card import parse_card
from dlmine.framing.label_curve import CurvePoint, LabelCurve
from dlmine.framing.task_canvas import TaskCanvas, read_facts, turn_facts
from dlmine.framing.tasks import LabelFacts, choose_task, decide, describe_labels

CARD = parse_card("""
name: machines
sources: [{location: machines.csv}]
target: broken
task: {kind: classification, positive: yes}
split: {kind: random}
gates: [{metric: roc_auc, threshold: 0.8}]
labels: {cost: 40, budget: 20000}
""")


def curve(stops=None, sizes=(50, 200, 1000)):
    points = []
    for size in sizes:
        points.append(CurvePoint("supervised", size, 0.9 - 2 / size, 0.85 - 2 / size, 0.95 - 2 / size))
        pays = stops is not None and size <= stops
        points.append(CurvePoint("self-training", size, 0.9, 0.85, 0.95, 0.02, 0.01 if pays else -0.01, 0.05, "pays" if pays else "no difference"))
    return LabelCurve(tuple(points), "roc_auc", (0, 1), 500, sizes[-1])


def facts(labelled=200, rows=10_000, positives=0.25, **more):
    few = round(labelled * positives)
    return LabelFacts(rows=rows, labelled=labelled, counts={"no": labelled - few, "yes": few}, metric="roc_auc", currency="EUR", **more)


def machines(labels, **columns):
    heat = np.random.default_rng(0).normal(size=len(labels))
    return pa.table({"heat": heat, "speed": heat[::-1] ** 2, "broken": pa.array(labels, pa.string()), **columns})


@pytest.mark.parametrize("found, decision, words", [
    (facts(0), "unsupervised", "None of 10,000"),
    (facts(400, positives=1 / 400), "unsupervised", "Only 1 labelled row of 'yes'"),
    (LabelFacts(rows=500, labelled=300, counts={"no": 300}), "unsupervised", "nothing can be told apart"),
    (LabelFacts("none", 500), "unsupervised", "names no target"),
    (LabelFacts("regression", 500, 12), "unsupervised", "an amount is not learned"),
    (LabelFacts("regression", 500, 400), "supervised", "amount"),
    (facts(10_000), "supervised", "nothing to gain"),
    (facts(200), "semi-supervised", "Nothing was measured"),
    (facts(5000), "supervised", "enough to learn from"),
])
def test_rules_decide_where_rules_suffice(found, decision, words):
    choice = decide(found)
    assert choice.decision == decision and words in choice.reasons[0] and choice.how == "rule"
    assert choice.evidence().figures["decision"] == decision and decision in choice._repr_html_() and choice.plot().svg and len(choice.table())


def test_the_curve_decides_between():
    assert decide(facts(200), curve(stops=200)).decision == "semi-supervised"
    above = decide(facts(500), curve(stops=200))
    assert above.decision == "supervised" and "stopped helping at 200" in above.reasons[0] and above.how == "measured" and above.budget.labels == -300 and above.budget.becomes == "semi-supervised"
    assert decide(facts(200), curve()).decision == "supervised"


def test_the_budget_counts_labels_and_money():
    few = decide(facts(200, cost=2.5, budget=1000.0))
    assert few.budget.labels == 801 and few.budget.cost == 801 * 2.5 and few.budget.affordable is False and "beyond the budget" in str(few.budget)
    goal = decide(facts(50, goal=0.88, cost=1.0, budget=1e6), curve(sizes=(50,)))
    assert np.isinf(goal.budget.labels) or goal.budget.labels > 0
    reachable = decide(facts(100, rows=50_000, goal=0.8995), curve(sizes=(50, 200, 1000)))
    assert reachable.budget.how == "measured" and 1000 < reachable.budget.labels + 100 <= 10_000
    assert decide(LabelFacts(rows=900, labelled=300, counts={"no": 300})).budget.labels == 1000   # the rule of three


def test_delay_is_said_and_forbids_only_when_nothing_is_final():
    slow = decide(facts(10_000, delay_days=90.0, period_days=30.0, span_days=700.0))
    assert slow.decision == "supervised" and any("longer than the 30 days" in reason for reason in slow.reasons) and any("13%" in reason for reason in slow.reasons)
    assert decide(facts(10_000, delay_days=900.0, span_days=700.0)).decision == "unsupervised"


def test_facts_come_from_card_and_table():
    table = machines(["yes"] * 30 + ["no"] * 90 + [None] * 80)
    found = describe_labels(CARD, table)
    assert (found.kind, found.rows, found.labelled, found.counts, found.goal, found.cost, found.budget) == ("binary", 200, 120, {"yes": 30, "no": 90}, 0.8, 40, 20_000)
    used = describe_labels(CARD.replace(labels={"use": 60, "delay": "60 days"}), table, period="30 days")
    assert (used.labelled, used.counts, used.delay_days, used.period_days) == (60, {"yes": 15, "no": 45}, 60, 30)


def test_the_newest_labels_are_missing_for_a_reason():
    days = [f"2024-{1 + place // 28:02d}-{1 + place % 28:02d}" for place in range(300)]
    table = machines(["yes" if place % 3 else "no" for place in range(200)] + [None] * 100, day=days)
    found = describe_labels(CARD.replace(time="day"), table)
    assert found.delay_days > 90 and found.uneven[0] == "day" and found.uneven[1] > 0.95
    assert "differ" in decide(found).warnings[0]


@pytest.mark.parametrize("labels", [[None] * 120, ["no"] * 120, ["yes"] + ["no"] * 119])
def test_odd_labels_go_from_table_to_an_answer(labels):
    choice = choose_task(CARD, machines(labels))
    assert choice.decision == "unsupervised" and choice.budget.labels > 0 and choice.changes["task"]["kind"] in ("anomaly", "clustering")


def test_measured_from_card_and_table():
    generator = np.random.default_rng(0)
    heat = generator.normal(size=900)
    table = pa.table({"heat": heat, "broken": np.where(generator.random(900) < 1 / (1 + np.exp(-3 * heat)), "yes", "no")})
    choice = choose_task(CARD.replace(labels={"use": 60}), table, seeds=(0, 1))
    assert choice.how == "measured" and choice.curve.largest == 60 and choice.curve.worth == 0.01 and choice.facts.labelled == 60
    assert choose_task(CARD, table, measure=False).curve is None
    three = pa.table({"heat": heat, "broken": np.digitize(heat, [-0.5, 0.5]).astype(str)})
    many = choose_task(parse_card("name: three\nsources: [{location: a.csv}]\ntarget: broken\ntask: {kind: classification}\nsplit: {kind: random}"), three, rows=400, seeds=(0,))
    assert many.decision == "supervised" and many.curve.metric == "log_loss"


def test_wide_tables_and_empty_columns_are_measured_too():
    generator = np.random.default_rng(0)
    table = pa.table({**{f"gene {place}": generator.normal(size=80) for place in range(200)}, "empty": pa.nulls(80), "broken": np.where(np.arange(80) % 2, "yes", "no")})
    assert choose_task(CARD, table, seeds=(0,)).decision == "supervised"


def test_the_canvas_turns_facts_and_keeps_proportions():
    found = facts(2000, positives=0.1, delay_days=14.0, period_days=30.0, cost=2.5, budget=5000.0)
    assert turn_facts(found, labelled=100).counts == {"no": 90, "yes": 10} and turn_facts(found, share=0.3).counts == {"no": 1400, "yes": 600}
    assert read_facts(turn_facts(found, **read_facts(found))) == read_facts(found)
    canvas = TaskCanvas(found)
    canvas.value = {"labels": {"share": 0.001}}
    assert canvas.value["decision"] == "unsupervised"
    canvas.value = {"labels": {"share": 0.3, "labelled": 100}}
    assert canvas.value["decision"] == "semi-supervised" and len(canvas.twin().encode()) < TWIN_LIMIT
    for wrong in ({"labels": {"labelled": 99_999}}, {"labels": {"share": 2}}, {"labels": {"delay_days": -1}}, {"nothing": 1}):
        with pytest.raises(DataError):
            canvas.value = wrong
    assert canvas.value["labels"]["labelled"] == 100


def test_overruling_takes_a_name_and_a_reason_and_is_kept():
    canvas = TaskCanvas(facts(100))
    with pytest.raises(DataError, match="who you are and why"):
        canvas.value = {"decision": "supervised"}
    canvas.value = {"decision": "supervised", "overruled_by": "Ida", "why": "labels come in June"}
    assert canvas.value["decision"] == "supervised" and canvas.value["measured"] == "semi-supervised" and canvas.record["from"] == "semi-supervised"
    assert canvas.evidence().verdict == "warning" and "Overruled by Ida" in canvas.twin()
    canvas.value = {"labels": {"labelled": 9000}}
    assert canvas.value["overruled_by"] == "Ida", "another fact does not undo what a person decided"
    canvas.take_back()
    assert canvas.value["decision"] == canvas.value["measured"] and canvas.record is None
