"""Names sweeps: which planners, with which hyperparameters, at which horizons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What `make_planner` takes: a name and the hyperparameters to set.
PlannerChoice = tuple[str, Mapping[str, Any]]

_PAPER = ("cem", "gd", "latco", "grasp")
_FURTHER = (
    "sift", "gd-adam", "lbfgs", "icem", "mppi", "predictive-sampling", "grad-cem", "latco-gn",
)  # fmt: skip
_WITH_PRIOR = ("grasp-plus", "prism", "leap", "prior-rerank", "prior-mean")
_BOUNDS = ("zero", "random", "shuffled-demo", "demo")
_COMPARED: list[PlannerChoice] = [(name, {}) for name in (*_PAPER, "grasp-plus", *_BOUNDS)]
_ALL: list[PlannerChoice] = [(name, {}) for name in (*_PAPER, *_FURTHER, *_WITH_PRIOR, *_BOUNDS)]
# As the stored run has them, whatever is tuned later.
_REGRESSION: list[PlannerChoice] = [
    ("cem", {"samples": "100", "elites": "10"}),
    ("gd", {"optimiser": "adam", "lr": "0.2"}),
    ("latco", {}),
    ("grasp", {"sync_every": "10", "gd_steps": "20", "action_lr": "0.002"}),
    ("grasp-plus", {}),
    ("demo", {}),
]
# Each differs from GRASP as published in one thing.
_ABLATION: list[dict[str, str]] = [
    {},
    {"stop_state_gradient": "false"},
    {"state_noise": "0"},
    {"state_noise": "0.05"},
    {"noise_on": "actions"},
    {"dense_goal": "false"},
    {"sync": "none"},
    {"sync": "cem"},
    {"sync_every": "10"},
    {"sync_every": "100"},
]


@dataclass(frozen=True)
class Preset:
    """A sweep.

    Attributes:
        planners: by name, with the hyperparameters that are set.
        horizons: environment steps.
        pinned: hyperparameters are the preset's on top of the defaults, never tuned ones.
    """

    planners: Sequence[PlannerChoice]
    horizons: Sequence[int]
    pinned: bool = False


PRESETS: dict[str, Preset] = {
    "paper": Preset(_COMPARED, [40, 50, 60, 70, 80]),
    "all": Preset(_ALL, [40, 50, 60, 70, 80]),
    "short": Preset(_COMPARED, [10, 20, 30]),
    "ablation": Preset([("grasp", changes) for changes in _ABLATION], [40, 80], pinned=True),
    "regression": Preset(_REGRESSION, [40], pinned=True),
}


def get_preset(name: str) -> Preset:
    """Returns the preset of that name.

    Raises:
        UserError: no such preset.
    """
    from grasp_bench.core.registry import find  # it reads package metadata, which --help need not

    return find("preset", name, PRESETS)
