"A training with checkpoints in a process of its own, slow enough to be killed: python killed_training.py FOLDER RESULT"
import json
import sys
import time

import numpy as np
import torch
from fastai.callback.core import Callback

from dlmine.training.checkpoints import Checkpoints
from dlmine.training.learner import fit
from dlmine.training.schedules import Schedule


class Slow(Callback):
    "Says where it is, and gives the killer time."
    order = 99

    def after_batch(self):
        if not self.learn.training: return
        print(self.learn.epoch, self.learn.iter, flush=True)
        time.sleep(0.005)


def main(folder, result):
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    x_num = generator.normal(size=(900, 6)).astype(np.float32)
    target = (x_num[:, 0] + x_num[:, 1] * x_num[:, 2] + generator.normal(size=900) > 0).astype(int)
    callbacks = [Schedule('one_cycle', 0.01), Slow()] + ([Checkpoints(folder, steps=3)] if folder != '-' else [])
    trained = fit({'x_num': x_num[:600]}, target[:600], {'x_num': x_num[600:]}, target[600:], kind='binary', classes=(0, 1), epochs=4, batch_size=48, patience=0, callbacks=callbacks)
    curve = [(row['train_loss'].hex(), row['valid_loss'].hex(), row['kpi'].hex()) for row in trained.history]
    weights = {name: value.numpy().tobytes().hex() for name, value in trained.module.state_dict().items()}
    with open(result, 'w') as file: json.dump({'curve': curve, 'weights': weights, 'reason': trained.reason}, file)


if __name__ == '__main__': main(*sys.argv[1:])
