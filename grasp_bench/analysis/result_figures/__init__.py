"""Holds the figures of results files, by kind."""

from collections.abc import Callable

import pandas as pd

from grasp_bench.analysis.aggregate import TABLE_COLUMNS, ResultTable
from grasp_bench.analysis.result_figures.drawing import Drawing
from grasp_bench.analysis.result_figures.model_evals import draw_model_evals
from grasp_bench.analysis.result_figures.solved import draw_solved
from grasp_bench.analysis.result_figures.success import draw_success

FIGURE_COLUMNS = (*TABLE_COLUMNS, "model_evals_forward", "model_evals_backward")
RESULT_FIGURES: dict[str, Callable[[ResultTable, pd.DataFrame], Drawing]] = {
    "success": draw_success,
    "solved": draw_solved,
    "model-evals": draw_model_evals,
}
