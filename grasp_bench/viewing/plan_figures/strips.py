"""Draws rows of small pictures with words around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from torch import Tensor

from grasp_bench.analysis.result_figures.drawing import new_figure
from grasp_bench.core.errors import UserError
from grasp_bench.trial.replay import RecordedTrial
from grasp_bench.viewing.pictures import Picture, decoded, over_goal

PANEL_INCHES, PICTURE = 0.95, 128


@dataclass(frozen=True)
class Strip:
    """Holds one row: pictures [N, S, S, 3], each with words below it where there are any."""

    label: str
    pictures: Picture
    words: Sequence[str] = ()


def strips_figure(headings: Sequence[str], strips: Sequence[Strip]) -> Figure:
    """Draws strips of equally many pictures below each other."""
    below = 0.18 if any(strip.words for strip in strips) else 0.0
    width, height = PANEL_INCHES * len(headings), (PANEL_INCHES + below) * len(strips)
    figure = new_figure(1.0 + width, 0.3 + height)
    figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    grid = figure.subplots(len(strips), len(headings), squeeze=False)
    for row, strip in zip(grid, strips, strict=True):
        for place, (axes, picture) in enumerate(zip(row, strip.pictures, strict=True)):
            axes.imshow(picture, interpolation="bilinear")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#9aa0a6")
            if strip.words:
                axes.set_xlabel(strip.words[place], fontsize=7, labelpad=2)
        row[0].set_ylabel(strip.label, fontsize=7, rotation=0, ha="right", va="center")
    for axes, heading in zip(grid[0], headings, strict=True):
        axes.set_title(heading, fontsize=8, pad=3)
    return figure


def latent_pictures(trial: RecordedTrial, latents: Tensor) -> Picture:
    """Draws latents [N, *Z] of a trial over its goal, [N, S, S, 3].

    Raises:
        UserError: the model has no decoder.
    """
    pictures = decoded(trial.problem.model, latents)
    if pictures is None:
        raise UserError(
            f"the world model '{trial.model.name}' has no decoder, so its latents make no pictures"
        )
    return over_goal(trial.task_set.environment, pictures, trial.task.goal_state, PICTURE)
