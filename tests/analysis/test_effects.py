"""What another setting or model changes, paired by task."""

import json

import pytest

from grasp_bench.analysis.effects import effects_sheet
from grasp_bench.core.errors import UserError
from grasp_bench.run.store import read_results, write_rows


@pytest.fixture
def run(tmp_path, make_row):
    """Makes results in which each planner solves the tasks named; others fail."""

    def make(solved, **settings):
        rows = [
            make_row(
                planner=planner,
                task_id=f"pusht-h40-{number:04d}",
                success=number in own,
                time_to_success=1.0 if number in own else None,
                **settings,
            )
            for planner, own in solved.items()
            for number in range(20)
        ]
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        write_rows(path, rows)
        return path

    return make


def test_planners_are_paired_with_themselves(run):
    first = run({"cem": range(4), "gd": range(10)})
    other = run({"cem": range(12), "gd": range(1, 10)}, action_limits=False)
    third = run({"cem": range(4)}, proprio_weight=0.1)
    sheet = effects_sheet([read_results(path) for path in (first, other, third)], "first")
    limits, weight = "action_limits=False", "proprio_weight=0.1"
    assert sheet.headings == ["Planner", "Horizon", "First run", limits, weight]
    cem, gd = sheet.records
    assert (cem["planner"], cem["rate"], gd["rate"]) == ("cem", 0.2, 0.5)
    assert cem[f"{limits}: difference"] == pytest.approx(0.4)
    assert cem[f"{limits}: p_value"] == pytest.approx(2 * 0.5**8)
    assert cem[f"{limits}: difference_low"] > 0.15
    assert gd[f"{limits}: difference"] == pytest.approx(-0.05)
    assert cem[f"{weight}: difference"] == 0
    assert gd[f"{weight}: difference"] is None
    assert f"{limits}: more in 1 cells, fewer in 1." in sheet.notes


def test_another_model_is_named_once_and_its_planners_are_found(run):
    first = run({"cem": range(4)}, planner_label="cem[untuned]")
    other = run({"cem": range(8)}, model="mine", model_source="mine", model_sha256="b" * 64)
    sheet = effects_sheet([read_results(path) for path in (first, other)], "first")
    assert sheet.headings[-1] == "model=mine"
    assert sheet.records[0]["model=mine: difference"] == pytest.approx(0.2)


def test_runs_that_do_not_compare_are_refused(run):
    first, same = run({"cem": range(4)}), run({"cem": range(5)})
    others = run({"cem": range(4)}, task_set_sha256="c" * 64, tasks="mine")
    results = [read_results(path) for path in (first, same, others)]
    for runs, word in (
        (results[:1], "several"),
        (results[:2], "settings of the first"),
        ([results[0], results[2]], "other tasks"),
    ):
        with pytest.raises(UserError, match=word):
            effects_sheet(runs, "first")


def test_the_command(run, cli):
    first = run({"cem": range(4)})
    other = run({"cem": range(12)}, goal_steps=3)
    code, out, _ = cli("table", first, other, "--kind", "effects", "--format", "json")
    assert code == 0
    (sheet,) = json.loads(out)
    (record,) = sheet["records"]
    assert record["goal_steps=3: tasks"] == 20
