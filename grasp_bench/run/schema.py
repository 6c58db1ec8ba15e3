"""Describes the columns of a results file: one flat row per trial.

The environment names further columns: `success_CRITERION`, `final_plan_success_CRITERION` and
`final_plan_DISTANCE` for its success criteria and distances. They stand behind the fixed ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa

from grasp_bench.core.version import PROTOCOL_VERSION

SCHEMA_VERSION = 8
PROTOCOL_KEY = b"grasp_bench_protocol_version"
SCHEMA_KEY = b"grasp_bench_schema_version"


class Column(NamedTuple):
    """One column of the schema."""

    name: str
    type: pa.DataType
    description: str


_TEXT, _BOOL, _INT, _FLOAT = pa.string(), pa.bool_(), pa.int64(), pa.float64()

TRIAL = (
    Column("trial_key", _TEXT, "identity of the trial: planner, configuration and task"),
    Column("status", _TEXT, "ok, or error: the planner raised and the row holds no outcome"),
    Column("error", _TEXT, "the traceback, null when ok"),
    Column("task_id", _TEXT, "id of the task, which never changes"),
    Column("horizon", _INT, "H, environment steps between start and goal"),
    Column("planner", _TEXT, "name of the planner"),
    Column("planner_source", _TEXT, "as given: a name, file.py:Class or module:Class"),
    Column("planner_file_sha256", _TEXT, "of the file that defines the planner"),
    Column("planner_label", _TEXT, "its name, with what was set on top"),
    Column("hyperparameters", _TEXT, "all its hyperparameters, JSON"),
    Column("hyperparameters_sha256", _TEXT, "of hyperparameters"),
    Column("hyperparameters_source", _TEXT, "tuned or default: what changes are on top of"),
    Column("tuning_sha256", _TEXT, "of the file of tuned hyperparameters, null for defaults"),
    Column("tuning_budget", _TEXT, "how they were found, null for defaults"),
    Column("prior_sha256", _TEXT, "of the action prior's weights, null if none was used"),
    Column("probe_sha256", _TEXT, "of the model's probe, null if it has none"),
    Column("trial_seed", pa.uint64(), "of the trial's stream: master seed, task and planner"),
)

OUTCOME = (
    Column("success", _BOOL, "the environment's default criterion, by any plan shown"),
    Column(
        "success_in_model",
        _BOOL,
        "the same in the states that the model predicts, as its probe reads them; else null",
    ),
    Column("time_to_success", _FLOAT, "planner time of the check that succeeded, null if none"),
    Column("iterations_to_success", _INT, "planner iterations done by then"),
    Column("model_evals_forward_to_success", _INT, "model transitions evaluated forward by then"),
    Column("model_evals_backward_to_success", _INT, "model transitions evaluated backward by then"),
    Column("planner_time", _FLOAT, "planner time at the end, in the unit of `clock`"),
    Column("candidates", _INT, "candidate plans that arrived within the budget"),
    Column("replan_candidates", _TEXT, "of each planning in closed loop, else null"),
    Column("iterations", _INT, "planner iterations behind the last of them"),
    Column("checks", _INT, "times the plan was due for execution"),
    Column("model_evals_forward", _INT, "model transitions evaluated forward in all"),
    Column("model_evals_backward", _INT, "model transitions evaluated backward in all"),
    Column(
        "final_plan_success",
        _BOOL,
        "success of the final plan, committed to at the end of the budget, chosen by model cost "
        "alone; null, as all final_plan columns, if the trial ended at its first success before",
    ),
    Column("final_plan_success_in_model", _BOOL, "success_in_model of the final plan"),
    Column("final_plan_cost_predicted", _FLOAT, "its goal cost as the model predicts it"),
    Column("final_plan_cost_realised", _FLOAT, "the same where it really ended"),
    Column("demo_cost_predicted", _FLOAT, "goal cost of the demonstration, by the same model"),
    Column(
        "success_plan_actions",
        pa.binary(),
        "of the first plan that succeeded: environment actions, H x E little-endian float32",
    ),
    Column("final_plan_actions", pa.binary(), "of the final plan, in the same form"),
    Column("plan_sha256", _TEXT, "of the bytes of the best plan when the trial ended"),
    Column("planner_seconds", _FLOAT, "seconds inside the planner, whatever the clock"),
    Column("encode_seconds", _FLOAT, "encoding start and goal, off the clock"),
    Column("wall_seconds", _FLOAT, "the whole trial, executions included"),
)

SETTINGS = (
    Column("protocol_version", _TEXT, "of the evaluation protocol"),
    Column("protocol", _TEXT, "open-loop: one plan; mpc: replanned from the simulator's state"),
    Column("replan_every", _INT, "model steps executed of each plan, null open loop"),
    Column("environment", _TEXT, "name of the environment"),
    Column("model", _TEXT, "name of the world model"),
    Column("model_sha256", _TEXT, "of its weights"),
    Column("model_source", _TEXT, "as given: a name, a path, file.py:make_model"),
    Column("model_file_sha256", _TEXT, "of a plugin's file, null for a checkpoint"),
    Column("tasks", _TEXT, "name or path of the task set"),
    Column("task_set_sha256", _TEXT, "of that set's file"),
    Column("master_seed", _INT, "every trial's stream derives from it"),
    Column("clock", _TEXT, "wall: planner seconds; iterations: candidates"),
    Column("budget", _FLOAT, "planner time at which a trial ends, in the unit of `clock`"),
    Column("max_iterations", _INT, "planner iterations at which it ends, null if unlimited"),
    Column("stop", _TEXT, "first-success or never: whether success ends a trial"),
    Column("check_first", _FLOAT, "planner time of the first check"),
    Column("check_ratio", _FLOAT, "ratio of one check's planner time to the one before"),
    Column("action_limits", _BOOL, "whether planners are told the environment's action limits"),
    Column("proprio_weight", _FLOAT, "of the proprioceptive part of the goal distance"),
    Column("goal_steps", _INT, "model steps at a plan's end that the goal distance averages over"),
    Column("batch", _INT, "tasks planned together, at most"),
    Column("device", _TEXT, "torch device"),
    Column("threads", _INT, "torch threads per worker process"),
)

SYSTEM = (
    Column("package_version", _TEXT, "grasp-bench"),
    Column("git_commit", _TEXT, "of the source tree, null outside one"),
    Column("python_version", _TEXT, "Python"),
    Column("torch_version", _TEXT, "torch"),
    Column("pymunk_version", _TEXT, "pymunk"),
    Column("numpy_version", _TEXT, "numpy"),
    Column("cpu", _TEXT, "CPU model"),
    Column("cores", _INT, "CPU cores this process may use"),
    Column("accelerator", _TEXT, "GPU model, null on the CPU"),
    Column("compiler", _TEXT, "C compiler of the models' kernels, null if torch did all"),
    Column(
        "reference_seconds",
        _FLOAT,
        "of the reference workload, timed just before",
    ),
    Column("workers", _INT, "worker processes beside each other"),
    Column("started_at", pa.timestamp("ms", tz="UTC"), "start of the trial"),
    Column(
        "load",
        _FLOAT,
        "load average of the machine over the last minute, as the trial began; null in results "
        "that are older than the column",
    ),
)
ADDED = frozenset(("load",))  # files of this schema version that are older lack them

COLUMNS = TRIAL + OUTCOME + SETTINGS + SYSTEM
NAMES = tuple(column.name for column in COLUMNS)
SETTINGS_COLUMNS = tuple(column.name for column in SETTINGS)
_BY_NAME = {column.name: column for column in COLUMNS}


def environment_column(name: str) -> Column | None:
    """Describes a column that an environment names, None if it has no such form."""
    for prefix, plan in (("success_", "the plan shown"), ("final_plan_success_", "the final plan")):
        if name.startswith(prefix):
            criterion = name.removeprefix(prefix)
            return Column(name, _BOOL, f"criterion '{criterion}' of the environment, of {plan}")
    if name.startswith("final_plan_"):
        distance = name.removeprefix("final_plan_")
        return Column(name, _FLOAT, f"distance '{distance}' of the environment, of the final plan")
    return None


def find_column(name: str) -> Column | None:
    """Describes a fixed column or one that an environment names, None if it is neither."""
    return _BY_NAME.get(name) or environment_column(name)


def is_distance(name: str) -> bool:
    """Tells whether a column is one of the environment's distances to the goal."""
    column = None if name in NAMES else environment_column(name)
    return column is not None and column.type == _FLOAT


def results_schema(names: Iterable[str]) -> pa.Schema:
    """Builds the schema of results with these columns: the fixed ones, then the environment's.

    Raises:
        ValueError: a fixed column is missing, or a name is no column.
    """
    given = dict.fromkeys(names)
    further = [environment_column(name) for name in given if name not in NAMES]
    if not set(NAMES) <= given.keys() or None in further:
        unknown = {n for n in given if n not in NAMES and environment_column(n) is None}
        raise ValueError(f"not the columns: {sorted((set(NAMES) - given.keys()) | unknown)}")
    columns = [*COLUMNS, *(column for column in further if column is not None)]
    return pa.schema(
        [
            pa.field(column.name, column.type, metadata={"description": column.description})
            for column in columns
        ],
        metadata={PROTOCOL_KEY: PROTOCOL_VERSION, SCHEMA_KEY: str(SCHEMA_VERSION)},
    )


def identifying_columns(from_checkpoint: bool) -> list[str]:
    """Lists the settings in which trials that compare agree.

    A checkpoint is known by its hash. A plugin's file may make several models, so that its
    model's name counts as well.
    """
    names = ("model", "model_source") if from_checkpoint else ("model_source",)
    return [name for name in SETTINGS_COLUMNS if name not in names]
