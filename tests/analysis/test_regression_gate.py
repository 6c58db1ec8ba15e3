"""The gate on real planning: a planner broken on purpose is caught, the same code passes."""

import json
from pathlib import Path

import pytest

from grasp_bench.analysis.gate import compare
from grasp_bench.models import load_model
from grasp_bench.planners import planner_spec
from grasp_bench.run.preparation import run_settings
from grasp_bench.run.store import read_results, write_rows
from grasp_bench.run.worker import Assignment, WorkUnit, run_unit
from grasp_bench.tasks import load_tasks
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.trial.replay import row_of

STORED = Path(__file__).parents[2] / "results" / "regression"


@pytest.fixture
def stored():
    """GRASP's trials of the stored run."""
    trials = read_results(STORED)
    return trials[trials["planner"] == "grasp"].reset_index(drop=True)


@pytest.fixture
def rerun(stored, tmp_path):
    """Runs the first of these trials again, with another protocol or hyperparameters."""

    def rerun(tasks, hyperparameters=None, **changed):
        row = row_of(stored, 0)
        protocol = TrialProtocol(
            **({name: row[name] for name in TrialProtocol.__dataclass_fields__} | changed)
        )
        spec = planner_spec("grasp", json.loads(row["hyperparameters"]) | (hyperparameters or {}))
        task_set = load_tasks(row["tasks"], row["horizon"], tasks)
        settings = run_settings(load_model(row["model_source"]), task_set, protocol)
        assignment = Assignment(protocol, settings, workers=1)
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
    assert [failure.kind for failure in comparison.failures] == ["fewer solved"]
    assert "GRASP ran with other hyperparameters: sync gd to none." in comparison.notes


@pytest.mark.slow
def test_the_same_planner_passes_with_other_random_numbers(stored, rerun):
    comparison = compare(stored, rerun(tasks=16, master_seed=1))
    assert not comparison.regressed, comparison.failures
