"The Evidently page: written whole, on the stated sample, silent on the network."
import shutil
import time

import numpy as np
import pyarrow as pa
import pytest

from dlmine.core.errors import DataError
from dlmine.monitoring.evidently_report import evidently_report, sample_rows, usable_columns


def table(n, seed=0):
    random = np.random.default_rng(seed)
    columns = {f'number {i}': random.normal(seed * i * .05, 1, n) for i in range(18)} | {f'level_{i}': np.array(list('abcdefg'))[random.integers(0, 7, n)] for i in range(8)}
    many = np.array([f'ä{i}' for i in range(900)])[random.integers(0, 900, n)]
    return pa.table(columns | {'many': many, 'flag': random.random(n) < .3, 'gaps': pa.array(random.normal(size=n), mask=random.random(n) < .3),
                               'empty': pa.nulls(n), 'day': pa.array(np.arange(n, dtype=np.int32)).cast(pa.date32()), 'infinite': np.where(random.random(n) < .1, np.inf, random.normal(size=n))})


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    start = time.perf_counter()
    found = evidently_report(table(9000), table(5000, 1), tmp_path_factory.mktemp('page') / 'evidently.html')
    return found, time.perf_counter() - start


def test_the_sample_is_stated(report):
    found, seconds = report
    assert (found.reference_rows, found.current_rows) == (3000, 3000) and '3,000 reference and 3,000 current rows' in found.statement
    assert set(found.left_out) == {'empty', 'day'} and found.columns == 30
    assert 0 < found.drifted < 30 and found.evidence().verdict == 'noted'
    assert found.path.stat().st_size > 1_000_000 and seconds < 120      # under 20 s on an idle machine, import included


@pytest.mark.browser
def test_no_request_leaves_the_browser(report):
    from playwright import sync_api as sync
    browser_path = shutil.which('chromium')
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=['--no-sandbox'])
        page = browser.new_page()
        asked, errors = [], []
        page.on('request', lambda request: asked.append(request.url))
        page.on('pageerror', lambda error: errors.append(str(error)))
        page.goto(report[0].path.as_uri())
        page.wait_for_function("document.body.innerText.includes('Drift')", timeout=60_000)
        page.wait_for_timeout(1500)
        text = page.inner_text('body')
        browser.close()
    outside = [url for url in asked if not url.startswith(('file:', 'data:', 'blob:'))]
    assert outside == [] and len([url for url in asked if url.startswith('file:')]) == 1
    assert 'number 17' in text and 'Jensen-Shannon' in text
    assert not errors, errors


def test_samples_are_repeatable_and_small_tables_whole():
    one = table(500)
    assert sample_rows(one, 100, 1).equals(sample_rows(one, 100, 1)) and not sample_rows(one, 100, 1).equals(sample_rows(one, 100, 2))
    assert sample_rows(one, 10_000) is one


def test_wrong_input(tmp_path):
    one = table(50)
    with pytest.raises(DataError, match='no rows'): evidently_report(one.slice(0, 0), one, tmp_path / 'x.html')
    with pytest.raises(DataError, match='No column'): evidently_report(one, one, tmp_path / 'x.html', columns=['day', 'unknown'])
    assert not (tmp_path / 'x.html').exists()
    assert usable_columns(one, one.drop_columns(['flag']))[1] == ['flag', 'empty', 'day']
