"Topics: what comes out is what went in, whatever the batches, the segments, the crash or the reader's pace."
import json
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlmine.core import topics
from dlmine.core.errors import DataError
from dlmine.core.topics import Topic

RECORDS = st.dictionaries(st.text(min_size=1, max_size=5), st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=20), max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(RECORDS, max_size=6), min_size=1, max_size=8), limit=st.integers(1, 7), size=st.sampled_from([1, 80, 1 << 18]))
def test_every_record_once_and_in_order(tmp_path_factory, monkeypatch, batches, limit, size):
    "Also text with line breaks of all alphabets, which a JSON line may hold."
    monkeypatch.setattr(topics, "SEGMENT_BYTES", size)
    topic, expected = Topic(tmp_path_factory.mktemp("topic") / "t"), []
    for batch in batches:
        assert topic.append(batch) == len(expected)
        expected += batch
    assert topic.end() == len(expected)
    reader, seen, offset = Topic(topic.path), [], 0
    while len(batch := reader.read(offset, limit)):
        assert len(batch) <= limit and batch.offset == offset and batch.torn == 0
        seen += batch.records
        offset = batch.next_offset
    assert seen == expected
    for start in range(len(expected) + 1):
        assert list(Topic(topic.path).read(start).records) == expected[start:]


def test_a_reader_never_sees_part_of_a_batch(tmp_path):
    topic, size, rounds, problems = tmp_path / "t", 37, 60, []
    Topic(topic).append([{"batch": 0, "i": i} for i in range(size)])

    def write():
        for number in range(1, rounds):
            Topic(topic).append([{"batch": number, "i": i} for i in range(size)])

    writers = [threading.Thread(target=write) for _ in range(2)]
    [writer.start() for writer in writers]
    reader, offset = Topic(topic), 0
    while any(writer.is_alive() for writer in writers) or reader.end() > offset:
        batch = reader.read(offset, 10**6)
        offset = batch.next_offset
        if offset % size or [record["i"] for record in batch.records] != list(range(size)) * (len(batch) // size):
            problems.append(batch)
    [writer.join() for writer in writers]
    assert not problems and offset == size * (2 * rounds - 1)


def test_a_killed_writer_leaves_whole_batches(tmp_path):
    code = "import sys; from dlmine.core.topics import Topic\nt = Topic(sys.argv[1]); n = 0\nwhile True:\n    t.append([{'n': n, 'i': i} for i in range(500)]); n += 1; print(n, flush=True)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "t")], stdout=subprocess.PIPE, text=True)
    for _ in range(5):
        process.stdout.readline()
    process.kill()
    process.wait()
    batch = Topic(tmp_path / "t").read(0, 10**6)
    assert len(batch) >= 2500 and len(batch) % 500 == 0 and batch.torn == 0
    assert Topic(tmp_path / "t").append([{"n": -1}]) == len(batch)   # and the next writer goes on


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_line_torn_anywhere_is_left_and_then_read(tmp_path, cut):
    whole = '{"a": 1, "ä": "zwölf"}\n'.encode()
    path = tmp_path / "feed.jsonl"
    path.write_bytes(b'{"a": 0}\n' + whole[:cut])
    topic = Topic(path)
    first = topic.read()
    assert first.records == ({"a": 0},) and first.torn == cut
    assert topic.read(first.next_offset).records == () and topic.read(first.next_offset).torn == cut
    with open(path, "ab") as file:
        file.write(whole[cut:])
    second = topic.read(first.next_offset)
    assert second.records == ({"a": 1, "ä": "zwölf"},) and second.torn == 0 and second.next_offset == 2


def test_corrupt_lines_stop_or_are_counted(tmp_path):
    path = tmp_path / "00000000000000000000.jsonl"
    path.write_text('{"a": 1}\nNaN\n\n[2]\n{"a": 2}\n')
    with pytest.raises(DataError, match=r"00000000000000000000\.jsonl line 2 is no JSON object"):
        Topic(tmp_path).read()
    assert Topic(tmp_path).read(limit=1).next_offset == 1   # up to the line, reading goes well
    batch = Topic(tmp_path).read(rejects="keep")
    assert batch.records == ({"a": 1}, {"a": 2}) and [reject[1] for reject in batch.rejects] == [2, 4] and batch.next_offset == 5


def test_what_a_topic_refuses(tmp_path):
    topic = Topic(tmp_path / "t")
    topic.append([{"a": 1}])
    before = os.listdir(topic.path)
    for bad, words in (([{"a": 1}, {"a": float("inf")}], "Record 1"), ([[1]], "takes objects"), ([{"a": object()}], "object is no JSON value")):
        with pytest.raises(DataError, match=words):
            topic.append(bad)
    assert os.listdir(topic.path) == before and topic.end() == 1   # all or nothing
    (topic.path / f"{5:020d}.jsonl").write_text('{"a": 9}\n')
    with pytest.raises(DataError, match="should start at offset 1"):
        topic.read()


def test_repair_keeps_the_bytes(tmp_path):
    path = tmp_path / "feed.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    assert Topic(path).repair() == 6 and path.read_text() == '{"a": 1}\n' and (tmp_path / "feed.jsonl.torn").read_text() == '{"a": '
    assert json.loads(path.read_text()) == {"a": 1} and Topic(path).repair() == 0
