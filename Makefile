PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test slow lint bench

# installs, runs the quick study, prints its table and where it lies
demo: .venv/installed
	$(BIN)/ganablate run quick
	$(BIN)/ganablate report quick

# installs, runs the tests
test: .venv/installed
	$(BIN)/pytest -q

slow: .venv/installed
	$(BIN)/pytest -q -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/python benchmarks/aw_step.py
	$(BIN)/python benchmarks/store_scale.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[all,dev]"
	touch $@
