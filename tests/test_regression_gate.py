"""The gate on real planning: a planner broken on purpose is caught, the same code passes."""

import json
from pathlib import Path

import pytest

from grasp_bench.columns import SETTINGS
from grasp_bench.recreate import row_of
from grasp_bench.report.comparison import compare
from grasp_bench.report.comparison_text import sentences
from grasp_bench.results import read_results, write_rows
from grasp_bench.settings import RunSettings
from grasp_bench.sweep import planner_spec
from grasp_bench.worker import Assignment, WorkUnit, run_unit

STORED = Path(__file__).parents[1] / "results" / "regression"


@pytest.fixture
def stored():
    """GRASP's trials of the stored run."""
    trials = read_results(STORED)
    return trials[trials["planner"] == "grasp"].reset_index(drop=True)


@pytest.fixture
def rerun(stored, tmp_path):
    """Runs the first of these trials again, with other settings or hyperparameters."""

    def rerun(tasks, hyperparameters=None, **settings):
        row = row_of(stored, 0)
        recorded = {column.name: row[column.name] for column in SETTINGS} | settings
        chosen = RunSettings(**recorded)
        spec = planner_spec("grasp", json.loads(row["planner_config"]) | (hyperparameters or {}))
        assignment = Assignment(chosen.model, chosen, workers=1)
        rows = [
            run_unit(assignment, WorkUnit(spec, int(row["horizon"]), number, number + 1))[0]
            for number in range(tasks)
        ]
        write_rows(tmp_path / "new.parquet", rows)
        return read_results(tmp_path / "new.parquet")

    return rerun


@pytest.mark.slow
def test_grasp_without_its_sync_is_caught(stored, rerun):
    comparison = compare(stored, rerun(tasks=48, hyperparameters={"sync": "none"}))
    assert comparison.regressed
    assert any(s.startswith("GRASP at H=40 solves fewer tasks") for s in sentences(comparison))
    assert "GRASP ran with other settings: sync gd to none." in comparison.notes


@pytest.mark.slow
def test_the_same_planner_passes_with_other_random_numbers(stored, rerun):
    comparison = compare(stored, rerun(tasks=16, master_seed=1))
    assert not comparison.regressed, sentences(comparison)
