# One command for each thing to be done. Everything is made in this checkout: `.venv`, `target`, `dist`, `demo-run`, `.venv-train`.
VENV ?= .venv
TRAIN_VENV ?= .venv-train
PYTHON ?= python3

BIN := $(VENV)/bin
PY := $(BIN)/python
# pyo3 is told which interpreter to build for: the same path everywhere, or each tool would rebuild what the last one built.
CARGO := PYO3_PYTHON="$(abspath $(PY))" cargo
# A shell inside conda has CONDA_PREFIX, which maturin does not want beside a virtual environment.
MATURIN := env -u CONDA_PREFIX PIP_QUIET=1 VIRTUAL_ENV="$(abspath $(VENV))" $(BIN)/maturin
RUST_SOURCES := $(shell find rust -type f)

.DEFAULT_GOAL := help
.PHONY: help setup build test test-train lint fmt bench demo wheel clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.setup ## make .venv with everything to build and test (again where pyproject.toml changed)

build: $(VENV)/.built ## compile the core and install instag into .venv, editable

test: lint ## all lints, then all tests of the core and of the package
	$(CARGO) test --locked
	$(PY) -m pytest

# Torch in a build for CPUs alone is a tenth of the one that brings CUDA; uv knows where it is.
test-train: build ## the tests that train and run models, in .venv-train (or TRAIN_PYTHON=..., a Python that has the extra)
	@if [ -n "$(TRAIN_PYTHON)" ] || $(MAKE) --no-print-directory $(TRAIN_VENV)/.setup; then \
	  PYTHONPATH=python "$(or $(TRAIN_PYTHON),$(TRAIN_VENV)/bin/python)" -m pytest -m train; \
	else \
	  echo "SKIPPED: test-train: a CPU build of torch could not be installed (see above)"; \
	fi

lint: build ## cargo fmt and clippy, ruff, mypy --strict, and the stub held against the extension
	cargo fmt --check
	$(CARGO) clippy --locked --all-targets --features python -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PY) -m mypy --strict
	$(PY) -m mypy.stubtest instag._core --allowlist tests/stubtest.allow --ignore-unused-allowlist

fmt: setup ## format Rust and Python in place
	cargo fmt
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: build ## the core's kernels, growth with the size, then the comparisons with what people use today
	$(PY) -m pip install --quiet --requirement benches/requirements.txt
	cargo bench --locked
	$(PY) benches/scale.py
	-$(PY) benches/semantic.py
	$(PY) benches/keyphrase_quality.py
	$(PY) benches/neighbors.py
	$(PY) benches/run.py
	$(PY) benches/guarded.py

demo: build ## the main job, offline, on examples/: makes demo-run/
	$(BIN)/instag run examples/demo.toml

wheel: setup ## one abi3 wheel for this platform, in dist/
	$(MATURIN) build --release --locked --out dist

clean: ## remove what the other targets made
	rm -rf $(VENV) $(TRAIN_VENV) target dist demo-run .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find python -name '_core*.so' -delete

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "error: instag needs Python 3.10 or newer; \`$(PYTHON)\` is $$($(PYTHON) --version 2>&1)" >&2; \
	  echo "hint: name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@command -v cargo >/dev/null || { \
	  echo "error: no \`cargo\` on the PATH: the core is written in Rust" >&2; \
	  echo "hint: install Rust 1.88 or newer (https://rustup.rs)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "hint: on Debian and Ubuntu: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	$(PY) -m pip install --quiet --upgrade "pip>=25.1"

# hnswlib is published as source only. Without it everything works with exact neighbors, so a failure is told, not fatal.
$(VENV)/.setup: pyproject.toml | $(PY)
	$(PY) -m pip install --quiet "maturin>=1.9,<2" --group test
	@command -v c++ >/dev/null || echo "note: no C++ compiler (\`c++\`) on the PATH; hnswlib needs one (apt-get install g++)" >&2
	@$(PY) -m pip install --quiet hnswlib 2>$(VENV)/hnswlib.log || \
	  echo "note: hnswlib could not be built (see $(VENV)/hnswlib.log): \`--neighbors hnsw\` is missing, exact neighbors serve" >&2
	@touch $@

$(TRAIN_VENV)/.setup: pyproject.toml | $(PY)
	$(PY) -m venv $(TRAIN_VENV)
	$(TRAIN_VENV)/bin/python -m pip install --quiet --upgrade "pip>=25.1" uv
	UV_HTTP_TIMEOUT=20 UV_HTTP_RETRIES=1 $(TRAIN_VENV)/bin/uv pip install --quiet --python $(TRAIN_VENV)/bin/python \
	  --torch-backend cpu --requirement pyproject.toml --extra train --extra pictures --group test
	@touch $@

$(VENV)/.built: $(VENV)/.setup $(RUST_SOURCES) Cargo.toml Cargo.lock
	$(MATURIN) develop --release --locked
	@touch $@
