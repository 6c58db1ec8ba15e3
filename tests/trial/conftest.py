"""A world model that knows how far an action moves the agent, and nothing of the block."""

import pytest
import torch

from grasp_bench.models.linear import LinearModel


@pytest.fixture(scope="session")
def model():
    control = torch.zeros(4, 10)
    control[0, 0::2] = control[1, 1::2] = 20.0  # px
    return LinearModel(torch.eye(4), control)
