"""The bridge with stable-worldmodel itself: `make test-swm` installs it and runs this."""

import json
from types import SimpleNamespace
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from grasp_bench.bridges.stable_worldmodel import ForeignSolver, Solver
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Problem
from grasp_bench.models.foreign_latents import ForeignLatents
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.rollout import rollout
from grasp_bench.run.store import read_results

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
    found = module.rollout(info, actions[:, None])
    # The first is the release's name.
    theirs = found.get("predicted_embedding", found.get("predicted_emb"))[:, 0, 1:]
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


class Reach(gymnasium.Env):
    """A point that is to reach a place: pictures of 28 px, and the goal's picture in the info."""

    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, render_mode="rgb_array"):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.goal = self.np_random.uniform(-1, 1, (2, 2)).astype(np.float32)
        return self.place, {"goal": picture_of(self.goal)}

    def step(self, action):
        self.place = np.clip(self.place + 0.1 * action, -1, 1).astype(np.float32)
        reached = bool(np.linalg.norm(self.place - self.goal) < 0.2)
        return self.place, 0.0, reached, False, {"goal": picture_of(self.goal)}

    def render(self):
        return picture_of(self.place)


def picture_of(place):
    drawn = np.full((28, 28, 3), 255, np.uint8)
    row, column = ((place + 1) * 13).astype(int)
    drawn[row : row + 2, column : column + 2] = 0
    return drawn


@pytest.mark.parametrize("planner", ["grasp", "latco", "grasp-plus"])
def test_our_planners_plan_in_its_evaluation(parts, planner):
    import stable_worldmodel as swm
    from torchvision.transforms import v2

    if "Reach-v0" not in gymnasium.registry:
        gymnasium.register("Reach-v0", Reach)
    model = ForeignLatents(vectors(parts, "LeWM"), size=28, style="default")
    solver = Solver(planner, model, candidates=2)
    pixels = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    policy = swm.policy.WorldModelPolicy(
        solver=solver,
        config=swm.PlanConfig(horizon=2, receding_horizon=1, action_block=5),
        transform={"pixels": pixels, "goal": pixels},
    )
    world = swm.World("Reach-v0", num_envs=2, image_shape=(28, 28), max_episode_steps=10)
    world.set_policy(policy)
    found = world.evaluate(episodes=2, seed=0)
    assert 0 <= found["success_rate"] <= 100
    assert len(found["episode_successes"]) == 2
    assert solver._plannings >= 1


def test_its_checkpoints_and_its_solvers_are_rows_of_our_tables(
    parts, cli, monkeypatch, tmp_path, in_this_process
):
    pytest.importorskip("cv2")
    folder = tmp_path / "home" / "checkpoints" / "tiny-lewm"
    folder.mkdir(parents=True)
    monkeypatch.setenv("STABLEWM_HOME", str(tmp_path / "home"))
    lewm = "stable_worldmodel.wm.lewm"
    norm = {"_target_": "hydra.utils.get_class", "path": "torch.nn.BatchNorm1d"}
    config = {
        "_target_": f"{lewm}.lewm.LeWM",
        "encoder": {
            "_target_": "transformers.ViTModel", "add_pooling_layer": False,
            "config": {"_target_": "transformers.ViTConfig", "hidden_size": 12,
                       "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 24,
                       "image_size": 224, "patch_size": 56},
        },
        "predictor": {"_target_": f"{lewm}.module.Predictor", "num_frames": 3, "depth": 1,
                      "heads": 2, "mlp_dim": 16, "input_dim": 8, "hidden_dim": 8, "dim_head": 4},
        "action_encoder": {"_target_": f"{lewm}.module.Embedder", "input_dim": 10, "emb_dim": 8},
        "projector": {"_target_": f"{lewm}.module.MLP", "_args_": [12, 20, 8], "norm_fn": norm},
        "pred_proj": {"_target_": f"{lewm}.module.MLP", "_args_": [8, 20, 8], "norm_fn": norm},
    }  # fmt: skip
    from hydra.utils import instantiate

    torch.manual_seed(0)
    torch.save(instantiate(config).state_dict(), folder / "weights.pt")
    (folder / "config.json").write_text(json.dumps(config))
    solver = "grasp_bench.bridges.stable_worldmodel:ForeignSolver"
    code, _, err = cli(
        "sweep", "--model", "swm:tiny-lewm", "--planners", f"grasp,{solver},demo", "--horizons", 20,
        "--set", f"{solver}.samples=40", "--set", f"{solver}.steps=2",
        "--trials", 1, "--workers", 1, "--clock", "iterations", "--budget", 2, "--out", "out",
    )  # fmt: skip
    trials = read_results("out")
    assert code == 0, (err, trials["error"].dropna().tolist())
    assert set(trials["planner"]) == {"grasp", "swm-solver", "demo"}
