"Outside knowledge: taxonomies agree with networkx, matches are what they say, features are the same for seen and unseen values, and a gain is reported where there is one"
import json
from collections import Counter

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.datasets import load_dataset
from dlmine.core.errors import DataError
from dlmine.framing.card import parse_card
from dlmine.measures.compare import Part, Split
from dlmine.preparation.graph_vectors import graph_vectors, read_graph, walk_information
from dlmine.preparation.knowledge import KnowledgeFeatures, add_knowledge, choose_ancestors, join_table, join_taxonomy, join_triples
from dlmine.preparation.knowledge_gain import check_join, measure_gain
from dlmine.preparation.matching import NameIndex, match_values
from dlmine.preparation.taxonomy import check_taxonomy, make_taxonomy, normalise, read_rdf, taxonomy_from_table, wordnet_taxonomy

concepts = st.sampled_from("abcdefghij")
edges = st.lists(st.tuples(concepts, concepts), min_size=1, max_size=25)
few = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def nouns(): return wordnet_taxonomy()


def as_networkx(pairs):
    "child → parent, without loops of one"
    graph = nx.DiGraph()
    graph.add_nodes_from({name for pair in pairs for name in pair})
    graph.add_edges_from((one, two) for one, two in pairs if one != two)
    return graph


# --- taxonomies

@few
@given(edges)
def test_ancestors_depths_and_cycles_are_those_of_networkx(pairs):
    graph, taxonomy = as_networkx(pairs), make_taxonomy(pairs)
    assert set(taxonomy.parents) == set(graph)
    condensed = nx.condensation(graph)
    group = condensed.graph["mapping"]
    tops = [node for node in graph if condensed.out_degree(group[node]) == 0]
    below = graph.reverse()
    for node in graph:
        above = nx.descendants(graph, node) - {node}
        assert set(taxonomy.ancestors(node)) == above and taxonomy.descendants(node) == nx.ancestors(graph, node) - {node}
        distance = [nx.shortest_path_length(graph, node, other) for other in taxonomy.ancestors(node)]
        assert distance == sorted(distance)
        assert taxonomy.depths[node] == min(nx.shortest_path_length(below, top, node) for top in tops if nx.has_path(below, top, node))
    cycles = {frozenset(part) for part in nx.strongly_connected_components(graph) if len(part) > 1}
    report = check_taxonomy(taxonomy)
    assert {frozenset(cycle) for cycle in report.cycles} == cycles and report.several_parents == sum(graph.out_degree(node) > 1 for node in graph)
    assert sum(report.levels) == len(graph)


def test_wordnet_agrees_with_networkx_on_real_words(nouns):
    graph = nx.DiGraph((child, parent) for child, parents in nouns.parents.items() for parent in parents)
    assert nx.is_directed_acyclic_graph(graph) and check_taxonomy(nouns).figures["cycles"] == 0
    lengths = nx.single_source_shortest_path_length(graph.reverse(copy=False), "n00001740")
    assert nouns.depths == lengths
    for word in ("dog", "profit", "minister", "goal", "film"):
        concept = nouns.senses[word][0]
        assert set(nouns.ancestors(concept)) == nx.descendants(graph, concept)


def test_faults_are_told_and_do_no_harm():
    taxonomy = make_taxonomy([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "lost"), ("f", "f"), ("g", None)], labels={"a": "A", "b": ""})
    report = check_taxonomy(taxonomy)
    assert taxonomy.ancestors("d") == ("a", "b", "c") and set(taxonomy.ancestors("a")) == {"b", "c"} and taxonomy.ancestors("f") == ()
    assert report.figures["cycles"] == 1 and report.figures["on_cycles"] == 3 and taxonomy.depths["d"] == 1 and taxonomy.depths["a"] == 0
    assert "lost" in taxonomy.parents and set(report.without_label) == {"b", "c", "d", "e", "f", "g", "lost"}
    assert report.evidence().verdict == "warning" and any("its own parent" in problem for problem in report.problems)
    with pytest.raises(DataError, match="holds no concepts"): make_taxonomy([])


