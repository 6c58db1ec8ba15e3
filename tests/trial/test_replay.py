"""A trial's row is enough to plan it again, bit for bit."""

import pandas as pd
import pytest
import torch

from grasp_bench.core.errors import UserError
from grasp_bench.run.store import read_results, write_rows
from grasp_bench.trial.replay import agreement, find_trial, load_trial, replay_trial, row_of

PLANNERS = {
    "cem": {"samples": "16", "elites": "4"},
    "gd": {"optimiser": "adam", "lr": "0.2"},
    "latco": {},
    "grasp": {"sync_every": "5", "yield_every": "5"},
    "gd-adam": {},
    "icem": {"samples": "16", "elites": "4"},
    "mppi": {"samples": "16"},
    "grad-cem": {"samples": "4", "elites": "2"},
    "latco-gn": {},
    "random": {},
    "shuffled-demo": {},
    "demo": {},
}


@pytest.fixture
def run(make_trial_rows, tmp_path):
    """The results of a planner on the first tasks, as a sweep would leave them."""

    def run(planner, **settings):
        write_rows(
            tmp_path / "trials.parquet", make_trial_rows(planner, PLANNERS[planner], **settings)
        )
        return read_results(tmp_path / "trials.parquet")

    return run


@pytest.mark.parametrize("planner", PLANNERS)
def test_every_planners_plan_comes_back_bit_for_bit(run, responsive_checkpoint, planner):
    row = row_of(run(planner), 0)
    trial = load_trial(row, str(responsive_checkpoint))
    seen = []
    again = replay_trial(trial, seen.append)
    assert again.agrees
    assert row["plan_sha256"][:12] in agreement(trial, again)
    assert len(seen) == row["candidates"]
    assert again.cost == row["final_plan_cost_predicted"]
    assert again.outcome.success == row["final_plan_success"]
    assert again.outcome.distances["block_distance"] == row["final_plan_block_distance"]
    steps = trial.task.horizon // trial.problem.model.frameskip
    if planner in ("latco", "grasp", "latco-gn"):
        assert again.virtual_states.shape == (steps - 1, *trial.problem.model.latent_shape)
    else:
        assert again.virtual_states is None


def test_a_wall_clock_trial_comes_back_though_this_time_is_another(run, responsive_checkpoint):
    limits = {"budget": 20.0, "max_iterations": 30}  # seconds enough for a starved machine
    trials = run("grasp", clock="wall", check_first=0.02, stop="first-success", **limits)
    again = replay_trial(load_trial(row_of(trials, 0), str(responsive_checkpoint)))
    assert again.agrees


def test_the_callers_thread_count_is_left_alone(run, responsive_checkpoint):
    before = torch.get_num_threads()
    replay_trial(load_trial({**row_of(run("cem"), 0), "threads": 2}, str(responsive_checkpoint)))
    assert torch.get_num_threads() == before


def test_a_plan_that_differs_is_told_with_what_may_have_made_it(run, responsive_checkpoint):
    row = row_of(run("cem"), 0) | {"plan_sha256": "0" * 64, "torch_version": "1.0"}
    trial = load_trial(row, str(responsive_checkpoint))
    again = replay_trial(trial)
    assert not again.agrees
    assert "torch_version 1.0" in agreement(trial, again)
    other_seed = load_trial(row | {"master_seed": 1}, str(responsive_checkpoint))
    assert replay_trial(other_seed).plan_sha256 != again.plan_sha256


def test_a_batched_trial_is_planned_alone_and_says_so(run, responsive_checkpoint):
    row = row_of(run("grasp", batch=3), 1) | {"plan_sha256": "0" * 64}
    trial = load_trial(row, str(responsive_checkpoint))
    assert "batch of 3" in agreement(trial, replay_trial(trial))


def test_the_weights_are_found_by_their_hash_or_asked_for(run, responsive_checkpoint, monkeypatch):
    row = row_of(run("demo"), 0)
    found = load_trial(row)  # where the row says they came from
    assert found.model.sha256 == row["model_sha256"]
    moved = row | {"model_source": "elsewhere.safetensors"}
    with pytest.raises(UserError, match=f"{row['model_sha256'][:12]}.*--model"):
        load_trial(moved)
    with pytest.raises(UserError, match=f"'pusht-compact'.*{row['model_sha256'][:12]}"):
        load_trial(row, "pusht-compact")
    from grasp_bench.models import checkpoint

    monkeypatch.setattr(checkpoint, "CHECKPOINT_FOLDERS", (responsive_checkpoint.parent,))
    renamed = load_trial(moved | {"model": "called something else"})
    assert renamed.model.sha256 == row["model_sha256"]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"status": "error"}, "demo-"),
        ({"task_set_sha256": "f" * 64}, "ffffffffffff"),
        ({"prior_sha256": "e" * 64}, "eeeeeeeeeeee"),
        ({"candidates": 0}, "demo-"),
    ],
)
def test_rows_without_a_plan_here_are_refused(run, responsive_checkpoint, values, named):
    row = row_of(run("demo"), 0) | values
    with pytest.raises(UserError, match=named):
        replay_trial(load_trial(row, str(responsive_checkpoint)))


def test_trials_are_found_by_key_or_pattern():
    keys = ["grasp-1-h80-0003", "grasp-1-h80-0004", "cem[2]-h80-0003", "grasp-plus-3-h80-0004"]
    planners = ["grasp", "grasp", "cem", "grasp-plus"]
    trials = pd.DataFrame({"trial_key": keys, "planner": planners})
    assert find_trial(trials, "grasp-1-h80-0003")["trial_key"] == "grasp-1-h80-0003"
    assert find_trial(trials, "grasp-*-0004")["trial_key"] == "grasp-1-h80-0004"
    assert find_trial(trials, "grasp-plus-*")["trial_key"] == "grasp-plus-3-h80-0004"
    assert find_trial(trials, "cem[2]-h80-0003")["trial_key"] == "cem[2]-h80-0003"
    with pytest.raises(UserError, match=r"2 .*'grasp-\*'"):
        find_trial(trials, "grasp-*")
    with pytest.raises(UserError, match="'grasp-1-h80-0003'"):
        find_trial(trials, "grasp-1-h80-003")
