"""A plan in three views of the same steps: as planned, as the model sees it, as it went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from envs.goal import in_goal_region
from envs.pusht import CONTROL_HZ
from envs.pusht import rollout as simulate
from grasp_bench.judge import Verdict
from grasp_bench.recreate import PlannedAgain, RecordedTrial
from grasp_bench.rollout import rollout
from grasp_bench.types import FloatArray
from grasp_bench.viewing.pictures import Picture, card, decoded, drawn, over_goal
from grasp_bench.viewing.sheet import Panel, composed

FPS = CONTROL_HZ  # real time
HOLD_SECONDS = 1.5


@dataclass(frozen=True)
class Playback:
    """What there is to see of one executed plan.

    Attributes:
        title: planner and task.
        goal: [7].
        states: [H + 1, 7] the simulator's.
        rollout: [T + 1, S, S, 3] the model's s_0 .. s_T, or a sentence why there are none.
        virtual: [T, S, S, 3] the start and the planner's s_1 .. s_{T-1}, or such a sentence.
        frameskip: environment steps per model step.
        reached_at: first step in the goal region, None if never.
        outcome: in a sentence.
    """

    title: str
    goal: FloatArray
    states: FloatArray
    rollout: Picture | str
    virtual: Picture | str
    frameskip: int
    reached_at: int | None
    outcome: str


def playback(trial: RecordedTrial, again: PlannedAgain) -> Playback:
    """The three views of a plan made again."""
    problem, model, task = trial.problem, trial.problem.model, trial.task
    actions = again.actions.to(problem.start)[None]
    with torch.no_grad():
        path = torch.cat([problem.start[:, None], rollout(model, problem.start, actions)], dim=1)[0]
    no_decoder = f"the world model '{trial.model.name}' has no decoder"
    virtual: Picture | str | None = (
        f"{trial.planner.name} plans with actions alone: it has no virtual states"
    )
    if trial.row["protocol"] == "mpc":
        virtual = (
            f"replanned every {trial.row['replan_every']} model step(s): one plan of many parts"
        )
    if again.virtual_states is not None:
        virtual = decoded(model, torch.cat([problem.start, again.virtual_states]))
    seen = decoded(model, path)
    states = simulate(task.start_state[None], again.env_actions[None])[0]
    inside = np.flatnonzero(in_goal_region(states[1:], task.goal_state))
    reached_at = int(inside[0]) + 1 if len(inside) else None
    return Playback(
        title=f"{trial.row['planner_label']} on {task.id}, model {trial.model.name}",
        goal=task.goal_state,
        states=states,
        rollout=no_decoder if seen is None else seen,
        virtual=no_decoder if virtual is None else virtual,
        frameskip=model.frameskip,
        reached_at=reached_at,
        outcome=outcome(again.verdict, reached_at, again.cost),
    )


def outcome(verdict: Verdict, reached_at: int | None, cost: float) -> str:
    """What became of a plan, beside what the model had promised."""
    promised = f"the model predicted a goal cost of {cost:.2g}"
    if reached_at is not None:
        return f"SUCCESS: in the goal region at step {reached_at}; {promised}"
    return (
        f"FAILURE: block {verdict.block_distance:.0f} px, {verdict.block_angle_error:.0f}° "
        f"from its goal at the end; {promised}"
    )


def frames(view: Playback, size: int = 224, every: int = 1) -> Iterator[Picture]:
    """One picture per `every` environment steps, the last held for a moment.

    Args:
        view: see `playback`.
        size: width and height of a panel, px.
        every: environment steps from one picture to the next.
    """
    last = len(view.states) - 1
    virtual = _panels(view.virtual, view.goal, size)
    has_virtual = not isinstance(view.virtual, str)
    predicted = _panels(view.rollout, view.goal, size)
    real = drawn(view.states, view.goal, size)
    steps = [*range(0, last, every), last]
    for step in steps + [last] * round(HOLD_SECONDS * FPS / every):
        done = step // view.frameskip
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


def _panels(pictures: Picture | str, goal: FloatArray, size: int) -> Picture:
    if isinstance(pictures, str):
        return card(pictures, size)[None]
    return over_goal(pictures, goal, size)
