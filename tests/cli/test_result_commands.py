"""Commands that read results: what they print, and one sentence for every bad input."""

import csv
import json
from pathlib import Path

import pytest

from grasp_bench.run.schema import SCHEMA_VERSION
from grasp_bench.run.store import read_results, write_rows


@pytest.fixture
def two_runs(cli, make_row):
    """A run that solves all of 20 tasks, and one that solves none of them."""
    for name, solved in (("good", True), ("bad", False)):
        rows = [
            make_row(task_id=f"t{number}", success=solved, time_to_success=1.0 if solved else None)
            for number in range(20)
        ]
        write_rows(Path(f"{name}.parquet"), rows)


def test_comparing_exits_with_1_on_a_regression_and_0_otherwise(cli, two_runs):
    code, out, _ = cli("compare", "good.parquet", "bad.parquet", "--markdown", "deep/pr.md")
    assert code == 1
    assert all(number in out for number in ("GRASP", "0 of 20", "20 lost", "0 won"))
    assert "0 of 20" in Path("deep/pr.md").read_text()
    assert cli("compare", "bad.parquet", "good.parquet")[0] == 0


def test_runs_that_cannot_be_compared_are_refused(refused, two_runs, make_row):
    write_rows(Path("other.parquet"), [make_row(budget=9.0)])
    assert "budget" in refused("compare", "good.parquet", "other.parquet")
    assert "missing.parquet" in refused("compare", "good.parquet", "missing.parquet")


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("results", "| H=40 | **100.0% / 1.0 s** |"),
        ("planners", "| iCEM | **100.0% / 1.0 s** |"),
        ("times", "| iCEM | **1.0 s / 1.0 s** |"),
        ("pairwise", "| **+100.0**<br>[+100.0, +100.0] p < 0.0001 |"),
    ],
)
def test_a_table_of_every_kind(cli, make_row, kind, shown):
    rows = [
        make_row(
            planner=planner,
            task_id=f"t{number}",
            success=planner == "icem",
            time_to_success=1.0 if planner == "icem" else None,
        )
        for planner in ("icem", "mppi")
        for number in range(20)
    ]
    write_rows(Path("trials.parquet"), rows)
    code, out, _ = cli("table", "trials.parquet", "--kind", kind, "--format", "markdown")
    assert code == 0
    assert shown in out


def test_showing_results_lists_trials_settings_and_machines(cli, make_row):
    rows = [make_row(task_id=f"t{number}", horizon=40 + 10 * number) for number in range(2)]
    rows.append(make_row(task_id="t2", planner="cem", status="error", cpu="another processor"))
    write_rows(Path("trials.parquet"), rows)
    code, out, _ = cli("results", "show", "trials.parquet")
    assert code == 0
    version = f"schema version {SCHEMA_VERSION}"
    for fact in ("1 (1 raised)", "3 trials", version, "first-success", "model_sha256"):
        assert fact in out
    assert "a processor (2" in out
    assert "another processor (1" in out
    code, out, _ = cli("results", "show", "trials.parquet", "--format", "json")
    counts = json.loads(out)[0]["records"]
    assert {"planner": "cem", "horizon": 40, "trials": 1, "raised": 1, "planless": 0} in counts
    code, out, _ = cli("results", "show", "trials.parquet", "--format", "csv")
    lines = list(csv.DictReader(out.splitlines()))
    assert {"planner": "grasp", "horizon": "50", "trials": "1"}.items() <= lines[3].items()
    assert next(line["value"] for line in lines if line["column"] == "budget") == "5.0"


def test_merging_puts_each_trial_once_into_one_file(cli, make_row):
    rows = [make_row(task_id=f"t{number}") for number in range(4)]
    failed = make_row(task_id="t3", status="error", error="ValueError")
    write_rows(Path("a.parquet"), [*rows[:2], failed])
    write_rows(Path("b.parquet"), rows[1:])
    code, out, _ = cli("results", "merge", "a.parquet", "b.parquet", "-o", "deep/all.parquet")
    assert code == 0
    assert out == "deep/all.parquet: 4 trials\n"
    trials = read_results(Path("deep/all.parquet"))
    assert trials["task_id"].tolist() == ["t0", "t1", "t2", "t3"]
    assert (trials["status"] == "ok").all()


