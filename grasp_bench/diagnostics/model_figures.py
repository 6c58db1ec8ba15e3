"""Draws the figures of a model report: decoded latents, curves, adversarial states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from grasp_bench.analysis.result_figures.drawing import new_figure
from grasp_bench.core.types import WorldModel
from grasp_bench.diagnostics.brittleness import GRADIENT_LENGTHS, Brittleness
from grasp_bench.diagnostics.encoding import encode_states, sample_states
from grasp_bench.diagnostics.held_out_tasks import HeldOutTasks
from grasp_bench.diagnostics.model_report import Evaluation
from grasp_bench.diagnostics.ranking import WELL_RANKED, Ranking
from grasp_bench.diagnostics.smoothness import Smoothness
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.planners.rollout import rollout
from grasp_bench.tasks.demonstrations import Demonstrations
from grasp_bench.viewing.pictures import Decoder, Picture, decoded
from grasp_bench.viewing.plan_figures.strips import Strip, strips_figure

_SHOWN_TASKS = 4
_SHOWN_FRAMES = 8
_ROLLOUT_FRAMES = 9
_DPI = 150


def write_figures(
    model: WorldModel, evaluation: Evaluation, held_out: Demonstrations, folder: Path
) -> list[Path]:
    """Draws what was measured, as PNG files in `folder`; returns the files.

    A model without `decode` gets no pictures of latents.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = evaluation.tasks
    figures: dict[str, Figure] = {}
    if evaluation.ranking is not None:
        figures["ranking"] = _draw_ranking(evaluation.ranking)
    if evaluation.smoothness is not None:
        figures["smoothness"] = _draw_smoothness(evaluation.smoothness)
    if evaluation.brittleness is not None:
        figures["gradient_step"] = _draw_gradient_step(evaluation.brittleness)
    if isinstance(model, Decoder):
        figures["decoded"] = _draw_decoded(model, held_out)
        if tasks is not None:
            figures["open_loop"] = _draw_open_loop(model, tasks)
        if evaluation.brittleness is not None:
            figures["brittleness"] = _draw_brittleness(model, evaluation.brittleness)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=_DPI)
    return [folder / f"{name}.png" for name in figures]


def _draw_ranking(ranking: Ranking) -> Figure:
    """Draws, per kind of alternative, the shares that the demonstrations beat, sorted."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    for place, (kind, shares) in enumerate(ranking.beaten.items()):
        tasks = 100 * (np.arange(len(shares)) + 0.5) / len(shares)
        colour, width = ("black", 2.0) if kind == "all" else (f"C{place}", 1.2)
        axes.plot(tasks, 100 * np.sort(shares), label=kind, color=colour, lw=width)
    axes.axhline(100 * WELL_RANKED, color="grey", ls=":", lw=1)
    axes.set(
        xlabel="tasks, worst first (%)",
        ylabel="alternatives that cost more\nthan the demonstration (%)",
        ylim=(0, 102),
    )
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(alpha=0.3)
    return figure


def _draw_smoothness(smoothness: Smoothness) -> Figure:
    """Draws, per path, median and quartiles of the goal cost on the way to the goal."""
    figure = new_figure(3 * len(smoothness.costs), 3)
    panels = np.atleast_1d(figure.subplots(1, len(smoothness.costs), sharey=True))
    for axes, path in zip(panels, smoothness.costs, strict=True):
        relative = smoothness.relative(path)
        way = np.linspace(0, 1, relative.shape[1])
        low, middle, high = np.quantile(relative, (0.25, 0.5, 0.75), axis=0)
        axes.plot(way, relative.T, color="grey", lw=0.4, alpha=0.4)
        axes.fill_between(way, low, high, color="C0", alpha=0.3)
        axes.plot(way, middle, color="C0", lw=2)
        axes.plot(way, (1 - way) ** 2, color="black", ls=":", lw=1, label="squared distance")
        axes.set(title=f"{path} moves", xlabel="way from start to goal")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("goal cost (largest = 1)")
    panels[0].legend(fontsize="small")
    return figure


def _draw_gradient_step(brittleness: Brittleness) -> Figure:
    """Draws the goal cost after one step s - ε ∇_s ‖F(s, 0) - g‖² over the step's length."""
    figure = new_figure(5, 3.5)
    axes = figure.subplots()
    axes.plot(GRADIENT_LENGTHS, brittleness.gradient_cost.T, color="grey", lw=0.4, alpha=0.5)
    middle = np.median(brittleness.gradient_cost, axis=0)
    axes.plot(GRADIENT_LENGTHS, middle, color="C0", lw=2, label="median of tasks")
    going = (1 - np.array(GRADIENT_LENGTHS)) ** 2
    axes.plot(GRADIENT_LENGTHS, going, color="black", ls=":", lw=1, label="going straight there")
    axes.set(
        xscale="log",
        xlabel="length of the gradient step / ‖g - s‖",
        ylabel="goal cost of F(s', 0), F(s, 0) = 1",
        ylim=(0, 1.5),
    )
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure


def _draw_decoded(model: WorldModel, held_out: Demonstrations) -> Figure:
    """Draws held-out frames above the pictures decoded from their latents."""
    states = sample_states(held_out, _SHOWN_FRAMES, seed=3)
    latents = encode_states(model, states)
    strips = [
        Strip("frame", PUSHT.observe(states, model.view).pixels.numpy()),
        Strip("decoded", _pictures(model, latents)),
    ]
    return strips_figure([""] * len(states), strips)


def _draw_open_loop(model: WorldModel, tasks: HeldOutTasks) -> Figure:
    """Draws demonstrations in the simulator above the model's decoded open-loop rollouts."""
    few = tasks.first(_SHOWN_TASKS)
    states = PUSHT.rollout(few.start_states, few.actions)[:, :: model.frameskip]
    actions = model.normalise_actions(torch.from_numpy(few.actions).to(few.start))
    with torch.no_grad():
        predicted = rollout(model, few.start, actions)
    latents = torch.cat([few.start[:, None], predicted], dim=1)
    shown = np.linspace(0, latents.shape[1] - 1, min(_ROLLOUT_FRAMES, latents.shape[1])).astype(int)
    strips = []
    for path, imagined in zip(states[:, shown], latents[:, torch.from_numpy(shown)], strict=True):
        strips.append(Strip("simulator", PUSHT.observe(path, model.view).pixels.numpy()))
        strips.append(Strip("model", _pictures(model, imagined)))
    return strips_figure([f"step {step}" for step in shown], strips)


def _draw_brittleness(model: WorldModel, brittleness: Brittleness) -> Figure:
    """Draws adversarial states, what the model predicts of them, and the random control."""
    problem, random = brittleness.problem, brittleness.random
    delta = brittleness.delta
    shown = {
        "s": problem.start,
        "F(s, 0)": problem.successor(torch.zeros_like(delta)),
        "s + δ": problem.start + delta,
        "F(s + δ, 0)": problem.successor(delta),
        "goal g": problem.goal,
        "s + random": problem.start + random,
        "F(s + random, 0)": problem.successor(random),
    }
    columns = [_pictures(model, latents[:_SHOWN_TASKS]) for latents in shown.values()]
    strips = [
        Strip(f"‖δ‖ = {relative:.2f} ‖g - s‖", pictures)
        for relative, pictures in zip(
            brittleness.relative[:_SHOWN_TASKS], np.stack(columns, axis=1), strict=True
        )
    ]
    return strips_figure(list(shown), strips)


def _pictures(model: WorldModel, latents: Tensor) -> Picture:
    pictures = decoded(model, latents)
    assert pictures is not None  # figures of latents are drawn for decoders only
    return pictures
