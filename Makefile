# make demo | make test | make check | make slow | make clean
#   make PYTHON=python3.12 ...            another interpreter for .venv
#   make FAISS=gpu ...                    faiss-gpu instead of faiss-cpu
#   make PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" ...   any further options of pip
PYTHON ?= python3
FAISS ?= cpu
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# One set of extras for every target, so that nothing is installed, or downgraded, between demo and test.
EXTRAS := $(FAISS),demo,distill,report,dev
STAMP := $(VENV)/installed-$(FAISS)

.PHONY: install demo test check slow clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or later is needed, this is " + sys.version.split()[0] + ": make PYTHON=..." if sys.version_info < (3, 10) else 0)'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[$(EXTRAS)]"
	@rm -f $(VENV)/installed-* && touch $@

demo: $(STAMP)
	$(BIN)/python scripts/demo.py

test: $(STAMP)
	$(BIN)/python -m pytest -q

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
