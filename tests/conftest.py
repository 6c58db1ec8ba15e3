"""Results rows, settings and a tiny world model, shared by the tests of the suite."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from grasp_bench.cli.app import main
from grasp_bench.core.system import torch_threads
from grasp_bench.models import CompactConfig, CompactWorldModel, load_model, save_checkpoint
from grasp_bench.planners import planner_spec
from grasp_bench.run import preparation, worker
from grasp_bench.run.executors import EXECUTORS
from grasp_bench.run.preparation import run_settings
from grasp_bench.run.schema import NAMES
from grasp_bench.run.store import read_results, write_rows
from grasp_bench.run.worker import Assignment, WorkUnit, run_unit
from grasp_bench.tasks import load_tasks
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.trial.replay import load_trial, replay_trial

SMALL_HORIZON = 20
CRITERIA = ("final", "block", "moderate", "strict", "coverage")  # beside the default one
# What Push-T names beside the fixed columns, in the order of a real row.
PUSHT_COLUMNS = (
    *(f"success_{name}" for name in CRITERIA),
    *(f"final_plan_success_{name}" for name in CRITERIA),
    *("final_plan_block_distance", "final_plan_block_angle_error"),
)
DEFAULTS: dict[str, Any] = {
    "status": "ok",
    "task_id": "pusht-h40-0000",
    "horizon": 40,
    "planner": "grasp",
    "planner_source": "grasp",
    "hyperparameters": "{}",
    "hyperparameters_sha256": "c" * 64,
    "trial_seed": 2**64 - 1,
    "success": False,
    **{f"success_{name}": False for name in CRITERIA},
    "success_in_model": False,
    "planner_time": 5.0,
    "candidates": 50,
    "iterations": 500,
    "checks": 20,
    "model_evals_forward": 1000,
    "model_evals_backward": 1000,
    "planner_seconds": 5.0,
    "encode_seconds": 0.01,
    "wall_seconds": 5.5,
    "protocol_version": "1",
    "environment": "pusht",
    "model": "tiny",
    "model_sha256": "a" * 64,
    "model_source": "tiny",
    "tasks": "eval",
    "task_set_sha256": "b" * 64,
    "master_seed": 0,
    "clock": "wall",
    "budget": 5.0,
    "stop": "first-success",
    "protocol": "open-loop",
    "check_first": 0.02,
    "check_ratio": 1.25,
    "action_limits": True,
    "proprio_weight": 1.0,
    "goal_steps": 1,
    "batch": 1,
    "device": "cpu",
    "threads": 1,
    "cpu": "a processor",
    "cores": 2,
    "reference_seconds": 0.01,
    "workers": 2,
    "started_at": datetime(2026, 1, 1, tzinfo=UTC),
}


class Timer:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def timer() -> Timer:
    """A fake for `time.perf_counter` and `time.monotonic`."""
    return Timer()


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """A results row; whatever is not given is a plausible default."""

    def make(**values: Any) -> dict[str, Any]:
        row = dict.fromkeys([*NAMES, *PUSHT_COLUMNS]) | DEFAULTS | values
        row["planner_source"] = values.get("planner_source", row["planner"])
        row["planner_label"] = values.get("planner_label", row["planner"])
        row["trial_key"] = f"{row['planner_label']}-{row['task_id']}"
        return row

    return make


@pytest.fixture
def results(tmp_path, make_row):
    """Results of planners that solve given shares of N tasks, read back from a file."""

    def make(solved, trials=40, horizon=40, name="trials.parquet", **values):
        rows = [
            make_row(
                planner=planner.partition("[")[0],
                planner_label=planner,
                task_id=f"pusht-h{horizon}-{number:04d}",
                horizon=horizon,
                success=number in numbers,
                time_to_success=1.0 + number if number in numbers else None,
                iterations_to_success=100 + number if number in numbers else None,
                **values,
            )
            for planner, numbers in solved.items()
            for number in range(trials)
        ]
        write_rows(tmp_path / name, rows)
        return read_results(tmp_path / name)

    return make


@pytest.fixture(scope="session")
def make_protocol() -> Callable[..., TrialProtocol]:
    """The protocol of short deterministic trials."""

    def make(**values: Any) -> TrialProtocol:
        return TrialProtocol(**({"clock": "iterations", "budget": 6.0} | values))

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained world model of the shipped architecture, small enough to plan in no time."""
    return _save(_tiny_model(), tmp_path_factory)


@pytest.fixture(scope="session")
def responsive_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_checkpoint`, but actions change the next state, as they do after training."""
    model = _tiny_model()
    torch.nn.init.normal_(model.predictor.leave[-1].weight)
    return _save(model, tmp_path_factory)


def _tiny_model() -> CompactWorldModel:
    torch.manual_seed(0)
    config = CompactConfig(keypoints=2, encoder_channels=8, width=16, blocks=1, decoder_width=8)
    return CompactWorldModel(config)


def _save(model: CompactWorldModel, folders: pytest.TempPathFactory) -> Path:
    path = folders.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(model, path, {})
    return path


class InThisProcess:
    """An executor without worker processes, which take seconds to start."""

    def __init__(self, assignment, limits=None):
        self.assignment = assignment

    def run(self, units):
        with torch_threads(self.assignment.protocol.threads):
            for unit in units:
                yield run_unit(self.assignment, unit)


@pytest.fixture
def in_this_process(monkeypatch):
    """Has commands run their trials, and try models, in this process."""
    monkeypatch.setattr(preparation, "try_apart", preparation._try_model)
    monkeypatch.setitem(EXECUTORS._own, "local", InThisProcess)
    monkeypatch.setattr(worker, "time_reference_workload", lambda device: 0.01)


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Runs a command in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def refused(cli):
    """Runs a command that must fail with one sentence and touch nothing; returns the sentence."""

    def run(*arguments):
        before = sorted(os.listdir())
        code, out, err = cli(*arguments)
        assert code == 2
        assert out == ""
        assert err.startswith("grasp-bench: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert sorted(os.listdir()) == before
        return err

    return run


@pytest.fixture(scope="session")
def make_trial_rows(responsive_checkpoint, make_protocol):
    """The rows of a planner's trials on the first tasks of a horizon, by default one trial."""

    def make(planner, overrides=None, **protocol):
        chosen = make_protocol(**({"stop": "never"} | protocol))
        loaded = load_model(str(responsive_checkpoint))
        task_set = load_tasks("eval", SMALL_HORIZON, chosen.batch)
        assignment = Assignment(chosen, run_settings(loaded, task_set, chosen), workers=1)
        unit = WorkUnit(planner_spec(planner, overrides or {}), SMALL_HORIZON, 0, chosen.batch)
        return run_unit(assignment, unit)

    return make


@pytest.fixture(scope="session")
def make_plan(make_trial_rows, responsive_checkpoint):
    """A recorded trial and its plan made again."""

    def make(name, **overrides):
        (row,) = make_trial_rows(name, overrides)
        trial = load_trial(row, str(responsive_checkpoint))
        return trial, replay_trial(trial)

    return make
