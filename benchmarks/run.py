"""Run the benchmarks: `python benchmarks/run.py [NAME…]`, or `make bench ONLY=name`.

Every other script in this folder is one benchmark with a function `main()` that returns one row or a list of rows:

    {'name': 'drift_evidently', 'ratio': 31.0, 'goal': 20, 'quality': 0.738, 'against': 0.735}    against a peer, both sides in one run
    {'name': 'import', 'value': 21.0, 'unit': 'ms', 'goal': 50}                                   without a peer: smaller is better

A ratio says how many times better we are than the peer, so larger is better, unless the row says `'better': 'lower'` (a value: `'better': 'higher'`).
`goal_quality` (smallest permitted quality − against, default −0.005) guards against winning by doing less. A row may carry more keys; they are kept.
The rows and facts about the machine go to `benchmarks/results.json`; rows that were not run keep their last result. The exit code is 1 when a goal is missed.
"""
import importlib.util
import json
import os
import platform
import sys
import time
import traceback
from datetime import datetime, timezone
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER/'results.json'


def machine() -> dict:
    "What a figure depends on beside the code."
    from importlib.metadata import PackageNotFoundError, version
    facts = {'python': platform.python_version(), 'system': platform.platform(), 'cores': len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}
    try: facts['processor'] = next(line.split(':', 1)[1].strip() for line in open('/proc/cpuinfo') if line.startswith('model name'))
    except (OSError, StopIteration): facts['processor'] = platform.processor()
    try: facts['memory_gb'] = round(os.sysconf('SC_PAGE_SIZE')*os.sysconf('SC_PHYS_PAGES')/1e9, 1)
    except (ValueError, OSError, AttributeError): pass
    for name in ('dlmine', 'torch', 'fastai', 'numpy', 'scikit-learn', 'evidently', 'papermill', 'mlflow'):
        try: facts[name] = version(name)
        except PackageNotFoundError: continue
    return facts


def short(value) -> str:
    "A number with as many digits as matter."
    if not isinstance(value, float): return str(value)
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.1f}' if abs(value) >= 10 else f'{value:.3g}'


def met(row: dict) -> bool:
    "Whether a row reaches its goal, with the quality that it must keep."
    if 'error' in row: return False
    figure = row['ratio'] if 'ratio' in row else row['value']
    higher = row.get('better', 'higher' if 'ratio' in row else 'lower') == 'higher'
    kept = 'quality' not in row or row['quality'] - row['against'] >= row.get('goal_quality', -0.005)
    return kept and (figure >= row['goal'] if higher else figure <= row['goal'])


def line(row: dict) -> str:
    "One row as a line."
    if 'error' in row: return f"{row['name']}: failed: {row['error']}"
    if 'ratio' in row: text = f"{row['name']}: ratio {short(row['ratio'])} (goal {short(row['goal'])})"
    else: text = f"{row['name']}: value {short(row['value'])}{' ' + row['unit'] if row.get('unit') else ''} (goal {short(row['goal'])})"
    if 'quality' in row: text += f" quality {row['quality']:.3f} against {row['against']:.3f}"
    return text + ('' if met(row) else '  MISSED')


def run_one(path: Path) -> list[dict]:
    "The rows of one benchmark; a script that fails gives a row that says so."
    sys.path.insert(0, str(FOLDER))
    start = time.perf_counter()
    try:
        spec = importlib.util.spec_from_file_location(f'benchmark_{path.stem}', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        rows = module.main()
    except Exception as error:
        traceback.print_exc()
        rows = {'name': path.stem, 'error': f'{error.__class__.__name__}: {error}'}
    finally: sys.path.remove(str(FOLDER))
    rows = [rows] if isinstance(rows, dict) else list(rows)
    return [{**row, 'script': path.stem, 'seconds': round(time.perf_counter() - start, 1), 'time': datetime.now(timezone.utc).isoformat(timespec='seconds'), 'met': met(row)} for row in rows]


def main(only: list[str]) -> int:
    "Run the benchmarks that are asked for, all when none is; 1 when a goal is missed, 2 when there is no such benchmark."
    scripts = {path.stem: path for path in sorted(FOLDER.glob('*.py')) if path.stem != 'run' and not path.stem.startswith('_')}
    unknown = [name for name in only if name not in scripts]
    if unknown: print(f"There is no benchmark {', '.join(unknown)}. Known: {', '.join(scripts)}.", file=sys.stderr); return 2
    done = []
    for name in only or scripts:
        rows = run_one(scripts[name])
        for row in rows: print(line(row), flush=True)
        done += rows
        try: held = json.loads(RESULTS.read_text())['rows']     # only now: another run may have written meanwhile
        except (OSError, ValueError, KeyError): held = []
        kept = [row for row in held if row.get('script') in scripts and row.get('script') not in {one['script'] for one in done}]
        text = json.dumps({'machine': machine(), 'rows': sorted(kept + done, key=lambda row: (row['script'], row['name']))}, indent=1) + '\n'
        RESULTS.with_suffix('.tmp').write_text(text)
        os.replace(RESULTS.with_suffix('.tmp'), RESULTS)
    return 0 if all(row['met'] for row in done) else 1


if __name__ == '__main__': sys.exit(main([name for argument in sys.argv[1:] for name in argument.replace(',', ' ').split()]))