@few
@given(edges, st.sampled_from(["turtle", "xml", "nt"]), st.booleans())
def test_skos_comes_back_from_every_form(tmp_path_factory, pairs, form, narrower):
    graph, base = rdflib.Graph(), "http://example.org/"
    for child, parent in pairs:
        one, two = rdflib.URIRef(base + child), rdflib.URIRef(base + parent)
        graph.add((two, rdflib.SKOS.narrower, one) if narrower else (one, rdflib.SKOS.broader, two))
        graph.add((one, rdflib.SKOS.prefLabel, rdflib.Literal(child.upper(), lang="en")))
        graph.add((one, rdflib.SKOS.prefLabel, rdflib.Literal("de:" + child, lang="de")))
    path = tmp_path_factory.mktemp("rdf") / f"t{ {'turtle': '.ttl', 'xml': '.rdf', 'nt': '.nt'}[form] }"
    graph.serialize(path, format=form, encoding="utf-8")
    taxonomy, plain = read_rdf(path), make_taxonomy(pairs)
    assert {name.removeprefix(base): {parent.removeprefix(base) for parent in above} for name, above in taxonomy.parents.items()} == {name: set(above) for name, above in plain.parents.items()}
    for child, _ in pairs: assert taxonomy.label(base + child) == child.upper() and taxonomy.alternatives[base + child] == ("de:" + child,)


def test_a_table_of_parents():
    taxonomy = taxonomy_from_table(pa.table({"concept": ["x", "y", "y", None], "parent": [None, "x", "z", "x"]}))
    assert taxonomy.ancestors("y") == ("x", "z") and set(taxonomy.parents) == {"x", "y", "z"}


# --- matching

def test_stages_in_their_order_and_ambiguity():
    taxonomy = make_taxonomy([("1", None), ("2", None), ("3", None), ("cafe", None)], {"1": "Café", "2": "Bank", "3": "Bank", "cafe": "A bar"}, {"1": ["coffee house", "bank"]})
    index = NameIndex(taxonomy)
    assert index.find("cafe") == ("identifier", ("cafe",)) and index.find("Café") == ("label", ("1",)) and index.find("CAFE") == ("normalised label", ("1",))
    assert index.find("Coffee-House") == ("alternative name", ("1",)) and index.find("Bank") == ("label", ("2", "3")) and index.find("banks") == (None, ())
    matching = match_values(["Bank", "Bank", "tea", None, "Café", ""], taxonomy, "c")
    assert matching.figures["coverage"] == 0.75 and matching.figures["ambiguous"] == 0.5 and matching.missing == 2 and [match.value for match in matching.unmatched] == ["tea"]
    assert "tea" in matching.sentence and len(matching.table()) == 3


@few
@given(st.lists(st.one_of(st.none(), st.text(max_size=6), st.sampled_from(["Dog", "dog", "Dogs", "cat"])), min_size=1, max_size=30))
def test_shares_add_up(values):
    taxonomy = make_taxonomy([("d", None), ("c", None)], {"d": "Dog", "c": "cat"})
    if not any(value and value.strip() for value in values): return
    try: matching = match_values(values, taxonomy)
    except DataError: return     # nothing but words for "missing"
    figures = matching.figures
    assert figures["rows"] + figures["missing_rows"] == len(values)
    assert sum(value for name, value in figures.items() if name.startswith("by_")) == pytest.approx(figures["coverage"])
    assert sum(match.rows for match in matching.unmatched) == round((1 - figures["coverage"]) * figures["rows"])
    for match in matching.matches: assert (match.concept is not None) == (match.value in ("d", "c") or normalise(match.value) in ("dog", "cat"))


