# make demo    from nothing to a converted data set
# make test    everything that a change must pass
# make test-backends   mmpose, openpifpaf, transformers, torchvision: installed and run (10 minutes)
# make test-torch      data sets, streams and heatmaps for torch
# make test-browser    the report and a Label Studio server in Chromium (apt: chromium chromium-driver)
# make lint    ruff and mypy
# make bench   the speed tables of docs/benchmarks.md

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BACKENDS := .venv-backends
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-torch test-browser test-backends lint bench clean

demo: $(VENV)/.installed
	@rm -rf demo
	@$(BIN)/posedata demo demo

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto -m 'not backends and not torch and not browser and not label_studio'

test-torch: $(BACKENDS)/.installed
	$(BACKENDS)/bin/python -m pytest -n auto -m torch tests/with_torch

test-browser: $(VENV)/.installed-dev
	$(PIP) -e '.[test,browser]'
	$(BIN)/python -m pytest -m browser tests/browser
	POSEDATA_ENVIRONMENTS=$(CURDIR)/.environments $(BIN)/python -m pytest -m label_studio tests/label_studio

test-backends: $(BACKENDS)/.installed
	POSEDATA_ENVIRONMENTS=$(CURDIR)/.environments $(BACKENDS)/bin/python -m pytest -n 2 --dist loadfile -m backends tests/backends

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/run.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	@touch $@

$(BACKENDS)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(BACKENDS)
	$(BACKENDS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,torch,transformers,torchvision]'
	@touch $@

clean:
	rm -rf $(VENV) $(BACKENDS) .environments demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
