from dataclasses import replace

import numpy as np
import pytest
import torch

from envs.goal import in_goal_region
from envs.pusht import rollout as simulate
from grasp_bench.errors import UserError
from grasp_bench.models import CompactConfig, CompactWorldModel, load_model
from grasp_bench.models.checkpoint import read_card
from grasp_bench.models.linear import LinearModel
from grasp_bench.planners import make_planner
from grasp_bench.tasks import is_task, load_tasks
from grasp_bench.training.data import Demonstrations, load_demonstrations, read_shard
from grasp_bench.training.dynamics import (
    DynamicsObjective,
    Source,
    attacked,
    dynamics_loss,
    encode_phases,
)
from grasp_bench.training.online import finetune
from grasp_bench.training.online_checks import exploitation_gap, open_loop_distance
from grasp_bench.training.online_plans import demonstration_tasks, executed_plans, incumbents
from grasp_bench.training.online_recipe import PlanSource, get_online_recipe
from grasp_bench.types import NoiseStreams, Problem


@pytest.fixture(scope="module")
def demonstrations(datasets):
    return load_demonstrations(datasets / "train", "train", 200)


def test_tasks_are_cut_from_the_demonstrations_and_ask_for_pushing(demonstrations):
    tasks = demonstration_tasks(demonstrations, 40, 8, np.random.default_rng(0), "train")
    again = demonstration_tasks(demonstrations, 40, 8, np.random.default_rng(0), "train")
    assert [task.id for task in tasks] == [f"train-{i:04d}" for i in range(8)]
    frozen = {task.start_state.tobytes() for task in load_tasks("tune", 40).tasks}
    for task, same in zip(tasks, again, strict=True):
        assert np.array_equal(task.start_state, same.start_state)
        assert is_task(task.start_state, task.goal_state)
        assert task.start_state.tobytes() not in frozen
        ends = simulate(task.start_state[None], task.demo_actions[None])[0, -1]
        assert in_goal_region(ends, task.goal_state)


def test_tasks_longer_than_the_demonstrations_or_without_a_moving_block_are_refused(demonstrations):
    with pytest.raises(UserError, match="do not fit"):
        demonstration_tasks(demonstrations, 105, 1, np.random.default_rng(0), "train")
    still = Demonstrations(demonstrations.states[:2, :41], np.zeros((2, 40, 2), np.float32))
    with pytest.raises(UserError, match="too few tasks"):
        demonstration_tasks(still, 40, 1, np.random.default_rng(0), "train")


def test_incumbents_are_the_cheapest_plans_so_far():
    model = LinearModel(torch.eye(3), 0.1 * torch.ones(3, 10))
    problem = Problem(model, torch.zeros(2, 3), torch.ones(2, 3), 4)
    planner = make_planner("cem", {"samples": 20, "elites": 4})

    def noise():
        return NoiseStreams.from_seeds([1, 2])

    costs = []
    for count, candidate in enumerate(planner.plan(problem, noise()), start=1):
        costs.append(candidate.cost)
        if count == 6:
            break
    held = list(incumbents(planner, problem, noise(), (2, 6)))
    for moment, (plan, cost) in zip((2, 6), held, strict=True):
        torch.testing.assert_close(cost, torch.stack(costs[:moment]).amin(0))
        assert plan.shape == (2, 4, model.action_dim)


@pytest.fixture
def model(responsive_checkpoint):
    loaded = load_model(str(responsive_checkpoint)).model
    assert isinstance(loaded, CompactWorldModel)
    return loaded


def test_executed_plans_are_what_the_simulator_makes_of_the_planners_actions(model, demonstrations):
    tasks = demonstration_tasks(demonstrations, 20, 3, np.random.default_rng(1), "train")
    source = PlanSource("gd", {"optimiser": "adam", "lr": 0.2}, (1, 4))
    episodes = executed_plans(model, source, tasks, seed=0)
    assert episodes.states.shape == (6, 21, 7)
    assert episodes.actions.shape == (6, 20, 2)
    starts = np.stack([task.start_state for task in tasks])
    assert np.array_equal(episodes.states[:3, 0], starts)
    assert np.array_equal(episodes.states[3:, 0], starts)
    assert np.array_equal(episodes.states, simulate(episodes.states[:, 0], episodes.actions))


