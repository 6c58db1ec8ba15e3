"""Moving pictures as files: GIF and WebP by Pillow, MP4 by ffmpeg."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from grasp_bench.errors import UserError
from grasp_bench.results import write_atomically
from grasp_bench.viewing.pictures import Picture

CLIP_FORMATS = (".gif", ".mp4", ".webp")
COLOURS = 64


def check_clip_path(path: Path) -> None:
    """Raises UserError unless `path` is of a kind that `write_clip` can write here."""
    if path.suffix.lower() not in CLIP_FORMATS:
        raise UserError(f"'{path}' is no moving picture: use a name that ends in .gif or .mp4")
    if path.suffix.lower() == ".mp4":
        _ffmpeg()


def write_clip(path: Path, frames: Sequence[Picture], fps: float) -> None:
    """Write frames [height, width, 3] as the moving picture that the file's name asks for."""
    check_clip_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".mp4":
        _write_mp4(path, frames, fps)
    else:
        write_atomically(path, clip_bytes(frames, fps, path.suffix.lower()[1:]))


def clip_bytes(frames: Sequence[Picture], fps: float, form: str = "gif") -> bytes:
    """An endless GIF or WebP; all frames of a GIF share one palette, so that little changes."""
    pictures = [Image.fromarray(frame) for frame in frames]
    milliseconds = round(1000 / fps)
    buffer = io.BytesIO()
    if form == "webp":
        pictures[0].save(
            buffer, "WEBP", save_all=True, append_images=pictures[1:],
            duration=milliseconds, loop=0, quality=70, method=4,
        )  # fmt: skip
        return buffer.getvalue()
    sample = np.concatenate(list(frames[:: max(1, len(frames) // 8)]))
    palette = Image.fromarray(sample).quantize(COLOURS)
    indexed = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    indexed[0].save(
        buffer, "GIF", save_all=True, append_images=indexed[1:], duration=milliseconds, loop=0
    )
    return buffer.getvalue()


def _write_mp4(path: Path, frames: Sequence[Picture], fps: float) -> None:
    height, width, _ = frames[0].shape
    even = (width + width % 2, height + height % 2)  # as the codec's colour planes need
    writer = _ffmpeg().write_frames(
        str(path), even, fps=fps, codec="libx264", macro_block_size=1, quality=7
    )
    writer.send(None)
    try:
        for frame in frames:
            padding = ((0, even[1] - height), (0, even[0] - width), (0, 0))
            writer.send(np.ascontiguousarray(np.pad(frame, padding, mode="edge")))
    finally:
        writer.close()


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UserError(
            "MP4 needs imageio-ffmpeg: pip install 'grasp-bench[video]', or write a .gif"
        ) from error
    return imageio_ffmpeg
