#   make PYTHON=python3.12 ...            another interpreter for .venv
#   make FAISS=gpu ...                    faiss-gpu instead of faiss-cpu
#   make PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" ...   any further options of pip
#   make AUDIT_ARGS="-s osv" audit        another source of advisories than PyPI
#   make WORKERS=0 test                   the tests in one process
PYTHON ?= python3
FAISS ?= cpu
PIP_ARGS ?=
WORKERS ?= logical
VENV := .venv
BIN := $(VENV)/bin
# One set of extras for every target but docs, so that nothing is installed, or downgraded, between demo and test.
EXTRAS := $(FAISS),demo,distill,lora,report,serve,dev
STAMP := $(VENV)/installed-$(FAISS)
DOCS_STAMP := $(VENV)/installed-docs
SLOW_STAMP := $(VENV)/installed-slow
# pip compiles file after file on one core, which is a good part of its time: all cores do it afterwards. Templates
# and files of other Pythons do not compile, which is no fault; pip says nothing of them either.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile $(PIP_ARGS) -c constraints.txt
COMPILE := @$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
# Every worker imports torch and may start four processes that play ranks: more than four are not worth their memory.
# The order of files is that of tests/conftest.py, the longest first, not by their number of tests.
# Bytecode is kept even where the user asks for none: each process that a test starts would compile it all again.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(WORKERS) --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
# Types are those of the oldest Python (mypy's own setting). numpy for Python 3.12 and later has annotations for these alone.
TYPES_OF := import sys; sys.version_info >= (3, 12) and print("--python-version=3.12")

.DEFAULT_GOAL := help
.PHONY: help install demo test thorough slow check format docs audit clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s%s\n", $$1, $$2}' Makefile
	@echo
	@sed -n 's/^#   make /  make /p' Makefile

install: $(STAMP)  ## .venv with this package, editable, and what its tests need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or later is needed, this is " + sys.version.split()[0] + ": make PYTHON=..." if sys.version_info < (3, 10) else 0)'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[$(EXTRAS)]"
	$(COMPILE)
	@rm -f $(VENV)/installed-* && touch $@

$(DOCS_STAMP): $(STAMP)
	$(PIP) -e ".[docs]"
	$(COMPILE)
	@touch $@

$(SLOW_STAMP): $(STAMP)
	$(PIP) -e ".[slow]"
	$(COMPILE)
	@touch $@

demo: $(STAMP)  ## data, training, evaluation and a search, in minutes
	$(BIN)/xmc demo

test: $(STAMP)  ## the default tests, on all cores up to four
	$(PYTEST)

thorough: $(STAMP)  ## those that take seconds each: whole runs, simulations, several processes
	$(PYTEST) -m "thorough and not slow"

slow: $(SLOW_STAMP)  ## the tests that take minutes each, one after another: some measure time and memory
	$(BIN)/python -m pytest -q -m slow

check: $(STAMP)  ## lint, format and types, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPY_NUM_WORKERS=auto $(BIN)/mypy $$($(BIN)/python -c '$(TYPES_OF)')

format: $(STAMP)  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_STAMP)  ## the pages of docs/ as a site in site/; a broken link stops it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

audit: $(STAMP)  ## known vulnerabilities of what is installed, as PyPI tells them
	@test -x $(VENV)-audit/bin/pip-audit || { $(PYTHON) -m venv $(VENV)-audit && $(VENV)-audit/bin/python -m pip install -q $(PIP_ARGS) pip-audit; }
	$(VENV)-audit/bin/pip-audit --path $(VENV)/lib/python*/site-packages $(AUDIT_ARGS)

clean:  ## remove .venv, caches and what was built
	rm -rf $(VENV) $(VENV)-audit build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
