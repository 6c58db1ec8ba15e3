"""A planner and a model in a user's own files, named wherever a built-in one may be."""

import hashlib
import textwrap
from pathlib import Path

import pytest

from grasp_bench.core.errors import UserError
from grasp_bench.run.store import read_results
from grasp_bench.trial.replay import load_trial, replay_trial, row_of

PLANNER = """
    from dataclasses import dataclass
    from typing import ClassVar

    from grasp_bench import Candidate
    from grasp_bench.planners.objective import goal_cost
    from grasp_bench.planners.search_space import FloatRange

    @dataclass(frozen=True)
    class Mine:
        name: ClassVar[str] = "mine"
        reference: ClassVar[str] = "none"
        search_space: ClassVar[dict] = {"gain": FloatRange(0.1, 1.0)}

        gain: float = 1.0

        def plan(self, problem, noise):
            shape = problem.steps, problem.model.action_dim
            for iteration in range(1, 100):
                actions = self.gain * noise.normal(*shape, like=problem.start)
                yield Candidate(actions, goal_cost(problem, actions), iteration)
"""
MODEL = """
    import torch
    from grasp_bench.models.linear import LinearModel

    def pixels(device):
        control = torch.zeros(4, 10, device=device)
        control[0, 0::2] = control[1, 1::2] = 20.0
        return LinearModel(torch.eye(4, device=device), control)
"""


@pytest.fixture(autouse=True)
def _files(tmp_path, in_this_process):
    (tmp_path / "mine.py").write_text(textwrap.dedent(PLANNER))
    (tmp_path / "models.py").write_text(textwrap.dedent(MODEL))


def sweep(model, *options, planners="mine.py:Mine", out="out"):
    return (
        "sweep", "--planners", planners, "--horizons", "20", "--trials", 2, "--clock",
        "iterations", "--budget", 4, "--model", model, "--out", out, *options,
    )  # fmt: skip


def test_a_run_says_where_its_planner_came_from_and_is_replayed(cli, responsive_checkpoint):
    run = (
        "run", "--planner", "mine.py:Mine", "--horizon", 20, "--trials", 2, "--clock",
        "iterations", "--budget", 4, "--stop", "never", "--model", responsive_checkpoint,
        "--out", "out", "--set", "gain=0.5",
    )  # fmt: skip
    code, _, err = cli(*run)
    assert code == 0, err
    trials = read_results(Path("out"))
    assert set(trials["planner"]) == {"mine"}
    assert set(trials["planner_source"]) == {"mine.py:Mine"}
    assert set(trials["planner_label"]) == {"mine[gain=0.5]"}
    digest = hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()
    assert set(trials["planner_file_sha256"]) == {digest}
    for number in range(2):
        assert replay_trial(load_trial(row_of(trials, number))).agrees
    code, out, _ = cli("replay", "out", "mine-*-0001", "--size", "64")
    assert code == 0
    assert trials["plan_sha256"][1][:12] in out
    assert cli("results", "check", "out")[0] == 0


def test_a_table_holds_it_beside_a_built_in_one(cli, responsive_checkpoint):
    code, _, err = cli(
        *sweep(
            responsive_checkpoint, "--set", "mine.py:Mine.gain=0.25", planners="zero,mine.py:Mine"
        )
    )
    assert code == 0, err
    trials = read_results(Path("out"))
    assert set(trials["planner_label"]) == {"zero", "mine[gain=0.25]"}
    code, out, _ = cli("table", "out", "--format", "csv")
    assert code == 0
    assert "mine[gain=0.25]_success" in out.splitlines()[0]


def test_a_model_of_a_file_is_planned_with_and_its_trials_come_back(cli):
    code, _, err = cli(*sweep("models.py:pixels", "--stop", "never", planners="cem,mine.py:Mine"))
    assert code == 0, err
    trials = read_results(Path("out"))
    assert (trials["status"] == "ok").all()
    assert set(trials["model"]) == {"pixels"}
    assert set(trials["model_source"]) == {"models.py:pixels"}
    digest = hashlib.sha256(Path("models.py").read_bytes()).hexdigest()
    assert set(trials["model_file_sha256"]) == {digest}
    assert cli("results", "check", "out")[0] == 0


