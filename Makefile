# Everything that is done with this project from a shell. `make help` lists it.
#
# The environment is built once, from locked versions; a stamp file keeps later runs fast and offline.

.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The first Python ≥ 3.11 here that can make an environment; `make PYTHON=…` names another.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST_ARGS ?=
BENCH_ARGS ?=
PEERS ?=

.PHONY: help setup demo test check up bench bench-peers peers counterparts test-counterparts format lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/run.stamp ## build .venv with what running needs

demo: $(VENV)/run.stamp ## replay real purchases through the whole engine, count what arrives, write a report
	$(BIN)/wayfare demo

test: $(VENV)/test.stamp ## run the whole default test suite, against real servers that it starts itself
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/test.stamp ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

up: $(VENV)/run.stamp ## start a deployment on this machine, state in .wayfare/
	$(BIN)/wayfare up

bench: $(VENV)/run.stamp ## run the benchmark suite; results go to benchmarks/results/
	$(BIN)/wayfare bench $(BENCH_ARGS)

bench-peers: $(VENV)/run.stamp ## run the same work on us, the peers that are installed, and without any engine; PEERS="celery; by hand" for some
	WAYFARE_BENCH_PEERS="$(PEERS)" $(BIN)/wayfare bench peers $(BENCH_ARGS)

peers: ## install the peers that bench-peers runs, in environments of their own; PEERS="celery dbos" for some
	PYTHON="$(PYTHON)" bash ops/peers.sh $(PEERS)

counterparts: ## install the servers that the integration tests talk to
	PYTHON="$(PYTHON)" bash ops/counterparts.sh

test-counterparts: $(VENV)/test.stamp ## run the tests against real counterparts, and write README's table of what they prove
	$(BIN)/python -m pytest -p tests.counterparts.table tests/counterparts $(PYTEST_ARGS)

format: $(VENV)/test.stamp ## format, and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## write requirements/*.txt anew from pyproject.toml
	bash ops/lock.sh "$(PYTHON)"

clean: ## remove the environment, caches and local state
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .wayfare build ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python ≥ 3.11 with venv was found (on Debian: apt-get install python3 python3-venv)." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# Bytecode is left to the first import: compiling all of Ray would take longer than the demo.
$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "installing what running needs into $(VENV) (about half a minute, once)"
	$(PIP) install --no-compile -r requirements/run.txt
	$(PIP) install --no-compile --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test.stamp: requirements/test.txt $(VENV)/run.stamp
	@echo "installing what testing needs into $(VENV)"
	$(PIP) install --no-compile -r requirements/test.txt
	@touch $@
