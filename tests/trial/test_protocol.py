import math

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
