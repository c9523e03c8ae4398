# The commands of the README, and what CI calls. Nothing that is done already is done again.
PYTHON ?= python3
# Empty: the newest releases that pyproject.toml allows.
CONSTRAINTS ?= --constraint constraints.txt
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test check docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --editable '.[test]'
	touch $(STAMP)

demo: setup
	$(BIN)/workbench run studies/digits.yaml
	$(BIN)/workbench confirm studies/digits.yaml --yes
	$(BIN)/workbench report digits
	@echo "Browse every trial: $(BIN)/workbench ui digits, and open the address that it prints"

test: setup
	$(BIN)/python -m pytest -n auto

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Builds the documentation site into build/site, in an environment of its own.
docs:
	test -x .cache/docs/bin/mkdocs || { $(PYTHON) -m venv .cache/docs && .cache/docs/bin/python -m pip install --quiet \
		"mkdocs-material>=9.8,<10" "mkdocs-jupyter>=0.26"; }
	NO_MKDOCS_2_WARNING=1 .cache/docs/bin/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
