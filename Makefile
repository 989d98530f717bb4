# Tallybook: everything you can do here. `make` alone lists it. Needs Python 3.11 or later and make, nothing else.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PORT ?= 8080
demo: DATA ?= tallybook-demo
serve: DATA ?= data

.PHONY: help setup demo serve test check bench screenshots lock clean

help: ## list what can be done
	@echo "usage: make TARGET"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

setup: $(VENV)/.dev ## create .venv with everything locked (skipped while nothing changed)

demo: $(VENV)/.runtime ## run Tallybook with invented customers; DATA=folder PORT=number
	$(BIN)/tallybook demo --data "$(DATA)" --port "$(PORT)"

serve: $(VENV)/.runtime ## run Tallybook; DATA=folder PORT=number
	$(BIN)/tallybook serve --data "$(DATA)" --port "$(PORT)"

test: setup ## run all tests, and say what was left out; ARGS='-k window' for some
	@scripts/test $(ARGS)

check: setup ## run what must pass before a commit: lint, format, types, spelling, house rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m pytest -q -p no:randomly tests/house

bench: setup ## measure (long; BENCH_SCALE=small for a look); ARGS=ingest for some
	@scripts/bench $(ARGS)

screenshots: setup ## draw the README's pictures of the dashboard (needs a Chromium)
	@PYTHONPATH=src $(BIN)/python scripts/screenshots

lock: ## renew the locked requirements; ARGS=--upgrade takes newer versions
	@scripts/lock $(ARGS)

clean: ## remove what make built (never your data)
	rm -rf $(VENV) .venv-lock build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as new as the last install of what its lock asks for.
$(BIN)/python:
	@scripts/venv $(VENV)

$(VENV)/.runtime: $(BIN)/python requirements/runtime.txt requirements/build.txt pyproject.toml
	@echo "installing what Tallybook runs on (a quarter of a minute, the first time)"
	@$(PIP) install --quiet --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "installing what the tests and checks need (half a minute, the first time)"
	@$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@touch $@
