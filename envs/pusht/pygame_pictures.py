"""Draws Push-T as DINO-WM and its peers see it: pygame, whole pixels, the goal T in green.

Their pictures are 512 px drawings, resized by OpenCV: gym-pusht's shapes and colours, with
vertices rounded to whole pixels, outlines two pixels wide and a T at (256, 256, π / 4), whatever
the task's goal is. Needs the extra `models`.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it greets on stdout
import pygame

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import FloatArray
from grasp_bench.envs.pusht.simulator import (
    AGENT_RADIUS,
    BAR,
    STEM,
    WALL_HIGH,
    WALL_LOW,
    WALL_RADIUS,
    WORKSPACE,
)

Point = tuple[float, float]
Pixel = tuple[int, int]
Colour = tuple[int, int, int]

# A line may differ by a pixel from one drawn the other way: corners and ends in pymunk's order.
_OUTLINES = (
    ((-60.0, 0.0), (60.0, 0.0), (60.0, 30.0), (-60.0, 30.0)),
    ((-15.0, 30.0), (15.0, 30.0), (15.0, 120.0), (-15.0, 120.0)),
)
_LOW, _HIGH = round(WALL_LOW), round(WALL_HIGH)
_WALLS = (
    ((_LOW, _HIGH), (_LOW, _LOW)),
    ((_LOW, _LOW), (_HIGH, _LOW)),
    ((_HIGH, _LOW), (_HIGH, _HIGH)),
    ((_LOW, _HIGH), (_HIGH, _HIGH)),
)
_SHOWN_GOAL = (256.0, 256.0, math.pi / 4)
_AGENT: Colour = (65, 105, 225)
_BLOCK: Colour = (119, 136, 153)
_WALL: Colour = (211, 211, 211)
_GOAL: Colour = (144, 238, 144)
_WHITE: Colour = (255, 255, 255)
_LIGHTER = 1.2
_OUTLINE = 2.0  # px, of the block
_RIM = 4  # px of the agent's disc that are not lighter


def draw(states: FloatArray, size: int) -> NDArray[np.uint8]:
    """Draws states [B, 7] as pictures [B, size, size, 3], row 0 at workspace y = 0.

    Raises:
        UserError: OpenCV is not installed.
    """
    resize = _opencv().resize
    pictures = np.empty((len(states), size, size, 3), dtype=np.uint8)
    for picture, state in zip(pictures, np.asarray(states, dtype=np.float64), strict=True):
        picture[:] = resize(_drawing(state), (size, size))
    return pictures


def _opencv() -> Any:
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise UserError(
            "pictures of the style 'pygame' need OpenCV: pip install 'grasp-bench[models]'"
        ) from error


def _drawing(state: FloatArray) -> NDArray[np.uint8]:
    """Draws one state [7] at full size, [512, 512, 3]."""
    canvas = pygame.Surface((int(WORKSPACE), int(WORKSPACE)))
    canvas.fill(_WHITE)
    for part in (BAR, STEM):
        pygame.draw.polygon(canvas, _GOAL, _placed(part, *_SHOWN_GOAL))
    agent_x, agent_y, block_x, block_y, angle = state[:5].tolist()
    for part in _OUTLINES:
        corners = _placed(part, block_x, block_y, angle)
        pygame.draw.polygon(canvas, _lighter(_BLOCK), corners)
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            _thick_line(canvas, a, b, _OUTLINE, _BLOCK)
    centre = _pixel((agent_x, agent_y))
    pygame.draw.circle(canvas, _AGENT, centre, round(AGENT_RADIUS))
    pygame.draw.circle(canvas, _lighter(_AGENT), centre, round(AGENT_RADIUS - _RIM))
    for a, b in _WALLS:
        _thick_line(canvas, a, b, WALL_RADIUS, _WALL)
    return np.ascontiguousarray(pygame.surfarray.array3d(canvas).transpose(1, 0, 2))


def _placed(part: Sequence[Point], x: float, y: float, angle: float) -> list[Pixel]:
    """Returns the corners of a part of the T in that pose, px."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [_pixel((x + cos * u - sin * v, y + sin * u + cos * v)) for u, v in part]


def _pixel(point: Point) -> Pixel:
    return round(point[0]), round(point[1])


def _lighter(colour: Colour) -> Colour:
    red, green, blue = (round(min(_LIGHTER * value, 255.0)) for value in colour)
    return red, green, blue


def _thick_line(canvas: pygame.Surface, a: Pixel, b: Pixel, radius: float, colour: Colour) -> None:
    """Draws a line with round ends, as gym-pusht's drawing does.

    The sides are moved by the line's own direction, its signs dropped: not always outwards.
    """
    pygame.draw.lines(canvas, colour, False, [a, b], round(2 * radius))
    across = abs(b[1] - a[1]), abs(b[0] - a[0])
    if across == (0, 0):
        return
    scale = radius / math.hypot(*across)
    dx, dy = round(across[0] * scale), round(across[1] * scale)
    sides = [(a[0] - dx, a[1] - dy), (a[0] + dx, a[1] + dy),
             (b[0] + dx, b[1] + dy), (b[0] - dx, b[1] - dy)]  # fmt: skip
    pygame.draw.polygon(canvas, colour, sides)
    for end in (a, b):
        pygame.draw.circle(canvas, colour, end, round(radius))
