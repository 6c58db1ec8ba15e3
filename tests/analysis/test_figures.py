"""Figures of results: their numbers, their words and their files."""

import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from grasp_bench.analysis.aggregate import build_table, combine
from grasp_bench.analysis.result_figures import RESULT_FIGURES
from grasp_bench.analysis.result_figures.drawing import (
    COLOURS,
    MARKERS,
    LineEnd,
    label_ends,
    new_figure,
    style,
    styles,
    svg_bytes,
    write_drawing,
)
from grasp_bench.analysis.result_figures.model_evals import work_per_success
from grasp_bench.core.errors import UserError

# The final plan, which the model rates worse than the demonstration.
FAILED = {
    "stop": "never", "final_plan_success": False, "final_plan_cost_predicted": 2.0,
    "final_plan_cost_realised": 3.0, "demo_cost_predicted": 1.0,
}  # fmt: skip


@pytest.fixture
def trials(results):
    return combine(
        [
            results({"grasp": range(10), "cem": [], "demo": range(40)}, **FAILED),
            results({"grasp": range(5)}, horizon=80, name="h80.parquet", **FAILED),
        ]
    )


@pytest.fixture
def draw(trials):
    return lambda kind: RESULT_FIGURES[kind](build_table(trials), trials)


def texts(file):
    return {unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", file.read_text())}


def words(file):
    return " ".join(re.sub(r"<[^>]+>", " ", file.read_text()).split())


@pytest.mark.parametrize("kind", RESULT_FIGURES)
def test_a_figure_is_a_png_and_an_svg_and_the_same_each_time(draw, kind, tmp_path):
    made_by = f"grasp-bench figure {kind} trials.parquet"
    files = write_drawing(draw(kind), tmp_path / "deep" / "figure", made_by)
    assert [file.suffix for file in files] == [".png", ".svg"]
    with Image.open(files[0]) as picture:
        assert picture.width > 500
    assert "world model tiny (aaaaaaaaaaaa)" in words(files[1])
    assert made_by in words(files[1])
    first = files[1].read_bytes()
    write_drawing(draw(kind), tmp_path / "deep" / "figure", made_by)
    assert files[1].read_bytes() == first


@pytest.mark.parametrize("kind", RESULT_FIGURES)
def test_a_figure_inside_a_page_needs_no_fonts(draw, kind):
    assert b"<text" not in svg_bytes(draw(kind))


def test_a_pdf_is_a_pdf(draw, tmp_path):
    (file,) = write_drawing(draw("success"), tmp_path / "success.pdf", "a test")
    assert file.read_bytes().startswith(b"%PDF")


def test_the_success_figure_says_its_numbers_and_names_the_paper(draw, tmp_path):
    drawing = draw("success")
    assert "GRASP 25% at H=40, 12% at H=80" in drawing.alt
    (file,) = write_drawing(drawing, tmp_path / "success.svg", "a test")
    assert {"GRASP paper", "these results, tiny"} <= texts(file)
    assert {"CEM", "GRASP"} <= texts(file)


def test_the_solved_figure_counts_who_is_at_risk(draw, tmp_path):
    # Solved at 1, 2, 3, 4 s; the rest has its 5 s: 40 are at risk before 1 s, 38 before 3 s.
    drawing = draw("solved")
    assert "GRASP 5% and 12%" in drawing.alt
    (file,) = write_drawing(drawing, tmp_path / "solved.svg", "a test")
    assert {"40", "38"} <= set(words(file).split())
    assert "planner seconds" in words(file)


def test_one_horizon_one_planner_and_no_success_still_make_figures(results):
    trials = results({"cem": []}, clock="iterations", budget=100.0, check_first=1.0, **FAILED)
    drawings = {kind: draw(build_table(trials), trials) for kind, draw in RESULT_FIGURES.items()}
    assert all(svg_bytes(drawing) for drawing in drawings.values())
    assert "Nothing succeeded" in drawings["model-evals"].alt


def test_the_failures_figure_says_the_share_of_every_reason(results):
    model = {"final_plan_cost_predicted": 0.5}
    trials = combine(
        [
            results({"grasp": [], "cem": []}, **FAILED),
            results({"grasp": []}, horizon=80, name="h80.parquet", **(FAILED | model)),
        ]
    )
    drawing = RESULT_FIGURES["failures"](build_table(trials), trials)
    assert "GRASP at H=40: search 100%, model 0%" in drawing.alt
    assert "GRASP at H=80: search 0%, model 100%" in drawing.alt
    with pytest.raises(UserError, match="--stop never"):
        RESULT_FIGURES["failures"](build_table(trials), trials.assign(stop="first-success"))


def test_work_per_success_counts_the_failures_work():
    work = work_per_success([100, 300, 500, 700], [True, False, True, False])
    assert work.evaluations == 800
    assert work.interval.low < 800 < work.interval.high
    assert work_per_success([5, 5], [False, False]) is None
    assert work_per_success([0, 0], [True, True]) is None


def test_the_interval_of_work_per_success_is_the_bootstraps():
    generator = np.random.default_rng(0)
    success = generator.random(400) < 0.4
    rows = np.where(success, generator.exponential(200, 400), 1000)
    draws = generator.integers(400, size=(4000, 400))
    ratios = rows[draws].sum(axis=1) / success[draws].sum(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    interval = work_per_success(rows, success).interval
    assert interval.low == pytest.approx(low, rel=0.03)
    assert interval.high == pytest.approx(high, rel=0.03)


def test_at_most_six_planners_are_coloured_the_papers_the_best_and_the_best_with_a_prior(results):
    others = {f"mine-{number}": range(number) for number in range(9)}
    trials = results({"cem": [], "grasp": [], "demo": range(40)} | others)
    trials.loc[trials["planner"].isin(["mine-3", "mine-5"]), "prior_sha256"] = "d" * 64
    looks = styles(build_table(trials))
    assert set(looks) == {"cem", "grasp", "mine-5", "mine-8"}
    alone = results({"grasp": [], "demo": range(40)})
    assert styles(build_table(alone))["grasp"] == looks["grasp"]
    further = trials[trials["planner"] != "mine-8"].assign(horizon=80)
    further["trial_key"] += "-further"
    looks = styles(build_table(pd.concat([trials, further])))
    assert set(looks) == {"cem", "grasp", "mine-5", "mine-7"}  # mine-8 ran at fewer horizons


def test_names_at_line_ends_never_overlap_and_keep_their_order():
    axes = new_figure(4, 3).subplots()
    axes.set_ylim(0, 1)
    heights = (0.98, 1.0, 1.0, 0.5, 0.51, 0.0, 0.0)
    label_ends(axes, [LineEnd(1.0, y, str(y), "k") for y in heights], gap=0.06)
    placed = sorted((text.xyann[1], float(text.get_text())) for text in axes.texts)
    assert [name for _, name in placed] == sorted(heights)
    gaps = np.diff([height for height, _ in placed])
    assert gaps.min() > 0.055


def test_no_two_planners_look_alike():
    looks = [style(place) for place in range(4 * len(COLOURS))]
    assert len(set(looks)) == len(looks)
    assert len({look.marker for look in looks[: len(MARKERS)]}) == len(MARKERS)


def test_a_figure_that_cannot_be_written_is_one_sentence(refused, results):
    results({"grasp": range(3)})
    sentence = refused("figure", "success", "trials.parquet", "-o", "success.jpeg")
    assert "a figure is one of .png, .svg, .pdf" in sentence
    assert "there is no results file" in refused("figure", "solved", "missing.parquet")


def test_a_figure_names_the_command_that_made_it(cli, results, tmp_path):
    results({"grasp": range(3)})
    code, out, _ = cli("figure", "model-evals", "trials.parquet", "-o", "rows.svg")
    assert (code, out) == (0, "rows.svg\n")
    assert "Made by: grasp-bench figure model-evals trials.parquet" in words(tmp_path / "rows.svg")
