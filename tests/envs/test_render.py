import numpy as np

from grasp_bench.envs.pusht.render import AGENT_COLOUR, BLOCK_COLOUR, GOAL_COLOUR, render
from grasp_bench.envs.pusht.simulator import block_frame_to_world

STATE = np.array([100.0, 150.0, 300.0, 280.0, 0.7, 0.0, 0.0])


def colour_at(picture, point):
    column, row = (np.asarray(point) / 512 * len(picture)).astype(int)
    return picture[row, column]


def test_agent_and_block_are_where_the_state_says():
    picture = render(STATE[None], 256)[0]
    assert (colour_at(picture, STATE[:2]) == AGENT_COLOUR).all()
    inside = block_frame_to_world([[-50, 15], [50, 15], [0, 110]], STATE)
    assert all((colour_at(picture, p) == BLOCK_COLOUR).all() for p in inside)
    beside = block_frame_to_world([[-40, 60], [40, 60], [0, -10]], STATE)
    assert all((colour_at(picture, p) == 255).all() for p in beside)


def test_painted_area_is_the_shapes_area_whatever_the_resolution():
    for size in (32, 64, 128):
        grey = 255.0 - render(STATE[None], size)[0, ..., 0].astype(float)
        area = grey.sum() * (512 / size) ** 2
        block, agent = (120 * 30 + 30 * 90) * (255 - 119), np.pi * 15**2 * (255 - 65)
        assert abs(area / (block + agent) - 1) < 0.02


def test_a_tenth_of_a_pixel_shows():
    moved = STATE + [0, 0, 0.8, 0, 0, 0, 0]
    assert (render(STATE[None]) != render(moved[None])).any()


def test_batches_equal_single_pictures_and_goals_lie_below():
    states = STATE + np.arange(20)[:, None] * [1, 2, 3, 4, 0.1, 0, 0]
    batch = render(states, 64, goals=states[::-1])
    single = [render(s[None], 64, goals=g[None])[0] for s, g in zip(states, states[::-1])]
    np.testing.assert_array_equal(batch, single)
    goal = STATE + [250, 200, -150, 100, 1, 0, 0]
    assert (colour_at(render(STATE[None], 256, goal[None])[0], goal[:2]) == GOAL_COLOUR).all()
