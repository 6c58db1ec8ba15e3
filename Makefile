# Everything runs in .venv, made on first use from the pinned constraints.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TRIALS ?= 50
DEVICE ?= cpu
# One worker on a GPU, where several would time each other. nproc itself counts OMP_NUM_THREADS.
WORKERS ?= $(if $(filter cpu,$(DEVICE)),$(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 1),1)
# For a CPU-only torch: PIP_ARGS="--extra-index-url" and PyTorch's index of CPU wheels.
PIP_ARGS ?=
PRESET ?= paper
MODEL ?= pusht-compact
# Planner seconds: those that the settings were tuned for.
BUDGET ?= 2
TASKS ?= eval
# Another model's results do not go into the same folder, nor those of other tasks.
NAME := $(notdir $(basename $(MODEL)))
OF_MODEL := $(if $(filter-out pusht-compact,$(NAME)),-$(NAME))$(if $(filter-out eval,$(TASKS)),-$(notdir $(basename $(TASKS))))
OUT ?= results/reproduce$(OF_MODEL)
SMOKE := results/smoke$(OF_MODEL)

# One thread a process: planning is batch 1, and two threads on a busy core only wait.
export OMP_NUM_THREADS ?= 1
# pip compiles nothing here: the first import of a module does, and most are never imported.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env test test-slow test-swm lint types docs reproduce reproduce-smoke short ablation regression regression-baseline clean

help:
	@echo "make test             environment, lint, types, tests (5 minutes, 8 with a new environment)"
	@echo "make test-slow        the tests that take minutes each, with Ray"
	@echo "make test-swm         the bridge to stable-worldmodel, with the library"
	@echo "make docs             the documentation site, in build/site"
	@echo "make reproduce-smoke  a small table in a few minutes"
	@echo "make reproduce        the paper's table, TRIALS=50 tasks a cell (TRIALS=500: the paper's size);"
	@echo "                      PRESET=all: every planner; MODEL=..., TASKS=human: of others; DEVICE=cuda"
	@echo "make short            the same at H = 10, 20, 30"
	@echo "make ablation         GRASP with one thing changed at a time; MODEL=pusht-pose: another model"
	@echo "make regression       a deterministic sweep compared with the stored one"
	@echo "make regression-baseline  store a new one, after a change that is meant"

env: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) --no-compile torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) --no-compile -e '.[dev]'
	touch $@

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: env
	$(BIN)/mypy

test: lint types
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile

docs: env
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test-slow: env
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e '.[ray]'
	$(BIN)/pytest -q -m slow

# In an environment of its own: the library brings its own versions.
test-swm:
	test -x .venv-swm/bin/python || $(PYTHON) -m venv .venv-swm
	.venv-swm/bin/python -m pip install --quiet $(PIP_ARGS) -e '.[swm,models]' pytest
	.venv-swm/bin/pytest -q tests/bridges

# The paper's table. Stopping it is safe: the same command goes on where it was.
SWEEP := $(BIN)/grasp-bench sweep --workers $(WORKERS) --model $(MODEL) --tasks $(TASKS) \
	--device $(DEVICE)
# Planners that use their whole budget, for the time that is announced.
PLANNERS_paper := 5
PLANNERS_all := 16
PLANNERS = $(or $(PLANNERS_$(PRESET)),$(error PRESET is paper or all, not '$(PRESET)'))

reproduce: env
	@echo "$(PLANNERS) planners x 5 horizons x $(TRIALS) tasks, $(BUDGET) planner seconds each:"
	@echo "expect about $$(( $(PLANNERS) * 5 * $(TRIALS) * $(BUDGET) * 6 / 5 / $(WORKERS) / 60 + 2 )) minutes with $(WORKERS) workers."
	$(SWEEP) --preset $(PRESET) --trials $(TRIALS) --budget $(BUDGET) --stop never --out $(OUT)
	$(BIN)/grasp-bench table $(OUT) --kind planners --intervals --format markdown -o $(OUT)/table.md
	$(BIN)/grasp-bench table $(OUT) --kind planners --outcome final-plan --intervals --format markdown -o $(OUT)/final-plan.md
	$(BIN)/grasp-bench table $(OUT) --kind times --intervals --format markdown -o $(OUT)/times.md
	$(BIN)/grasp-bench table $(OUT) --format latex -o $(OUT)/table.tex
	$(BIN)/grasp-bench table $(OUT) --format csv -o $(OUT)/table.csv
	$(BIN)/grasp-bench figure success $(OUT) -o $(OUT)/success
	$(BIN)/grasp-bench figure solved $(OUT) -o $(OUT)/solved
	$(BIN)/grasp-bench report $(OUT) -o $(OUT)/report.html
	$(BIN)/grasp-bench table $(OUT) --kind planners --intervals

reproduce-smoke: env
	@echo "5 planners x 2 horizons x 8 tasks, $(BUDGET) planner seconds each: about 2 minutes with 2 workers."
	$(SWEEP) --preset paper --horizons 40,80 --trials 8 --budget $(BUDGET) --stop never --out $(SMOKE)

# Horizons at which the paper's planners are about equal.
short: env
	@echo "5 planners x 3 horizons x $(TRIALS) tasks, $(BUDGET) planner seconds each unless solved sooner:"
	@echo "at most about $$(( 5 * 3 * $(TRIALS) * $(BUDGET) * 6 / 5 / $(WORKERS) / 60 + 1 )) minutes with $(WORKERS) workers."
	$(SWEEP) --preset short --trials $(TRIALS) --budget $(BUDGET) --out results/short-$(NAME)
	$(BIN)/grasp-bench table results/short-$(NAME) --intervals

# GRASP as published against itself with one thing changed; 75 candidates are its 750 iterations.
CANDIDATES ?= 75
ablation: env
	$(SWEEP) --preset ablation --trials $(TRIALS) --clock iterations --budget $(CANDIDATES) \
		--batch 20 --stop never --out results/ablation-$(NAME)
	$(BIN)/grasp-bench table results/ablation-$(NAME) --kind ablation
	$(BIN)/grasp-bench table results/ablation-$(NAME) --kind ablation --outcome final-plan

# Counted in candidates instead of seconds, so that a machine's speed does not enter.
REGRESSION_SWEEP := $(SWEEP) --preset regression --trials 48 \
	--clock iterations --budget 8 --stop never

regression: env
	rm -rf results/regression-now
	$(REGRESSION_SWEEP) --out results/regression-now
	$(BIN)/grasp-bench compare results/regression results/regression-now --complete \
		--markdown results/regression-now/comparison.md

regression-baseline: env
	rm -rf results/regression
	$(REGRESSION_SWEEP) --out results/regression

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
