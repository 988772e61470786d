# Needs only make and Python 3.11 or newer; everything else goes into .venv, from the package index pip is set up with.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV ?= .venv
BENCH_VENV ?= .venv-bench
STACK_VENV ?= .venv-stack
FLOOR_VENV ?= .venv-floor
# Which Python makes the environments; without it, the first of these that is new enough.
PYTHON ?=
CANDIDATES := python3.13 python3.12 python3.11 python3 python

READY := $(VENV)/.ready
BENCH_READY := $(BENCH_VENV)/.ready
STACK_READY := $(STACK_VENV)/.ready
FLOOR_READY := $(FLOOR_VENV)/.ready
export OSMOSDEST_STACK_PYTHON ?= $(abspath $(STACK_VENV)/bin/python)

# $(call make_venv,folder,extras,constraints): an environment with the checkout and these extras, at the versions pinned there.
# A half-made one (interrupted, or of a Python that has gone) is made anew.
define make_venv
	@python=""; too_old=""; \
	for candidate in $(or $(PYTHON),$(CANDIDATES)); do \
	  command -v "$$candidate" >/dev/null 2>&1 || continue; \
	  "$$candidate" -c 'pass' >/dev/null 2>&1 || continue; \
	  version=$$("$$candidate" -c 'import platform; print(platform.python_version())'); \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then python="$$candidate"; break; fi; \
	  too_old="$$too_old $$candidate is $$version;"; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "error: this needs Python 3.11 or newer, and found none:$${too_old:- no $(or $(PYTHON),$(CANDIDATES)) on the PATH}" >&2; \
	  echo "       Install one, or name it: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then \
	  echo "error: $$python ($$version) has no venv module. On Debian and Ubuntu: sudo apt-get install $$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 1; \
	fi; \
	if ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
	  echo "==> creating $(1) with Python $$version (once)"; \
	  rm -rf $(1); "$$python" -m venv $(1); \
	fi
	@echo "==> installing Airflow and the provider into $(1) (a minute or two; only when pyproject.toml or $(3) changed)"
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(1)/bin/python -m pip install --quiet --constraint $(3) --editable '.[$(2)]' >"$$log" 2>&1 \
	  || { cat "$$log" >&2; echo "error: pip could not install the packages; its words are above" >&2; exit 1; }
	@touch $(1)/.ready
endef

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(call make_venv,$(VENV),dev$(comma)demo,constraints.txt)
	@# The morning run and the storage are tested with the hooks and file systems of Airflow's own providers. Those want
	@# some eighty client libraries, what is tested of them only what the extra "dev" has; so they go beside the
	@# environment, where only these tests find them.
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --constraint constraints.txt \
	  --target $(VENV)/providers apache-airflow-providers-amazon 'apache-airflow-providers-google==22.8.0' >/dev/null 2>&1 \
	  || echo "note: Airflow's cloud providers could not be fetched; the tests that need them will be skipped" >&2

$(BENCH_READY): pyproject.toml constraints.txt
	$(call make_venv,$(BENCH_VENV),bench$(comma)demo$(comma)parquet,constraints.txt)

$(STACK_READY): pyproject.toml constraints.txt
	$(call make_venv,$(STACK_VENV),stack$(comma)demo,constraints.txt)

$(FLOOR_READY): pyproject.toml constraints-3.2.txt
	$(call make_venv,$(FLOOR_VENV),all$(comma)test,constraints-3.2.txt)

comma := ,

.PHONY: demo
demo: $(READY) ## Deliver 336,776 flights to a receiver on this machine, through Airflow
	@$(VENV)/bin/python example_dags/run_demo.py

.PHONY: stack
stack: $(STACK_READY) ## Run a distributed Airflow on this machine: two workers, Redis, PostgreSQL, S3
	@$(STACK_VENV)/bin/python -m tests.stack $(STACK_ARGS)

.PHONY: stack-env
stack-env: $(STACK_READY)  # what `make test` needs to run the tests with two workers, too

.PHONY: test
test: $(READY) ## Run the unit, integration and system tests
	@echo "==> running the tests"
	@$(VENV)/bin/python -m pytest --numprocesses auto $(PYTEST_ARGS)

.PHONY: unit
unit: ## Run the unit tests alone
	@$(MAKE) test PYTEST_ARGS="tests/unit $(PYTEST_ARGS)"

.PHONY: floor
floor: $(FLOOR_READY) ## Run the unit tests and a delivery with Airflow 3.2 and the oldest versions supported
	@echo "==> running the unit tests with Airflow 3.2 and the oldest versions supported"
	@CI= $(FLOOR_VENV)/bin/python -m pytest --numprocesses auto tests/unit $(PYTEST_ARGS)
	@$(FLOOR_VENV)/bin/python tests/one_delivery.py $(FLOOR_VENV)

.PHONY: docs
docs: $(READY) ## Build the documentation's site into .site, and check its links
	@echo "==> building the documentation's site"
	@rm -rf .site
	@$(VENV)/bin/python -m sphinx --builder dirhtml --fail-on-warning --keep-going --quiet --jobs auto --doctree-dir .site/doctrees docs .site/html
	@echo "It is in .site/html. To read it: $(VENV)/bin/python -m http.server --directory .site/html"

.PHONY: dist
dist: $(READY) ## Build the distribution into dist, check it, install it into a new environment and deliver with it
	@$(VENV)/bin/python -m tests.dist

.PHONY: mutants
mutants: $(READY) ## Change the code that decides, and see that its tests notice
	@$(VENV)/bin/python tests/mutants.py $(MUTANTS_ARGS)

.PHONY: lint
lint: $(READY) ## Check style and types, change nothing
	@echo "==> ruff check" && $(VENV)/bin/ruff check .
	@echo "==> ruff format" && $(VENV)/bin/ruff format --check .
	@echo "==> mypy" && $(VENV)/bin/mypy

.PHONY: bench
bench: $(BENCH_READY) ## Measure against HttpOperator, HttpHook, dlt and drt
	@$(BENCH_VENV)/bin/python benchmarks/run.py $(BENCH_ARGS)

.PHONY: clean
clean: ## Remove the environments and everything a run leaves behind
	rm -rf $(VENV) $(BENCH_VENV) $(STACK_VENV) $(FLOOR_VENV) .demo .stack .mutants .site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -not -path './.git/*' -exec rm -rf {} +