def test_a_file_that_has_changed_is_told_of(cli, responsive_checkpoint):
    assert cli(*sweep(responsive_checkpoint))[0] == 0
    before = read_results(Path("out"))
    assert cli(*sweep(responsive_checkpoint))[0] == 0  # goes on, with nothing to do
    source = Path("mine.py").read_text()
    Path("mine.py").write_text(source.replace("self.gain *", "2 * self.gain *"))
    code, _, err = cli(*sweep(responsive_checkpoint))
    assert code == 2
    assert "mine.py:Mine" in err
    assert "--out" in err
    assert read_results(Path("out")).equals(before)
    code, out, _ = cli("results", "check", "out")
    assert code == 1
    assert "file" in out


def test_two_planners_of_one_name_are_not_mixed_up(refused, responsive_checkpoint, tmp_path):
    (tmp_path / "other.py").write_text(textwrap.dedent(PLANNER))
    sentence = refused(*sweep(responsive_checkpoint, planners="mine.py:Mine,other.py:Mine"))
    assert "'mine.py:Mine'" in sentence
    assert "'other.py:Mine'" in sentence


def test_it_can_be_tuned(cli, responsive_checkpoint):
    code, out, err = cli(
        "tune", "--planners", "mine.py:Mine", "--horizons", "20", "--trials", 1, "--settings", 2,
        "--clock", "iterations", "--budget", 4, "--model", responsive_checkpoint, "--out", "out",
    )  # fmt: skip
    assert code == 0, err
    assert out.splitlines()[-1] == "out/settings.json"
    assert read_results(Path("out"))["hyperparameters"].nunique() == 2


def test_two_models_of_one_file_do_not_share_results(cli, refused):
    text = Path("models.py").read_text()
    Path("models.py").write_text(text + "\n\ndef other(device):\n    return pixels(device)\n")
    assert cli(*sweep("models.py:pixels", planners="demo"))[0] == 0
    assert "other" in refused(*sweep("models.py:other", planners="demo"))


def test_two_planners_of_one_file_and_name_do_not_share_results(cli, refused):
    text = Path("mine.py").read_text()
    Path("mine.py").write_text(f"{text}\n\n@dataclass(frozen=True)\nclass Copy(Mine):\n    pass\n")
    assert cli(*sweep("models.py:pixels"))[0] == 0
    assert "mine.py:Copy" in refused(*sweep("models.py:pixels", planners="mine.py:Copy"))


@pytest.mark.parametrize(
    ("change", "named"),
    [(("gain: float = 1.0", "gain: float"), "gain"), (("def plan(", "def show("), "plan")],
)
def test_an_unfinished_planner_is_refused_before_any_work(refused, change, named):
    Path("mine.py").write_text(Path("mine.py").read_text().replace(*change))
    assert named in refused(*sweep("models.py:pixels"))


def test_a_planner_file_that_changes_during_a_sweep_makes_no_row_of_other_code(tmp_path):
    from grasp_bench.planners import planner_spec
    from grasp_bench.run import worker

    spec = planner_spec(f"{tmp_path / 'mine.py'}:Mine", {})
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "\n# edited\n")
    with pytest.raises(UserError, match=r"mine\.py"):
        worker._planner(spec)


def test_a_default_that_is_made_when_the_planner_is_built_is_no_change(tmp_path, monkeypatch):
    from grasp_bench.planners import planner_spec

    monkeypatch.chdir(tmp_path)
    text = Path("mine.py").read_text().replace("gain: float = 1.0", "gain: float = 0.0")
    text += "\n    def __post_init__(self):\n"
    text += "        object.__setattr__(self, 'gain', self.gain or 2.0)\n"
    Path("mine.py").write_text(text)
    assert planner_spec("mine.py:Mine", {}).label == "mine"
    assert planner_spec("mine.py:Mine", {"gain": "3"}).label == "mine[gain=3.0]"
