import io
import traceback

import pytest
from rich.console import Console

from grasp_bench.run.progress import SECONDS_BETWEEN_LINES, SweepProgress, trial_line


@pytest.fixture
def shown(timer):
    """A progress display on something that is no terminal, and what it printed."""
    console = Console(file=io.StringIO(), width=200)

    def make(line_per_trial=False):
        progress = SweepProgress(console, {"cem": 50, "grasp": 50}, line_per_trial, now=timer)
        return progress, lambda: console.file.getvalue().splitlines()

    return make


def test_without_a_terminal_a_line_appears_now_and_then(shown, timer, make_row):
    progress, lines = shown()
    with progress:
        progress.count("cem", 10, 1)
        for _ in range(30):
            timer.seconds += SECONDS_BETWEEN_LINES / 10
            progress.add([make_row(success=True)])
    assert len(lines()) == 3
    # 30 trials took 90 s, so the 60 that are left take 180 s.
    assert all(part in lines()[-1] for part in ("40/100", "3 min", "cem 10.0%", "grasp 100.0%"))
    assert progress.done == 40


def test_errors_are_kept_apart(shown, make_row):
    progress, lines = shown(line_per_trial=True)
    with progress:
        progress.add([make_row(status="error", error="Traceback\n  x\nValueError: bad\n")])
    assert progress.done == 0
    assert [row["task_id"] for row in progress.errors] == ["pusht-h40-0000"]
    (line,) = lines()
    assert line.startswith("pusht-h40-0000")
    assert line.endswith("ValueError: bad")


def test_a_group_of_exceptions_is_named_by_its_own_line(make_row):
    try:
        raise ExceptionGroup("many", [ValueError("one"), KeyError("two")])
    except ExceptionGroup:
        row = make_row(status="error", error=traceback.format_exc())
    assert trial_line(row).endswith("error: ExceptionGroup: many (2 sub-exceptions)")
    assert trial_line(row | {"error": None}).endswith("error: no message")


def test_a_trial_that_raised_or_has_no_plan_lowers_the_rate(shown, timer, make_row):
    progress, lines = shown()
    with progress:
        progress.add([make_row(success=True) for _ in range(5)])
        progress.add([make_row(status="error", success=None, candidates=None)] * 3)
        timer.seconds += SECONDS_BETWEEN_LINES
        progress.add([make_row(candidates=0)] * 2)
    assert "grasp 50.0% (3 raised, 2 no plan)" in lines()[-1]
    assert progress.done == 7


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (
            {"success": True, "time_to_success": 1.234, "iterations_to_success": 120},
            ["1.23 s", "120 iterations"],
        ),
        ({}, ["5 s", "500 iterations"]),
        (
            {
                "clock": "iterations",
                "planner_time": 100.0,
                "final_plan_block_distance": 33.3,
                "final_plan_block_angle_error": 12.0,
                "final_plan_cost_predicted": 0.01,
                "final_plan_cost_realised": 0.5,
            },
            ["100 candidates", "block distance 33.3", "block angle error 12.0", "0.01", "0.5"],
        ),
    ],
)
def test_a_line_says_how_a_trial_ended(make_row, values, numbers):
    line = trial_line(make_row(**values))
    assert line.startswith("pusht-h40-0000  grasp  ")
    assert ("success" in line) == bool(values.get("success"))
    assert all(number in line for number in numbers)
    assert "\n" not in line
