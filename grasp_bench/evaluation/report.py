"""The model report: all measurements, as they stand in a checkpoint's card."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from grasp_bench.evaluation import SECTIONS, Section
from grasp_bench.evaluation.brittleness import Brittleness, measure_brittleness
from grasp_bench.evaluation.held_out_tasks import HeldOutTasks, cut_tasks
from grasp_bench.evaluation.open_loop import measure_open_loop
from grasp_bench.evaluation.probes import measure_probes
from grasp_bench.evaluation.ranking import Ranking, rank_demonstrations
from grasp_bench.evaluation.settings import QUICK_PROBES, EvaluationSettings, ProbeSettings
from grasp_bench.evaluation.smoothness import Smoothness, measure_smoothness
from grasp_bench.training.data import Demonstrations
from grasp_bench.types import WorldModel


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        report: plain data for the card and for tables, one entry a measurement.
        tasks: the held-out tasks of the last three measurements, if one of them was asked for.
        ranking, smoothness, brittleness: the measurements behind the report, for figures.
    """

    report: dict[str, Any]
    tasks: HeldOutTasks | None = None
    ranking: Ranking | None = None
    smoothness: Smoothness | None = None
    brittleness: Brittleness | None = None


def evaluate_model(
    model: WorldModel,
    train: Demonstrations,
    held_out: Demonstrations,
    settings: EvaluationSettings | None = None,
    sections: Sequence[Section] = SECTIONS,
    progress: Callable[[str], None] = lambda section: None,
) -> Evaluation:
    """Measure a world model on held-out demonstrations, without a planner.

    Args:
        model: of any kind; tokens, where its latents have them, get a probe of their own.
        train: demonstrations that probes are fitted on and action statistics taken from.
        held_out: demonstrations that everything is measured on.
        settings: what it costs and draws.
        sections: which measurements to make.
        progress: called with a section's name as it begins.

    Raises:
        UserError: the held-out demonstrations do not give the tasks asked for.
    """
    settings = settings or EvaluationSettings()
    seed, seconds = settings.seed, dict[str, float]()
    report: dict[str, Any] = {}
    tasks = ranking = smoothness = brittleness = None

    @contextmanager
    def timed(section: Section) -> Iterator[None]:
        progress(section)
        begin = time.monotonic()
        yield
        seconds[section] = round(time.monotonic() - begin, 1)

    if set(sections) - {"probes"}:
        tasks = cut_tasks(model, held_out, settings.horizon, settings.tasks, seed)
    if "probes" in sections:
        with timed("probes"):
            probes = measure_probes(model, train, held_out, settings.probes, seed)
            report |= probes.to_json()
            episodes = settings.rollout_episodes
            report["open_loop"] = measure_open_loop(model, probes.reader, held_out, episodes)
    if tasks and "ranking" in sections:
        with timed("ranking"):
            count = settings.alternatives
            ranking = rank_demonstrations(model, tasks, train, held_out, count, seed)
            report["ranking"] = ranking.to_json()
    if tasks and "smoothness" in sections:
        with timed("smoothness"):
            smoothness = measure_smoothness(model, tasks)
            report["smoothness"] = smoothness.to_json()
    if tasks and "brittleness" in sections:
        with timed("brittleness"):
            few = tasks.first(settings.brittleness_tasks)
            brittleness = measure_brittleness(model, few, held_out, seed)
            report["brittleness"] = brittleness.to_json()
    report["evaluation"] = {"settings": settings.to_json(), "seconds": seconds}
    return Evaluation(report, tasks, ranking, smoothness, brittleness)


def model_report(
    model: WorldModel,
    train: Demonstrations,
    held_out: Demonstrations,
    probes: ProbeSettings = QUICK_PROBES,
) -> dict[str, Any]:
    """Probes and open-loop errors alone, as training puts them into a new checkpoint's card."""
    settings = EvaluationSettings(probes=probes)
    return evaluate_model(model, train, held_out, settings, ["probes"]).report
