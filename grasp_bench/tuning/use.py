"""Which settings a planner runs with at a horizon, and what results call it then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from grasp_bench.errors import UserError
from grasp_bench.planners import make_planner
from grasp_bench.presets import Configuration
from grasp_bench.request import Request
from grasp_bench.sweep import planner_spec
from grasp_bench.tuning.settings_file import SettingsFile, TunedCell, find_settings
from grasp_bench.worker import PlannerSpec


def chosen_specs(request: Request, model_sha256: str) -> dict[int, list[PlannerSpec]]:
    """The planners of a request at each of its horizons.

    Tuned ones have their bare name as label, with what was set on top of them in brackets.

    Raises:
        UserError: a planner or hyperparameter is not there or has a wrong value, or the tuned
            settings are of other weights or do not fit their planners.
    """
    file = None if request.settings == "pinned" else find_settings(request.model)
    if file is not None and not file.fits(model_sha256):
        if request.settings == "tuned":
            raise UserError(
                f"the settings in '{file.path}' were tuned on other weights "
                f"({file.content.model_sha256[:12]}) than '{request.model}' has "
                f"({model_sha256[:12]}): tune it with `grasp-bench tune`, or run with --untuned"
            )
        file = None
    tuned = request.settings == "tuned"
    return {
        horizon: [_spec(planner, horizon, file, tuned) for planner in request.planners]
        for horizon in request.horizons
    }


def _spec(
    configuration: Configuration, horizon: int, file: SettingsFile | None, tuned: bool
) -> PlannerSpec:
    name, overrides = configuration
    cell = None if file is None else file.content.nearest(name, horizon)
    if file is None or cell is None:
        return planner_spec(name, overrides)
    return _tuned(name, overrides, file, cell) if tuned else _untuned(name, overrides)


def _tuned(
    name: str, overrides: Mapping[str, str], file: SettingsFile, cell: TunedCell
) -> PlannerSpec:
    try:
        make_planner(name, cell.settings)
    except UserError as error:
        raise UserError(
            f"the settings in '{file.path}' do not fit: {error}; "
            "tune it with `grasp-bench tune`, or run with --untuned"
        ) from error
    spec = planner_spec(name, {**cell.settings, **overrides})
    config = json.loads(spec.config)
    on_top = ", ".join(f"{key}={config[key]}" for key in sorted(overrides))
    return replace(
        spec,
        label=f"{name}[{on_top}]" if on_top else name,
        settings_sha256=file.sha256,
        settings_budget=file.content.described(),
    )


def _untuned(name: str, overrides: Mapping[str, str]) -> PlannerSpec:
    spec = planner_spec(name, overrides)
    on_top = spec.label[len(name) :].strip("[]")
    return replace(spec, label=f"{name}[untuned, {on_top}]" if on_top else f"{name}[untuned]")
