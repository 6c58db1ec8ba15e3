"""What tuning found, as a table."""

from __future__ import annotations

from grasp_bench.report.sheet import NOTHING, Entry, Sheet
from grasp_bench.tuning.settings_file import TunedCell, TunedSettings


def summary_sheet(found: TunedSettings) -> Sheet:
    """A row per planner and horizon: the default's result, the best one's, and its settings."""
    unit = "s" if found.tuning.clock == "wall" else "candidates"
    cells = [
        (planner, horizon, cell)
        for planner, by_horizon in found.planners.items()
        for horizon, cell in by_horizon.items()
    ]
    return Sheet(
        headings=["Planner", "Horizon", "Default", "Best", "Settings of the best"],
        rows=[_row(planner, horizon, cell, unit) for planner, horizon, cell in cells],
        records=[
            {"planner": planner, "horizon": horizon, **vars(cell)}
            for planner, horizon, cell in cells
        ],
        notes=[
            f"PAR2 / success rate. PAR2: mean planner {unit} to success, a failure counted as "
            f"twice the budget. Best: {found.described()}. The best of many is flattered "
            "by the tasks it was chosen on: measure it on others."
        ],
        labels=2,
    )


def _row(planner: str, horizon: int, cell: TunedCell, unit: str) -> list[Entry]:
    settings = ", ".join(f"{name}={value}" for name, value in cell.settings.items())
    return [
        Entry(planner),
        Entry(f"H={horizon}"),
        Entry(_result(cell.default_par2, cell.default_success, unit)),
        Entry(_result(cell.par2, cell.success, unit), bold=bool(settings)),
        Entry(settings or "the defaults"),
    ]


def _result(par2: float | None, success: float, unit: str) -> str:
    return f"{NOTHING if par2 is None else f'{par2:.3g} {unit}'} / {success:.1%}"
