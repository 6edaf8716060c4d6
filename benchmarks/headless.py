"""What a headless run costs above plain papermill on an empty template, and how fast the package and its help come up.

CPU-seconds of a process and all its children (the kernel included), both sides taken in turns. The `dlmine run` side validates parameters, watches
the kernel, scrubs, draws the HTML, seals the evidence, publishes, and enters the run into MLflow.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent/'tests'/'runs'/'fixtures'/'empty.ipynb'


def cpu_seconds(command: list[str], folder: str) -> float:
    "CPU-seconds of a command and of the processes that it started and waited for."
    environment = {name: value for name, value in os.environ.items() if not name.startswith('DLMINE_')} | {'OMP_NUM_THREADS': '1', 'XDG_CACHE_HOME': folder + '/cache'}
    before = os.times()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def wall_milliseconds(command: list[str], folder: str, repeats: int = 7) -> float:
    "The least wall time of a command: what it takes on a machine that is not busy otherwise."
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - start) * 1000)
    return min(times)


def main(repeats: int = 5) -> list[dict]:
    "Rows: CPU-seconds above papermill, `import dlmine`, `dlmine --help`."
    with tempfile.TemporaryDirectory() as folder:
        ours = [sys.executable, '-m', 'dlmine.runs.cli', 'run', str(TEMPLATE), '-p', 'note=measured']
        plain = [sys.executable, '-m', 'papermill', str(TEMPLATE), 'out.ipynb', '-p', 'note', 'measured', '--no-progress-bar']
        cpu_seconds(ours, folder), cpu_seconds(plain, folder)  # once each, for bytecode and the empty ledger
        pairs = [(cpu_seconds(ours, folder), cpu_seconds(plain, folder)) for _ in range(repeats)]
        above = statistics.median(one - other for one, other in pairs)
        start = wall_milliseconds([sys.executable, '-c', 'pass'], folder)
        loaded = wall_milliseconds([sys.executable, '-c', 'import dlmine'], folder)
        shown = wall_milliseconds([sys.executable, '-m', 'dlmine.runs.cli', '--help'], folder)
    return [{'name': 'headless_above_papermill', 'value': round(above, 2), 'unit': 'CPU-seconds', 'goal': 2.0,
             'ours': round(statistics.median(one for one, _ in pairs), 2), 'papermill': round(statistics.median(other for _, other in pairs), 2), 'repeats': repeats},
            {'name': 'import', 'value': round(max(0.0, loaded - start), 1), 'unit': 'ms', 'goal': 50, 'with_python': round(loaded, 1)},
            {'name': 'help', 'value': round(shown, 1), 'unit': 'ms', 'goal': 300}]


if __name__ == '__main__':
    for row in main(): print(row)
