import numpy as np
import pytest

from grasp_bench.envs.pusht.demonstrator import demonstrate, sample_start
from grasp_bench.envs.pusht.simulator import distance_to_block, rollout


@pytest.fixture(scope="module")
def demonstrations():
    rng = np.random.default_rng(11)
    episodes = [demonstrate(rng, 120) for _ in range(60)]
    return np.stack([s for s, _ in episodes]), np.stack([a for _, a in episodes])


def test_action_and_velocity_statistics_are_near_those_of_dino_wms_data(demonstrations):
    states, actions = demonstrations
    assert 0.17 < actions.std() < 0.23
    assert np.abs(actions.mean(axis=(0, 1))).max() < 0.03
    assert 55 < states[..., 5:].std() < 90


def test_the_block_goes_further_the_longer_the_horizon(demonstrations):
    states, _ = demonstrations
    moved = [
        np.linalg.norm(states[:, h:, 2:4] - states[:, :-h, 2:4], axis=-1).mean()
        for h in (10, 20, 40, 80)
    ]
    assert moved == sorted(moved)
    assert moved[-1] > 3 * moved[0]


def test_blocks_turn_as_well_as_slide(demonstrations):
    states, _ = demonstrations
    turned = np.abs(states[:, 80:, 4] - states[:, :-80, 4])
    assert np.degrees(np.median(turned)) > 20


def test_agent_stays_in_the_workspace_and_actions_in_the_box(demonstrations):
    states, actions = demonstrations
    assert states[..., :2].min() > 10
    assert states[..., :2].max() < 502
    assert np.abs(actions).max() <= 1


def test_starts_keep_agent_and_block_apart_and_inside():
    rng = np.random.default_rng(0)
    for _ in range(200):
        state = sample_start(rng)
        assert distance_to_block(state[:2], state) > 15
        assert not state[5:].any()


def test_the_same_seed_gives_the_same_demonstration_and_it_replays():
    states, actions = demonstrate(np.random.default_rng(4), 60)
    again, same_actions = demonstrate(np.random.default_rng(4), 60)
    np.testing.assert_array_equal(states, again)
    np.testing.assert_array_equal(actions, same_actions)
    np.testing.assert_array_equal(rollout(states[:1], actions[None])[0], states)
