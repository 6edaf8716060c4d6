"Rows as points, groups in words, clusters that are there or not, odd rows, and all of it from a card."
import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from dlmine.core.errors import DataError
from dlmine.framing.anomalies import find_odd_rows
from dlmine.framing.card import parse_card
from dlmine.framing.clusters import compare_clusters, explained_share, find_clusters, measure_silhouette, measure_stability, principal_points
from dlmine.framing.encoding import encode_rows
from dlmine.framing.groups import describe_groups, find_conditions
from dlmine.framing.unlabelled import join_by_keys, load_rows, run_unsupervised

PLAIN = parse_card("name: odd\nsources: [{location: odd.csv}]\ntask: {kind: clustering}")


def heaps(rows=300, seed=0):
    generator = np.random.default_rng(seed)
    truth = np.arange(rows) % 3
    return generator.normal(size=(rows, 4)) + 8 * np.eye(3, 4)[truth], truth


def test_columns_weigh_the_same_whatever_their_unit():
    generator = np.random.default_rng(0)
    one = generator.normal(size=500)
    table = pa.table({"metres": one, "levels": generator.choice(list("abcdef"), 500), "flag": generator.random(500) < 0.5, "days": np.datetime64("2024-01-01") + generator.integers(0, 300, 500).astype("timedelta64[D]")})
    encoded = encode_rows(table)
    for name in table.column_names:
        part = encoded.matrix[:, [place for place, source in enumerate(encoded.sources) if source == name]]
        assert part.astype(float).var(axis=0).sum() == pytest.approx(1, abs=0.02), name
    other = encode_rows(table.set_column(0, "metres", pa.array(one * 1e6 + 5)))
    assert np.allclose(encoded.matrix, other.matrix, atol=1e-4)


def test_extremes_are_brought_in_or_kept_as_asked():
    values = np.random.default_rng(0).normal(size=1000)
    values[3] = 1e9
    table = pa.table({"value": values})
    assert np.abs(encode_rows(table).matrix).max() <= 3 and encode_rows(table, cut=False).matrix[3, 0] == encode_rows(table, cut=False).matrix.max() > 5


def test_silhouette_and_stability_are_scikit_learns():
    points, truth = heaps()
    mean, lower, upper = measure_silhouette(points, truth)
    values = silhouette_samples(points, truth)
    assert mean == pytest.approx(values.mean(), abs=1e-9) and upper - lower == pytest.approx(2 * 1.96 * values.std(ddof=1) / np.sqrt(len(values)), abs=1e-9)
    stable = measure_stability(points, 3, truth, 5)
    assert stable[0] == pytest.approx(1, abs=1e-9) and measure_stability(points, 5, find_clusters(points, clusters=5, resamples=3).labels, 5)[0] < 0.95


def test_structure_is_found_where_it_is_and_only_there():
    points, truth = heaps()
    found = find_clusters(points, resamples=5, most=5)
    assert found.chosen == 3 and adjusted_rand_score(truth, found.labels) == pytest.approx(1, abs=1e-9)
    assert find_clusters(points, resamples=5, most=5).figures == found.figures, "the same seed, the same clusters"
    for seed in range(3):
        cloud = find_clusters(np.random.default_rng(seed).normal(size=(300, 5)) * [1, 2, 1, 1, 3], resamples=5, most=5)
        assert cloud.chosen == 0 and "No structure" in cloud.verdict and (cloud.labels == -1).all() and cloud.plot().svg
    table = compare_clusters({"one": found, "none": cloud})
    assert table["clusters"].tolist() == [3, 0] and table["agreement"].tolist() == [1, 0]


def test_more_columns_than_rows():
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(40, 400)) + 2.0 * (np.arange(40) % 2)[:, None]
    assert principal_points(wide).shape[1] <= 30
    found = find_clusters(wide, resamples=5, most=4)
    assert found.chosen == 2 and adjusted_rand_score(np.arange(40) % 2, found.labels) == pytest.approx(1)


def test_explained_share_is_one_minus_the_variance_within():
    generator = np.random.default_rng(0)
    values, labels = generator.normal(size=200), generator.integers(0, 4, 200)
    within = sum(((values[labels == label] - values[labels == label].mean()) ** 2).sum() for label in range(4))
    assert explained_share(values, labels) == pytest.approx(1 - within / ((values - values.mean()) ** 2).sum(), abs=1e-9)
    assert explained_share(np.full(5, np.nan), np.zeros(5, int)) == 0 and explained_share(values, np.full(200, -1)) == pytest.approx(0, abs=1e-12)


