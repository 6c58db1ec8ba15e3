"""What the reader of a table must know, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from grasp_bench.report.published import Source
from grasp_bench.stats import POWER, SIGNIFICANCE

INTERVALS_NOTE = "Small print: 95% intervals of both (Wilson, bootstrap), and n."


BLIND_NOTE = (
    "Blind: success is that of the one plan a planner commits to when its budget ends, chosen by "
    "the model's cost alone."
)


def reading_note(unit: str) -> str:
    """What stands in a cell, and what bold means; `unit` is that of times, or empty."""
    time = "time" if unit == "s" else unit
    median = f" and median {time} to success over successes" if unit else ""
    return (
        f"Success rate{median}. Bold: the best at its horizon, and what an exact McNemar test on "
        f"the same tasks does not tell from it (p >= {SIGNIFICANCE})."
    )


def protocol_notes(finished: pd.DataFrame) -> list[str]:
    """Settings and hardware that all trials share."""
    one = finished.iloc[0]
    unit = "planner seconds" if one["clock"] == "wall" else "candidate plans"
    cap = "" if pd.isna(one["max_iterations"]) else f", at most {one['max_iterations']} iterations"
    hardware = finished[["cpu", "cores", "accelerator"]].drop_duplicates()
    machines = sorted(
        f"{cpu} ({cores} cores)" if pd.isna(gpu) else gpu
        for cpu, cores, gpu in hardware.itertuples(index=False, name=None)
    )
    workers = "/".join(str(count) for count in sorted(finished["workers"].unique()))
    return [
        f"Success: in the goal region at some step within the horizon. Budget {one['budget']:g} "
        f"{unit}{cap}, stop: {one['stop']}, batch {one['batch']}, tasks: {one['tasks']} set, "
        f"seed {one['master_seed']}, protocol version {one['protocol_version']}.",
        *_closed_loop(one),
        f"World model {one['model']} ({one['model_sha256'][:12]}), {one['device']}, "
        f"{'; '.join(machines)}, {one['threads']} torch thread(s) x {workers} worker(s).",
    ]


def settings_notes(finished: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    """Where the planners' settings come from, titles by label; nothing if results do not say."""
    columns = ["planner_label", "settings_source", "settings_budget", "settings_sha256", "model"]
    planners: dict[str, list[str]] = {}
    for label, *source in finished[columns].drop_duplicates().itertuples(index=False, name=None):
        if label in titles and pd.notna(source[0]):
            planners.setdefault(_source(*source), []).append(label)
    parts = []
    for phrase, labels in planners.items():
        of = f" of {', '.join(titles[label] for label in labels)}" if len(planners) > 1 else ""
        parts.append(f"Settings{of}: {phrase}.")
    return [" ".join(parts)] if parts else []


def _source(source: str, budget: str, sha256: str, model: str) -> str:
    if source != "tuned":
        return "the planners' defaults"
    return f"tuned, {budget} (settings/{model}.json, {sha256[:12]})"


def _closed_loop(one: pd.Series) -> list[str]:
    if one["protocol"] == "open-loop":
        return []
    return [
        f"Closed loop (MPC): replanned from the simulator's state every {one['replan_every']} "
        "model step(s), with the steps and the budget that are left."
    ]


def detectable_note(differences: Mapping[int, float]) -> str:
    """What rows of ties, by horizon, could not have shown: the minimum detectable difference."""
    points = ", ".join(f"{100 * value:.0f} at H={h}" for h, value in differences.items())
    return (
        "Planners that are not told apart may still differ. The smallest difference in points "
        f"that the test on these tasks finds with {POWER:.0%} power: {points}."
    )


def source_notes(sources: Iterator[Source]) -> list[str]:
    """The protocols of numbers published elsewhere."""
    protocols = [source.protocol for source in sources]
    if not protocols:
        return []
    return [
        f"{'; '.join(protocols)}. World model, tasks, budget and hardware are not those of the "
        "columns beside: compare the pattern, not the digits."
    ]
