# The environment is .venv; every target sets up what it needs. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-compiled lint format local stage audit fuzz chaos rehearsal pulumi clean \
        benchmark-workflows benchmark-pipeline benchmark-functions benchmark-batches

help:            ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1  /p' $(MAKEFILE_LIST) | column -t -l 2 2>/dev/null || grep '##' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv and install everything (once)

$(READY): requirements.txt $(wildcard functions/*/requirements.txt) gpu_service/requirements.txt emulator/requirements.txt
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): PyTorch, transformers, Prophet, Google's clients (a few minutes, once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 setup")'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

demo: setup      ## send samples/ through the whole local pipeline and print what came out
	@$(RUN) -m samples.demo

local: setup     ## bring the whole pipeline up on loopback and print how to use it
	@$(RUN) -m emulator

test: setup      ## run the tests (a few minutes)
	@$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup      ## ruff, format check, mypy strict, the workflow's static check
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@for main in functions/*/main.py; do $(VENV)/bin/mypy --no-error-summary $$main || exit 1; done
	@$(RUN) -m emulator.workflows check workflow.yaml

format:          ## let ruff format the code
	@$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .

.PHONY: mutation
mutation: setup  ## plant faults in the modules of tests/mutation/modules.toml, or in MODULE=name (hours)
	@$(RUN) tests/mutation/run.py $(MODULE)

stage: setup     ## lay each function's deployable source in build/functions/
	@$(RUN) deploy/stage.py

benchmark-workflows: setup  ## executions at once, overhead per step, beside PyPI's workflows-emulator
	@test -x .peers/workflows-emulator/bin/python || $(PYTHON) -m venv .peers/workflows-emulator
	@.peers/workflows-emulator/bin/pip install --quiet workflows-emulator==1.10.0
	@$(RUN) -m benchmarks.workflows.run --peer .peers/workflows-emulator/bin/python

benchmark-pipeline: setup   ## latency by hop, inputs per second, storage requests per input
	@$(RUN) -m benchmarks.pipeline.run

benchmark-functions: setup  ## process start to first answered event, beside an empty function
	@$(RUN) -m benchmarks.functions.run --own-environments

benchmark-batches: setup    ## 200,000 rows of a CSV, beside a plain transformers pipeline and Ray Data
	@$(RUN) -m benchmarks.batches.run --save

audit: setup     ## compare every installed package with the published advisories (needs pypi.org)
	@mkdir -p build
	@$(RUN) -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' > build/audit.txt
	@$(VENV)/bin/pip-audit -r build/audit.txt --no-deps --disable-pip --strict --progress-spinner off || { \
		echo "audit: a package has an advisory (above), or pypi.org's advisories could not be read; nothing is shown to be safe" >&2; exit 1; }

test-compiled: setup  ## compiled models against plain ones (needs a C++ compiler)
	@$(RUN) -m pytest -m compiler tests/gpu_service

fuzz: setup      ## 5,000 random inputs to each of the fuzz tests (long)
	@FUZZ_EXAMPLES=5000 $(RUN) -m pytest -n 2 --timeout=3600 tests/fuzz

chaos: setup     ## thousands of uploads while everything is killed, delayed, duplicated (long)
	@$(RUN) -m pytest -m chaos -s tests/chaos

rehearsal: setup ## deploy, examine and destroy a project with the real gcloud against a stand-in (long)
	@$(RUN) -m pytest -m rehearsal tests/deploy

pulumi: setup    ## the Pulumi program under Pulumi's mocks (400 MB, once)
	@test -x .venv-pulumi/bin/python || $(PYTHON) -m venv .venv-pulumi
	@.venv-pulumi/bin/pip install --quiet --disable-pip-version-check -r deploy/pulumi/requirements.txt
	@$(RUN) -m pytest -m pulumi tests/deploy/test_pulumi.py

clean:           ## remove the environment, local state and build output
	rm -rf $(VENV) .venv-pulumi .local build
