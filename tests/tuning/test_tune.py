"""Tuning: the better setting wins, budgets are equal, and being stopped changes nothing."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import pytest

from grasp_bench.planners import PLANNERS
from grasp_bench.planners.search_space import Choice, FloatRange
from grasp_bench.planners.shared import evaluated
from grasp_bench.run import worker
from grasp_bench.run.executors import EXECUTORS
from grasp_bench.run.schema import SYSTEM
from grasp_bench.run.store import read_results
from grasp_bench.run.worker import run_unit
from grasp_bench.tuning.settings_file import read_settings
from grasp_bench.tuning.study import STUDIES_FILE, Tried
from grasp_bench.tuning.tune import best_of, scored

# They differ from run to run even on the iteration clock.
CLOCK_COLUMNS = [
    *(column.name for column in SYSTEM),
    *("planner_seconds", "encode_seconds", "wall_seconds"),
]

HORIZONS, TASKS, SETTINGS = (10, 20), 2, 4


@dataclass(frozen=True)
class Follower:
    """The task's demonstration times a gain, after some idle candidates."""

    name: ClassVar[str] = "follower"
    reference: ClassVar[str] = "own"
    search_space: ClassVar[dict] = {
        "gain": FloatRange(0.0, 1.0, log=False),
        "exact": Choice((False, True)),
    }

    gain: float = 0.0
    exact: bool = False

    def plan(self, problem, noise) -> Iterator:
        gain = 1.0 if self.exact else self.gain
        for iteration in range(100):
            yield evaluated(problem, gain * problem.reference_actions, iteration)


@dataclass(frozen=True)
class Breaking(Follower):
    """Raises unless it is told to be exact."""

    name: ClassVar[str] = "breaking"

    def plan(self, problem, noise):
        if not self.exact:
            raise ArithmeticError("diverged")
        return super().plan(problem, noise)


class InThisProcess:
    """An executor without processes that is interrupted after some units, all rounds together."""

    stop_after = None

    def __init__(self, assignment, limits=None):
        self.assignment = assignment

    def run(self, units):
        for unit in list(units):
            if self.stop_after == 0:
                raise KeyboardInterrupt
            yield run_unit(self.assignment, unit)
            if self.stop_after is not None:
                type(self).stop_after -= 1


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for planner in (Follower, Breaking):
        monkeypatch.setitem(PLANNERS._own, planner.name, planner)
    monkeypatch.setitem(EXECUTORS._own, "local", InThisProcess)
    monkeypatch.setattr(worker, "time_reference_workload", lambda device: 0.01)
    monkeypatch.setattr(InThisProcess, "stop_after", None)


@pytest.fixture
def tune(cli, responsive_checkpoint, monkeypatch):
    """Runs the command into a folder; returns its exit code and output."""

    def tune(out, *options, planners="follower,breaking", stop_after=None):
        monkeypatch.setattr(InThisProcess, "stop_after", stop_after)
        code, text, err = cli(
            "tune", "--planners", planners, "--horizons", ",".join(map(str, HORIZONS)),
            "--trials", TASKS, "--settings", SETTINGS, "--clock", "iterations", "--budget", 4,
            "--workers", 1, "--model", responsive_checkpoint, "--out", out, *options,
        )  # fmt: skip
        assert "Traceback" not in err
        return code, text + err

    return tune


def test_the_better_setting_wins_on_equal_budgets(tune, tmp_path, responsive_checkpoint):
    code, text = tune("out")
    assert code == 0
    assert "ArithmeticError" in text  # what Breaking raises
    assert text.splitlines()[-1] == "out/settings.json"
    trials = read_results(tmp_path / "out")
    assert set(trials["tasks"]) == {"tune"}
    cells = trials.groupby(["planner", "horizon"])
    assert (cells["hyperparameters_sha256"].nunique() == SETTINGS).all()
    assert (cells.size() == SETTINGS * TASKS).all()
    first = trials[trials["planner_label"] == "follower"]
    assert len(first) == len(HORIZONS) * TASKS  # the default was tried

    found = read_settings(tmp_path / "out" / "settings.json").content
    card = json.loads(responsive_checkpoint.with_suffix(".json").read_text())
    assert found.model_sha256 == card["sha256"]
    assert (found.tuning.settings, found.tuning.tasks, found.tuning.budget) == (SETTINGS, TASKS, 4)
    for planner in ("follower", "breaking"):
        for horizon in HORIZONS:
            cell = found.planners[planner][horizon]
            assert (cell.default_success, cell.default_par2) == (0, 8)
            exact = cell.settings.get("exact", False)
            assert (cell.par2, cell.success) == ((1, 1) if exact else (8, 0))
            own = trials[(trials["planner"] == planner) & (trials["horizon"] == horizon)]
            assert exact == own["hyperparameters"].str.contains('"exact": true').any()
    assert found.planners["follower"][HORIZONS[0]].settings["exact"]


