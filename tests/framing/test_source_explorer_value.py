"The source explorer without a browser: its value, its twin, what it refuses and what it masks."
import pytest

from dlmine.core.errors import DataError
from dlmine.framing.card import parse_card
from dlmine.framing.source_explorer import SourceExplorer
from dlmine.framing.sources import describe_sources


@pytest.fixture
def explorer(tmp_path):
    (tmp_path / "people.csv").write_text("name,mail,amount\n" + "".join(f"Ann Öst {i},ann{i}@example.org,{i}\n" for i in range(40)))
    (tmp_path / "wide.csv").write_text(",".join(f"column_{i}" for i in range(3000)) + "\n" + ",".join("1" for _ in range(3000)) + "\n")
    card = "version: 1\nname: people\ntarget: amount\ntask: regression\nsplit: {kind: random}\nsources: [{name: people, location: people.csv}, {name: wide, location: wide.csv, upstream: [people]}, {name: gone, location: gone.csv}]\n"
    return SourceExplorer(describe_sources(parse_card(card, path=tmp_path / "card.yml")))


def test_value_in_and_out(explorer):
    assert explorer.value == ("people", "wide")
    explorer.value = ["gone", "people"]
    assert explorer.value == ("people", "gone")
    assert "Against advice: gone" in explorer.twin()
    with pytest.raises(DataError, match="Did you mean 'people'"):
        explorer.value = ["peple"]
    assert explorer.value == ("people", "gone")


def test_twin_is_small_masked_and_whole(explorer):
    for name in ("people", "wide", "gone"):
        explorer.show(name)
        twin = explorer.twin()
        assert 2000 < len(twin.encode()) < 60_000 and "<svg" in twin and "left out" not in twin.lower().split("although")[0][:200]
    explorer.show("people")
    twin = explorer.twin()
    assert "example.org" not in twin and "xxx9@xxxxxxx.xxx" in twin and "Ann Öst" not in twin


def test_controls_follow_the_value(explorer):
    explorer.widget
    pick, boxes, *_ = explorer._controls
    boxes["people"].value = False
    assert explorer.value == ("wide",)
    pick.value = "wide"
    assert explorer.shown == "wide"
    explorer.value = ("people",)
    assert [name for name, box in boxes.items() if box.value] == ["people"]
