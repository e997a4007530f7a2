# make demo   install into .venv, audit the sample images, print the path of the PDF
# make test   install with the test tools, then every check that CI runs
# make lint   formatting, lint, types and structure only
# make coverage   after `make test`: the lines that no test reached
# make clean  remove everything that these commands made
#
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

MODEL := models/isic2018-efficientnet-lite0
DEMO := runs/demo

MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: demo test lint check-torchvision coverage clean

demo: $(VENV)/installed check-torchvision
	@$(BIN)/skinaudit audit $(MODEL) sample_data --preset quick --interpreters cam,grad,rts,mask-fast --out $(DEMO)

test: $(VENV)/installed-dev check-torchvision lint
	@$(BIN)/python -m pytest tests skinaudit -n 2 --dist loadscope --doctest-modules --cov --cov-report= --cov-fail-under=90
	@SKINAUDIT="$(CURDIR)/$(BIN)/skinaudit" bash .ci/first_run $(MODEL) sample_data

lint: $(VENV)/installed-dev
	@$(BIN)/ruff format --check --quiet . || { echo "Formatting differs; run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > $(VENV)/lint-imports.txt || { cat $(VENV)/lint-imports.txt >&2; exit 1; }
	@$(BIN)/python .ci/private_imports.py

# A torch and a torchvision that do not belong together install without complaint and fail only here.
check-torchvision: | $(BIN)/python
	@$(BIN)/python -c "import torchvision" || { \
	  echo "torchvision does not import. torch and torchvision must be of matching releases (2.10 and 0.25, 2.11 and" >&2; \
	  echo "0.26, …): remove $(VENV) with 'make clean' and run make again, so that both are installed together." >&2; \
	  exit 1; }

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { \
	  echo "skinaudit needs Python 3.11 or newer, and there is no '$(PYTHON)'. Name one: make PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	  echo "skinaudit needs Python 3.11 or newer, and '$(PYTHON)' is not that. Name another: make PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "No virtual environment could be made. On Debian and Ubuntu the package python3-venv is needed." >&2; \
	  exit 1; }

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV), once: PyTorch makes it several gigabytes."
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) with the test tools, once: PyTorch makes it several gigabytes."
	@$(PIP) --editable ".[dev]"
	@touch $(VENV)/installed $@

coverage: $(VENV)/installed-dev
	@$(BIN)/coverage report

clean:
	@rm -rf $(VENV) $(DEMO) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
