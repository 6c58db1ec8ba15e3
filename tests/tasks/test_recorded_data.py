"""Datasets made from recordings: true states, the same whatever stops them, no episode twice."""

import json
import shutil

import numpy as np
import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.tasks import demonstrations, recorded_data
from grasp_bench.tasks.demonstrations import load_demonstrations
from grasp_bench.tasks.recorded_data import (
    Noise,
    collect_replays,
    import_demonstrations,
    piece_begins,
)
from grasp_bench.tasks.windows import split_episodes


class InThisProcess:
    """A pool without worker processes, which take seconds to start."""

    class Done:
        def __init__(self, value):
            self.value = value

        def result(self):
            return self.value

    def __init__(self, workers):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def submit(self, function, *arguments):
        return self.Done(function(*arguments))


@pytest.fixture(autouse=True)
def _small_shards_here(monkeypatch):
    monkeypatch.setattr(demonstrations, "SHARD_EPISODES", 4)
    monkeypatch.setattr(recorded_data, "worker_pool", InThisProcess)
    monkeypatch.setattr(recorded_data, "as_completed", list)


@pytest.mark.parametrize(
    ("length", "steps", "count"),
    [(100, 50, 2), (101, 50, 3), (50, 50, 1), (49, 50, 0), (99, 40, 3), (1, 1, 1), (0, 1, 0)],
)
def test_pieces_cover_an_episode(length, steps, count):
    found = piece_begins(length, steps)
    covered = {step for begin in found for step in range(begin, begin + steps)}
    assert len(found) == count
    assert covered == (set(range(length)) if length >= steps else set())


