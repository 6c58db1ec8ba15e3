"""Figures of results files, by kind."""

from collections.abc import Callable

import pandas as pd

from grasp_bench.report.figures.drawing import Drawing
from grasp_bench.report.figures.model_rows import draw_model_rows
from grasp_bench.report.figures.solved import draw_solved
from grasp_bench.report.figures.success import draw_success
from grasp_bench.report.rows import TABLE_COLUMNS, ResultTable

FIGURE_COLUMNS = (*TABLE_COLUMNS, "planner_time", "rows_forward", "rows_backward")
RESULT_FIGURES: dict[str, Callable[[ResultTable, pd.DataFrame], Drawing]] = {
    "success": draw_success,
    "solved": draw_solved,
    "model-rows": draw_model_rows,
}
