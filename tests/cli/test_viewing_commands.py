"""The commands that make things to look at, as a user calls them."""

import pygame
import pytest
from PIL import Image

from grasp_bench.envs.window import Window
from grasp_bench.run.store import write_rows
from grasp_bench.viewing.play import KEYS as PLAY_KEYS
from grasp_bench.viewing.player import KEYS


@pytest.fixture
def trials(make_trial_rows):
    return [*make_trial_rows("demo"), *make_trial_rows("zero")]


@pytest.fixture
def results(trials, tmp_path):
    write_rows(tmp_path / "trials.parquet", trials)
    return "trials.parquet"


def test_replay_writes_a_clip_and_says_whether_the_plan_is_the_rows(
    cli, results, trials, responsive_checkpoint, tmp_path
):
    code, out, _ = cli(
        "replay", results, "demo-*", "--model", responsive_checkpoint, "--size", "64"
    )
    assert code == 0
    recorded, agreement, outcome, file = out.splitlines()
    assert recorded.startswith("pusht-h20-0000  demo  success ")
    (row,) = (row for row in trials if row["planner"] == "demo")
    assert row["plan_sha256"][:12] in agreement
    assert outcome.startswith("SUCCESS")
    assert file == f"{row['trial_key']}.gif"
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
    assert KEYS in out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing-like-it"], "'nothing-like-it'"),
        (["*"], "2 "),
        (["demo-*", "--model", "pusht-compact"], "'pusht-compact'"),
        (["demo-*", "-o", "clip.txt"], "clip.txt"),
    ],
)
def test_replay_refuses_in_one_sentence(refused, results, arguments, named):
    assert named in refused("replay", results, *arguments)


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
    assert (code, out) == (0, f"{PLAY_KEYS}\n")
    assert "21" in refused("play", "--horizon", "21")