def test_the_exploitation_gap_is_predicted_minus_realised(model, demonstrations):
    tasks = demonstration_tasks(demonstrations, 20, 3, np.random.default_rng(1), "train")
    gap = exploitation_gap(model, PlanSource("gd", {}, (2, 3)), tasks, seed=0)
    assert gap.gap == pytest.approx(gap.predicted - gap.realised, abs=2e-5)
    assert (gap.planner, gap.horizon, gap.tasks) == ("gd", 20, 3)
    assert 0 <= gap.exploited <= 1 - gap.success
    assert gap == exploitation_gap(model, PlanSource("gd", {}, (3,)), tasks, seed=0)


def test_the_open_loop_error_of_a_model_that_never_moves_is_the_copy_floor(
    tiny_checkpoint, demonstrations
):
    model = load_model(str(tiny_checkpoint)).model  # its last layer is zero: F(z, a) = z
    errors = open_loop_distance(model, demonstrations)
    assert set(errors) == {"1", "4", "8", "12", "16"}
    for error in errors.values():
        assert error["median"] == error["copy_median"] > 0
        assert error["mean"] == error["copy_mean"]


def test_every_phase_of_a_plan_is_encoded(model, demonstrations, tmp_path):
    data = Demonstrations(demonstrations.states[:2, :21], demonstrations.actions[:2, :20])
    encoded = encode_phases(model, data, tmp_path / "latents.npz")
    assert encoded.features.shape[:2] == (2 * 5, 4)
    assert encoded.actions.shape == (2 * 5, 3 * 5, 2)
    for row, phase in enumerate(range(5)):
        expected = data.states[0, phase : 20 : model.frameskip][:, [0, 1, 5, 6]]
        np.testing.assert_array_equal(encoded.proprio[row], expected)
        expected = data.actions[0, phase : phase + 15]
        np.testing.assert_array_equal(encoded.actions[row], expected)


def test_an_attack_raises_the_loss_and_stays_within_its_radius():
    generator = torch.Generator().manual_seed(0)
    start, actions = torch.randn(64, 4), torch.randn(64, 2, 3)
    weight = torch.randn(4, 3)

    def loss(s, a):
        return (s @ weight + a.sum(1)).square().mean()

    moved_start, moved_actions = attacked(loss, start, actions, 0.1, generator)
    assert float((moved_start - start).abs().max()) <= 0.1 + 1e-6
    assert float((moved_actions - actions).abs().max()) <= 0.1 + 1e-6
    random_sign = torch.randn(start.shape, generator=generator).sign()
    by_chance = loss(start + 0.1 * random_sign, actions)
    assert loss(moved_start, moved_actions) > 1.1 * max(loss(start, actions), by_chance)


def test_an_attacked_loss_is_harder_and_trains_the_predictor_alone(demonstrations, tmp_path):
    torch.manual_seed(0)
    model = CompactWorldModel(
        CompactConfig(keypoints=2, encoder_channels=8, width=16, blocks=1, decoder_width=8)
    )
    torch.nn.init.normal_(model.predictor.leave[-1].weight)
    data = Demonstrations(demonstrations.states[:4, :41], demonstrations.actions[:4, :40])
    with torch.no_grad():
        source = Source(encode_phases(model, data, tmp_path / "latents.npz"), 16)
    losses = [
        dynamics_loss(model, [source], DynamicsObjective(attack=attack))(
            torch.Generator().manual_seed(0)
        )[0]
        for attack in (0.0, 0.3)
    ]
    assert losses[1] > losses[0]
    losses[1].backward()
    assert all(p.grad is not None for p in model.predictor.parameters())
    assert all(p.grad is None for p in model.encoder.parameters())


