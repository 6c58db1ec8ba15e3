import pytest
import torch

from grasp_bench.core.types import Candidate
from grasp_bench.trial.clock import CheckGrid, Clock, IterationClock

CANDIDATE = Candidate(torch.zeros(1, 1, 2), torch.zeros(1), 0)


def test_wall_clock_counts_the_planners_seconds_and_no_others(timer):
    def planner():
        timer.seconds += 2.0
        yield CANDIDATE
        timer.seconds += 0.5
        yield CANDIDATE

    clock, candidates = Clock("cpu", now=timer), planner()
    timer.seconds += 100
    assert clock.next_candidate(candidates) is CANDIDATE
    assert clock.elapsed == 2.0
    timer.seconds += 100
    clock.next_candidate(candidates)
    assert clock.elapsed == 2.5


def test_wall_clock_counts_the_work_of_a_planner_that_ends(timer):
    def planner():
        timer.seconds += 3.0
        yield from ()

    clock = Clock("cpu", now=timer)
    assert clock.next_candidate(planner()) is None
    assert clock.elapsed == 3.0


def test_iteration_clock_counts_candidates():
    clock, candidates = IterationClock(), iter([CANDIDATE, CANDIDATE])
    clock.next_candidate(candidates)
    clock.next_candidate(candidates)
    assert clock.elapsed == 2
    assert clock.seconds > 0
    assert clock.next_candidate(candidates) is None
    assert clock.elapsed == 2


@pytest.mark.parametrize(
    ("elapsed", "following"), [(0.0, 1.0), (0.99, 1.0), (1.0, 2.0), (3.0, 4.0), (100.0, 128.0)]
)
def test_checks_stand_on_a_geometric_grid(elapsed, following):
    assert CheckGrid(1.0, 2.0).next_after(elapsed) == following
