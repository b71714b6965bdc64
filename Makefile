# Pentad's verbs; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
# What torch and ONNX Runtime compute on: auto, cpu or cuda (requirements/install.py).
DEVICE ?= auto
BIN := $(VENV)/bin
# Processes that `make test` runs the tests in; servers are not shared between them.
TEST_WORKERS ?= 2
PY := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help run triton gateway models dashboard check test lint types perf load bench bench-check lock clean env env-test browser promtool postgresql namespaces test-long test-netns test-containers containers-env client-env stock-client-env openapi vlm-env test-vlm gpu-check gpu-check-env supply-env sbom audit licences docs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env:
	@$(PYTHON) requirements/install.py --device $(DEVICE) $(VENV) runtime

env-test:
	@$(PYTHON) requirements/install.py --device $(DEVICE) $(VENV) runtime test

browser:
	@$(PYTHON) requirements/chromium.py

promtool:
	@$(PYTHON) requirements/debian.py promtool var/tools

postgresql:
	@$(PYTHON) requirements/debian.py postgresql

namespaces:
	@$(PYTHON) requirements/debian.py namespaces

run: env models dashboard ## set up, export models, start Triton and the gateway, print the URLs
	@exec $(PY) -m launcher run

triton: env models ## start only Triton
	@exec $(PY) -m launcher triton

gateway: env dashboard ## start only the gateway (against triton.url)
	@exec $(PY) -m gateway serve

models: env ## download weights and export the models of the enabled services
	@$(PY) -m export

dashboard: env ## build the dashboard that the gateway serves at /
	@$(PYTHON) requirements/dashboard.py $(VENV)

docs: ## build the guide that the gateway serves at /docs/guide (strict: no dead link)
	@$(PYTHON) requirements/install.py .venv-docs docs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet

check: env ## check this machine and the configuration
	@$(PY) -m gateway config --check
	@$(PY) -m launcher check

test: env-test models dashboard browser promtool ## run the test suite
	@$(PYTHON) requirements/dashboard.py $(VENV) test
	@$(PY) -m pytest -m "not long" -n $(TEST_WORKERS) $(PYTEST_ARGS)

test-long: env-test models dashboard postgresql namespaces client-env stock-client-env gpu-check-env ## crashes, floods, other engines than the default ones, clients
	@$(PY) -m pytest -m long $(PYTEST_ARGS)

test-netns: env-test models postgresql namespaces ## networks that break, in network namespaces (root)
	@$(PY) -m pytest tests/netns $(PYTEST_ARGS)

client-env: env ## the environment of the tests of clients and their generators (.venv-clients)
	@$(PYTHON) requirements/install.py .venv-clients clients

stock-client-env: env-test ## the clients that people already use (.venv-stock-clients)
	@$(PYTHON) requirements/stock_clients.py .venv-stock-clients $(VENV)

openapi: env ## regenerate dashboard/openapi.json, which the dashboard's types are made of
	@$(PY) -m gateway openapi --defaults > var/openapi.json && mv var/openapi.json dashboard/openapi.json

containers-env:
	@$(PYTHON) requirements/containers.py

# Without xdist: one stack for all of them, and what they say is for whoever reads the output.
test-containers: env-test dashboard browser containers-env ## build the images without Docker, run compose.cpu.yaml (root, Debian, 15 GB)
	@$(PY) -m pytest tests/containers -p no:randomly -o timeout=3600 $(PYTEST_ARGS)

vlm-env: ## the environment of the vision-language model (.venv-vlm)
	@$(PYTHON) requirements/vlm.py .venv-vlm $(DEVICE)

test-vlm: env-test vlm-env ## the vision-language model's tests, with vLLM on this machine's CPU
	@$(PY) -m pytest tests/vlm $(PYTEST_ARGS)

lint: env-test ## ruff and mypy --strict; the dashboard's types and style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory types
	@$(PYTHON) requirements/dashboard.py $(VENV) check

# Model by model, each with its own path, as Triton runs them: all have a `model`, and may have other
# modules of one name.
types: ## mypy --strict
	@$(BIN)/mypy
	@for code in model_repository/*/1/model.py; do \
		MYPYPATH=$${code%/model.py} $(BIN)/mypy --no-error-summary $${code%/model.py} || exit; done

# With what is there: it needs no network, and the machine's own Python may have torch for its GPU.
gpu-check: ## is it right, and how fast, on the GPU at hand? (docs/operations/gpu.md)
	@python=$(PY); test -x $$python || python=$(PYTHON); $$python -m tests.gpu.check $(GPU_CHECK_ARGS)

gpu-check-env: ## the environment of the test of that check (.venv-gpu-check)
	@$(PYTHON) requirements/install.py .venv-gpu-check gpu-check

perf: env models ## perf_analyzer against a running Triton
	@$(PY) -m load_tests.perf

load: env ## locust against a running gateway, with thresholds
	@$(PYTHON) requirements/install.py .venv-load load
	@$(PY) -m load_tests.locust_run

bench: env-test models ## compare with the peers, all on this machine in one run
	@$(PYTHON) -m load_tests.peers.setup
	@$(PY) -m load_tests.bench $(BENCH_ARGS)

bench-check: env-test models ## a short bench against the committed ratios (load_tests/ratios.yaml)
	@$(PYTHON) -m load_tests.peers.setup
	@$(PY) -m load_tests.bench_check $(BENCH_ARGS)

lock: ## regenerate requirements/*.lock (needs uv)
	@$(PYTHON) requirements/lock.py
	@$(PY) docker/locks.py
	@$(PY) -m supply licences

supply-env: env
	@$(PYTHON) requirements/install.py .venv-supply supply

sbom: supply-env ## write var/sbom/pentad.cdx.json (CycloneDX)
	@$(PY) -m supply sbom var/sbom/pentad.cdx.json --tool .venv-supply/bin/cyclonedx-py

audit: supply-env ## report known vulnerabilities (pip-audit, npm audit); never fails on them
	@$(PY) -m supply audit --tool .venv-supply/bin/pip-audit

licences: env ## regenerate docs/operations/licences.md
	@$(PY) -m supply licences

clean: ## remove environments, caches and exported models
	rm -rf .venv .venv-* var dashboard/node_modules dashboard/dist
	git clean -fdXq model_repository
