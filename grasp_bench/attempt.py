"""One problem while it is being planned, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from grasp_bench.clock import Clock
from grasp_bench.incumbent import Incumbent
from grasp_bench.judge import Verdict
from grasp_bench.models.metered import MeteredModel
from grasp_bench.types import Candidate, Task


@dataclass(frozen=True)
class Outcome:
    """The measured columns of one trial; `grasp_bench.columns` describes each."""

    success: bool
    success_final: bool
    success_block: bool
    time_to_success: float | None
    iterations_to_success: int | None
    rows_forward_to_success: int | None
    rows_backward_to_success: int | None
    planner_time: float
    candidates: int
    replan_candidates: str | None
    iterations: int
    checks: int
    rows_forward: int
    rows_backward: int
    blind_success: bool | None
    blind_success_final: bool | None
    blind_success_block: bool | None
    blind_cost_predicted: float | None
    blind_cost_realised: float | None
    blind_block_distance: float | None
    blind_block_angle_error: float | None
    plan_sha256: str | None
    planner_seconds: float
    encode_seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class Moment:
    """How far a batch has come; model rows are those of each problem."""

    time: float = 0.0
    seconds: float = 0.0
    candidates: int = 0
    iterations: int = 0
    rows_forward: int = 0
    rows_backward: int = 0


@dataclass(frozen=True)
class Meter:
    """What a batch of B problems has used."""

    clock: Clock
    model: MeteredModel
    batch: int

    def read(self, moment: Moment) -> Moment:
        """A moment brought up to date, apart from its candidates and iterations."""
        return replace(
            moment,
            time=self.clock.elapsed,
            seconds=self.clock.seconds,
            rows_forward=self.model.rows_forward // self.batch,
            rows_backward=self.model.rows_backward // self.batch,
        )


@dataclass
class Attempt:
    """One problem of the batch while it is being planned.

    Attributes:
        changed: the incumbent has not been executed yet.
        plannings: candidates of each planning in closed loop, else None.
        stopped_at: where a success ended it.
    """

    task: Task
    incumbent: Incumbent = field(default_factory=Incumbent)
    changed: bool = False
    checks: int = 0
    plannings: list[int] | None = None
    verdict: Verdict | None = None
    first_success: Verdict | None = None
    success_at: Moment | None = None
    stopped_at: Moment | None = None

    def consider(self, plan: Tensor, cost: float) -> None:
        """Hold a candidate [T, A] against the incumbent."""
        self.changed |= self.incumbent.consider(plan, cost)

    def judge(self, verdict: Verdict, moment: Moment) -> None:
        """Take note of where executing the incumbent led."""
        self.verdict, self.changed = verdict, False
        if verdict.success and self.first_success is None:
            self.first_success, self.success_at = verdict, moment


def consider(attempts: Sequence[Attempt], candidate: Candidate) -> None:
    """Hold a candidate against the incumbents of the attempts that go on."""
    plans, costs = candidate.actions.detach().cpu(), candidate.cost.tolist()
    for attempt, plan, cost in zip(attempts, plans, costs, strict=True):
        if attempt.stopped_at is None:
            attempt.consider(plan, cost)


def outcome(
    attempt: Attempt,
    batch_end: Moment,
    realised: float | None,
    encode_seconds: float,
    wall_seconds: float,
) -> Outcome:
    """The row of an attempt; `batch_end` is where its batch came to, if it did not stop before."""
    end, hit = attempt.stopped_at or batch_end, attempt.success_at
    shown = attempt.first_success or attempt.verdict
    committed = attempt.verdict if attempt.stopped_at is None else None
    blind: tuple[bool | None, bool | None, bool | None]
    if attempt.stopped_at is not None:  # it never came to commit to a plan
        blind = None, None, None
    elif committed is None:  # it had no plan when its budget ended
        blind = False, False, False
    else:
        blind = committed.success, committed.success_final, committed.success_block
    return Outcome(
        success=shown is not None and shown.success,
        success_final=shown is not None and shown.success_final,
        success_block=shown is not None and shown.success_block,
        time_to_success=hit.time if hit else None,
        iterations_to_success=hit.iterations if hit else None,
        rows_forward_to_success=hit.rows_forward if hit else None,
        rows_backward_to_success=hit.rows_backward if hit else None,
        planner_time=end.time,
        candidates=end.candidates,
        replan_candidates=" ".join(map(str, attempt.plannings)) if attempt.plannings else None,
        iterations=end.iterations,
        checks=attempt.checks,
        rows_forward=end.rows_forward,
        rows_backward=end.rows_backward,
        blind_success=blind[0],
        blind_success_final=blind[1],
        blind_success_block=blind[2],
        blind_cost_predicted=attempt.incumbent.cost if committed else None,
        blind_cost_realised=realised if committed else None,
        blind_block_distance=committed.block_distance if committed else None,
        blind_block_angle_error=committed.block_angle_error if committed else None,
        plan_sha256=attempt.incumbent.sha256(),
        planner_seconds=end.seconds,
        encode_seconds=encode_seconds,
        wall_seconds=wall_seconds,
    )
