"A customer reads sentences in the reports of 02_preparation, not the quoted text that Python shows"
import json
import re
from pathlib import Path

TEMPLATE = Path(__file__).parents[2] / "templates" / "02_preparation.ipynb"

def sources() -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(TEMPLATE.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]

def test_what_does_not_apply_is_said_in_a_sentence_and_not_as_quoted_text():
    said = [line for source in sources() for line in source.splitlines() if "display(" in line and "else" in line]
    assert len(said) >= 7
    assert not [line for line in said if re.search(r'(else |display\()f?"', line)]

def test_the_decisions_are_shown_as_the_card_spells_them():
    cell = next(source for source in sources() if "merge_prepare(" in source)
    assert "yaml.safe_dump" in cell.splitlines()[-1]
