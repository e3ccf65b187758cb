# Everything a newcomer needs: `make demo` and `make test`. The work is done by small Python programs; this file only names them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Any python3 can run tests/tools/venv.py, which looks for the right one. PYTHON=/path says which to use.
ANY_PYTHON := $(firstword $(foreach name,$(PYTHON) python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell $(name) -c 'print("$(name)")' 2>/dev/null)))
VENV := .venv/bin
RUN := $(VENV)/python tests/tools/run.py
export PYTHON
OPTIONS := $(if $(JOBS),--jobs $(JOBS)) $(if $(REPEAT),--repeat $(REPEAT)) $(if $(LOAD),--load $(LOAD))

.PHONY: help venv venv-newest venv-second demo proof down test check lint unit sanity conformance integration molecule bench build docs lock clean

help:  ## Show this list.
	@sed -nE 's/^([a-z -]+):[^#]*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

venv:  ## Make the Python environment from the lock file (nothing to do when it is complete).
	@test -n "$(ANY_PYTHON)" || { echo "error: no python3 is on PATH; Python 3.11 or newer is needed" >&2; exit 1; }
	@$(ANY_PYTHON) tests/tools/venv.py primary

venv-newest: venv  ## Make the second row's environment; says so when no newer Python is here.
	@$(ANY_PYTHON) tests/tools/venv.py newest

demo: venv  ## Sandbox up, install, verify, and a proof that it works; report in build/demo/.
	@$(VENV)/python -m sandbox.demo

proof: venv  ## Verify and prove what the demonstration installed; install nothing.
	@$(VENV)/python -m sandbox.demo --proof-only

down: venv  ## Stop everything that demo, test, molecule and bench may have left running.
	@$(VENV)/python tests/tools/down.py

# AREA=olm,platform  CHANGED=1  JOBS=3 (sandboxes at once)  REPEAT=3  LOAD=2 (busy processes beside): see docs/development.md.
test: venv venv-second  ## Prove the project; AREA=<area> one area, CHANGED=1 what your changes touch.
	@$(RUN) $(OPTIONS) $(if $(CHANGED),--changed) $(or $(AREA),$(if $(CHANGED),,all))

check: venv  ## What to run every few minutes: lint, types, unit tests, one whole install.
	@$(RUN) $(OPTIONS) check

lint unit sanity conformance integration molecule: venv venv-second  ## One part of make test.
	@$(RUN) $(OPTIONS) $@

venv-second:
	@$(ANY_PYTHON) tests/tools/venv.py newest || test $$? -eq 3

bench: venv  ## Measure; ONLY=<area> for one area. Results in build/bench/.
	@$(VENV)/python -m benchmarks.run $(if $(ONLY),--only $(ONLY))

build: venv  ## Build the collection's tarball into build/.
	@$(VENV)/python -m sandbox.artifact build/collections

docs: venv  ## Write the tables: role variables, states that end a wait, measured steps of make test.
	@$(VENV)/python tests/tools/docs.py
	@$(VENV)/python tests/tools/states.py
	@$(VENV)/python tests/tools/measured.py

lock: venv venv-newest  ## Rewrite the hashed lock files from requirements/*.in.
	@$(VENV)/python tests/tools/lock.py

clean: down  ## Remove what was built; keep the environments and the sandbox's cache of tools.
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/output
