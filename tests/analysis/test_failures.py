"""Trials that raised or have no plan: failures in every number, and counted in words."""

import csv
import io

import pandas as pd
import pytest

from grasp_bench.analysis.ablation import ablation_sheets
from grasp_bench.analysis.aggregate import build_table
from grasp_bench.analysis.contents import contents_sheets
from grasp_bench.analysis.gate import compare
from grasp_bench.analysis.highlights import highlights
from grasp_bench.analysis.judging import by_outcome
from grasp_bench.analysis.page import render_page
from grasp_bench.analysis.pairwise import pairwise_sheets
from grasp_bench.analysis.result_figures.drawing import by_cell
from grasp_bench.analysis.result_figures.model_evals import draw_model_evals
from grasp_bench.analysis.result_figures.solved import draw_solved, times_of
from grasp_bench.analysis.result_figures.success import draw_success
from grasp_bench.analysis.results_table import results_sheet
from grasp_bench.analysis.times import times_sheet
from grasp_bench.analysis.writers import render
from grasp_bench.run.failures import judged
from grasp_bench.run.schema import OUTCOME, environment_column

TASKS, RAISED, PLANLESS, SOLVED = 40, 25, 5, 10
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in plan\n'
ERROR = f"{TRACEBACK}MyError: gave up\nadvice that nobody needs"


def raise_in(trials, which, error=ERROR):
    """Leaves the rows that a planner leaves that raises: no outcome at all."""
    outcome = [c for c in trials if c in {o.name for o in OUTCOME} or environment_column(c)]
    for name in outcome:
        trials[name] = trials[name].mask(which)
    trials.loc[which, "status"] = "error"
    trials.loc[which, "error"] = error


@pytest.fixture
def trials(results):
    """CEM would solve 10 of the 10 trials that it does not give up on; GRASP solves 20 of 40."""
    trials = results({"cem": range(SOLVED), "grasp": range(20)}, budget=50.0)
    number = trials["task_id"].str[-4:].astype(int)
    cem = trials["planner"] == "cem"
    raise_in(trials, cem & (number >= TASKS - RAISED))
    trials.loc[trials.index[3], "error"] = None
    planless = cem & (number >= SOLVED) & (number < SOLVED + PLANLESS)
    trials.loc[planless, ["candidates", "plan_sha256"]] = [0, None]
    return trials


def test_a_rate_is_over_all_trials_and_its_cell_counts_those_without_a_plan(trials):
    table = build_table(trials)
    cell = table.rows[0].cells["cem"]
    assert (cell.trials, cell.successes, cell.not_run) == (TASKS, SOLVED, (RAISED, PLANLESS))
    sheet = results_sheet(table, intervals=True)
    assert sheet.rows[0][1].text == "25.0% (25 raised, 5 no plan) / 5.5 s"
    assert sheet.rows[0][1].below.endswith("n=40")
    (record,) = csv.DictReader(io.StringIO(render([sheet], "csv")))
    names = ("cem_success", "cem_n", "cem_raised", "cem_planless", "grasp_raised")
    assert [float(record[name]) for name in names] == [0.25, TASKS, RAISED, PLANLESS, 0]
    assert "25.0\\% (25 raised, 5 no plan)" in render([sheet], "latex")


def test_a_note_names_planners_counts_and_the_commonest_error(trials):
    raise_in(trials, trials["task_id"].str.endswith("0039"), f"{TRACEBACK}OtherError: rare")
    raised, planless = build_table(trials).notes[-2:]
    assert all(part in raised for part in ("CEM 25 of 40", "GRASP 1 of 40", "MyError: gave up"))
    assert "advice" not in raised
    assert "CEM 5 of 40" in planless


def test_paired_tests_are_over_all_tasks(trials):
    (sheet,) = pairwise_sheets(build_table(trials), trials)
    assert sheet.records[0]["tasks"] == TASKS
    assert sheet.records[0]["difference"] == -0.25
    assert sheet.records[0]["discordance"] == 0.25


def test_a_raised_trial_waits_for_its_whole_budget(trials):
    sheet = times_sheet(build_table(trials), trials)
    cem = sheet.records[0]
    assert (cem["n"], cem["raised"], cem["planless"]) == (TASKS, RAISED, PLANLESS)
    assert cem["restricted_mean_time"] == pytest.approx((sum(range(1, 11)) + 30 * 50) / 40)
    assert cem["kaplan_meier_median_time"] is None
    assert (cem["sooner_than_fastest"], cem["later_than_fastest"]) == (0, 10)
    assert "25 raised" in sheet.rows[0][1].text
    own = by_cell(trials, ["success", "time_to_success"])[40, "cem"]
    times, solved = times_of(own, 50.0)
    assert (solved.sum(), len(solved), times[-RAISED:].tolist()) == (10, TASKS, [50.0] * RAISED)


