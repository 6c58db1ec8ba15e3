"""Sweeps: the same plans whatever runs them, and nothing lost or doubled when killed."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.core.system import torch_threads
from grasp_bench.models import load_model
from grasp_bench.planners import PLANNERS, planner_spec
from grasp_bench.run import worker
from grasp_bench.run.executors.local import LocalProcesses
from grasp_bench.run.preparation import run_settings
from grasp_bench.run.run_folder import open_run_folder
from grasp_bench.run.schema import SYSTEM
from grasp_bench.run.store import read_results
from grasp_bench.run.sweep import Sweep, run_sweep
from grasp_bench.run.worker import Assignment, run_unit
from grasp_bench.tasks import load_tasks

# They differ from run to run even on the iteration clock.
CLOCK_COLUMNS = [
    *(column.name for column in SYSTEM),
    *("planner_seconds", "encode_seconds", "wall_seconds"),
]

REPOSITORY = Path(__file__).parents[2]
SMALL = {
    "cem": {"samples": "32", "elites": "4"},
    "grasp": {"sync_every": "4", "yield_every": "2"},
    "shuffled-demo": {},
}
HORIZONS, TRIALS, BUDGET = (10, 20), 3, 6


class InThisProcess:
    """An executor for tests: no processes, the units in an order of choice."""

    def __init__(self, assignment, order=list, stop_after=None):
        self.assignment, self.order, self.stop_after = assignment, order, stop_after

    def run(self, units):
        for count, unit in enumerate(self.order(list(units))):
            if count == self.stop_after:
                raise KeyboardInterrupt
            yield run_unit(self.assignment, unit)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(worker, "time_reference_workload", lambda device: 0.01)  # takes long
    with torch_threads(1):
        yield


@pytest.fixture
def assign(make_protocol, tiny_checkpoint):
    """What the workers of a small run are told."""

    def assign(batch=1, workers=1, **changed):
        loaded = load_model(str(tiny_checkpoint))
        protocol = make_protocol(budget=float(BUDGET), batch=batch)
        settings = run_settings(loaded, load_tasks("eval", HORIZONS[0], 1), protocol)
        return Assignment(protocol, settings | changed, workers)

    return assign


def small_sweep(trials=TRIALS, batch=1, planners=SMALL):
    specs = [planner_spec(name, overrides) for name, overrides in planners.items()]
    task_sets = {horizon: load_tasks("eval", horizon, trials) for horizon in HORIZONS}
    return Sweep(dict.fromkeys(HORIZONS, specs), task_sets, batch)


@pytest.fixture
def run(assign, tmp_path):
    """Runs the small sweep into a folder; returns its results."""

    def run(name, sweep=None, workers=None, **executor):
        sweep = sweep or small_sweep()
        assignment = assign(sweep.batch, workers or 1)
        where = LocalProcesses(assignment) if workers else InThisProcess(assignment, **executor)
        with open_run_folder(tmp_path / name, assignment.settings) as folder:
            run_sweep(sweep, folder, where, lambda rows: None, _unexpected)
        return read_results(tmp_path / name)

    return run


def _unexpected(failure):
    raise AssertionError(failure)


def assert_same_but_for_clock(one: pd.DataFrame, two: pd.DataFrame) -> None:
    assert not one["trial_key"].duplicated().any()
    pd.testing.assert_frame_equal(one.drop(columns=CLOCK_COLUMNS), two.drop(columns=CLOCK_COLUMNS))


def test_plans_are_bitwise_the_same_for_any_workers_order_and_resume(run):
    reference = run("reference")
    assert len(reference) == len(SMALL) * len(HORIZONS) * TRIALS
    assert (reference["status"] == "ok").all()
    assert reference["plan_sha256"].notna().all()
    for workers in (1, 2):
        assert_same_but_for_clock(reference, run(f"{workers}", workers=workers))
    assert_same_but_for_clock(reference, run("reversed", order=lambda units: units[::-1]))
    for stop_after in (1, 5):
        with pytest.raises(KeyboardInterrupt):
            run("stopped", stop_after=stop_after)
    assert_same_but_for_clock(reference, run("stopped"))


def test_smaller_runs_are_subsets_of_larger_ones(run):
    run("grown", small_sweep(trials=1))
    assert_same_but_for_clock(run("large"), run("grown"))


def test_a_partial_sweep_is_balanced_across_planners_and_horizons(run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop_after=len(SMALL) * len(HORIZONS))
    done = read_results(tmp_path / "stopped")
    assert len(done) == len(SMALL) * len(HORIZONS)
    assert done.groupby(["planner", "horizon"]).size().eq(1).all()


def test_a_finished_sweep_runs_nothing_again(run):
    first, second = run("once"), run("once", stop_after=0)
    pd.testing.assert_frame_equal(first, second)


def test_a_batch_draws_the_same_numbers_and_first_iterates_agree(run):
    sweep = {"cem": SMALL["cem"], "gd": {}}
    alone = run("one", small_sweep(planners=sweep, trials=8))
    batch = run("eight", small_sweep(planners=sweep, trials=8, batch=8))
    assert alone["trial_seed"].tolist() == batch["trial_seed"].tolist()
    for column in ("final_plan_cost_predicted", "final_plan_cost_realised"):
        both = alone[column].notna() & batch[column].notna()
        assert both.mean() > 0.8
        one = alone[column][both].to_numpy(dtype=float)
        eight = batch[column][both].to_numpy(dtype=float)
        assert one == pytest.approx(eight, rel=1e-3)


def test_a_batch_that_was_half_done_stores_only_what_is_missing(run):
    before = run("grown", small_sweep(trials=2, batch=4))
    after = run("grown", small_sweep(trials=4, batch=4))
    assert len(after) == 2 * len(before)
    kept = after[after["trial_key"].isin(before["trial_key"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)


def test_a_planner_that_raises_is_a_row_and_is_tried_again(run, monkeypatch):
    broken = PLANNERS.get("zero")
    plan = broken.plan

    def fail(self, problem, noise):
        raise ArithmeticError("diverged")

    monkeypatch.setattr(broken, "plan", fail)
    sweep = small_sweep(planners={"zero": {}, "demo": {}})
    trials = run("broken", sweep)
    errors = trials[trials["status"] == "error"]
    assert set(errors["planner"]) == {"zero"}
    assert len(errors) == len(HORIZONS) * TRIALS
    assert errors["error"].str.contains("ArithmeticError: diverged").all()
    assert errors["success"].isna().all()
    monkeypatch.setattr(broken, "plan", plan)
    assert (run("broken", sweep)["status"] == "ok").all()


def test_a_checkpoint_exchanged_in_mid_sweep_is_noticed(assign, tiny_checkpoint):
    other = assign(model_sha256="0" * 64)
    with pytest.raises(UserError, match=str(tiny_checkpoint)):
        run_unit(other, next(iter(small_sweep().units())))


# Interruptions of the real command.


def command(out, checkpoint, trials, workers):
    overrides = [f"{name}.{k}={v}" for name, own in SMALL.items() for k, v in own.items()]
    return [
        sys.executable, "-m", "grasp_bench", "sweep", "--planners", ",".join(SMALL),
        "--horizons", ",".join(map(str, HORIZONS)), "--trials", str(trials), "--budget",
        str(BUDGET), "--clock", "iterations", "--model", str(checkpoint), "--out", str(out),
        "--workers", str(workers),
        *(part for override in overrides for part in ("--set", override)),
    ]  # fmt: skip


def stored(out):
    return len(list(out.glob("parts/*.parquet"))) + (out / "trials.parquet").exists()


def wait_until(condition, process=None, seconds=180):
    deadline = time.monotonic() + seconds
    while not condition() and (process is None or process.poll() is None):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def members(session):
    """Processes of a session that still run."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            alive.append(int(stat.parent.name))
    return alive


