from dataclasses import replace
from math import sqrt

import pytest
import torch

from grasp_bench.core.errors import UserError
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import Problem
from grasp_bench.models.dino_wm import DinoWM, DinoWMConfig
from grasp_bench.planners import LatCoGN
from grasp_bench.planners._numerics import path_least_squares
from grasp_bench.planners._numerics.block_cholesky import solve
from grasp_bench.planners._numerics.path_least_squares import jacobians, linearised, metric_weights
from grasp_bench.planners.latco_gn import ascended

GRID = DinoWMConfig(
    side=2, features=6, action_embedding=4, proprio_embedding=2, depth=1, heads=2, head_width=4,
    hidden=8, image_size=16, encoder_size=16, encoder_width=8, encoder_blocks=1,
)  # fmt: skip


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def random_system(batch, steps, width):
    """A positive definite block-tridiagonal matrix, dense [B, TM, TM]."""
    near = torch.ones(steps, steps).tril().triu(-1).kron(torch.ones(width, width))
    factor = normal(batch, steps * width, steps * width).tril() * near
    factor.diagonal(dim1=1, dim2=2).abs_().add_(1)
    return factor @ factor.mT


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_block_cholesky_solves_what_a_dense_solver_does(steps):
    dense, right = random_system(3, steps, 4), normal(3, steps, 4, seed=1)
    blocks = dense.unflatten(1, (steps, 4)).unflatten(3, (steps, 4)).transpose(2, 3)
    diagonal = torch.stack([blocks[:, t, t] for t in range(steps)], dim=1)
    lower = [blocks[:, t + 1, t] for t in range(steps - 1)]
    lower = torch.stack(lower, dim=1) if lower else diagonal[:, :0]
    expected = torch.linalg.solve(dense, right.flatten(1)).unflatten(1, (steps, 4))
    torch.testing.assert_close(solve(diagonal, lower, right), expected)
    diagonal[1] *= -1
    one_failed = solve(diagonal, lower, right)
    assert one_failed[1].isnan().all()
    torch.testing.assert_close(one_failed[[0, 2]], expected[[0, 2]])


def residuals(problem, b, actions, states, multipliers, limit):
    """r of one problem, as the docstring of the planner defines it."""
    parts, origin = [], problem.start[b]
    for t, (action, state) in enumerate(zip(actions, states)):
        defect = problem.model.step(origin, action) - state
        excess = (action.abs() - limit).clamp(min=0)
        parts += [defect * (multipliers[0, t] / 4).sqrt(), excess * (multipliers[1, t] / 2).sqrt()]
        origin = state
    return torch.cat([*parts, (states[-1] - problem.goal[b]) / sqrt(4)])


def test_a_step_solves_the_dense_normal_equations(make_problem):
    problem, steps, damping = make_problem(batch=3, steps=4, bent=True), 4, 0.3
    states, actions = normal(3, steps, 4), 2 * normal(3, steps, 2, seed=1)
    multipliers = normal(2, 3, steps, seed=2).exp()
    system = linearised(problem, states, actions, metric_weights(problem), action_limit=1.0)
    assert 0 < (system.excess != 0).sum() < system.excess.numel()
    by_action, by_state = system.step(multipliers, damping)
    for b in range(3):

        def flat(x, b=b):
            a, s = x[: steps * 2].reshape(steps, 2), x[steps * 2 :].reshape(steps, 4)
            return residuals(problem, b, a, s, multipliers[:, b], limit=1.0)

        here = torch.cat([actions[b].flatten(), states[b].flatten()])
        jacobian = torch.autograd.functional.jacobian(flat, here)
        # Every latent weighs 1/4, so the damping of actions is the same as that of states.
        matrix = jacobian.T @ jacobian + damping / 4 * torch.eye(len(here)).double()
        step = -torch.linalg.solve(matrix, jacobian.T @ flat(here))
        ours = torch.cat([by_action[b].flatten(), by_state[b].flatten()])
        torch.testing.assert_close(ours, step, atol=1e-10, rtol=0)


def test_jacobians_are_those_of_the_model_in_one_call_or_several(make_problem, monkeypatch):
    problem = make_problem(batch=2, steps=3, bent=True)
    states, actions = normal(2, 3, 4), normal(2, 3, 2, seed=1)
    reached, by_state, by_action = jacobians(problem.model, states, actions)
    torch.testing.assert_close(reached, problem.model.step(states, actions))
    for b in range(2):
        for t in range(3):
            expected = torch.func.jacrev(problem.model.step, (0, 1))(states[b, t], actions[b, t])
            torch.testing.assert_close(by_state[b, t], expected[0])
            torch.testing.assert_close(by_action[b, t], expected[1])
    monkeypatch.setattr(path_least_squares, "MODEL_ROWS", 3 * 2 * 3)
    for whole, split in zip(
        (reached, by_state, by_action), jacobians(problem.model, states, actions)
    ):
        torch.testing.assert_close(split, whole)


def test_multipliers_rise_where_violated_and_fall_where_not():
    multipliers, violations = torch.full((4,), 2.0), torch.tensor([0.0, 0.9e-4, 0.99e-3, 1.0])
    expected = torch.tensor([1.8, 2.0, 2.2, 2.8])
    torch.testing.assert_close(ascended(multipliers, violations), expected, atol=1e-4, rtol=0)


def test_a_reachable_goal_of_a_linear_model_takes_few_steps(make_problem, run):
    problem = make_problem(batch=4, steps=5)
    costs = [candidate.cost for candidate in run(LatCoGN(), problem, upto=20)]
    assert (costs[-1] < 1e-3 * costs[0]).all()


def test_actions_end_within_their_limits(make_problem, run):
    problem = make_problem(batch=2, steps=5)
    bound, free = (
        run(LatCoGN(action_limit=limit), problem, upto=200)[-1].actions.abs().max()
        for limit in (0.3, 9.0)
    )
    assert bound < 0.35 < free


def test_it_plans_in_a_grid_of_tokens(run):
    torch.manual_seed(0)
    model = DinoWM(GRID).eval()
    problem = Problem(model, *normal(2, 2, *model.latent_shape).float(), steps=3)
    shown = run(LatCoGN(iterations=10), problem, upto=10)
    assert (torch.stack([c.cost for c in shown]).amin(0) < shown[0].cost).all()
    assert shown[-1].virtual_states.shape == (2, 2, *model.latent_shape)


def test_a_problem_that_cannot_be_solved_stands_still_by_itself(make_problem, run):
    problem = make_problem(batch=2, steps=3)
    broken = replace(problem, goal=problem.goal.clone().index_fill_(0, torch.tensor(0), torch.nan))
    first, second = run(LatCoGN(), broken, upto=2)
    assert torch.equal(first.actions[0], second.actions[0])
    (alone, *_) = run(LatCoGN(), problem, upto=1)
    torch.testing.assert_close(first.actions[1], alone.actions[1])


def test_a_distance_that_is_no_sum_of_squares_is_refused(make_problem):
    problem = make_problem()
    problem.model.distance = lambda state, goal: (state - goal).abs().sum(-1) ** 2
    with pytest.raises(UserError):
        next(LatCoGN().plan(problem, NoiseStreams.from_seeds([0, 1])))
