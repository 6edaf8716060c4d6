"The schema mapper in JupyterLab, by keyboard: the numbers move on the page and in the kernel."
from driving import ask, wait_for_text

SETUP = """
import pyarrow as pa
from dlmine.framing.schema_mapper import schema_mapper
from dlmine.framing.schemas import compare_schemas
trips = pa.table({"trip": list(range(40)), "Carrier": ["EV", "ev ", "UA", "B6"] * 10, "day": ["03/04/2013", "05/06/2013", "07/08/2013", "01/02/2013"] * 10, "distance_mi": [100.0 + 37 * i for i in range(40)]})
logs = pa.table({"trip": [str(i) for i in range(5, 45)], "carrier": ["EV", "UA", "B6", "DL"] * 10, "distance_km": [1.609344 * (100 + 37 * i) for i in range(5, 45)]})
mapper = schema_mapper(compare_schemas({"trips": trips, "logs": logs}))
"""


def test_answer_the_question_rename_and_map_a_level(notebook):
    page = notebook([SETUP, "mapper"])
    page.wait_for_selector(".dlmine-mapper-format input", timeout=20_000)
    assert "hold the same quantity in different units" in wait_for_text(page, ".dlmine-mapper-mismatches", "mismatches")
    wait_for_text(page, ".dlmine-mapper-state", "1 to decide")
    assert ask(page, "print(mapper.source, mapper.column)") == "trips day"

    page.focus(".dlmine-mapper-format input")          # the open question, answered with the keyboard
    page.keyboard.type("%d/%m/%Y")
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-mapper-state", "Ready")
    assert ask(page, "print(mapper.value.apply(trips, 'trips').table['day'][0])") == "2013-04-03"

    page.focus(".dlmine-mapper-next")                  # from day to distance_mi
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.dlmine-mapper-unit input').value === 'mile'")
    page.focus(".dlmine-mapper-name input")
    page.keyboard.press("Control+A")
    page.keyboard.type("distance")
    page.keyboard.press("Tab")
    wait_for_text(page, ".dlmine-mapper-table", "distance")
    assert ask(page, "print({c.place: (c.name, c.unit, c.to_unit) for c in mapper.value.columns}['trips.distance_mi'])") == "('distance', 'mile', 'km')"

    page.focus(".dlmine-mapper-zone input")            # a mistake is said where it is made
    page.keyboard.type("Europe/Brelin")
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-mapper-note", "no time zone")
    page.focus(".dlmine-mapper-type input")            # so is a type that does not exist
    page.keyboard.press("Control+A")
    page.keyboard.type("nmber")
    page.keyboard.press("Tab")
    wait_for_text(page, ".dlmine-mapper-note", "Did you mean 'number'")
    page.focus(".dlmine-mapper-back")
    page.keyboard.press("Enter")
    wait_for_text(page, ".dlmine-mapper-state", "Ready")
    assert ask(page, "print(mapper.changed)") == "('trips.day',)"

    page.focus(".dlmine-mapper-next")                  # after the last column of one source comes the next source
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.dlmine-mapper-column select').selectedOptions[0].text === 'trip'")
    assert "logs.carrier" in wait_for_text(page, ".dlmine-mapper-table", "logs")
    assert not [address for address in page.asked if "127.0.0.1" not in address and not address.startswith(("data:", "blob:"))]


def test_a_value_set_in_the_kernel_shows_on_the_page(notebook):
    page = notebook([SETUP, "mapper"])
    page.wait_for_selector(".dlmine-mapper-format input", timeout=20_000)
    ask(page, "mapper.value = mapper.value.change('trips.day', format='%m/%d/%Y')")
    page.wait_for_function("() => document.querySelector('.dlmine-mapper-format input').value === '%m/%d/%Y'")
    wait_for_text(page, ".dlmine-mapper-state", "Ready")