def start(out, *sweep):
    """Start a sweep as a shell does."""
    return subprocess.Popen(
        command(out, *sweep),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # What a shell runs in the background ignores interrupts, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def interrupt(how, wait, out, *sweep):
    """Start or resume a sweep, and end it some seconds after it has stored something."""
    before = stored(out)
    process = start(out, *sweep)
    wait_until(lambda: stored(out) > before, process)
    time.sleep(wait)
    if how is signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does
    else:
        process.send_signal(how)
    try:
        output, _ = process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        # Python drops an interrupt that arrives inside a destructor; a person presses again.
        os.killpg(process.pid, how)
        output, _ = process.communicate(timeout=60)
    wait_until(lambda: not members(process.pid))  # no worker outlives it
    return process.returncode, output


def test_ctrl_c_and_kill_9_lose_and_double_nothing(run, tiny_checkpoint, tmp_path):
    # The folder is that of `run`, which does the rest of the sweep in this process.
    out, trials = tmp_path / "interrupted", 15
    code, output = interrupt(signal.SIGINT, 0.0, out, tiny_checkpoint, trials, 1)
    assert code == 130
    assert f" of {len(SMALL) * len(HORIZONS) * trials} trials" in output
    assert "Traceback" not in output
    wait = random.Random(0).uniform(0, 0.2)
    code, _ = interrupt(signal.SIGKILL, wait, out, tiny_checkpoint, trials, 1)
    assert code == -signal.SIGKILL
    assert 0 < len(read_results(out)) < len(SMALL) * len(HORIZONS) * trials
    sweep = small_sweep(trials=trials)
    assert_same_but_for_clock(run("whole", sweep), run("interrupted", sweep))


def test_killed_workers_lose_and_double_nothing(run, assign, tmp_path):
    sweep, killed = small_sweep(trials=5), []

    def kill(rows):
        if len(killed) < 4:
            workers = multiprocessing.active_children()
            workers[len(killed) % len(workers)].kill()
            killed.append(rows)

    assignment = assign(workers=2)
    with open_run_folder(tmp_path / "killed", assignment.settings) as folder:
        run_sweep(sweep, folder, LocalProcesses(assignment), kill, _unexpected)
    assert len(killed) == 4
    assert_same_but_for_clock(run("whole", sweep), read_results(tmp_path / "killed"))


def test_two_sweeps_share_a_folder_and_one_that_is_killed_leaves_its_trials_to_the_other(
    run, tiny_checkpoint, tmp_path
):
    out, trials = tmp_path / "shared", 12
    one, two = (start(out, tiny_checkpoint, trials, 1) for _ in range(2))

    def both_have_stored():
        writers = {part.name.split("-")[-3] for part in out.glob("parts/*.0.parquet")}
        return {str(one.pid), str(two.pid)} <= writers

    wait_until(both_have_stored, one)
    two.kill()
    output, _ = one.communicate(timeout=300)
    assert one.returncode == 0, output
    wait_until(lambda: not members(two.pid))
    assert_same_but_for_clock(run("whole", small_sweep(trials=trials)), read_results(out))


def test_a_signal_to_all_processes_of_a_job_is_one_sentence_and_loses_nothing(
    run, tiny_checkpoint, tmp_path
):
    out, trials = tmp_path / "terminated", 6
    process = start(out, tiny_checkpoint, trials, 2)
    wait_until(lambda: stored(out) > 0, process)
    os.killpg(process.pid, signal.SIGTERM)  # as Slurm does
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert output.splitlines()[-1].startswith("stopped: ")
    assert f" of {len(SMALL) * len(HORIZONS) * trials} trials are safe" in output
    assert "Traceback" not in output
    wait_until(lambda: not members(process.pid))
    sweep = small_sweep(trials=trials)
    assert_same_but_for_clock(run("whole", sweep), run("terminated", sweep))


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_and_double_nothing(run, tiny_checkpoint, tmp_path):
    out, seed, trials = tmp_path / "killed", time.time_ns(), 150
    print(f"seed {seed}")  # pytest shows it if the test fails
    rng = random.Random(seed)
    for _ in range(10):
        wait = rng.uniform(0, 1.5)
        code, _ = interrupt(signal.SIGKILL, wait, out, tiny_checkpoint, trials, 2)
        assert code == -signal.SIGKILL
    subprocess.run(command(out, tiny_checkpoint, trials, 2), cwd=REPOSITORY, check=True)
    assert_same_but_for_clock(run("whole", small_sweep(trials=trials)), read_results(out))
