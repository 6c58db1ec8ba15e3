"""The benchmark's loop over t is GRASP itself, one model call per transition."""

from pathlib import Path

import pytest
import torch

from grasp_bench.core.plugins import load_object
from grasp_bench.planners import GRASP
from grasp_bench.trial.metered import MeteredModel

LoopGRASP = load_object(
    "planner", f"{Path(__file__).parents[2] / 'scripts' / 'bench_planners.py'}:LoopGRASP"
)


@pytest.mark.parametrize("changes", [{}, {"dense_goal": False}, {"stop_state_gradient": False}])
def test_the_loop_over_t_has_the_lifted_loss_and_gradient(make_problem, changes):
    problem = make_problem(steps=5, bent=True)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2, 4, 4, generator=generator, dtype=torch.float64)
    actions = torch.randn(2, 5, 2, generator=generator, dtype=torch.float64)
    lifted = GRASP(**changes).gradients(problem, states, actions)
    looped = LoopGRASP(**changes).gradients(problem, states, actions)
    for one, other in zip(lifted, looped, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        GRASP(**changes).loss(problem, states, actions),
        LoopGRASP(**changes).loss(problem, states, actions),
    )


def test_the_loop_over_t_calls_the_model_once_for_every_transition(make_problem):
    problem, calls = make_problem(steps=5), []
    model = MeteredModel(problem.model)
    step = model.step
    model.step = lambda state, action: (calls.append(state.shape), step(state, action))[1]
    counted = type(problem)(model, problem.start, problem.goal, 5)
    LoopGRASP().loss(counted, torch.zeros(2, 4, 4).double(), torch.zeros(2, 5, 2).double())
    assert len(calls) == 5
