"""The bridge, both ways: its models and solvers in our tables, our planners in its loop."""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from peers import Tokens, Vectors, installed

from grasp_bench.bridges.stable_worldmodel import ForeignSolver, Solver
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Problem
from grasp_bench.models.foreign_latents import ForeignLatents
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.rollout import rollout
from grasp_bench.run.store import read_results


@pytest.fixture(params=[Vectors, Tokens])
def model(request):
    torch.manual_seed(0)
    module = request.param().eval().requires_grad_(False)
    return ForeignLatents(module, size=16, style="default")


def problem_of(model, batch=2, steps=4):
    torch.manual_seed(1)
    pictures, proprio = torch.randn(2, batch, 3, 16, 16), torch.randn(2, batch, 4)
    start, goal = (model.encode_frames(*both) for both in zip(pictures, proprio))
    return Problem(model, start, goal, steps)


def test_a_rollout_shows_the_model_as_many_frames_as_it_remembers(model):
    problem = problem_of(model)
    actions = torch.randn(2, 4, 10)
    states = rollout(model, problem.start, actions)
    assert states.shape == (2, 4, *model.latent_shape)
    torch.testing.assert_close(states[:, 0], model.step(problem.start, actions[:, 0]))
    pair = torch.stack([states[:, 1], states[:, 2]], dim=1)
    torch.testing.assert_close(states[:, 3], model.step_in_context(pair, actions[:, 2:4]))


def test_what_stands_beside_the_picture_counts_but_not_the_action():
    model = ForeignLatents(Tokens().requires_grad_(False), size=16, style="default")
    state, goal = torch.zeros(4, 10), torch.zeros(4, 10)
    state[:, 5:7] = 9.0  # the action's place
    assert model.distance(state, goal) == 0
    state[:, 7:] = 2.0
    assert model.goal_distance(state, goal, 0.5) == 2.0
    state[:, :5] = 1.0
    assert model.distance(state, goal) == 5.0


def test_our_planners_solve_in_its_loop(model):
    config = SimpleNamespace(horizon=3, action_block=5)
    info = {
        "pixels": torch.randn(2, 1, 3, 16, 16), "goal": torch.randn(2, 1, 3, 16, 16),
        "proprio": torch.randn(2, 1, 4), "goal_proprio": torch.randn(2, 1, 4),
    }  # fmt: skip
    costs = {}
    for planner, candidates in (("cem", 20), ("grasp", 6), ("latco", 6), ("grasp-plus", 8)):
        solver = Solver(planner, model, candidates=candidates)
        solver.configure(action_space=Box(-1, 1, (2, 2)), n_envs=2, config=config)
        assert (solver.action_dim, solver.horizon, solver.n_envs) == (10, 3, 2)
        out = solver(info)
        assert out["actions"].shape == (2, 3, 10)
        costs[planner] = np.array(out["costs"])
    start = model.encode_frames(info["pixels"][:, 0], info["proprio"][:, 0])
    goal = model.encode_frames(info["goal"][:, 0], info["goal_proprio"][:, 0])
    idle = goal_cost(Problem(model, start, goal, 3), torch.zeros(2, 3, 10)).numpy()
    assert (costs["cem"] < idle).all()


def test_one_seed_gives_one_plan_and_each_planning_its_own(model):
    info = {name: torch.randn(1, 1, 3, 16, 16) for name in ("pixels", "goal")}
    config = SimpleNamespace(horizon=3, action_block=5)

    def plans(seed):
        solver = Solver("cem", model, candidates=3, seed=seed)
        solver.configure(action_space=Box(-1, 1, (1, 2)), n_envs=1, config=config)
        return [solver.solve(info)["actions"] for _ in range(2)]

    first, second = plans(0)
    again, _ = plans(0)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, plans(1)[0])


def test_its_solvers_plan_as_planners_do(model, monkeypatch):
    installed(monkeypatch, model)
    problem = problem_of(model)
    shown = []
    for candidate in ForeignSolver(samples=20).plan(problem, NoiseStreams.from_seeds([0, 1])):
        shown.append(candidate)
        if len(shown) == 3:
            break
    torch.testing.assert_close(shown[-1].cost, goal_cost(problem, shown[-1].actions))
    assert (shown[2].cost <= shown[0].cost).all()
    assert [candidate.iteration for candidate in shown] == [30, 60, 90]


def test_its_model_and_its_solver_are_rows_of_a_table(cli, monkeypatch, in_this_process):
    torch.manual_seed(0)
    installed(monkeypatch, Vectors())
    code, _, err = cli(
        "sweep", "--model", "swm:somebody/a-model", "--horizons", 20, "--trials", 2, "--workers", 1,
        "--planners", "cem,grasp_bench.bridges.stable_worldmodel:ForeignSolver,demo",
        "--set", "grasp_bench.bridges.stable_worldmodel:ForeignSolver.samples=8",
        "--clock", "iterations", "--budget", 2, "--out", "out",
    )  # fmt: skip
    assert code == 0, err
    trials = read_results("out")
    assert set(trials["planner"]) == {"cem", "swm-solver", "demo"}
    assert set(trials["model"]) == {"swm:somebody/a-model"}
    assert trials["model_sha256"].str.len().eq(64).all()


@pytest.mark.skipif(find_spec("stable_worldmodel") is not None, reason="it is installed")
def test_without_the_library_one_sentence_says_what_to_install(refused):
    sentence = refused("run", "--planner", "cem", "--horizon", 20, "--model", "swm:a")
    assert "grasp-bench[swm]" in sentence