def test_what_cannot_be_one_file_is_not_merged(refused, make_row):
    write_rows(Path("a.parquet"), [make_row(success=True, time_to_success=1.0)])
    write_rows(Path("b.parquet"), [make_row(success=False, wall_seconds=9.0)])
    write_rows(Path("c.parquet"), [make_row(task_id="other", budget=9.0)])
    merge = ("results", "merge", "a.parquet")
    sentence = refused(*merge, "b.parquet", "-o", "all.parquet")
    assert "grasp-pusht-h40-0000" in sentence
    assert "success, time_to_success, wall_seconds" in sentence
    assert "budget" in refused(*merge, "c.parquet", "-o", "all.parquet")
    assert "'b.parquet'" in refused(*merge, "-o", "b.parquet")


@pytest.mark.parametrize(
    "command", ["table", "report --no-clips", "figure success", "results merge -o all.parquet"]
)
def test_two_outcomes_of_one_trial_are_refused_and_copies_are_one(cli, make_row, command):
    first = make_row(success=True, time_to_success=1.0)
    further = [make_row(task_id=f"t{number}") for number in range(3)]
    write_rows(Path("a.parquet"), [first, *further[:2]])
    write_rows(Path("copy.parquet"), [first, further[2]])
    write_rows(Path("b.parquet"), [first | {"time_to_success": 2.0}])
    assert cli(*command.split(), "a.parquet", "copy.parquet")[0] == 0
    Path("all.parquet").unlink(missing_ok=True)
    code, _, err = cli(*command.split(), "a.parquet", "b.parquet")
    assert code == 2
    facts = ("'a.parquet'", "'b.parquet'", "grasp-pusht-h40-0000", "time_to_success")
    assert all(fact in err for fact in facts)


def test_labels_with_line_ends_and_bars_stay_in_their_cells(cli, make_row):
    labels = ("cem", "cem[text=a\n|\r\n\nb\u2028c]")
    rows = [
        make_row(planner="cem", planner_label=label, task_id=f"t{number}")
        for label in labels
        for number in range(2)
    ]
    write_rows(Path("a.parquet"), rows)
    for kind in ("results", "planners", "times", "pairwise"):
        table = ("table", "a.parquet", "--kind", kind, "--format")
        lines = cli(*table, "markdown")[1].splitlines()
        assert all(line[:1] in ("", "|", "-", "#") for line in lines)
        bars = {line.replace("\\|", "").count("|") for line in lines if line[:1] == "|"}
        assert len(bars) == 1
        rows = list(csv.reader(cli(*table, "csv")[1].split("\n")))
        assert len({len(row) for row in rows if row}) == 1
        body = cli(*table, "latex")[1].partition("toprule")[2].partition("bottomrule")[0]
        assert "" not in body.strip().splitlines()
        assert "\\textbar{}" in body


@pytest.fixture
def trial_rows(make_trial_rows):
    return make_trial_rows("cem", {"samples": "16", "elites": "4"})


def test_checking_recomputes_a_sample_and_agrees(
    cli, trial_rows, make_trial_rows, responsive_checkpoint
):
    write_rows(Path("trials.parquet"), [*trial_rows, *make_trial_rows("demo")])
    check = ("results", "check", "trials.parquet", "--model", responsive_checkpoint)
    code, out, _ = cli(*check)
    assert code == 0
    assert out.splitlines()[-1].startswith("2 of 2 ")
    assert cli(*check, "--sample", "1")[1].splitlines()[-1].startswith("1 of 1 ")


def test_checking_needs_no_model_where_the_row_says_where_it_is(cli, trial_rows):
    write_rows(Path("trials.parquet"), trial_rows)
    code, out, _ = cli("results", "check", "trials.parquet")
    assert code == 0
    assert out.splitlines()[-1].startswith("1 of 1 ")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("final_plan_success_block", True),
        ("trial_seed", 1),
        ("hyperparameters_sha256", "0" * 64),
        ("plan_sha256", "0" * 64),
        ("final_plan_success", True),
        ("final_plan_cost_realised", 99.0),
        ("final_plan_block_distance", -1.0),
    ],
)
def test_checking_names_what_does_not_come_back(
    cli, trial_rows, responsive_checkpoint, column, value
):
    write_rows(Path("trials.parquet"), [trial_rows[0] | {column: value}])
    code, out, _ = cli("results", "check", "trials.parquet", "--model", responsive_checkpoint)
    assert code == 1
    assert f"  {column} is " in out
    assert out.splitlines()[-1].startswith("0 of 1 ")


def test_results_that_cannot_be_checked_are_refused(refused, make_row):
    write_rows(Path("planless.parquet"), [make_row()])
    refused("results", "check", "planless.parquet")
