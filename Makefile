# `make demo` and `make test` set themselves up: a .venv here, nothing outside it but caches.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt
# Three on two processors: many a test waits for a process, or for time to pass.
WORKERS ?= 3

# Some three hundred tests start a Python of their own: none of them compiles what another has compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-django test test-all check lint types instructions bench docs pictures clean constraints

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llmobs needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.demo: $(BIN)/uv pyproject.toml constraints.txt
	@echo "Installing llmobs and what the demo needs ..."
	@$(UV) --editable '.[all]' --group demo
	@touch $@

$(VENV)/.demo-django: $(VENV)/.demo
	@$(UV) --editable '.[all,django]' --group demo-django
	@touch $@

$(VENV)/.dev: $(BIN)/uv pyproject.toml constraints.txt
	@echo "Installing llmobs and what its tests need ..."
	@$(UV) --editable '.[all]' --group dev
	@touch $(VENV)/.demo $(VENV)/.demo-django $@

demo: $(VENV)/.demo ## Run a chat app for half a minute, kill it, show that nothing was lost; VIEW=1: then in a browser
	@$(BIN)/python -m example_apps.fastapi_chat.demo $(if $(VIEW),--view)

demo-django: $(VENV)/.demo-django ## The same for a Django site with a Celery worker
	@$(BIN)/python -m example_apps.django_chat.demo

test: $(VENV)/.dev ## Run the tests of the core; of one room: make test ARGS=tests/cli
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not beyond" $(ARGS)

test-all: $(VENV)/.dev ## Run the tests beyond the core: brokers of their own, outages, other languages
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m beyond $(ARGS)

check: lint types instructions ## Lint, types, and what capture costs its caller in instructions

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev
	@$(BIN)/mypy
	@$(BIN)/pyright

instructions: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.instructions

bench: $(VENV)/.dev ## Measure against the budgets and beside peers (quiet machine, about half an hour)
	@$(BIN)/python -m benchmarks

pictures: $(VENV)/.dev ## Take the pictures of the viewer in docs/pictures with Chromium
	@$(BIN)/python -m docs.pictures

constraints: $(BIN)/uv ## Pin today's versions
	@$(BIN)/uv pip compile --quiet --upgrade --universal --no-emit-index-url --no-header --extra all --group dev pyproject.toml -o constraints.txt

clean: ## Remove what these commands made
	@rm -rf $(VENV) .cache .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
