# The two commands of the README set everything up by themselves: `make serve` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Present, and newer than what it is made from, when everything is installed and the compiled modules are built.
INSTALLED := $(VENV)/.installed
COMPILED := $(wildcard dnsbl_server/*.pyx dnsbl_server/*.pxd)

.PHONY: serve test e2e check lint types format clean help

help:  ## Show these targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(INSTALLED)  ## Run the server on the sample zones
	$(BIN)/dnsbl-server serve zones

test: $(INSTALLED)  ## Run the tests
	$(BIN)/python -m pytest

e2e: $(INSTALLED)  ## Run the end-to-end tests; needs root, and the Debian packages in e2e/packages
	e2e/run

check: lint types  ## Run what is checked besides the tests

lint: $(INSTALLED)  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## Check types
	$(BIN)/mypy

format: $(INSTALLED)  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove what was installed and cached
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f dnsbl_server/*.c dnsbl_server/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml setup.py $(COMPILED)
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; say which with make PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
