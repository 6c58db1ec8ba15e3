"""Models of other people's code, named as `file.py:make_model`, `module:make_model` or a plugin."""

import hashlib
import textwrap

import pytest
import torch

from grasp_bench.core.errors import UserError
from grasp_bench.models import list_models, load_model
from grasp_bench.models.checkpoint import PLUGIN_MODELS, find_checkpoint, update_card

SOURCE = """
    import torch
    from grasp_bench.core.types import View
    from grasp_bench.models import LoadedModel
    from grasp_bench.models.linear import LinearModel

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.bfloat16))
            self.frameskip, self.action_dim, self.latent_shape, self.view = 1, 2, (4,), View(8)
        encode = step = distance = normalise_actions = denormalise_actions = None

    def linear(device):
        return LinearModel(torch.eye(4, device=device), torch.zeros(4, 2, device=device))

    def named(device):
        return LoadedModel(linear(device), "my-model", "1" * 64)

    def module(device):
        return Module()

    def other_module(device):
        made = Module()
        made.gain.data += 1
        return made

    def failing(device):
        raise RuntimeError("first line\\nsecond line")

    def leaving(device):
        raise SystemExit

    def nothing(device):
        pass

    def half(device):
        return object()

    def standing(device):
        model = linear(device)
        model.frameskip = 0
        return model

    def blind(device):
        model = linear(device)
        model.view = 64
        return model

    constant = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "my_models.py"
    path.write_text(textwrap.dedent(SOURCE))
    monkeypatch.chdir(tmp_path)
    return path


def test_a_bare_model_is_named_after_its_factory_and_known_by_its_file(file):
    loaded = load_model("my_models.py:linear")
    assert loaded.name == "linear"
    assert loaded.source == "my_models.py:linear"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded.sha256 == loaded.file_sha256 == digest


def test_a_module_is_known_by_its_weights_and_loses_its_gradients(file):
    loaded, other = (load_model(f"my_models:{name}") for name in ("module", "other_module"))
    assert loaded.file_sha256 == other.file_sha256
    assert len({loaded.sha256, other.sha256, loaded.file_sha256}) == 3
    assert load_model("my_models.py:module").sha256 == loaded.sha256
    assert not loaded.model.training
    assert not loaded.model.gain.requires_grad


def test_a_loaded_model_keeps_the_name_and_hash_that_its_factory_gave(file):
    loaded = load_model("my_models.py:named")
    assert (loaded.name, loaded.sha256) == ("my-model", "1" * 64)
    assert loaded.source == "my_models.py:named"
    assert loaded.file_sha256 is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", "raised RuntimeError: first line"),
        ("leaving", "raised SystemExit: no message"),
        ("nothing", "returned NoneType, which lacks frameskip"),
        ("half", "returned object, which lacks frameskip"),
        ("standing", "frameskip is 0"),
        ("blind", "view is 64"),
        ("constant", "is int, not a function"),
        ("absent", "does not define 'absent'"),
    ],
)
def test_a_factory_that_gives_no_model_is_refused_in_one_sentence(file, name, message):
    with pytest.raises(UserError, match=message) as error:
        load_model(f"my_models.py:{name}")
    assert "\n" not in str(error.value)


def test_an_installed_plugin_is_listed_and_loaded_by_name(file, monkeypatch):
    monkeypatch.setitem(PLUGIN_MODELS._lazy, "theirs", "my_models.py:linear")
    assert load_model("theirs").name == "theirs"
    assert [s.kind for s in list_models() if s.name == "theirs"] == ["plugin"]


def test_a_plugin_has_no_card_to_update(file):
    for work in (find_checkpoint, lambda name: update_card(name, "1" * 64, {})):
        with pytest.raises(UserError, match="is a plugin"):
            work("my_models.py:linear")


def test_a_checkpoint_says_where_it_came_from(tiny_checkpoint):
    loaded = load_model(str(tiny_checkpoint))
    assert loaded.source == str(tiny_checkpoint)
    assert loaded.file_sha256 is None
    assert isinstance(loaded.model, torch.nn.Module)
