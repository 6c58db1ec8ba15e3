"""The columns of a results file: one flat row per trial, one description per column."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa

from grasp_bench import PROTOCOL_VERSION

SCHEMA_VERSION = 4

Row = dict[str, Any]


class Column(NamedTuple):
    """One column of the schema.

    Attributes:
        clock: it differs from run to run even on the iteration clock.
        since: schema version that brought it.
        before: its value in older files.
    """

    name: str
    type: pa.DataType
    description: str
    clock: bool = False
    since: int = 1
    before: str | None = None


_TEXT, _BOOL, _INT, _FLOAT = pa.string(), pa.bool_(), pa.int64(), pa.float64()

TRIAL = (
    Column("trial_key", _TEXT, "identity of the trial: planner, configuration and task"),
    Column("status", _TEXT, "ok, or error: the planner raised and the row holds no outcome"),
    Column("error", _TEXT, "the traceback, null when ok"),
    Column("task_id", _TEXT, "id of the task, which never changes"),
    Column("horizon", _INT, "H, environment steps between start and goal"),
    Column("planner", _TEXT, "registered name of the planner"),
    Column("planner_label", _TEXT, "its name, with what was set on top of its settings"),
    Column("planner_config", _TEXT, "all its hyperparameters, JSON"),
    Column("planner_config_sha256", _TEXT, "of planner_config"),
    Column(
        "settings_source",
        _TEXT,
        "tuned or default: what planner_label's changes are on top of",
        since=4,
    ),
    Column("settings_sha256", _TEXT, "of the file of tuned settings, null for defaults", since=4),
    Column("settings_budget", _TEXT, "how they were found, null for defaults", since=4),
    Column(
        "prior_sha256",
        _TEXT,
        "of the action prior's weights, null if the planner uses none or the model has none",
        since=3,
    ),
    Column("trial_seed", pa.uint64(), "of the trial's stream: master seed, task and planner"),
)

OUTCOME = (
    Column("success", _BOOL, "in the goal region at some step within the horizon"),
    Column("success_final", _BOOL, "in the goal region after the last step, of the same plan"),
    Column("success_block", _BOOL, "block alone in its goal region at the end, same plan"),
    Column("time_to_success", _FLOAT, "planner time of the check that succeeded, null if none"),
    Column("iterations_to_success", _INT, "planner iterations done by then"),
    Column("rows_forward_to_success", _INT, "model rows evaluated forward by then"),
    Column("rows_backward_to_success", _INT, "model rows evaluated backward by then"),
    Column("planner_time", _FLOAT, "planner time at the end, in the unit of `clock`"),
    Column("candidates", _INT, "candidate plans that arrived within the budget"),
    Column(
        "replan_candidates",
        _TEXT,
        "of them, those of each planning in closed loop, separated by spaces; else null",
        since=3,
    ),
    Column("iterations", _INT, "planner iterations behind the last of them"),
    Column("checks", _INT, "times the plan was due for execution"),
    Column("rows_forward", _INT, "model rows evaluated forward until the trial's end"),
    Column("rows_backward", _INT, "model rows evaluated backward until the trial's end"),
    Column(
        "blind_success",
        _BOOL,
        "success of the plan committed to at the end of the budget, chosen by model cost "
        "alone; null, as all blind columns, if the trial ended at its first success before",
    ),
    Column("blind_success_final", _BOOL, "success_final of the committed plan"),
    Column("blind_success_block", _BOOL, "success_block of the committed plan"),
    Column("blind_cost_predicted", _FLOAT, "its goal cost as the model predicts it"),
    Column("blind_cost_realised", _FLOAT, "model distance of where it really ended to the goal"),
    Column("blind_block_distance", _FLOAT, "px from block to goal at its end"),
    Column("blind_block_angle_error", _FLOAT, "degrees from block to goal at its end"),
    Column("plan_sha256", _TEXT, "of the bytes of the best plan when the trial ended"),
    Column(
        "planner_seconds", _FLOAT, "seconds inside the planner, whatever the clock", True, since=2
    ),
    Column("encode_seconds", _FLOAT, "encoding start and goal, off the clock", clock=True),
    Column("wall_seconds", _FLOAT, "the whole trial, executions included", clock=True),
)

SETTINGS = (
    Column("protocol_version", _TEXT, "of the evaluation protocol"),
    Column(
        "protocol",
        _TEXT,
        "open-loop: one plan, executed whole; mpc: replanned from the simulator's state",
        since=3,
        before="open-loop",
    ),
    Column("replan_every", _INT, "model steps executed of each plan, null open loop", since=3),
    Column("model", _TEXT, "name or path of the world model"),
    Column("model_sha256", _TEXT, "of its weights"),
    Column("tasks", _TEXT, "eval or tune: the frozen set the task is from"),
    Column("task_set_sha256", _TEXT, "of that set's file"),
    Column("master_seed", _INT, "every trial's stream derives from it"),
    Column("clock", _TEXT, "wall: planner seconds; iterations: candidates"),
    Column("budget", _FLOAT, "planner time at which a trial ends, in the unit of `clock`"),
    Column("max_iterations", _INT, "planner iterations at which it ends, null if unlimited"),
    Column("stop", _TEXT, "first-success or never: whether success ends a trial"),
    Column("check_first", _FLOAT, "planner time of the first check"),
    Column("check_ratio", _FLOAT, "ratio of one check's planner time to the one before"),
    Column("batch", _INT, "tasks planned together, at most"),
    Column("device", _TEXT, "torch device"),
    Column("threads", _INT, "torch threads per worker process"),
)

MACHINE = (
    Column("package_version", _TEXT, "grasp-bench", clock=True),
    Column("git_commit", _TEXT, "of the source tree, null outside one", clock=True),
    Column("python_version", _TEXT, "Python", clock=True),
    Column("torch_version", _TEXT, "torch", clock=True),
    Column("pymunk_version", _TEXT, "pymunk", clock=True),
    Column("numpy_version", _TEXT, "numpy", clock=True),
    Column("cpu", _TEXT, "CPU model", clock=True),
    Column("cores", _INT, "CPU cores this process may use", clock=True),
    Column("accelerator", _TEXT, "GPU model, null on the CPU", clock=True),
    Column(
        "reference_seconds",
        _FLOAT,
        "the reference workload, timed just before: a time over it compares across machines",
        clock=True,
        since=2,
    ),
    Column("workers", _INT, "worker processes beside each other", clock=True),
    Column("started_at", pa.timestamp("ms", tz="UTC"), "start of the trial", clock=True),
)

COLUMNS = TRIAL + OUTCOME + SETTINGS + MACHINE
CLOCK_COLUMNS = tuple(column.name for column in COLUMNS if column.clock)

SCHEMA = pa.schema(
    [
        pa.field(column.name, column.type, metadata={"description": column.description})
        for column in COLUMNS
    ],
    metadata={
        "grasp_bench_protocol_version": PROTOCOL_VERSION,
        "grasp_bench_schema_version": str(SCHEMA_VERSION),
    },
)
