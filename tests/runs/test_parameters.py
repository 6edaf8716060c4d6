"The parameters cell is the one schema: read without executing, checked before a kernel starts."
import json

import pytest
from hypothesis import given, settings, strategies as st

from dlmine.core.errors import ParameterError
from dlmine.core.parameters import KINDS, Parameter, check, convert, form, injected_source, parse_parameters, read_parameters
from dlmine.core.shipped import find_card, find_template, list_templates

VALUES = {'int': st.integers(), 'float': st.floats(allow_nan=False, allow_infinity=False), 'bool': st.booleans(), 'str': st.text(),
          'list[int]': st.lists(st.integers()), 'list[float]': st.lists(st.floats(allow_nan=False, allow_infinity=False)), 'list[str]': st.lists(st.text())}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])))
def test_a_value_survives_the_cell_and_the_command_line(pair):
    kind, value = pair
    parameter, = parse_parameters(f'name: {kind} = {value!r}  # help')
    assert parameter.default == value and parameter.type == kind and parameter.help == 'help'
    assert convert(parameter, value) == value
    text = value if kind == 'str' else str(value) if not isinstance(value, list) else json.dumps(value)
    assert convert(parameter, text) == value
    space = {}
    exec(injected_source({'name': value}), space)
    assert space['name'] == value


@pytest.mark.parametrize('kind, value', [('int', '1.5'), ('int', 1.0), ('int', True), ('int', ''), ('float', 'wide'), ('float', 'inf'), ('bool', 'maybe'), ('bool', 1), ('str', 5),
                                         ('list[int]', '1,b'), ('list[int]', [1.5]), ('list[str]', [1]), ('list[int]', 5), ('list[int]', '[1')])
def test_ill_typed_values_are_refused(kind, value):
    with pytest.raises(ParameterError, match="'x' must be"): convert(Parameter('x', kind, None, ''), value)


def test_optional_and_choices():
    optional, choice = parse_parameters("from typing import Literal\na: int | None = None\nb: Literal['net', 'trees', 3] | None = 'net'")
    assert convert(optional, 'None') is None and convert(optional, '5') == 5 and convert(choice, 'trees') == 'trees' and convert(choice, '3') == 3 and convert(choice, None) is None
    with pytest.raises(ParameterError, match="Did you mean 'trees'"): convert(choice, 'tres')


def test_reading_does_not_execute(tmp_path):
    notebook = {'nbformat': 4, 'cells': [{'cell_type': 'code', 'metadata': {'tags': ['parameters']}, 'source': [f"open('{tmp_path}/executed', 'w')\n", 'rows: int = 5']}]}
    with pytest.raises(ParameterError, match='is no parameter'): read_parameters(notebook)
    assert not list(tmp_path.iterdir())


def test_unknown_names_get_the_nearest():
    parameters = parse_parameters('rows: int = 5\nseed: int = 0')
    with pytest.raises(ParameterError, match="Did you mean 'rows'"): check(parameters, {'rwos': '1'})
    assert check(parameters, {'seed': '3'}) == {'seed': 3}


def test_form_values_are_checked():
    panel = form(parse_parameters('rows: int = 5  # how many\ndeep: bool = True\nname: str | None = None'))
    assert panel.value == {'rows': 5, 'deep': True, 'name': None}
    panel.controls['rows'].value, panel.controls['deep'].value = '70', False
    assert panel.value == {'rows': 70, 'deep': False, 'name': None} and 'how many' in panel.notes['rows'].value
    panel.controls['rows'].value = 'x<y'
    assert 'rows' in panel.problems and 'x&lt;y' in panel.notes['rows'].value


def test_templates_and_cards_are_found_from_a_notebook_folder(tmp_path):
    (tmp_path/'templates').mkdir(); (tmp_path/'usecases').mkdir(); (tmp_path/'templates'/'deep').mkdir()
    (tmp_path/'templates'/'mine.ipynb').write_text('{}'); (tmp_path/'usecases'/'mine.yml').write_text('')
    for start in (tmp_path, tmp_path/'templates', tmp_path/'templates'/'deep'):
        assert find_card('usecases/mine.yml', start) == find_card('mine', start) == (tmp_path/'usecases'/'mine.yml').resolve()
        assert find_template('mine', start).name == 'mine.ipynb' and (tmp_path/'templates'/'mine.ipynb') in list_templates(start)
