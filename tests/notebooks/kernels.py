"""Kernels that are forked from a process which has the heavy libraries in memory.

A fresh kernel spends three seconds of CPU on imports before its notebook computes anything. Here one process for each worker of the tests imports them once and
is forked for every notebook. Nothing else is shared: each notebook has an ipykernel process of its own with its own namespace, working folder, environment and
sockets, and no module of dlmine is loaded before the notebook asks for it. Libraries that start threads when imported (Polars, onnxruntime) are left to the fork."""
import multiprocessing
import os
import signal
import sys
from pathlib import Path

from in_fork import become_kernel
from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from nbclient import NotebookClient

TESTS = Path(__file__).resolve().parents[1]
LIBRARIES = [
    "ipykernel.kernelapp", "ipykernel.debugger", "ipywidgets", "matplotlib.pyplot", "pandas", "pyarrow.parquet", "scipy.stats", "sklearn.ensemble", "sklearn.linear_model", "sklearn.cluster",
    "sklearn.feature_extraction.text", "imblearn.over_sampling", "duckdb", "networkx", "pydantic", "pandera.pandas", "cryptography.hazmat.primitives.asymmetric.ed25519", "torch.onnx", "onnxscript",
    "fastai.tabular.all", "captum.attr", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store",
]  # fmt: skip

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(LIBRARIES)


class ForkedProcess:
    "A fork, with the methods of `subprocess.Popen` that jupyter_client uses."

    stdin = stdout = stderr = None

    def __init__(self, arguments, environment, folder):
        paths = [path for path in sys.path if path and not Path(path).is_relative_to(TESTS)]
        self.process = forks.Process(target=become_kernel, args=(arguments, environment, str(folder), paths))
        self.process.start()
        self.pid = self.process.pid

    def poll(self):
        return self.process.exitcode

    def wait(self):
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class ForkedProvisioner(LocalProvisioner):
    "Provides a kernel by forking instead of starting an interpreter."

    async def launch_kernel(self, cmd, **options):
        self.process = ForkedProcess(cmd[cmd.index("-f"):], options["env"], options["cwd"])
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class ForkedKernelManager(AsyncKernelManager):
    "A kernel manager whose kernels are forks."

    async def _async_pre_start_kernel(self, **options):
        if self.provisioner is None:
            self.provisioner = ForkedProvisioner(kernel_id="", kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**options)


def execute(
    notebook,  # as nbformat reads it; filled with outputs
    folder: Path,  # where it lies: its working folder
    seconds: int = 600,  # that one cell may take
    forked: bool = True,  # False: a kernel with an interpreter of its own
):
    "Run all cells from top to bottom. CellExecutionError (source and traceback) at the first that fails, CellTimeoutError when one takes too long."
    manager = {"kernel_manager_class": ForkedKernelManager} if forked else {}
    client = NotebookClient(notebook, timeout=seconds, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, **manager)
    return client.execute(env=dict(os.environ))
