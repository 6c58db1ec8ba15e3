"""Tables from made-up results whose every number is known."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from grasp_bench.analysis.ablation import ablation_sheets
from grasp_bench.analysis.aggregate import TABLE_COLUMNS, build_table, combine
from grasp_bench.analysis.gate import compare
from grasp_bench.analysis.judging import by_outcome
from grasp_bench.analysis.pairwise import against_sheet, pairwise_sheets
from grasp_bench.analysis.published import PAPER
from grasp_bench.analysis.relative import relative_sheet
from grasp_bench.analysis.results_table import results_sheet
from grasp_bench.analysis.sheet import NOTHING
from grasp_bench.analysis.times import times_sheet
from grasp_bench.analysis.writers import render
from grasp_bench.core.errors import UserError

REPOSITORY = Path(__file__).parents[2]


def written(table, form, intervals=True):
    return render([results_sheet(table, intervals)], form)


def bold(table):
    return {label for label, cell in table.rows[0].cells.items() if cell.best}


def test_a_cell_holds_rate_interval_count_and_median_over_successes(results):
    table = build_table(results({"grasp": range(10)}))
    cell = table.rows[0].cells["grasp"]
    assert (cell.trials, cell.successes, cell.rate) == (40, 10, 0.25)
    assert cell.median_time == 5.5
    assert cell.time.low < 5.5 < cell.time.high
    assert cell.success.low < 0.25 < cell.success.high


def test_markdown_is_the_papers_layout_with_its_numbers_beside(results):
    lines = render(
        [results_sheet(build_table(results({"grasp": range(10), "cem": []})))], "markdown"
    ).split("\n")
    assert lines[:3] == [
        "| Horizon | CEM | CEM (paper) | GRASP | GRASP (paper) |",
        "| --- | --- | --- | --- | --- |",
        "| H=40 | 0.0% / \u2013<br>[0.0, 8.8] n=40 | 61.4% / 35.3 s "
        "| **25.0% / 5.5 s**<br>[14.2, 40.2] / [3.0, 8.0] n=40 | 59.0% / 8.5 s |",
    ]
    notes = " ".join(lines[3:])
    for fact in ("Budget 5 planner seconds", "stop: first-success", "over successes", "DINO-WM"):
        assert fact in notes


def test_with_planners_down_the_same_cells_stand_under_their_horizons(results):
    trials = combine([results({"grasp": range(10), "cem": []}, horizon=h) for h in (40, 50)])
    sheet = results_sheet(build_table(trials))
    turned = sheet.transposed("Planner")
    assert turned.headings == ["Planner", "H=40", "H=50"]
    assert [row[0].text for row in turned.rows] == ["CEM", "CEM (paper)", "GRASP", "GRASP (paper)"]
    assert [list(row) for row in zip(*(row[1:] for row in turned.rows), strict=True)] == [
        row[1:] for row in sheet.rows
    ]
    assert (turned.records, turned.notes) == (sheet.records, sheet.notes)


def test_success_of_the_final_plan_has_no_time(results):
    solved = {"grasp": range(10), "cem": range(20)}
    trials = results(solved, stop="never", final_plan_success=False)
    committed = (trials["planner"] == "grasp") & trials["success"].astype(bool)
    trials["final_plan_success"] = trials["final_plan_success"].mask(committed, other=True)
    judged = by_outcome(trials, "final-plan")
    table = build_table(judged, "final-plan")
    cells = table.rows[0].cells
    assert (cells["grasp"].successes, cells["cem"].successes) == (10, 0)
    assert cells["grasp"].median_time is cells["grasp"].mean_of_all is None
    assert bold(table) == {"grasp"}
    lines = render([results_sheet(table)], "markdown").split("\n")
    assert lines[0] == "| Horizon | CEM | GRASP |"  # the paper has no such numbers
    assert lines[2].startswith("| H=40 | 0.0%<br>")
    (matrix, *_) = pairwise_sheets(table, judged)
    assert matrix.records[0]["difference"] == -0.25
    trials = results({"grasp": range(5), "grasp[sync=none]": range(9)}, stop="never")
    trials["final_plan_success"] = [number % 40 < 10 for number in range(80)]
    (ablation,) = ablation_sheets(by_outcome(trials, "final-plan"), True, "final-plan")
    assert ablation.records[0]["h40_success"] == 0.25


def test_an_ablation_tells_which_final_plans_end_farther_from_the_goal(results):
    """Where next to nothing is solved, the distance from the goal still tells them apart."""
    trials = results({"grasp": [], "grasp[sync=none]": []}, stop="never")
    trials["final_plan_success"] = False
    trials["final_plan_cost_realised"] = trials["task_id"].astype("category").cat.codes / 100
    without = trials["planner_label"] == "grasp[sync=none]"
    trials.loc[without, "final_plan_cost_realised"] += 0.125
    read = trials[list(TABLE_COLUMNS)]  # what `grasp-bench table` reads
    (sheet,) = ablation_sheets(by_outcome(read, "final-plan"), True, "final-plan")
    base, other = sheet.records
    assert base["h40_cost_difference"] is None
    assert other["h40_cost_difference"] == pytest.approx(0.125)
    assert other["h40_cost_p_value"] < 1e-6
    assert "cost +0.12 [+0.12, +0.12] p < 0.0001*" in sheet.rows[1][-1].below
    (first,) = ablation_sheets(trials, intervals=True)
    assert "cost" not in first.rows[1][-1].below


def test_trials_that_ended_at_their_first_success_committed_to_nothing(results):
    with pytest.raises(UserError, match="--stop never"):
        by_outcome(results({"grasp": range(10)}, stop="first-success"), "final-plan")


def test_latex_is_booktabs(results):
    text = render(
        [results_sheet(build_table(results({"grasp": range(10), "cem[sigma=0.5]": []})))], "latex"
    )
    assert "\\toprule" in text
    row, small_print = text.splitlines()[text.splitlines().index("\\midrule") + 1 :][:2]
    assert "\\textbf{25.0\\% / 5.5 s}" in row
    assert "{\\scriptsize [14.2, 40.2] / [3.0, 8.0] n=40}" in small_print
    assert "cem[sigma=0.5]" in text
    assert text.count("\\\\\n") == 3


def test_csv_holds_the_unrounded_numbers(results):
    table = build_table(results({"grasp": range(10), "cem": range(1)}))
    (row,) = csv.DictReader(io.StringIO(written(table, "csv")))
    assert row["horizon"] == "40"
    assert float(row["grasp_success"]) == 0.25
    assert row["grasp_best"] == "True"
    assert float(row["cem_p_against_best"]) == pytest.approx(2 * 0.5**9)
    assert float(row["cem_difference_high"]) < 0
    assert row["cem_paper_median_seconds"] == "35.3"


def test_rich_shows_every_planner(results):
    trials = results({"grasp": range(3), "demo": range(40), "gd[lr=0.1]": []})
    text = written(build_table(trials), "rich")
    for word in ("GRASP", "demo", "100.0%", "gd[lr=0.1]", "59.0%"):
        assert word in text


def test_bold_are_the_best_and_what_the_paired_test_cannot_tell_from_it(results):
    best = range(20)
    near, far = range(2, 20), range(8)
    assert bold(build_table(results({"grasp": best, "cem": near, "gd": far}))) == {"grasp", "cem"}


def test_the_bold_rule_uses_pairs_not_intervals(results):
    # Equal rates apart by 6 tasks: nested successes differ significantly, disjoint ones do not.
    nested = results({"grasp": range(12), "cem": range(6)})
    crossed = results({"grasp": range(12), "cem": range(20, 26)})
    assert bold(build_table(nested)) == {"grasp"}
    assert bold(build_table(crossed)) == {"grasp", "cem"}


def test_bounds_never_compete_and_nothing_is_best_without_a_success(results):
    assert bold(build_table(results({"grasp": range(2), "demo": range(40)}))) == {"grasp"}
    assert bold(build_table(results({"grasp": [], "cem": []}))) == set()


def test_planners_stand_in_the_papers_order_bounds_last(results):
    table = build_table(
        results(
            {
                name: []
                for name in (
                    "zero",
                    "demo",
                    "mine",
                    "grasp",
                    "shuffled-demo",
                    "random",
                    "latco",
                    "cem",
                )
            }
        )
    )
    labels = [column.label for column in table.columns]
    assert labels == ["cem", "latco", "grasp", "mine", "demo", "random", "shuffled-demo", "zero"]


def test_a_second_configuration_has_a_column_of_its_own_and_no_published_numbers(results):
    table = build_table(results({"grasp": range(3), "grasp[state_noise=0.0]": range(2)}))
    assert [column.title for column in table.columns] == ["GRASP", "GRASP[state_noise=0.0]"]
    assert [bool(column.published) for column in table.columns] == [True, False]


def test_a_planners_only_configuration_stands_beside_the_papers_and_is_named_below(results):
    table = build_table(results({"grasp[sync_every=25]": range(3), "cem": []}))
    assert [column.title for column in table.columns] == ["CEM", "GRASP"]
    assert all(column.published for column in table.columns)
    assert any("grasp[sync_every=25]" in note for note in table.notes)


def test_the_iteration_clock_shows_iterations(results):
    table = build_table(results({"grasp": range(3)}, clock="iterations", budget=100.0))
    assert "7.5% / 101 iterations" in written(table, "markdown")
    assert "candidate plans" in table.notes[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch", 8),
        ("clock", "iterations"),
        ("budget", 9.0),
        ("stop", "never"),
        ("threads", 4),
        ("protocol", "mpc"),
        ("replan_every", 2),
    ],
)
def test_numbers_that_do_not_compare_are_not_put_into_one_table(results, name, value):
    one = results({"grasp": range(3)})
    two = results({"cem": range(3)}, name="other.parquet", **{name: value})
    with pytest.raises(UserError, match=f"differ in {name}"):
        combine([one, two])


def test_in_candidates_each_planner_may_have_a_budget_of_its_own(results):
    frames = [
        results({label: range(3)}, name=f"{label}.parquet", clock="iterations", budget=budget)
        for label, budget in (("grasp", 750.0), ("cem", 30.0))
    ]
    table = build_table(combine(frames))
    assert "Budgets in candidate plans: grasp 750, cem 30" in written(table, "markdown")
    assert table.rows[0].cells["cem"].mean_of_all.time < 31
    again = results(
        {"cem": range(3)}, name="again.parquet", horizon=80, clock="iterations", budget=40.0
    )
    with pytest.raises(UserError, match="differ in budget"):
        combine([*frames, again])


def test_one_name_for_two_configurations_is_refused(results):
    one = results({"grasp": range(3)})
    two = results(
        {"grasp": range(3)}, horizon=80, name="other.parquet", hyperparameters_sha256="d" * 64
    )
    with pytest.raises(UserError, match="'grasp' stands for different hyperparameters"):
        build_table(combine([one, two]))


def test_results_that_overlap_count_once(results):
    one = results({"grasp": range(3)})
    two = results({"grasp": range(3), "cem": range(3)}, name="other.parquet")
    assert len(combine([one, two])) == 80


def test_the_papers_numbers_are_multiples_of_one_in_500():
    cells = [cell for row in PAPER.cells.values() for cell in row.values()]
    assert len(cells) == 20
    for cell in cells:
        assert cell.success * 500 == pytest.approx(round(cell.success * 500))
        assert (cell.median_seconds is None) == (cell.success == 0)


def test_tables_and_help_never_import_torch(results, tmp_path):
    results({"grasp": range(3)})
    code = (
        "import sys\n"
        "from grasp_bench.cli.app import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    trials = str(tmp_path / "trials.parquet")
    figure = ["figure", "solved", trials, "-o", str(tmp_path / "solved.svg")]
    for arguments in (["--help"], ["table", trials], figure):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_frames_keep_nullable_types(results):
    trials = results({"grasp": range(3)})
    assert trials["success"].dtype == pd.BooleanDtype()
    assert trials["iterations_to_success"].dtype == pd.Int64Dtype()


def test_ties_come_with_the_smallest_difference_that_would_have_shown(results):
    table = build_table(results({"grasp": range(12), "cem": range(6, 18)}))
    (note,) = (note for note in table.reading if "80% power" in note)
    assert note.endswith("24 at H=40.")
    alone = build_table(results({"grasp": range(12)}))
    assert not any("power" in note for note in alone.reading)


def test_numbers_published_elsewhere_stand_in_columns_of_their_own_with_their_protocol(results):
    table = build_table(results({"cem": range(10)}, horizon=25))
    lines = written(table, "markdown", intervals=False).split("\n")
    assert lines[0] == "| Horizon | CEM | CEM (CLEAR-LeWM) |"  # the paper has no H=25
    assert lines[2].endswith("| 86.3% |")
    assert any("CLEAR-LeWM v0.5" in note for note in table.reading)
    assert not any("GRASP paper" in note for note in table.reading)
    assert "CLEAR" not in written(build_table(results({"cem": range(10)})), "markdown")


def test_published_numbers_stand_beside_their_own_environment_only(results):
    table = build_table(results({"cem": range(10)}, environment="point"))
    assert not table.columns[0].published


def test_intervals_are_shown_on_request_and_named(results):
    table = build_table(results({"grasp": range(10)}))
    assert "[14.2, 40.2]" in written(table, "markdown")
    plain = written(table, "markdown", intervals=False)
    assert "[14.2, 40.2]" not in plain
    assert "intervals" not in plain


def test_html_is_a_table_with_scopes_and_escaped_text(results):
    text = written(build_table(results({"grasp": range(10), "cem[a=<b>]": []})), "html")
    root = ElementTree.fromstring(f"<div>{text.replace('<br>', '<br/>')}</div>")
    assert root.find("table/thead/tr/th[@scope='col']").text == "Horizon"
    assert root.find("table/tbody/tr/th[@scope='row']").text == "H=40"
    assert root.find("table/tbody/tr/td/strong").text == "25.0% / 5.5 s"
    assert root.find("table/tbody/tr/td[@class='published']") is not None
    assert any("cem[a=<b>]" in item.text for item in root.iterfind("ul/li"))


def test_json_holds_unrounded_numbers_and_notes(results):
    (sheet,) = json.loads(written(build_table(results({"grasp": range(10)})), "json"))
    assert sheet["records"][0]["grasp_success"] == 0.25
    # Times 1, 2, 3 and 4 of 40; whatever takes the budget of 5 or more counts as 5.
    assert sheet["records"][0]["grasp_restricted_mean_time"] == pytest.approx((10 + 36 * 5) / 40)
    assert sheet["records"][0]["grasp_kaplan_meier_median_time"] is None
    assert sheet["notes"]


def test_latex_of_every_kind_compiles(results, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    trials = results(
        {"grasp": range(12), "cem[sigma=0.5]": range(6), "cem": range(3), "a_b&c%$#{}~^": []}
    )
    sheets = [
        results_sheet(build_table(trials)),
        results_sheet(build_table(trials)).transposed("Planner"),
        *pairwise_sheets(build_table(trials), trials),
        *ablation_sheets(trials, intervals=True),
    ]
    document = (
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\tiny\n"
        f"{render(sheets, 'latex')}\\end{{document}}\n"
    )
    (tmp_path / "table.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000


def test_pairwise_matrices_hold_differences_intervals_and_corrected_p_values(results):
    trials = results({"grasp": range(20), "cem": range(6), "gd": range(6, 12), "demo": range(40)})
    (sheet,) = pairwise_sheets(build_table(trials), trials)
    assert sheet.headings == ["Row minus column", "CEM", "GD", "GRASP"]
    by_name = {row[0].text: dict(zip(sheet.headings[1:], row[1:])) for row in sheet.rows}
    assert by_name["GRASP"]["CEM"].text == "+35.0"
    assert by_name["CEM"]["GRASP"].text == "-35.0"
    assert by_name["GRASP"]["CEM"].bold
    assert by_name["CEM"]["GD"].text == "+0.0"
    assert "p = 1, finds" in by_name["CEM"]["GD"].below
    record = next(r for r in sheet.records if {r["planner"], r["other"]} == {"cem", "grasp"})
    assert record["p_value"] == pytest.approx(2 * 0.5**14)
    assert record["p_adjusted"] == pytest.approx(3 * 2 * 0.5**14)


def test_pairwise_matrices_come_by_horizon_and_over_all(results):
    trials = combine(
        [
            results({"grasp": range(20), "cem": range(6)}),
            results({"grasp": range(20), "cem": range(6)}, horizon=80, name="h80.parquet"),
        ]
    )
    titles = [sheet.title for sheet in pairwise_sheets(build_table(trials), trials)]
    assert titles == ["H=40", "H=80", "all horizons"]
    trials["task_id"] = trials["task_id"].str[-4:]  # other task sets may number each horizon
    sheets = pairwise_sheets(build_table(trials), trials)
    assert [sheet.records[0]["tasks"] for sheet in sheets] == [40, 40, 80]
    first, second = trials.index[trials["planner"] == "grasp"][:2]
    trials.loc[second, "task_id"] = trials.loc[first, "task_id"]
    with pytest.raises(UserError, match="two trials of 'grasp' on task '0000'"):
        build_table(trials)
    with pytest.raises(UserError, match="two trials"):
        compare(trials, trials)
    alone = results({"grasp": range(20)})
    with pytest.raises(UserError, match="two planners"):
        pairwise_sheets(build_table(alone), alone)


def test_one_planner_against_each_other_is_corrected_for_these_comparisons_alone(results):
    solved = {"grasp": range(20), "cem": range(6), "gd": range(16, 26), "demo": range(40)}
    trials = combine(
        [results(solved), results({"grasp": range(20)}, horizon=80, name="h80.parquet")]
    )
    sheet = against_sheet(build_table(trials), trials, "grasp")
    assert sheet.headings == ["GRASP minus", "H=40", "H=80", "all horizons"]
    assert [[entry.text for entry in row] for row in sheet.rows] == [
        ["CEM", "+35.0", NOTHING, "+35.0"],
        ["GD", "+25.0", NOTHING, "+25.0"],
    ]
    by_other = {record["other"]: record for record in sheet.records if record["horizon"] == "40"}
    raw = {other: record["p_value"] for other, record in by_other.items()}
    assert by_other["cem"]["p_adjusted"] == pytest.approx(2 * raw["cem"])
    assert by_other["gd"]["p_adjusted"] == pytest.approx(raw["gd"])
    assert raw["gd"] > 2 * raw["cem"]
    with pytest.raises(UserError, match="did you mean 'grasp'"):
        against_sheet(build_table(trials), trials, "gras")
    alone = results({"grasp": range(20)}, name="alone.parquet")
    with pytest.raises(UserError, match="no other planner"):
        against_sheet(build_table(alone), alone, "grasp")


def test_ablation_rows_name_what_differs_and_are_held_against_the_defaults(results):
    options = {"grasp": "gd", "grasp[sync=cem]": "cem", "grasp[sync=none]": "none"}
    frames = [
        results(
            {label: range(20 - 8 * place)},
            name=f"{place}.parquet",
            hyperparameters=json.dumps({"lr": 0.1, "sync": sync}),
            hyperparameters_sha256=f"{place}" * 64,
        )
        for place, (label, sync) in enumerate(options.items())
    ]
    (sheet,) = ablation_sheets(combine(frames), intervals=False)
    assert sheet.headings == ["sync", "H=40"]
    assert [row[0].text for row in sheet.rows] == ["gd", "cem", "none"]
    assert sheet.rows[0][1].below == ""
    assert sheet.rows[1][1].below.startswith("-20.0 [")
    assert sheet.rows[1][1].below.endswith("p = 0.0078*")
    assert [row[1].bold for row in sheet.rows] == [True, False, False]
    assert sheet.records[2]["h40_difference"] == pytest.approx(-0.4)
    with pytest.raises(UserError, match="two configurations"):
        ablation_sheets(frames[0], intervals=False)


def test_an_ablations_numbers_are_differences_to_its_first_row_also_where_another_is_best(results):
    trials = results({"grasp": range(8), "grasp[sync=cem]": range(20)})
    (sheet,) = ablation_sheets(trials, intervals=True)
    base, other = sheet.records
    names = ("h40_difference_low", "h40_difference", "h40_difference_high")
    assert [base[name] for name in names] == [None, None, None]
    low, change, high = (other[name] for name in names)
    assert change == pytest.approx(0.3)
    assert 0 < low < change < high
    assert f"+30.0 [{100 * low:+.1f}, {100 * high:+.1f}]" in sheet.rows[1][-1].below


def test_times_count_failures_and_pair_planners_task_by_task(results):
    """A planner quick on the one task it solves is not called fast."""
    solved = {"grasp": range(30), "cem": range(20, 25), "latco": [0], "demo": range(40)}
    trials = results(solved, budget=50.0)
    alone = trials["planner_label"] == "latco"
    trials.loc[alone, "time_to_success"] -= 0.5
    sheet = times_sheet(build_table(trials), trials)
    assert [row[0].text for row in sheet.rows] == ["CEM", "LatCo", "GRASP"]
    by_name = {record["planner"]: record for record in sheet.records}
    # Task k is solved after k + 1 seconds; ten of forty never.
    grasp = by_name["grasp"]
    assert grasp["kaplan_meier_median_time"] == 20
    assert grasp["restricted_mean_time"] == pytest.approx((sum(range(1, 31)) + 10 * 50) / 40)
    assert (grasp["sooner_than_fastest"], grasp["later_than_fastest"]) == (0, 0)
    latco = by_name["latco"]
    assert (latco["success"], latco["kaplan_meier_median_time"]) == (0.025, None)
    assert (latco["sooner_than_fastest"], latco["later_than_fastest"]) == (1, 29)
    assert latco["p_against_fastest"] == pytest.approx(2 * 31 * 0.5**30)
    # Solved at the same moment by both, or by neither, a task says nothing.
    assert (by_name["cem"]["sooner_than_fastest"], by_name["cem"]["later_than_fastest"]) == (0, 25)
    assert [row[1].bold for row in sheet.rows] == [False, False, True]
    assert sheet.rows[1][1].text == "> 50.0 s / 48.8 s"
    assert "1 : 29, p < 0.0001" in sheet.rows[1][1].below
    assert all(
        entry.below == "" for (_, entry) in times_sheet(build_table(trials), trials, False).rows
    )


def test_times_on_two_machines_compare_in_passes_of_the_reference_workload(results):
    fast = results({"grasp": range(20)}, name="a.parquet", cpu="fast", reference_seconds=0.01)
    slow = results({"grasp": range(20)}, name="b.parquet", cpu="slow", reference_seconds=0.02)
    slow["time_to_success"] *= 2
    halves = [fast[fast.index % 2 == 0], slow[slow.index % 2 == 1]]
    trials = pd.concat(halves, ignore_index=True)
    table = build_table(trials)
    sheet = relative_sheet(table, trials)
    assert {record["machine"]: record["median_passes"] for record in sheet.records} == {
        "fast": 1000.0, "slow": 1100.0,
    }  # fmt: skip
    assert sheet.rows[0][1].text == "1.05e+03"
    assert [note for note in table.notes if "different hardware: GRASP at H=40" in note]
    assert not [note for note in build_table(fast).notes if "different hardware" in note]
    with pytest.raises(UserError, match="seconds"):
        relative_sheet(build_table(trials, "final-plan"), trials)


def test_times_of_ties_of_nothing_and_of_candidates(results):
    trials = results({"grasp": range(10), "cem": range(9)}, clock="iterations", budget=50.0)
    sheet = times_sheet(build_table(trials), trials)
    assert [row[1].bold for row in sheet.rows] == [True, True]  # one task between them
    assert sheet.rows[0][1].text.endswith("candidates")
    nothing = results({"grasp": [], "cem": []})
    sheet = times_sheet(build_table(nothing), nothing)
    assert [row[1].bold for row in sheet.rows] == [False, False]
    final = by_outcome(
        results({"grasp": range(3)}, stop="never", final_plan_success=True), "final-plan"
    )
    with pytest.raises(UserError, match="--outcome first"):
        times_sheet(build_table(final, "final-plan"), final)


def test_every_kind_names_hyperparameters_that_were_set_and_errors(results):
    trials = results({"grasp[sync=none]": range(10), "cem": range(5)})
    trials.loc[trials.index[-1], "status"] = "error"
    table = build_table(trials)
    for sheet in (
        results_sheet(table),
        times_sheet(table, trials),
        *pairwise_sheets(table, trials)[-1:],
    ):
        notes = " ".join(sheet.notes)
        assert "set: grasp[sync=none]." in notes
        assert "GRASP 1 of 40" in notes or "CEM 1 of 40" in notes


def test_the_best_is_marked_in_each_track(results):
    trials = results(
        {"cem": range(30), "grasp": range(8), "grasp-plus": range(40), "mine": range(9)}
    )
    trials.loc[trials["planner"].isin(["grasp-plus", "mine"]), "prior_sha256"] = "d" * 64
    table = build_table(trials)
    assert {label for label, cell in table.rows[0].cells.items() if cell.best} == {
        "cem",
        "grasp-plus",
    }
    assert [c.label for c in table.columns] == ["cem", "grasp", "grasp-plus", "mine"]
    assert any("Two tracks: grasp-plus, mine" in note for note in table.reading)


def test_what_is_open_about_the_papers_model_is_said_of_that_model_alone(results):
    def notes(model):
        return build_table(results({"grasp": range(10)}, model=model)).notes

    others = {note.replace("lewm", "MODEL") for note in notes("lewm")}
    for model in ("dino-wm", "dino-wm@bfloat16"):
        (added,) = {note.replace(model, "MODEL") for note in notes(model)} - others
        assert "--criterion in_model" in added