def test_wordnet_knows_plurals_and_the_most_usual_sense(nouns):
    index = NameIndex(nouns)
    assert index.find("churches")[0] == "base form" and nouns.label(index.find("women")[1][0]) == "woman"
    assert index.find("dog")[1] == nouns.senses["dog"] and index.find("the") == (None, ())


# --- graph vectors

def test_walks_and_vectors_are_those_of_a_dense_computation():
    generator = np.random.default_rng(0)
    pairs = sorted({(int(a), int(b)) for a, b in generator.integers(0, 25, (80, 2)) if a != b})
    graph = read_graph(pa.table({"head": [f"n{a}" for a, _ in pairs], "relation": ["r"] * len(pairs), "tail": [f"n{b}" for _, b in pairs]}))
    other = nx.Graph((f"n{a}", f"n{b}") for a, b in pairs)
    dense = nx.to_numpy_array(other, nodelist=list(graph.nodes))
    step = dense / dense.sum(1, keepdims=True)
    for steps in (1, 2, 3):
        walks = sum(np.linalg.matrix_power(step, power) for power in range(1, steps + 1)) / steps
        with np.errstate(divide="ignore"): expected = np.maximum(np.log(walks * dense.sum() / dense.sum(0)), 0)
        assert np.abs(walk_information(graph, np.arange(len(dense)), steps).toarray() - expected).max() < 1e-12
    found = graph_vectors(graph, dimensions=5, steps=3)
    left, strengths, _ = np.linalg.svd(expected)
    assert np.allclose(found.strengths, strengths[:5], atol=1e-9)
    assert np.allclose(np.abs(found.vectors), np.abs(left[:, :5] * np.sqrt(strengths[:5])), atol=1e-6)
    assert all(column[np.abs(column).argmax()] > 0 for column in found.vectors.T)
    assert np.allclose(found.vectors, graph_vectors(graph, dimensions=5, steps=3, seed=9).vectors, atol=1e-6)


def test_order_and_repetition_of_triples_change_nothing():
    table = load_dataset("movielens.knowledge").slice(0, 3000)
    shuffled = pa.concat_tables([table, table.slice(0, 100)]).take(pa.array(np.random.default_rng(0).permutation(3100)))
    one, other = read_graph(table), read_graph(shuffled)
    assert (one.edges != other.edges).nnz == 0 and np.array_equal(one.nodes, other.nodes)
    assert all(np.array_equal(one.out[name][0], other.out[name][0]) for name in one.out)


# --- features

def test_chosen_ancestors_divide_the_rows_and_do_not_repeat_each_other():
    lines = {"poodle": ("poodle", "dog", "pet", "animal"), "terrier": ("terrier", "dog", "pet", "animal"), "cat": ("cat", "pet", "animal"), "oak": ("oak", "plant", "thing"), "elm": ("elm", "plant", "thing")}
    assert choose_ancestors(lines, {"poodle": 3, "terrier": 3, "cat": 2, "oak": 5, "elm": 1}) == ["dog", "pet", "plant"] or set(choose_ancestors(lines, {"poodle": 3, "terrier": 3, "cat": 2, "oak": 5, "elm": 1})) == {"dog", "pet", "plant"}
    assert "animal" not in choose_ancestors(lines, {"poodle": 3, "terrier": 3, "cat": 2, "oak": 6, "elm": 1})   # the same rows as pet, which is nearer


@pytest.fixture(scope="module")
def dogs():
    table = pa.table({"kind": ["poodle", "Terrier", "cat", "oak", None, "martian"] * 5})
    taxonomy = make_taxonomy([("poodle", "dog"), ("terrier", "dog"), ("beagle", "dog"), ("dog", "animal"), ("cat", "animal"), ("oak", "plant"), ("elm", "plant")], {"elm": "Elm tree"}, name="nature")
    return table, *join_taxonomy(table, "kind", taxonomy)


