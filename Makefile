# Every target makes the checkout ready first (setup_hooks/bootstrap.py), which costs a moment when it is.
# PYTHON is the interpreter that .venv is made from; WORKERS the parallel test processes.
PYTHON ?= python3
WORKERS ?= 2
# On two cores: a part of the tests wait for servers to start. Browsers don't, so they are as many as cores.
TEST_WORKERS ?= 3
FUZZ_EXAMPLES ?= 100000
BROWSER_TESTS ?= tests
# Other Pythons than those on PATH, and what to run there.
MATRIX_PYTHONS ?=
MATRIX_TESTS ?= tests

PY := .venv/bin/python
PARALLEL := -n $(WORKERS)
# One worker a file: most of what the tests of one share is a process. In their order, as the longest come first.
BY_FILE := --dist loadfile --no-loadscope-reorder

# node may come from the Python wheel in .venv.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON
# Else each of the hundreds of processes that tests start would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help ready ready-lab ready-bench ready-check lab test test-python test-labextension e2e check \
  check-python check-labextension check-contracts check-workflows bench fuzz crash mutants matrix java compatibility docs dist clean

help: ## What can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 20

ready: ## The checkout for the tests: .venv, labextension, programs
	@$(PYTHON) setup_hooks/bootstrap.py --for test

ready-lab: ## The checkout for make lab
	@$(PYTHON) setup_hooks/bootstrap.py --for lab

ready-bench: ## The checkout for make bench
	@$(PYTHON) setup_hooks/bootstrap.py --for bench

ready-check: ## The checkout for make check: no programs from outside
	@$(PYTHON) setup_hooks/bootstrap.py --for check

lab: ready-lab ## JupyterLab on the first steps, with a demo database (CONNVAULT_LAB_ARGS: its arguments)
	@$(PY) setup_hooks/lab.py

# One after the other, each parallel in itself: two browsers beside two pytest workers are slower on two cores.
test: ready ## Every test: Python, notebooks (nbval), labextension, browser
	$(MAKE) test-python
	$(MAKE) test-labextension
	$(MAKE) e2e

test-python: ready ## The tests in Python, notebooks included
	$(PY) -m pytest -n $(TEST_WORKERS) $(BY_FILE) -m "not e2e and not bench and not fuzz"

test-labextension: ready-check ## The tests of the labextension
	cd labextension && npm test -- --reporter=default --reporter=json --outputFile.json=$(CURDIR)/build/vitest.json
	$(PY) setup_hooks/no_vitest_skips.py build/vitest.json

# A run of its own: Playwright's event loop and those of the asynchronous tests do not share a process.
e2e: ready ## The browser tests (screenshots of failures in build/e2e)
	$(PY) -m pytest $(PARALLEL) -m e2e $(BROWSER_TESTS)

check: ready-check ## Linters, types, the house, generated contracts and reference, workflows
	$(MAKE) --jobs=$(WORKERS) --keep-going --no-print-directory check-python check-labextension check-contracts check-workflows

check-python: ## What make check does for Python
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m pip check

check-labextension: ## What make check does for the labextension
	cd labextension && npm run --silent lint
	cd labextension && npx --no-install tsc --noEmit

check-contracts: ## Whether the generated contracts are up to date
	$(PY) -m setup_hooks.generate_contracts --check
	$(PY) -m setup_hooks.generate_reference --check

# Offline: what it can tell without asking the forge about each action.
check-workflows: ## What make check does for the workflow files
	.venv/bin/zizmor --offline --quiet --pedantic --strict-collection .github

bench: ready-bench ## Figures against their budgets (build/bench.json)
	$(PY) tests/bench/run.py

matrix: ready ## The tests on each Python here and on the oldest JupyterLab (MATRIX_PYTHONS, MATRIX_TESTS)
	$(PY) setup_hooks/matrix.py --workers $(WORKERS) --pythons $(MATRIX_PYTHONS) --tests $(MATRIX_TESTS)

java: ready ## A Java client on a handle's loopback port (needs a JDK and PostgreSQL's JDBC driver)
	$(PY) tests/java/run.py

fuzz: ready ## Long property and mutation runs (FUZZ_EXAMPLES=100000 each)
	CONNVAULT_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(PY) -m pytest $(PARALLEL) -m fuzz --timeout=3600

crash: ready ## A process killed at each write of moves, changes of keys and slots, and imports (build/crash.txt)
	rm -f build/crash.txt
	CONNVAULT_CRASH_POINTS=all $(PY) -m pytest $(PARALLEL) tests/faults/test_crash_points.py
	@sort -k2 build/crash.txt
	@awk '{ points += $$1 } END { print points, "points" }' build/crash.txt

# Not in CI: a whole run takes hours. At the lowest priority, since it is for a machine that does something else besides.
mutants: ready ## Whether a test notices small changes to what guards secrets (MUTANTS_ARGS=--sample=40 --seed=1)
	nice -n 19 $(PY) -m setup_hooks.mutants $(MUTANTS_ARGS)

compatibility: ready ## People's libraries, and drivers' own suites, through handles (COMPATIBILITY_ARGS=--only=...)
	$(PY) tests/compatibility/run.py $(COMPATIBILITY_ARGS)

docs: ready-check ## The documentation, in build/docs (docs/reference is written anew)
	$(PY) -m setup_hooks.generate_reference
	$(PY) -m sphinx -W --keep-going -q -b html -c docs . build/docs
	@echo build/docs/docs/index.html

dist: ready-check ## Wheel, source distribution and their bills of materials, in dist
	$(PY) setup_hooks/distribution.py

clean: ## Everything that was made here, .venv and node_modules included
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf labextension/node_modules labextension/lib connvault_jupyter/labextension
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
