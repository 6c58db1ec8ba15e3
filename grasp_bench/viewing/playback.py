"""Shows a plan in three views of the same steps: as planned, as the model sees it, as it went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from grasp_bench.core.types import FloatArray
from grasp_bench.envs import PlanOutcome
from grasp_bench.planners.rollout import rollout
from grasp_bench.trial.replay import RecordedTrial, Replay
from grasp_bench.viewing.panels import Panel, composed
from grasp_bench.viewing.pictures import Picture, card, decoded, drawn, over_goal

HOLD_SECONDS = 1.5


@dataclass(frozen=True)
class Playback:
    """Holds what there is to see of one executed plan.

    Attributes:
        trial: that the plan was made for.
        title: planner and task.
        states: [H + 1, S] the simulator's.
        rollout: [T + 1, S, S, 3] the model's s_0 .. s_T, or a sentence why there are none.
        virtual: [T, S, S, 3] the start and the planner's s_1 .. s_{T-1}, or such a sentence.
        reached_at: first step in the goal region, None if never.
        outcome: in a sentence.
    """

    trial: RecordedTrial
    title: str
    states: FloatArray
    rollout: Picture | str
    virtual: Picture | str
    reached_at: int | None
    outcome: str


def model_and_real(trial: RecordedTrial, again: Replay) -> tuple[Tensor, FloatArray]:
    """Returns what a plan visits: [T + 1, *Z] in the model, [H + 1, S] in the simulator."""
    start, actions = trial.problem.start, again.actions.to(trial.problem.start)[None]
    with torch.no_grad():
        path = torch.cat([start[:, None], rollout(trial.problem.model, start, actions)], dim=1)
    plan = trial.task.start_state[None], again.env_actions[None]
    return path[0], trial.task_set.environment.rollout(*plan)[0]


def playback(trial: RecordedTrial, again: Replay) -> Playback:
    """Makes the three views of a plan that was made again."""
    path, states = model_and_real(trial, again)

    def shown(latents: Tensor) -> Picture | str:
        pictures = decoded(trial.problem.model, latents)
        no_decoder = f"the world model '{trial.model.name}' has no decoder"
        return no_decoder if pictures is None else pictures

    if again.virtual_states is not None:
        virtual = shown(torch.cat([trial.problem.start, again.virtual_states]))
    elif trial.row["protocol"] == "mpc":
        virtual = f"replanned every {trial.row['replan_every']} model step(s): a plan of many parts"
    else:
        virtual = f"{trial.planner.name} plans with actions alone: it has no virtual states"
    return Playback(
        trial=trial,
        title=f"{trial.row['planner_label']} on {trial.task.id}, model {trial.model.name}",
        states=states,
        rollout=shown(path),
        virtual=virtual,
        reached_at=again.outcome.reached_at,
        outcome=described(again.outcome, again.cost),
    )


def described(outcome: PlanOutcome, cost: float) -> str:
    """Says what became of a plan, beside what the model had promised."""
    promised = f"the model predicted a goal cost of {cost:.2g}"
    if outcome.success:
        when = "" if outcome.reached_at is None else f" at step {outcome.reached_at}"
        return f"SUCCESS: at the goal{when}; {promised}"
    distances = ", ".join(
        f"{name.replace('_', ' ')} {value:.1f}" for name, value in outcome.distances.items()
    )
    return f"FAILURE: {distances} at the end; {promised}"


def frames(view: Playback, size: int = 224, every: int = 1) -> Iterator[Picture]:
    """Draws one picture per `every` environment steps, the last held for a moment.

    Args:
        view: see `playback`.
        size: width and height of a panel, px.
        every: environment steps from one picture to the next.
    """
    environment, goal = view.trial.task_set.environment, view.trial.task.goal_state
    last = len(view.states) - 1
    virtual = _panels(view.trial, view.virtual, size)
    has_virtual = not isinstance(view.virtual, str)
    predicted = _panels(view.trial, view.rollout, size)
    real = drawn(environment, view.states, goal, size)
    steps = [*range(0, last, every), last]
    for step in steps + [last] * round(HOLD_SECONDS * environment.control_hz / every):
        done = step // view.trial.problem.model.frameskip
        planned = min(done, len(virtual) - 1)
        place = f": s{planned}" if has_virtual else ""
        panels = [
            Panel(f"virtual states{place}", virtual[planned]),
            Panel(f"model rollout: s{done}", predicted[min(done, len(predicted) - 1)]),
            Panel(f"simulator: step {step} of {last}", real[step]),
        ]
        reached = view.reached_at is not None and step >= view.reached_at
        stamp = view.outcome if reached or step == last else ""
        yield composed(view.title, panels, stamp, success=view.reached_at is not None)


def _panels(trial: RecordedTrial, pictures: Picture | str, size: int) -> Picture:
    if isinstance(pictures, str):
        return card(pictures, size)[None]
    return over_goal(trial.task_set.environment, pictures, trial.task.goal_state, size)
