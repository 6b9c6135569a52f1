# The two commands to know: `make demo` and `make test`. Both set up .venv first and are quick the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHELL := /bin/bash
# Test processes: most tests wait for other processes, so more than there are cores.
JOBS ?= 4
# Neighbours go to the same process, so that they share what their module sets up.
SPREAD := -n $(JOBS) --dist worksteal -q

.DEFAULT_GOAL := help
.PHONY: help setup wheel demo generate format check test test-ha quick fast test-comfyui clean
.PHONY: bench-client bench-comfyui bench-contracts bench-files bench-gateway bench-imports bench-stalls bench-worker

help: ## Lists the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Creates .venv with everything in it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=…" >&2; exit 1; }
	@echo "setting up $(VENV); the first time takes a minute or two" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' -c constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e '.[all]'
	@touch $@

wheel: $(READY) ## Builds the wheel, and puts it beside each example's Dockerfile
	@rm -rf build/images && $(BIN)/python -m build --wheel --no-isolation --outdir build/images . > /dev/null
	@for folder in examples/*/; do rm -f $$folder*.whl; cp build/images/*.whl $$folder; done
	@echo "docker build --build-arg NOVITA_GPUS=./$$(basename build/images/*.whl) -t comfyui-worker examples/comfyui-worker"

demo: $(READY) ## One job from client to worker and back, on this machine
	@$(BIN)/novita-gpus dev examples/sleep-worker/handler.py --input '{"seconds": 2}'

generate: $(READY) ## Writes all generated code: from the protos, the sync client from the async one, and the worker's options
	@$(BIN)/python -m novita_codegen generate proto --out generated
	@$(BIN)/python -m novita_codegen generate examples/typed-worker/proto --out examples/typed-worker
	@$(BIN)/python -m tools.twins
	@$(BIN)/python -m tools.worker_options

format: $(READY) ## Formats protos and Python
	@$(BIN)/buf format -w
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

check: $(READY) ## Everything but the test suite
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/check.py

# Most tests run against the built wheel with the sources out of reach; the rest needs the checkout or its environment.
test: check ## Everything that CI checks
	@$(BIN)/python tests/wheel.py $(SPREAD)
	@$(BIN)/pytest $(SPREAD) -m 'sources or venv'

test-ha: $(READY) ## Several gateways on databases that fail: Patroni and etcd where they are at hand, else a pair of servers
	@$(BIN)/pytest -n 2 --dist worksteal -q -m ha

quick: $(READY) ## The test suite against the sources, while you work on them
	@$(BIN)/pytest $(SPREAD) -m 'not venv and not ha'

fast: $(READY) ## The tests without sockets and processes, in a few seconds
	@$(BIN)/pytest -n 2 --dist worksteal -q -m core

bench-client: $(READY) ## Submitting, waiting and batches, beside both published packages
	@$(BIN)/python bench/client.py

bench-comfyui: $(READY) ## The ComfyUI worker: what it adds to a job, what 500 jobs leave, what a hang costs
	@$(BIN)/python bench/comfyui.py

bench-contracts: $(READY) ## What a typed contract costs, beside json, pydantic and json_format
	@$(BIN)/python bench/contracts.py

test-comfyui: $(READY) ## The ComfyUI worker on a real ComfyUI: COMFYUI_TEST_DIR=… COMFYUI_TEST_PYTHON=…
	@test -n "$$COMFYUI_TEST_DIR" || { echo "git clone --depth 1 --branch v0.3.64 https://github.com/comfyanonymous/ComfyUI && python3 -m venv comfy-venv && comfy-venv/bin/pip install -r ComfyUI/requirements.txt requests && make test-comfyui COMFYUI_TEST_DIR=\$$PWD/ComfyUI COMFYUI_TEST_PYTHON=\$$PWD/comfy-venv/bin/python" >&2; exit 1; }
	@$(BIN)/pytest -n 0 tests/comfyui

bench-imports: $(READY) ## What importing costs, beside the published package
	@$(BIN)/python bench/imports.py

bench-files: $(READY) ## Uploads and downloads, beside bare boto3 and the published package
	@$(BIN)/python bench/files.py

bench-gateway: $(READY) ## The gateway, beside a bare HTTP server that answers constants; STORE=sqlite,postgres: its stores
	@$(BIN)/python bench/gateway.py $(if $(STORE),--store $(STORE))

bench-stalls: $(READY) ## How long commands over a million jobs hold the gateway up
	@$(BIN)/python bench/stalls.py

bench-worker: $(READY) ## Workers: throughput, idle gap, memory, beside both published packages and a bare loop
	@$(BIN)/python bench/worker.py

clean: ## Removes what the commands made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .tmp
