# Pentad's verbs; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help run triton gateway models check test lint perf load bench lock clean env env-test ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env:
	@$(PYTHON) requirements/install.py $(VENV) runtime

env-test:
	@$(PYTHON) requirements/install.py $(VENV) runtime test

run: env models ## set up, export models, start Triton and the gateway, print the URLs
	@exec $(PY) -m embedded run

triton: env models ## start only Triton
	@exec $(PY) -m embedded triton

gateway: env ## start only the gateway (against triton.url)
	@exec $(PY) -m gateway serve

models: env ## download weights and export the models of the enabled services
	@$(PY) -m export

check: env ## check this machine and the configuration
	@$(PY) -m gateway config --check
	@$(PY) -m embedded check

test: env-test models ## run the whole test suite
	@$(PY) -m pytest $(PYTEST_ARGS)

lint: env-test ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

perf: env models ## perf_analyzer against a running Triton
	@$(PY) -m load_tests.perf

load: env ## locust against a running gateway, with thresholds
	@$(PYTHON) requirements/install.py .venv-load load
	@$(PY) -m load_tests.locust_run

bench: env-test models ## compare with the peers, all on this machine in one run
	@$(PYTHON) -m load_tests.peers.setup
	@$(PY) -m load_tests.bench $(BENCH_ARGS)

lock: ## regenerate requirements/*.lock (needs uv)
	@$(PYTHON) requirements/lock.py

clean: ## remove environments, caches and exported models
	rm -rf .venv .venv-* var
	git clean -fdXq model_repository
