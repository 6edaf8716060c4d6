"Figures: the same bytes, no background, no shared ids, settings given back."
import re
import xml.etree.ElementTree as tree

import matplotlib
import pytest

from dlmine.core.plots import INK, PALETTE, Drawing, draw, figure_svg, new_figure, plot_intervals, series, style


def lines(shift=0.0, title="a title"):
    with style():
        figure, axes = new_figure(4, 2)
        for place in range(3):
            axes.plot(range(50), [shift + place + x / 50 for x in range(50)], label=f"line {place}", **series(place, marker=True))
        axes.set_title(title)
        axes.legend()
    return figure


def test_same_input_same_bytes():
    assert figure_svg(lines()) == figure_svg(lines())
    assert figure_svg(lines()) != figure_svg(lines(0.5))


def test_svg_is_well_formed_and_transparent():
    text = figure_svg(lines(), "two < three & \"more\"")
    root = tree.fromstring(text)
    assert root.attrib["aria-label"] == 'two < three & "more"' and root.attrib["role"] == "img"
    assert INK not in text and "currentColor" in text and "#ffffff" not in text.lower() and "<metadata" not in text
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)


def test_every_reference_has_its_target_and_two_figures_share_none():
    one, other = figure_svg(lines()), figure_svg(lines(0.5))
    for text in (one, other):
        used = set(re.findall(r'(?:url\(#|xlink:href="#)([^)"]+)', text))
        assert used and used <= set(re.findall(r'\bid="([^"]+)"', text))
    assert not set(re.findall(r'\bid="([^"]+)"', one)) & set(re.findall(r'\bid="([^"]+)"', other))


@pytest.mark.parametrize("title", ["AUC 0.68437", "Überschrift: Σ 漢字", "a < b & c"])
def test_words_are_kept(title):
    root = tree.fromstring(figure_svg(lines(title=title)))
    assert title in [element.text for element in root.iter() if element.tag.endswith("text")]


def test_settings_come_back_also_after_an_error():
    before = dict(matplotlib.rcParams)
    with pytest.raises(ValueError), style():
        assert matplotlib.rcParams["text.color"] == INK
        raise ValueError
    assert dict(matplotlib.rcParams) == before


def test_colour_is_never_alone():
    looks = [series(place, marker=True) for place in range(len(PALETTE))]
    for part in ("color", "marker", "linestyle"):
        assert len({str(look[part]) for look in looks}) == len(PALETTE)


def test_a_thousand_points_stay_small():
    with style():
        figure, axes = new_figure()
        axes.plot(range(5000), [x % 97 for x in range(5000)])
    assert len(figure_svg(figure)) < 100_000


def test_intervals_draws_each_row_once():
    drawing = plot_intervals(["first", "second"], [1, 2], [0, 1], [2, 3], reference=0.0, reference_label="nothing", marked=(1,))
    assert isinstance(drawing, Drawing) and "first" in drawing.svg and PALETTE[3] in drawing.svg and "dashed: nothing" in drawing.svg


def test_standalone_is_a_file_of_its_own():
    text = draw(lines(), "alt").standalone()
    assert text.startswith("<?xml") and tree.fromstring(text.split("\n", 1)[1]) is not None