def test_unseen_values_get_their_knowledge_and_unknown_ones_null(dogs):
    table, features, matching = dogs
    new = features.append_to(pa.table({"kind": ["beagle", "elm TREE", "klingon", None, "poodle"]})).to_pylist()
    assert [row["kind: parent"] for row in new] == ["dog", "plant", None, None, "dog"]
    assert new[0]["kind: is animal"] is True and new[1]["kind: is animal"] is False and new[2]["kind: is animal"] is None
    assert {**new[0], "kind": 0} == {**new[4], "kind": 0}      # a beagle is to nature what a poodle is
    assert matching.figures["coverage"] == 0.8 and [match.value for match in matching.unmatched] == ["martian"]


def test_features_do_not_depend_on_the_rows_beside(dogs):
    table, features, _ = dogs
    whole = features.append_to(table)
    for place in range(6): assert features.append_to(table.slice(place, 1)).to_pylist() == whole.slice(place, 1).to_pylist()
    dictionary = pa.table({"kind": table["kind"].dictionary_encode()})
    assert features.append_to(dictionary).drop_columns(["kind"]).equals(whole.drop_columns(["kind"]))


def test_json_and_back(dogs):
    table, features, _ = dogs
    again = KnowledgeFeatures.from_json(json.dumps(json.loads(features.to_json())))
    assert again == features and again.append_to(table).equals(features.append_to(table))


def test_a_row_for_each_value_or_nothing():
    rows = pa.table({"code": [1, 2, 2, None, 9]})
    known = pa.table({"code": [1, 2, 3], "size": [1.5, None, 3.5], "zone": ["a", "b", "a"], "same": ["x", "x", "x"]})
    features, matching = join_table(rows, "code", known)
    assert features.append_to(rows)["code: zone"].to_pylist() == ["a", "b", "b", None, None] and features.append_to(rows)["code: size"].to_pylist() == [1.5, None, None, None, None]
    assert "code: same" not in features.names and features.append_to(pa.table({"code": [3]}))["code: size"].to_pylist() == [3.5] and matching.figures["coverage"] == 0.75
    with pytest.raises(DataError, match="by up to 2"): join_table(rows, "code", pa.concat_tables([known, known.slice(1, 1)]))
    with pytest.raises(DataError, match="no column 'code'"): join_table(rows, "code", known.drop_columns(["code"]))


def test_triples_count_what_the_graph_holds():
    table = load_dataset("movielens.knowledge")
    films = load_dataset("movielens.links").slice(0, 60)
    features, matching = join_triples(films, "entity", read_graph(table), dimensions=4)
    found, name = features.append_to(films).to_pylist(), "entity: film.film.actor count"
    pairs = {(head, tail) for head, relation, tail in zip(*(table[part].to_pylist() for part in ("head", "relation", "tail"))) if relation == "film.film.actor"}
    actors = Counter(head for head, _ in pairs)
    for row in found: assert row[name] == actors[row["entity"]]
    assert sum(": graph " in name for name in features.names) == 4 and matching.figures["coverage"] == 1 and len(features.concepts) > 1500


# --- the card

def test_knowledge_by_the_card(tmp_path):
    (tmp_path / "food.ttl").write_text("@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix : <http://f/> . :apple skos:broader :fruit ; skos:prefLabel 'Apple' . :pear skos:broader :fruit ; skos:prefLabel 'Pear' . :leek skos:broader :herb ; skos:prefLabel 'Leek' .")
    (tmp_path / "prices.csv").write_text("food,price\nApple,2\nPear,3\nLeek,1\n")
    (tmp_path / "usecase.yml").write_text("name: t\nsources: [{name: main, location: main.csv}, {name: tree, location: food.ttl}, {name: prices, location: prices.csv}]\ntarget: y\ntask: classification\nsplit: {kind: random}\nprepare: {knowledge: [{column: food, source: tree, kind: taxonomy}, {column: food, source: prices, kind: table}]}\n")
    card = parse_card((tmp_path / "usecase.yml").read_text(), path=tmp_path / "usecase.yml")
    joined = add_knowledge(pa.table({"food": ["apple", "Pear", "leek", "stone"], "y": [1, 0, 1, 0]}), card, np.array([0, 1, 2, 3]))
    assert joined.table["food: parent"].to_pylist() == ["fruit", "fruit", "herb", None] and joined.table["food: price"].to_pylist() == [2, 3, 1, None]
    assert [record.verdict for record in joined.evidence()] == ["noted", "noted"] and joined.figures["joins"] == 2 and len(joined.overview()) == 2
    with pytest.raises(DataError, match="'fod' is not in the data"): add_knowledge(pa.table({"fod": ["a"]}).rename_columns(["foood"]), card.replace(prepare={"knowledge": [{"column": "fod", "source": "tree", "kind": "taxonomy"}]}))


