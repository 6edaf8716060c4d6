"The command: help, unknown arguments, one-line errors, and a lab whose edits survive."
import pytest

from dlmine.core.settings import load_settings
from dlmine.runs.cli import build_parser, main
from dlmine.runs.lab import copy_templates, lab_command


@pytest.mark.parametrize('arguments', [['list', '--nope'], ['frobnicate'], ['run'], ['card', 'init', 'x.csv'], ['run', 'x', '--nope', '1']])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped: main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize('arguments', [['run', 'no_such'], ['show', 'no_such'], ['card', 'check', 'no_such'], ['run', 'x', '-p', 'novalue'], ['run', 'x', '-p', 'a=1', '-p', 'a=2']])
def test_errors_are_one_line(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == '' and said.err.startswith('dlmine: ') and said.err.count('\n') == 1


def test_every_verb_has_help(capsys):
    for verb in build_parser().verbs:
        try: assert main([verb, '--help']) == 0
        except SystemExit as stopped: assert stopped.code == 0
        assert verb in capsys.readouterr().out


def test_lab_passes_arguments_on_and_keeps_edits(tmp_path):
    settings = load_settings(tmp_path, environment={})
    command, environment = lab_command(settings, ['--no-browser'], tmp_path)
    assert command[-1] == '--no-browser' and environment['DLMINE_WORKSPACE'] == str(settings.workspace)
    name = next(iter(copy_templates(settings, tmp_path)))
    (settings.workspace/'templates'/name).write_text('mine')
    assert copy_templates(settings, tmp_path)[name] == 'kept' and (settings.workspace/'templates'/name).read_text() == 'mine'


def test_a_target_with_blanks_that_was_not_quoted_is_shown_quoted(capsys):
    with pytest.raises(SystemExit) as stopped: main(['card', 'init', 'x.csv', '--target', 'arrival', 'delay', 'in minutes'])
    assert stopped.value.code == 2 and '--target "arrival delay in minutes"' in capsys.readouterr().err
    with pytest.raises(SystemExit): main(['card', 'init', 'x.csv', '--target', 'a', '--nope'])
    assert 'quotes' not in capsys.readouterr().err
