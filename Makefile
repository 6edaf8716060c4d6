# dlmine: every command of the project. `make demo` and `make test` need Python 3.11 and git; nothing else by hand.
.DEFAULT_GOAL := help
SHELL  := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
LOCK   := requirements/lock-cpu.txt
READY  := $(VENV)/.ready
ONLY   ?=
WORKERS ?= 3
export DO_NOT_TRACK = 1
export OMP_WAIT_POLICY = PASSIVE
export MLFLOW_DISABLE_TELEMETRY = true

.PHONY: help setup demo test test-all lab export check readme bench system clean

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## the environment in .venv, from the lock file

$(READY): $(LOCK) pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2] < (3, 13), f"dlmine needs Python 3.11 or 3.12, {sys.executable} is {sys.version.split()[0]}: make PYTHON=/path/to/python3.11"'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages (a few minutes the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r $(LOCK)
	@# A torch built for CUDA brings its own libraries: install them where the plain wheel does not load, or where a GPU is at hand.
	@if command -v nvidia-smi >/dev/null || ! $(BIN)/python -c 'import torch' 2>/dev/null; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(LOCK) "$$(grep -i '^torch==' $(LOCK))"; fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "joining the flights and preparing an empty ledger, once for this machine …"
	@DLMINE_WORKSPACE=$$(mktemp -d) $(BIN)/python -c 'import torch, fastai; from dlmine.core.settings import load_settings; from dlmine.core.mlruns import ensure_ledger; from dlmine.core.datasets import load_dataset; ensure_ledger(load_settings()); load_dataset("flights")'
	@touch $(READY)

demo: $(READY)   ## the main job on the flights data: retrain, then audit
	@$(BIN)/dlmine run retrain --card usecases/flights.yml
	@$(BIN)/dlmine run audit --card usecases/flights.yml

system:          ## what the tests need of the system: Chromium, PostgreSQL, WordNet (Debian packages)
	@need=""; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || need="$$need chromium fonts-dejavu-core"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || need="$$need postgresql"; \
	test -f /usr/share/wordnet/data.noun || need="$$need wordnet-base"; \
	ls /usr/share/datasets/fashion-mnist >/dev/null 2>&1 || dpkg -s dataset-fashion-mnist >/dev/null 2>&1 || need="$$need dataset-fashion-mnist"; \
	test -z "$$need" || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing Debian's$$need …"; \
			apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$need >/dev/null; \
		else echo "The tests need packages of the system. Install them and run this again:  sudo apt-get install$$need"; exit 1; fi; }

test: $(READY) system  ## all tests but the slow ones (under 30 minutes on two cores)
	@$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile

test-all: $(READY) system  ## all tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lab: $(READY)    ## JupyterLab, ready to use
	@$(BIN)/dlmine lab

export: $(READY) ## notebooks → modules, README; cleans notebook metadata
	@$(BIN)/nbdev-clean
	@$(BIN)/nbdev-export
	@$(BIN)/python .ci/readme.py

check: export    ## fails where an export would change a committed module
	@test -z "$$(git status --porcelain nbs dlmine README.md)" || { git status --short nbs dlmine README.md; echo "commit the exported modules together with their notebooks"; exit 1; }

bench: $(READY)  ## benchmarks against peers, or one: make bench ONLY=drift
	@$(BIN)/python benchmarks/run.py $(ONLY)

clean:           ## removes what tests and builds leave; never the workspace
	@rm -rf build dist *.egg-info .pytest_cache .hypothesis
