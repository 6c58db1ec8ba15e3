"""Draws figures of one trial's plan; they run the world model, so the report has none of them."""

from grasp_bench.trial.replay import RecordedTrial


def about(*trials: RecordedTrial) -> str:
    """Names planners, tasks and weights in a sentence, for captions."""
    planners = ", ".join(dict.fromkeys(str(trial.row["planner_label"]) for trial in trials))
    tasks = ", ".join(dict.fromkeys(trial.task.id for trial in trials))
    model = trials[0].model
    return f"{planners} on {tasks}; world model {model.name} ({model.sha256[:12]})."
