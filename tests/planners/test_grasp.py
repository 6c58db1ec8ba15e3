import pytest
import torch

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.planners import GRASP, Zero
from grasp_bench.planners.grasp import straight_line
from grasp_bench.planners.objective import goal_cost, goal_gradient
from grasp_bench.planners.rollout import rollout


@pytest.fixture
def point(make_problem):
    """A bent problem, and states and actions away from every special place."""
    problem = make_problem(batch=3, steps=4, bent=True)
    noise = NoiseStreams.from_seeds([10, 11, 12])
    states = noise.normal(3, 4, like=problem.start)
    return problem, states, noise.normal(4, 2, like=states)


def loss_by_loop(problem, states, actions, b, gamma, stop):
    """The loss of one problem exactly as the paper writes it; gamma = 0 leaves L_goal out."""
    path = [problem.start[b], *states, problem.goal[b]]
    dynamics = attraction = 0.0
    for t in range(problem.steps):
        origin = path[t].detach() if stop else path[t]
        reached = problem.model.step(origin, actions[t])
        dynamics = dynamics + (reached - path[t + 1]).square().mean()
        attraction = attraction + (reached - problem.goal[b]).square().mean()
    return dynamics + gamma * attraction


@pytest.mark.parametrize("stop", [True, False])
def test_batched_loss_and_gradients_equal_a_loop_over_time(stop, point):
    problem, states, actions = point
    planner = GRASP(goal_weight=0.7, stop_state_gradient=stop)
    loss = planner.loss(problem, states, actions)
    by_state, by_action = planner.gradients(problem, states, actions)
    for b in range(3):
        s, a = (x[b].clone().requires_grad_() for x in (states, actions))
        expected = loss_by_loop(problem, s, a, b, 0.7, stop)
        grad_s, grad_a = torch.autograd.grad(expected, (s, a))
        torch.testing.assert_close(loss[b], expected.detach(), atol=1e-10, rtol=0)
        torch.testing.assert_close(by_state[b], grad_s, atol=1e-10, rtol=0)
        torch.testing.assert_close(by_action[b], grad_a, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("variant", "gammas", "sigmas"),
    [
        ({}, [0.7, 0.7, 0.7], [0.1, 0.1, 0.1]),
        ({"dense_goal": False}, [0, 0, 0], [0.1, 0.1, 0.1]),
        ({"final_noise": 0.0, "final_goal_weight": 0.5}, [0.7, 0.6, 0.5], [0.1, 0.05, 0.0]),
        ({"noise_on": "actions", "final_noise": 0.3}, [0.7, 0.7, 0.7], [0.1, 0.2, 0.3]),
    ],
)
def test_whole_iterations_with_sync_equal_a_loop_over_problems(
    variant, gammas, sigmas, make_problem, run
):
    problem = make_problem(batch=2, steps=3, bent=True)
    planner = GRASP(
        state_lr=0.2, action_lr=0.03, state_noise=0.1, initial_noise=0.2, goal_weight=0.7,
        sync_every=3, gd_steps=2, gd_lr=0.04, iterations=8, yield_every=8, **variant,
    )  # fmt: skip
    candidate = run(planner, problem, upto=8)[-1]
    for b in range(2):
        states, actions = by_loops(planner, problem, b, gammas, sigmas)
        torch.testing.assert_close(candidate.virtual_states[b], states, atol=1e-10, rtol=0)
        torch.testing.assert_close(candidate.actions[b], actions, atol=1e-10, rtol=0)


def by_loops(planner, problem, b, gammas, sigmas):
    noise = NoiseStreams.from_seeds([b])
    steps, start, goal = problem.steps, problem.start[b], problem.goal[b]
    line = [t / steps * goal + (1 - t / steps) * start for t in range(1, steps)]
    states = torch.stack(line) + planner.initial_noise * noise.normal(2, 4, like=start)[0]
    states.requires_grad_()
    actions = torch.zeros(steps, 2, dtype=start.dtype, requires_grad=True)

    def fresh_optimiser():
        return torch.optim.Adam(
            [
                {"params": [states], "lr": planner.state_lr},
                {"params": [actions], "lr": planner.action_lr},
            ]
        )

    optimiser = fresh_optimiser()
    for iteration in range(1, planner.iterations + 1):
        optimiser.zero_grad()
        phase = (iteration - 1) % planner.sync_every
        loss_by_loop(problem, states, actions, b, gammas[phase], stop=True).backward()
        optimiser.step()
        with torch.no_grad():
            shaken = states if planner.noise_on == "states" else actions
            shaken += sigmas[phase] * noise.normal(*shaken.shape, like=start)[0]
        if iteration % planner.sync_every == 0:
            serial = torch.optim.Adam([actions], lr=planner.gd_lr)
            for _ in range(planner.gd_steps):
                state = start
                for t in range(steps):
                    state = problem.model.step(state, actions[t])
                serial.zero_grad()
                (state - goal).square().mean().backward()
                serial.step()
            optimiser = fresh_optimiser()
    return states.detach(), actions.detach()


