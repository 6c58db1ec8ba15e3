"""Planners by name, and their hyperparameters from and to plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from grasp_bench.errors import UserError
from grasp_bench.planners.baselines import Demo, Random, Zero
from grasp_bench.planners.cem import CEM
from grasp_bench.planners.gd import GD
from grasp_bench.planners.gd_adam import GDAdam
from grasp_bench.planners.grad_cem import GradCEM
from grasp_bench.planners.grasp import GRASP
from grasp_bench.planners.grasp_plus import GraspPlus
from grasp_bench.planners.icem import ICEM
from grasp_bench.planners.latco import LatCo
from grasp_bench.planners.latco_gn import LatCoGN
from grasp_bench.planners.mppi import MPPI
from grasp_bench.registry import Registry, did_you_mean
from grasp_bench.types import Planner

Setting = str | int | float | bool | None

PLANNERS: Registry[type[Planner]] = Registry("planner", "grasp_bench.planners")
_BUILT_IN: tuple[type[Planner], ...] = (
    *(CEM, GD, LatCo, GRASP),
    *(GraspPlus, GDAdam, ICEM, MPPI, GradCEM, LatCoGN),
    *(Zero, Random, Demo),
)
for _planner in _BUILT_IN:
    PLANNERS.register(_planner.name)(_planner)


def make_planner(name: str, overrides: Mapping[str, Setting]) -> Planner:
    """The planner of that name, its defaults replaced by `overrides`.

    Values may be typed or, as a command line gives them, strings.

    Raises:
        UserError: no such planner or hyperparameter, or a value of the wrong type or range.
    """
    cls: Any = PLANNERS.get(name)
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise UserError(f"planner '{name}' is not a dataclass, so it has no hyperparameters")
    known = [field.name for field in fields(cls) if field.init]
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        if not known:
            raise UserError(f"planner '{name}' has no hyperparameters, so '{key}' cannot be set")
        if key not in known:
            raise UserError(
                f"planner '{name}' has no hyperparameter '{key}': {did_you_mean(key, known)}"
            )
        values[key] = _parsed(f"{name}: {key}", hints[key], value)
    return cast(Planner, cls(**values))


def planner_config(planner: Planner) -> dict[str, Any]:
    """Every hyperparameter by name, ready for JSON; `make_planner` takes it back."""
    return asdict(cast(Any, planner))


def _parsed(label: str, kind: Any, value: Setting) -> Setting:
    """The value as the type `kind` of a dataclass field.

    That is bool, int, float, str or a Literal, or one of these or None, written `none`.
    """
    if NoneType in get_args(kind):
        if str(value).lower() == "none":
            return None
        (kind,) = set(get_args(kind)) - {NoneType}
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            choices = ", ".join(map(str, get_args(kind)))
            raise UserError(f"{label} must be one of {choices}, not '{value}'")
        return value
    if kind is bool:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, bool):
            return value
        raise UserError(f"{label} must be true or false, not '{value}'")
    if kind in (int, float) and not isinstance(value, bool):
        whole = kind is int
        if value is not None and not (whole and isinstance(value, float)):
            try:
                return int(value) if whole else float(value)
            except ValueError:
                pass
        expected = "a whole number" if whole else "a number"
        raise UserError(f"{label} must be {expected}, not '{value}'")
    if kind is str and isinstance(value, str):
        return value
    raise UserError(f"{label} cannot be set to '{value}'")
