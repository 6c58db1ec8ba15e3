"""The bridge with stable-worldmodel itself: `make test-swm` installs it and runs this."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from grasp_bench.bridges.stable_worldmodel import ForeignSolver, Solver
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Problem
from grasp_bench.models.foreign_latents import ForeignLatents
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.rollout import rollout

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def parts():
    """Its modules, and a small encoder."""
    pytest.importorskip("stable_worldmodel")
    import transformers
    from stable_worldmodel.wm.lewm import lewm, module
    from stable_worldmodel.wm.pldm import pldm
    from stable_worldmodel.wm.prejepa import module as tokens
    from stable_worldmodel.wm.prejepa import prejepa

    config = transformers.ViTConfig(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=24,
        image_size=28, patch_size=14,
    )  # fmt: skip
    return SimpleNamespace(
        encoder=lambda: transformers.ViTModel(config, add_pooling_layer=False),
        module=module, tokens=tokens, LeWM=lewm.LeWM, PLDM=pldm.PLDM, PreJEPA=prejepa.PreJEPA,
    )  # fmt: skip


def vectors(parts, kind):
    torch.manual_seed(0)
    made = getattr(parts, kind)(
        parts.encoder(),
        parts.module.Predictor(
            num_frames=3, depth=2, heads=2, mlp_dim=16, input_dim=8, hidden_dim=8, dim_head=4
        ),
        parts.module.Embedder(input_dim=10, emb_dim=8),
        projector=parts.module.MLP(12, 20, 8, norm_fn=nn.BatchNorm1d),
        pred_proj=parts.module.MLP(8, 20, 8, norm_fn=nn.BatchNorm1d),
    )
    for value in made.parameters():
        nn.init.normal_(value, std=0.3)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["LeWM", "PLDM"])
def test_rollouts_of_vectors_are_the_librarys(parts, kind):
    module = vectors(parts, kind)
    model = ForeignLatents(module, size=28, style="default")
    pictures, actions = torch.randn(2, 3, 28, 28), torch.randn(2, 6, 10)
    info = {"pixels": pictures[:, None, None]}
    theirs = module.rollout(info, actions[:, None])["predicted_emb"][:, 0, 1:]
    ours = rollout(model, model.encode_frames(pictures, torch.zeros(2, 4)), actions)
    torch.testing.assert_close(ours, theirs, **CLOSE)


def test_rollouts_of_tokens_are_the_librarys(parts):
    torch.manual_seed(0)
    extra = nn.ModuleDict(
        {"action": parts.tokens.Embedder(in_chans=10, emb_dim=4),
         "proprio": parts.tokens.Embedder(in_chans=4, emb_dim=6)}
    )  # fmt: skip
    predictor = parts.tokens.CausalPredictor(
        num_patches=4, num_frames=3, dim=22, depth=2, heads=2, mlp_dim=16, dim_head=8
    )
    module = parts.PreJEPA(parts.encoder(), predictor, extra_encoders=extra, history_size=3)
    module.eval().requires_grad_(False)
    model = ForeignLatents(module, size=28, style="default")
    pictures, proprio, actions = torch.randn(2, 3, 28, 28), torch.randn(2, 4), torch.randn(2, 6, 10)
    info = {"pixels": pictures[:, None, None], "proprio": proprio[:, None, None],
            "id": torch.zeros(2, 1, 1), "step_idx": torch.zeros(2, 1, 1)}  # fmt: skip
    theirs = module.rollout(info, actions[:, None])["predicted_emb"][:, 0, 1:]
    ours = rollout(model, model.encode_frames(pictures, proprio), actions)
    known = [n for n in range(22) if not 12 <= n < 16]  # but the action's place
    torch.testing.assert_close(ours[..., known], theirs[..., known], **CLOSE)


@pytest.mark.parametrize("solver", ["CEMSolver", "ICEMSolver", "MPPISolver", "AdamSolver"])
def test_its_solvers_lower_the_cost(parts, solver):
    model = ForeignLatents(vectors(parts, "LeWM"), size=28, style="default")
    start, goal = (model.encode_frames(torch.randn(2, 3, 28, 28), torch.zeros(2, 4)) for _ in "ab")
    problem = Problem(model, start, goal, steps=4)
    plans = ForeignSolver(solver=solver, steps=3, samples=40).plan(
        problem, NoiseStreams.from_seeds([0, 1])
    )
    shown = [next(plans) for _ in range(3)]
    idle = goal_cost(problem, torch.zeros(2, 4, 10))
    assert (shown[-1].cost < idle).all()


def test_our_planners_are_solvers_of_its(parts):
    from stable_worldmodel.planning.solver.solver import Solver as Protocol

    solver = Solver("grasp", vectors(parts, "LeWM"), candidates=2)
    config = SimpleNamespace(horizon=4, action_block=5)
    solver.configure(action_space=SimpleNamespace(shape=(2, 2)), n_envs=2, config=config)
    assert isinstance(solver, Protocol)  # as its policy asks once it has configured one
