"""Draws the pieces of every view: decoded latents, the goal as a ghost, words."""

from __future__ import annotations

import textwrap
from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from grasp_bench.core.types import FloatArray, WorldModel
from grasp_bench.envs import Environment

Picture = NDArray[np.uint8]  # [height, width, 3] RGB, or several: [N, height, width, 3]

INK, FAINT, PAPER = (32, 33, 36), (95, 99, 104), (255, 255, 255)


@runtime_checkable
class Decoder(Protocol):
    """Describes a world model that can show what a latent means."""

    def decode(self, state: Tensor) -> Tensor:
        """Returns pictures [B, S, S, 3] uint8 of latents [B, *Z]."""
        ...


def decoded(model: WorldModel, latents: Tensor) -> Picture | None:
    """Returns pictures [N, S, S, 3] of latents [N, *Z], None if the model has no decoder."""
    if not isinstance(model, Decoder):
        return None
    with torch.no_grad():
        pictures: Picture = model.decode(latents).cpu().numpy()
    return pictures


def drawn(environment: Environment, states: FloatArray, goal: FloatArray, size: int) -> Picture:
    """Draws states [N, S] as the simulator has them, the goal [S] below."""
    return environment.render(states, size, np.broadcast_to(goal, states.shape))


def over_goal(environment: Environment, pictures: Picture, goal: FloatArray, size: int) -> Picture:
    """Enlarges decoded pictures [N, S, S, 3] and draws the goal [S] below.

    The darker of both wins at each pixel, as a decoder knows no layers.
    """
    ghost = environment.render(None, size, goal[None])
    enlarged = [
        Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
        for picture in pictures
    ]
    darker: Picture = np.minimum(np.stack([np.asarray(one) for one in enlarged]), ghost)
    return darker


def card(sentence: str, size: int) -> Picture:
    """Draws a panel [size, size, 3] that says why it shows nothing."""
    panel = Image.new("RGB", (size, size), (241, 243, 244))
    draw, text = ImageDraw.Draw(panel), font(max(11, size // 18))
    # So many letters of the usual width.
    lines = textwrap.fill(sentence, int((size - 24) * len(sentence) / text.getlength(sentence)))
    draw.multiline_text((size / 2, size / 2), lines, FAINT, text, "mm", spacing=6, align="center")
    return np.asarray(panel)


@cache
def font(size: int) -> Any:
    """Returns the typeface of all pictures, shipped with Pillow."""
    return ImageFont.load_default(size)


def fitted(sentence: str, text: Any, width: float) -> str:
    """Returns the sentence, or as much of it as fits, with dots at its end."""
    if text.getlength(sentence) <= width:
        return sentence
    while sentence and text.getlength(sentence + "...") > width:
        sentence = sentence[:-1]
    return sentence + "..."
