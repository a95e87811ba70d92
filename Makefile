# The two commands of the README, and the ones a developer uses. Everything lives in .venv; nothing else is touched.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests mostly wait for processes they have started, and the longest ones are alone at the end.
WORKERS ?= 4
COVERED := job plan playbook results
# Where it is set, every process of a test compiles every module that it imports: a third of the tests' CPU time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fast coverage lint packages setup check-python bench clean

demo: setup  ## set up and run the quickstart on this machine
	"$(BIN)/benchhub" run examples/quickstart/job.yml

# What fails beside other tests gets one more try, alone and told: a machine that is too busy is no defect of the
# program. What fails twice is one.
test: setup-dev packages  ## set up and pass all tests
	@"$(BIN)/python" -m pytest -n $(WORKERS) --dist worksteal || { code=$$?; [ $$code -eq 1 ] || exit $$code; \
	  echo "make test: the tests that failed beside others are tried once more, alone" >&2; \
	  "$(BIN)/python" -m pytest --last-failed --last-failed-no-failures none; }

fast: setup-dev  ## the tests that start no run and no node
	"$(BIN)/python" -m pytest -n $(WORKERS) --dist worksteal -m 'not real'

# Without what hypothesis makes up: it repeats, much slower when it is measured, what the examples have covered.
coverage: setup-dev  ## branch coverage of what reads, plans, compiles and judges: 90 % at least
	"$(BIN)/python" -m pytest -q -n auto -m 'not real and not hypothesis' $(COVERED:%=tests/unit/%) tests/golden $(COVERED:%=--cov=benchhub_ansible.%) \
	  --cov-branch --cov-report=term:skip-covered --cov-fail-under=90

lint: setup-dev  ## formatting, lint, types, layers
	"$(BIN)/ruff" format --check .
	"$(BIN)/ruff" check .
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"

packages:  ## the Debian packages that the tests need; only root installs them
	@sh tests/packages.sh

setup: check-python $(VENV)/.installed

setup-dev: check-python $(VENV)/.installed-dev

check-python:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "python3 is missing: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $$("$(PYTHON)" --version) was found: set PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing: install it (Debian: apt-get install python3-venv)" >&2; exit 1; }

$(VENV)/.installed: pyproject.toml
	@test -x "$(BIN)/python" || "$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable .
	@touch "$@"

# pip reads dependency groups from version 25.1 on
$(VENV)/.installed-dev: pyproject.toml
	@test -x "$(BIN)/python" || "$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch "$@" "$(VENV)/.installed"

bench: setup-dev  ## the measurements of docs/explanation/overhead.md
	"$(BIN)/python" bench/overhead.py

clean:
	rm -rf "$(VENV)" .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
