"""What the captions of a trial's figures say of it."""

from __future__ import annotations

from grasp_bench.recreate import RecordedTrial


def about(*trials: RecordedTrial) -> str:
    """Planners, task and weights, in a sentence."""
    planners = ", ".join(dict.fromkeys(str(trial.row["planner_label"]) for trial in trials))
    tasks = ", ".join(dict.fromkeys(trial.task.id for trial in trials))
    model = trials[0].model
    return f"{planners} on {tasks}; world model {model.name} ({model.sha256[:12]})."
