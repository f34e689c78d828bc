# The environment is .venv; every target sets up what it needs. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
PULUMI := .venv-pulumi
KSERVE := .venv-kserve
VERTEX := .venv-vertex
CLIENTS := .venv-clients
# Four processes also on two cores, since tests often wait for services.
# With ORDER_SEED the tests run in random order, the same for the same seed.
TEST := $(RUN) -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(if $(ORDER_SEED),--random-order-bucket=module --random-order-seed=$(ORDER_SEED))
# The roots that functions import from.
ROOTS := functions$(subst $() ,,$(patsubst %/main.py,:%,$(wildcard functions/*/main.py)))

# Tests and demo start hundreds of processes, which would each compile every module.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-promotion local test test-long test-release test-compiled lint imports format stage audit fuzz chaos mutation rehearsal browser pulumi kserve vertex client-suites clean \
        capacity simulate-scale benchmark-workflows benchmark-pipeline benchmark-functions benchmark-batches benchmark-forecast benchmark-gpu

help:            ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1  /p' $(MAKEFILE_LIST) | column -t -l 2 2>/dev/null || grep '##' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv and install everything (once)

$(READY): requirements.txt pyproject.toml $(wildcard functions/*/requirements.txt) gpu_service/requirements.txt emulator/requirements.txt console/requirements.txt
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): PyTorch, transformers, Prophet, Google's clients (a few minutes, once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 setup")'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

demo: setup      ## send samples/ through the whole local pipeline and print the results
	@$(RUN) -m samples.demo

demo-promotion: setup  ## promote a better version of a model and roll back worse ones, by evidence (under 2 minutes)
	@$(RUN) -m samples.promotion

local: setup     ## start the whole pipeline on loopback, with MODELS=path/to/models.json [PROFILE=name] on your models
	@$(RUN) -m emulator

test: setup      ## run the tests (under 5 minutes)
	@$(TEST)

test-long: export CHAOS_INPUTS := 300
test-long: export CHAOS_KILLS := 10
test-long: setup pulumi chaos  ## run the real gcloud, Pulumi, a browser, a small storm, whole stacks (under half an hour)
	@tests/chromium.sh
	@echo "== Rehearsal of a deployment, gcloud, browser, slow tests"
	@$(TEST) -m 'rehearsal or gcloud or browser or long' -rs

test-release: export FUZZ_EXAMPLES := 500
test-release: setup test-compiled fuzz kserve vertex  ## run slow repetitions, fuzz, compiled models, other clients (half an hour)
	@echo "== Slow repetitions"
	@$(TEST) -m release -rs

lint: setup      ## check style, types, imports, spelling and the workflow
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@for main in functions/*/main.py; do $(VENV)/bin/mypy --no-error-summary $$main || exit 1; done
	@git ls-files -z | xargs -0 $(VENV)/bin/codespell
	@$(RUN) -m emulator.workflows check workflow.yaml
	@$(MAKE) --no-print-directory imports

imports: setup   ## check the contracts on imports between packages
	@PYTHONPATH=$(ROOTS) $(VENV)/bin/lint-imports --no-logo --cache-dir build/imports

format:          ## fix and format the code with ruff
	@$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .

stage: setup     ## put each function's deployable source into build/functions/
	@$(RUN) deploy/stage.py

audit: setup     ## compare every installed package with the published advisories (needs pypi.org)
	@mkdir -p build
	@$(RUN) -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' > build/audit.txt
	@$(VENV)/bin/pip-audit -r build/audit.txt --no-deps --disable-pip --strict --progress-spinner off || { \
		echo "audit: a package has an advisory (see above), or pypi.org could not be read and nothing was checked" >&2; exit 1; }

test-compiled: setup  ## compare compiled models with uncompiled ones (needs a C++ compiler)
	@echo "== Compiled models"
	@$(RUN) -m pytest -m compiler -rs tests/gpu_service

fuzz: setup      ## run each fuzz test with FUZZ_EXAMPLES (5,000) random inputs (long)
	@echo "== Fuzz"
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5000} $(RUN) -m pytest -n 2 --timeout=3600 tests/fuzz

chaos: setup     ## send CHAOS_INPUTS (2,000) uploads while CHAOS_KILLS (60) services are killed and calls fail (long)
	@echo "== Chaos"
	@$(RUN) -m pytest -m chaos -s tests/chaos

mutation: setup  ## plant faults in the modules of tests/mutation/modules.toml, or in MODULE=name; SAMPLE=40 tries that many (hours)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/mutation/requirements.txt
	@$(RUN) tests/mutation/run.py $(MODULE) $(if $(SAMPLE),--sample $(SAMPLE))

rehearsal: setup ## deploy, examine and destroy a new project, and run the documented commands, with the real gcloud against a stand-in (long)
	@echo "== Rehearsal of a deployment"
	@$(TEST) -m rehearsal -rs tests/deploy

browser: setup   ## test console and emulator in Chromium, which apt installs where it may
	@tests/chromium.sh
	@echo "== Browser"
	@$(TEST) -m browser -rs tests/console tests/emulator

pulumi: setup    ## test the Pulumi program under Pulumi's mocks (installs 400 MB, once)
	@echo "== Pulumi"
	@test -x $(PULUMI)/bin/python || $(PYTHON) -m venv $(PULUMI)
	@$(PULUMI)/bin/pip install --quiet --disable-pip-version-check -r deploy/pulumi/requirements.txt || rm -rf $(PULUMI)  # then the tests are skipped
	@$(RUN) -m pytest -m pulumi -rs tests/deploy

kserve: setup    ## test the GPU service with KServe's own client (installs 450 MB, once)
	@echo "== KServe's client"
	@test -x $(KSERVE)/bin/python || $(PYTHON) -m venv $(KSERVE)
	@$(KSERVE)/bin/pip install --quiet --disable-pip-version-check -r tests/gpu_service/clients/requirements-kserve.txt || rm -rf $(KSERVE)  # then the tests are skipped
	@$(RUN) -m pytest -m kserve -rs tests/gpu_service

vertex: setup    ## test the emulator with Vertex AI's own Python client (installs 300 MB, once)
	@echo "== Vertex AI's client"
	@test -x $(VERTEX)/bin/python || $(PYTHON) -m venv $(VERTEX)
	@$(VERTEX)/bin/pip install --quiet --disable-pip-version-check -r tests/emulator/vertex_ai/requirements.txt || rm -rf $(VERTEX)  # then the tests are skipped
	@$(RUN) -m pytest -m vertex -rs tests/emulator/vertex_ai tests/functions/promote

client-suites: setup ## run the suites of storage clients (gcsfs, pandas, obstore, polars, Node, …) against the emulator (installs 700 MB, once)
	@test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
	@$(RUN) -m tests.clients.run $(CLIENTS)/bin/python

benchmark-pipeline: setup   ## measure latency by hop, inputs per second and storage requests per input
	@$(RUN) -m benchmarks.pipeline.run

benchmark-functions: setup  ## measure each function's start to its first response, compared with an empty one
	@$(RUN) -m benchmarks.functions.run --own-environments

benchmark-batches: setup    ## measure 200,000 CSV rows, compared with a plain transformers pipeline and Ray Data
	@$(RUN) -m benchmarks.batches.run --save

benchmark-forecast:         ## compare forecasts of 102 public series with Prophet's default, ETS and the seasonal naive
	@test -x .peers/forecast/bin/python || $(PYTHON) -m venv .peers/forecast
	@.peers/forecast/bin/pip install --quiet --disable-pip-version-check -r functions/forecast/requirements.txt -r benchmarks/forecast/requirements.txt
	@nice -n 5 .peers/forecast/bin/python -m benchmarks.forecast.run

benchmark-gpu:              ## the GPU against the CPU, then its speed; on a machine with one, with PYTHON's torch or .venv's
	@PYTHON=$(if $(filter-out file default,$(origin PYTHON)),$(PYTHON)) benchmarks/gpu/run.sh

capacity: setup  ## print how much load a deployment takes, and what binds; SETTINGS="variable=value …"
	@PYTHONPATH=$(ROOTS) $(RUN) -m benchmarks.scale $(SETTINGS)

simulate-scale: setup       ## simulate an hour's flood, an outage and many tenants on the pipeline's own decisions (minutes)
	@PYTHONPATH=$(ROOTS) $(RUN) -m benchmarks.scale simulate

benchmark-workflows: setup  ## concurrent executions and overhead per step, beside PyPI's workflows-emulator
	@test -x .peers/workflows-emulator/bin/python || $(PYTHON) -m venv .peers/workflows-emulator
	@.peers/workflows-emulator/bin/pip install --quiet workflows-emulator==1.10.0
	@$(RUN) -m benchmarks.workflows.run --peer .peers/workflows-emulator/bin/python

clean:           ## remove the environments, local state and build output
	rm -rf $(VENV) $(PULUMI) $(KSERVE) $(VERTEX) $(CLIENTS) .local build
