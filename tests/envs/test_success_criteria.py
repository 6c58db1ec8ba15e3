"""Every success criterion of the field, at the edge of its region, and gym-pusht's reward."""

import numpy as np
import pytest

from grasp_bench.envs import get_environment
from grasp_bench.envs.pusht.criteria import coverage, covers_goal

GOAL = np.array([100.0, 120.0, 256.0, 300.0, 0.7, 0.0, 0.0])
PUSHT = get_environment("pusht")


def held(*errors, steps=10):
    """States [1, steps + 1, 7] that err by (agent x, block x, angle) for one step each, at last."""
    far = GOAL + [0, 0, 60, 0, 0.9, 0, 0]
    states = np.tile(far, (steps + 1, 1))
    for place, (agent, block, angle) in enumerate(errors, start=steps + 1 - len(errors)):
        states[place] = GOAL + [agent, 0, block, 0, np.radians(angle), 0, 0]
    return states[None]


def judged(*errors):
    (outcome,) = PUSHT.outcomes(held(*errors), GOAL[None])
    return {name for name, holds in outcome.criteria.items() if holds}


FAR = (99, 99, 99)
ALL = {"within", "final", "block", "moderate", "strict", "coverage"}


@pytest.mark.parametrize(
    ("errors", "holds"),
    [
        ([(0, 0, 0)] * 3, ALL),
        ([(0, 0, 0)] * 3 + [FAR], ALL - {"final", "block"}),
        ([(0, 0, 0)] * 2, ALL - {"strict"}),
        ([(0, 0, 0), (0, 11, 0), (0, 0, 0), (0, 0, 0)], ALL - {"strict"}),
        ([(0, 9, 9)] * 3, ALL - {"coverage"}),
        ([(0, 9, 11)] * 3, ALL - {"strict", "coverage"}),
        ([(19, 0, 0)] * 3, ALL),
        ([(21, 0, 0)] * 3, ALL - {"within", "final", "moderate"}),
        ([(15, 15, 0)], {"block"}),  # 21 px together
        ([(0, 19, 19)], {"within", "final", "moderate", "block"}),
        ([(0, 19, 21)], set()),
        ([FAR], set()),
    ],
)
def test_each_criterion_holds_where_its_source_says(errors, holds):
    assert judged(*errors) == holds


def test_a_plan_of_two_steps_is_never_held_for_three():
    (outcome,) = PUSHT.outcomes(held(*[(0, 0, 0)] * 2, steps=2), GOAL[None])
    assert not outcome.criteria["strict"]
    assert outcome.criteria["coverage"]


def test_coverage_is_gym_pushts():
    pytest.importorskip("gym_pusht")
    from gym_pusht.envs.pusht import PushTEnv

    reference, rng = PushTEnv(obs_type="state"), np.random.default_rng(0)
    reference.reset(seed=0)
    shares = []
    for _ in range(200):
        goal = np.array([0, 0, *rng.uniform(150, 350, 2), rng.uniform(-4, 4), 0, 0])
        block = goal + [0, 0, *rng.normal(0, 6, 2), rng.normal(0, 0.15), 0, 0]
        reference.goal_pose = goal[2:5]
        reference.block.angle = block[4]
        reference.block.position = tuple(block[2:4])
        share = reference._get_coverage()
        assert coverage(block, goal) == pytest.approx(share, abs=1e-9)
        assert covers_goal(block, goal) == (share > 0.95)
        shares.append(share)
    assert min(shares) < 0.5
    assert max(shares) > 0.95
    assert sum(share > 0.95 for share in shares) >= 3


def test_what_the_quick_look_leaves_out_does_not_cover():
    rng = np.random.default_rng(1)
    way = rng.uniform(0, 2 * np.pi, 500)
    far = GOAL + np.zeros((500, 7))
    far[:, 2:4] += 10 * np.stack([np.cos(way), np.sin(way)], axis=1)
    far[:, 4] += rng.uniform(-0.2, 0.2, 500)
    turned = GOAL + np.zeros((500, 7))
    turned[:, 2:4] += rng.uniform(-10, 10, (500, 2))
    turned[:, 4] += 0.2 * rng.choice([-1, 1], 500)
    assert coverage(np.concatenate([far, turned]), GOAL).max() < 0.9