def test_groups_are_told_by_what_sets_them_apart():
    generator = np.random.default_rng(0)
    carrier, hour, distance = generator.choice(["EV", "UA", "DL"], 3000), generator.integers(5, 24, 3000), generator.normal(1000, 300, 3000)
    member = (carrier == "EV") & (hour >= 17)
    late = np.where(member, generator.random(3000) < 0.4, generator.random(3000) < 0.2).astype(float)
    table = pa.table({"carrier": carrier, "hour": hour, "distance": distance})
    group = next(one for one in describe_groups(table, member.astype(int), outcomes={"late": late}) if one.name == "group 2")
    assert group.rows == member.sum() and {trait.words for trait in group.traits} >= {"carrier is EV"} and "distance" not in group.words
    assert "carrier is EV" in group.rule and "hour is at least" in group.rule and group.caught > 0.8 and group.right > 0.7
    name, inside, overall, low, high = group.outcomes[0]
    assert inside == pytest.approx(late[member].mean()) and overall == pytest.approx(late.mean()) and low < inside < high
    for condition in find_conditions(table)[:3]:
        assert condition.holds.dtype == bool and 0 < condition.holds.sum() < 3000
    assert all(not one.traits for one in describe_groups(table, generator.integers(0, 2, 3000)))


def test_missing_moments_and_words_are_conditions():
    days = np.datetime64("2024-01-01T08:00", "us") + np.arange(60).astype("timedelta64[D]")
    table = pa.table({"day": days, "note": [f"pump leaks again {place}" if place % 2 else f"invoice unpaid number {place}" for place in range(60)], "size": [None if place < 20 else float(place) for place in range(60)]})
    words = {condition.words: condition.holds for condition in find_conditions(table, kinds={"note": "text"})}
    assert words["size is missing"].sum() == 20 and words["note contains “pump”"].tolist() == [bool(place % 2) for place in range(60)]
    assert words["day is on a Monday"].tolist() == [np.datetime64(day, "D").astype(object).weekday() == 0 for day in days]
    assert words["day is in February"].sum() == 29


def test_the_planted_row_is_odd_for_its_reason():
    generator = np.random.default_rng(0)
    heat = generator.normal(50, 2, 400)
    heat[11] = 99
    table = pa.table({"heat": heat, "speed": generator.normal(size=400)})
    found = find_odd_rows(encode_rows(table, cut=False), table, outcome=(np.arange(400) == 11).astype(float))
    assert found.rows[0] == 11 and found.words[0].startswith("heat 99") and "speed" not in found.words[0] and found.check["roc_auc"] == 1
    assert len(find_odd_rows(encode_rows(table, cut=False), table, share=0.05).rows) == 20
    with pytest.raises(DataError, match="too few"):
        find_odd_rows(encode_rows(table.slice(0, 9)), table.slice(0, 9))


def test_keys_join_in_order_and_never_multiply():
    rows, other = pa.table({"k": [2, 1, None, 9], "l": ["x", "x", "x", "x"]}), pa.table({"k": [1, 2], "l": ["x", "x"], "new": ["one", "two"]})
    assert join_by_keys(rows, other, ("k", "l"), "other")["new"].to_pylist() == ["two", "one", None, None]
    with pytest.raises(DataError, match="multiply rows by up to 2"):
        join_by_keys(rows, pa.table({"k": [1, 1], "new": ["a", "b"]}), ("k",), "other")


def test_a_card_without_a_target_runs(tmp_path):
    generator = np.random.default_rng(0)
    with open(tmp_path / "baskets.csv", "w") as file:
        file.write("user,item\n")
        for user in range(150):
            for item in generator.choice(10, 4, replace=False) + 10 * (user % 2):
                file.write(f"u{user},film {item}\n")
    (tmp_path / "users.csv").write_text("user,age\n" + "".join(f"u{user},{20 + 30 * (user % 2) + user % 5}\n" for user in range(150)))
    (tmp_path / "card.yml").write_text("name: films\nsources:\n  - {name: seen, location: baskets.csv}\n  - {name: people, location: users.csv, keys: [user]}\ntask: {kind: clustering, basket: user, item: item}\n")
    from dlmine.framing.card import load_card
    card = load_card(tmp_path / "card.yml")
    table, notes = load_rows(card)
    assert table.num_rows == 600 and "age" in table.column_names and "users.csv" in notes[0]
    found = run_unsupervised(card, most=4, resamples=4)
    factors = found.clusters["factors of the basket–item matrix"]
    assert factors.chosen == 2 and any("age" in one.words or "has film" in one.words for one in factors.described)
    assert found.rules is not None and found.odd is None and found._repr_html_() and found.evidence("films") and len(found.table()) == len(found.clusters)


def test_odd_tables_are_looked_at_or_passed_over_in_words():
    generator = np.random.default_rng(0)
    texts = pa.table({"remark": [" ".join(generator.choice(("engine", "oil", "leak") if place % 2 else ("invoice", "refund", "late"), 8)) + f" case {place}" for place in range(80)]})
    only = run_unsupervised(PLAIN.replace(columns={"remark": "text"}), texts, most=3, resamples=4)
    assert only.clusters and only.rules is None and any("No rules" in note for note in only.notes)
    nothing = run_unsupervised(PLAIN.replace(task={"kind": "anomaly"}), pa.table({"empty": pa.nulls(40), "same": ["x"] * 40}))
    assert not nothing.parts and nothing.plot() is None and nothing.evidence() == () and "No odd rows" in nothing.verdict
    few = run_unsupervised(PLAIN, pa.table({"a": np.arange(9.0) ** 2}))
    assert "too few" in few.verdict
