"""The commands that make things to look at, as a user calls them."""

import pygame
import pytest
from PIL import Image

from envs.window import Window
from grasp_bench.results import write_rows


@pytest.fixture
def results(make_trial_rows, tmp_path):
    write_rows(tmp_path / "trials.parquet", [*make_trial_rows("demo"), *make_trial_rows("zero")])
    return "trials.parquet"


def test_replay_writes_a_clip_and_says_whether_the_plan_is_the_rows(
    cli, results, responsive_checkpoint, tmp_path
):
    code, out, _ = cli(
        "replay", results, "demo-*", "--model", responsive_checkpoint, "--size", "64"
    )
    assert code == 0
    recorded, agreement, outcome, file = out.splitlines()
    assert recorded.startswith("pusht-h20-0000  demo  success after 1 candidates")
    assert "bit for bit" in agreement
    assert outcome.startswith("SUCCESS: in the goal region at step ")
    assert file.startswith("demo-")
    with Image.open(tmp_path / file) as clip:
        assert clip.n_frames >= 21


def test_replay_shows_a_window(cli, results, responsive_checkpoint, monkeypatch, tmp_path):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    before = sorted(tmp_path.iterdir())

    def closed_at_once(window):
        return [pygame.event.Event(pygame.QUIT)]

    monkeypatch.setattr(Window, "events", closed_at_once)
    code, out, _ = cli("replay", results, "zero-*", "--model", responsive_checkpoint, "--human")
    assert code == 0
    assert "space pauses" in out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing-like-it"], "no trial 'nothing-like-it'"),
        (["*"], "2 trials fit '*'"),
        (["demo-*"], "give its checkpoint with --model"),
        (["demo-*", "--model", "pusht-compact"], "holds other weights"),
        (["demo-*", "-o", "clip.txt"], "ends in .gif or .mp4"),
    ],
)
def test_replay_refuses_in_one_sentence(refused, results, arguments, sentence):
    assert sentence in refused("replay", results, *arguments)


@pytest.mark.parametrize("kind", ["landscape", "adversarial", "traces"])
def test_figures_of_a_trial_name_their_command(cli, results, responsive_checkpoint, tmp_path, kind):
    options = ("-o", f"{kind}.svg", "--model", responsive_checkpoint)
    code, out, _ = cli("figure", kind, results, "zero-*", *options)
    assert code == 0
    assert out.splitlines()[-1] == f"{kind}.svg"
    assert f"figure {kind} trials.parquet" in (tmp_path / f"{kind}.svg").read_text()


def test_play_opens_a_window_and_says_its_keys(cli, refused, responsive_checkpoint, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(Window, "events", lambda window: [pygame.event.Event(pygame.QUIT)])
    options = ("--model", responsive_checkpoint, "--horizon", "20", "--size", "64")
    code, out, _ = cli("play", *options)
    assert (code, out) == (
        0,
        "the agent follows the mouse; r: the model looks again, n: next task, q or escape: close\n",
    )
    assert "no tasks of horizon 21" in refused("play", "--horizon", "21")
