import torch

from grasp_bench.run.reference_workload import time_reference_workload


def test_the_reference_workload_takes_time_and_leaves_no_trace():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert 1e-4 < time_reference_workload("cpu") < 10
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()
