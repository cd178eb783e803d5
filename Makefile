# make demo            convert the models of this repository and compare each with its original
# make test            static checks and all tests
# make test-kernels    only the tests of the kernels under sanitizers
# make docs            the user's guide and the API reference, into build/docs
#
# All need Python 3.10 or later and a C++17 compiler (the demo runs without one, slower); the tests also need Node.js.
# Where Chromium is installed (apt-get install chromium), they open a report in it as well.
# Everything else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
BUILD := pyproject.toml custom_ops/CMakeLists.txt $(wildcard custom_ops/src/* custom_ops/src/*/*)

.PHONY: demo test test-kernels lint docs clean

demo: .venv/run.stamp
	$(BIN)/onnx-snn demo --models models

test: .venv/dev.stamp tests/hosts/node_modules test-kernels
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

test-kernels: build/kernels-address,undefined build/kernels-thread

build/kernels-%: .venv/dev.stamp FORCE
	$(BIN)/cmake -S custom_ops -B $@ -D ONNX_SNN_TESTS=ON -D ONNX_SNN_SANITIZE=$*
	$(BIN)/cmake --build $@ --parallel 2
	$(BIN)/ctest --test-dir $@ --output-on-failure

FORCE:

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run -Werror $$(find custom_ops/src custom_ops/tests -name '*.h' -o -name '*.cc')
	$(BIN)/mypy

# The builder only prints what is wrong with a docstring: here that is an error like every other warning.
docs: .venv/docs.stamp
	mkdir -p build
	$(BIN)/zensical build --clean --strict --config-file mkdocs.yml 2>&1 | tee build/docs.log
	grep --quiet 'No issues found' build/docs.log && ! grep --quiet '^griffe' build/docs.log

.venv/docs.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

# PyTorch is pinned in pyproject.toml and installed first: its CPU build is enough, and what comes later keeps it.
# An installation without the kernels would test only half of the package.
.venv/dev.stamp: $(BUILD) | $(BIN)/python
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[dev,export,text]'
	$(BIN)/python -c 'import onnx_snn; onnx_snn.get_library_path()'
	touch $@

.venv/run.stamp: $(BUILD) | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

tests/hosts/node_modules: tests/hosts/package-lock.json
	cd tests/hosts && npm ci --loglevel=error
	touch $@

clean:
	rm -rf .venv build tests/hosts/node_modules
