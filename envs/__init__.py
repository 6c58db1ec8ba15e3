"""Environments: each in a folder of its own, behind the protocol of `base`."""

from __future__ import annotations

from grasp_bench.core.errors import UserError
from grasp_bench.core.registry import Registry
from grasp_bench.envs.base import Environment, PlanOutcome

__all__ = ["ENVIRONMENTS", "Environment", "PlanOutcome", "get_environment"]

# Installed packages add environments here: a name that points to an `Environment`.
ENVIRONMENTS: Registry[Environment] = Registry("environment", "grasp_bench.environments")
ENVIRONMENTS.add_lazy("pusht", "grasp_bench.envs.pusht:PUSHT")


def get_environment(name: str) -> Environment:
    """Returns the environment of that name, or what `module:NAME` names.

    Raises:
        UserError: there is none, its plugin does not load, or it is something else.
    """
    found = ENVIRONMENTS.get(name)
    protocol = (*Environment.__annotations__, *vars(Environment))
    lacks = [part for part in protocol if not (part.startswith("_") or hasattr(found, part))]
    if lacks:
        raise UserError(f"'{name}' is no environment: it lacks {', '.join(lacks)}")
    return found