def test_a_card_without_knowledge_leaves_the_table_alone():
    table = pa.table({"a": [1]})
    joined = add_knowledge(table, parse_card("name: t\nsources: [{location: adult}]\ntarget: income\ntask: classification\nsplit: {kind: random}"))
    assert joined.table is table and joined.evidence() == () and "names no outside knowledge" in joined._repr_html_()


# --- the gain

def problem(useful, rows=400):
    generator = np.random.default_rng(0)
    hidden, noise = generator.normal(size=rows), generator.normal(size=rows)
    target = (hidden + 0.5 * generator.normal(size=rows) > 0).astype(int)
    every = Part(np.stack([noise, hidden if useful else generator.normal(size=rows)], 1), target)
    return Split(every.take(np.arange(200)), every.take(np.arange(200, 220)), every.take(np.arange(220, rows)))


@pytest.mark.parametrize("useful", [True, False])
def test_a_gain_is_reported_where_there_is_one(useful):
    from sklearn.linear_model import LogisticRegression
    def variant(columns):
        def run(split, seed, budget): return LogisticRegression().fit(split.train.features[:, :columns], split.train.target).predict_proba(split.test.features[:, :columns])[:, 1]
        return run
    gain = measure_gain(variant(1), variant(2), problem(useful), sizes=(100, 30), metric="log_loss", source="s", task="t", seeds=(0, 1, 2), resamples=200)
    assert [row["training rows"] for row in gain.rows()] == [30, 100]
    words = {row["verdict"] for row in gain.rows()}
    assert words == {"gain"} if useful else "gain" not in words
    assert ("gains in" in gain.sentence) is useful and ("no gain" in gain.sentence) is not useful
    for row in gain.rows(): assert row["gain"] == pytest.approx(row["without"] - row["with"], abs=1e-9) and row["from"] <= row["gain"] <= row["to"]


def test_a_wrong_join_is_found_out():
    generator = np.random.default_rng(0)
    one = generator.integers(0, 3, 300)
    assert check_join(one, np.where(generator.random(300) < .3, one, generator.integers(0, 3, 300)), draws=199).passed
    assert sum(check_join(one, generator.permutation(one), draws=199, seed=seed).passed for seed in range(20)) <= 2
    assert check_join(one, one, draws=199).agreement == pytest.approx(1)
    assert not check_join(one, np.ones(300), draws=199).passed


def test_the_numbers_of_later_editions_do_not_fit_these_films():
    genre = {"m.05p553": "Comedy", "m.03npn": "Horror", "m.0hcr": "Animation"}
    of = {}
    for row in load_dataset("movielens.knowledge").to_pylist():
        if row["relation"] == "film.film.genre": of.setdefault(row["head"], set()).add(genre.get(row["tail"]))
    link = {row["movielens_id"]: row["entity"] for row in load_dataset("movielens.links").to_pylist()}
    films = [film for film in load_dataset("movielens.items").to_pylist() if film["item"] in link and film["genres"]]
    for name in ("Horror", "Animation"): assert not check_join([name in film["genres"] for film in films], [name in of.get(link[film["item"]], ()) for film in films], draws=199).passed
