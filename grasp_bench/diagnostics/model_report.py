"""The model report: all measurements, as a checkpoint's card holds them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grasp_bench.core.types import WorldModel
from grasp_bench.diagnostics import SECTIONS, Section
from grasp_bench.diagnostics.brittleness import Brittleness, measure_brittleness
from grasp_bench.diagnostics.held_out_tasks import HeldOutTasks, cut_tasks
from grasp_bench.diagnostics.open_loop_error import measure_open_loop
from grasp_bench.diagnostics.probes import measure_probes
from grasp_bench.diagnostics.ranking import Ranking, rank_demonstrations
from grasp_bench.diagnostics.report_settings import EvaluationSettings
from grasp_bench.diagnostics.smoothness import Smoothness, measure_smoothness
from grasp_bench.models.probe import Probe, probe_path, save_probe
from grasp_bench.tasks.demonstrations import Demonstrations


@dataclass(frozen=True)
class Evaluation:
    """Holds what was measured.

    Attributes:
        report: plain data for the card and for tables, one entry a measurement.
        tasks: the held-out tasks; None if only probes were asked for.
        probe: the one that reads the block's place best; None if none were fitted.
        ranking, smoothness, brittleness: the measurements behind the report, for figures.
    """

    report: dict[str, Any]
    tasks: HeldOutTasks | None = None
    probe: Probe | None = None
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
    """Measures a world model on held-out demonstrations, without a planner.

    Args:
        model: of any kind; one with `tokens` gets a probe on them, too.
        train: demonstrations that probes are fitted on and action statistics taken from.
        held_out: demonstrations that everything is measured on.
        settings: decide how much is measured and drawn.
        sections: which measurements to make.
        progress: called with a section's name as it begins.

    Raises:
        UserError: the held-out demonstrations do not yield the tasks asked for.
    """
    settings = settings or EvaluationSettings()
    seed, seconds = settings.seed, dict[str, float]()
    report: dict[str, Any] = {}
    tasks = probe = ranking = smoothness = brittleness = None

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
            probe = probes.best.probe
            report |= {"probes": probes.errors, "read_by": probes.chosen}
            report["probe_settings"] = asdict(settings.probes)
            episodes = settings.rollout_episodes
            report["open_loop"] = measure_open_loop(model, probes, held_out, episodes)
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
    report["evaluation"] = {"settings": asdict(settings), "seconds": seconds}
    return Evaluation(report, tasks, probe, ranking, smoothness, brittleness)


def store_probe(evaluation: Evaluation, checkpoint: Path, model_sha256: str) -> Path:
    """Writes the probe of an evaluation beside the checkpoint; returns its path.

    Args:
        evaluation: of the checkpoint's model, probes included.
        checkpoint: its file.
        model_sha256: of the weights that were measured.
    """
    assert evaluation.probe is not None
    path, report = probe_path(checkpoint), evaluation.report
    measured = report["probes"][evaluation.probe.config.kind]
    card = {"model": checkpoint.stem, "model_sha256": model_sha256, "held_out": measured}
    save_probe(evaluation.probe, path, card | {"settings": report["probe_settings"]})
    return path
