"What a forked process does to become a kernel. Imports nothing heavy: every fork loads this module anew."
import atexit
import gc
import multiprocessing.connection
import os
import random
import signal
import sys
import threading


def end_with(process) -> None:
    "When the process of the tests has gone, go too, with all that the notebook started."
    multiprocessing.connection.wait([process.sentinel])
    os.killpg(0, signal.SIGKILL)


def become_kernel(
    arguments: list[str],  # of the ipykernel command
    environment: dict[str, str],  # of the notebook
    folder: str,  # where the notebook lies
    paths: list[str],  # where modules are searched
) -> None:
    "In the fork: be the kernel of one notebook until it is shut down."
    gc.freeze()  # a collection need not look at what the libraries made, nor copy their pages
    import numpy
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()  # a group of its own, so that a notebook that hangs is ended with all that it started
    threading.Thread(target=end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:], sys.argv[:] = paths, ["ipykernel_launcher", *arguments]
    random.seed()
    numpy.random.seed()
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])
    atexit._run_exitfuncs()  # multiprocessing leaves a fork without them
