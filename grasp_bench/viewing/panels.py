"""Puts panels beside each other, with a title above and a stamp below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from grasp_bench.viewing.pictures import FAINT, INK, PAPER, Picture, fitted, font

GAP = 8
SUCCESS_COLOUR, FAILURE_COLOUR = (0, 92, 63), (160, 48, 0)


class Panel(NamedTuple):
    """Holds a square picture [S, S, 3] with words above it."""

    label: str
    picture: Picture


def composed(
    title: str, panels: Sequence[Panel], stamp: str = "", success: bool = False
) -> Picture:
    """Draws panels of one size in one picture, with a stamp, if any, in its outcome's colour."""
    size = len(panels[0].picture)
    text = font(_text_size(size))
    width = len(panels) * (size + GAP) + GAP
    _, top = panel_at(0, size)
    bottom, line = top + size + GAP, _line(size)
    sheet = Image.new("RGB", (width, bottom + line + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 4), fitted(title, text, width - 2 * GAP), INK, text)
    for place, panel in enumerate(panels):
        left, _ = panel_at(place, size)
        draw.text((left, line + 2), fitted(panel.label, text, size), FAINT, text)
        sheet.paste(Image.fromarray(panel.picture), (left, top))
        draw.rectangle((left - 1, top - 1, left + size, top + size), outline=FAINT)
    if stamp:
        colour = SUCCESS_COLOUR if success else FAILURE_COLOUR
        draw.rectangle((GAP, bottom, width - GAP - 1, bottom + line), fill=colour)
        draw.text((2 * GAP, bottom + 4), fitted(stamp, text, width - 4 * GAP), PAPER, text)
    return np.asarray(sheet)


def panel_at(place: int, size: int) -> tuple[int, int]:
    """Returns left and top (px) of the panel at a place in a row of panels of one size."""
    return GAP + place * (size + GAP), 2 * _line(size)


def _text_size(size: int) -> int:
    return min(max(10, size // 16), 18)


def _line(size: int) -> int:
    return _text_size(size) + 8
