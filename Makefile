# Every target sets itself up: it needs Python 3.11 or newer, make and a package index, nothing else.
# The first of these that runs and is new enough (a version manager's shim may stand on PATH and not run).
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# One more than there are cores: many tests wait for servers and processes.
WORKERS := $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 1 )))

.DEFAULT_GOAL := help
.PHONY: help setup demo test eval test-servers test-clients lint format sweep bench docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## make the virtual environment and install sophia into it

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "sophia needs Python 3.11 or newer; none was found. Say: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

demo: $(STAMP) ## the whole story on the embedded sandbox, in under a minute, no account needed
	@$(BIN)/sophia demo

test: $(STAMP) ## the tests; never needs root
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

eval: $(STAMP) ## exact-intent rate, slot F1 and wrong acts of the offline engine, by class; answers to fixed questions
	@$(BIN)/python -m tests.evaluation.evaluate $(ARGS)
	@$(BIN)/python -m tests.evaluation.questions

sweep: $(STAMP) ## the whole crash sweep and fault matrix (long; ARGS='--state redis': over a shared state); `make test` holds a sample
	@$(BIN)/python -m tests.sweep $(ARGS)

test-servers: ## install the Debian packages of servers that tests use (needs root)
	export DEBIAN_FRONTEND=noninteractive; apt-get update -q && RUNLEVEL=1 apt-get install -y -q --no-install-recommends tmux redis-server nsd knot bind9 bind9-utils
	@DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends pebble && .ci/newer-pebble \
	  || echo "pebble (2.10 or later) could not be had here; the tests that need it are skipped"

# Clients of the API that other people wrote and that must not share sophia's environment: certbot brings sixteen packages,
# and ncssl-api-client asks for enum34, which hides the standard library's enum from build tools.
test-clients: $(STAMP) ## install API clients that tests run against the sandbox into .clients (certbot, ncsslapi, npm)
	@$(BIN)/python -m venv .clients/python
	@.clients/python/bin/python -m pip install --quiet --disable-pip-version-check certbot-dns-namecheap==1.0.0 \
	  future requests mock xmltodict pyyaml coloredlogs
	@.clients/python/bin/python -m pip install --quiet --disable-pip-version-check --no-deps ncssl-api-client==1.0.3
	@command -v npm >/dev/null || { echo "no npm here: the npm client is left out"; exit 0; } \
	  && npm install --silent --no-save --no-audit --no-fund --fetch-retries 0 --fetch-timeout 20000 --prefix .clients/npm @rqt/namecheap@2.4.2

lint: $(STAMP) ## ruff, mypy strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP) ## let ruff rewrite the formatting
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## ratios against named baselines, in one run (ARGS=--quick: without 100 000 records)
	@$(BIN)/python bench/run.py $(ARGS)

docs: $(STAMP) ## write the generated pages (command reference, check catalogue, README output, pictures)
	@$(BIN)/python docs/generate.py

clean: ## remove what the other targets made
	rm -rf $(VENV) bench/.venv .clients build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
