"A secret's value is found in every guise and at every place, and nothing else is touched."
import base64
import json
import os
import urllib.parse

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from dlmine.core.errors import DlmineError, ParameterError
from dlmine.core.secrets import MASK, Redactor, address_secrets, environment_secrets, is_reference, redact_pieces, resolve
from dlmine.runs.secrets import assert_no_secret, merge_streams, redactor_for, scrub_folder, scrub_notebook

passwords = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=('Cc', 'Cs', 'Zs')), min_size=8, max_size=40)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(passwords, st.binary(max_size=7), st.binary(max_size=7))
def test_encoded_values_are_struck_out_at_every_alignment(password, before, after):
    data = before + password.encode() + after
    for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data), base64.encodebytes(data), data.hex().encode(), data.hex(':').encode()):
        redacted = Redactor([password]).text(encoded.decode())
        assert MASK in redacted
        core = base64.b64encode(password.encode()).decode().rstrip('=')
        assert core not in redacted


@quick
@given(passwords)
def test_written_forms_are_struck_out(password):
    redactor = Redactor([password])
    for text in (password, repr(password), json.dumps(password), urllib.parse.quote(password, safe=''), urllib.parse.quote_plus(password), ascii(password), repr(password.encode()), password[::-1]):
        assert not redactor.found(redactor.text(f'before {text} after')), text
        assert redactor.text(f'before {text} after').startswith('before ')


@quick
@given(passwords, st.lists(st.integers(0, 60), max_size=6), st.text('abc \n', max_size=10))
def test_split_values_are_struck_out_of_pieces(password, cuts, around):
    whole = around + password + around
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[start:stop] for start, stop in zip(places, places[1:])]
    redacted = redact_pieces(Redactor([password]), pieces)
    assert len(redacted) == len(pieces)
    assert not Redactor([password]).found(''.join(redacted)) and ''.join(redacted).count(MASK) >= 1


@quick
@given(passwords, st.text(max_size=200))
def test_other_text_comes_back_unchanged(password, text):
    redactor = Redactor([password])
    assume(not redactor.found(text))
    assert redactor.text(text) == text and redact_pieces(redactor, [text, text[:1]]) [0] == text


@quick
@given(passwords)
def test_a_notebook_keeps_no_trace(password):
    half = len(password) // 2
    notebook = {'metadata': {'widgets': {'state': {'m': {'state': {'value': password, password: 1}}}}}, 'cells': [
        {'cell_type': 'markdown', 'metadata': {'note': password}, 'source': [password[:half], password[half:]]},
        {'cell_type': 'code', 'metadata': {}, 'source': f'connect({password!r})', 'outputs': [
            {'output_type': 'stream', 'name': 'stdout', 'text': [password[:half]]},
            {'output_type': 'stream', 'name': 'stderr', 'text': 'between'},
            {'output_type': 'stream', 'name': 'stdout', 'text': password[half:]},
            {'output_type': 'display_data', 'metadata': {password: 1}, 'data': {'text/html': [f'<b>{password}</b>'], 'application/json': {'password': [password]}}},
            {'output_type': 'error', 'ename': 'E', 'evalue': password, 'traceback': [f'a \x1b[31m{password[:half]}\x1b[0m', f'{password[half:]}']}]}]}
    text = json.dumps(scrub_notebook(notebook, Redactor([password])), ensure_ascii=False)
    assert not Redactor([password]).found(text) and 'between' in text


def test_streams_are_merged_in_order():
    outputs = [{'output_type': 'stream', 'name': 'stdout', 'text': ['a\n', 'b']}, {'output_type': 'stream', 'name': 'stdout', 'text': 'c'}, {'output_type': 'stream', 'name': 'stderr', 'text': 'd'}]
    assert [(output['name'], output['text']) for output in merge_streams(outputs)] == [('stdout', 'a\nbc'), ('stderr', 'd')]


def test_references(tmp_path, monkeypatch):
    monkeypatch.setenv('HOUSE_WORD', 'long enough')
    (tmp_path/'word').write_text('from a file\n')
    assert resolve('env:HOUSE_WORD') == 'long enough' and resolve(f'file:{tmp_path}/word') == 'from a file'
    assert is_reference('env:HOUSE_WORD') and is_reference('file:a') and not is_reference('environment:x') and not is_reference('env:') and not is_reference('see env:X')
    for wrong in ('env:NOT_THERE', f'file:{tmp_path}/none', f'file:{tmp_path}'):
        with pytest.raises(ParameterError): resolve(wrong)
    (tmp_path/'word').write_text('abc')
    with pytest.raises(ParameterError, match='under 4'): resolve(f'file:{tmp_path}/word')


def test_passwords_in_addresses_and_environment_are_secrets(monkeypatch):
    monkeypatch.setenv('WAREHOUSE_TOKEN', 'token-of-the-house')
    monkeypatch.setenv('DLMINE_TRACKING_URI', 'postgresql://u:inside%21@host/db')
    assert {'token-of-the-house', 'inside%21', 'inside!'} <= set(environment_secrets())
    assert address_secrets('see postgresql://u:secret-word@host/db?x=1, or sqlite:///file.db') == ['secret-word']
    redactor = redactor_for({}, 'location: postgresql://u:card-word@host/db')
    assert {'card-word', 'token-of-the-house'} <= set(redactor.values)


def test_a_file_that_changes_during_the_run_is_known_in_both_states(tmp_path):
    (tmp_path/'word').write_text('first word')
    values = {'password': f'file:{tmp_path}/word'}
    before = redactor_for(values)
    (tmp_path/'word').write_text('second word')
    after = redactor_for(values, before=before)
    assert {'first word', 'second word'} <= set(after.values)


def test_lines_of_a_private_key_are_secrets():
    key = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAo\n-----END KEY-----'
    assert 'MIIEvQIBADANBgkqhkiG9w0' not in Redactor([key]).text('line 2 of the key: MIIEvQIBADANBgkqhkiG9w0')


def test_folders(tmp_path):
    redactor = Redactor(['correct horse'])
    (tmp_path/'a').mkdir()
    (tmp_path/'a'/'log.txt').write_bytes(b'latin-1 \xe9 correct horse\n')
    (tmp_path/'model.bin').write_bytes(b'\0correct horse')
    (tmp_path/'other.bin').write_bytes(b'\0\1\2')
    assert len(scrub_folder(tmp_path, redactor)) == 2
    assert (tmp_path/'a'/'log.txt').read_bytes() == b'latin-1 \xe9 [secret]\n' and not (tmp_path/'model.bin').exists() and (tmp_path/'other.bin').exists()
    assert_no_secret(tmp_path, redactor)
    (tmp_path/'correct horse.txt').write_text('')
    with pytest.raises(DlmineError, match='still holds a secret'): assert_no_secret(tmp_path, redactor)
