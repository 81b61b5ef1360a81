# The two commands are `make demo` and `make test`; `make help` lists the rest.
# What is installed is recorded in stamps named after the *content* of the files they depend on, so
# an existing .venv is reused and a change of one file reinstalls only its part.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup test-tools lava peers golden demo check test test-all bench clean

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -qq
sum = $(firstword $(shell cat $(1) | cksum))
LOCKED := $(VENV)/.locked-$(call sum,requirements/lock.txt requirements/torch.txt)
PROJECT := $(VENV)/.project-$(call sum,pyproject.toml)
TOOLS := $(VENV)/.tools-$(call sum,requirements/test.txt)
# Files of tests go to so many processes; a file stays in one, so its fixtures are made once.
WORKERS ?= 2
PYTEST := $(PY) -m pytest --quiet --numprocesses=$(WORKERS) --dist=loadfile --junitxml=build/junit.xml
export PYTHON

help:
	@echo "make demo      set up, then train, export, verify and profile a small model (about 4 minutes)"
	@echo "make test      set up, then lint, type check and test (writes build/junit.xml)"
	@echo "make test-all  the same, slow tests included"
	@echo "make bench     speed as ratios, side by side (writes build/bench.json, about a minute)"
	@echo "make setup     .venv with the locked versions, and the Lava environment where possible"
	@echo "make peers     other frameworks in .peers, to test against; make golden records them anew"
	@echo "make clean     remove build outputs and caches (keeps .venv, .lava, .peers and runs)"

setup: $(PROJECT) lava
test-tools: setup $(TOOLS) peers

$(PY):
	@python=$$(sh requirements/python.sh) && echo "[setup] $(VENV) from $$python" && "$$python" -m venv $(VENV)

$(LOCKED): | $(PY)
	@sh requirements/python.sh $(PY) > /dev/null || { echo "Remove $(VENV) and run again." >&2; exit 1; }
	@$(PY) -m pip --version > /dev/null 2>&1 || $(PY) -m ensurepip > /dev/null
	@echo "[setup] locked packages"
	@$(PIP) install --no-deps --require-hashes --requirement requirements/lock.txt
	@echo "[setup] torch and what it needs (a large download the first time)"
	@sh requirements/torch.sh $(VENV)
	@rm -f $(VENV)/.locked-* && touch $@

# setuptools is in the lock, so the project needs no build environment of its own.
$(PROJECT): | $(LOCKED)
	@echo "[setup] neurozsl"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.project-* && touch $@

$(TOOLS): | $(PROJECT)
	@echo "[setup] test tools"
	@$(PIP) install --no-deps --require-hashes --requirement requirements/test.txt
	@rm -f $(VENV)/.tools-* && touch $@

# Lava is optional (its reference simulator needs a Python 3.10 of its own): go on without it unless
# NEUROZSL_REQUIRE_LAVA=1.
lava: $(PROJECT)
	@echo "[setup] Lava"
	@$(VENV)/bin/neurozsl setup lava || { code=$$?; \
	if [ "$${NEUROZSL_REQUIRE_LAVA:-0}" = 1 ]; then exit $$code; fi; \
	echo "[setup] going on without Lava (exit code $$code): bundles will say UNVERIFIED" >&2; }

# Other frameworks, to test against. Without them the tests compare with what is recorded of them,
# so go on unless NEUROZSL_REQUIRE_PEERS=1.
peers: $(PROJECT)
	@sh requirements/peers.sh $(VENV) .peers || { code=$$?; \
	if [ "$${NEUROZSL_REQUIRE_PEERS:-0}" = 1 ]; then exit $$code; fi; \
	echo "[setup] going on without other frameworks (exit code $$code): recorded spikes only" >&2; }

golden: test-tools
	@NEUROZSL_REQUIRE_PEERS=1 OMP_NUM_THREADS=1 $(PY) -m tests.frameworks.record

demo: setup
	@echo "[demo] neurozsl demo"
	@$(VENV)/bin/neurozsl demo

check: test-tools
	@echo "[test] ruff"
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet .
	@echo "[test] mypy --strict"
	@$(PY) -m mypy --no-error-summary
	@mkdir -p build

test: check
	@echo "[test] pytest"
	@$(PYTEST)

test-all: check
	@echo "[test] pytest, slow tests included"
	@$(PYTEST) -m ""

# One thread: ratios of CPU times, on a machine that may be busy.
bench: setup
	@echo "[bench] one thread, CPU time, medians"
	@mkdir -p build
	@OMP_NUM_THREADS=1 $(PY) -m tests.bench

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find neurozsl export hardware examples tests -name __pycache__ -type d -prune -exec rm -rf {} +
