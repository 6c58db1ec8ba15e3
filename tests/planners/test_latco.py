import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners import LatCo
from grasp_bench.planners.latco import collocation


def test_the_batched_steps_equal_a_loop_over_time_and_problems(make_problem, run):
    problem = make_problem(batch=2, steps=3, bent=True)
    planner = LatCo(lr=0.2, initial_multiplier=0.5, iterations=6, yield_every=6)
    (candidate,) = run(planner, problem, upto=6)
    for b in range(2):
        states, actions = by_loops(problem, b, iterations=6, lr=0.2, multiplier=0.5)
        torch.testing.assert_close(candidate.virtual_states[b], states[:-1], atol=1e-10, rtol=0)
        torch.testing.assert_close(candidate.actions[b], actions, atol=1e-10, rtol=0)


def by_loops(problem, b, iterations, lr, multiplier):
    noise = NoiseStreams.from_seeds([b])
    states = noise.normal(3, 4, like=problem.start)[0].requires_grad_()
    actions = noise.normal(3, 2, like=problem.start)[0].requires_grad_()
    optimiser = torch.optim.Adam([states, actions], lr=lr)
    multipliers = [multiplier] * 3
    for _ in range(iterations):
        lagrangian = (states[-1] - problem.goal[b]).square().mean()
        origin, violations = problem.start[b], []
        for t in range(3):
            defect = problem.model.step(origin, actions[t]) - states[t]
            violations.append(defect.square().mean())
            origin = states[t]
        for weight, violation in zip(multipliers, violations, strict=True):
            lagrangian = lagrangian + weight * violation
        optimiser.zero_grad()
        lagrangian.backward()
        optimiser.step()
        multipliers = [m + v.item() for m, v in zip(multipliers, violations, strict=True)]
    return states.detach(), actions.detach()


def test_ascent_on_the_multipliers_closes_the_defects(make_problem, run):
    problem = make_problem(batch=4, steps=4)
    planner = LatCo(iterations=1000, initial_multiplier=0.01)
    early, *_, late = run(planner, problem, upto=1000)
    assert (end_mismatch(problem, late) < 0.05 * end_mismatch(problem, early)).all()


def end_mismatch(problem, candidate):
    # The last state of a path is a variable of its own; the goal stands in for it.
    path = torch.cat([candidate.virtual_states, problem.goal[:, None]], dim=1)
    _, violation = collocation(problem, path, candidate.actions)
    return violation.sum(dim=1)


def test_gradients_reach_the_states_through_the_model(make_problem):
    problem = make_problem(batch=1, steps=2)
    path = torch.zeros(1, 2, 4, dtype=torch.float64)
    path[:, 0] = problem.model.step(problem.start, torch.zeros(1, 2, dtype=torch.float64))
    path.requires_grad_()
    _, violation = collocation(problem, path, torch.zeros(1, 2, 2, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(violation.sum(), path)
    # s_1 sits where the model puts it, so all of its gradient comes through F(s_1, a_1).
    through_model = 2 / 4 * problem.model.transition.T @ (problem.model.transition @ path[0, 0])
    torch.testing.assert_close(gradient[0, 0], through_model)
