"""Recipes of online fine-tuning: which plans are executed, and how the predictor learns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, cast

from grasp_bench.errors import UserError
from grasp_bench.planners.configure import Setting
from grasp_bench.registry import find
from grasp_bench.training.dynamics import DynamicsObjective
from grasp_bench.training.loop import Schedule


@dataclass(frozen=True)
class PlanSource:
    """A planner whose plans are executed.

    Attributes:
        planner: its name.
        settings: hyperparameters that differ from its defaults.
        executed: after these numbers of candidates its best plan so far is executed; planners
            also visit the unfinished ones. The last ends the planning.
    """

    planner: str
    settings: dict[str, Setting]
    executed: tuple[int, ...]


# The settings that `make reproduce` plans with.
TUNED_GD: dict[str, Setting] = {"optimiser": "adam", "lr": 0.2}
TUNED_GRASP: dict[str, Setting] = {"sync_every": 10, "gd_steps": 20, "action_lr": 0.002}
SMALL_CEM: dict[str, Setting] = {"samples": 64, "elites": 8}


@dataclass(frozen=True, kw_only=True)
class OnlineRecipe:
    """Rounds of planning, executing and training on what came of it.

    Attributes:
        rounds: R.
        sources: whose plans are executed.
        horizons: environment steps between a training task's start and its goal.
        tasks: tasks of each round, planner and horizon.
        episodes: demonstrations that are rehearsed beside the plans.
        plan_share: share of plans among the windows of a training step.
        dynamics: schedule of the predictor in each round.
        rollout: its loss.
        gap_tasks: held-out tasks of each horizon for the exploitation gap.
        gap_horizons: their horizons.
        ensemble: predictors made of the parent's, each trained on its own bootstrap sample;
            1 for the parent's alone.
        seed: of tasks, plans and samples.
    """

    rounds: int = 4
    sources: tuple[PlanSource, ...] = (
        PlanSource("gd", TUNED_GD, (3, 15, 50, 150)),
        PlanSource("grasp", TUNED_GRASP, (1, 3, 8)),
        PlanSource("cem", SMALL_CEM, (1, 4, 12)),
    )
    horizons: tuple[int, ...] = (40, 50, 60, 70, 80)
    tasks: int = 32
    episodes: int = 24_000
    plan_share: float = 0.5
    dynamics: Schedule = Schedule(steps=1_500, batch=256, learning_rate=5e-4, average=0.998)
    rollout: DynamicsObjective = field(default_factory=lambda: DynamicsObjective(unroll=6))
    gap_tasks: int = 24
    gap_horizons: tuple[int, ...] = (40, 80)
    ensemble: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.tasks < 1 or self.gap_tasks < 1 or self.ensemble < 1:
            raise UserError("rounds, tasks, gap tasks and the ensemble must be at least 1")
        if not 0 < self.plan_share < 1:
            raise UserError(f"the share of plans must lie between 0 and 1, not {self.plan_share}")

    def changed(self, **options: float | int | None) -> OnlineRecipe:
        """The recipe with options replaced, those that are not None.

        `rounds`, `tasks`, `ensemble` and `seed` are its own; `steps` is the schedule's; `unroll`,
        `input_noise` and `attack` are the loss's.
        """
        given = {name: value for name, value in options.items() if value is not None}
        dynamics = {name: given.pop(name) for name in ("steps",) if name in given}
        losses = {f.name for f in fields(DynamicsObjective)}
        rollout = {name: given.pop(name) for name in sorted(losses & given.keys())}
        changes: dict[str, Any] = {
            "dynamics": replace(self.dynamics, **cast(Any, dynamics)),
            "rollout": replace(self.rollout, **cast(Any, rollout)),
            **given,
        }
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Plain data for the checkpoint's card."""
        return asdict(self)


ONLINE_RECIPES: dict[str, OnlineRecipe] = {
    "online": OnlineRecipe(),
    # One short round on GD's plans, to see whether an option is worth a whole run.
    "online-try": OnlineRecipe(
        rounds=1,
        sources=(PlanSource("gd", TUNED_GD, (3, 15, 50, 150)),),
        tasks=64,
        dynamics=Schedule(steps=400, batch=256, learning_rate=5e-4, warmup=40, average=0.99),
        gap_tasks=48,
        gap_horizons=(80,),
    ),
    "online-smoke": OnlineRecipe(
        rounds=1,
        sources=(
            PlanSource("gd", TUNED_GD, (2, 5)),
            PlanSource("cem", {"samples": 8, "elites": 4}, (2,)),
        ),
        horizons=(40,),
        tasks=4,
        episodes=100,
        dynamics=Schedule(steps=40, batch=32, learning_rate=1e-3, warmup=5, average=0.9),
        gap_tasks=4,
        gap_horizons=(40,),
    ),
}


def get_online_recipe(name: str) -> OnlineRecipe:
    """The recipe of that name.

    Raises:
        UserError: no such recipe.
    """
    return find("recipe", name, ONLINE_RECIPES)
