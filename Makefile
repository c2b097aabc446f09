# Two commands do everything on a fresh machine: `make demo` and `make test`.
BIN := .venv/bin
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
PYTHON ?= python3
INSTALLED := .venv/installed

.PHONY: help demo test bench lint format schemas lock clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Everything that is installed is pinned in envs/lock.txt.
$(INSTALLED): envs/lock.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r envs/lock.txt
	touch $@

demo: $(INSTALLED)  ## run the pocket study and write results/pocket/report.html
	$(BIN)/snakemake --cores $(CORES)
	@echo "open results/pocket/report.html"

test: lint  ## lint and run all tests
	$(BIN)/python -m pytest -n $(CORES) --dist loadgroup

bench: $(INSTALLED)  ## measure speed and memory -> a table and benchmarks/results/*.json
	$(BIN)/python benchmarks/planning.py
	$(BIN)/python benchmarks/analysis.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/evaluation.py

lint: $(INSTALLED)  ## check style and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: $(INSTALLED)  ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

schemas: $(INSTALLED)  ## write workflow/schemas from the types
	$(BIN)/python scripts/write_schemas.py

lock:  ## pin what a fresh installation of pyproject.toml gives
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --disable-pip-version-check --quiet -e '.[test]'
	.venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > envs/lock.txt
	rm -rf .venv-lock
	@printf 'channels: [conda-forge]\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n' \
	  > envs/environment.yaml
	@sed 's/^/      - /' envs/lock.txt >> envs/environment.yaml

clean:  ## remove results and what they were made from
	rm -rf results resources .snakemake
