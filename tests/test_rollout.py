import torch

from grasp_bench.models.linear import LinearModel
from grasp_bench.rollout import last_state, rollout


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_states_follow_one_another():
    model = LinearModel(normal(4, 4), normal(4, 2))
    start, actions = normal(3, 4), normal(3, 5, 2)
    states = rollout(model, start, actions)
    assert states.shape == (3, 5, 4)
    before = torch.cat([start[:, None], states[:, :-1]], dim=1)
    torch.testing.assert_close(states, model.step(before, actions))
    torch.testing.assert_close(last_state(model, start, actions), states[:, -1])


def test_samples_of_a_population_begin_at_their_problems_start():
    # Two-dimensional latents, as patch features have.
    model = LinearModel(0.3 * normal(6, 6), normal(6, 2), latent_shape=(2, 3))
    start, actions = normal(3, 2, 3), normal(3, 7, 5, 2)
    states = rollout(model, start, actions)
    assert states.shape == (3, 7, 5, 2, 3)
    for n in range(7):
        torch.testing.assert_close(states[:, n], rollout(model, start, actions[:, n]))
    torch.testing.assert_close(last_state(model, start, actions), states[:, :, -1])


def test_gradients_run_back_to_the_first_action():
    model = LinearModel(normal(4, 4), normal(4, 2))
    actions = normal(1, 3, 2).requires_grad_()
    last_state(model, normal(1, 4), actions)[0, 0].backward()
    expected = (model.transition @ model.transition @ model.control)[0]
    torch.testing.assert_close(actions.grad[0, 0], expected)