def test_imported_pieces_are_replays_of_the_recording(recording, tmp_path):
    made = import_demonstrations(tmp_path / "d", recording, "train", 40, all_episodes=True)
    data = load_demonstrations(tmp_path / "d", "train")
    assert (made.used, made.chosen) == (6, 6)
    assert (
        made.pieces
        == len(data.states)
        == sum(-(-(n - 1) // 40) for n in (60, 110, 90, 75, 100, 61))
    )
    assert data.states.shape[1:] == (41, 7)
    assert data.actions.dtype == data.states.dtype == np.float32
    first = split_episodes(6, "all")[0]
    states, actions = recording.episode(first)
    np.testing.assert_array_equal(data.states[0, 0], states[0].astype(np.float32))
    np.testing.assert_array_equal(data.actions[0], actions[:40])
    reached = PUSHT.rollout(states[:1], actions[None, :40].astype(float))[0]
    np.testing.assert_array_equal(data.states[0], reached.astype(np.float32))
    np.testing.assert_allclose(data.states[0], states[:41], atol=0.05)


def test_actions_beyond_1_are_clipped_and_the_states_are_what_happened(recording, tmp_path):
    first = split_episodes(6, "all")[0]
    begin = recording.episode_starts[first]
    recording.actions[begin + 3] = [1.5, -2.0]
    import_demonstrations(tmp_path / "d", recording, "train", 40, all_episodes=True)
    data = load_demonstrations(tmp_path / "d", "train")
    assert data.actions[0, 3].tolist() == [1.0, -1.0]
    assert np.abs(data.actions).max() <= 1
    states = recording.episode(first)[0]
    actions = data.actions[:1].astype(float)
    np.testing.assert_array_equal(
        data.states[0], PUSHT.rollout(states[:1], actions)[0].astype(np.float32)
    )


def test_training_and_held_out_data_share_no_episode_with_each_other_or_the_evaluation():
    assert recorded_data._EPISODES == {"train": "train", "held-out": "tune"}


def test_noisy_replays_are_what_the_simulator_did(recording, tmp_path):
    made = collect_replays(tmp_path / "d", recording, "train", 40, 2, 0.3, all_episodes=True)
    data = load_demonstrations(tmp_path / "d", "train")
    assert (data.origin["made_by"], data.origin["copies"]) == ("replays", 2)
    assert data.origin["source"]["sha256"] == recording.sha256
    assert made.pieces == len(data.actions) == 2 * 15
    assert np.abs(data.actions).max() <= 1
    first = split_episodes(6, "all")[0]
    states, actions = recording.episode(first)
    for copy in range(2):
        piece = data.actions[15 * copy]
        assert 0.01 < np.abs(piece - actions[:40]).mean() < 0.3
        reached = PUSHT.rollout(states[:1], piece[None].astype(float))[0]
        np.testing.assert_array_equal(data.states[15 * copy], reached.astype(np.float32))
    assert not np.array_equal(data.actions[0], data.actions[15])
    agent = data.states[:, :-1, :2] + 100 * data.actions
    assert -0.01 < agent.min() < agent.max() < 512.01


def test_noise_depends_on_its_key_alone_and_grows_with_its_scale(recording):
    states, actions = recording.episode(1)
    plan = actions.astype(float)
    noisy = {
        (scale, key): Noise(scale, key).add(states[0], plan) - np.clip(plan, -1, 1)
        for scale in (0.02, 0.2)
        for key in ((0, 1, 0), (0, 1, 1), (1, 1, 0), (0, 2, 0))
    }
    again = Noise(0.2, (0, 1, 0)).add(states[0], plan) - np.clip(plan, -1, 1)
    np.testing.assert_array_equal(again, noisy[0.2, (0, 1, 0)])
    assert len({values.tobytes() for values in noisy.values()}) == len(noisy)
    small, large = (noisy[scale, (0, 1, 0)].std() for scale in (0.02, 0.2))
    assert large == pytest.approx(10 * small, rel=0.2)


@pytest.mark.parametrize("make", ["import", "replays"])
def test_a_stopped_command_goes_on_to_the_same_data(recording, tmp_path, make):
    def run(folder):
        options = {"all_episodes": True}
        if make == "import":
            return import_demonstrations(folder, recording, "train", 40, **options)
        return collect_replays(folder, recording, "train", 40, 2, 0.3, **options)

    run(tmp_path / "whole")
    whole = load_demonstrations(tmp_path / "whole", "train")
    shards = sorted((tmp_path / "whole").glob("shard-*.npz"))
    assert len(shards) > 2
    for missing in (shards[1], shards[-1]):
        shutil.copytree(tmp_path / "whole", tmp_path / missing.stem)
        (tmp_path / missing.stem / missing.name).unlink()
        with pytest.raises(UserError, match="misses a shard"):
            load_demonstrations(tmp_path / missing.stem, "train")
        run(tmp_path / missing.stem)
        found = load_demonstrations(tmp_path / missing.stem, "train")
        assert found.fingerprint() == whole.fingerprint()


def test_a_folder_of_other_data_or_too_few_episodes_is_refused(recording, tmp_path):
    folder = tmp_path / "d"
    made = collect_replays(folder, recording, "train", 40, 1, 0.3, all_episodes=True)
    for other in ({"seed": 1}, {"noise": 0.2}, {"copies": 2}, {"steps": 50}):
        given = {"split": "train", "steps": 40, "copies": 1, "noise": 0.3, **other}
        with pytest.raises(UserError, match="another dataset"):
            collect_replays(folder, recording, all_episodes=True, **given)
    with pytest.raises(UserError, match="not held-out"):
        load_demonstrations(folder, "held-out")
    with pytest.raises(UserError, match=f"{made.pieces} episodes, {made.pieces + 1} are needed"):
        load_demonstrations(folder, "train", made.pieces + 1)
    assert len(load_demonstrations(folder, "train", 6).states) == 6
    card = json.loads((folder / "dataset.json").read_text())
    assert card["source"]["sha256"] == recording.sha256
    for wrong in ("many", -1, 10**9, True):
        (folder / "dataset.json").write_text(json.dumps(card | {"episodes": wrong}))
        with pytest.raises(UserError):
            load_demonstrations(folder, "train")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"copies": 0}, "0 copies"),
        ({"noise": float("nan")}, "noise nan"),
        ({"noise": 0}, "noise 0"),
        ({"steps": 500}, "500 steps"),
        ({"steps": 10**6}, "1 to 1000"),
    ],
)
def test_options_out_of_their_range_are_refused(recording, tmp_path, options, named):
    given = {"steps": 40, "copies": 1, "noise": 0.3} | options
    with pytest.raises(UserError, match=named):
        collect_replays(tmp_path / "d", recording, "train", **given)
    assert not (tmp_path / "d").exists()


def test_the_commands_make_datasets(recorded, tmp_path, cli, refused):
    path = recorded.write("zarr 2", tmp_path)
    code, out, _ = cli("data", "import", path, "--out", "a", "--steps", 40, "--all-episodes")
    assert code == 0
    assert "15 pieces of 40 steps from 6 of 6 episodes" in out
    noisy = ("--from", path, "--copies", 2, "--noise", 0.2)
    code, out, _ = cli("data", "collect", *noisy, "--out", "b", "--steps", 40, "--all-episodes")
    assert code == 0
    assert "30 pieces" in out
    assert len(load_demonstrations(tmp_path / "b", "train").states) == 30
    assert "--copies" in refused("data", "collect", "--from", path, "--out", "c")
    assert "--from" in refused("data", "collect", "--copies", 2, "--out", "c")
    assert "85 steps" in refused("data", "import", path, "--out", "c", "--split", "held-out")
