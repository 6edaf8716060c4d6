"Rows from Parquet: each once, in an order of the seed alone, mixed, in bounded memory; damaged files are named."
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from dlmine.core.errors import DataError
from dlmine.training.batches import batch_bounds
from dlmine.training.checkpoints import Checkpoints
from dlmine.training.streaming import ParquetRows, StreamBatches, fit_stream


def write(folder, rows, group=100, files=1):
    for part, numbers in enumerate(np.array_split(np.arange(rows), files)): pq.write_table(pa.table({'number': numbers, 'half': numbers / 2}), folder / f'{part}.parquet', row_group_size=group)
    return ParquetRows(folder)


def encode(table): return table['half'].to_numpy().astype(np.float32)[:, None], table['number'].to_numpy()


def order(loader): return torch.cat([target for _, target in loader]).numpy()


@given(some.integers(1, 1200), some.integers(1, 300), some.integers(2, 70), some.integers(1, 4), some.booleans())
@settings(max_examples=25, deadline=None)
def test_every_row_comes_once_in_batches_of_the_right_size(tmp_path_factory, rows, group, size, files, shuffle):
    source = write(tmp_path_factory.mktemp('rows'), max(rows, files), group, files)
    loader = StreamBatches(source, encode, bs=size, buffer=max(150, 2 * size), shuffle=shuffle)
    batches = list(loader)
    assert [len(target) for _, target in batches] == [end - start for start, end in batch_bounds(len(source), size)] and len(batches) == len(loader)
    found = torch.cat([target for _, target in batches]).numpy()
    assert np.array_equal(np.sort(found) if shuffle else found, np.arange(len(source)))
    assert all(torch.equal(x[:, 0] * 2, target.float()) for x, target in batches)


def test_the_order_is_of_the_seed_and_the_pass(tmp_path):
    source = write(tmp_path, 3000, 100, 3)
    loader = StreamBatches(source, encode, bs=64, buffer=600, seed=5)
    passes = [order(loader), order(loader)]
    again = StreamBatches(source, encode, bs=64, buffer=600, seed=5, ahead=1)
    assert np.array_equal(passes[0], order(again)) and np.array_equal(passes[1], order(again)) and not np.array_equal(*passes)
    assert not np.array_equal(passes[0], order(StreamBatches(source, encode, bs=64, buffer=600, seed=6)))
    again.passes = 1
    assert np.array_equal(passes[1], order(again))


def test_rows_are_mixed_and_the_buffer_is_bounded(tmp_path):
    source = write(tmp_path, 20_000, 250)
    loader = StreamBatches(source, encode, bs=100, buffer=2000)
    found = order(loader)
    spread = np.mean([np.std(batch) for batch in found.reshape(-1, 100)]) / np.std(found)
    neighbours = np.mean(np.abs(np.diff(found)) == 1)
    assert spread > 0.8 and neighbours < 0.01 and loader.longest < 2000 + 250


def test_a_reader_that_is_left_early_ends_its_thread(tmp_path):
    loader = StreamBatches(write(tmp_path, 5000, 100), encode, bs=50, buffer=200)
    for _ in range(3): loader.one_batch()
    iterator = iter(loader)
    next(iterator)
    iterator.close()
    assert not [thread for thread in threading.enumerate() if thread.name == 'dlmine-parquet' and thread.is_alive()]


def test_damage_and_wrong_files_are_named(tmp_path):
    with pytest.raises(DataError, match='no Parquet files'): ParquetRows(tmp_path)
    source = write(tmp_path, 1000, 100)
    with pytest.raises(DataError, match='no file other'): ParquetRows([tmp_path / 'other.parquet'])
    with pytest.raises(DataError, match='no column'): ParquetRows(tmp_path, columns=['price'])
    with pytest.raises(DataError, match='0.parquet, row group 0 has 100 rows and its encoding 99'): list(StreamBatches(source, lambda table: [values[1:] for values in encode(table)], bs=10, buffer=50, shuffle=False))
    with pytest.raises(DataError, match='two batches'): StreamBatches(source, encode, bs=100, buffer=150)
    def refuse(table): raise DataError('label 7 is unknown')
    with pytest.raises(DataError, match='row group .*label 7'): list(StreamBatches(source, refuse, bs=10, buffer=50))
    data = bytearray((tmp_path / '0.parquet').read_bytes())
    data[100:3000] = b'\x00' * 2900
    (tmp_path / 'damaged').mkdir()
    (tmp_path / 'damaged' / 'd.parquet').write_bytes(bytes(data))
    with pytest.raises(DataError, match='d.parquet, row group 0 cannot be read'): list(StreamBatches(ParquetRows(tmp_path / 'damaged'), encode, bs=10, buffer=50, shuffle=False))
    pq.write_table(pa.table({'number': [1]}), tmp_path / 'z.parquet')
    with pytest.raises(DataError, match='z.parquet has other columns'): ParquetRows(tmp_path)
    (tmp_path / 'empty').mkdir()
    pq.write_table(pa.table({'number': pa.array([], pa.int64())}), tmp_path / 'empty' / 'e.parquet')
    with pytest.raises(DataError, match='holds no rows'): ParquetRows(tmp_path / 'empty')


def table(rows, seed=0):
    generator = np.random.default_rng(seed)
    columns = {f'n{i}': generator.normal(size=rows).astype(np.float32) for i in range(3)}
    columns['k'] = generator.integers(2, 6, rows)
    return pa.table(columns | {'y': (columns['n0'] + (columns['k'] == 3) + generator.normal(size=rows) > 0.3).astype(np.int64)})


def features(rows): return {'x_num': np.stack([rows[f'n{i}'].to_numpy() for i in range(3)], 1), 'x_cat': rows['k'].to_numpy()[:, None]}


def label(rows): return rows['y'].to_numpy()


def streamed(folder, *callbacks, **others):
    held = table(300, 1)
    return fit_stream(ParquetRows(folder), features, label, features(held), label(held), **{'kind': 'binary', 'classes': (0, 1), 'facts': {'cardinalities': [6], 'fills': [0.0] * 3}, 'epochs': 3, 'batch_size': 64, 'buffer': 500, 'patience': 0, 'callbacks': callbacks, **others})


def test_training_from_a_stream_replays_resumes_and_learns(tmp_path):
    from fastai.callback.core import Callback

    class Kill(Callback):
        order = 99

        def after_batch(self):
            if self.learn.training and (self.learn.epoch, self.learn.iter) == (1, 11): raise InterruptedError

    (tmp_path / 'rows').mkdir()
    pq.write_table(table(1500), tmp_path / 'rows' / 'a.parquet', row_group_size=100)
    whole, again = streamed(tmp_path / 'rows'), streamed(tmp_path / 'rows')
    with pytest.raises(InterruptedError): streamed(tmp_path / 'rows', Checkpoints(tmp_path / 'run', steps=5), Kill())
    keeper = Checkpoints(tmp_path / 'run', steps=5)
    resumed = streamed(tmp_path / 'rows', keeper)
    for other in (again, resumed): assert all(torch.equal(a, b) for a, b in zip(whole.module.state_dict().values(), other.module.state_dict().values()))
    assert keeper.resumed['step'] == 35 and whole.history[-1]['kpi'] > 0.7 and whole.rows == 1500
    regression = streamed(tmp_path / 'rows', kind='regression', classes=(), scaling=(0.5, 0.5), epochs=1)
    assert np.isfinite(regression.predict(features(table(50)))).all()
