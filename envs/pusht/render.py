"""Draws anti-aliased pictures of Push-T states in batches, without a display.

A pixel's coverage follows from its centre's distance to each edge. Nothing is rounded to a
pixel grid: a block that moves by a tenth of a pixel changes the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grasp_bench.envs.pusht.simulator import AGENT_RADIUS, WORKSPACE

_BACKGROUND = np.array([255, 255, 255], dtype=np.float32)
BLOCK_COLOUR = np.array([119, 136, 153], dtype=np.float32)
AGENT_COLOUR = np.array([65, 105, 225], dtype=np.float32)
GOAL_COLOUR = np.array([144, 238, 144], dtype=np.float32)

# Small enough for a chunk's intermediate arrays to stay in the processor's cache.
_CHUNK_PIXELS = 1 << 15

_Array = NDArray[np.float32]


def render(states: ArrayLike, size: int = 64, goals: ArrayLike | None = None) -> NDArray[np.uint8]:
    """Draws states [B, 7] as RGB pictures [B, size, size, 3], row 0 at workspace y = 0.

    Args:
        states: [B, 7].
        size: width and height in pixels of the whole 512 px workspace.
        goals: [B, 7]; where given, the goal's block and agent are drawn in green below.
    """
    poses = np.asarray(states, dtype=np.float64)
    drawn = [(poses, BLOCK_COLOUR, AGENT_COLOUR)]
    if goals is not None:
        drawn.insert(0, (np.asarray(goals, dtype=np.float64), GOAL_COLOUR, GOAL_COLOUR))
    pictures = np.empty((len(poses), size, size, 3), dtype=np.uint8)
    chunk = max(1, _CHUNK_PIXELS // (size * size))
    for begin in range(0, len(poses), chunk):
        part = slice(begin, begin + chunk)
        layers: list[tuple[_Array, _Array]] = []
        for shown, block_colour, agent_colour in drawn:
            layers.append((_block_coverage(shown[part], size), block_colour))
            layers.append((_agent_coverage(shown[part], size), agent_colour))
        pictures[part] = _composite(layers, size)
    return pictures


def _composite(layers: list[tuple[_Array, _Array]], size: int) -> NDArray[np.uint8]:
    batch = layers[0][0].shape[0]
    picture = np.empty((batch, size, size, 3), dtype=np.uint8)
    for channel in range(3):
        value = np.full((batch, size, size), _BACKGROUND[channel], dtype=np.float32)
        for coverage, colour in layers:
            value += coverage * (colour[channel] - value)
        value += 0.5
        picture[..., channel] = value
    return picture


def _pixel_centres(size: int) -> tuple[_Array, float]:
    pixel = WORKSPACE / size
    return ((np.arange(size) + 0.5) * pixel).astype(np.float32), pixel


def _band(coordinate: _Array, low: float, high: float, pixel: float) -> _Array:
    # Returns the share of a pixel-wide box around `coordinate` that lies in [low, high].
    half = np.float32((high - low) / 2)
    inside: _Array = (
        half + np.float32(0.5 * pixel) - np.abs(coordinate - np.float32((high + low) / 2))
    )
    inside /= np.float32(pixel)
    np.clip(inside, 0.0, 1.0, out=inside)
    return inside


def _block_coverage(states: NDArray[np.float64], size: int) -> _Array:
    centres, pixel = _pixel_centres(size)
    x, y, angle = (states[:, i, None].astype(np.float32) for i in (2, 3, 4))
    cos, sin = np.cos(angle), np.sin(angle)
    offset_x, offset_y = centres - x, centres - y
    across = (cos * offset_x)[:, None, :] + (sin * offset_y)[:, :, None]
    along = (-sin * offset_x)[:, None, :] + (cos * offset_y)[:, :, None]
    bar = _band(across, -60.0, 60.0, pixel)
    bar *= _band(along, 0.0, 30.0, pixel)
    stem = _band(across, -15.0, 15.0, pixel)
    stem *= _band(along, 30.0, 120.0, pixel)
    bar += stem
    np.minimum(bar, 1.0, out=bar)
    return bar


def _agent_coverage(states: NDArray[np.float64], size: int) -> _Array:
    centres, pixel = _pixel_centres(size)
    x, y = (states[:, i, None].astype(np.float32) for i in (0, 1))
    radius = np.sqrt(((centres - x) ** 2)[:, None, :] + ((centres - y) ** 2)[:, :, None])
    coverage = (np.float32(AGENT_RADIUS + 0.5 * pixel) - radius) / np.float32(pixel)
    np.clip(coverage, 0.0, 1.0, out=coverage)
    return coverage
