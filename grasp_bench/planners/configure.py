"""Finds planners by name, and reads their hyperparameters from and to plain values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from grasp_bench.core.errors import UserError, one_line
from grasp_bench.core.plugins import file_sha256, foreign_code, is_spec
from grasp_bench.core.registry import Registry, did_you_mean
from grasp_bench.core.types import Planner, Reference
from grasp_bench.planners.baselines import Demo, Random, ShuffledDemo, Zero
from grasp_bench.planners.cem import CEM
from grasp_bench.planners.gd import GD
from grasp_bench.planners.gd_adam import GDAdam
from grasp_bench.planners.grad_cem import GradCEM
from grasp_bench.planners.grasp import GRASP
from grasp_bench.planners.grasp_plus import GraspPlus
from grasp_bench.planners.icem import ICEM
from grasp_bench.planners.latco import LatCo
from grasp_bench.planners.latco_gn import LatCoGN
from grasp_bench.planners.lbfgs import LBFGS
from grasp_bench.planners.leap import LEAP
from grasp_bench.planners.mppi import MPPI
from grasp_bench.planners.predictive_sampling import PredictiveSampling
from grasp_bench.planners.prior_mean import PriorMean
from grasp_bench.planners.prior_rerank import PriorRerank
from grasp_bench.planners.prism import PRISM
from grasp_bench.planners.sift import Sift

Setting = str | int | float | bool | None
_LONGEST_NAME, _LONGEST_HYPERPARAMETERS = 100, 10_000  # characters
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}

PLANNERS: Registry[type[Planner]] = Registry("planner", "grasp_bench.planners")
_PAPER: tuple[type[Planner], ...] = (CEM, GD, LatCo, GRASP)
_FURTHER: tuple[type[Planner], ...] = (
    Sift, GDAdam, LBFGS, ICEM, MPPI, PredictiveSampling, GradCEM, LatCoGN,
)  # fmt: skip
_WITH_PRIOR: tuple[type[Planner], ...] = (GraspPlus, PRISM, LEAP, PriorRerank, PriorMean)
_BOUNDS: tuple[type[Planner], ...] = (Zero, Random, ShuffledDemo, Demo)
for _planner in _PAPER + _FURTHER + _WITH_PRIOR + _BOUNDS:
    PLANNERS.add(_planner.name, _planner)


@dataclass(frozen=True)
class PlannerSpec:
    """Describes a planner as data, from which any process builds the planner again.

    Attributes:
        source: what `make_planner` takes: a registered name, `file.py:Class` or `module:Class`.
        name: the planner's own.
        label: how results name it: the name, and what differs from the defaults.
        hyperparameters: all of them, JSON.
        hyperparameters_sha256: of that text.
        file_sha256: of the file that defines the planner's class.
        tuning_sha256: of the file of tuned hyperparameters it starts from, None for defaults.
        tuning_budget: says what finding these took.
    """

    source: str
    name: str
    label: str
    hyperparameters: str
    hyperparameters_sha256: str
    file_sha256: str | None
    tuning_sha256: str | None = None
    tuning_budget: str | None = None

    def trial_key(self, task_id: str) -> str:
        """Identifies a trial within a run folder."""
        return f"{self.name}-{self.hyperparameters_sha256[:12]}-{task_id}"


def planner_spec(source: str, overrides: Mapping[str, Setting]) -> PlannerSpec:
    """Describes a planner with some hyperparameters set, checked.

    Raises:
        UserError: no such planner or hyperparameter, or a value of the wrong type or range.
    """
    planner = make_planner(source, overrides)
    if not is_spec(source) and planner.name != source:
        raise UserError(f"planner '{source}' calls itself '{planner.name}': its name must be one")
    spec = spec_of(planner, source)
    again = make_planner(source, json.loads(spec.hyperparameters))  # as a worker will
    with foreign_code(f"planner '{source}' cannot be compared"):
        same = bool(again == planner)
    if not same:
        raise UserError(f"planner '{source}' does not come back from its hyperparameters")
    return spec


def spec_of(planner: Planner, source: str) -> PlannerSpec:
    """Describes a planner that `source` names.

    Raises:
        UserError: results could not name it, or not hold a hyperparameter's value.
    """
    with foreign_code(f"planner '{source}' cannot be described"):
        return _described(planner, source)


def _described(planner: Planner, source: str) -> PlannerSpec:
    _checked_name(type(planner), source)
    if planner.name in PLANNERS.names() and PLANNERS.get(planner.name) is not type(planner):
        raise UserError(
            f"planner '{source}' calls itself '{planner.name}', as another planner does: results "
            "could not tell them apart"
        )
    reference = getattr(planner, "reference", None)
    if reference not in get_args(Reference):
        known = ", ".join(get_args(Reference))
        raise UserError(f"planner '{source}': `reference` is {reference!r}, not one of {known}")
    values = hyperparameters(planner)
    for name, value in values.items():
        if not _is_plain(value):
            raise UserError(
                f"planner '{source}': {name}={one_line(str(value), 100)} is no finite "
                "number, text or truth value, so its trials could not be repeated"
            )
    defaults = hyperparameters(type(planner)())
    changed = ", ".join(f"{k}={v}" for k, v in sorted(values.items()) if v != defaults[k])
    text = json.dumps(values, sort_keys=True)
    if len(text) > _LONGEST_HYPERPARAMETERS:
        raise UserError(
            f"the hyperparameters of planner '{source}' take {len(text)} characters, and every "
            f"row of results holds them: {_LONGEST_HYPERPARAMETERS} at most"
        )
    return PlannerSpec(
        source=source,
        name=planner.name,
        label=f"{planner.name}[{changed}]" if changed else planner.name,
        hyperparameters=text,
        hyperparameters_sha256=hashlib.sha256(text.encode()).hexdigest(),
        file_sha256=file_sha256(type(planner)),
    )


def make_planner(source: str, overrides: Mapping[str, Setting] | None = None) -> Planner:
    """Builds the planner that `source` names, its defaults replaced by `overrides`.

    Args:
        source: a registered name, `file.py:Class` or `module:Class`.
        overrides: typed values or, as a command line gives them, strings.

    Raises:
        UserError: no such planner or hyperparameter, or a value of the wrong type or range.
    """
    cls: Any = PLANNERS.get(source)
    with foreign_code(f"planner '{source}' cannot be built"):
        name = _checked_name(cls, source)
        known = [field.name for field in fields(cls) if field.init]
        hints = get_type_hints(cls)
        values: dict[str, Any] = {}
        for key, value in (overrides or {}).items():
            if not known:
                raise UserError(
                    f"planner '{name}' has no hyperparameters, so '{key}' cannot be set"
                )
            if key not in known:
                raise UserError(
                    f"planner '{name}' has no hyperparameter '{key}': {did_you_mean(key, known)}"
                )
            values[key] = _parsed(f"{name}: {key}", hints[key], value)
        return cast(Planner, cls(**values))


def _checked_name(cls: Any, source: str) -> str:
    """Returns the name of a planner's class, checked to have what a planner has."""
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise UserError(
            f"planner '{source}' is not a dataclass, so it has no hyperparameters: "
            "put @dataclass(frozen=True) above it"
        )
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not name:
        raise UserError(f"planner '{source}' has no name: expected name: ClassVar[str]")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise UserError(
            f"planner '{source}' has a name that no table can hold: expected at most "
            f"{_LONGEST_NAME} printable characters"
        )
    if not callable(getattr(cls, "plan", None)):
        raise UserError(f"planner '{source}' has no method plan(problem, noise)")
    for field in fields(cls):
        if field.init and field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f"planner '{source}': hyperparameter '{field.name}' has no default")
    return name


def hyperparameters(planner: Planner) -> dict[str, Any]:
    """Returns every hyperparameter by name, ready for JSON; `make_planner` takes them back."""
    return asdict(cast(Any, planner))


def _is_plain(value: object) -> bool:
    """Tells whether a value is one that results can hold and JSON brings back."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int | None)


def _parsed(label: str, kind: Any, value: Setting) -> Setting:
    """Returns the value as the type `kind` of a dataclass field.

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
    if kind is str and isinstance(value, str):
        return value
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if kind in (int, float) and not isinstance(value, bool):
            return cast(Setting, kind(str(value)))
    except (KeyError, ValueError):
        pass
    raise UserError(f"{label} must be {_EXPECTED.get(kind, kind)}, not '{value}'")
