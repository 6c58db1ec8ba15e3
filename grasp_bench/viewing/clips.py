"""Writes moving pictures: GIF, WebP and MP4."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically
from grasp_bench.viewing.pictures import Picture

CLIP_FORMATS = (".gif", ".mp4", ".webp")


def check_clip_path(path: Path) -> None:
    """Raises UserError unless `path` is of a kind that `write_clip` can write here."""
    if path.suffix.lower() not in CLIP_FORMATS:
        raise UserError(f"'{path}' is no moving picture: use a name that ends in .gif or .mp4")
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UserError(
            "MP4 needs imageio-ffmpeg: pip install 'grasp-bench[video]', or write a .gif"
        )


def write_clip(path: Path, frames: Sequence[Picture], fps: float) -> None:
    """Writes frames [height, width, 3] as the moving picture that the file's name asks for."""
    check_clip_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, clip_bytes(frames, fps, path.suffix.lower()))


def clip_bytes(frames: Sequence[Picture], fps: float, form: str = ".gif") -> bytes:
    """Encodes an endless GIF or WebP, or an MP4."""
    if form == ".mp4":
        height, width, _ = frames[0].shape
        # The codec's colour planes need even sizes.
        even = [
            np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            for frame in frames
        ]
        return iio.imwrite(
            "<bytes>", even, extension=form, plugin="FFMPEG", fps=fps, macro_block_size=1
        )
    milliseconds = round(1000 / fps)
    return iio.imwrite("<bytes>", frames, extension=form, duration=milliseconds, loop=0)
