import json

import pytest
import torch

from grasp_bench.core.errors import UserError
from grasp_bench.models import CompactConfig, CompactWorldModel, list_models, load_model
from grasp_bench.models.checkpoint import save_checkpoint

TINY = CompactConfig(encoder_channels=16, width=16, blocks=1, decoder_width=16)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    model = CompactWorldModel(TINY)
    save_checkpoint(model, tmp_path / "tiny.safetensors", {"supervision": "none"})
    return tmp_path / "tiny.safetensors"


def test_a_saved_model_loads_equal_with_its_hash_and_without_gradients(checkpoint):
    torch.manual_seed(0)
    original = CompactWorldModel(TINY)
    loaded = load_model(str(checkpoint))
    for key, value in original.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[key], value, rtol=0, atol=0)
    assert loaded.name == "tiny"
    assert loaded.sha256 == loaded.card["sha256"]
    assert not any(p.requires_grad for p in loaded.model.parameters())


def test_checkpoints_in_the_working_directory_are_known_by_name(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    for file in (checkpoint, checkpoint.with_suffix(".json")):
        file.rename(tmp_path / "checkpoints" / file.name)
    monkeypatch.chdir(tmp_path)
    assert "tiny" in [summary.name for summary in list_models()]
    assert load_model("tiny").name == "tiny"


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def tamper(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def drop_card(path):
    path.with_suffix(".json").unlink()


def garble_card(path):
    path.with_suffix(".json").write_text("{")


def other_version(path):
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, "card_version": 99}))


def other_architecture(path):
    card = json.loads(path.with_suffix(".json").read_text())
    card["architecture"]["width"] = 32
    path.with_suffix(".json").write_text(json.dumps(card))


def pickle_bomb(path):
    # A pickle that would run code; the hash in the card is made to fit.
    import hashlib

    path.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "damaged"),
        (tamper, "damaged"),
        (drop_card, "has no card"),
        (garble_card, "cannot be read as a card"),
        (other_version, "not a card of version"),
        (other_architecture, "does not hold the model"),
        (pickle_bomb, "does not hold the model"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_sentence(checkpoint, damage, message):
    damage(checkpoint)
    with pytest.raises(UserError, match=message) as error:
        load_model(str(checkpoint))
    assert "\n" not in str(error.value)


def test_unknown_names_paths_and_devices_are_refused(checkpoint):
    with pytest.raises(UserError, match="unknown world model 'pusht-compcat'"):
        load_model("pusht-compcat")
    with pytest.raises(UserError, match="no checkpoint file at"):
        load_model("nowhere/model.safetensors")
    with pytest.raises(UserError, match="no device 'warp'"):
        load_model(str(checkpoint), "warp")
