#!/bin/sh
# What a world model is worth to planners: docs/model-progress.md has the tables.
#
#     scripts/model_progress.sh MODEL FOLDER [PLANNER...]
#
# 100 tuning tasks at H=40 and H=80, fixed settings, counted in candidates so that load changes
# nothing. The budgets are what five planner seconds buy about on pusht-compact at H=80 and batch 1,
# and for CEM, which is the slowest to measure, a sixth of that. The patch model's are smaller:
#
#     CEM=4 GD=40 BATCH=10 scripts/model_progress.sh pusht-patch results/progress/patch cem gd
set -eu
model=$1 folder=$2
shift 2
measure() {
    planner=$1 budget=$2
    shift 2
    grasp-bench sweep --model "$model" --planners "$planner" --untuned "$@" --horizons 40,80 \
        --tasks tune --trials 100 --clock iterations --budget "$budget" --stop never \
        --batch "${BATCH:-50}" --workers 1 --out "$folder/$planner"
}
for planner in ${*:-cem gd grasp}; do
    case $planner in
    cem) measure cem "${CEM:-20}" --set cem.samples=100 --set cem.elites=10 ;;
    gd) measure gd "${GD:-290}" --set gd.optimiser=adam --set gd.lr=0.2 ;;
    grasp)
        measure grasp "${GRASP:-14}" --set grasp.sync_every=10 --set grasp.gd_steps=20 \
            --set grasp.action_lr=0.002
        ;;
    *) echo "no budget is set for planner '$planner'" >&2 && exit 2 ;;
    esac
done
