"""Draws the serial and the lifted objective around a plan, on a plane through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import SubFigure
from scipy.ndimage import minimum_filter
from torch import Tensor

from grasp_bench.analysis.result_figures.drawing import Drawing, new_figure
from grasp_bench.core.types import FloatArray, Problem
from grasp_bench.planners.grasp import straight_line
from grasp_bench.planners.objective import dynamics_defect, goal_cost
from grasp_bench.planners.rollout import rollout
from grasp_bench.trial.replay import RecordedTrial, Replay
from grasp_bench.viewing.plan_figures import about

Directions = Literal["planned", "random"]

POINTS, CHUNK = 41, 256
_AXES: dict[Directions, tuple[float, float]] = {"planned": (-0.5, 1.5), "random": (-1.0, 1.0)}


@dataclass(frozen=True)
class Landscape:
    """Holds both objectives on a plane; the plan is at (0, 0).

    Attributes:
        first, second: [P] coordinates along the two directions.
        serial: [P, P] ‖s_T(a) - g‖² at (second, first).
        lifted: [P, P] Σ_t ‖F(s_t, a_t) - s_{t+1}‖² there, s_0 and s_T = g fixed.
    """

    first: FloatArray
    second: FloatArray
    serial: FloatArray
    lifted: FloatArray


def landscape(
    problem: Problem,
    actions: Tensor,
    directions: Directions = "planned",
    points: int = POINTS,
    seed: int = 0,
) -> Landscape:
    """Evaluates both objectives around the actions [T, A] of a plan and its own rollout.

    The first direction leads to where GRASP begins, zero actions and states on the line from
    start to goal (`planned`), or is random; the second is random, orthogonal to the first and
    as long, in actions and in states each. At (0, 0) of the lifted plane the states are the
    rollout's, so only the last transition has a defect.
    """
    plan = actions.to(problem.start)[None]
    with torch.no_grad():
        states = rollout(problem.model, problem.start, plan)[:, :-1]
        to_start = (-plan, straight_line(problem) - states)
        generator = torch.Generator().manual_seed(seed)
        one = to_start
        if directions == "random":
            one = _orthogonal(one[0], generator), _orthogonal(one[1], generator)
        two = _orthogonal(one[0], generator), _orthogonal(one[1], generator)
        first = np.linspace(*_AXES[directions], points)
        second = np.linspace(-1.0, 1.0, points)
        grid = torch.from_numpy(np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2))
        serial, lifted = [], []
        for part in torch.split(grid.to(plan), CHUNK):
            moved_plan = _moved(plan, one[0], two[0], part)
            moved_states = _moved(states, one[1], two[1], part)
            serial.append(goal_cost(problem, moved_plan[None])[0])
            lifted.append(_lifted(problem, moved_states, moved_plan))
    shape = (points, points)
    return Landscape(
        first,
        second,
        torch.cat(serial).cpu().double().numpy().reshape(shape),
        torch.cat(lifted).cpu().double().numpy().reshape(shape),
    )


def local_minima(values: FloatArray) -> int:
    """Counts points inside a grid [P, P] that lie below all of their eight neighbours."""
    neighbours = [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    lowest = values < minimum_filter(values, footprint=neighbours)
    return int(lowest[1:-1, 1:-1].sum())


def draw_landscape(
    trial: RecordedTrial, again: Replay, directions: Directions = "planned"
) -> Drawing:
    """Draws contours of both objectives, and below them the line through the plan."""
    seed = int(trial.row["trial_seed"]) % 2**63
    surface = landscape(trial.problem, again.actions, directions, seed=seed)
    figure = new_figure(8.4, 5.2)
    minima = []
    for panel, name, values in zip(
        figure.subfigures(1, 2, squeeze=False)[0],
        ("serial: goal cost of the rollout", "lifted: sum of dynamics defects"),
        (surface.serial, surface.lifted),
        strict=True,
    ):
        _draw_surface(panel, surface, values, name, directions)
        minima.append(local_minima(values))
    towards = "zero actions and states on a line (GRASP's start) at 1" * (directions == "planned")
    first = towards or "a random direction"
    return Drawing(
        title="Loss landscape around a plan",
        caption=f"Both objectives on a plane through the plan (cross, at 0): across, {first}; "
        "upwards, a random direction of the same length. Below, the line through the plan. "
        f"Local minima of the {POINTS} x {POINTS} grid: serial {minima[0]}, lifted {minima[1]}. "
        f"{about(trial)}",
        alt=f"Two contour plots. Local minima inside the grid: serial objective {minima[0]}, "
        f"lifted objective {minima[1]}.",
        figure=figure,
    )


def _orthogonal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draws a random direction, orthogonal to `like` and as long."""
    drawn = torch.randn(like.shape, generator=generator).to(like)
    length = like.norm()
    drawn -= like * ((drawn * like).sum() / (length**2).clamp_min(1e-12))
    direction: Tensor = drawn * (length / drawn.norm().clamp_min(1e-12))
    return direction


def _moved(origin: Tensor, one: Tensor, two: Tensor, steps: Tensor) -> Tensor:
    """Moves `origin` [1, ...] by steps [P, 2] along two directions: [P, ...]."""
    first, second = steps.reshape(-1, 2, *(1,) * (origin.ndim - 1)).unbind(dim=1)
    return origin + first * one + second * two


def _lifted(problem: Problem, states: Tensor, actions: Tensor) -> Tensor:
    start, goal = (end[:, None].expand_as(states[:, :1]) for end in (problem.start, problem.goal))
    path = torch.cat([start, states, goal], dim=1)
    return dynamics_defect(problem.model, path[:, :-1], actions, path[:, 1:]).sum(dim=1)


def _draw_surface(
    panel: SubFigure, surface: Landscape, values: FloatArray, name: str, directions: Directions
) -> None:
    upper, lower = panel.subplots(2, 1, sharex=True, height_ratios=[3, 1.4])
    floor = max(values.max() * 1e-9, np.finfo(float).tiny)
    height = np.log10(np.maximum(values, floor))
    contours = upper.contourf(surface.first, surface.second, height, levels=18, cmap="cividis")
    panel.colorbar(contours, ax=upper, label="log10", format="%.1f")
    upper.plot(0, 0, marker="P", color="white", mec="black", markersize=9)
    if directions == "planned":
        upper.plot(1, 0, marker="o", color="white", mec="black", markersize=7)
    upper.set_title(name, fontsize="medium")
    upper.set_ylabel("random direction", fontsize="small")
    lower.plot(surface.first, values[len(surface.second) // 2], color="black", linewidth=1.2)
    lower.axvline(0, color="grey", linewidth=0.8, linestyle=":")
    lower.set_yscale("log")
    lower.grid(alpha=0.3)
    lower.set_xlabel(
        "from the plan towards GRASP's start" if directions == "planned" else "random direction",
        fontsize="small",
    )
