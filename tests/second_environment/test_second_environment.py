"""The whole path works in an environment that is not Push-T."""

from pathlib import Path

import pytest
from PIL import Image
from point_wall import POINT_WALL, make_tasks

import grasp_bench
from grasp_bench.analysis.criteria import criteria_sheets
from grasp_bench.analysis.judging import all_criteria
from grasp_bench.cli import main
from grasp_bench.run.store import read_results
from grasp_bench.tasks import write_tasks

HORIZON, TRIALS = 30, 4
MODEL = f"{Path(__file__).with_name('point_wall.py')}:make_model"
SETTINGS = ("--clock", "iterations", "--budget", "6", "--stop", "never", "--workers", "1")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    path = tmp_path_factory.mktemp("tasks") / "point-wall.parquet"
    write_tasks(path, "point_wall:POINT_WALL", make_tasks(TRIALS, HORIZON))
    return str(path)


@pytest.fixture(scope="module")
def results(tasks, tmp_path_factory):
    """Results of a search, of the demonstrations and of no action."""
    out = tmp_path_factory.mktemp("results") / "out"
    grid = ("--planners", "cem,demo,zero", "--horizons", str(HORIZON), "--trials", str(TRIALS))
    with pytest.raises(SystemExit) as stop:
        main(["sweep", *grid, "--tasks", tasks, "--model", MODEL, *SETTINGS, "--out", str(out)])
    assert not stop.value.code
    return out


def rates(trials):
    return trials.groupby("planner")["success"].mean().to_dict()


def test_results_carry_the_environments_name_criteria_and_distances(results):
    trials = read_results(results)
    assert set(trials["environment"]) == {POINT_WALL.name}
    own = {"success_end", "final_plan_success_end", "final_plan_gap"}
    assert own <= set(trials.columns)
    assert not any("block" in name for name in trials.columns)
    assert rates(trials)["demo"] == 1.0
    assert rates(trials)["zero"] == 0.0


def test_a_model_without_the_wall_promises_more_than_the_simulator_keeps(results):
    cem = read_results(results).query("planner == 'cem'")
    assert cem["final_plan_cost_predicted"].max() < cem["final_plan_cost_realised"].min()
    assert cem["final_plan_success_in_model"].all()
    assert not cem["final_plan_success"].any()


def test_success_in_the_model_is_a_criterion_of_tables(results):
    criteria = all_criteria(POINT_WALL.criteria)
    sheet = criteria_sheets(read_results(results), criteria, "final-plan", intervals=False)[0]
    (cem,) = (record for record in sheet.records if record["planner"] == "cem")
    assert (cem["in_model"], cem["near"]) == (1.0, 0.0)


def test_rows_of_the_api_are_those_of_the_command(results, tasks):
    stored = read_results(results).query("planner == 'cem'").set_index("task_id")
    again = grasp_bench.evaluate(
        "cem", model=MODEL, tasks=tasks, horizon=HORIZON, trials=TRIALS, budget=6.0,
        clock="iterations", stop="never",
    ).set_index("task_id")  # fmt: skip
    assert again["plan_sha256"].to_dict() == stored["plan_sha256"].to_dict()
    assert again["final_plan_gap"].to_dict() == stored["final_plan_gap"].to_dict()


def test_a_table_and_a_report_are_made_of_it(results, cli):
    code, table, _ = cli("table", results, "--format", "csv")
    assert code == 0
    assert "demo_success" in table.splitlines()[0]
    code, _, err = cli("report", results, "-o", "report.html", "--model", MODEL)
    assert (code, err) == (0, "")
    page = Path("report.html").read_text()
    assert "Push-T" not in page
    assert "data:image/gif" in page


def test_a_trial_is_replayed_bit_for_bit(results, cli):
    code, out, _ = cli("replay", results, f"cem-*-h{HORIZON}-0000", "-o", "clip.gif")
    assert code == 0
    assert "bit for bit" in out
    with Image.open("clip.gif") as clip:
        assert clip.n_frames > HORIZON
    code, out, _ = cli("results", "check", results, "--sample", "12")
    assert code == 0, out
