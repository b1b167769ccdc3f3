# Two commands are all anybody needs: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)

.DEFAULT_GOAL := help
.PHONY: help demo browser test check audit bench soak picture screens clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */  make \1\t/' | expand -t 14

# A plain Debian or Ubuntu has python3 without ensurepip, which its package python3-venv brings.
# torch comes from the pin before anything that depends on it: asked for by another package, it is the CUDA build.
$(BIN)/ready: pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Nightlight needs Python 3.11 or newer; try make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -q -y python3-venv; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Debian's chromium, for what has to be seen in a browser. Where apt cannot bring it, the tests say so and are skipped.
browser:
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && $(SUDO) apt-get update -q && $(SUDO) apt-get install -q -y chromium; } || echo "There is no chromium, and apt did not bring it."

demo: $(BIN)/ready  ## watch the bot work on a pretend Reddit, about a minute
	$(BIN)/nightlight demo

check: $(BIN)/ready  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy bot models prompts

# By file: what the tests of one file share is made once.
test: check browser  ## the checks, and every test but the slowest, two files at a time
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

audit: $(BIN)/ready  ## what is pinned, held against the known holes (asks an advisory service)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

bench: $(BIN)/ready  ## posts a second, start-up and memory, beside transformers.pipeline; then the page beside the live loop
	$(BIN)/python tests/bench.py
	$(BIN)/python -m tests.bench_page

soak: $(BIN)/ready  ## the slowest tests, 200 runs under faults and kill -9, then 100,000 posts; about 40 minutes
	$(BIN)/python -m pytest -m slow
	NIGHTLIGHT_FAULT_RUNS=200 $(BIN)/python -m pytest tests/faults
	$(BIN)/python -m tests.soak

picture: $(BIN)/ready browser  ## docs/demo.png, drawn anew
	$(BIN)/python tests/picture.py

screens: $(BIN)/ready browser  ## docs/page-*.png, the moderators' page drawn anew
	$(BIN)/python -m tests.screens

clean:  ## forget the virtual environment and what was built
	rm -rf $(VENV) build dist *.egg-info
