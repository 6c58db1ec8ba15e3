"""The pictures that DINO-WM was trained on, against its own renderer's."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import View
from grasp_bench.envs.pusht import PUSHT, pygame_pictures
from grasp_bench.tasks import load_tasks

ORIGINAL = Path(__file__).with_name("fixtures") / "dino_wm_pictures.png"


@pytest.fixture(scope="module")
def starts():
    return np.stack([task.start_state for task in load_tasks("eval", 40, 5).tasks])


def test_every_pixel_is_that_of_the_original_renderer(starts):
    with Image.open(ORIGINAL) as picture:
        expected = np.asarray(picture).reshape(5, 224, 224, 3)
    np.testing.assert_array_equal(pygame_pictures.draw(starts, 224), expected)


def test_a_model_asks_for_them_by_the_style_of_its_view(starts):
    shown = PUSHT.observe(starts, View(224, "pygame"))
    np.testing.assert_array_equal(shown.pixels.numpy(), pygame_pictures.draw(starts, 224))
    with pytest.raises(UserError, match="default, pygame"):
        PUSHT.observe(starts, View(224, "oil"))


def test_without_opencv_one_sentence_says_what_to_install(starts, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(pygame_pictures.importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"grasp-bench\[models\]"):
        pygame_pictures.draw(starts, 64)
