"The monitor: what it knows, its twin, its button."
import numpy as np
from fastai.callback.core import Callback

from dlmine.training.learner import fit
from dlmine.training.monitor import TrainingMonitor, measure, table_of


def train(*callbacks, epochs=4):
    generator = np.random.default_rng(0)
    features = {'x_num': generator.normal(size=(500, 3)).astype(np.float32)}
    target = (features['x_num'][:, 0] + generator.normal(size=500) > 0).astype(int)
    return fit(features, target, features, target, kind='binary', classes=(0, 1), epochs=epochs, callbacks=callbacks)


def test_it_knows_what_the_training_says():
    monitor = TrainingMonitor('Title <b>')
    assert 'waiting' in monitor.twin()
    trained = train(monitor)
    assert monitor.value['state'] == 'done' and monitor.value['reason'] == trained.reason and monitor.rows == list(trained.history)
    twin = monitor.twin()
    assert '<svg' in twin and 'Title &lt;b&gt;' in twin and len(twin.encode()) < 100_000 and '<script' not in twin


def test_the_button_stops_after_the_batch_and_keeps_the_best_weights():
    monitor = TrainingMonitor()
    box = monitor.view.widget
    assert 'dlmine-training-monitor' in box._dom_classes and monitor.parts['stop'].disabled

    class Press(Callback):
        def before_batch(self):
            if self.learn.training and self.learn.epoch == 2 and self.learn.iter == 1: monitor.parts['stop'].click()

    trained = train(monitor, Press(), epochs=20)
    assert trained.reason == 'A person stopped the training.' and len(trained.history) == 2
    assert monitor.parts['stop'].disabled and 'A person stopped' in monitor.parts['status'].value and '<svg' in monitor.parts['curves'].value


def test_the_time_left_is_what_the_speed_says():
    assert measure(250, 1000, 5.0, 1)['seconds_left'] == 15.0
    assert '3 of' not in table_of([]) and table_of([{'epoch': e, 'train_loss': None, 'valid_loss': 1.0, 'kpi': None, 'rows_per_second': 1, 'seconds': 0.1} for e in range(30)]).count('<tr>') == 13