def test_finetuning_runs_from_the_command_line_and_resumes_to_the_same_weights(
    grasp_bench, responsive_checkpoint, datasets, tmp_path, monkeypatch
):
    path = tmp_path / "tuned.safetensors"
    folders = ["--data", str(datasets / "train"), "--held-out", str(datasets / "held-out")]
    command = ["finetune", "--recipe", "online-smoke", "--model", str(responsive_checkpoint)]
    run = tmp_path / "run"
    assert grasp_bench(*command, *folders, "--run", str(run), "--out", str(path)) == 0
    card, parent = read_card(path), load_model(str(responsive_checkpoint))
    assert card["parent"]["sha256"] == parent.sha256
    assert card["command"].startswith("grasp-bench")
    assert card["recipe"]["rounds"] == 1
    assert set(card["rounds"]) == {"0", "1"}
    assert {gap["planner"] for gap in card["rounds"]["1"]["exploitation_gap"]} == {"gd", "cem"}
    before, after = parent.model.state_dict(), load_model(str(path)).model.state_dict()
    for name, value in after.items():
        assert torch.equal(value, before[name]) is not name.startswith("predictor."), name
    shards = sorted(run.glob("round-1/shard-*.npz"))
    assert [len(read_shard(shard).states) for shard in shards] == [8, 4]

    recipe = get_online_recipe("online-smoke")
    shards[0].with_name("latents-00000.npz").unlink()
    (run / "round-1" / "dynamics.pt").unlink()
    arguments = (datasets / "train", datasets / "held-out", run, tmp_path / "again.safetensors")
    monkeypatch.setattr("grasp_bench.training.online.model_report", lambda *given: {})
    again = finetune(str(responsive_checkpoint), recipe, *arguments, "a test")
    assert again["sha256"] == card["sha256"]
    with pytest.raises(UserError, match="another recipe"):
        finetune(str(responsive_checkpoint), replace(recipe, seed=1), *arguments, "a test")


def test_bad_input_to_finetuning_is_a_sentence(
    grasp_bench, responsive_checkpoint, datasets, tmp_path, capsys
):
    command = ["finetune", "--model", str(responsive_checkpoint), "--run", str(tmp_path / "run")]
    command += ["--out", str(tmp_path / "out.safetensors"), "--recipe", "online-smoke"]
    assert grasp_bench(*command, "--data", str(tmp_path / "nowhere")) == 2
    assert "grasp-bench data collect" in capsys.readouterr().err
    folders = ["--data", str(datasets / "train"), "--held-out", str(datasets / "held-out")]
    assert grasp_bench(*command, *folders, "--unroll", "8") == 2
    assert "can be unrolled 7" in capsys.readouterr().err
    assert grasp_bench(*command[:-1], "onlin") == 2
    assert "did you mean 'online'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_options_replace_their_part_of_a_recipe():
    recipe = get_online_recipe("online").changed(rounds=2, steps=7, unroll=3, attack=0.1)
    assert (recipe.rounds, recipe.dynamics.steps) == (2, 7)
    assert (recipe.rollout.unroll, recipe.rollout.attack) == (3, 0.1)
    assert recipe.tasks == get_online_recipe("online").tasks
    with pytest.raises(UserError, match="share of plans"):
        replace(recipe, plan_share=1.5)


def test_an_ensemble_is_trained_apart_and_kept_in_the_checkpoint(
    responsive_checkpoint, datasets, tmp_path, monkeypatch
):
    monkeypatch.setattr("grasp_bench.training.online.model_report", lambda *given: {})
    recipe = get_online_recipe("online-smoke").changed(ensemble=2, steps=5)
    path, folders = tmp_path / "pair.safetensors", (datasets / "train", datasets / "held-out")
    card = finetune(str(responsive_checkpoint), recipe, *folders, tmp_path / "run", path, "a test")
    assert card["architecture"]["ensemble"] == 2
    assert set(card["curves"]) == {"round-1/dynamics-0", "round-1/dynamics-1"}
    model = load_model(str(path)).model
    state, action = torch.randn(3, *model.latent_shape), torch.randn(3, model.action_dim)
    assert (model.disagreement(state, action) > 0).all()
    with pytest.raises(UserError, match="an ensemble already"):
        finetune(str(path), recipe, *folders, tmp_path / "again", path, "a test")
