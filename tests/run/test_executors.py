"""Workers that die, hang or leak: the sweep goes on, and the row says what happened."""

import time
from pathlib import Path

import psutil
import pytest

from grasp_bench.core.errors import error_summary
from grasp_bench.run.store import read_results

WRECKERS = Path(__file__).with_name("wreckers.py")
GRID = ("--horizons", 20, "--trials", 1, "--clock", "iterations", "--budget", 1, "--stop", "never")


@pytest.fixture(scope="module")
def swept(tmp_path_factory, responsive_checkpoint):
    """A sweep of all wreckers and fair planners between them, by two workers."""
    from grasp_bench.cli.app import main

    folder = tmp_path_factory.mktemp("wrecked")
    names = ("Leaver", "Fair", "Killed", "Sleeper", "Hoarder", "Once")
    planners = ",".join(["cem", *(f"{WRECKERS}:{name}" for name in names), "demo"])
    arguments = [
        "sweep", "--planners", planners, *GRID, "--model", responsive_checkpoint, "--workers", 2,
        "--trial-timeout", 20, "--trial-memory", 1200, "--out", folder / "out",
        "--set", f"{WRECKERS}:Once.mark={folder / 'mark'}",
    ]  # fmt: skip
    begun = time.monotonic()
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code, read_results(folder / "out"), time.monotonic() - begun


def said(trials, planner):
    (row,) = trials[trials["planner"] == planner].to_dict("records")
    return row["status"], error_summary(row["error"]) if row["status"] == "error" else ""


def test_the_sweep_completes_and_says_that_trials_failed(swept):
    code, trials, seconds = swept
    assert code == 1
    assert len(trials) == 8
    assert seconds < 120


@pytest.mark.parametrize("planner", ["cem", "fair", "demo", "once"])
def test_fair_planners_and_one_that_crashed_once_have_their_rows(swept, planner):
    assert said(swept[1], planner) == ("ok", "")


@pytest.mark.parametrize(
    ("planner", "words"),
    [
        ("leaver", ("ended with code 3", "3 times")),
        ("killed", ("died of SIGKILL", "3 times")),
        ("sleeper", ("no end after 20 seconds", "--trial-timeout")),
        ("hoarder", ("more than 1200 MiB", "--trial-memory")),
    ],
)
def test_a_wrecker_is_an_error_row_that_says_what_happened(swept, planner, words):
    status, sentence = said(swept[1], planner)
    assert status == "error"
    for word in words:
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
