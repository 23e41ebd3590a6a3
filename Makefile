PYTHON ?= python3
BIN = .venv/bin
TWO_WORKERS = -n 2 --dist loadgroup --no-loadscope-reorder

.PHONY: demo test test-fast slow lint docs bench bench-sweep

# installs, runs the quick study, prints its table and where it lies
demo: .venv/installed
	$(BIN)/ganablate run quick
	$(BIN)/ganablate report quick

# installs, runs the tests
test: .venv/installed
	$(BIN)/pytest -q $(TWO_WORKERS)

# those without Ray and processes of their own, and that take no seconds
test-fast: .venv/installed
	$(BIN)/pytest -q $(TWO_WORKERS) -m "not slow and not ray and not process and not long"

# those that take longer, and properties on more examples
slow: .venv/installed
	$(BIN)/pytest -q -m "slow or hypothesis" --hypothesis-profile thorough

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# the site of docs/, in site/; the notebook is run
docs: .venv/docs
	$(BIN)/python tools/make_docs.py

# the tables of docs/performance.md but for a sweep's, in a quarter of an hour
bench: .venv/installed
	$(BIN)/python benchmarks/launches.py
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/store_scale.py

# wall time of a sweep beside that of plain processes which make the same runs
bench-sweep: .venv/installed
	$(BIN)/python benchmarks/sweeps.py

.venv/installed: pyproject.toml constraints.txt CITATION.cff
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[all,dev]"
	touch $@

.venv/docs: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	touch $@