def test_a_states_gradient_is_its_difference_from_the_prediction_alone(point):
    problem, states, actions = point
    by_state, _ = GRASP().gradients(problem, states, actions)
    path = torch.cat([problem.start[:, None], states], dim=1)
    reached = problem.model.step(path, actions)
    torch.testing.assert_close(by_state, 2 / 4 * (states - reached[:, :-1]), atol=1e-15, rtol=0)


@pytest.mark.parametrize("stop", [True, False])
def test_the_models_state_input_is_differentiable_only_without_the_stop(stop, point):
    problem, states, actions = point
    seen = []
    step = problem.model.step

    def watched(state, action):
        seen.append((state.requires_grad, action.requires_grad))
        return step(state, action)

    problem.model.step = watched
    GRASP(stop_state_gradient=stop).gradients(problem, states, actions)
    assert seen == [(not stop, True)]


def test_without_the_stop_states_move_elsewhere_and_actions_do_not(point):
    problem, states, actions = point
    cut_states, cut_actions = GRASP().gradients(problem, states, actions)
    full = GRASP(stop_state_gradient=False)
    full_states, full_actions = full.gradients(problem, states, actions)
    assert (cut_states - full_states).abs().max() > 0.01
    torch.testing.assert_close(cut_actions, full_actions)


def test_with_no_noise_at_the_line_the_first_states_are_the_line(make_problem, run):
    problem = make_problem(batch=1, steps=4)
    still = GRASP(state_lr=0.0, state_noise=0.0, initial_noise=0.0, yield_every=1)
    (candidate,) = run(still, problem, upto=1)
    start, goal = problem.start[0], problem.goal[0]
    expected = [start + (goal - start) * t / 4 for t in (1, 2, 3)]
    torch.testing.assert_close(candidate.virtual_states[0], torch.stack(expected))
    torch.testing.assert_close(straight_line(problem)[0], torch.stack(expected))


@pytest.mark.parametrize("place", ["states", "actions"])
def test_noise_moves_what_it_is_on_and_nothing_else(place, make_problem, run):
    problem = make_problem(batch=4, steps=20)
    planner = GRASP(
        state_lr=0.0, action_lr=0.0, initial_noise=0.0, sync="none", state_noise=0.1,
        noise_on=place, yield_every=1,
    )  # fmt: skip
    noisy = run(planner, problem, upto=1)[-1]
    drifts = {"states": noisy.virtual_states - straight_line(problem), "actions": noisy.actions}
    assert drifts.pop(place).std().item() == pytest.approx(0.1, rel=0.15)
    (other,) = drifts.values()
    torch.testing.assert_close(other, torch.zeros_like(other))


def test_without_the_dense_goal_only_the_last_actions_feel_it_yet(point):
    problem, _, actions = point
    # States where the model puts them: every transition but the last is without a defect.
    states = rollout(problem.model, problem.start, actions)[:, :-1]
    _, by_action = GRASP(dense_goal=False).gradients(problem, states, actions)
    assert by_action[:, :-1].abs().max() < 1e-15
    assert by_action[:, -1].abs().min() > 1e-6


@pytest.mark.parametrize("sync", ["gd", "cem"])
def test_sync_lowers_the_goal_cost_of_the_serial_rollout(sync, make_problem, run):
    problem = make_problem(batch=3, steps=4, bent=True)
    still = GRASP(state_lr=0.0, action_lr=0.0, sync=sync, sync_every=1)
    without = goal_cost(problem, torch.zeros(3, 4, 2, dtype=torch.float64))
    (synced,) = run(still, problem, upto=1)
    assert (synced.cost < 0.99 * without).all()


def test_without_sync_the_serial_cost_has_no_say(make_problem, run):
    problem = make_problem()
    idle = next(Zero().plan(problem, NoiseStreams([])))
    (candidate,) = run(GRASP(action_lr=0.0, sync="none"), problem)
    assert torch.equal(candidate.cost, idle.cost)


def test_the_gradient_sync_is_adam_on_the_serial_cost(make_problem, run):
    problem = make_problem(bent=True)
    planner = GRASP(action_lr=0.0, sync_every=1, gd_steps=1, gd_lr=0.05)
    (candidate,) = run(planner, problem, upto=1)
    _, gradient = goal_gradient(problem, torch.zeros_like(candidate.actions))
    torch.testing.assert_close(candidate.actions, -0.05 * gradient.sign(), atol=1e-6, rtol=0)
