"""Workers that die, hang or leak: the sweep goes on, and the row says what happened."""

import time
from pathlib import Path

import psutil
import pytest

from grasp_bench.core.errors import error_summary
from grasp_bench.run.store import read_results

WRECKERS = Path(__file__).with_name("wreckers.py")
HOSTILE = Path(__file__).parents[1] / "trial" / "hostile.py"
GRID = ("--horizons", 20, "--trials", 1, "--clock", "iterations", "--budget", 2, "--stop", "never")
LIMITS = ("--workers", 2, "--trial-timeout", 30, "--trial-memory", 2000)
WRECKED = {
    "leaver": ("ended with code 3", "3 times"),
    "killed": ("died of SIGKILL", "3 times"),
    "sleeper": ("no end after 30 seconds", "--trial-timeout"),
    "hoarder": ("more than 2000 MiB", "--trial-memory"),
    "forker": ("forks the process",),
    "nan_plan": ("finite",),
    "flat_plan": ("shape",),
    "rewriter": ("changes a plan that it has shown",),
}
BY_THE_MODEL = {
    "model_hangs": ("no end after 30 seconds", "--trial-timeout"),
    "model_nan": ("finite",),
    "model_shape": ("shape",),
    "model_mutates": ("a rollout of the model gives",),
    "model_hoards": ("more than 2000 MiB", "--trial-memory"),
    "model_kills": ("died of SIGKILL", "3 times"),
    "model_forks": ("forks the process",),
}


def sweep(folder, model, planners, *options):
    """Runs a sweep by two workers; returns exit code, trials and seconds."""
    from grasp_bench.cli.app import main

    arguments = [
        "sweep", "--planners", ",".join(planners), *GRID, *LIMITS, "--model", model, "--out",
        folder / "out", *options,
    ]  # fmt: skip
    begun = time.monotonic()
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code, read_results(folder / "out"), time.monotonic() - begun


@pytest.fixture(scope="module")
def swept(tmp_path_factory, responsive_checkpoint):
    """A sweep of all wreckers and fair planners between them, by two workers."""
    folder = tmp_path_factory.mktemp("wrecked")
    names = ("Leaver", "Forker", "Fair", "Killed", "Sleeper", "Hoarder", "Once")
    hostile = ("nan_plan", "flat_plan", "rewriter")
    planners = [
        "cem", *(f"{WRECKERS}:{name}" for name in names),
        *(f"{HOSTILE}:{name}" for name in hostile), "demo",
    ]  # fmt: skip
    mark = f"{WRECKERS}:Once.mark={folder / 'mark'}"
    return sweep(folder, responsive_checkpoint, planners, "--set", mark)


def said(trials, planner):
    (row,) = trials[trials["planner"] == planner].to_dict("records")
    return row["status"], error_summary(row["error"]) if row["status"] == "error" else ""


def test_the_sweep_completes_and_says_that_trials_failed(swept):
    code, trials, seconds = swept
    assert code == 1
    assert len(trials) == len(WRECKED) + 4
    assert seconds < 300


@pytest.mark.parametrize("planner", ["cem", "fair", "demo", "once"])
def test_fair_planners_and_one_that_crashed_once_have_their_rows(swept, planner):
    assert said(swept[1], planner) == ("ok", "")


@pytest.mark.parametrize(("planner", "words"), WRECKED.items())
def test_a_wrecker_is_an_error_row_that_says_what_happened(swept, planner, words):
    status, sentence = said(swept[1], planner)
    assert status == "error"
    for word in words:
        assert word in sentence


@pytest.fixture(scope="module")
def swept_with_a_bad_model(tmp_path_factory):
    """A sweep of planners for which the model misbehaves, one fault each, and of a fair one."""
    planners = [f"{WRECKERS}:{name}" for name in (*BY_THE_MODEL, "Fair")]
    return sweep(tmp_path_factory.mktemp("bad"), f"{WRECKERS}:Bad", planners)


@pytest.mark.parametrize(("planner", "words"), BY_THE_MODEL.items())
def test_a_bad_model_is_an_error_row_that_says_what_happened(
    swept_with_a_bad_model, planner, words
):
    code, trials, _ = swept_with_a_bad_model
    assert code == 1
    assert said(trials, "fair") == ("ok", "")
    status, sentence = said(trials, planner)
    assert status == "error"
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("model", "seconds", "word"),
    [("Deadly", 120, "ended with code 5"), ("Endless", 5, "--trial-timeout")],
)
def test_a_model_that_cannot_be_tried_is_one_sentence(refused, model, seconds, word):
    sentence = refused(
        "sweep", "--planners", "demo", *GRID, "--trial-timeout", seconds, "--model",
        f"{WRECKERS}:{model}",
    )  # fmt: skip
    assert word in sentence


def test_no_process_outlives_the_sweep(swept):
    left = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        left += [process for part in command if part == "grasp-bench-sleeper"]
    assert left == []


def test_an_unknown_executor_is_one_sentence(refused, responsive_checkpoint):
    sentence = refused(
        "run", "--planner", "cem", "--horizon", 20, "--model", responsive_checkpoint,
        "--executor", "lokal",
    )  # fmt: skip
    assert "did you mean 'local'?" in sentence
