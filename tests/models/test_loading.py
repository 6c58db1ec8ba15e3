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
        def encode(self, observation): ...
        step = distance = normalise_actions = denormalise_actions = encode

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

    class Mute(BaseException):
        def __str__(self):
            raise RuntimeError

    class Hiding(LinearModel):
        @property
        def latent_shape(self):
            raise Mute

        @latent_shape.setter
        def latent_shape(self, shape): ...

    def failing(device):
        raise RuntimeError("first line\\nsecond line")

    def leaving(device):
        raise SystemExit

    def cancelled(device):
        raise GeneratorExit("enough")

    def stopping(device):
        raise StopIteration

    def mute(device):
        raise Mute

    def hiding(device):
        return Hiding(torch.eye(4), torch.zeros(4, 2))

    def nothing(device):
        pass

    def half(device):
        return object()

    def unstepping(device):
        model = linear(device)
        model.step = 3
        return model

    def having(**parts):
        def make(device):
            model = linear(device)
            vars(model).update(parts)
            return model
        return make

    standing, backwards = having(frameskip=0), having(frameskip=-2)
    true, fractional, spelt = having(frameskip=True), having(frameskip=2.0), having(frameskip="2")
    odd, idle = having(frameskip=2, action_dim=3), having(action_dim=0)
    flat, empty, listed = having(latent_shape=4), having(latent_shape=()), having(latent_shape=[4])
    thin = having(latent_shape=(4, 0))
    blind, dot, styled = having(view=64), having(view=View(0)), having(view=View(8, None))
    drawn = having(prior=object())
    careless, wider = having(rough=object()), having(rough=having(latent_shape=(5,))("cpu"))
    nested = having(rough=having(rough=linear("cpu"))("cpu"))

    def naming(*fields):
        return lambda device: LoadedModel(linear(device), *fields)

    nameless, numbered, broken = naming("", "1"), naming(3, "1"), naming("a\\nb", "1")
    hashless, unhashed, card = naming("a", ""), naming("a", None), naming("a", "1", [])
    prior = naming("a", "1", {}, 3)

    def hollow(device):
        return LoadedModel(None, "a", "1" * 64)

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
        ("failing", "RuntimeError: first line"),
        ("leaving", "SystemExit: no message"),
        ("cancelled", "GeneratorExit: enough"),
        ("stopping", "StopIteration"),
        ("mute", "Mute"),
        ("hiding", "Mute"),
        ("nothing", "NoneType, which lacks frameskip"),
        ("half", "object, which lacks frameskip"),
        ("hollow", "NoneType, which lacks frameskip"),
        ("unstepping", "lacks step of"),
        ("standing", "frameskip is 0"),
        ("backwards", "frameskip is -2"),
        ("true", "frameskip is True"),
        ("fractional", r"frameskip is 2\.0"),
        ("spelt", "frameskip is '2'"),
        ("odd", "action_dim is 3"),
        ("idle", "action_dim is 0"),
        ("flat", "latent_shape is 4"),
        ("empty", r"latent_shape is \(\)"),
        ("listed", r"latent_shape is \[4\]"),
        ("thin", r"latent_shape is \(4, 0\)"),
        ("blind", "view is 64"),
        ("dot", "view is View"),
        ("styled", "view is View"),
        ("drawn", "Error: .*draws"),
        ("careless", "rough form is object, which lacks frameskip"),
        ("wider", "rough form has other latents"),
        ("nested", "rough form has one of its own"),
        ("nameless", "name ''"),
        ("numbered", "name 3"),
        ("broken", "name 'a"),
        ("hashless", "sha256 ''"),
        ("unhashed", "sha256 None"),
        ("card", r"card \[\]"),
        ("prior", "prior_sha256 3"),
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


def test_a_plugin_that_does_not_import_is_named_and_the_others_are_listed(
    file, monkeypatch, cli, refused
):
    file.with_name("halting.py").write_text("raise SystemExit('no GPU')")
    monkeypatch.setitem(PLUGIN_MODELS._lazy, "theirs", "my_models:linear")
    monkeypatch.setitem(PLUGIN_MODELS._lazy, "halted", "halting:linear")
    code, out, err = cli("models")
    assert code == 0
    assert {"theirs", "pusht-compact"} <= set(out.split())
    assert "halted" not in out
    assert err.startswith("grasp-bench: halted: ")
    assert "no GPU" in err
    assert err.count("\n") == 1
    with pytest.raises(UserError, match="no GPU"):
        load_model("halted")
    assert "frameskip" in refused(
        "run", "--planner", "cem", "--horizon", 20, "--model", "my_models.py:standing"
    )


def test_a_plugin_has_no_card_to_update(file):
    for work in (find_checkpoint, lambda name: update_card(name, "1" * 64, {})):
        with pytest.raises(UserError, match="is a plugin"):
            work("my_models.py:linear")


def test_a_checkpoint_says_where_it_came_from(tiny_checkpoint):
    loaded = load_model(str(tiny_checkpoint))
    assert loaded.source == str(tiny_checkpoint)
    assert loaded.file_sha256 is None
    assert isinstance(loaded.model, torch.nn.Module)
