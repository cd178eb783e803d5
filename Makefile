# make demo            convert the models of this repository and compare each with its original
# make check           static checks and the tests not marked slow: what to run before every commit, 2 minutes on 2 cores
# make test            static checks, the kernels under sanitizers and all tests: 10 minutes on 2 cores
# make test-kernels    only the tests of the kernels under sanitizers
# make fuzz            random and mutated nodes, damaged files, races and killed writers, for about ten minutes
# make docs            the user's guide and the API reference, into build/docs
# make web             examples/web at http://localhost:8000, with networks of this repository; converts them first
# make wheels          wheels for Linux and Windows and the source distribution, into dist/
# make test-wheels     the tests of the kernels as aarch64 and Windows run them, in QEMU and Wine
# make lock            write the versions that .venv has into requirements-dev.lock
#
# The demo needs Python 3.10 or later, and is faster with a C++17 compiler. The rest needs Python 3.11 or later, for
# which the versions are locked, and the compiler; `make test` also needs Node.js. Where Chromium is installed
# (apt-get install chromium), it opens a report and examples/web in it as well. Everything else is installed into .venv.
#
# Slow are tests of which one case takes a second or all cases take several, among them all that export with PyTorch,
# run Node.js or a browser, or convert a trained network. Tests run in JOBS processes, one for each core by default.

PYTHON ?= python3
BIN := .venv/bin
JOBS ?= auto
FUZZ_KERNELS ?= 34000
FUZZ_GRAPHS ?= 5000
FUZZ_MODELS ?= 50000
FUZZ_READERS ?= 10000
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadscope
KERNELS := build/kernels-address,undefined build/kernels-thread
WEB := vit-cifar10 roberta-mr
BUILD := pyproject.toml custom_ops/CMakeLists.txt $(wildcard custom_ops/src/* custom_ops/src/*/*)

.PHONY: demo check test test-kernels fuzz fuzz-kernels fuzz-graphs fuzz-race fuzz-models fuzz-readers fuzz-kills lint docs
.PHONY: lock wheels test-wheels clean web

demo: .venv/run.stamp
	$(BIN)/onnx-snn demo --models models

check: lint
	$(PYTEST) -m 'not slow'

# The kernels are built while the development environment is installed.
test: .venv/build.stamp
	$(MAKE) --jobs 3 lint $(KERNELS) tests/hosts/node_modules
	$(PYTEST)

test-kernels: $(KERNELS)

# Sanitizers are loaded into Python, and instrument the kernels that onnxruntime runs.
fuzz: .venv/dev.stamp $(addprefix fuzz-,kernels graphs race models readers kills)

fuzz-kernels: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/kernels.py --cases $(FUZZ_KERNELS)

fuzz-graphs: build/sanitized-address,undefined
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/graphs.py build/kernels-address,undefined --cases $(FUZZ_GRAPHS)

fuzz-race: build/sanitized-thread
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/race.py build/kernels-thread

fuzz-models: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/converter.py --cases $(FUZZ_MODELS)

fuzz-readers: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/readers.py --cases $(FUZZ_READERS)

fuzz-kills: .venv/dev.stamp
	ONNX_SNN_KILLS=50 ONNX_SNN_WRITERS=2 $(PYTEST) tests/test_kills.py

build/sanitized-%: .venv/dev.stamp FORCE
	$(BIN)/cmake -S custom_ops -B build/kernels-$* -D ONNX_SNN_TESTS=ON -D ONNX_SNN_SANITIZE=$*
	$(BIN)/cmake --build build/kernels-$* --target sanitized_libraries

build/kernels-%: .venv/build.stamp FORCE
	$(BIN)/cmake -S custom_ops -B $@ -D ONNX_SNN_TESTS=ON -D ONNX_SNN_SANITIZE=$*
	$(BIN)/cmake --build $@
	$(BIN)/ctest --test-dir $@ --output-on-failure

FORCE:

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $$(find custom_ops/src custom_ops/tests -name '*.h' -o -name '*.cc')
	$(BIN)/clang-format --style=file:custom_ops/.clang-format --dry-run -Werror examples/c/*.[ch] examples/cpp/*.cpp
	$(BIN)/mypy

# The builder only prints what is wrong with a docstring: here that is an error like every other warning.
docs: .venv/docs.stamp
	mkdir -p build
	$(BIN)/zensical build --clean --strict --config-file mkdocs.yml 2>&1 | tee build/docs.log
	grep --quiet 'No issues found' build/docs.log && ! grep --quiet '^griffe' build/docs.log

.venv/docs.stamp: pyproject.toml requirements-dev.lock | $(BIN)/python
	$(BIN)/pip install --quiet --constraint requirements-dev.lock --editable '.[docs]'
	touch $@

.venv/build.stamp: requirements-dev.lock | $(BIN)/python
	$(BIN)/pip install --quiet --constraint requirements-dev.lock cmake
	touch $@

# PyTorch is installed first: its CPU build is enough, and what comes later keeps it.
# An installation without the kernels would test only half of the package.
.venv/dev.stamp: $(BUILD) requirements-dev.lock .venv/build.stamp
	$(BIN)/pip install --quiet --no-compile --constraint requirements-dev.lock torch
	$(BIN)/pip install --quiet --no-compile --constraint requirements-dev.lock --editable '.[data,dev,export,text]'
	$(BIN)/python -c 'import onnx_snn; onnx_snn.get_library_path()'
	touch $@

wheels: build/packaging/stamp
	build/packaging/bin/python packaging/wheels.py

test-wheels: build/packaging/stamp
	PATH="$(CURDIR)/build/packaging/bin:$$PATH" packaging/emulated_tests.sh

build/packaging/stamp: packaging/requirements.txt
	$(PYTHON) -m venv build/packaging
	build/packaging/bin/pip install --quiet --requirement $<
	touch $@

lock: .venv/dev.stamp
	echo '# Versions of the development environment, written by `make lock`.' > requirements-dev.lock
	$(BIN)/pip freeze --exclude-editable | sed --quiet 's/^\([^ ]*==[^+ ]*\).*/\1/p' >> requirements-dev.lock

.venv/run.stamp: $(BUILD) | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv

tests/hosts/node_modules: tests/hosts/package-lock.json
	cd tests/hosts && npm ci --loglevel=error
	touch $@

web: .venv/run.stamp examples/web/node_modules $(WEB:%=build/web/%.onnx) $(WEB:%=build/web/%-metered.onnx)
	$(BIN)/python examples/web/serve.py $(foreach name,$(WEB),models/$(name)=build/web/$(name).onnx=build/web/$(name)-metered.onnx)

build/web/%-metered.onnx: models/%/model.onnx
	mkdir -p build/web
	$(BIN)/onnx-snn convert -m $< -c models/$*/calibration.npz -T 4 --body closed --meter -o $@

build/web/%.onnx: models/%/model.onnx
	mkdir -p build/web
	$(BIN)/onnx-snn convert -m $< -c models/$*/calibration.npz -T 4 --body closed -o $@

examples/web/node_modules: examples/web/package.json
	cd examples/web && npm install --loglevel=error
	touch $@

clean:
	rm -rf .venv build tests/hosts/node_modules examples/web/node_modules examples/node/node_modules