def test_of_settings_that_solve_nothing_the_one_whose_plans_end_nearer_wins():
    def tried(name, par2, cost):
        return Tried({"name": name}, par2, success=0.0, cost=cost)

    far, near, silent = tried("far", 8, 2.5), tried("near", 8, 1.5), tried("silent", 8, math.inf)
    assert best_of([silent, far, near, tried("as near", 8, 1.5)]) is near
    sooner = tried("sooner", 7, 3.0)
    assert best_of([silent, far, near, sooner]) is sooner
    assert best_of([silent, tried("as silent", 8, math.inf)]) is silent


def test_a_trial_without_a_plan_has_no_cost_to_compare():
    trials = pd.DataFrame(
        {
            "success": pd.array([False, False], dtype="boolean"),
            "time_to_success": [math.nan, math.nan],
            "final_plan_cost_realised": [1.0, 2.0],
        }
    )
    assert scored(trials, 4) == (8, 0, 1.5)
    trials.loc[1, "final_plan_cost_realised"] = math.nan
    assert scored(trials, 4) == (8, 0, math.inf)


def test_a_tune_that_is_stopped_goes_on_as_if_it_had_not_been(tune, tmp_path):
    code, _ = tune("whole", planners="follower")
    assert code == 0
    for moment in (1, 5, 3):
        code, text = tune("stopped", planners="follower", stop_after=moment)
        assert code == 130
        assert f" of {len(HORIZONS) * TASKS} trials" in text
    code, _ = tune("stopped", planners="follower")
    assert code == 0
    one, two = (read_results(tmp_path / name) for name in ("whole", "stopped"))
    assert not two["trial_key"].duplicated().any()
    left_out = CLOCK_COLUMNS
    pd.testing.assert_frame_equal(one.drop(columns=left_out), two.drop(columns=left_out))
    one, two = (read_settings(tmp_path / name / "settings.json") for name in ("whole", "stopped"))
    assert one.content.planners == two.content.planners


def test_more_settings_go_on_from_those_that_were_tried(tune, tmp_path):
    tune("out", "--settings", 2, planners="follower")
    before = read_results(tmp_path / "out")
    with (tmp_path / "out" / STUDIES_FILE).open("ab") as journal:
        journal.write(b'{"op_code": ')  # what a process leaves that dies while it writes
    assert tune("out", "--write", "deep/found.json", planners="follower")[0] == 0
    after = read_results(tmp_path / "out")
    kept = after[after["trial_key"].isin(before["trial_key"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)
    assert read_settings(tmp_path / "deep" / "found.json").content.tuning.settings == SETTINGS
    code, text = tune("out", "--trials", 1, planners="follower")
    assert code == 2
    assert "(2 instead of 1)" in text
    assert "--out" in text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--planners", "zero"), "'zero'"),
        (("--planners", "grsap"), "'grasp'"),
        (("--planners", "missing.py:Mine"), "missing.py"),
        (("--horizons", "45"), "45"),
        (("--trials", "101"), "101"),
    ],
)
def test_what_cannot_be_tuned_is_said_in_a_sentence(refused, tiny_checkpoint, options, named):
    given = {"--planners": "cem", "--horizons": "10", "--model": str(tiny_checkpoint)}
    given |= dict([options])
    assert named in refused("tune", *(part for pair in given.items() for part in pair))
