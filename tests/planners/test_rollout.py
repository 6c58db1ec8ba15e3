import torch

from grasp_bench.models.linear import LinearModel
from grasp_bench.planners.rollout import guided_rollout, last_states, rollout


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_states_follow_one_another():
    model = LinearModel(normal(4, 4), normal(4, 2))
    start, actions = normal(3, 4), normal(3, 5, 2)
    states = rollout(model, start, actions)
    assert states.shape == (3, 5, 4)
    before = torch.cat([start[:, None], states[:, :-1]], dim=1)
    torch.testing.assert_close(states, model.step(before, actions))
    torch.testing.assert_close(last_states(model, start, actions, 1)[0], states[:, -1])
    three = torch.stack(last_states(model, start, actions, 3), dim=1)
    torch.testing.assert_close(three, states[:, -3:])


def test_samples_of_a_population_begin_at_their_problems_start():
    # Two-dimensional latents, as patch features have.
    model = LinearModel(0.3 * normal(6, 6), normal(6, 2), latent_shape=(2, 3))
    start, actions = normal(3, 2, 3), normal(3, 7, 5, 2)
    states = rollout(model, start, actions)
    assert states.shape == (3, 7, 5, 2, 3)
    for n in range(7):
        torch.testing.assert_close(states[:, n], rollout(model, start, actions[:, n]))
    torch.testing.assert_close(last_states(model, start, actions, 1)[0], states[:, :, -1])


def test_gradients_run_back_to_the_first_action():
    model = LinearModel(normal(4, 4), normal(4, 2))
    actions = normal(1, 3, 2).requires_grad_()
    last_states(model, normal(1, 4), actions, 1)[0][0, 0].backward()
    expected = (model.transition @ model.transition @ model.control)[0]
    torch.testing.assert_close(actions.grad[0, 0], expected)


def test_guided_plans_follow_others_until_it_is_their_turn_to_choose():
    model = LinearModel(0.3 * normal(6, 6), normal(6, 2), latent_shape=(2, 3))
    start, given = normal(3, 2, 3), normal(3, 4, 5, 2)
    states = torch.cat(
        [start[:, None, None].expand(3, 4, 1, 2, 3), rollout(model, start, given)[:, :, :-1]], dim=2
    )
    seen = []

    def choose(t, state):
        seen.append(state.shape[1])
        return state.sum(dim=-2)[..., :2]

    actions, visited, ends = guided_rollout(model, given, states, [0, 2, 2, 4], choose)
    assert seen == [1, 1, 3, 3, 4]
    for plan, leaves in enumerate([0, 2, 2, 4]):
        assert torch.equal(actions[:, plan, :leaves], given[:, plan, :leaves])
        chosen = visited[:, plan, leaves:].sum(dim=-2)[..., :2]
        torch.testing.assert_close(actions[:, plan, leaves:], chosen)
    after = rollout(model, start, actions)
    torch.testing.assert_close(visited[:, :, 1:], after[:, :, :-1])
    torch.testing.assert_close(ends, after[:, :, -1])
