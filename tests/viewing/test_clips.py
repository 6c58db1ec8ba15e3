"""Moving pictures as files that other programs read back."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from grasp_bench.core.errors import UserError
from grasp_bench.viewing.clips import clip_bytes, write_clip


@pytest.fixture
def moving_square():
    pictures = np.full((6, 41, 61, 3), 255, dtype=np.uint8)  # odd sizes, as a codec dislikes
    for k, picture in enumerate(pictures):
        picture[10:20, 8 * k : 8 * k + 8] = (200, 30, 30)
    return list(pictures)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".GIF"])
def test_a_clip_has_all_frames_and_their_duration(moving_square, tmp_path, suffix):
    path = tmp_path / "deep" / f"clip{suffix}"
    write_clip(path, moving_square, fps=10)
    with Image.open(path) as clip:
        assert (clip.n_frames, clip.size) == (6, (61, 41))
        clip.seek(3)
        clip.load()
        assert clip.info["duration"] == 100
        shown = np.asarray(clip.convert("RGB")).astype(int)
    assert np.abs(shown - moving_square[3].astype(int)).mean() < 3


def test_an_mp4_has_all_frames(moving_square, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    write_clip(tmp_path / "clip.mp4", moving_square, fps=10)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "clip.mp4"))
    assert (count, seconds) == (6, pytest.approx(0.6, abs=0.05))


@pytest.mark.parametrize("form", [".gif", ".webp"])
def test_the_same_frames_give_the_same_bytes(moving_square, form):
    assert clip_bytes(moving_square, 10, form) == clip_bytes(moving_square, 10, form)


def test_a_clip_plays_without_end(moving_square):
    with Image.open(io.BytesIO(clip_bytes(moving_square, 10, ".gif"))) as clip:
        assert clip.info["loop"] == 0


def test_what_cannot_be_written_is_one_sentence(moving_square, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"clip\.png.*\.gif"):
        write_clip(tmp_path / "clip.png", moving_square, 10)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match="imageio-ffmpeg"):
        write_clip(tmp_path / "clip.mp4", moving_square, 10)
