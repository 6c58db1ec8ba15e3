import torch

from grasp_bench.planners._numerics.quasi_newton import Curvature


def quadratics(rows, size):
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(rows, size, size, generator=generator).double()
    return factors @ factors.mT + 0.1 * torch.eye(size).double()


def test_directions_are_those_of_the_bfgs_update_from_the_last_curvature():
    matrices, generator = quadratics(3, 5), torch.Generator().manual_seed(1)
    steps = torch.randn(4, 3, 5, generator=generator).double()
    changes = torch.einsum("rij,krj->kri", matrices, steps)
    gradient = torch.randn(3, 5, generator=generator).double()
    curvature = Curvature(memory=4)
    for step, change in zip(steps, changes):
        curvature.remember(step.clone(), change)
    found = curvature.descent(gradient, first=1.0)
    for row in range(3):
        scale = (steps[-1, row] @ changes[-1, row]) / changes[-1, row].square().sum()
        dense = _dense(steps[:, row], changes[:, row], scale)
        torch.testing.assert_close(found[row], -dense @ gradient[row])


def _dense(steps, changes, scale):
    """The inverse Hessian by the BFGS update, from scale times the identity."""
    size = steps.shape[-1]
    inverse, identity = scale * torch.eye(size).double(), torch.eye(size).double()
    for s, y in zip(steps, changes):
        rho = 1 / (s @ y)
        left = identity - rho * torch.outer(s, y)
        inverse = left @ inverse @ left.T + rho * torch.outer(s, s)
    return inverse


def test_a_step_without_convexity_is_left_out_for_that_function_alone():
    gradient = torch.tensor([[3.0, 4.0], [3.0, 4.0]]).double()
    curvature = Curvature(memory=3)
    step = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double()
    curvature.remember(step.clone(), torch.tensor([[-1.0, 0.0], [2.0, 0.0]]).double())
    first, second = curvature.descent(gradient, first=0.5)
    torch.testing.assert_close(first, -gradient[0] / 10)
    torch.testing.assert_close(second, torch.tensor([-1.5, -2.0]).double())
    curvature.forget(torch.tensor([False, True]))
    torch.testing.assert_close(curvature.descent(gradient, 0.5)[1], -gradient[1] / 10)
