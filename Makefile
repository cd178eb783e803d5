# make demo    convert the models of this repository and compare each with its original
# make test    static checks and all tests
#
# Both need Python 3.10 or later; the tests also need Node.js. Everything else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/run.stamp
	$(BIN)/onnx-snn demo --models models

test: .venv/dev.stamp tests/hosts/node_modules
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy

# PyTorch is pinned in pyproject.toml and installed first: its CPU build is enough, and what comes later keeps it.
.venv/dev.stamp: .venv/run.stamp
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[dev,export,text]'
	touch $@

.venv/run.stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

tests/hosts/node_modules: tests/hosts/package-lock.json
	cd tests/hosts && npm ci --loglevel=error
	touch $@

clean:
	rm -rf .venv tests/hosts/node_modules
