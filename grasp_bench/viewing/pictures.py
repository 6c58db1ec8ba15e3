"""The pieces of every view: decoded latents, the goal as a ghost, words."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from envs.render import render
from grasp_bench.types import FloatArray, WorldModel

Picture = NDArray[np.uint8]  # [height, width, 3] RGB, or several: [N, height, width, 3]

INK, FAINT, PAPER = (32, 33, 36), (95, 99, 104), (255, 255, 255)
_OUT_OF_SIGHT = np.array([-1e5, -1e5, -1e5, -1e5, 0.0, 0.0, 0.0])


@runtime_checkable
class Decoder(Protocol):
    """A world model that can show what a latent means."""

    def decode(self, state: Tensor) -> Tensor:
        """Pictures [B, S, S, 3] uint8 of latents [B, *Z]."""
        ...


def decoded(model: WorldModel, latents: Tensor) -> Picture | None:
    """Pictures [N, S, S, 3] of latents [N, *Z], None where the model has no decoder."""
    if not isinstance(model, Decoder):
        return None
    with torch.no_grad():
        pictures: Picture = model.decode(latents).cpu().numpy()
    return pictures


def drawn(states: FloatArray, goal: FloatArray, size: int) -> Picture:
    """States [N, 7] as the simulator has them, the goal [7] in green below."""
    return render(states, size, np.broadcast_to(goal, states.shape))


def over_goal(pictures: Picture, goal: FloatArray, size: int) -> Picture:
    """Decoded pictures [N, S, S, 3], enlarged, with the goal [7] in green below.

    The darker of both wins at each pixel, as a decoder knows no layers.
    """
    ghost = drawn(_OUT_OF_SIGHT[None], goal, size)
    enlarged = [
        Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
        for picture in pictures
    ]
    darker: Picture = np.minimum(np.stack([np.asarray(one) for one in enlarged]), ghost)
    return darker


def card(sentence: str, size: int) -> Picture:
    """A panel [size, size, 3] that says why it shows nothing."""
    panel = Image.new("RGB", (size, size), (241, 243, 244))
    draw, text = ImageDraw.Draw(panel), font(max(11, size // 18))
    lines = _wrapped(sentence, text, size - 24)
    draw.multiline_text(
        (size / 2, size / 2), "\n".join(lines), FAINT, text, "mm", spacing=6, align="center"
    )
    return np.asarray(panel)


@cache
def font(size: int) -> Any:
    """The typeface of all pictures, shipped with Pillow."""
    return ImageFont.load_default(size)


def fitted(sentence: str, text: Any, width: float) -> str:
    """The sentence, or as much of it as fits, with dots at its end."""
    if text.getlength(sentence) <= width:
        return sentence
    while sentence and text.getlength(sentence + "...") > width:
        sentence = sentence[:-1]
    return sentence + "..."


def _wrapped(sentence: str, text: Any, width: float) -> list[str]:
    lines: list[str] = []
    for word in sentence.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
