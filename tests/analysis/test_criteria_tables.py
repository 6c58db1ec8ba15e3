"""Tables of every success criterion, and of why final plans failed."""

import pytest

from grasp_bench.analysis.aggregate import build_table
from grasp_bench.analysis.criteria import criteria_sheets
from grasp_bench.analysis.failure_kinds import failure_counts, failure_sheets
from grasp_bench.analysis.judging import by_outcome
from grasp_bench.core.errors import UserError
from grasp_bench.run.store import read_results, write_rows

RULES = {"within": "the region", "final": "at the end", "strict": "held", "unknown": "new"}


@pytest.fixture
def trials(tmp_path, make_row):
    """10 tasks: cem solves 6, strictly 1; grasp solves 4, all strictly."""
    rows = []
    for number in range(10):
        for planner, within, strict in (("cem", 6, 1), ("grasp", 4, 4)):
            rows.append(
                make_row(
                    planner=planner,
                    task_id=f"pusht-h40-{number:04d}",
                    stop="never",
                    success=number < within,
                    time_to_success=1.0 + number if number < within else None,
                    success_strict=number < strict,
                    success_final=number < within,
                    final_plan_success=number < within,
                    final_plan_success_final=number < within,
                    final_plan_success_strict=number < strict,
                    final_plan_cost_predicted=float(number),
                    final_plan_cost_realised=2.0 * number,
                    demo_cost_predicted=7.5 if planner == "cem" else 20.0,
                )
            )
    write_rows(tmp_path / "trials.parquet", rows)
    return read_results(tmp_path / "trials.parquet")


def test_a_criterion_judges_the_plan_that_succeeded(trials):
    table = build_table(by_outcome(trials, "first", "strict", "within"), criterion="strict")
    cells = table.rows[0].cells
    assert (cells["cem"].successes, cells["grasp"].successes) == (1, 4)
    assert cells["cem"].median_time == 1.0
    assert any("'strict'" in note for note in table.notes)
    whole = build_table(by_outcome(trials, "first", "within", "within")).rows[0].cells
    assert whole["cem"].successes == 6


def test_one_planner_a_row_and_one_criterion_a_column(trials):
    sheet, order = criteria_sheets(trials, RULES, "final-plan", intervals=False)
    assert sheet.headings == ["Planner", "within", "final", "strict"]
    rates = {record["planner"]: record for record in sheet.records}
    assert rates["cem"] == {
        "horizon": 40, "planner": "cem", "within": 0.6, "final": 0.6, "strict": 0.1,
    }  # fmt: skip
    (record,) = order.records
    assert (record["within"], record["strict"]) == ("CEM", "GRASP")
    assert (record["final_tau"], record["strict_tau"]) == (pytest.approx(1), pytest.approx(-1))


def test_a_criterion_that_is_not_recorded_is_refused(trials):
    with pytest.raises(UserError, match="'unknown'"):
        by_outcome(trials, "first", "unknown", "within")


def test_each_failure_has_the_kind_that_its_costs_say(trials):
    counts = failure_counts(trials)
    # Of tasks 6 to 9 the model rates plans of 6 and 7 below 7.5, and they cost 12 and 14.
    assert counts["cem", 40] == {
        "solved": 6, "search": 2, "model": 2, "objective": 0, "no plan": 0,
    }  # fmt: skip
    assert counts["grasp", 40] == {
        "solved": 4, "search": 0, "model": 0, "objective": 6, "no plan": 0,
    }  # fmt: skip
    (sheet,) = failure_sheets(trials)
    assert sheet.records[0]["model"] == 0.2
    assert sheet.records[0]["model_low"] < 0.2 < sheet.records[0]["model_high"]


def test_raised_trials_have_no_plan_and_old_results_no_yardstick(trials):
    cem = trials["planner"] == "cem"
    raised = trials.assign(
        status=trials["status"].where(cem, "error"),
        final_plan_success=trials["final_plan_success"].where(cem),
    )
    assert failure_counts(raised)["grasp", 40]["no plan"] == 10
    with pytest.raises(UserError, match="older version"):
        failure_counts(trials.assign(demo_cost_predicted=None))


def test_the_commands_show_both(cli, trials, tmp_path):
    code, out, _ = cli("table", tmp_path, "--kind", "criteria", "--format", "json")
    assert code == 0
    assert "strict_tau" in out
    code, out, _ = cli("table", tmp_path, "--kind", "failures", "--format", "csv")
    assert code == 0
    assert out.startswith("horizon,planner,n,solved")
    code, _, err = cli("table", tmp_path, "--criterion", "stric")
    assert code == 2
    assert "'strict'" in err
