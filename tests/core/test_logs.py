"Logs: lines in blocks of any size, formats, encodings, zones, and patterns that cannot be used."
import datetime
import gzip
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.core.logs import COMBINED, Lines, log_batches, read_log
from dlmine.core.tables import read_table

LINE = '203.0.113.{0} - ann [0{1}/Mar/2013:0{2}:59:0{1} {3}] "GET /a?b={0} HTTP/1.1" {4} {5} "https://example.org/" "Mozilla/5.0 (a \\"b\\")"'


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.lists(st.sampled_from([b"a", b"b\r", b"\n", b"\xff", "ö".encode(), b""]), max_size=40).map(b"".join), block=st.integers(1, 9))
def test_blocks_make_no_difference(tmp_path, content, block):
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    lines = Lines(path, block=block)
    found = [text for part in lines for text in part.to_pylist()]
    *whole, rest = content.split(b"\n")
    assert found == [line.decode("utf-8", "replace").rstrip("\r") for line in whole]
    assert lines.torn == rest and lines.position == len(content) - len(rest)


def test_combined_lines_as_python_reads_them(tmp_path):
    texts = [LINE.format(i % 250, i % 9 + 1, i % 8, ("+0000", "-0500", "+0530")[i % 3], (200, 404)[i % 2], ("-", i)[i % 2]) for i in range(400)]
    path = tmp_path / "access.log"
    path.write_text("\n".join([*texts[:200], "nonsense", "", *texts[200:]]))
    table = read_table("access.log", tmp_path)
    expected = [re.match(COMBINED, text).groupdict() for text in texts]
    assert table.num_rows == 400 and json.loads(table.schema.metadata[b"dlmine.rejected_lines"]) == 1
    assert table["host"].to_pylist() == [one["host"] for one in expected]
    assert table["bytes"].to_pylist() == [None if one["bytes"] == "-" else int(one["bytes"]) for one in expected]
    assert table["agent"].to_pylist() == [one["agent"] for one in expected]
    moments = [datetime.datetime.strptime(one["time"], "%d/%b/%Y:%H:%M:%S %z").astimezone(datetime.timezone.utc) for one in expected]
    assert [moment.timestamp() for moment in table["time"].to_pylist()] == [moment.timestamp() for moment in moments]
    assert set().union(*(batch.offsets for batch in log_batches(path))) == {"+0000", "-0500", "+0530"}
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read_table("access.log.1.gz", tmp_path).equals(table)
    assert read_log(path, rows=7).num_rows == 7


def test_a_stamp_that_is_no_date_is_a_reject(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("\n".join([LINE.format(1, 1, 1, "+0000", 200, 1)] * 3 + [LINE.format(1, 1, 1, "+0000", 200, 1).replace("01/Mar", "41/Mar")]))
    table = read_log(path)
    assert table.num_rows == 3 and json.loads(table.schema.metadata[b"dlmine.rejected_examples"])[0][0] == 4


@pytest.mark.parametrize("pattern, words", [("(", "no regular expression"), ("abc", "names no column"), ("(?P<a>.)(.)", "without a name"), ("(?P<a>.)(?<=x)", "Look-around")])
def test_patterns_that_cannot_be_used(tmp_path, pattern, words):
    (tmp_path / "a.log").write_text("x\n")
    with pytest.raises(DataError, match=words):
        read_log(tmp_path / "a.log", pattern)


def test_a_log_named_table_that_is_none_is_read_as_before(tmp_path):
    (tmp_path / "loss.log").write_text("epoch,loss\n1,0.5\n2,0.25\n")
    assert read_table("loss.log", tmp_path).to_pydict() == {"epoch": [1, 2], "loss": [0.5, 0.25]}
