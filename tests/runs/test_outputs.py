"What a report shows: everything that a person may see, nothing that runs or fetches."
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings, strategies as st

from dlmine.runs.outputs import data_html, harmless, harmless_css, output_html, strip_widgets, terminal_html
from dlmine.runs.report import build_report


class Tags(HTMLParser):
    "All tags and attributes of a document."
    def __init__(self): super().__init__(); self.found = []
    def handle_starttag(self, tag, attributes): self.found.append((tag, dict(attributes)))


def tags_of(text):
    parser = Tags(); parser.feed(text)
    return parser.found


@pytest.mark.parametrize('text', [
    '<script>alert(1)</script>', '<SCRIPT SRC="//e.org/x.js"></SCRIPT>', '<scr<script>ipt>alert(1)</script>', '<img src=x onerror=alert(1)>', '<svg onload=alert(1)>', '<svg><script>alert(1)</script></svg>',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>', '<object data="//e.org/a.swf"></object>', '<embed src="//e.org/a">', '<link rel=stylesheet href=//e.org/a.css>', '<base href=//e.org>',
    '<meta http-equiv=refresh content="0;url=//e.org">', '<form action=//e.org><button formaction=//e.org>x</button></form>', '<a href="jav&#x09;ascript:alert(1)">x</a>', '<a href=" javascript:alert(1)">x</a>',
    '<div style="background:url(//e.org/a.png)">x</div>', '<style>@import "//e.org/a.css"; a{background:URL( "http://e.org/b" )}</style>', '<video poster=//e.org/p src=//e.org/v></video>', '<input type=image src=//e.org/i>',
    '<img srcset="//e.org/a 1x, //e.org/b 2x">', '<svg><image href="http://e.org/a.png"/><use href="http://e.org/b.svg#x"/></svg>', '<body background="//e.org/a">', '<td background=//e.org/a>', '<template><script>alert(1)</script></template>',
    '<math><a xlink:href="javascript:alert(1)">x</a></math>', '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<style></style/><meta http-equiv=refresh content="0;url=//e.org">', '<!-- open <meta http-equiv=refresh content="0;url=//e.org">', '<!--><meta http-equiv=refresh content="0;url=//e.org">-->',
    '<img alt="x"src="//e.org/a"onerror=alert(1)>', '<img/src=//e.org/a/onerror=alert(1)>', '<title><img src=//e.org/a></title>', '<textarea></textarea/><img src=//e.org/a>', '<svg><style><img src=//e.org/a></style></svg>'])
def test_hostile_html_is_disarmed(text):
    clean = harmless(text)
    for tag, attributes in tags_of(clean):
        assert tag not in ('script', 'iframe', 'object', 'embed', 'link', 'base', 'meta', 'form', 'template')
        for name, value in attributes.items():
            assert not name.startswith('on') and 'e.org' not in (value or '') and 'script:' not in re.sub(r'\s', '', value or '')


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(['<b>', '</b>', 'text', '&lt;', '<img src=x onerror=y>', '<script>', '</script>', '<', '"', "'", '<!--', '-->', '<a href="#x">', '</a>', '<style>', '</style>', '\n']), max_size=12))
def test_nothing_runs_whatever_the_order(parts):
    clean = harmless(''.join(parts))
    assert all(tag != 'script' and not any(name.startswith('on') for name in attributes) for tag, attributes in tags_of(clean))


def test_ordinary_html_is_unchanged():
    for text in ['<table class="dataframe" border="1"><tr><td style="text-align:right">1&nbsp;000</td></tr></table>', '<svg viewBox="0 0 1 1"><linearGradient id="g"/><rect fill="url(#g)"/></svg>',
                 '<img alt="a" src="data:image/png;base64,AAAA">', '<a href="https://example.org/a?b=1&amp;c=2">x</a>', '<details open><summary>s</summary>t</details>', '<p>a &amp; b<br/>c</p>']:
        assert harmless(text) == text
    assert harmless_css('a{background:url(data:image/png;base64,AA)} b{fill:url(#g)}') == 'a{background:url(data:image/png;base64,AA)} b{fill:url(#g)}'


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('ab<>&\x1b[0;31m\r\n'), max_size=60))
def test_terminal_text_never_becomes_markup(text):
    assert set(tag for tag, _ in tags_of(terminal_html(text))) <= {'span'} and '\x1b' not in terminal_html(text)


