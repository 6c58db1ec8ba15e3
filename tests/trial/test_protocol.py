import math

import numpy as np
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.trial.protocol import TrialProtocol


@pytest.mark.parametrize(
    ("clock", "budget", "check_first"), [("wall", 5.0, 0.02), ("iterations", 100.0, 1.0)]
)
def test_the_clock_decides_what_is_not_given(clock, budget, check_first):
    protocol = TrialProtocol(clock=clock)
    assert (protocol.budget, protocol.check_first) == (budget, check_first)
    given = TrialProtocol(clock=clock, budget=7.0, check_first=3.0)
    assert (given.budget, given.check_first) == (7.0, 3.0)


def test_a_closed_loop_replans_after_every_step_unless_it_is_told():
    assert TrialProtocol().replan_every is None
    assert TrialProtocol(protocol="mpc").replan_every == 1
    assert TrialProtocol(protocol="mpc", replan_every=3).replan_every == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("protocol", "closed-loop"),
        ("clock", "seconds"),
        ("stop", "always"),
        ("budget", 0.0),
        ("budget", math.nan),
        ("budget", math.inf),
        ("budget", -2.5),
        ("budget", "5"),
        ("budget", True),
        ("budget", 10**400),
        ("batch", 2.5),
        ("batch", None),
        ("batch", 10**30),
        ("threads", 4096),
        ("max_iterations", 2**63),
        ("check_ratio", math.nan),
        ("check_ratio", 0.5),
        ("batch", 0),
        ("threads", -1),
        ("max_iterations", 0),
        ("replan_every", 2),  # open loop
        ("check_first", 0.0),
        ("check_ratio", 1.0),
    ],
)
def test_a_value_out_of_its_range_is_named(name, value):
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} "):
        TrialProtocol(**{name: value})


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "0", None])
def test_a_seed_is_a_whole_number_of_63_bits(seed):
    with pytest.raises(UserError, match="--seed"):
        TrialProtocol(master_seed=seed)
    assert TrialProtocol(master_seed=2**63 - 1).master_seed == 2**63 - 1


@pytest.mark.parametrize("budget", [0.5, 0.999])
def test_a_budget_of_less_than_a_candidate_is_no_budget_on_the_iteration_clock(budget):
    with pytest.raises(UserError, match="--budget"):
        TrialProtocol(clock="iterations", budget=budget)
    assert TrialProtocol(clock="iterations", budget=1).budget == 1
    assert TrialProtocol(clock="wall", budget=budget).budget == budget


def test_numbers_of_numpy_are_numbers():
    protocol = TrialProtocol(batch=np.int64(2), budget=np.float32(1.5), max_iterations=np.int32(9))
    assert (protocol.batch, protocol.budget, protocol.max_iterations) == (2, 1.5, 9)
