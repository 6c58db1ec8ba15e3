import torch

from grasp_bench.planners._numerics.adam import Adam


def test_steps_equal_torchs_adam_for_gradients_of_any_memory_layout():
    start = torch.randn(2, 3, 4, dtype=torch.float64)
    ours, theirs = start.clone(), start.clone()
    adam, reference = Adam(ours, lr=0.1), torch.optim.Adam([theirs], lr=0.1)
    for _ in range(20):
        gradient = torch.randn(2, 5, 4, dtype=torch.float64)[:, 1:-1]
        assert not gradient.is_contiguous()
        adam.step(gradient)
        theirs.grad = gradient
        reference.step()
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
