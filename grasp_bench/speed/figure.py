"""The figure of a bench: what batching time is worth, and what longer horizons cost."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from grasp_bench.report.figures.drawing import Drawing, new_figure, style
from grasp_bench.speed.rows import LARGE, OWN


def draw_speed(frame: pd.DataFrame) -> Drawing:
    """Times the floor by planner, seconds over T and problems a second over the batch."""
    figure = new_figure(12.0, 4.2)
    floors, horizons, batches = figure.subplots(1, 3)
    _draw_floors(floors, frame[frame["section"].isin(["planner", "form"])])
    _draw_growth(horizons, frame[frame["section"] == "horizon"], "steps")
    horizons.set(xlabel="T (model steps)", ylabel="ms an iteration", title="batch 1")
    batch = frame[frame["section"] == "batch"].copy()
    for column in ("seconds", "seconds_low", "seconds_high"):
        batch[column] = 1e-3 * batch["batch"] / batch[column]
    _draw_growth(batches, batch, "batch")
    batches.set(xlabel="batch", ylabel="problems x iterations a second", title="T = 16")
    one = frame.iloc[0]
    return Drawing(
        title="Speed of planners' iterations",
        caption="Left: an iteration at T = 16, batch 1, over its model's multiply-adds at the rate "
        "of one large matrix product (dark) and of the model's own products alone (light). "
        "Middle and right: medians and quartiles. "
        f"World model {one['model']} ({one['model_sha256'][:12]}), {one['device']}, {one['cpu']}, "
        f"{one['threads']} torch thread(s).",
        alt=_in_words(frame),
        figure=figure,
    )


def _draw_floors(axes: Axes, rows: pd.DataFrame) -> None:
    shown = rows[~rows["name"].isin([LARGE, OWN])]
    names = [
        f"grasp step, {row['name']}" if row["section"] == "form" else row["name"]
        for _, row in shown.iterrows()
    ]
    for place, (floor, alpha) in enumerate((("floor_seconds", 1.0), ("own_floor_seconds", 0.4))):
        ratios = shown["seconds"] / shown[floor]
        heights = [index + 0.4 * place for index in range(len(shown))]
        axes.barh(heights, ratios, height=0.4, color="#0072B2", alpha=alpha)
    axes.set_yticks([index + 0.2 for index in range(len(shown))], names)
    axes.axvline(3, color="grey", linestyle=":")
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="times the floor (dotted: 3)")


def _draw_growth(axes: Axes, rows: pd.DataFrame, by: str) -> None:
    for place, (name, own) in enumerate(rows.groupby("name", sort=False)):
        look = style(place)
        seconds = 1000 * own["seconds"]
        spread = [abs(1000 * own[f"seconds_{end}"] - seconds) for end in ("low", "high")]
        axes.errorbar(
            own[by], seconds, yerr=spread, color=look.colour, marker=look.marker, label=str(name)
        )
    axes.set(xscale="log", yscale="log")
    ticks = sorted(rows[by].unique())
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _in_words(frame: pd.DataFrame) -> str:
    planners = frame[(frame["section"] == "planner") & ~frame["name"].isin([LARGE, OWN])]
    ratios = ", ".join(
        f"{row['name']} {row['seconds'] / row['floor_seconds']:.1f}"
        for _, row in planners.iterrows()
    )
    return f"Bar chart and two line charts. Times the floor: {ratios}."
