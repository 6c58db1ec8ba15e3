"""Push-T: a circular agent pushes a T-shaped block to a goal pose."""

from grasp_bench.envs.pusht.environment import PUSHT

__all__ = ["PUSHT"]
