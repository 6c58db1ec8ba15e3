import io

import pytest
from rich.console import Console

from grasp_bench.progress import SECONDS_BETWEEN_LINES, SweepProgress, trial_line


class Timer:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def shown():
    """A progress display on something that is no terminal, its timer, and what it printed."""
    timer, console = Timer(), Console(file=io.StringIO(), width=200)

    def make(line_per_trial=False):
        progress = SweepProgress(console, {"cem": 50, "grasp": 50}, line_per_trial, now=timer)
        return progress, timer, lambda: console.file.getvalue().splitlines()

    return make


def test_without_a_terminal_a_line_appears_now_and_then(shown, make_row):
    progress, timer, lines = shown()
    with progress:
        progress.recall("cem", 10, 1)
        for _ in range(30):
            timer.seconds += SECONDS_BETWEEN_LINES / 10
            progress.add([make_row(success=True)])
    assert len(lines()) == 3
    # 30 trials took 90 s, so the 60 that are left take 180 s.
    assert lines()[-1] == "40/100 trials, about 3 min left: cem 10.0%, grasp 100.0%"
    assert progress.done == 40


def test_errors_are_kept_apart(shown, make_row):
    progress, _, lines = shown(line_per_trial=True)
    with progress:
        progress.add([make_row(status="error", error="Traceback\n  x\nValueError: bad\n")])
    assert progress.done == 0
    assert [row["task_id"] for row in progress.errors] == ["pusht-h40-0000"]
    assert lines() == ["pusht-h40-0000  grasp  error: ValueError: bad"]


def test_a_line_says_how_a_trial_ended(make_row):
    success = make_row(success=True, time_to_success=1.234, iterations_to_success=120)
    assert trial_line(success).endswith("grasp  success after 1.23 s (120 iterations)")
    assert trial_line(make_row()).endswith(
        "failure after 5 s (500 iterations): no plan within the budget"
    )
    failure = make_row(
        blind_block_distance=33.3, blind_block_angle_error=12.0, blind_cost_predicted=0.01,
        blind_cost_realised=0.5, clock="iterations", planner_time=100.0,
    )  # fmt: skip
    assert trial_line(failure).endswith(
        "failure after 100 candidates (500 iterations): block 33 px and 12\u00b0 from its goal, "
        "model cost predicted 0.01, realised 0.5"
    )
