# `make demo` and `make test` are all a visitor needs; each target installs what it calls into .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check -qq install --prefer-binary -c constraints.txt
# Two processes for two cores; a file stays in one, for fixtures that take seconds. One that crashes is not started
# again: it would meet the same test.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0

# One stamp for each set of packages: they are installed again only when a list of packages changed.
RUNTIME := $(VENV)/.installed-runtime
TESTING := $(VENV)/.installed-test
ALL := $(VENV)/.installed-all
LISTS := pyproject.toml constraints.txt

.PHONY: help setup demo test test-all lint docs
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(ALL) ## the virtual environment .venv with everything in it

demo: $(RUNTIME) ## distil MovieLens-100k into 50 sequences and compare: runs/demo
	$(BIN)/farzi distill ml-100k --config recipes/demo.yaml -o runs/demo --resume
	$(BIN)/farzi evaluate runs/demo

test: $(TESTING) ## the tests that fit into some minutes
	$(PYTEST)

test-all: $(TESTING) ## every test, the slow ones too
	$(PYTEST) -m ''

lint: $(ALL) docs ## format, lint, types, and the strict build of the documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

docs: $(ALL) ## the documentation, warnings are errors: docs/_build/html/index.html
	$(BIN)/python -m sphinx -W --keep-going --quiet docs docs/_build/html

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "farzi needs Python 3.11 or newer, and there is no $(PYTHON) here: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "farzi needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1): make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(LISTS) | $(BIN)/python
	$(PIP_INSTALL) -e .
	@touch $@

$(TESTING): $(LISTS) | $(BIN)/python
	$(PIP_INSTALL) -e '.[test]'
	@touch $(RUNTIME) $@

$(ALL): $(LISTS) | $(BIN)/python
	$(PIP_INSTALL) -e '.[test,lint,docs]'
	@touch $(RUNTIME) $(TESTING) $@
