"""Holds the figures of results files, by kind."""

from collections.abc import Callable

import pandas as pd

from grasp_bench.analysis.aggregate import TABLE_COLUMNS, ResultTable
from grasp_bench.analysis.failure_kinds import FAILURE_COLUMNS
from grasp_bench.analysis.result_figures.drawing import Drawing
from grasp_bench.analysis.result_figures.failures import draw_failures
from grasp_bench.analysis.result_figures.model_evals import draw_model_evals
from grasp_bench.analysis.result_figures.solved import draw_solved
from grasp_bench.analysis.result_figures.success import draw_success

FIGURE_COLUMNS = (
    *TABLE_COLUMNS, *FAILURE_COLUMNS, "model_evals_forward", "model_evals_backward",
)  # fmt: skip
RESULT_FIGURES: dict[str, Callable[[ResultTable, pd.DataFrame], Drawing]] = {
    "success": draw_success,
    "solved": draw_solved,
    "model-evals": draw_model_evals,
    "failures": draw_failures,
}
