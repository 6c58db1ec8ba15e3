"""Push-T as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from grasp_bench.core.types import FloatArray
from grasp_bench.envs.pusht.criteria import block_in_goal_region, in_goal_region
from grasp_bench.envs.pusht.demonstrator import sample_start
from grasp_bench.envs.pusht.render import render
from grasp_bench.envs.pusht.simulator import ACTION_DIM, CONTROL_HZ, STATE_DIM, PushT
from grasp_bench.envs.window import Window

ObsType = dict[str, np.ndarray]

_OPTIONS = ("state", "goal_state")
_FARTHEST = 1e6  # px, px/s, rad: the physics stay finite


class PushTEnv(gym.Env[ObsType, np.ndarray]):
    """Asks for pushing a T-shaped block, and moving the agent, to a goal pose.

    | Actions | shape | range | unit |
    |---|---|---|---|
    | target of the agent, relative to where it is | (2,) float32 | [-1, 1] | 100 px |

    A PD controller (stiffness 100, damping 20) drives the agent towards the target for
    0.1 s, ten physics substeps.

    | Observations | shape | type | unit |
    |---|---|---|---|
    | `pixels`: the 512 x 512 px workspace | (image_size, image_size, 3) | uint8 | RGB |
    | `proprio`: agent x, y, vx, vy | (4,) | float64 | px, px/s |

    **Reward**: 1 when the state is in the goal region, else 0. **Goal region**: the distance
    of (agent x, agent y, block x, block y) to the goal's is below 20 px and the wrapped
    difference of the block's angle below pi / 9. **Termination**: in the goal region.
    **Truncation**: none of its own; `gymnasium.make` adds 300 steps.

    **Info**: `state` (7,) and `goal_state` (7,): agent x, y, block x, y, block angle, agent
    vx, vy; `is_success`; `is_success_block`, the same for the block alone.

    **Reset**: a random start and a random goal, both at rest; `options` may give `state`
    and `goal_state`, which take effect exactly.

    **Errors**: a `ValueError` for an action or an option that is none; the episode then goes
    on as if it had not been given.

    **Rendering**: `rgb_array` returns 512 x 512 RGB with the goal in green; `human` shows it
    in a pygame window in real time.

    **Versions**: v0, the first; physics equal to gym-pusht 0.1.8's.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": CONTROL_HZ}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None, image_size: int = 64) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode is 'rgb_array' or 'human', not {render_mode!r}")
        self.render_mode = render_mode
        self._image_size = image_size
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)
        self.observation_space: spaces.Dict = spaces.Dict(  # type: ignore[assignment]
            {
                "pixels": spaces.Box(0, 255, (image_size, image_size, 3), np.uint8),
                "proprio": spaces.Box(-np.inf, np.inf, (4,), np.float64),
            }
        )
        self._world: PushT | None = None
        self._goal: FloatArray = np.zeros(7)
        self._window: Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsType, dict[str, Any]]:
        """Starts an episode; `options` may hold `state` and `goal_state`, [7] each.

        Raises:
            ValueError: `options` holds anything else.
        """
        start, goal = _given_states(options)
        super().reset(seed=seed)
        self._world = PushT(sample_start(self.np_random) if start is None else start)
        self._goal = PushT(sample_start(self.np_random) if goal is None else goal).get_state()
        if self.render_mode == "human":
            self.render()
        return self._observation(), self._info()

    def step(self, action: np.ndarray) -> tuple[ObsType, float, bool, bool, dict[str, Any]]:
        """Takes one action [2]; see the class for reward and termination.

        Raises:
            ValueError: it is not 2 finite numbers.
        """
        self._running().step(_numbers(action, "action", ACTION_DIM))
        info = self._info()
        if self.render_mode == "human":
            self.render()
        success = bool(info["is_success"])
        return self._observation(), float(success), success, False, info

    def render(self) -> np.ndarray | None:
        """Returns a picture (512, 512, 3) in mode `rgb_array`; shows it in mode `human`."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: 'rgb_array' or 'human'")
            return None
        picture: np.ndarray = render(self._running().get_state()[None], 512, self._goal[None])[0]
        if self.render_mode == "rgb_array":
            return picture
        if self._window is None:
            height, width, _ = picture.shape
            self._window = Window(width, height, "Push-T", self.metadata["render_fps"])
        self._window.events()
        self._window.show(picture)
        return None

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _running(self) -> PushT:
        if self._world is None:
            raise gym.error.ResetNeeded("call reset() before step() and render()")
        return self._world

    def _observation(self) -> ObsType:
        state = self._running().get_state()
        pixels = render(state[None], self._image_size)[0]
        return {"pixels": pixels, "proprio": state[[0, 1, 5, 6]]}

    def _info(self) -> dict[str, Any]:
        state = self._running().get_state()
        return {
            "state": state,
            "goal_state": self._goal.copy(),
            "is_success": bool(in_goal_region(state, self._goal)),
            "is_success_block": bool(block_in_goal_region(state, self._goal)),
        }


def _given_states(options: object) -> list[FloatArray | None]:
    """Returns the start and the goal that `options` of a reset give, None for a random one."""
    given = {} if options is None else options
    if not isinstance(given, Mapping):
        raise ValueError(f"options is a {type(given).__name__}, not a dictionary of {_OPTIONS}")
    if unknown := [key for key in given if key not in _OPTIONS]:
        raise ValueError(f"unknown reset options {unknown}: expected {_OPTIONS}")
    return [
        None if given.get(name) is None else _numbers(given[name], name, STATE_DIM, _FARTHEST)
        for name in _OPTIONS
    ]


def _numbers(value: object, what: str, size: int, most: float = np.inf) -> FloatArray:
    """Returns real numbers [size] as an array; raises ValueError for anything else."""
    try:
        found = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged, or on another device
        raise ValueError(f"{what} must be {size} finite numbers: {error}") from error
    if found.dtype.kind not in "fiu" or found.shape != (size,) or not np.isfinite(found).all():
        raise ValueError(f"{what} must be {size} finite numbers, not {value!r}")
    numbers: FloatArray = found.astype(np.float64)
    if np.abs(numbers).max() > most:
        raise ValueError(f"{what} must hold numbers up to {most:g}, not {value!r}")
    return numbers
