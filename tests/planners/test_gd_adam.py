import torch

from grasp_bench.planners import GD, GDAdam


def test_it_is_gradient_descent_with_adam(make_problem, run):
    problem = make_problem(bent=True)
    own = run(GDAdam(lr=0.2, action_noise=0.01), problem, upto=5)
    same = run(GD(lr=0.2, action_noise=0.01, optimiser="adam"), problem, upto=5)
    for ours, theirs in zip(own, same, strict=True):
        assert torch.equal(ours.actions, theirs.actions)
