import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from grasp_bench.envs.pusht.criteria import (
    block_in_goal_region,
    in_goal_region,
    wrapped_angle_error,
)
from grasp_bench.envs.pusht.demonstrator import Demonstrator, demonstrate, sample_start
from grasp_bench.envs.pusht.gym_env import PushTEnv
from grasp_bench.envs.pusht.simulator import (
    BAR,
    STEM,
    PushT,
    block_frame_to_world,
    distance_to_block,
    rollout,
)


def gym_pusht_episode(seed: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """States and relative actions of a contact-rich episode of the reference environment."""
    from gym_pusht.envs.pusht import PushTEnv as ReferenceEnv

    rng = np.random.default_rng(seed)
    reference = ReferenceEnv(obs_type="state")

    def state() -> np.ndarray:
        agent, block = reference.agent, reference.block
        return np.array([*agent.position, *block.position, block.angle, *agent.velocity])

    # The reference steps once after a reset and sets the angle last, which shifts the block.
    # A start that touches nothing then keeps no contact that its state does not show.
    while True:
        reference.reset(seed=seed, options={"reset_to_state": sample_start(rng)[:5]})
        corners = block_frame_to_world([*BAR, *STEM], state())
        apart = distance_to_block(state()[:2], state()) > 17.0
        if apart and corners.min() > 10.0 and corners.max() < 501.0:
            break
    demonstrator = Demonstrator(rng)
    states, actions = [state()], []
    for _ in range(steps):
        actions.append(demonstrator.act(states[-1]))
        reference.step(np.array(reference.agent.position) + 100.0 * actions[-1])
        states.append(state())
    return np.array(states), np.array(actions)


@pytest.mark.parametrize("seed", range(20))
def test_physics_equal_gym_pusht_over_contact_rich_episodes(seed):
    states, actions = gym_pusht_episode(seed, 60)
    ours = rollout(states[:1], actions[None])[0]
    assert np.abs(ours - states).max() < 1e-9


def test_the_comparison_with_gym_pusht_is_contact_rich():
    moved = [np.ptp(gym_pusht_episode(seed, 60)[0][:, 2:4]) for seed in range(6)]
    assert np.median(moved) > 40.0


def test_a_state_is_set_and_read_back_bit_for_bit():
    rng = np.random.default_rng(0)
    for _ in range(200):
        state = sample_start(rng)
        state[5:] = rng.normal(0, 75, 2)
        world = PushT(state)
        assert world.get_state().tobytes() == state.tobytes()
        world.step(rng.uniform(-1, 1, 2))
        world.set_state(state)
        assert world.get_state().tobytes() == state.tobytes()


def test_replays_from_a_set_state_are_bitwise_equal():
    states, actions = demonstrate(np.random.default_rng(5), 120)
    first = rollout(states[[40]], actions[None, 40:])
    again = rollout(states[[40, 40]], np.stack([actions[40:]] * 2))
    assert first.tobytes() == again[:1].tobytes() == again[1:].tobytes()


def test_zero_action_stops_the_agent_and_leaves_a_free_block_alone():
    state = np.array([100.0, 100.0, 300.0, 300.0, 0.5, 60.0, 0.0])
    end = rollout(state[None], np.zeros((1, 30, 2)))[0, -1]
    assert np.abs(end[5:]).max() < 1.0
    np.testing.assert_allclose(end[2:5], state[2:5], atol=1e-9)


def test_a_push_moves_the_block_and_walls_hold_it():
    bar_end = np.array([100.0, 215.0, 200.0, 200.0, 0.0, 0.0, 0.0])
    states = rollout(bar_end[None], np.tile([0.3, 0.0], (1, 12, 1)))[0]
    assert states[-1, 2] > 220.0
    assert distance_to_block(states[-1, :2], states[-1]) < 16.0
    at_the_wall = np.array([256.0, 300.0, 256.0, 375.0, 0.0, 0.0, 0.0])
    states = rollout(at_the_wall[None], np.tile([0.0, 0.2], (1, 12, 1)))[0]
    stem_end = states[-1, 3] + 120.0 * np.cos(states[-1, 4])
    assert 495.0 < stem_end < 510.0


def test_actions_beyond_the_box_are_clipped():
    state = sample_start(np.random.default_rng(1))[None]
    large, one = np.full((1, 5, 2), 7.0), np.ones((1, 5, 2))
    np.testing.assert_array_equal(rollout(state, large), rollout(state, one))


@pytest.mark.parametrize("state", [np.zeros(6), np.full(7, np.nan)])
def test_a_state_that_is_none_is_refused(state):
    with pytest.raises(ValueError, match="7 finite numbers"):
        PushT(state)


def test_rollout_refuses_shapes_that_do_not_match():
    with pytest.raises(ValueError, match=r"\[B, 7\]"):
        rollout(np.zeros((2, 7)), np.zeros((3, 5, 2)))


def test_goal_region_is_the_papers():
    goal = np.array([100.0, 100.0, 200.0, 200.0, 3.1, 0.0, 0.0])
    near = goal + [10.0, 10.0, 9.9, 9.9, 0.0, 50.0, 50.0]
    assert in_goal_region(near, goal)
    assert not in_goal_region(goal + [10.0, 10.0, 10.1, 10.0, 0, 0, 0], goal)
    assert in_goal_region(goal + [0, 0, 0, 0, 2 * np.pi + 0.34, 0, 0], goal)
    assert not in_goal_region(goal + [0, 0, 0, 0, 0.35, 0, 0], goal)
    far_agent = goal + [300.0, 0, 0, 0, 0, 0, 0]
    assert block_in_goal_region(far_agent, goal)
    assert not in_goal_region(far_agent, goal)
    assert wrapped_angle_error(np.pi - 0.1, -np.pi + 0.1) == pytest.approx(0.2)


def test_the_environment_passes_gymnasiums_checker():
    env = gym.make("grasp_bench.envs.gym:grasp_bench/PushT-v0", render_mode="rgb_array")
    check_env(env.unwrapped)


def test_reset_options_take_effect_exactly_and_reaching_the_goal_ends_the_episode():
    env = gym.make(
        "grasp_bench.envs.gym:grasp_bench/PushT-v0", render_mode="rgb_array", image_size=32
    )
    start = np.array([300.0, 300.0, 200.0, 200.0, 0.3, 0.0, 0.0])
    goal = start + [50.0, 0, 0, 0, 0, 0, 0]
    observation, info = env.reset(seed=3, options={"state": start, "goal_state": goal})
    np.testing.assert_array_equal(info["state"], start)
    np.testing.assert_array_equal(observation["proprio"], [300.0, 300.0, 0.0, 0.0])
    assert observation["pixels"].shape == (32, 32, 3)
    terminated, reward = False, 0.0
    for _ in range(20):
        _, reward, terminated, _, info = env.step(np.array([0.3, 0.0], dtype=np.float32))
        if terminated:
            break
    assert terminated
    assert reward == 1.0
    assert info["is_success"]
    assert env.render().shape == (512, 512, 3)


def test_human_mode_opens_a_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make("grasp_bench.envs.gym:grasp_bench/PushT-v0", render_mode="human")
    env.reset(seed=0)
    env.step(np.zeros(2, dtype=np.float32))
    env.close()


@pytest.fixture
def gym_env():
    env = PushTEnv()
    env.reset(seed=4)
    env.step(np.array([0.5, -0.5], dtype=np.float32))
    return env


@pytest.mark.parametrize(
    "action",
    [
        [np.nan, 0.0],
        [0.0, np.inf],
        [-np.inf, np.nan],
        [],
        0.5,
        [0.1, 0.2, 0.3],
        [[0.1, 0.2]],
        [[0.1], [0.2, 0.3]],
        ["0.1", "0.2"],
        "north",
        None,
        [None, 0.0],
        [1j, 0.0],
        [True, False],
        {"x": 1.0},
        pytest.param(object(), id="object"),
    ],
    ids=repr,
)
def test_an_action_that_is_none_is_refused_and_changes_nothing(gym_env, action):
    twin = PushTEnv()
    twin.reset(seed=4)
    twin.step(np.array([0.5, -0.5], dtype=np.float32))
    with pytest.raises(ValueError, match="action must be 2 finite numbers"):
        gym_env.step(action)
    _, _, _, _, info = gym_env.step([0.25, 0])
    _, _, _, _, expected = twin.step(np.array([0.25, 0.0], dtype=np.float32))
    assert info["state"].tobytes() == expected["state"].tobytes()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"reset_to_state": np.zeros(5)}, "reset_to_state"),
        ({"state": np.full(7, 200.0), "goal": np.zeros(7)}, "goal"),
        ({"state": np.full(7, np.nan)}, "state"),
        ({"goal_state": np.full(6, 200.0)}, "goal_state"),
        ({"goal_state": "centre"}, "goal_state"),
        ({"state": [None] * 7}, "state"),
        ({"state": np.full(7, 1e12)}, "state"),
        ({"state": [-(2**63)] * 7}, "state"),
        ({"state": np.ones(7, bool)}, "state"),
        ({3: 4}, "3"),
        ([1, 2], "list"),
        ("state", "str"),
    ],
)
def test_reset_options_that_are_none_are_named_and_change_nothing(gym_env, options, named):
    random = gym_env.np_random.bit_generator.state
    before = gym_env._info()
    with pytest.raises(ValueError, match=named):
        gym_env.reset(seed=9, options=options)
    assert gym_env.np_random.bit_generator.state == random
    after = gym_env._info()
    np.testing.assert_array_equal(after["state"], before["state"])
    np.testing.assert_array_equal(after["goal_state"], before["goal_state"])


def test_options_may_be_whole_numbers_or_lists(gym_env):
    _, info = gym_env.reset(options={"state": [100, 100, 300, 300, 0, 0, 0], "goal_state": None})
    assert info["state"].tolist() == [100, 100, 300, 300, 0, 0, 0]
