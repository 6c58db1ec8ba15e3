"""The Python API: the rows of the command, without a folder."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
import torch

import grasp_bench
from grasp_bench.core.errors import UserError
from grasp_bench.models import LoadedModel
from grasp_bench.models.linear import LinearModel
from grasp_bench.run.schema import SYSTEM

# They differ from run to run even on the iteration clock.
CLOCK_COLUMNS = [
    *(column.name for column in SYSTEM),
    *("planner_seconds", "encode_seconds", "wall_seconds"),
]

SMALL = {"samples": 16, "elites": 4}


@pytest.fixture
def evaluate(responsive_checkpoint):
    """A deterministic evaluation on the tiny model; what is given replaces or adds."""

    def evaluate(planner, **given):
        defaults = {"model": str(responsive_checkpoint), "horizon": 20, "trials": 2}
        return grasp_bench.evaluate(
            planner, **(defaults | {"clock": "iterations", "budget": 3.0} | given)
        )

    return evaluate


def plans(trials):
    return trials["plan_sha256"].tolist()


@dataclass(frozen=True)
class Broken:
    name: ClassVar[str] = "broken"
    reference: ClassVar[str] = "none"

    def plan(self, problem, noise):
        raise ArithmeticError("diverged")


def test_the_rows_are_those_of_the_command(evaluate, cli, responsive_checkpoint, in_this_process):
    code, _, err = cli(
        "run", "--planner", "cem", "--horizon", 20, "--trials", 3, "--clock", "iterations",
        "--budget", 3, "--seed", 5, "--batch", 2, "--model", responsive_checkpoint, "--out", "out",
        "--set", "samples=16", "--set", "elites=4", "--workers", 1,
    )  # fmt: skip
    assert code == 0, err
    stored = grasp_bench.read_results(Path("out"))
    made = evaluate("cem", trials=3, batch=2, master_seed=5, hyperparameters=SMALL)
    left_out = CLOCK_COLUMNS
    pd.testing.assert_frame_equal(made.drop(columns=left_out), stored.drop(columns=left_out))
    assert made["plan_sha256"].nunique() == 3
    assert sorted(Path().iterdir()) == [Path("out")]


def test_a_planner_a_model_and_tasks_may_be_given_as_objects(evaluate, responsive_checkpoint):
    tasks = grasp_bench.load_tasks("eval", 20, 2)
    model = grasp_bench.load_model(str(responsive_checkpoint))
    planner = grasp_bench.make_planner("cem", SMALL)
    by_name = evaluate("cem", hyperparameters=SMALL)
    assert plans(evaluate(planner)) == plans(by_name)
    objects = evaluate(planner, model=model, tasks=tasks, horizon=None, trials=None)
    assert plans(objects) == plans(by_name)
    assert objects["planner_label"].unique().tolist() == ["cem[elites=4, samples=16]"]
    assert plans(evaluate(planner, tasks=tasks, horizon=None, trials=1)) == plans(by_name)[:1]


def test_a_file_of_tasks_and_one_with_a_planner_may_be_named(evaluate, tmp_path):
    from grasp_bench.tasks.task_set import write_tasks

    path = tmp_path / "mine.parquet"
    sha256 = write_tasks(path, "pusht", grasp_bench.load_tasks("eval", 20, 2).tasks)
    trials = evaluate(f"{__file__}:Broken", tasks=str(path))
    assert trials["tasks"].unique().tolist() == [str(path)]
    assert trials["task_set_sha256"].unique().tolist() == [sha256]
    assert trials["planner_source"].unique().tolist() == [f"{__file__}:Broken"]


def test_a_planner_that_raises_makes_rows_that_say_so(evaluate):
    trials = evaluate(Broken())
    assert trials["status"].tolist() == ["error", "error"]
    assert trials["error"].str.contains("ArithmeticError: diverged").all()
    assert trials["success"].isna().all()


def test_a_model_made_in_place_needs_no_file(evaluate):
    control = torch.zeros(4, 10)
    control[0, 0::2] = control[1, 1::2] = 20.0
    made = LoadedModel(LinearModel(torch.eye(4), control), "pixels", "1" * 64)
    trials = evaluate("cem", model=made, hyperparameters=SMALL)
    assert (trials["status"] == "ok").all()
    assert trials["model"].unique().tolist() == ["pixels"]
    assert trials["model_sha256"].unique().tolist() == ["1" * 64]


def test_torchs_threads_are_left_alone(evaluate):
    before = torch.get_num_threads()
    evaluate("zero", threads=before + 1)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("planner", "given", "named"),
    [
        ("cem", {"horizon": None}, "horizon"),
        ("cem", {"horizon": 22}, "22"),
        ("cem", {"horizon": 45}, "45"),
        ("cme", {}, "'cem'"),
        ("cem", {"trials": 501}, "501"),
        ("cem", {"trials": 0}, "0"),
        ("cem", {"tasks": "evil"}, "'evil'"),
        ("cem", {"model": "no-such-model"}, "no-such-model"),
        ("cem", {"hyperparameters": {"sampels": 3}}, "'samples'"),
        ("cem", {"budget": -1.0}, "budget"),
        ("cem", {"clock": "seconds"}, "clock"),
        (Broken(), {"hyperparameters": {"samples": 3}}, "hyperparameters"),
    ],
)
def test_what_cannot_be_evaluated_is_named_in_one_sentence(evaluate, planner, given, named):
    with pytest.raises(UserError, match=named) as error:
        evaluate(planner, **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", grasp_bench.__all__)
def test_every_name_that_the_package_offers_is_there(name):
    assert getattr(grasp_bench, name) is not None


def test_another_name_is_an_error_and_importing_the_package_waits_for_nothing():
    with pytest.raises(AttributeError, match="evalute"):
        _ = grasp_bench.evalute
    script = "import sys, grasp_bench; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"torch", "pandas", "numpy"} & set(done.stdout.split())


def test_a_short_set_has_the_pool_of_the_whole_one(evaluate, responsive_checkpoint):
    whole = plans(evaluate("shuffled-demo", trials=2))
    assert len(set(whole)) == 2
    assert plans(evaluate("shuffled-demo", trials=1)) == whole[:1]
    tasks = grasp_bench.load_tasks("eval", 20, 1)
    assert plans(evaluate("shuffled-demo", tasks=tasks, trials=None)) == whole[:1]


@pytest.mark.parametrize(
    "given", [{"trials": 0}, {"trials": -1}, {"trials": 501}, {"buget": 3}, {"stop": "soon"}]
)
def test_what_evaluate_cannot_do_is_a_users_error(evaluate, given):
    with pytest.raises(UserError):
        evaluate("cem", **given)


def test_a_horizon_beside_tasks_of_another_is_a_users_error(evaluate):
    with pytest.raises(UserError):
        evaluate("cem", tasks=grasp_bench.load_tasks("eval", 20, 2), horizon=40)


def test_a_planner_object_may_not_pass_for_a_built_in_one(evaluate):
    @dataclass(frozen=True)
    class Fake(Broken):
        name: ClassVar[str] = "grasp"

    with pytest.raises(UserError):
        evaluate(Fake())
