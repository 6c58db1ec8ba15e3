"""Variants of a model: bfloat16, rounded numbers to choose by, and gradients by checkpointing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Problem
from grasp_bench.models import load_model, save_checkpoint
from grasp_bench.models.dino_wm import DinoWM, DinoWMConfig
from grasp_bench.models.lewm import LeWM, LeWMConfig
from grasp_bench.models.vit import ViTConfig
from grasp_bench.planners import CEM, GRASP
from grasp_bench.planners.objective import goal_cost, goal_gradient, population_cost
from grasp_bench.planners.rollout import rollout
from grasp_bench.tasks.task_set import load_tasks
from grasp_bench.trial.metered import MeteredModel
from grasp_bench.trial.problems import encode_problem
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.tuning.settings_file import find_settings

VIT = ViTConfig(width=12, depth=1, heads=2, hidden=16, image_size=28)
SMALL = {
    "dino-wm": lambda: DinoWM(
        DinoWMConfig(side=2, features=24, depth=3, heads=4, head_width=8, hidden=48,
                     image_size=16, encoder_size=16, encoder_width=8, encoder_blocks=1)
    ),
    "lewm": lambda: LeWM(
        LeWMConfig(vit=VIT, width=24, depth=3, heads=4, head_width=8, hidden=48, action_hidden=16,
                   projection=32)
    ),
}  # fmt: skip
STEPS = 16


@pytest.fixture(params=SMALL)
def checkpoint(request, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / f"{request.param}.safetensors"
    save_checkpoint(SMALL[request.param](), path, {})
    return path


def problem_of(model):
    torch.manual_seed(1)
    start, goal = torch.randn(2, 2, *model.latent_shape)
    return Problem(model, start, goal, STEPS)


def plans():
    torch.manual_seed(2)
    return torch.randn(2, 5, STEPS, 10)


def test_checkpointing_gives_the_same_costs_and_gradients_and_is_named(checkpoint):
    plain, redone = load_model(str(checkpoint)), load_model(f"{checkpoint}@checkpointing")
    assert redone.name == f"{checkpoint.stem}@checkpointing"
    assert (redone.sha256, redone.model.blocks.checkpointing) == (plain.sha256, True)
    problem = problem_of(plain.model)
    expected = goal_gradient(problem, plans())
    found = goal_gradient(replace(problem, model=redone.model), plans())
    for one, other in zip(expected, found):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-9)
    path = torch.randn(2, STEPS - 1, *plain.model.latent_shape), plans()[:, 0]
    lifted = [GRASP().gradients(replace(problem, model=m.model), *path) for m in (plain, redone)]
    for one, other in zip(*lifted):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-9)


def test_checkpointing_runs_every_block_once_more_for_a_gradient(checkpoint):
    calls = []
    for name in (str(checkpoint), f"{checkpoint}@checkpointing"):
        model = load_model(name).model
        ran = []
        for block in model.blocks:
            block.register_forward_pre_hook(lambda *_, ran=ran: ran.append(1))
        goal_gradient(problem_of(model), plans())
        calls.append(len(ran))
    assert calls == [3 * STEPS, 2 * 3 * STEPS]


def test_costs_in_bfloat16_are_within_two_percent_and_carry_other_weights(checkpoint):
    plain, rounded = load_model(str(checkpoint)), load_model(f"{checkpoint}@bfloat16")
    assert rounded.sha256 != plain.sha256
    problem = problem_of(plain.model)
    with torch.no_grad():
        exact = goal_cost(problem, plans())
        found = goal_cost(replace(problem, model=rounded.model), plans())
    assert found.dtype == torch.float32
    apart = ((found - exact) / exact).abs()
    assert 0 < apart.max() < 0.02
    _, gradient = goal_gradient(replace(problem, model=rounded.model), plans())
    assert gradient.dtype == torch.float32
    direction = torch.cosine_similarity(
        gradient.flatten(), goal_gradient(problem, plans())[1].flatten(), 0
    )
    assert direction > 0.99
    both = load_model(f"{checkpoint}@bfloat16@checkpointing")
    assert both.sha256 == rounded.sha256
    torch.testing.assert_close(goal_cost(replace(problem, model=both.model), plans()), found)


@pytest.mark.parametrize("chosen", [1, 3])
def test_populations_are_costed_roughly_and_the_chosen_plans_exactly(checkpoint, chosen):
    plain, mixed = load_model(str(checkpoint)), load_model(f"{checkpoint}@bfloat16-samples")
    assert mixed.name == f"{checkpoint.stem}@bfloat16-samples"
    assert mixed.sha256 == plain.sha256
    problem = problem_of(plain.model)
    costed = replace(problem, model=mixed.model)
    with torch.no_grad():
        exact = goal_cost(problem, plans())
        rough = goal_cost(replace(problem, model=mixed.model.rough), plans())
        found = population_cost(costed, plans(), chosen)
        torch.testing.assert_close(goal_cost(costed, plans()), exact)
        torch.testing.assert_close(population_cost(problem, plans(), chosen), exact)
    places = rough.topk(chosen, largest=False).indices
    for costs in (exact, found):
        assert costs.dtype == torch.float32
    torch.testing.assert_close(found.gather(1, places), exact.gather(1, places))
    torch.testing.assert_close(found[:, 0], exact[:, 0])
    assert set(found.topk(chosen, largest=False).indices[0].tolist()) <= {0, *places[0].tolist()}
    assert not torch.equal(found, exact)


def test_a_plan_that_was_costed_roughly_never_ties_with_the_chosen(checkpoint):
    model, rough = (load_model(str(checkpoint)).model for _ in range(2))
    rough.goal_distance = lambda states, goals, weight: 0 * states.flatten(2).sum(-1)
    model.rough = rough
    problem = problem_of(model)
    with torch.no_grad():
        exact, found = goal_cost(problem, plans()), population_cost(problem, plans(), 1)
    best = found.argmin(1, keepdim=True)
    torch.testing.assert_close(found.gather(1, best), exact.gather(1, best))
    assert ((found == found.gather(1, best)).sum(1) == 1).all()


@pytest.mark.parametrize("variant", ["bfloat16-samples", "int8-samples"])
def test_a_plan_chosen_roughly_is_as_good_and_its_cost_is_exact(variant):
    plain, mixed = load_model("pusht-compact"), load_model(f"pusht-compact@{variant}")
    assert mixed.sha256 == plain.sha256
    tasks = load_tasks("tune", 20, 8)
    found = []
    for loaded in (plain, mixed):
        meter = MeteredModel(loaded.model)
        problem, _ = encode_problem(tasks, tasks.tasks, CEM(), meter, TrialProtocol())
        noise = NoiseStreams.from_seeds(range(8))
        planning = CEM(samples=50, elites=5).plan(problem, noise)
        candidate = next(c for c in planning if c.iteration == 5)
        with torch.no_grad():
            torch.testing.assert_close(
                candidate.cost, goal_cost(replace(problem, model=plain.model), candidate.actions)
            )
        found.append((candidate.cost, meter.model_evals_forward))
    (exact, evals), (rough, more) = found
    assert more == evals + 6 * 8 * (5 + 1) * 4  # the elites and the mean again, each iteration
    assert rough.mean() < 1.25 * exact.mean()


def test_one_frame_of_context_is_a_rollout_of_single_steps(checkpoint):
    plain, markov = load_model(str(checkpoint)), load_model(f"{checkpoint}@one-frame")
    assert markov.sha256 == plain.sha256
    start = problem_of(plain.model).start
    states = rollout(markov.model, start, plans()[:, 0])
    state = start
    for t in range(STEPS):
        state = plain.model.step(state, plans()[:, 0, t])
        torch.testing.assert_close(states[:, t], state)
    longer = rollout(plain.model, start, plans()[:, 0])
    torch.testing.assert_close(longer[:, 0], states[:, 0])
    assert (longer[:, 1] - states[:, 1]).abs().max() > 1e-3


def test_a_lifted_step_is_one_call_of_every_block_whatever_its_transitions(checkpoint):
    model = load_model(str(checkpoint)).model
    seen = []
    model.blocks[0].register_forward_hook(lambda _, rows, __: seen.append(len(rows[0])))
    path = torch.randn(2, STEPS - 1, *model.latent_shape), plans()[:, 0]
    GRASP().gradients(problem_of(model), *path)
    assert seen == [2 * STEPS]


def test_attention_is_the_fused_kernel(checkpoint, monkeypatch):
    from grasp_bench.models import frame_transformer

    called = []
    fused = frame_transformer.scaled_dot_product_attention

    def watched(*arguments, **options):
        called.append(options["attn_mask"] is not None or options["is_causal"])
        return fused(*arguments, **options)

    monkeypatch.setattr(frame_transformer, "scaled_dot_product_attention", watched)
    model = load_model(str(checkpoint)).model
    with torch.no_grad():
        goal_cost(problem_of(model), plans())
    assert len(called) == 3 * STEPS


def test_other_models_have_no_variants_and_settings_are_those_of_the_model(refused, checkpoint):
    sentence = refused(
        "run", "--planner", "cem", "--horizon", 20, "--model", "pusht-compact@one-frame"
    )
    assert "dino-wm and lewm" in sentence
    assert "pusht-compact@" in refused(
        "run", "--planner", "cem", "--horizon", 20, "--model", "pusht-compact@float16"
    )
    assert "compact and pose" in refused(
        "run", "--planner", "cem", "--horizon", 20, "--model", f"{checkpoint}@int8-samples"
    )
    assert find_settings("pusht-compact@bfloat16-samples") == find_settings("pusht-compact")
    assert Path(find_settings("pusht-compact").path).name == "pusht-compact.json"
