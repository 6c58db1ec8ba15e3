"""Decides which hyperparameters a planner runs with at a horizon, and its label in results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Planner
from grasp_bench.models import LoadedModel
from grasp_bench.planners import PlannerSpec, make_planner, planner_spec, spec_of
from grasp_bench.planners.configure import Setting
from grasp_bench.run.config import Start
from grasp_bench.run.presets import PlannerChoice
from grasp_bench.tuning.settings_file import SettingsFile, find_settings


def resolve_planners(
    planners: Sequence[PlannerChoice],
    horizons: Sequence[int],
    start: Start,
    model: str,
    model_sha256: str,
) -> dict[int, list[PlannerSpec]]:
    """Returns the planners at each horizon, their hyperparameters decided.

    Tuned ones have their bare name as label, with what was set on top of them in brackets.

    Raises:
        UserError: a planner or hyperparameter is not there or has a wrong value, or the tuned
            settings are of other weights or do not fit their planners.
    """
    file = None if start == "pinned" else find_settings(model)
    if file is not None and not file.fits(model_sha256):
        if start == "tuned":
            raise UserError(
                f"the settings in '{file.path}' were tuned on other weights "
                f"({file.content.model_sha256[:12]}) than '{model}' has "
                f"({model_sha256[:12]}): tune it with `grasp-bench tune`, or run with --untuned"
            )
        file = None
    tuned = start == "tuned"
    return {
        horizon: [_spec(planner, horizon, file, tuned) for planner in planners]
        for horizon in horizons
    }


def resolve_one(
    planner: str | Planner,
    horizon: int,
    loaded: LoadedModel,
    overrides: Mapping[str, Setting],
    untuned: bool,
) -> tuple[Planner, PlannerSpec]:
    """Returns a planner, given by name or built, with its description.

    Raises:
        UserError: as `resolve_planners`, or overrides for a planner that is built already.
    """
    if not isinstance(planner, str):
        if overrides:
            raise UserError("hyperparameters belong to a planner that is given by name")
        return planner, spec_of(planner, f"{type(planner).__module__}:{type(planner).__name__}")
    # A model made in place has no settings.
    start: Start = "pinned" if not loaded.source else "untuned" if untuned else "tuned"
    by_horizon = resolve_planners(
        [(planner, overrides)], [horizon], start, loaded.source, loaded.sha256
    )
    (spec,) = by_horizon[horizon]
    return make_planner(spec.source, json.loads(spec.hyperparameters)), spec


def _spec(
    choice: PlannerChoice, horizon: int, file: SettingsFile | None, tuned: bool
) -> PlannerSpec:
    source, overrides = choice
    name = make_planner(source).name  # whichever way the source is spelt
    cell = None if file is None else file.content.nearest(name, horizon)
    if file is None or cell is None:
        return planner_spec(source, overrides)
    if not tuned:
        spec = planner_spec(source, overrides)
        on_top = spec.label[len(spec.name) :].strip("[]")
        return replace(spec, label=f"{spec.name}[{', '.join(filter(None, ['untuned', on_top]))}]")
    try:
        spec = planner_spec(source, cell.settings)
    except UserError as error:
        raise UserError(
            f"the settings in '{file.path}' do not fit: {error}; "
            "tune it with `grasp-bench tune`, or run with --untuned"
        ) from error
    label = spec.name
    if overrides:
        spec = planner_spec(source, {**cell.settings, **overrides})
        values = json.loads(spec.hyperparameters)
        label += f"[{', '.join(f'{key}={values[key]}' for key in sorted(overrides))}]"
    return replace(
        spec, label=label, tuning_sha256=file.sha256, tuning_budget=file.content.described()
    )
