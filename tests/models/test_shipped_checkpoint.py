import numpy as np
import pytest
import torch

from grasp_bench.envs.pusht import PUSHT
from grasp_bench.envs.pusht.simulator import rollout as simulate
from grasp_bench.models import load_model
from grasp_bench.planners.rollout import rollout
from grasp_bench.tasks.task_set import load_tasks


@pytest.fixture(scope="module")
def loaded():
    return load_model("pusht-compact")


def test_its_card_says_what_a_user_must_know(loaded):
    assert "labels" in loaded.card["supervision"]
    assert {"recipe", "data", "normalisation", "held_out", "training_seconds", "curves"} <= set(
        loaded.card
    )
    mlp = loaded.card["held_out"]["probes"]["mlp"]
    assert mlp["block_px_rmse"] < 4
    assert mlp["angle_deg_rmse"] < 4


def test_it_follows_the_demonstrations_of_the_tuning_tasks_over_sixteen_steps(loaded):
    model, tasks = loaded.model, load_tasks("tune", 80, 40).tasks
    starts = np.stack([task.start_state for task in tasks])
    actions = np.stack([task.demo_actions for task in tasks])
    ends = model.encode(PUSHT.observe(simulate(starts, actions)[:, -1], model.view))
    start = model.encode(PUSHT.observe(starts, model.view))
    chunks = model.normalise_actions(torch.from_numpy(actions).float())
    predicted = rollout(model, start, chunks)[:, -1]
    copied = model.distance(start, ends).median()
    assert model.distance(predicted, ends).median() < 0.1 * copied


def test_its_pictures_look_like_the_simulators(loaded):
    model, tasks = loaded.model, load_tasks("tune", 40, 20).tasks
    observation = PUSHT.observe(np.stack([task.start_state for task in tasks]), model.view)
    drawn = model.decode(model.encode(observation)).float()
    white = torch.full_like(drawn, 255.0)
    error = (drawn - observation.pixels).square().mean()
    assert error < 0.3 * (white - observation.pixels).square().mean()


def test_the_small_dino_wm_knows_one_step_and_its_card_names_the_data():
    loaded, tasks = load_model("pusht-dino-wm-small"), load_tasks("tune", 20, 40).tasks
    assert loaded.card["data"]["licence"].startswith("MIT")
    assert loaded.card["held_out"]["probes"]["tokens"]["block_px_rmse"] < 15
    model = loaded.model
    starts = np.stack([task.start_state for task in tasks])
    actions = np.stack([task.demo_actions for task in tasks])
    states = simulate(starts, actions)
    start, end = (model.encode(PUSHT.observe(s, model.view)) for s in (starts, states[:, 5]))
    chunks = model.normalise_actions(torch.from_numpy(actions).float())
    predicted = rollout(model, start, chunks[:, :1])[:, 0]
    assert model.distance(predicted, end).median() < 0.5 * model.distance(start, end).median()