def test_rich_kinds_come_before_plain_ones():
    assert '<b>' in data_html({'text/plain': 'p', 'text/html': '<b>r</b>'}) and 'data:image/png' in data_html({'text/plain': 'p', 'image/png': 'AA=='})
    assert '<svg' in data_html({'image/svg+xml': '<?xml version="1.0"?><!DOCTYPE svg><svg></svg>', 'image/png': 'AA=='})
    assert 'quiet' in data_html({'application/vnd.plotly.v1+json': {}}) and '"a": 1' in data_html({'application/json': {'a': 1}}).replace('&quot;', '"')


def notebook(*cells):
    return {'metadata': {}, 'cells': list(cells)}


def code(source, outputs=(), tags=()):
    return {'cell_type': 'code', 'metadata': {'tags': list(tags)}, 'source': source, 'outputs': list(outputs)}


def shown(text):
    return {'output_type': 'display_data', 'metadata': {}, 'data': {'text/html': text}}


RUN = {'run_id': 'r', 'template': 't', 'exit_code': 0, 'verdict': None, 'error': None}


def test_verdict_moves_to_the_top_and_titles_are_escaped():
    page = build_report(notebook({'cell_type': 'markdown', 'metadata': {}, 'source': '# A <b>title</b> & more'}, code('1', [shown('<p>first</p>')]), code('2', [shown('<p>the verdict</p>')], ['verdict'])),
                        {**RUN, 'verdict': {'verdict': 'passed', 'headline': '<script>x</script>'}}).html
    assert page.index('the verdict') < page.index('</header>') < page.index('>first<') and page.count('the verdict') == 1
    assert '<script' not in page and '&lt;script&gt;x' in page


def test_all_four_outcomes_have_a_word():
    for number, word in [(0, 'Passed'), (1, 'Crashed'), (3, 'Failed')]:
        assert f'> {word}</p>' in build_report(notebook(), {**RUN, 'exit_code': number}).html


def test_the_limit_holds_and_links_lead_to_pages():
    page = build_report(notebook(*[code(str(size), [shown(f'<p>{"x"*size}</p>')]) for size in (400_000, 30_000, 900_000, 100)]), RUN, limit=200_000)
    assert len(page.html.encode()) <= 200_000 and set(page.files) == {'report_files/cell-1-output-1.html', 'report_files/cell-3-output-1.html'}
    for name, text in page.files.items(): assert f'href="{name}"' in page.html and 'Content-Security-Policy' in text


def test_a_page_that_cannot_shrink_says_so():
    assert 'more than the limit' in build_report(notebook(code('x = 1\n'*40_000)), RUN, limit=50_000).notes[0]


def test_widgets_with_a_twin_leave_the_archive():
    view = {'application/vnd.jupyter.widget-view+json': {'model_id': 'a'}}
    with_twin, without = code('', [{'output_type': 'display_data', 'data': {**view, 'text/html': 'twin'}}]), code('', [{'output_type': 'display_data', 'data': {**view, 'text/plain': 'Box()'}}])
    state = {'widgets': {'state': {}}}
    assert 'widgets' not in strip_widgets({'cells': [with_twin], 'metadata': state})['metadata']
    kept = strip_widgets({'cells': [with_twin, without], 'metadata': state})
    assert 'widgets' in kept['metadata'] and list(kept['cells'][0]['outputs'][0]['data']) == ['text/html'] and len(kept['cells'][1]['outputs'][0]['data']) == 2