def test_an_ablation_counts_them_at_the_highest_cost(results):
    trials = results({"cem": range(40), "cem[sigma=2.0]": range(40)}, stop="never")
    trials["final_plan_success"] = trials["success"]
    trials["final_plan_cost_realised"] = 1.0
    trials.loc[trials["planner_label"] != "cem", "final_plan_cost_realised"] = 0.5
    which = (trials["planner_label"] != "cem") & (trials["task_id"] >= "pusht-h40-0010")
    raise_in(trials, which)
    (sheet,) = ablation_sheets(by_outcome(trials, "final-plan"), True, "final-plan")
    other = sheet.records[1]
    assert (other["h40_n"], other["h40_raised"], other["h40_success"]) == (40, 30, 0.25)
    assert other["h40_difference"] == -0.75
    assert other["h40_cost_difference"] == 0
    assert "cem[sigma=2.0] 30 of 40" in sheet.notes[-1]


def test_figures_are_of_all_trials(trials):
    trials.loc[trials["planner"] == "cem", "model_evals_forward"] = (
        [1000] * 10 + [500] * 5 + [None] * RAISED
    )
    table = build_table(trials)
    assert "CEM 25% at H=40" in draw_success(table, trials).alt
    assert "CEM 25% and 25%" in draw_solved(table, trials).alt
    drawing = draw_model_evals(table, trials)
    # What a trial that raised took is not known: as much as its planner's costliest.
    assert f"CEM forward {(35 * 1000 + 5 * 500) / 10:,.0f}" in drawing.alt
    assert "CEM 25 of 40" in drawing.caption


def test_nothing_to_watch_of_a_trial_that_raised(trials):
    trials.loc[trials["planner"] == "cem", "final_plan_block_distance"] = 1.0
    raise_in(trials, trials["success"].fillna(False).astype(bool) & (trials["planner"] == "cem"))
    assert "CEM" not in {h.title.partition(",")[0] for h in highlights(build_table(trials), trials)
                         if "quickest" in h.title}  # fmt: skip


def test_a_report_and_the_contents_count_all(trials, tmp_path):
    page = render_page("title", build_table(trials), trials, [tmp_path], "a command")
    assert "80 trials, run on" in page
    assert "25.0% (25 raised, 5 no plan)" in page
    assert "--trials 40" in page
    counts, *_ = contents_sheets(trials)
    assert counts.records[0] == {
        "planner": "cem", "horizon": 40, "trials": 40, "raised": 25, "planless": 5
    }  # fmt: skip
    assert "cem 25 of 40" in counts.notes[1]


def test_a_comparison_counts_them_on_both_sides(trials, results):
    sound = results({"cem": range(SOLVED + 3), "grasp": range(20)}, budget=50.0, plan_sha256="p")
    worse = compare(sound, trials)
    cem = next(change for change in worse.changes if change.name == "cem")
    assert (cem.trials, cem.solved_before, cem.solved_now, cem.new_errors) == (40, 13, 10, 25)
    better = compare(trials, sound)
    assert not better.regressed
    assert any("base" in note and "CEM 25 of 40" in note for note in better.notes)


def test_results_in_which_nothing_ran_are_zero_percent(results):
    trials = results({"grasp": range(10)})
    raise_in(trials, trials["status"] == "ok", None)
    table = build_table(trials)
    assert results_sheet(table, False).rows[0][1].text == "0.0% (40 raised) / \u2013"
    assert table.notes[-1].endswith("GRASP 40 of 40.")
    for draw in (draw_success, draw_solved, draw_model_evals):
        assert draw(table, trials).alt


def test_a_success_without_a_plan_or_with_an_error_is_none(results):
    trials = results({"grasp": range(10)})
    trials.loc[:1, "status"] = "error"
    trials.loc[2:4, "candidates"] = 0
    counted = judged(trials)
    assert counted["success"].sum() == 5
    assert counted["time_to_success"].notna().sum() == 5
    pd.testing.assert_frame_equal(judged(counted), counted)
