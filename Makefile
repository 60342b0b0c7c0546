# Two commands: `make demo` and `make test`. Both make .venv from the pins in constraints.txt first.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests

.PHONY: demo test test-all browser-test benchmarks lint types imports check pins clean

demo: .venv/ready
	$(BIN)/cellwright demo

test: .venv/ready
	$(BIN)/python -m pytest -n auto $(TESTS) -m "not slow and not browser"

test-all: .venv/ready
	$(BIN)/python -m pytest -n auto $(TESTS) -m "not browser"

browser-test: .venv/ready
	$(BIN)/python -m pytest tests/browser -m browser

# Beside the peer, in an environment of its own that the first run makes; hours. benchmarks/README.md has the quick ones.
benchmarks: .venv/ready
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/scaling.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

imports: .venv/ready
	$(BIN)/lint-imports

check: lint types imports test

# uv installs in seconds what pip does in a minute; pip remains where uv cannot be had.
# A wheel folder that pip's settings name (a CPU build of torch, for example) is shown to uv as well.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "cellwright needs Python 3.11 or later; $(PYTHON) is `$(PYTHON) -V 2>&1`. Use: make PYTHON=python3.12 demo" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@links="$${PIP_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null || true)}"; \
	if $(BIN)/python -m pip install --quiet uv; then \
	  UV_FIND_LINKS="$${UV_FIND_LINKS:-$$links}" VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet -c constraints.txt -e '.[leiden]' --group dev; \
	else \
	  $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
	  $(BIN)/python -m pip install --no-compile -c constraints.txt -e '.[leiden]' --group dev; \
	fi
	@touch $@

# One file for Python 3.11 to 3.13 and all systems. Find-links are hidden, so that no local build gets into the pins.
pins: .venv/ready
	echo 'torch==2.13.0' | env -u UV_FIND_LINKS -u PIP_FIND_LINKS $(BIN)/uv pip compile --universal --python-version 3.11 \
	  pyproject.toml --all-extras --group dev --constraint - -o constraints.txt --no-header --no-annotate --upgrade

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
