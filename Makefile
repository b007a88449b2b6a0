# The commands a person needs. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format smoke bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## create .venv and install xstilts with pinned versions

# torch first and by pip: other resolvers may take a build with gigabytes of CUDA
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("xstilts needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: install ## run the embedded study and print where its report is
	$(BIN)/xstilts demo

test: install ## run all tests (those on real data where its folder is found), in WORKERS processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: install ## ruff and mypy
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

format: install ## let ruff format the code
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

smoke: install ## the small study on real data (XSTILTS_DATA, XSTILTS_MODELS; default ../shared)
	$(BIN)/xstilts run studies/natural-smoke.yaml

bench: install ## measure speed (an hour or two, nothing beside it) and write docs/performance.md
	$(BIN)/python benchmarks/performance.py

clean: ## remove results and the environment
	rm -rf $(VENV) .xstilts reports
