"The embedding map in JupyterLab: a point is picked by keyboard, its row and neighbours are on the page and in the kernel."
import numpy as np
import pytest
from driving import ask, wait_for_answer, wait_for_text

CELLS = ["""
import numpy as np
from dlmine.models.embedding_map import EmbeddingMap
generator = np.random.default_rng(0)
groups = np.repeat([0, 1, 2], 30)
vectors = generator.normal(size=(3, 12))[groups] * 3 + generator.normal(size=(90, 12))
labels = np.array(["cats", "dogs", "birds"])[groups]
labels[7] = "birds"                                            # lies among the cats
chart = EmbeddingMap(vectors, labels=labels, texts=[f"animal number {row}" for row in range(90)])
""", "chart"]


@pytest.mark.browser
def test_a_point_is_picked_by_keyboard(notebook):
    page = notebook(CELLS)
    said = wait_for_text(page, ".dlmine-embedding-map-numbers", "Row 0")
    assert "animal number 0" in said and "of neighbours are of the same class" in said
    page.locator(".dlmine-embedding-map-row input").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("42")
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-embedding-map-numbers", "animal number 42")
    assert ask(page, "print(chart.value)") == "{'row': 42}"
    assert "row 42" in page.locator(".dlmine-embedding-map-picture svg").get_attribute("aria-label")
    page.locator("button.dlmine-embedding-map-disagreeing").focus()
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-embedding-map-numbers", r"Row 7: [345] of 5 neighbours are of another class")
    page.locator("button.dlmine-embedding-map-nearest").focus()
    page.keyboard.press("Space")
    row = wait_for_answer(page, "print(chart.row)", r"^(?!7$)\d+$")
    wait_for_text(page, ".dlmine-embedding-map-numbers", f"Row {row}")
    page.locator(".dlmine-embedding-map-search input").focus()
    page.keyboard.type("number 88")
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-embedding-map-numbers", "Row 88")
    page.keyboard.press("Control+A")
    page.keyboard.type("nothing like it")
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-embedding-map-numbers", "No other row holds")
    ask(page, "chart.value = {'row': 3}")
    wait_for_text(page, ".dlmine-embedding-map-numbers", "Row 3")
    assert page.locator(".dlmine-embedding-map-row input").input_value() == "3"


def make(rows=90, **given):
    from dlmine.models.embedding_map import EmbeddingMap
    vectors = np.random.default_rng(0).normal(size=(rows, 12))
    return EmbeddingMap(vectors, labels=np.arange(rows) % 3, texts=["<b>bold</b> & more"] * rows, **given)


def test_value_and_twin_without_a_browser():
    chart = make(5000, neighbours=4)
    twin = chart.twin()
    assert len(twin.encode()) < 100_000 and twin.count("<circle") == 5
    assert "&lt;b&gt;bold" in twin and "<b>bold" not in twin
    chart.value = {"row": 4999}
    assert "row 4999" in chart.twin() and chart.value == {"row": 4999}
    rows, likeness = chart.neighbours()
    scaled = chart.vectors / np.linalg.norm(chart.vectors, axis=1, keepdims=True)
    expected = np.argsort(-(scaled @ scaled[4999]))[1:5]
    assert sorted(rows) == sorted(expected) and (np.diff(likeness) <= 0).all()


def test_walking_goes_where_it_says_and_ends_at_the_edge():
    chart = make()
    for right, up in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        for _ in range(200):
            before = chart.row
            chart.value = {"row": chart.walk(right, up)}
            if chart.row == before: break
            moved = chart.points[chart.row] - chart.points[before]
            assert moved @ (right, up) > 0
        else: raise AssertionError("the walk never ended")


def test_odd_inputs_are_drawn():
    from dlmine.models.embedding_map import EmbeddingMap, name_classes, png, project
    same = EmbeddingMap(np.ones((4, 3)), labels=[None, "a", "b", "c"])
    assert "nan" not in same.twin().lower() and "missing" in same.twin()
    codes, names = name_classes(np.arange(100).astype(str), 100)
    assert len(names) == 6 and names[-1] == "others" and codes.max() == 5
    assert project(np.random.default_rng(0).normal(size=(6, 4)), "tsne").shape == (6, 2)
    assert png(np.zeros((2, 3, 3), np.uint8)).startswith("data:image/png;base64,")
