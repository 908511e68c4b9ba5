# Every target sets up what it needs and then runs it; a folder name with spaces is fine because no path is absolute.
#
#   make demo     two small studies, end to end, and one question in SQL     (about 3 minutes the first time)
#   make test     everything that is checked
#   make help     the rest

PYTHON ?= python3
# Installs with uv where it is present; `make UV= test` uses pip all the same.
UV ?= $(shell command -v uv 2>/dev/null)
# pytest's own arguments: `make test ARGS="tests/store -x"`.
ARGS ?=
# Processes that the tests run on; `make test JOBS=0` runs them in one.
JOBS ?= 2

PIP_VERSION_CHECK := PIP_DISABLE_PIP_VERSION_CHECK=1
INSTALL = $(if $(UV),"$(UV)" pip install --quiet --compile-bytecode --python $(1)/bin/python,$(PIP_VERSION_CHECK) $(1)/bin/python -m pip install --quiet)
OLDER_PYTHONS := $(foreach v,3.12 3.13,$(if $(shell command -v python$(v) 2>/dev/null),$(v)))

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format bench fuzz schemas docs constraints clean

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

# ---------------------------------------------------------------- environments

.venv/bin/python:
	@echo "making .venv" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 7))' || \
	  { echo "cytolake needs Python 3.11.7 or newer; '$(PYTHON)' is older: make PYTHON=python3.12 ..." >&2; exit 3; }
	@$(PYTHON) -m venv .venv

# What a user installs: everything but CUDA.
.venv/.core: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing cytolake into .venv" >&2
	@$(call INSTALL,.venv) -c constraints.txt -e '.[all]'
	@touch $@

# What a developer needs: that, and more beside it.
.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing cytolake and its development dependencies into .venv" >&2
	@$(call INSTALL,.venv) -c constraints.txt -e '.[dev]'
	@touch .venv/.core $@

# LinkML lives apart; see constraints-linkml.txt.
.venv-linkml/.done: constraints-linkml.txt
	@echo "making .venv-linkml" >&2
	@$(PYTHON) -m venv .venv-linkml
	@$(call INSTALL,.venv-linkml) -c constraints-linkml.txt linkml
	@touch $@

# What the benchmarks compare with. One of the peers needs an older pillow than we pin.
.venv-bench/.done: benchmarks/requirements.txt pyproject.toml constraints.txt
	@echo "making .venv-bench" >&2
	@$(PYTHON) -m venv .venv-bench
	@sed '/^pillow==/d' constraints.txt > .venv-bench/constraints.txt
	@$(call INSTALL,.venv-bench) -c .venv-bench/constraints.txt -r benchmarks/requirements.txt -e '.[all]'
	@touch $@

# CytoTable does not run with the DuckDB that we pin, so it has an environment of its own.
.venv-cytotable/.done:
	@echo "making .venv-cytotable" >&2
	@$(PYTHON) -m venv .venv-cytotable
	@$(call INSTALL,.venv-cytotable) 'cytotable==1.2.*' 'duckdb<2'
	@touch $@

# ---------------------------------------------------------------- what to run

demo: .venv/.core  ## two small studies from export to answer
	@.venv/bin/cytolake demo $(ARGS)

# Made side by side, where they are not there yet.
.PHONY: environments
environments:
	@$(MAKE) --silent --jobs=2 .venv/.dev .venv-linkml/.done

# Tests start hundreds of commands, which would compile all modules anew where Python is told not to keep bytecode.
test: environments  ## all tests
	@.venv/bin/python -m compileall -q *.py catalog cli demo ingest schemas store transforms
	.venv/bin/python -m pytest $(if $(filter-out 0,$(JOBS)),-n $(JOBS) --dist worksteal) $(ARGS)

test-all: test  ## all tests, on every Python from 3.11 that is present
	@$(foreach v,$(OLDER_PYTHONS),$(MAKE) test-python VERSION=$(v) &&) true

.PHONY: test-python
test-python:
	python$(VERSION) -m venv .venv-$(VERSION)
	$(call INSTALL,.venv-$(VERSION)) -c constraints.txt -e '.[dev]'
	.venv-$(VERSION)/bin/python -m pytest $(ARGS)

# The checkout's folder may have any name, the package has one: mypy sees the tree through a link of that name.
lint: .venv/.dev  ## ruff and mypy
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	@mkdir -p .scratch/mypy && ln -sfn ../.. .scratch/mypy/cytolake
	cd .scratch/mypy && ../../.venv/bin/python -m mypy --config-file ../../pyproject.toml -p cytolake

format: .venv/.dev  ## let ruff lay out the code
	.venv/bin/python -m ruff format .
	.venv/bin/python -m ruff check --fix .

BENCHES := features throughput conversion ingest memory segmentation tracking profiles catalog

bench: $(BENCHES:%=bench-%)  ## all benchmarks against their peers; or make bench-conversion, ...

.PHONY: $(BENCHES:%=bench-%)
$(BENCHES:%=bench-%): bench-%: .venv-bench/.done
	.venv-bench/bin/python -m benchmarks.$*.bench_$* $(ARGS)

bench: bench-import

.PHONY: bench-import
bench-import: .venv-bench/.done .venv-cytotable/.done
	.venv-bench/bin/python -m benchmarks.ingest_tables.bench_import $(ARGS)

fuzz: .venv/.dev  ## damage exports of every reader at random, for MINUTES=60 of processor time
	.venv/bin/python tests/fuzz.py --minutes $(or $(MINUTES),60) $(ARGS)

schemas: .venv-linkml/.done  ## LinkML to schemas/generated
	.venv-linkml/bin/python schemas/generate.py

docs: .venv/.dev  ## run what the documentation shows and write its real output into the pages
	@for page in README.md docs/*.md docs/*/*.md; do \
	  folder=$$(mktemp -d) && .venv/bin/python tests/docs_runner.py "$$page" "$$folder" && rm -rf "$$folder" || exit 1; \
	done

constraints: .venv/.dev  ## pin what .venv holds now
	@{ sed -n '/^#/p' constraints.txt; .venv/bin/python -m pip freeze --exclude-editable; } > .scratch/constraints.txt
	@mv .scratch/constraints.txt constraints.txt

clean:  ## remove what was built, not the environments
	rm -rf build dist .scratch .mypy_cache .ruff_cache .pytest_cache cytolake.egg-info
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
