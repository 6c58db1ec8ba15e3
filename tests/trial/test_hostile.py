"""Planners and world models that break a promise: told which, and never a better number."""

from pathlib import Path

import hostile
import pytest
import torch

from grasp_bench.run.store import read_results
from grasp_bench.trial.planner_check import check_planner

FILE = Path(hostile.__file__)
SWEEP = (
    "sweep", "--horizons", 20, "--trials", 2, "--clock", "iterations", "--budget", 3,
    "--stop", "never", "--out", "out",
)  # fmt: skip


def spec(name):
    return f"{FILE}:{name}"


@pytest.mark.parametrize(("name", "word"), hostile.PLANNERS.items())
def test_check_planner_names_the_broken_promise(name, word):
    findings = list(check_planner(spec(name), {}))
    details = [finding.detail for finding in findings if finding.passed is False]
    assert any(word in detail for detail in details)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32


def test_a_sweep_of_all_ends_with_error_rows_that_say_why(
    cli, responsive_checkpoint, in_this_process
):
    names = list(hostile.PLANNERS)
    planners = ",".join(["cem", *map(spec, names), "icem"])
    code, _, err = cli(*SWEEP, "--planners", planners, "--model", responsive_checkpoint)
    assert code == 1
    assert "Traceback" not in err
    trials = read_results("out")
    assert len(trials) == 2 * (len(names) + 2)
    hostile_rows = trials["planner"].isin(names)
    assert set(trials["status"][hostile_rows]) == {"error"}
    assert trials["success"][hostile_rows].isna().all()
    assert set(trials["status"][~hostile_rows]) == {"ok"}
    for name, word in hostile.PLANNERS.items():
        assert word in trials["error"][trials["planner"] == name].iloc[0], name
    assert cli("table", "out", "--format", "csv")[0] == 0
    # What they did to the model and the process changed no plan of the others.
    assert (
        cli(*SWEEP[:-1], "fair", "--planners", "cem,icem", "--model", responsive_checkpoint)[0] == 0
    )
    fair = read_results("fair").set_index("trial_key")["plan_sha256"]
    found = trials[~hostile_rows].set_index("trial_key")["plan_sha256"]
    assert fair.to_dict() == found.to_dict()


def test_worker_processes_survive_what_a_planner_raises(cli, responsive_checkpoint):
    names = ["system_exit", "keyboard_interrupt", "strange", "wanderer", "chatterbox"]
    planners = ",".join([*map(spec, names), "cem"])
    code, out, err = cli(
        *SWEEP, "--workers", 1, "--planners", planners, "--model", responsive_checkpoint
    )
    assert code == 1
    assert "Traceback" not in err
    assert out.splitlines()[-1] == "out/trials.parquet"
    trials = read_results("out")
    assert set(trials["status"][trials["planner"] != "cem"]) == {"error"}
    assert set(trials["status"][trials["planner"] == "cem"]) == {"ok"}


@pytest.mark.parametrize(("name", "word"), hostile.MODELS.items())
def test_a_broken_world_model_is_refused_before_any_trial(refused, in_this_process, name, word):
    sentence = refused(*SWEEP, "--planners", "demo", "--model", spec(name))
    assert word in sentence
    assert name in sentence
